#include "server/openapi.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "api/json_writer.h"
#include "base/ascii.h"

namespace hearth::server {
namespace {

using api::JsonWriter;

// Whose errors a tag's routes answer with.
struct TagRow {
  std::string_view tag, description, error;
};

constexpr auto kTags = std::to_array<TagRow>({
    {"openai", "OpenAI's API, and what Jina and Cohere added to it.", "Error"},
    {"anthropic", "Anthropic's messages.", "AnthropicError"},
    {"ollama", "Ollama's API.", "OllamaError"},
    {"llama.cpp", "What llama.cpp's router tells its clients.", "Error"},
    {"mcp", "The Model Context Protocol.", "RpcAnswer"},
    {"hearth", "Hearth's own.", "Error"},
    {"page", "The web page.", "Error"},
});

const TagRow& tag_row(std::string_view tag) { return *std::ranges::find(kTags, tag, &TagRow::tag); }

// "/v1/models/*" -> "/v1/models/{id}"
std::string path_of(const RouteRow& row) {
  std::string path(row.route.pattern);
  if (!row.parameter.empty()) path.replace(path.size() - 1, 1, fmt::format("{{{}}}", row.parameter));
  return path;
}

// "post_v1_chat_completions"
std::string operation_id(const RouteRow& row) {
  std::string id = lower(row.route.method);
  for (const char c : path_of(row)) {
    const bool is_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (is_word) {
      id += c;
    } else if (!id.ends_with('_')) {
      id += '_';
    }
  }
  while (id.ends_with('_')) id.pop_back();
  return id;
}

void write_ref(JsonWriter& json, std::string_view kind, std::string_view name) {
  json.begin_object().key("$ref").value(fmt::format("#/components/{}/{}", kind, name)).end_object();
}

void write_content(JsonWriter& json, std::string_view media, std::string_view schema) {
  json.key(media).begin_object();
  if (!schema.empty()) {
    json.key("schema");
    write_ref(json, "schemas", schema);
  }
  json.end_object();
}

void write_parameters(JsonWriter& json, const RouteRow& row) {
  if (row.parameter.empty() && row.queries.empty()) return;
  json.key("parameters").begin_array();
  if (!row.parameter.empty()) {
    json.begin_object().key("name").value(row.parameter).key("in").value("path").key("required").value(true);
    json.key("schema").begin_object().key("type").value("string").end_object().end_object();
  }
  std::string_view rest = row.queries;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    write_ref(json, "parameters", rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  json.end_array();
}

void write_responses(JsonWriter& json, const RouteRow& row) {
  json.key("responses").begin_object();
  const bool is_empty = row.route.id == kMcpEnd;
  json.key(is_empty ? "204" : "200").begin_object().key("description").value(is_empty ? "Done." : "The answer.");
  if (!is_empty) {
    json.key("content").begin_object();
    write_content(json, row.media, row.gives);
    if (!row.streams.empty()) write_content(json, row.streams, "");
    json.end_object();
  }
  json.end_object();
  if (row.tag == "mcp" && !is_empty) json.key("202").begin_object().key("description").value("A notification was taken.").end_object();
  json.key("default").begin_object().key("description").value("An error.").key("content").begin_object();
  write_content(json, "application/json", tag_row(row.tag).error);
  json.end_object().end_object().end_object();
}

void write_operation(JsonWriter& json, const RouteRow& row) {
  json.key(lower(row.route.method)).begin_object();
  json.key("operationId").value(operation_id(row)).key("tags").begin_array().value(row.tag).end_array();
  json.key("summary").value(row.summary);
  write_parameters(json, row);
  if (!row.takes.empty()) {
    json.key("requestBody").begin_object().key("required").value(true).key("content").begin_object();
    write_content(json, "application/json", row.takes);
    json.end_object().end_object();
  }
  write_responses(json, row);
  json.end_object();
}

// A path's methods stand together, whatever the rows' order.
void write_paths(JsonWriter& json) {
  json.key("paths").begin_object();
  std::vector<std::string_view> written;
  for (const RouteRow& row : kRouteRows) {
    if (std::ranges::find(written, row.route.pattern) != written.end()) continue;
    written.push_back(row.route.pattern);
    json.key(path_of(row)).begin_object();
    for (const RouteRow& other : kRouteRows) {
      if (other.route.pattern == row.route.pattern) write_operation(json, other);
    }
    json.end_object();
  }
  json.end_object();
}

}  // namespace

std::string render_openapi(std::string_view version) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("openapi").value("3.1.0").key("info").begin_object();
  json.key("title").value("Hearth").key("version").value(version);
  json.key("summary").value("Answers with models on this machine, behind the APIs that clients speak.").end_object();
  json.key("servers").begin_array().begin_object().key("url").value("/").end_object().end_array();
  json.key("security").begin_array().begin_object().end_object();
  for (const char* const scheme : {"bearer", "key"}) json.begin_object().key(scheme).begin_array().end_array().end_object();
  json.end_array().key("tags").begin_array();
  for (const TagRow& row : kTags) json.begin_object().key("name").value(row.tag).key("description").value(row.description).end_object();
  json.end_array();
  write_paths(json);
  json.key("components").raw(openapi_components()).end_object();
  return out;
}

}  // namespace hearth::server
