// The vocabulary of a tokenizer.json.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "convert/hf_tokenizer.h"

namespace hearth::convert {
namespace {

using text::TokenId;
using text::TokenType;
using text::VocabSpec;

constexpr std::uint64_t kTokenIdMax = (1U << 22) - 1;
constexpr std::string_view kSpaceMark = "\u2581";

bool is_byte_token(std::string_view token) {
  const auto is_digit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
  };
  return token.size() == 6 && token.starts_with("<0x") && is_digit(token[3]) &&
         is_digit(token[4]) && token[5] == '>';
}

// Control tokens that some models forgot to mark as special.
bool looks_special(std::string_view token) {
  constexpr std::string_view kWhole[] = {"<pad>", "<mask>", "<2mass>", "[@BOS@]"};
  return std::ranges::find(kWhole, token) != std::end(kWhole) ||
         (token.starts_with("<|") && token.ends_with("|>")) ||
         (token.starts_with("<｜") && token.ends_with("｜>")) ||
         (token.starts_with("<unused") && token.ends_with(">"));
}

std::string with_spaces(std::string text) {
  for (std::size_t at = 0; (at = text.find(kSpaceMark, at)) != text.npos; ++at) {
    text.replace(at, kSpaceMark.size(), " ");
  }
  return text;
}

// Calls visit(part) for a part of the pipeline, or for each of a sequence of parts.
template <class Visit>
void for_each_part(const Json* part, std::string_view list_key, Visit&& visit) {
  if (part == nullptr) return;
  if (as_text(member(part, "type")) != "Sequence") return visit(*part);
  for (const Json& one : elements(member(part, list_key))) for_each_part(&one, list_key, visit);
}

class VocabReader {
 public:
  VocabReader(const Json& tokenizer, const std::string& name)
      : tokenizer_(tokenizer), model_(member(tokenizer, "model")), name_(name) {}

  Result<VocabSpec> run() {
    if (as_text(member(model_, "type")) == "WordPiece") return run_word_piece();
    if (as_text(member(model_, "type")).value_or("BPE") != "BPE") {
      return unsupported(fmt::format("its model is '{}' and neither BPE nor WordPiece",
                                     as_text(member(model_, "type"))->substr(0, 40)));
    }
    HEARTH_TRY_VOID(read_tokens());
    HEARTH_TRY_VOID(read_added_tokens());
    HEARTH_TRY_VOID(read_kind());
    const auto unknown = as_text(member(model_, "unk_token"));
    if (unknown) mark_unknown(*unknown);
    return std::move(spec_);
  }

 private:
  std::unexpected<Error> corrupt(std::string_view what) const {
    return fail(Code::kCorrupt,
                fmt::format("'{}': {}: get the file from its source again", name_, what));
  }
  std::unexpected<Error> unsupported(std::string_view what) const {
    return fail(
        Code::kUnsupported,
        fmt::format("'{}': {}, which this build does not convert: look for the model as GGUF",
                    name_, what));
  }

  // Ids that no token has stay unused.
  std::string& token_at(std::uint64_t id) {
    while (spec_.tokens.size() <= id) {
      spec_.tokens.push_back(fmt::format("[PAD{}]", spec_.tokens.size()));
      spec_.types.push_back(TokenType::kUnused);
    }
    return spec_.tokens[id];
  }

  Result<> read_tokens() {
    const Json* const vocab = member(model_, "vocab");
    if (vocab == nullptr || !vocab->is_object() || vocab->empty())
      return corrupt("it has no vocabulary");
    for (const auto& [text, value] : vocab->items()) {
      const auto id = as_count(&value);
      if (!id || *id > kTokenIdMax) {
        return corrupt(
            fmt::format("token '{}' has no id from 0 to {}", text.substr(0, 100), kTokenIdMax));
      }
      token_at(*id) = text;
      spec_.types[*id] = TokenType::kNormal;
    }
    return {};
  }

