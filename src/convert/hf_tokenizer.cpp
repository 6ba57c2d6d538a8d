#include "convert/hf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"

namespace hearth::convert {
namespace {

using text::TokenId;
using text::VocabSpec;

constexpr std::size_t kTokenizerBytesMax = std::size_t{128} << 20;
constexpr std::size_t kSmallFileBytesMax = std::size_t{16} << 20;

// An empty object for a file that is not there.
Result<Json> read_optional_json(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return Json::object();
  return read_json(path, kSmallFileBytesMax);
}

// "<s>" of "<s>" or {"content": "<s>", ...}.
std::optional<std::string> token_text(const Json* value) {
  if (auto text = as_text(value)) return text;
  return as_text(member(value, "content"));
}

std::optional<TokenId> id_of(const VocabSpec& spec, const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  const auto found = std::ranges::find(spec.tokens, *text);
  if (found == spec.tokens.end()) return std::nullopt;
  return static_cast<TokenId>(found - spec.tokens.begin());
}

// The first of several, where there is a list.
std::optional<TokenId> id_in_config(const VocabSpec& spec, const Json& config,
                                    std::string_view key) {
  const Json* value = member(config, key);
  if (value == nullptr) value = member(member(config, "text_config"), key);
  if (!elements(value).empty()) value = &elements(value).front();
  const auto id = as_count(value);
  if (!id || *id >= spec.tokens.size()) return std::nullopt;
  return static_cast<TokenId>(*id);
}

struct SpecialRow {
  std::string_view token_key, id_key;
  std::optional<TokenId> VocabSpec::* slot;
  std::string_view gguf;
};
constexpr SpecialRow kSpecials[] = {
    {"bos_token", "bos_token_id", &VocabSpec::bos, "bos_token_id"},
    {"eos_token", "eos_token_id", &VocabSpec::eos, "eos_token_id"},
    {"unk_token", "unk_token_id", &VocabSpec::unk, "unknown_token_id"},
    {"pad_token", "pad_token_id", &VocabSpec::pad, "padding_token_id"},
    {"cls_token", "cls_token_id", &VocabSpec::cls, "cls_token_id"},
    {"sep_token", "sep_token_id", &VocabSpec::sep, "seperator_token_id"},  // GGUF's spelling.
};

// Whether the post-processor's template starts (or ends) with the token `id`.
bool template_has(const Json* processor, const VocabSpec& spec, std::optional<TokenId> id,
                  bool first) {
  if (processor == nullptr || !id) return false;
  for (const Json& part : elements(member(processor, "processors"))) {
    if (template_has(&part, spec, id, first)) return true;
  }
  const Json::array_t& single = elements(member(processor, "single"));
  if (single.size() < 2) return false;
  const Json& end = first ? single.front() : single.back();
  return id_of(spec, as_text(member(member(end, "SpecialToken"), "id"))) == id;
}

void read_special_tokens(const Json& tokenizer, const Json& tokenizer_config, const Json& config,
                         VocabSpec& spec) {
  for (const SpecialRow& row : kSpecials) {
    auto id = id_of(spec, token_text(member(tokenizer_config, row.token_key)));
    if (!id) id = id_in_config(spec, config, row.id_key);
    if (id) spec.*row.slot = id;
  }
  if (spec.model == "bert") {
    spec.bos = spec.cls;
    spec.eos = spec.sep;
  }
  const Json* const processor = member(tokenizer, "post_processor");
  spec.add_bos = as_bool(member(tokenizer_config, "add_bos_token"))
                     .value_or(template_has(processor, spec, spec.bos, true));
  spec.add_eos = as_bool(member(tokenizer_config, "add_eos_token"))
                     .value_or(template_has(processor, spec, spec.eos, false));
}

// Vocabularies are shorter than the embedding where that was rounded up, and longer where tokens
// were added that the model has never seen.
void fit_to_rows(VocabSpec& spec, std::uint32_t n_rows) {
  for (std::size_t id = spec.tokens.size(); id < n_rows; ++id) {
    spec.tokens.push_back(fmt::format("[PAD{}]", id));
  }
  spec.tokens.resize(n_rows);
  spec.types.resize(n_rows, text::TokenType::kUnused);
  if (!spec.scores.empty()) spec.scores.resize(n_rows, -1e6F);
  for (const SpecialRow& row : kSpecials) {
    auto& id = spec.*row.slot;
    if (id && static_cast<std::uint32_t>(*id) >= n_rows) id.reset();
  }
}

Result<std::string> read_chat_template(const std::filesystem::path& folder,
                                       const Json& tokenizer_config) {
  std::error_code error;
  if (std::filesystem::exists(folder / "chat_template.jinja", error)) {
    return read_file(folder / "chat_template.jinja", kSmallFileBytesMax);
  }
  HEARTH_TRY(const Json own_file, read_optional_json(folder / "chat_template.json"));
  if (auto text = as_text(member(own_file, "chat_template"))) return *std::move(text);
  const Json* const said = member(tokenizer_config, "chat_template");
  for (const Json& entry : elements(said)) {
    if (as_text(member(entry, "name")) != "default") continue;
    return as_text(member(entry, "template")).value_or("");
  }
  return as_text(said).value_or("");
}

void write_vocab(const VocabSpec& spec, gguf::GgufWriter& out) {
  const auto key = [](std::string_view suffix) { return fmt::format("tokenizer.ggml.{}", suffix); };
  out.set_string(key("model"), spec.model);
  out.set_string(key("pre"), spec.model == "gpt2" ? spec.pre : "default");
  out.set_strings(key("tokens"), spec.tokens);
  std::vector<std::int32_t> types;
  for (const text::TokenType type : spec.types) types.push_back(static_cast<std::int32_t>(type));
  out.set_i32s(key("token_type"), types);
  if (!spec.scores.empty()) out.set_f32s(key("scores"), spec.scores);
  if (!spec.merges.empty()) out.set_strings(key("merges"), spec.merges);
  for (const SpecialRow& row : kSpecials) {
    if (const auto id = spec.*row.slot) out.set_u32(key(row.gguf), static_cast<std::uint32_t>(*id));
  }
  out.set_bool(key("add_bos_token"), spec.add_bos.value_or(false));
  out.set_bool(key("add_eos_token"), spec.add_eos.value_or(false));
  if (spec.add_space_prefix) out.set_bool(key("add_space_prefix"), *spec.add_space_prefix);
}

Result<> write_sampling(const std::filesystem::path& folder, gguf::GgufWriter& out) {
  HEARTH_TRY(const Json generation, read_optional_json(folder / "generation_config.json"));
  if (!as_bool(member(generation, "do_sample")).value_or(false)) return {};
  constexpr std::pair<std::string_view, std::string_view> kFloats[] = {
      {"temperature", "general.sampling.temp"}, {"top_p", "general.sampling.top_p"}};
  for (const auto& [hf, gguf] : kFloats) {
    if (const auto number = as_number(member(generation, hf))) {
      out.set_f32(gguf, static_cast<float>(*number));
    }
  }
  if (const auto top_k = as_count32(member(generation, "top_k")); top_k && *top_k < (1U << 31)) {
    out.set_i32("general.sampling.top_k", static_cast<std::int32_t>(*top_k));
  }
  return {};
}

}  // namespace

Result<> write_hf_tokenizer(const std::filesystem::path& folder, const Json& model_config,
                            std::uint32_t n_rows, gguf::GgufWriter& out) {
  const std::string path = (folder / "tokenizer.json").string();
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return fail(
        Code::kNotFound,
        fmt::format("'{}' has no tokenizer.json, from which the vocabulary is read: save it with "
                    "the model's tokenizer (AutoTokenizer.from_pretrained(...).save_pretrained)",
                    folder.string()));
  }
  HEARTH_TRY(const Json tokenizer, read_json(path, kTokenizerBytesMax));
  HEARTH_TRY(const Json tokenizer_config, read_optional_json(folder / "tokenizer_config.json"));
  HEARTH_TRY(VocabSpec spec, vocab_of_tokenizer_json(tokenizer, path));
  read_special_tokens(tokenizer, tokenizer_config, model_config, spec);
  fit_to_rows(spec, n_rows);
  // What the loader will refuse is refused before an hour's work, not after.
  if (const auto made = text::Tokenizer::create(spec); !made) {
    return fail(made.error().code, fmt::format("'{}': {}", path, made.error().message));
  }
  write_vocab(spec, out);
  HEARTH_TRY(const std::string chat_template, read_chat_template(folder, tokenizer_config));
  if (!chat_template.empty()) out.set_string("tokenizer.chat_template", chat_template);
  return write_sampling(folder, out);
}

}  // namespace hearth::convert
