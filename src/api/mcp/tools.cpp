#include "api/mcp/tools.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "api/chat_fields.h"
#include "api/json_writer.h"
#include "base/embedded_file.h"

// What clients are told of each tool, in tools.json: by name its title, its description and its schemas.
HEARTH_EMBED_FILE(hearth_mcp_tools, HEARTH_MCP_TOOLS);

namespace hearth::api::mcp {
namespace {

constexpr auto kTools = std::to_array<ToolRow>({
    {.name = "ask", .reaches_out = true, .start = start_ask},
    {.name = "compare", .reaches_out = true, .start = start_compare},
    {.name = "list_kernels", .start = start_list_kernels},
    {.name = "run_kernel", .start = start_run_kernel},
    {.name = "search_ledger", .start = start_search_ledger},
});

dom::element named(dom::object object, std::string_view name) {
  dom::element value;
  HEARTH_CHECK(object[name].get(value) == simdjson::SUCCESS);
  return value;
}

// A value of the file, in which {"$shared": NAME} stands for what its "shared" has under that name.
void write_expanded(JsonWriter& json, dom::element value, dom::object shared) {
  dom::array array;
  if (value.get_array().get(array) == simdjson::SUCCESS) {
    json.begin_array();
    for (const dom::element each : array) write_expanded(json, each, shared);
    json.end_array();
    return;
  }
  dom::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) {
    json.raw(simdjson::minify(value));
    return;
  }
  std::string_view name;
  if (object["$shared"].get_string().get(name) == simdjson::SUCCESS) return write_expanded(json, named(shared, name), shared);
  json.begin_object();
  for (const auto field : object) {
    json.key(field.key);
    write_expanded(json, field.value, shared);
  }
  json.end_object();
}

void write_annotations(JsonWriter& json, const ToolRow& tool, dom::element title) {
  json.key("annotations").begin_object().key("title").raw(simdjson::minify(title)).key("readOnlyHint").value(true);
  json.key("destructiveHint").value(false).key("idempotentHint").value(!tool.reaches_out);
  json.key("openWorldHint").value(tool.reaches_out).end_object();
}

}  // namespace

std::span<const ToolRow> tools() { return kTools; }

const ToolRow* find_tool(std::string_view name) {
  const auto* const row = std::ranges::find(kTools, name, &ToolRow::name);
  return row == kTools.end() ? nullptr : row;
}

std::string tools_json() {
  dom::parser parser;
  dom::object file;
  const std::string_view text(reinterpret_cast<const char*>(hearth_mcp_tools_begin),
                              static_cast<std::size_t>(hearth_mcp_tools_end - hearth_mcp_tools_begin));
  HEARTH_CHECK(parser.parse(text).get_object().get(file) == simdjson::SUCCESS);
  dom::object shared;
  HEARTH_CHECK(named(file, "shared").get_object().get(shared) == simdjson::SUCCESS);
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  for (const ToolRow& tool : kTools) {
    dom::object words;
    HEARTH_CHECK(named(file, tool.name).get_object().get(words) == simdjson::SUCCESS);
    json.begin_object().key("name").value(tool.name);
    for (const auto field : words) {
      json.key(field.key);
      write_expanded(json, field.value, shared);
    }
    write_annotations(json, tool, named(words, "title"));
    json.end_object();
  }
  json.end_array();
  return out;
}

Parsed<> check_names(dom::object arguments, std::span<const std::string_view> names) {
  for (const auto field : arguments) {
    if (std::ranges::find(names, field.key) != names.end()) continue;
    return refuse("unknown_parameter", std::string(field.key.substr(0, 64)),
                  fmt::format("There is no argument '{}'; there are: {}.", field.key.substr(0, 64), fmt::join(names, ", ")));
  }
  return {};
}

Parsed<std::string> required_text(dom::object arguments, std::string_view name, std::size_t bytes_max) {
  const auto value = member(arguments, name);
  if (!value) return missing(name);
  HEARTH_TRY(const std::string_view text, as_string(name, *value));
  if (text.empty()) return missing(name);
  if (text.size() <= bytes_max) return std::string(text);
  return refuse("string_above_max_length", std::string(name),
                fmt::format("Invalid '{}': expected at most {} bytes, but got {} instead.", name, bytes_max, text.size()));
}

}  // namespace hearth::api::mcp
