#include "advisor/gate/pair_row.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"

namespace hearth::advisor::gate {
namespace {

using Json = nlohmann::json;


Choice choice_of(const Json& answer, std::size_t n_options) {
  const auto letter = answer.find("answer");
  if (letter == answer.end() || letter->is_null()) return std::nullopt;
  const std::string& text = letter->get_ref<const std::string&>();
  if (text.size() != 1 || text[0] < 'A' || text[0] > 'Z') return std::nullopt;
  const auto index = static_cast<std::uint32_t>(text[0] - 'A');
  return index < n_options ? Choice(index) : std::nullopt;
}

Result<std::string> text_of(const Json& json, const char* name) {
  const std::string& text = json.at(name).get_ref<const std::string&>();
  if (text.size() <= kPairTextBytesMax) return text;
  return fail(Code::kInvalidArgument, fmt::format("'{}' has {} bytes, at most {} are possible", name, text.size(), kPairTextBytesMax));
}

Result<std::vector<std::string>> options_of(const Json& json) {
  std::vector<std::string> options;
  if (!json.contains("options")) return options;
  options = json.at("options").get<std::vector<std::string>>();
  std::size_t n_bytes = 0;
  for (const std::string& option : options) n_bytes += option.size();
  if (options.size() <= kPairOptionsMax && n_bytes <= kPairTextBytesMax) return options;
  return fail(Code::kInvalidArgument,
              fmt::format("{} options of {} bytes together, at most {} of {} are possible", options.size(),
                          n_bytes, kPairOptionsMax, kPairTextBytesMax));
}

std::uint64_t key_of(const Asked& asked) {
  std::uint64_t key = hash64(asked.question);
  for (const std::string& option : asked.options) key = hash64(option, key);
  return key;
}

Result<PairRow> row_of(const Json& json) {
  PairRow row;
  Asked& asked = row.asked;
  const Json& local = json.at("local");
  asked.kind = json.value("category", "");
  HEARTH_TRY(asked.question, text_of(json, "question"));
  HEARTH_TRY(asked.options, options_of(json));
  HEARTH_TRY(asked.local_text, text_of(local, "text"));
  asked.local_chars = local.value("chars", std::uint64_t{asked.local_text.size()});
  asked.local = choice_of(local, asked.options.size());
  row.local_model = local.value("model", "");
  row.outcome.is_local_right = local.at("correct").get<bool>();
  if (const auto second = json.find("second"); second != json.end() && second->is_object()) {
    asked.has_second = true;
    asked.second_chars = second->value("chars", std::uint64_t{0});
    asked.second = choice_of(*second, asked.options.size());
    row.outcome.is_second_right = second->value("correct", false);
  }
  const Json& cloud = json.at("cloud");
  row.outcome.adviser = choice_of(cloud, asked.options.size());
  row.outcome.is_adviser_right = cloud.at("correct").get<bool>();
  row.key = key_of(asked);
  return row;
}

Result<PairRow> parse_row(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return fail(Code::kInvalidArgument, "no JSON object");
  try {
    return row_of(json);
  } catch (const Json::exception& error) {
    return fail(Code::kInvalidArgument, error.what());
  }
}

}  // namespace

Result<std::vector<PairRow>> parse_pair_rows(std::string_view json_lines) {
  std::vector<PairRow> rows;
  std::size_t line_number = 0;
  while (!json_lines.empty()) {
    const std::size_t end = std::min(json_lines.find('\n'), json_lines.size());
    const std::string_view line = json_lines.substr(0, end);
    json_lines.remove_prefix(std::min(end + 1, json_lines.size()));
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (rows.size() == kPairRowsMax) {
      return fail(Code::kInvalidArgument, fmt::format("there are more than {} rows, which is the limit", kPairRowsMax));
    }
    auto row = parse_row(line);
    if (!row) {
      return fail(Code::kInvalidArgument, fmt::format("line {}: {}", line_number, row.error().message));
    }
    rows.push_back(*std::move(row));
  }
  return rows;
}

}  // namespace hearth::advisor::gate
