#include "model/vocab.h"

#include <fmt/format.h>

#include <array>
#include <limits>

namespace hearth::model {
namespace {

using gguf::GgufFile;
using text::TokenId;
using text::VocabSpec;

constexpr std::string_view kPrefix = "tokenizer.ggml.";

std::string key(std::string_view suffix) { return fmt::format("{}{}", kPrefix, suffix); }

std::unexpected<Error> corrupt(const GgufFile& file, std::string_view suffix,
                               std::string_view what) {
  return fail(Code::kCorrupt, fmt::format("'{}': key '{}' {}: convert the model again", file.name(),
                                          key(suffix), what));
}

struct IdRow {
  std::string_view suffix;
  std::optional<TokenId> VocabSpec::* slot;
};

constexpr auto kIds = std::to_array<IdRow>({
    {"bos_token_id", &VocabSpec::bos},
    {"eos_token_id", &VocabSpec::eos},
    {"eot_token_id", &VocabSpec::eot},
    {"unknown_token_id", &VocabSpec::unk},
    {"padding_token_id", &VocabSpec::pad},
    {"cls_token_id", &VocabSpec::cls},
    {"seperator_token_id", &VocabSpec::sep},  // As llama.cpp spelled it, and so everybody.
});

struct FlagRow {
  std::string_view suffix;
  std::optional<bool> VocabSpec::* slot;
};

constexpr auto kFlags = std::to_array<FlagRow>({
    {"add_bos_token", &VocabSpec::add_bos},
    {"add_eos_token", &VocabSpec::add_eos},
    {"add_space_prefix", &VocabSpec::add_space_prefix},
});

Result<> read_scores(const GgufFile& file, VocabSpec& spec) {
  const gguf::Value* const value = file.find(key("scores"));
  if (value == nullptr) return {};
  spec.scores.reserve(value->count());
  for (std::size_t i = 0; i < value->count(); ++i) {
    const auto score = value->f64_at(i);
    if (!score) return corrupt(file, "scores", "holds no numbers");
    spec.scores.push_back(static_cast<float>(*score));
  }
  return {};
}

Result<> read_types(const GgufFile& file, VocabSpec& spec) {
  const gguf::Value* const value = file.find(key("token_type"));
  if (value == nullptr) return {};
  spec.types.reserve(value->count());
  for (std::size_t i = 0; i < value->count(); ++i) {
    const auto type = value->u64_at(i);
    if (!type || *type > static_cast<std::uint64_t>(text::TokenType::kByte)) {
      return corrupt(file, "token_type", fmt::format("holds an unknown type at index {}", i));
    }
    // 0 is "undefined" in old files, and means a plain token.
    spec.types.push_back(*type == 0 ? text::TokenType::kNormal
                                    : static_cast<text::TokenType>(*type));
  }
  return {};
}

Result<> read_ids(const GgufFile& file, VocabSpec& spec) {
  for (const IdRow& row : kIds) {
    const gguf::Value* const value = file.find(key(row.suffix));
    if (value == nullptr) continue;
    const auto id = value->as_i64();
    if (!id) return corrupt(file, row.suffix, "holds no integer");
    // "No such token" is -1, of whichever width and sign the writer chose.
    if (*id == -1 || *id == std::numeric_limits<std::uint32_t>::max()) continue;
    if (*id < 0 || static_cast<std::uint64_t>(*id) >= spec.tokens.size()) {
      return corrupt(file, row.suffix,
                     fmt::format("is {}, the vocabulary has {} tokens", *id, spec.tokens.size()));
    }
    spec.*row.slot = static_cast<TokenId>(*id);
  }
  return {};
}

}  // namespace

Result<VocabSpec> vocab_from_gguf(const GgufFile& file) {
  VocabSpec spec;
  HEARTH_TRY(spec.model, file.get_string(key("model")));
  HEARTH_TRY(spec.pre, file.get_string(key("pre"), ""));
  HEARTH_TRY(const gguf::StringRange tokens, file.get_strings(key("tokens")));
  spec.tokens.assign(tokens.begin(), tokens.end());
  if (file.find(key("merges")) != nullptr) {
    HEARTH_TRY(const gguf::StringRange merges, file.get_strings(key("merges")));
    spec.merges.assign(merges.begin(), merges.end());
  }
  HEARTH_TRY_VOID(read_scores(file, spec));
  HEARTH_TRY_VOID(read_types(file, spec));
  HEARTH_TRY_VOID(read_ids(file, spec));
  for (const FlagRow& row : kFlags) {
    if (file.find(key(row.suffix)) == nullptr) continue;
    HEARTH_TRY(const bool flag, file.get_bool(key(row.suffix)));
    spec.*row.slot = flag;
  }
  return spec;
}

Result<std::unique_ptr<const text::Tokenizer>> load_tokenizer(const GgufFile& file) {
  HEARTH_TRY(VocabSpec spec, vocab_from_gguf(file));
  auto tokenizer = text::Tokenizer::create(std::move(spec));
  if (tokenizer) return tokenizer;
  Error error = std::move(tokenizer).error();
  error.message = fmt::format("'{}': {}", file.name(), error.message);
  return std::unexpected(std::move(error));
}

Result<std::unique_ptr<const text::Tokenizer>> load_tokenizer(const std::filesystem::path& path) {
  HEARTH_TRY(const GgufFile file, GgufFile::open(path));
  return load_tokenizer(file);
}

}  // namespace hearth::model
