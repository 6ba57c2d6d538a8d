// Hearth's own API: what the privacy policy makes of a conversation, said before anything could leave.
//
//   POST /hearth/v1/policy/explain   a chat's body, "provider" and "headers", an object of those that it would come
//                                    with; answers with the verdict on the whole and, of each message, its class,
//                                    the rule, and what would be replaced
#pragma once

#include <string>
#include <string_view>

#include "api/request_values.h"
#include "hub/policy_explanation.h"

namespace hearth::api::hearth {

inline constexpr std::size_t kExplainedHeadersMax = 256;

// `provider`: whom it is judged for where the body names none.
Parsed<std::string> explain_policy(const hub::PrivacyGate& gate, std::string_view provider, std::string_view body);

std::string render_explanation(const hub::PolicyExplanation& explanation, std::string_view provider);

}  // namespace hearth::api::hearth
