// A request that names a server elsewhere, as far as it may leave: judged by the privacy policy like a
// brief, with placeholders for what is personal wherever a client can put text, and a way back for what
// the server makes of them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "advisor/consent.h"
#include "base/result.h"
#include "hub/chat.h"
#include "hub/privacy_gate.h"
#include "hub/upstream/upstream_desk.h"

namespace hearth::hub {

struct ClearedRequest {
  ChatRequest request;  // With placeholders.
  std::string label;    // The class, the rule that gave it and what was replaced, for the ledger.
  std::optional<advisor::ConsentNeed> consent;  // Set: it may leave only where somebody agrees.
  privacy::Placeholders placeholders;
};

// kPermissionDenied names the class and the rule that keep it here.
Result<ClearedRequest> clear_request(const PrivacyGate& gate, ChatRequest request, const std::string& provider);

// Puts the values into an answer and passes it on; what can't be put back is named in UpstreamEnd::odd.
// Log-probabilities stay those of what the server said.
std::shared_ptr<UpstreamSink> make_restoring(std::shared_ptr<UpstreamSink> sink, const ChatRequest& request,
                                             privacy::Placeholders placeholders);

}  // namespace hearth::hub
