#include "hub/policy_explanation.h"

#include <utility>

#include "hub/privacy_sources.h"

namespace hearth::hub {

PolicyExplanation explain_policy(const PrivacyGate& gate, const ChatRequest& request, std::string_view provider) {
  const privacy::Policy& policy = gate.policy();
  privacy::Sources sources = sources_of(request);
  PolicyExplanation explanation{.whole = policy.judge(sources, provider), .sources = {}};
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const std::string& text = request.messages.empty() ? request.prompt : request.messages[i].content;
    privacy::Verdict verdict = policy.judge(sources[i], provider);
    explanation.sources.push_back({std::move(sources[i]), std::move(verdict), privacy::count_types(gate.find(text))});
  }
  return explanation;
}

}  // namespace hearth::hub
