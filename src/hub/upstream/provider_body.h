// A request as the body that a provider gets which speaks other words than OpenAI's chat (advisor/wire).
//
// What a wire has no word for is left out and named, or, where the answer would be another kind of answer
// without it, refused.
#pragma once

#include "advisor/wire/wire.h"
#include "base/result.h"
#include "hub/chat.h"
#include "hub/upstream/carried_state.h"
#include "hub/upstream/chat_body.h"

namespace hearth::hub {

// Of `options` the kind of server and the limit's name mean nothing here.  kUnsupported names what the wire
// can't say.
Result<ChatBody> make_provider_body(const advisor::WireFormat& wire, const ChatRequest& request,
                                    const BodyOptions& options, const CarriedStates& carried);

}  // namespace hearth::hub
