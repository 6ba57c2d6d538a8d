#include "compute/receipt.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "device/cpu.h"

namespace hearth::compute {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kReceiptBytesMax = std::size_t{1} << 20;

// Infinity is no number of JSON: a fault, or an integer that was wrong.
Json units_json(double units) { return std::isfinite(units) ? Json(units) : Json(nullptr); }

Json histogram_json(const ErrorHistogram& errors) {
  Json classes = Json::array();
  for (std::size_t i = 0; i < errors.counts.size(); ++i) {
    if (errors.counts[i] == 0) continue;
    classes.push_back(
        {{"units_up_to", i < kErrorClasses.size() ? Json(kErrorClasses[i]) : Json(nullptr)},
         {"elements", errors.counts[i]}});
  }
  return classes;
}

Json mutations_json(const std::vector<MutationFinding>& mutations) {
  Json list = Json::array();
  for (const MutationFinding& mutation : mutations) {
    list.push_back({{"what", mutation.what},
                    {"changes", mutation.changes},
                    {"units", units_json(mutation.units)}});
  }
  return list;
}

Json speed_json(const Speed& speed) {
  return {{"sizes", speed.sizes},
          {"run_ns", speed.run_ns},
          {"gflops", speed.gflops},
          {"gb_s", speed.gb_s},
          {"roof_gflops", speed.roof_gflops},
          {"roof_gb_s", speed.roof_gb_s},
          {"roof_percent", speed.roof_percent}};
}

bool from_hex(std::string_view text, std::span<std::uint8_t> out) {
  if (text.size() != 2 * out.size()) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const char* const digits = text.data() + 2 * i;
    const auto [stop, error] = std::from_chars(digits, digits + 2, out[i], 16);
    if (error != std::errc{} || stop != digits + 2) return false;
  }
  return true;
}

template <class T>
T value_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return T{};
  if constexpr (std::is_same_v<T, std::string>)
    return found->is_string() ? found->template get<std::string>() : T{};
  else
    return found->is_number() ? found->template get<T>() : T{};
}

Speed read_speed(const Json& json) {
  return {.sizes = value_of<std::string>(json, "sizes"),
          .run_ns = value_of<std::int64_t>(json, "run_ns"),
          .gflops = value_of<double>(json, "gflops"),
          .gb_s = value_of<double>(json, "gb_s"),
          .roof_gflops = value_of<double>(json, "roof_gflops"),
          .roof_gb_s = value_of<double>(json, "roof_gb_s"),
          .roof_percent = value_of<double>(json, "roof_percent")};
}

Statement read_statement(const Json& json) {
  Statement statement;
  statement.kernel = value_of<std::string>(json, "kernel");
  statement.contract_key = value_of<std::string>(json, "contract");
  statement.source_sha256 = value_of<std::string>(json, "source_sha256");
  statement.image_sha256 = value_of<std::string>(json, "image_sha256");
  statement.results_sha256 = value_of<std::string>(json, "results_sha256");
  statement.compiler = value_of<std::string>(json, "compiler");
  statement.cpu = value_of<std::string>(json, "cpu");
  statement.isa = value_of<std::string>(json, "isa");
  statement.device = value_of<std::string>(json, "device");
  statement.driver = value_of<std::string>(json, "driver");
  statement.target = value_of<std::string>(json, "target");
  statement.seed = value_of<std::uint64_t>(json, "seed");
  statement.limits = {.bytes_max = value_of<std::int64_t>(json, "bytes_max"),
                      .work_max = value_of<std::int64_t>(json, "work_max")};
  statement.n_mixed = value_of<int>(json, "n_mixed");
  statement.determinism = value_of<std::string>(json, "determinism");
  statement.max_units = value_of<double>(json, "max_units");
  statement.verified_at = value_of<std::string>(json, "verified_at");
  if (const auto flags = json.find("flags"); flags != json.end() && flags->is_array()) {
    for (const Json& flag : *flags) {
      if (flag.is_string()) statement.flags.push_back(flag.get<std::string>());
    }
  }
  if (const auto speed = json.find("speed"); speed != json.end() && speed->is_object()) {
    statement.speed = read_speed(*speed);
  }
  statement.json = json.dump();
  return statement;
}

}  // namespace

std::string write_receipt(const Contract& contract, std::string_view source, const Image& image,
                          const VerifyReport& report, const MachineKey& key) {
  const device::CpuInfo cpu = device::cpu_info();
  Json statement = {
      {"kernel", contract.name},
      {"contract", to_hex(contract_key(contract))},
      {"source_sha256", to_hex(sha256(source))},
      {"image_sha256", to_hex(sha256(image.bytes))},
      {"language", language_name(contract.language)},
      {"compiler", image.compiler},
      {"flags", image.flags},
      {"cpu", cpu.model_name},
      {"isa", cpu.kernels},
      {"n_threads", contract.n_threads},
      {"seed", report.seed},
      {"bytes_max", report.limits.bytes_max},
      {"work_max", report.limits.work_max},
      {"n_mixed", report.n_mixed},
      {"n_cases", report.n_cases},
      {"n_runs", report.n_runs},
      {"sizes_left_out", report.left_out},
      {"n_elements", report.errors.n_elements},
      {"max_units", units_json(report.errors.max_units)},
      {"errors", histogram_json(report.errors)},
      {"tolerance_units", contract.tolerance_ulps.text()},
      {"mutations", mutations_json(report.mutations)},
      {"determinism", kDeterminismNames[static_cast<std::size_t>(report.proven)]},
      {"proofs", report.proofs},
      {"speed", speed_json(report.speed)},
      {"results_sha256", to_hex(report.results)},
      {"verified_at", format_iso8601(Clock::system().now_unix_us())}};
  if (image.device) {
    statement["device"] = image.device->device;
    statement["driver"] = image.device->driver;
    statement["target"] = image.device->target;
  }
  return Json{{"statement", statement},
              {"key", to_hex(key.public_key())},
              {"signature", to_hex(key.sign(statement.dump()))}}
      .dump();
}

Result<Statement> read_receipt(std::string_view text) {
  if (text.size() > kReceiptBytesMax)
    return fail(Code::kCorrupt, fmt::format("a receipt of {} bytes is longer than {}", text.size(),
                                            kReceiptBytesMax));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool is_object =
      json.is_object() && json.contains("statement") && json["statement"].is_object();
  PublicKey key{};
  SignatureBytes signature{};
  if (!is_object || !from_hex(value_of<std::string>(json, "key"), key) ||
      !from_hex(value_of<std::string>(json, "signature"), signature)) {
    return fail(Code::kCorrupt,
                "that is no receipt of a kernel: a statement, a key and a signature are expected");
  }
  if (!is_signed_by(key, json["statement"].dump(-1, ' ', false, Json::error_handler_t::replace),
                    signature)) {
    return fail(Code::kCorrupt,
                "the receipt's signature does not fit what it states: somebody changed it");
  }
  return read_statement(json["statement"]);
}

}  // namespace hearth::compute
