// The conductor's part in second opinions: another local model answers the same question, greedily and
// briefly, and whether it says the same is a signal of when to ask (docs/design/0020-when-to-ask.md).
//
// Only drafts that advice may still change are held against it, and whatever goes wrong with it (no such
// model, no memory, a template without a place for the conversation) means that there is no second opinion.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "hub/conductor.h"
#include "hub/show_piece.h"

namespace hearth::hub {
namespace {

constexpr std::uint32_t kSecondTokensMin = 32, kSecondTokensMax = 256;

}  // namespace

// On the caller's thread: finding a model may wait for a scan.
void Conductor::plan_second(Run& run) const {
  const bool is_of_use = !options_.second_model.empty() && !run.upstream && run.rules.mode == AdviceMode::kAuto && may_ask(run.rules);
  if (!is_of_use) return;
  const auto found = parts_.shelf->resolve(options_.second_model);
  if (!found) return log_warn("hub", fmt::format("there is no second opinion: {}", found.error().message));
  const bool is_same = std::ranges::any_of(found->candidates, [&](const store::CatalogueEntry& entry) {
    return entry.path == run.candidates.front().path;
  });
  if (!is_same) run.second_candidates = found->candidates;
}

bool Conductor::wants_second(const Run& run) const {
  const Answer& first = run.answers[0];
  return !run.second_candidates.empty() && first.is_held && first.called.empty() && !first.text.empty();
}

void Conductor::begin_second(Run& run) {
  run.stage = Stage::kSecond;
  parts_.shelf->get(run.second_candidates, {}, [this, id = run.id](Result<Loaded> loaded) {
    inbox_.put(SecondReady{id, std::move(loaded)});
  });
}

void Conductor::on(SecondReady& message) {
  Run* const run = find(message.run);
  if (run == nullptr || run->stage != Stage::kSecond) return;
  if (!message.loaded) return judge_draft(*run);
  run->second_model = message.loaded->model;
  preparer_->post([this, id = run->id, model = run->second_model, request = run->request] {
    inbox_.put(PromptReady{id, Stage::kSecond, encode_chat(*model, request, request.messages), nullptr, nullptr});
  });
}

void Conductor::ask_second(Run& run, const Prompt& prompt) {
  engine::GenerateRequest job{.model = run.second_model->model,
                              .prompt = prompt.tokens,
                              .max_tokens = std::clamp(2 * run.receipt.usage.completion_tokens, kSecondTokensMin, kSecondTokensMax),
                              .may_keep = false,
                              .client = run.request.client};
  job.sampling.temperature = 0;
  run.second.parser = make_answer_parser(*run.second_model, run.request, prompt, job);
  const auto submitted = parts_.engine->submit(std::move(job), make_job_sink(run.id, Stage::kSecond));
  if (!submitted) return judge_draft(run);
  run.second.job = *submitted;
  run.second.is_running = true;
}

void Conductor::end_second(Run& run, const engine::FinishEvent& event) {
  run.second.is_running = false;
  Piece rest, last;
  rest.token.text = event.text;
  read_piece(run.second, rest);
  read_end(run.second, event.reason, last);
  if (event.reason == engine::FinishReason::kError) run.second.text.clear();  // Half an opinion is none.
  judge_draft(run);
}

}  // namespace hearth::hub
