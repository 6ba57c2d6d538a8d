#include "api/ollama/models.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "api/chat_fields.h"
#include "api/json_writer.h"
#include "base/clock.h"
#include "base/digest.h"

namespace hearth::api::ollama {
namespace {

constexpr std::string_view kLatest = ":latest";

// When the model's file was written; the epoch for models that are no file.
std::string modified_at(const hub::ModelEntry& model) {
  std::error_code error;
  const auto time = std::filesystem::last_write_time(model.path, error);
  if (error) return format_iso8601(0);
  const auto since = std::chrono::file_clock::to_sys(time).time_since_epoch();
  return format_iso8601(std::chrono::duration_cast<std::chrono::microseconds>(since).count());
}

std::string digest_of(const hub::ModelEntry& model) {
  return to_hex(sha256(fmt::format("{}\n{}\n{}", model.name, model.path, model.bytes)));
}

void write_details(JsonWriter& json, const hub::ModelEntry& model) {
  json.begin_object().key("parent_model").value("").key("format").value("gguf");
  json.key("family").value(model.architecture).key("families").begin_array().value(model.architecture).end_array();
  json.key("parameter_size").value("").key("quantization_level").value(model.quantization).end_object();
}

void write_model(JsonWriter& json, const hub::ModelEntry& model) {
  json.key("name").value(model.name).key("model").value(model.name);
  json.key("size").value(model.bytes).key("digest").value(digest_of(model));
  json.key("details");
  write_details(json, model);
}

std::string_view without_latest(std::string_view name) {
  if (name.ends_with(kLatest)) name.remove_suffix(kLatest.size());
  return name;
}

}  // namespace

std::string render_tags(std::span<const hub::ModelEntry> models) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("models").begin_array();
  for (const hub::ModelEntry& model : models) {
    json.begin_object();
    write_model(json, model);
    json.key("modified_at").value(modified_at(model)).end_object();
  }
  json.end_array().end_object();
  return out;
}

// Memory has no end of keeping here: what is loaded stays until others need its place, which
// clients read from a date far away.
std::string render_loaded(std::span<const hub::ModelEntry> models, const hub::MemoryReport& memory) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("models").begin_array();
  for (const hub::ModelEntry& model : models) {
    const auto found = std::ranges::find(memory.models, model.name, &hub::ModelMemory::name);
    if (!model.loaded || found == memory.models.end()) continue;
    json.begin_object();
    write_model(json, model);
    json.key("expires_at").value("2318-01-01T00:00:00Z").key("size_vram").value(0);
    json.key("context_length").value(model.n_context).end_object();
  }
  json.end_array().end_object();
  return out;
}

std::string render_show(const hub::ModelEntry& model) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("license").value("").key("modelfile").value("").key("parameters").value("");
  json.key("template").value("").key("details");
  write_details(json, model);
  json.key("model_info").begin_object().key("general.architecture").value(model.architecture);
  if (model.n_context > 0) json.key(model.architecture + ".context_length").value(model.n_context);
  json.end_object().key("capabilities").begin_array().value("completion").value("tools").end_array();
  json.key("modified_at").value(modified_at(model)).end_object();
  return out;
}

std::string render_version(std::string_view version) {
  std::string out;
  JsonWriter(out).begin_object().key("version").value(version).end_object();
  return out;
}

Parsed<std::string> named_model(dom::object body) {
  for (const char* const name : {"model", "name"}) {
    const auto value = member(body, name);
    if (!value) continue;
    HEARTH_TRY(const std::string_view text, as_string(name, *value));
    return std::string(text);
  }
  return missing("model");
}

std::expected<std::string, ApiError> parse_show(std::string_view body) {
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  return named_model(object);
}

const hub::ModelEntry* find_model(std::span<const hub::ModelEntry> models, std::string_view name) {
  const auto exact = std::ranges::find(models, name, &hub::ModelEntry::name);
  if (exact != models.end()) return &*exact;
  const auto alike = std::ranges::find_if(models, [&](const hub::ModelEntry& model) {
    return without_latest(model.name) == without_latest(name);
  });
  return alike == models.end() ? nullptr : &*alike;
}

}  // namespace hearth::api::ollama
