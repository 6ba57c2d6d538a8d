#include "api/hearth/kernels.h"

#include <fmt/format.h>

#include "api/json_writer.h"
#include "compute/receipt.h"
#include "device/cpu.h"

namespace hearth::api::hearth {
namespace {

void write_speed(JsonWriter& json, const compute::Speed& speed) {
  json.begin_object().key("sizes").value(speed.sizes).key("run_ns").value(speed.run_ns);
  json.key("gflops").value(speed.gflops).key("gb_s").value(speed.gb_s);
  json.key("roof_gflops").value(speed.roof_gflops).key("roof_gb_s").value(speed.roof_gb_s);
  json.key("roof_percent").value(speed.roof_percent).end_object();
}

void write_last_speed(JsonWriter& json, const hub::KernelEntry& entry) {
  json.key("speed");
  if (entry.receipt && entry.receipt->speed.run_ns > 0) {
    write_speed(json, entry.receipt->speed);
  } else if (entry.last_run) {
    write_speed(json, *entry.last_run);
  } else {
    json.null();
  }
}

std::string_view device_of(const hub::KernelEntry& entry) {
  if (entry.kernel.device != nullptr) return entry.kernel.device->name;
  const bool is_elsewhere = compute::is_for_device(entry.kernel.contract->language) && entry.receipt;
  return is_elsewhere ? std::string_view(entry.receipt->device) : compute::kProcessor;
}

void write_terms(JsonWriter& json, const hub::KernelEntry& entry) {
  const compute::Contract& contract = *entry.kernel.contract;
  const bool is_builtin = entry.kernel.builtin != nullptr;
  json.key("name").value(entry.kernel.name()).key("key").value(to_hex(entry.kernel.key));
  json.key("origin").value(is_builtin ? "built-in" : "verified").key("about").value(contract.prose);
  json.key("signature").value(contract.signature.text());
  json.key("language").value(compute::language_name(contract.language)).key("device");
  json.value(device_of(entry));
  json.key("threads");
  if (is_builtin) {
    json.null();  // As many as there are.
  } else {
    json.value(contract.n_threads);
  }
  // On a device what holds for all of them: two runs have the same bits.
  const auto level = entry.kernel.device != nullptr ? 0 : static_cast<std::size_t>(contract.determinism);
  json.key("determinism").value(entry.receipt ? std::string_view(entry.receipt->determinism)
                                              : compute::kDeterminismNames[level]);
  json.key("flops").value_or_null(contract.flops ? contract.flops->text() : "");
  json.key("bytes").value_or_null(contract.bytes ? contract.bytes->text() : "");
}

void write_entry(JsonWriter& json, const hub::KernelEntry& entry) {
  write_terms(json, entry);
  json.key("errors");
  if (entry.receipt) {
    json.begin_object().key("max_units").value(entry.receipt->max_units);
    json.key("tolerance_units").value(entry.kernel.contract->tolerance_ulps.text()).end_object();
  } else {
    json.null();
  }
  write_last_speed(json, entry);
  json.key("verified_at").value_or_null(entry.receipt ? entry.receipt->verified_at : "");
  json.key("seed");
  if (entry.receipt) {
    json.value(fmt::format("{}", entry.receipt->seed));  // 64 bits: more than a double's digits.
  } else {
    json.null();
  }
  json.key("compiler").value_or_null(entry.receipt ? entry.receipt->compiler : "");
}

void write_whole(JsonWriter& json, const hub::KernelEntry& entry) {
  write_entry(json, entry);
  const compute::Kernel* const verified = entry.kernel.verified.get();
  json.key("contract").value_or_null(verified != nullptr ? compute::to_toml(verified->contract) : "");
  json.key("source").value_or_null(verified != nullptr ? verified->source : "");
  json.key("receipt");
  if (entry.receipt) {
    json.raw(verified->receipt);
  } else {
    json.null();
  }
}

void write_device(JsonWriter& json, const hub::DeviceEntry& device) {
  const bool works = device.found.has_value();
  json.begin_object().key("name").value(device.row->name).key("about").value(device.row->about);
  json.key("works").value(works).key("device").value_or_null(works ? device.found->name : "");
  json.key("is_processor").value(works && device.found->is_host);
  json.key("reason").value_or_null(works ? "" : device.found.error().message);
  json.key("kernels").begin_array();
  for (const std::string_view name : compute::device_builtins()) json.value(name);
  json.end_array().end_object();
}

Parsed<std::string_view> text_up_to(std::size_t bytes_max, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::string_view text, as_string(param, value));
  if (text.size() <= bytes_max) return text;
  return refuse("string_above_max_length", std::string(param),
                fmt::format("'{}' has {} bytes, and at most {} are read.", param, text.size(), bytes_max));
}

Parsed<> set_prose(KernelAsk& ask, std::string_view param, dom::element value) {
  HEARTH_TRY(ask.request.prose, text_up_to(kProseBytesMax, param, value));
  return {};
}

Parsed<> set_contract(KernelAsk& ask, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::string_view text, text_up_to(compute::kContractBytesMax, param, value));
  if (text.empty()) return {};
  auto contract = compute::parse_contract(text, "contract");
  if (!contract) return refuse("invalid_value", std::string(param), contract.error().message);
  ask.request.contract = *std::move(contract);
  return {};
}

