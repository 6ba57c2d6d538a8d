// How many prompt tokens a step may hold.
//
// Who decodes sees a step's length as the gap between two tokens.  So while anybody does, of this
// model or of another whose turn comes next, prompts get so many tokens that a round of all models'
// steps takes at most kStallFactor times what it would take without them; what that is, StepCosts
// learns from the steps.  Where more sessions wait for their first token than for their next, prompts
// get their share of the time by heads instead: else a burst of requests would fill the batch slowly,
// and decoding in a batch that is not full is what costs most.
#include <algorithm>

#include "engine/scheduler.h"

namespace hearth::engine {

// The sessions of each model, by what they wait for.
Scheduler::Demand Scheduler::count_demand() {
  for (Turn& turn : model_turns_) turn.n_decoding = turn.n_prompts = 0;
  for (const auto& session : running_) {
    Turn& turn = turn_of(session->runner().identity());
    ++(session->n_pending() == 1 ? turn.n_decoding : turn.n_prompts);
  }
  Demand demand;
  for (const Turn& turn : model_turns_) {
    demand.n_decoding += turn.n_decoding;
    demand.n_prompts += turn.n_prompts;
    if (turn.n_prompts > 0) ++demand.n_prefilling_models;
    const double decode_ms = turn.costs.decode_ms(turn.n_decoding);
    demand.round_ms += decode_ms;
    if (turn.n_decoding > 0 && decode_ms == 0) demand.is_known = false;
  }
  return demand;
}

std::uint32_t Scheduler::prompt_budget(std::uint64_t identity) {
  const std::uint32_t chunk = options_.prefill_chunk_tokens;
  const Demand demand = count_demand();
  if (demand.n_decoding == 0) return chunk;
  const double token_ms = turn_of(identity).costs.prompt_token_ms();
  if (!demand.is_known || token_ms == 0) return std::max(1U, chunk / kStallDivisor);
  const double heads = static_cast<double>(demand.n_prompts) / demand.n_decoding;
  const double budget_ms =
      demand.round_ms * std::max(kStallFactor - 1, heads) / demand.n_prefilling_models;
  const double n_tokens = std::min(budget_ms / token_ms, static_cast<double>(chunk));
  return std::clamp(static_cast<std::uint32_t>(n_tokens), std::min(kStalledPromptTokensMin, chunk), chunk);
}

}  // namespace hearth::engine
