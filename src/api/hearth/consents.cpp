#include "api/hearth/consents.h"

#include <fmt/format.h>

#include "api/json_writer.h"

namespace hearth::api::hearth {
namespace {

constexpr std::size_t kReceiptIdBytesMax = 64;
constexpr std::size_t kCommentBodyBytesMax = std::size_t{2} << 20;  // Readers of streams have limits, too.

void write_departure(JsonWriter& json, const advisor::Departure& departure, std::size_t body_bytes_max = SIZE_MAX) {
  json.begin_object();
  if (!departure.consent.empty()) json.key("id").value(departure.consent);
  json.key("request").value(departure.request_id);
  json.key("provider").value(departure.provider);
  json.key("model").value(departure.model);
  json.key("url").value(departure.url);
  json.key("headers").value(departure.headers);
  if (departure.body.size() <= body_bytes_max) json.key("body").value(departure.body);
  json.key("label").value(departure.label);
  json.key("worst_usd_micro").value(departure.worst_usd_micro);
  if (departure.expires_unix_us != 0) json.key("expires_unix_us").value(departure.expires_unix_us);
  json.end_object();
}

// The member's text, which is one of two words: whether it is the first.
Parsed<bool> either(dom::object object, const char* member, std::string_view yes, std::string_view no) {
  HEARTH_TRY(const std::string_view word, need_text(object, "", member));
  if (word == yes || word == no) return word == yes;
  return refuse("invalid_value", member,
                fmt::format("Invalid value: '{}' for '{}'. Supported values are: '{}' and '{}'.", word.substr(0, 40), member,
                            yes, no));
}

}  // namespace

std::string render_departure_comment(const advisor::Departure& departure) {
  std::string out(departure.consent.empty() ? kPreviewMark : kConsentMark);
  JsonWriter json(out);
  write_departure(json, departure, kCommentBodyBytesMax);
  return out;
}

std::string render_departure(const advisor::Departure& departure) {
  std::string out;
  JsonWriter json(out);
  write_departure(json, departure);
  return out;
}

std::string render_consents(std::span<const advisor::DeparturePtr> consents) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("consents").begin_array();
  for (const advisor::DeparturePtr& departure : consents) write_departure(json, *departure);
  json.end_array().end_object();
  return out;
}

Parsed<ConsentAnswer> parse_consent_answer(std::string_view body) {
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  ConsentAnswer answer;
  HEARTH_TRY(answer.is_allowed, either(object, "answer", "allow", "refuse"));
  HEARTH_TRY_VOID(set_optional_bool(answer.is_remembered, "", object, "remember"));
  return answer;
}

std::string render_consent_answer(std::string_view id, const ConsentAnswer& answer) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("id").value(id);
  json.key("answer").value(answer.is_allowed ? "allow" : "refuse");
  json.key("remember").value(answer.is_remembered).end_object();
  return out;
}

Parsed<Outcome> parse_outcome(std::string_view body) {
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  Outcome outcome;
  HEARTH_TRY(const std::string_view receipt, need_text(object, "", "receipt"));
  outcome.receipt = receipt.substr(0, kReceiptIdBytesMax);
  HEARTH_TRY(outcome.is_good, either(object, "outcome", "good", "bad"));
  return outcome;
}

Parsed<Pin> parse_pin(std::string_view body) {
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  Pin pin;
  HEARTH_TRY(pin.model, need_text(object, "", "model"));
  HEARTH_TRY(const dom::element pinned, need(object, "", "pinned"));
  HEARTH_TRY(pin.is_pinned, as_bool("pinned", pinned));
  return pin;
}

}  // namespace hearth::api::hearth
