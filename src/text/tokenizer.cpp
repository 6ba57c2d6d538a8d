#include "text/tokenizer.h"

#include <fmt/format.h>

#include <utility>

#include "text/vocab_tokenizer.h"

namespace hearth::text {
namespace {

// Ids are 32-bit and signed, and every table here is some bytes per token.
constexpr std::size_t kVocabTokensMax = std::size_t{1} << 24;

// Tokens that end a turn or a text, by the families' own spelling.  `promote`: some
// converters forgot to mark these as control tokens; nothing else is spelled so.
struct EndToken {
  std::string_view text;
  bool promote;
};
constexpr EndToken kEndTokens[] = {
    {"<|im_end|>", true},              // ChatML: Qwen, Yi, SmolLM, ...
    {"<|eot_id|>", true},              // Llama 3
    {"<|eom_id|>", true},              // Llama 3, before a tool's answer
    {"<|eot|>", true},                 // Llama 4
    {"<|end|>", true},                 // Phi
    {"<end_of_turn>", true},           // Gemma
    {"<|endoftext|>", false},          // GPT-2, StarCoder, Qwen
    {"<|end_of_text|>", false},        // Llama 3, Granite
    {"<｜end▁of▁sentence｜>", false},  // DeepSeek
    {"<|return|>", true},              // gpt-oss
    {"<|call|>", true},                // gpt-oss
    {"<end_of_utterance>", true},      // SmolVLM
    {"<EOT>", false},
    {"_<EOT>", false},
    {"[EOT]", false},
    {"[EOS]", false},
    {"<eos>", false},
    {"</s>", false},
};

TokenType type_of(const VocabSpec& spec, TokenId id) {
  return spec.types.empty() ? TokenType::kNormal : spec.types[static_cast<std::size_t>(id)];
}

bool in_range(const VocabSpec& spec, TokenId id) {
  return id >= 0 && static_cast<std::size_t>(id) < spec.tokens.size();
}

Result<> check_sizes(const VocabSpec& spec) {
  const std::size_t n_vocab = spec.tokens.size();
  if (n_vocab == 0 || n_vocab > kVocabTokensMax) {
    return fail(Code::kCorrupt, fmt::format("the vocabulary has {} tokens; 1 to {} can be used",
                                            n_vocab, kVocabTokensMax));
  }
  if (!spec.scores.empty() && spec.scores.size() != n_vocab) {
    return fail(Code::kCorrupt, fmt::format("the vocabulary has {} tokens but {} scores", n_vocab,
                                            spec.scores.size()));
  }
  if (!spec.types.empty() && spec.types.size() != n_vocab) {
    return fail(Code::kCorrupt, fmt::format("the vocabulary has {} tokens but {} token types",
                                            n_vocab, spec.types.size()));
  }
  return {};
}

Result<> check_special_ids(const VocabSpec& spec) {
  const std::pair<const char*, std::optional<TokenId>> named[] = {
      {"bos", spec.bos}, {"eos", spec.eos}, {"eot", spec.eot},
      {"unk", spec.unk}, {"cls", spec.cls}, {"sep", spec.sep}};
  for (const auto& [name, id] : named) {
    if (!id || in_range(spec, *id)) continue;
    return fail(Code::kCorrupt,
                fmt::format("the vocabulary's {} token is {}, but its ids are 0 to {}", name, *id,
                            spec.tokens.size() - 1));
  }
  return {};
}

// One flag per id: whether generation ends there.
std::vector<bool> end_of_generation_of(VocabSpec& spec) {
  std::vector<bool> ends(spec.tokens.size());
  std::optional<std::size_t> end, message_return, call;  // gpt-oss
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    const std::string& text = spec.tokens[id];
    if (text.empty() || (text[0] != '<' && text[0] != '[' && text[0] != '_')) continue;
    for (const EndToken& token : kEndTokens) {
      if (text != token.text) continue;
      const TokenType type = type_of(spec, static_cast<TokenId>(id));
      if (type == TokenType::kNormal && token.promote && !spec.types.empty()) {
        spec.types[id] = TokenType::kControl;
      }
      ends[id] = type == TokenType::kControl || type == TokenType::kUserDefined || token.promote;
    }
    if (text == "<|end|>") end = id;
    if (text == "<|return|>") message_return = id;
    if (text == "<|call|>") call = id;
  }
  // In gpt-oss, <|end|> ends a message of several in one answer.
  if (end && message_return && call) ends[*end] = false;
  if (spec.eos) ends[static_cast<std::size_t>(*spec.eos)] = true;
  if (spec.eot) ends[static_cast<std::size_t>(*spec.eot)] = true;
  return ends;
}

}  // namespace

Result<std::unique_ptr<const Tokenizer>> Tokenizer::create(VocabSpec spec) {
  HEARTH_TRY_VOID(check_sizes(spec));
  HEARTH_TRY_VOID(check_special_ids(spec));
  if (spec.pad && !in_range(spec, *spec.pad)) spec.pad.reset();  // Nothing here needs it.
  if (spec.model == "gpt2") return create_bpe_tokenizer(std::move(spec));
  if (spec.model == "llama") return create_spm_tokenizer(std::move(spec));
  if (spec.model == "bert") return create_wordpiece_tokenizer(std::move(spec));
  return fail(Code::kUnsupported,
              fmt::format("tokenizer '{}' is not known; known are gpt2, llama, bert", spec.model));
}

Tokenizer::Tokenizer(VocabSpec spec) : spec_(std::move(spec)) {
  end_of_generation_ = end_of_generation_of(spec_);
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool special) const {
  std::string text;
  bool drop_space = adds_space_prefix();
  for (const TokenId id : ids) {
    const std::string part = piece(id, special);
    if (part.empty()) continue;
    const bool drop = std::exchange(drop_space, false) && part.front() == ' ';
    text.append(part, drop ? 1 : 0);
  }
  return text;
}

bool Tokenizer::adds_bos() const { return spec_.add_bos.value_or(false) && spec_.bos; }

bool Tokenizer::adds_space_prefix() const { return spec_.add_space_prefix.value_or(false); }

bool Tokenizer::is_end_of_generation(TokenId id) const {
  return in_range(spec_, id) && end_of_generation_[static_cast<std::size_t>(id)];
}

bool Tokenizer::is_control(TokenId id) const {
  return in_range(spec_, id) && type_of(spec_, id) == TokenType::kControl;
}

std::string_view Tokenizer::token_text(TokenId id) const {
  return in_range(spec_, id) ? std::string_view(spec_.tokens[static_cast<std::size_t>(id)])
                             : std::string_view();
}

}  // namespace hearth::text
