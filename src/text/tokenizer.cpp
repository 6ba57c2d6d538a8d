#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "text/vocab_image.h"
#include "text/vocab_tokenizer.h"

namespace hearth::text {
namespace {

// Ids are 32-bit and signed, and every table here is some bytes per token.
constexpr std::size_t kVocabTokensMax = std::size_t{1} << 24;
constexpr std::size_t kVocabBytesMax = std::size_t{1} << 30;  // Of all texts.

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
    {"<turn|>", true},                 // Gemma 4
    {"<|tool_response>", true},        // Gemma 4, before a tool's answer
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

bool in_range(const VocabTables& tables, TokenId id) {
  return id >= 0 && static_cast<std::size_t>(id) < tables.texts.size();
}

std::optional<TokenId> known_id(TokenId id) {
  return id == kNoToken ? std::nullopt : std::optional(id);
}

Result<> check_sizes(const VocabSpec& spec) {
  const std::size_t n_vocab = spec.tokens.size();
  if (n_vocab == 0 || n_vocab > kVocabTokensMax) {
    return fail(Code::kCorrupt, fmt::format("the vocabulary has {} tokens; 1 to {} can be used",
                                            n_vocab, kVocabTokensMax));
  }
  std::size_t n_bytes = 0;
  for (const std::string& text : spec.tokens) n_bytes += text.size();
  if (n_bytes > kVocabBytesMax) {
    return fail(Code::kCorrupt, fmt::format("the vocabulary's texts have {} bytes; at most {} can "
                                            "be used",
                                            n_bytes, kVocabBytesMax));
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
std::vector<std::uint8_t> end_tokens_of(VocabSpec& spec) {
  std::vector<std::uint8_t> ends(spec.tokens.size());
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
  if (end && message_return && call) ends[*end] = 0;
  if (spec.eos) ends[static_cast<std::size_t>(*spec.eos)] = 1;
  if (spec.eot) ends[static_cast<std::size_t>(*spec.eot)] = 1;
  return ends;
}

// The ids whose type is one of `types`.
std::vector<TokenId> ids_of(const VocabSpec& spec, std::initializer_list<TokenType> types) {
  std::vector<TokenId> ids;
  for (std::size_t id = 0; id < spec.types.size(); ++id) {
    if (std::ranges::find(types, spec.types[id]) != types.end()) {
      ids.push_back(static_cast<TokenId>(id));
    }
  }
  return ids;
}

// How a family is built and opened; names are those of `tokenizer.ggml.model`.
struct Family {
  std::string_view model;
  VocabFamily family;
  Result<> (*set_defaults)(VocabSpec& spec);
  Result<> (*build)(const VocabSpec& spec, VocabDraft& draft);
  TokenizerResult (*open)(const VocabTables& tables, std::shared_ptr<const void> owner);
};
constexpr std::array kFamilies = {
    Family{"gpt2", VocabFamily::kBpe, set_bpe_defaults, build_bpe, open_bpe},
    Family{"llama", VocabFamily::kSentencePiece, set_spm_defaults, build_spm, open_spm},
    Family{"bert", VocabFamily::kWordPiece, set_wordpiece_defaults, build_wordpiece,
           open_wordpiece},
    Family{"gemma4", VocabFamily::kMarkedBpe, set_marked_bpe_defaults, build_marked_bpe, open_spm},
};

// What all families' drafts hold.
VocabDraft common_draft(VocabSpec& spec, VocabFamily family) {
  VocabDraft draft;
  draft.end_tokens = end_tokens_of(spec);  // Before the types are read: it promotes some.
  draft.facts.family = family;
  draft.facts.bos = spec.bos.value_or(kNoToken);
  draft.facts.eos = spec.eos.value_or(kNoToken);
  draft.facts.unk = spec.unk.value_or(kNoToken);
  draft.facts.adds_bos = spec.add_bos.value_or(false);
  draft.facts.adds_eos = spec.add_eos.value_or(false);
  draft.facts.adds_space_prefix = spec.add_space_prefix.value_or(false);
  draft.facts.byte_ids.fill(kNoToken);
  draft.pre = spec.pre;
  draft.texts = OwnedTexts(spec.tokens);
  draft.types = spec.types;
  const TokenTexts texts = draft.texts.view();
  draft.index = TokenIndex::build(texts);
  draft.user_defined = SpecialTokens::build(texts, ids_of(spec, {TokenType::kUserDefined}));
  draft.all_special =
      SpecialTokens::build(texts, ids_of(spec, {TokenType::kUserDefined, TokenType::kControl,
                                                TokenType::kUnknown}));
  return draft;
}

}  // namespace

Result<std::vector<std::byte>> Tokenizer::make_image(VocabSpec spec) {
  HEARTH_TRY_VOID(check_sizes(spec));
  HEARTH_TRY_VOID(check_special_ids(spec));
  const auto family = std::ranges::find(kFamilies, spec.model, &Family::model);
  if (family == kFamilies.end()) {
    return fail(Code::kUnsupported, fmt::format("tokenizer '{}' is not known; known are gpt2, "
                                                "llama, bert, gemma4",
                                                spec.model));
  }
  HEARTH_TRY_VOID(family->set_defaults(spec));
  VocabDraft draft = common_draft(spec, family->family);
  HEARTH_TRY_VOID(family->build(spec, draft));
  return write_vocab_image(draft);
}

TokenizerResult Tokenizer::from_image(std::span<const std::byte> image,
                                      std::shared_ptr<const void> owner) {
  HEARTH_TRY(const VocabTables tables, read_vocab_image(image));
  const auto family = std::ranges::find(kFamilies, tables.facts.family, &Family::family);
  if (family == kFamilies.end()) {
    return fail(Code::kCorrupt, "the vocabulary's image is of an unknown family");
  }
  return family->open(tables, std::move(owner));
}

TokenizerResult Tokenizer::create(VocabSpec spec) {
  HEARTH_TRY(std::vector<std::byte> image, make_image(std::move(spec)));
  const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(image));
  return from_image(*owner, owner);
}

Tokenizer::Tokenizer(const VocabTables& tables, std::shared_ptr<const void> owner)
    : owner_(std::move(owner)), tables_(std::make_unique<const VocabTables>(tables)) {}

Tokenizer::~Tokenizer() = default;

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

std::uint32_t Tokenizer::n_vocab() const {
  return static_cast<std::uint32_t>(tables_->texts.size());
}

std::optional<TokenId> Tokenizer::bos() const { return known_id(tables_->facts.bos); }
std::optional<TokenId> Tokenizer::eos() const { return known_id(tables_->facts.eos); }

bool Tokenizer::adds_bos() const { return tables_->facts.adds_bos != 0 && bos(); }
bool Tokenizer::adds_space_prefix() const { return tables_->facts.adds_space_prefix != 0; }

bool Tokenizer::is_end_of_generation(TokenId id) const {
  return in_range(*tables_, id) && tables_->end_tokens[static_cast<std::size_t>(id)] != 0;
}

bool Tokenizer::is_control(TokenId id) const {
  return in_range(*tables_, id) && !tables_->types.empty() &&
         tables_->types[static_cast<std::size_t>(id)] == TokenType::kControl;
}

std::string_view Tokenizer::token_text(TokenId id) const {
  return in_range(*tables_, id) ? tables_->texts[static_cast<std::size_t>(id)]
                                : std::string_view();
}

}  // namespace hearth::text
