// list_kernels and run_kernel: the hub's kernel desk, in the words of its HTTP API (api/hearth/kernel_run.h).
#include <array>

#include "api/hearth/kernel_run.h"
#include "api/json_writer.h"
#include "api/mcp/tools.h"

namespace hearth::api::mcp {
namespace {

constexpr const char* kNoKernels = "This hub has no kernels.";
constexpr auto kRunNames = std::to_array<std::string_view>({"name", "device", "arrays", "sizes", "seed", "repeats", "roof", "outputs"});

}  // namespace

void start_list_kernels(const ToolHost& host, dom::object arguments, std::shared_ptr<ToolRun> run) {
  if (const auto named = check_names(arguments, {}); !named) return run->fail(named.error().message);
  if (host.kernels == nullptr) return run->fail(kNoKernels);
  const auto kernels = host.kernels->list();
  if (!kernels) return run->fail(kernels.error().message);
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("kernels").begin_array();
  for (const hub::KernelEntry& entry : *kernels) {
    const compute::Contract& contract = *entry.kernel.contract;
    json.begin_object().key("name").value(entry.kernel.name()).key("key").value(to_hex(entry.kernel.key));
    json.key("origin").value(entry.kernel.builtin != nullptr ? "built-in" : "verified");
    json.key("signature").value(contract.signature.text()).key("about").value(contract.prose).end_object();
  }
  json.end_array().key("devices").begin_array();
  for (const hub::DeviceEntry& device : host.kernels->look_for_devices()) {
    if (!device.found) continue;
    json.begin_object().key("name").value(device.row->name).key("device").value(device.found->name);
    json.key("kernels").begin_array();
    for (const std::string_view name : compute::device_builtins()) json.value(name);
    json.end_array().end_object();
  }
  json.end_array().end_object();
  run->succeed(out);
}

void start_run_kernel(const ToolHost& host, dom::object arguments, std::shared_ptr<ToolRun> run) {
  if (const auto named = check_names(arguments, kRunNames); !named) return run->fail(named.error().message);
  if (host.kernels == nullptr) return run->fail(kNoKernels);
  const std::string body(simdjson::minify(arguments));
  const auto answer = hearth::run_kernel(*host.kernels, body, [run] { return !run->is_cancelled(); });
  if (!answer) return run->fail(answer.error().message);
  run->succeed(*answer);
}

}  // namespace hearth::api::mcp
