// Hearth's own API: what the privacy policy makes of a conversation, said before anything could leave.
//
//   POST /hearth/v1/policy/explain   a chat's body, and "provider"; answers with the verdict on the whole and, of
//                                    each message, its class, the rule, and what would be replaced
#pragma once

#include <string>
#include <string_view>

#include "api/request_values.h"
#include "privacy/policy.h"
#include "privacy/redactor.h"

namespace hearth::api::hearth {

// `provider`: whom it is judged for where the body names none.
Parsed<std::string> explain_policy(const privacy::Policy& policy, const privacy::Redactor& redactor,
                                   std::string_view provider, std::string_view body);

}  // namespace hearth::api::hearth