  Result<> read_added_tokens() {
    for (const Json& entry : elements(member(tokenizer_, "added_tokens"))) {
      const auto id = as_count(member(entry, "id"));
      const auto text = as_text(member(entry, "content"));
      if (!id || *id > kTokenIdMax || !text) return corrupt("an added token has no id or no text");
      const bool special =
          as_bool(member(entry, "special")).value_or(false) || looks_special(*text);
      token_at(*id) = special ? *text : with_spaces(*text);
      spec_.types[*id] = special ? TokenType::kControl : TokenType::kUserDefined;
    }
    return {};
  }

  Result<> read_kind() {
    bool has_bytes = false;
    for_each_part(member(tokenizer_, "pre_tokenizer"), "pretokenizers", [&](const Json& part) {
      has_bytes = has_bytes || as_text(member(part, "type")) == "ByteLevel";
    });
    if (has_bytes) return read_byte_level();
    if (as_bool(member(model_, "byte_fallback")).value_or(false)) return read_sentence_piece();
    return unsupported("its tokens are neither bytes nor do they fall back to bytes");
  }

  Result<> read_byte_level() {
    spec_.model = "gpt2";
    HEARTH_TRY(spec_.pre, pre_tokenizer_name(tokenizer_, name_));
    bool known = true;
    for_each_part(member(tokenizer_, "normalizer"), "normalizers", [&](const Json& part) {
      known = known && as_text(member(part, "type")) == "NFC";
    });
    if (!known) return unsupported("it rewrites the text before it cuts it");
    for (const Json& merge : elements(member(model_, "merges"))) {
      HEARTH_TRY(auto pair, read_merge(merge));
      // A space inside a part would be taken for the separator; it is spelled as its letter.
      for (std::string* part : {&pair.first, &pair.second}) {
        for (std::size_t at = 0; (at = part->find(' ', at)) != part->npos;)
          part->replace(at, 1, "\u0120");
      }
      spec_.merges.push_back(fmt::format("{} {}", pair.first, pair.second));
    }
    return {};
  }

  // "left right" or ["left", "right"].
  Result<std::pair<std::string, std::string>> read_merge(const Json& merge) const {
    const Json::array_t& pair = elements(&merge);
    if (pair.size() == 2) {
      auto left = as_text(&pair[0]), right = as_text(&pair[1]);
      if (left && right) return std::pair(std::move(*left), std::move(*right));
    }
    if (const auto line = as_text(&merge)) {
      const std::size_t space = line->find(' ', 1);
      if (space != line->npos) return std::pair(line->substr(0, space), line->substr(space + 1));
    }
    return corrupt("a merge is not two tokens");
  }

  // Scores that order merges as the list does: the token that the first merge makes scores highest.
  // A token that no merge makes is a character or an added token, and its score decides nothing.
  Result<> read_sentence_piece() {
    spec_.model = "llama";
    HEARTH_TRY_VOID(read_spaces());
    std::unordered_map<std::string_view, std::size_t> ids;
    for (std::size_t id = 0; id < spec_.tokens.size(); ++id) {
      ids.emplace(spec_.tokens[id], id);
      if (is_byte_token(spec_.tokens[id])) spec_.types[id] = TokenType::kByte;
    }
    const Json::array_t& merges = elements(member(model_, "merges"));
    constexpr float kUnscored = -1.0F;
    spec_.scores.assign(spec_.tokens.size(), kUnscored);
    float rank = 0;
    for (const Json& merge : merges) {
      HEARTH_TRY(const auto pair, read_merge(merge));
      rank -= 1.0F;
      const auto found = ids.find(pair.first + pair.second);
      if (found == ids.end()) {
        return corrupt(fmt::format("the merge of '{}' and '{}' makes no token",
                                   pair.first.substr(0, 50), pair.second.substr(0, 50)));
      }
      float& score = spec_.scores[found->second];
      if (score == kUnscored) score = rank - 1.0F;  // Below kUnscored, so that it is set once.
    }
    for (float& score : spec_.scores) score = score == kUnscored ? rank - 2.0F : score;
    return {};
  }

