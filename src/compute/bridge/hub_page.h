// The page by which a client asks the hub itself to run a kernel of the house: a worker's run channel,
// and beside it what only a trusted other end can say.
//
// RunRequest::kernel is the number of a bound call (BindReply::run has it filled in); the rest of a
// request is not looked at: what a call works on was agreed over the socket.
#pragma once

#include "sandbox/run_channel.h"

namespace hearth::compute::bridge {

struct HubPage {
  sandbox::RunChannel channel;
  alignas(64) double kernel_s;  // Of the last run that was answered.
  char sentence[512];           // Why it was refused, for RunStatus::kRefused; ends with a zero.
};
static_assert(sizeof(HubPage) <= sandbox::kRunChannelBytes);

}  // namespace hearth::compute::bridge
