// `hearth kernel list`, `show`, `drop`: what was verified on this machine.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/kernels.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "compute/receipt.h"

namespace hearth::cli {
namespace {

using Json = nlohmann::ordered_json;

Json devices_json(const std::vector<hub::DeviceEntry>& devices) {
  Json list = Json::array();
  for (const hub::DeviceEntry& device : devices) {
    list.push_back({{"name", device.row->name},
                    {"works", device.found.has_value()},
                    {"device", device.found ? Json(device.found->name) : Json()},
                    {"reason", device.found ? Json() : Json(device.found.error().message)}});
  }
  return list;
}

// "cpu, opencl": what runs it here.
std::string places_of(const compute::Builtin& kernel,
                      const std::vector<hub::DeviceEntry>& devices) {
  std::string places(compute::kProcessor);
  for (const hub::DeviceEntry& device : devices) {
    if (device.found && compute::runs_on_devices(kernel.name))
      places += fmt::format(", {}", device.row->name);
  }
  return places;
}

Result<> list_built_in(const Context& context) {
  const auto devices = look_for_devices(context.config);
  Json list = Json::array();
  std::vector<std::vector<std::string>> table = {{"KERNEL", "RUNS ON", "SIGNATURE", "WHAT"}};
  for (const compute::Builtin& kernel : compute::builtins()) {
    const std::string places = places_of(kernel, devices);
    list.push_back({{"name", kernel.name},
                    {"signature", signature_of(kernel).text()},
                    {"about", kernel.about},
                    {"runs_on", places}});
    table.push_back(
        {std::string(kernel.name), places, signature_of(kernel).text(), std::string(kernel.about)});
  }
  if (context.json) {
    print_out(Json{{"kernels", list}, {"devices", devices_json(devices)}}.dump() + "\n");
    return {};
  }
  print_out(format_table(table));
  for (const hub::DeviceEntry& device : devices) {
    print_note(fmt::format(
        "{}: {}", device.row->name,
        device.found ? device.found->name : "not here: " + device.found.error().message));
  }
  return {};
}

}  // namespace

Result<> kernel_list(const Context& context, const KernelListOptions& options) {
  if (options.built_in) return list_built_in(context);
  HEARTH_TRY(const auto shelf, open_kernel_shelf());
  HEARTH_TRY(const auto kernels, shelf->all());
  if (context.json) {
    Json list = Json::array();
    for (const auto& kernel : kernels) list.push_back(Json::parse(kernel_json(*kernel)));
    print_out(list.dump() + "\n");
    return {};
  }
  std::vector<std::vector<std::string>> table = {
      {"KERNEL", "KEY", "SIGNATURE", "DETERMINISM", "ROOF", "VERIFIED (UTC)"}};
  for (const auto& kernel : kernels) {
    const auto statement = compute::read_receipt(kernel->receipt);
    const std::string roof = statement && statement->speed.roof_percent > 0
                                 ? fmt::format("{:.0f} %", statement->speed.roof_percent)
                                 : "";
    table.push_back({kernel->contract.name, to_hex(kernel->key).substr(0, 12),
                     kernel->contract.signature.text(), statement ? statement->determinism : "",
                     roof, statement ? statement->verified_at.substr(0, 19) : ""});
  }
  print_out(format_table(table));
  return {};
}

Result<> kernel_show(const Context& context, const KernelNameOptions& options) {
  HEARTH_TRY(const auto shelf, open_kernel_shelf());
  HEARTH_TRY(const auto kernel, shelf->find_named(options.name));
  HEARTH_TRY(const compute::Statement statement, compute::read_receipt(kernel->receipt));
  if (context.json) {
    Json out = Json::parse(kernel_json(*kernel));
    out["contract"] = compute::to_toml(kernel->contract);
    out["source"] = kernel->source;
    print_out(out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    return {};
  }
  print_out(fmt::format("{}\n\n# Contract\n{}\n# Kernel\n{}\n# Receipt (its signature fits)\n{}\n",
                        kernel_line(*kernel), compute::to_toml(kernel->contract), kernel->source,
                        Json::parse(statement.json).dump(2)));
  return {};
}

Result<> kernel_drop(const Context& context, const KernelNameOptions& options) {
  HEARTH_TRY(const auto shelf, open_kernel_shelf());
  HEARTH_TRY(const auto kernel, shelf->find_named(options.name));
  HEARTH_TRY_VOID(shelf->drop(kernel->key));
  print_out(context.json ? Json{{"dropped", to_hex(kernel->key)}}.dump() + "\n"
                         : fmt::format("dropped {} ({})\n", kernel->contract.name,
                                       to_hex(kernel->key).substr(0, 12)));
  return {};
}

}  // namespace hearth::cli
