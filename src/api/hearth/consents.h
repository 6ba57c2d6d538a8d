// Hearth's own API: what waits for somebody's consent, the answer to that, what came of answers, and pins.
//
//   GET  /hearth/v1/consents       {"consents": [{"id", "request", "provider", "model", "url", "headers",
//                                   "body", "label", "worst_usd_micro", "expires_unix_us"}]}
//   POST /hearth/v1/consents/{id}  {"answer": "allow" | "refuse", "remember": false}
//   POST /hearth/v1/outcomes       {"receipt": "r-...", "outcome": "good" | "bad"}
//   POST /hearth/v1/pins           {"model": NAME, "pinned": true}: a loaded model stays, until the hub ends
//
// Only who asked the request sees and answers its consents.  A stream says that one waits, in a comment:
//
//   : x-hearth-consent: {one of the objects above, without a body of more than 2 MiB}
//
// and, in a preview, what would have left: ": x-hearth-preview: {...}", without an id.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "advisor/consent.h"
#include "api/request_values.h"

namespace hearth::api::hearth {

inline constexpr std::string_view kConsentMark = "x-hearth-consent: ";
inline constexpr std::string_view kPreviewMark = "x-hearth-preview: ";

// With its mark, on one line.
std::string render_departure_comment(const advisor::Departure& departure);
// One of the objects above, whole.
std::string render_departure(const advisor::Departure& departure);
std::string render_consents(std::span<const advisor::DeparturePtr> consents);

struct ConsentAnswer {
  bool is_allowed = false;
  bool is_remembered = false;
};
Parsed<ConsentAnswer> parse_consent_answer(std::string_view body);
std::string render_consent_answer(std::string_view id, const ConsentAnswer& answer);

struct Outcome {
  std::string receipt;
  bool is_good = false;
};
Parsed<Outcome> parse_outcome(std::string_view body);

struct Pin {
  std::string model;
  bool is_pinned = false;
};
Parsed<Pin> parse_pin(std::string_view body);

}  // namespace hearth::api::hearth
