#include "model/vocab.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "base/digest.h"
#include "base/file.h"
#include "gguf/manifest.h"
#include "gguf/vocab_part.h"

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

namespace {

using TokenizerResult = Result<std::unique_ptr<const text::Tokenizer>>;

// Where a file's vocabulary has its image, and what that is built from.
struct ImagePlace {
  std::filesystem::path image;
  std::filesystem::path source;  // Of a model of the store; else it is in the file itself.
};

std::optional<ImagePlace> image_place(const GgufFile& file, const std::filesystem::path& folder) {
  const gguf::Manifest* const manifest = file.manifest();
  if (manifest == nullptr && folder.empty()) return std::nullopt;
  const Sha256 key = manifest != nullptr ? manifest->head().vocab : gguf::vocab_key(file);
  ImagePlace place{.image = folder};
  if (manifest != nullptr) {
    const auto store = gguf::StorePaths::of_manifest(manifest->file_name());
    place = {.image = store.vocab(), .source = store.vocab_source(key)};
  }
  place.image /= fmt::format("{}.v{}", to_hex(key), text::kVocabImageVersion);
  return place;
}

TokenizerResult map_image(const std::filesystem::path& path) {
  HEARTH_TRY(MappedFile opened, MappedFile::open(path));
  const auto file = std::make_shared<const MappedFile>(std::move(opened));
  return text::Tokenizer::from_image(file->bytes(), file);
}

Result<std::vector<std::byte>> build_image(const GgufFile& file) {
  HEARTH_TRY(VocabSpec spec, vocab_from_gguf(file));
  auto image = text::Tokenizer::make_image(std::move(spec));
  if (image) return image;
  Error error = std::move(image).error();
  error.message = fmt::format("'{}': {}", file.name(), error.message);
  return std::unexpected(std::move(error));
}

}  // namespace

TokenizerResult load_tokenizer(const GgufFile& file, const std::filesystem::path& image_folder) {
  const std::optional<ImagePlace> place = image_place(file, image_folder);
  if (place) {
    if (auto mapped = map_image(place->image)) return mapped;
  }
  std::vector<std::byte> image;
  if (place && !place->source.empty()) {
    HEARTH_TRY(const GgufFile source, GgufFile::open(place->source));
    HEARTH_TRY(image, build_image(source));
  } else {
    HEARTH_TRY(image, build_image(file));
  }
  // Kept for the next time where that can be; it is faster then, and no other.
  const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(image));
  if (place) {
    (void)write_file_atomic(place->image,
                            {reinterpret_cast<const char*>(owner->data()), owner->size()});
  }
  return text::Tokenizer::from_image(*owner, owner);
}

TokenizerResult load_tokenizer(const std::filesystem::path& path) {
  HEARTH_TRY(const GgufFile file, GgufFile::open_model(path));
  return load_tokenizer(file);
}

}  // namespace hearth::model
