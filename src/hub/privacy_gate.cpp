#include "hub/privacy_gate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace hearth::hub {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kJsonDepthMax = 128;  // Deeper JSON is redacted as text.
constexpr std::size_t kLongDigits = 9;      // A number of so many may be a card's or an account's.

// Texts of a schema that other texts refer to, or that have a meaning to its reader.
constexpr auto kSchemaWords =
    std::to_array<std::string_view>({"type", "format", "pattern", "required", "$ref", "$schema", "$id"});

void hide_texts(Json& json, Redaction& redaction);

void hide_members(Json& object, Redaction& redaction) {
  Json hidden = Json::object();
  for (auto& [key, value] : object.items()) {
    std::string name = key;
    redaction.hide(name);
    hide_texts(value, redaction);
    hidden[name] = std::move(value);
  }
  object = std::move(hidden);
}

void hide_texts(Json& json, Redaction& redaction) {
  if (json.is_string()) return redaction.hide(json.get_ref<std::string&>());
  if (json.is_object()) return hide_members(json, redaction);
  if (json.is_array()) {
    for (Json& child : json) hide_texts(child, redaction);
  } else if (std::string digits = json.dump(); digits.size() >= kLongDigits) {
    redaction.hide(digits);
    if (digits != json.dump()) json = std::move(digits);
  }
}

void hide_schema_texts(Json& json, Redaction& redaction, bool is_top) {
  if (json.is_string()) return redaction.hide(json.get_ref<std::string&>());
  if (json.is_array()) {
    for (Json& child : json) hide_schema_texts(child, redaction, false);
  }
  if (!json.is_object()) return;
  for (auto& [key, value] : json.items()) {
    const bool is_word = std::ranges::find(kSchemaWords, key) != kSchemaWords.end() || (is_top && key == "name");
    if (!is_word || value.is_object()) hide_schema_texts(value, redaction, false);
  }
}

// Whether brackets alone nest deeper than anything sensible: said before a parser is given it.
bool is_too_deep(std::string_view json) {
  std::size_t depth = 0;
  for (const char c : json) {
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (depth > kJsonDepthMax) return true;
  }
  return false;
}

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

privacy::Spans PrivacyGate::find(std::string_view text) const {
  privacy::Spans spans = redactor_.find(text);
  std::erase_if(spans, [&](const privacy::Span& span) { return policy_.keeps(span.type); });
  return spans;
}

privacy::Verdict PrivacyGate::judge(const privacy::Sources& sources, std::span<const std::string> providers) const {
  privacy::Verdict verdict = policy_.judge(sources, providers.front());
  for (const std::string& provider : providers.subspan(1)) {
    privacy::Verdict other = policy_.judge(sources, provider);
    if (other.action > verdict.action) verdict = std::move(other);
  }
  return verdict;
}

std::string label_of(const privacy::Verdict& verdict) {
  return fmt::format("class {} by rule '{}'", privacy::class_name(verdict.gives), verdict.rule);
}

void Redaction::hide(std::string& text) {
  const privacy::Spans spans = gate_.find(text);
  for (const auto& [type, n] : privacy::count_types(spans)) counts_[type] += n;
  text = placeholders_.redact(text, spans);
}

void Redaction::hide_in_json(std::string& json) { hide_in(json, JsonKind::kValue); }
void Redaction::hide_in_schema(std::string& json) { hide_in(json, JsonKind::kSchema); }

void Redaction::hide_in(std::string& json, JsonKind kind) {
  Json parsed = is_too_deep(json) ? Json(Json::value_t::discarded) : Json::parse(json, nullptr, false);
  if (parsed.is_discarded()) return hide(json);
  const std::string before = text_of(parsed);
  if (kind == JsonKind::kValue) {
    hide_texts(parsed, *this);
  } else {
    hide_schema_texts(parsed, *this, true);
  }
  std::string after = text_of(parsed);
  if (after != before) json = std::move(after);  // Else it stays as it was written.
}

std::string Redaction::summary() const {
  if (counts_.empty()) return "nothing to redact";
  std::vector<std::string> list;
  for (const auto& [type, n] : counts_) list.push_back(fmt::format("{} {}", type, n));
  return fmt::format("redacted: {}", fmt::join(list, ", "));
}

std::string strange_placeholders(const privacy::RestoreReport& report, std::string_view whose) {
  if (report.is_clean()) return "";
  std::vector<std::string> strange = report.unknown;
  strange.insert(strange.end(), report.mangled.begin(), report.mangled.end());
  return fmt::format("{} names placeholders that were not given out: {}", whose, fmt::join(strange, ", "));
}

}  // namespace hearth::hub
