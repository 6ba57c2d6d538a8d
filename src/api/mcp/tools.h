// The tools that MCP clients are offered: a row each, and what clients are told of it in tools.json.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "api/mcp/tool_run.h"
#include "api/request_values.h"
#include "hub/hub.h"
#include "hub/kernels/kernel_desk.h"
#include "ledger/ledger.h"

namespace hearth::api::mcp {

// What the tools use; all of it outlives every call.
struct ToolHost {
  hub::Hub& hub;
  const ledger::Ledger* ledger = nullptr;  // Null: nothing is kept, and nothing found.
  hub::KernelDesk* kernels = nullptr;      // Null: there are none.
  bool has_consent_desk = true;  // Somebody can agree to a call at /hearth/v1/consents; else each is refused.
  // Runs a task soon, on a thread that may wait; false where it can't.
  std::function<bool(std::function<void()>)> submit;
};

// None of them changes anything that the user has.
struct ToolRow {
  std::string_view name;
  bool reaches_out = false;  // It may ask somebody elsewhere, as far as the policy lets it.
  // Begins a call, which ends at `run`.  `arguments` is gone when it returns.  May wait.
  void (*start)(const ToolHost& host, dom::object arguments, std::shared_ptr<ToolRun> run);
};

std::span<const ToolRow> tools();
const ToolRow* find_tool(std::string_view name);  // Null: none of that name.
// [{"name":..., "inputSchema":{...}, ...}, ...], in one line; the words and schemas (JSON Schema 2020-12) are tools.json's.
std::string tools_json();

// Each in the file of its name.
void start_ask(const ToolHost& host, dom::object arguments, std::shared_ptr<ToolRun> run);
void start_compare(const ToolHost& host, dom::object arguments, std::shared_ptr<ToolRun> run);
void start_list_kernels(const ToolHost& host, dom::object arguments, std::shared_ptr<ToolRun> run);
void start_run_kernel(const ToolHost& host, dom::object arguments, std::shared_ptr<ToolRun> run);
void start_search_ledger(const ToolHost& host, dom::object arguments, std::shared_ptr<ToolRun> run);

// Refuses arguments of other names: a model that misspells one should hear of it.
Parsed<> check_names(dom::object arguments, std::span<const std::string_view> names);
// A text that must be there.
Parsed<std::string> required_text(dom::object arguments, std::string_view name, std::size_t bytes_max);

}  // namespace hearth::api::mcp
