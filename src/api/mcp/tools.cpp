#include "api/mcp/tools.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "api/chat_fields.h"
#include "api/json_writer.h"

// What several schemas hold.
#define HEARTH_MCP_MODEL \
  "auto (the hub chooses), local (nothing may leave this machine), a model's name, or NAME@ADAPTER"
#define HEARTH_MCP_RECEIPT                                                                                    \
  R"({"type":"object","description":"Who answered, how fast, how sure, advised or not and why, what left )"   \
  R"(this machine, and what it cost.","properties":{"id":{"type":"string"},"model":{"type":"string"},)"       \
  R"("confidence":{"type":["number","null"]},"advice":{"type":"string"},"bytes_out":{"type":"integer"},)"     \
  R"("cost_usd_micro":{"type":"integer"}},"required":["id","model"]})"
#define HEARTH_MCP_SAMPLING                                                                                   \
  R"("system":{"type":"string","description":"System prompt."},)"                                             \
  R"("max_tokens":{"type":"integer","minimum":1,"maximum":2147483647,"description":"Most tokens of an answer."},)" \
  R"("temperature":{"type":"number","minimum":0,"maximum":2,"description":"0 is greedy."},)"                  \
  R"("seed":{"type":"integer","description":"The same seed gives the same text."})"

namespace hearth::api::mcp {
namespace {

constexpr auto kTools = std::to_array<ToolRow>({
    {.name = "ask",
     .title = "Ask a model",
     .description = "Answers a question with a model on the user's own machine. A model elsewhere is asked for advice only "
                    "where the user's settings allow it and it pays. The receipt says who answered, how sure the answer is, "
                    "what left the machine and what it cost. Nothing is remembered from call to call.",
     .input_schema = R"({"type":"object","properties":{"question":{"type":"string","minLength":1,"description":"The question, in full."},)"
                     R"("model":{"type":"string","default":"auto","description":")" HEARTH_MCP_MODEL R"("},)" HEARTH_MCP_SAMPLING
                     R"(,"advice":{"type":"string","enum":["never","auto","always"],"description":"Whether a model elsewhere may be asked: )"
                     R"(never, where the local answer is unsure, or in any case."}},"required":["question"],"additionalProperties":false})",
     .output_schema = R"({"type":"object","properties":{"answer":{"type":"string"},"finish_reason":{"type":"string","enum":["stop","length"]},)"
                      R"("receipt":)" HEARTH_MCP_RECEIPT R"(},"required":["answer","finish_reason","receipt"],"additionalProperties":false})",
     .reaches_out = true,
     .start = start_ask},
    {.name = "compare",
     .title = "Compare models",
     .description = "Asks several models the same question, one after the other, and returns their answers side by side with "
                    "their receipts. A model that fails has an error in place of its answer.",
     .input_schema = R"({"type":"object","properties":{"question":{"type":"string","minLength":1,"description":"The question, in full."},)"
                     R"("models":{"type":"array","minItems":2,"maxItems":8,"items":{"type":"string","minLength":1,"description":")" HEARTH_MCP_MODEL
                     R"("}},)" HEARTH_MCP_SAMPLING R"(},"required":["question","models"],"additionalProperties":false})",
     .output_schema = R"({"type":"object","properties":{"answers":{"type":"array","items":{"type":"object","properties":{)"
                      R"("model":{"type":"string"},"answer":{"type":"string"},"finish_reason":{"type":"string","enum":["stop","length"]},)"
                      R"("receipt":)" HEARTH_MCP_RECEIPT R"(,"error":{"type":"string"}},"required":["model"],"additionalProperties":false}}},)"
                      R"("required":["answers"],"additionalProperties":false})",
     .reaches_out = true,
     .start = start_compare},
    {.name = "list_kernels",
     .title = "List kernels",
     .description = "Lists the numerical kernels on this machine that run_kernel runs: names, signatures, and what they do.",
     .input_schema = R"({"type":"object","properties":{},"additionalProperties":false})",
     .output_schema = R"({"type":"object","properties":{"kernels":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},)"
                      R"("key":{"type":"string"},"origin":{"type":"string","enum":["built-in","verified"]},"signature":{"type":"string"},)"
                      R"("about":{"type":"string"}},"required":["name","key","origin","signature"],"additionalProperties":false}}},)"
                      R"("required":["kernels"],"additionalProperties":false})",
     .start = start_list_kernels},
    {.name = "run_kernel",
     .title = "Run a kernel",
     .description = "Runs a kernel of list_kernels on arrays, on the user's own machine: verified ones in a jail. By parameter of its "
                    "signature, an array is given as nested lists or as a shape and its numbers row by row, a scalar as a number; "
                    "sizes that no array says go under 'sizes'. What is read and not given is drawn from the seed.",
     .input_schema = R"({"type":"object","properties":{"name":{"type":"string","minLength":1,"description":"A name of list_kernels, or 8 digits and more of a key."},)"
                     R"("arrays":{"type":"object","description":"By parameter.","additionalProperties":{"anyOf":[{"type":"number"},)"
                     R"({"type":"string","enum":["NaN","Infinity","-Infinity"]},{"type":"array"},{"type":"object","properties":{)"
                     R"("dtype":{"type":"string"},"shape":{"type":"array","items":{"type":"integer","minimum":0}},"data":{"type":"array"}},)"
                     R"("required":["shape","data"]}]}},"sizes":{"type":"object","additionalProperties":{"type":"integer","minimum":0}},)"
                     R"("seed":{"type":"integer","minimum":0},"repeats":{"type":"integer","minimum":1,"maximum":1000},)"
                     R"("roof":{"type":"boolean","description":"Whether the machine's own limits are measured beside it."},)"
                     R"("outputs":{"type":"string","enum":["values","none"],"description":"none: their digest alone."}},)"
                     R"("required":["name"],"additionalProperties":false})",
     .output_schema = R"({"type":"object","properties":{"name":{"type":"string"},"key":{"type":"string"},"sizes":{"type":"object","additionalProperties":{"type":"integer"}},)"
                      R"("drawn":{"type":"array","items":{"type":"string"}},"results_sha256":{"type":"string"},"runs":{"type":"integer"},)"
                      R"("threads":{"type":"integer"},"flops":{"type":"integer"},"bytes":{"type":"integer"},"run_ns":{"type":["number","null"]},)"
                      R"("gflops":{"type":["number","null"]},"gb_s":{"type":["number","null"]},"outputs":{"type":"object","additionalProperties":)"
                      R"({"type":"object","properties":{"dtype":{"type":"string"},"shape":{"type":"array","items":{"type":"integer"}},)"
                      R"("data":{"type":"array","items":{"type":["number","string"]}}},"required":["dtype","shape","data"]}}},)"
                      R"("required":["name","key","sizes","drawn","results_sha256"]})",
     .start = start_run_kernel},
    {.name = "search_ledger",
     .title = "Search the ledger",
     .description = "Finds receipts of answers, the newest first: by model, by what came of advice, by time, or by a text in them. "
                    "With an id: that receipt and what left this machine for it: to whom, by which rule, at what cost. The words that "
                    "were sent are never returned.",
     .input_schema = R"({"type":"object","properties":{"id":{"type":"string","description":"A receipt's id."},)"
                     R"("text":{"type":"string","description":"A text that the receipt contains, in any case."},)"
                     R"("model":{"type":"string","description":"The model that answered."},)"
                     R"("advice":{"type":"string","enum":["not_needed","advised","not_configured","not_allowed","over_budget","unknown_price","not_worth_it","failed"]},)"
                     R"("since":{"type":"string","description":"A time: 2026-03-01T12:00:00Z."},)"
                     R"("limit":{"type":"integer","minimum":1,"maximum":100,"default":20}},"additionalProperties":false})",
     .output_schema = R"({"type":"object","properties":{"receipts":{"type":"array","items":)" HEARTH_MCP_RECEIPT
                      R"(},"egress":{"type":"array","description":"What left, row by row.","items":{"type":"object","properties":{"seq":{"type":"integer"},)"
                      R"("kind":{"type":"string"},"at":{"type":"string"},"provider":{"type":"string"},"url":{"type":"string"},"model":{"type":"string"},)"
                      R"("bytes_out":{"type":"integer"},"rule":{"type":"string"},"charged_usd_micro":{"type":"integer"},"outcome":{"type":"string"}},)"
                      R"("required":["seq","kind","at"]}}},"required":["receipts"],"additionalProperties":false})",
     .start = start_search_ledger},
});

}  // namespace

std::span<const ToolRow> tools() { return kTools; }

const ToolRow* find_tool(std::string_view name) {
  const auto* const row = std::ranges::find(kTools, name, &ToolRow::name);
  return row == kTools.end() ? nullptr : row;
}

std::string tools_json() {
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  for (const ToolRow& tool : kTools) {
    json.begin_object().key("name").value(tool.name).key("title").value(tool.title).key("description").value(tool.description);
    json.key("inputSchema").raw(tool.input_schema).key("outputSchema").raw(tool.output_schema);
    json.key("annotations").begin_object().key("title").value(tool.title).key("readOnlyHint").value(tool.reads_only);
    json.key("destructiveHint").value(false).key("idempotentHint").value(tool.reads_only && !tool.reaches_out);
    json.key("openWorldHint").value(tool.reaches_out).end_object().end_object();
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
