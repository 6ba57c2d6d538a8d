#include "advisor/gate/calibration.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/file.h"

namespace hearth::advisor::gate {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
constexpr std::size_t kNameBytesMax = 64;

}  // namespace

std::string calibration_name(const ModelKey& model) {
  const std::string whole = model.quantisation.empty() ? model.model : model.model + "." + model.quantisation;
  std::string name;
  for (const char c : whole.substr(0, kNameBytesMax)) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    name += is_plain || (c == '.' && !name.empty()) ? c : '_';
  }
  return fmt::format("{}-{:08x}", name, hash64(whole) & 0xFFFFFFFF);
}

std::filesystem::path calibration_file(const std::filesystem::path& folder, const ModelKey& model) {
  return folder / (calibration_name(model) + ".json");
}

std::filesystem::path outcomes_file(const std::filesystem::path& folder, const ModelKey& model) {
  return folder / (calibration_name(model) + ".outcomes.jsonl");
}

Result<Calibration> load_calibration(const std::filesystem::path& folder, const ModelKey& model) {
  Calibration made{.model = model};
  const std::filesystem::path path = calibration_file(folder, model);
  const auto text = read_file(path);
  if (!text && text.error().code == Code::kNotFound) return made;
  if (!text) return std::unexpected(text.error());
  const auto damaged = [&](std::string_view why) {
    return fail(Code::kCorrupt, fmt::format("the calibration '{}' can't be used: {}; delete it or calibrate again", path.string(), why));
  };
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return damaged("no JSON object");
  try {
    if (const int format = json.at("format").get<int>(); format != kFormat) {
      return damaged(fmt::format("format {}, this Hearth has {}", format, kFormat));
    }
    auto gate = GateModel::from_json(json.at("gate"));
    if (!gate) return damaged(gate.error().message);
    made.gate = *std::move(gate);
    made.learned = json.at("learned").get<std::set<std::uint64_t>>();
  } catch (const Json::exception& error) {
    return damaged(error.what());
  }
  return made;
}

Result<> store_calibration(const std::filesystem::path& folder, const Calibration& calibration) {
  const Json json = {{"format", kFormat},
                     {"model", calibration.model.model},
                     {"quantisation", calibration.model.quantisation},
                     {"gate", calibration.gate.to_json()},
                     {"learned", calibration.learned}};
  return write_file_atomic(calibration_file(folder, calibration.model), json.dump() + "\n");
}

}  // namespace hearth::advisor::gate
