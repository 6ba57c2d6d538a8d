// What the privacy policy makes of a conversation, said before anything could leave.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hub/chat.h"
#include "hub/privacy_gate.h"

namespace hearth::hub {

struct ExplainedSource {
  privacy::Source source;
  privacy::Verdict verdict;
  std::map<std::string, std::size_t> found;  // What would be replaced: how many spans of each type.
};

struct PolicyExplanation {
  privacy::Verdict whole;  // Of all sources together.
  std::vector<ExplainedSource> sources;
};

PolicyExplanation explain_policy(const PrivacyGate& gate, const ChatRequest& request, std::string_view provider);

}  // namespace hearth::hub