  // GGUF marks the tokens that begin a word instead of those that continue one.
  Result<VocabSpec> run_word_piece() {
    constexpr std::string_view kContinues = "##";
    spec_.model = "bert";
    HEARTH_TRY_VOID(read_tokens());
    HEARTH_TRY_VOID(read_added_tokens());
    bool has_upper_case = false;
    for (std::size_t id = 0; id < spec_.tokens.size(); ++id) {
      std::string& token = spec_.tokens[id];
      const bool is_reserved = token.starts_with('[') && token.ends_with(']');  // "[unused0]"
      if (spec_.types[id] != TokenType::kNormal || is_reserved) continue;
      if (token.starts_with(kContinues) && token.size() > kContinues.size()) {
        token.erase(0, kContinues.size());
        continue;
      }
      has_upper_case = has_upper_case || std::ranges::any_of(token, [](char c) {
                         return c >= 'A' && c <= 'Z';
                       });
      token.insert(0, kSpaceMark);
    }
    HEARTH_TRY_VOID(check_bert_text(!has_upper_case));
    const auto unknown = as_text(member(model_, "unk_token"));
    if (unknown) mark_unknown(*unknown);
    return std::move(spec_);
  }

  // GGUF does not say how the text is brought into words: readers do as BERT does, and tell cased
  // vocabularies by their tokens.
  Result<> check_bert_text(bool is_uncased) const {
    const Json* const normalizer = member(tokenizer_, "normalizer");
    const auto flag = [&](std::string_view key, bool unsaid) {
      return as_bool(member(normalizer, key)).value_or(unsaid);
    };
    const bool is_bert =
        as_text(member(normalizer, "type")) == "BertNormalizer" && flag("clean_text", true) &&
        flag("handle_chinese_chars", true) && flag("lowercase", true) == is_uncased &&
        flag("strip_accents", is_uncased) == is_uncased &&
        as_text(member(member(tokenizer_, "pre_tokenizer"), "type")) == "BertPreTokenizer" &&
        as_text(member(model_, "continuing_subword_prefix")).value_or("##") == "##";
    if (is_bert) return {};
    return unsupported("it brings text into words in another way than BERT");
  }

  // How a space becomes "▁", and whether one is put in front.
  Result<> read_spaces() {
    bool known = true, replaces = false, prepends = false;
    for_each_part(member(tokenizer_, "normalizer"), "normalizers", [&](const Json& part) {
      const auto type = as_text(member(part, "type"));
      if (type == "Prepend" && as_text(member(part, "prepend")) == kSpaceMark) {
        prepends = true;
      } else if (type == "Replace" && as_text(member(member(part, "pattern"), "String")) == " " &&
                 as_text(member(part, "content")) == kSpaceMark) {
        replaces = true;
      } else {
        known = false;
      }
    });
    for_each_part(member(tokenizer_, "pre_tokenizer"), "pretokenizers", [&](const Json& part) {
      const auto type = as_text(member(part, "type"));
      if (type == "Metaspace" && as_text(member(part, "replacement")) == kSpaceMark) {
        replaces = true;
        const bool old = as_bool(member(part, "add_prefix_space")).value_or(true);
        const auto scheme = as_text(member(part, "prepend_scheme"));
        prepends = prepends || (scheme ? *scheme != "never" : old);
      } else if (type != "Split" || as_text(member(member(part, "pattern"), "String")) != " ") {
        known = false;  // A cut at spaces does nothing, since there are none left.
      }
    });
    if (!known || !replaces)
      return unsupported("it treats spaces in another way than SentencePiece");
    spec_.add_space_prefix = prepends;
    return {};
  }

  void mark_unknown(const std::string& token) {
    const auto found = std::ranges::find(spec_.tokens, token);
    if (found == spec_.tokens.end()) return;
    const auto id = static_cast<std::size_t>(found - spec_.tokens.begin());
    spec_.unk = static_cast<TokenId>(id);
    if (spec_.model == "llama") spec_.types[id] = TokenType::kUnknown;
  }

  const Json& tokenizer_;
  const Json* const model_;
  const std::string& name_;
  VocabSpec spec_;
};

}  // namespace

Result<text::VocabSpec> vocab_of_tokenizer_json(const Json& tokenizer, const std::string& name) {
  return VocabReader(tokenizer, name).run();
}

}  // namespace hearth::convert