Parsed<> set_rounds(KernelAsk& ask, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::int64_t n, as_integer(param, value, 1, kRoundsMax));
  ask.rounds = static_cast<std::uint32_t>(n);
  return {};
}

constexpr auto kAskFields = std::to_array<Field<KernelAsk>>({{"prose", set_prose},
                                                             {"contract", set_contract},
                                                             {"rounds", set_rounds},
                                                             {"stream", set_bool<&KernelAsk::stream>}});

// The contract's own, if it names one.
Parsed<> set_language(hub::KernelRequest& request, dom::object object) {
  std::string named;
  HEARTH_TRY_VOID(set_optional_text(named, "", object, "language"));
  const auto language = hub::language_for(request.contract, named);
  if (!language) return refuse("invalid_value", "language", language.error().message);
  request.language = *language;
  return {};
}

}  // namespace

std::string render_kernels(std::span<const hub::KernelEntry> kernels,
                           const hub::MachineRoofs& roofs, const Result<>& jail,
                           std::span<const hub::DeviceEntry> devices) {
  const device::CpuInfo cpu = device::cpu_info();
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("kernels").begin_array();
  for (const hub::KernelEntry& entry : kernels) {
    json.begin_object();
    write_entry(json, entry);
    json.end_object();
  }
  json.end_array().key("machine").begin_object();
  json.key("cpu").value(cpu.model_name).key("isa").value(cpu.kernels).key("threads").value(roofs.n_threads);
  json.key("roof_gflops_f32").value(roofs.gflops_f32).key("roof_gflops_f64").value(roofs.gflops_f64);
  json.key("roof_gb_s").value(roofs.gb_s).end_object();
  json.key("jail").begin_object().key("works").value(jail.has_value());
  json.key("reason").value_or_null(jail ? "" : jail.error().message).end_object();
  json.key("devices").begin_array();
  for (const hub::DeviceEntry& device : devices) write_device(json, device);
  json.end_array().end_object();
  return out;
}

std::string render_kernel(const hub::KernelEntry& kernel) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  write_whole(json, kernel);
  json.end_object();
  return out;
}

Parsed<KernelAsk> parse_kernel_ask(std::string_view body) {
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  KernelAsk ask;
  HEARTH_TRY_VOID(set_fields(ask, object, kAskFields));
  if (ask.request.prose.empty() && !ask.request.contract) return missing("prose");
  HEARTH_TRY_VOID(set_language(ask.request, object));
  return ask;
}

std::string render_written(const hub::KernelEntry& kernel, const hub::WrittenKernel& written) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  write_whole(json, kernel);
  json.key("was_known").value(written.was_known).key("rounds").value(written.rounds.size());
  json.key("bytes_out").value(written.bytes_out).key("cost_usd_micro").value(written.cost_usd_micro);
  json.key("ledger_receipt").value_or_null(written.receipt_id).end_object();
  return out;
}

std::string render_progress(std::uint64_t done, std::uint64_t total, std::string_view what) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("done").value(done).key("total").value(total).key("what").value(what).end_object();
  return out;
}

std::string render_round(std::size_t number, const hub::KernelRound& round) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("round").value(number).key("step").value(round.step);
  json.key("problem").value_or_null(round.problem).key("adviser").value(round.adviser);
  json.key("bytes_out").value(round.bytes_out).key("cost_usd_micro").value(round.cost_usd_micro).end_object();
  return out;
}

}  // namespace hearth::api::hearth
