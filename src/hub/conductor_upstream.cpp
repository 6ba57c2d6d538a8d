// The conductor's part in requests that other servers answer: which server a name means, what of its
// answer goes out, and its receipt.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/ascii.h"
#include "hub/conductor.h"

namespace hearth::hub {
namespace {

// Whether `name` says which model it means, and does not only begin like it.
bool is_named(const ModelChoice& choice, const std::string& name) {
  const std::string& found = choice.candidates.front().name;
  return equal_ignoring_case(found, name) || equal_ignoring_case(found, name + ":latest") ||
         !choice.adapters.empty() || name.ends_with(".gguf");
}

engine::FinishReason reason_of(const std::string& name) {
  return name == "length" ? engine::FinishReason::kLength : engine::FinishReason::kStop;
}

const char* receipt_end(engine::FinishReason reason) {
  return reason == engine::FinishReason::kLength ? "length" : "stop";
}

}  // namespace

// Forwards a server's answer to the conductor.
class Conductor::UpstreamRelay final : public UpstreamSink {
 public:
  UpstreamRelay(Mailbox<RunMessage>& inbox, RequestId run) : inbox_(inbox), run_(run) {}
  void on_piece(UpstreamPiece piece) override { inbox_.put(UpstreamSaid{run_, std::move(piece)}); }
  void on_status(const std::string& text) override { inbox_.put(UpstreamStatus{run_, text}); }
  void on_departure(const advisor::DeparturePtr& departure) override { inbox_.put(DepartureNear{run_, departure}); }
  void on_end(UpstreamEnd end) override { inbox_.put(UpstreamEnded{run_, std::move(end)}); }

 private:
  Mailbox<RunMessage>& inbox_;
  RequestId run_;
};

// ---- For callers, from any thread --------------------------------------------------------------

// A request that leaves the choice to the hub is for one of the tasks, or for the default.
Result<ModelChoice> Conductor::choose(const ChatRequest& request) const {
  const bool is_auto = request.model.empty() || request.model == "auto";
  const bool is_local = request.model == "local";
  const bool has_tasks = parts_.tasks != nullptr && (is_auto || is_local) && request.adapters.empty();
  if (!has_tasks) return resolve(request.model);
  TaskChoice task = parts_.tasks->choose(
      task_text(request), [this](const auto& tags) { return parts_.shelf->find_tagged(tags); });
  if (!task.model.empty()) {
    auto choice = resolve(task.model);
    const std::string problem = refuse_task(choice, request);
    if (problem.empty()) {
      choice->is_auto = is_auto;
      choice->may_leave = !is_local;
      choice->why = std::move(task.why);
      return choice;
    }
    task.why += fmt::format("; but '{}' {}, so the default", task.model, problem);
  }
  HEARTH_TRY(ModelChoice choice, resolve(request.model));
  choice.why = std::move(task.why);
  return choice;
}

// Why a task's model can't answer; empty if it can.
std::string Conductor::refuse_task(const Result<ModelChoice>& choice, const ChatRequest& request) const {
  if (!choice) return fmt::format("can't be had ({})", choice.error().message);
  const bool is_egress = choice->upstream && choice->upstream->is_egress;
  if (!is_egress) return "";
  if (request.model == "local") return "is not on this machine, and \"local\" lets nothing leave";
  const bool is_refused = request.advice.value_or(options_.default_advice) == AdviceMode::kNever;
  return is_refused ? "is not on this machine, and the request or the configuration says that none is asked" : "";
}

// A server's own name goes first; then a model of this machine that is called so; then a server of this
// machine that has one called so; then what the name is only the beginning of.
Result<ModelChoice> Conductor::resolve(const std::string& name) const {
  if (parts_.upstreams == nullptr) {
    auto here = parts_.shelf->resolve(name);
    if (here || here.error().code != Code::kUnsupported) return here;
    return resolve_foreign(name, here.error());
  }
  const bool is_auto = name.empty() || name == "auto";
  if (is_auto || name == "local") {
    if (options_.default_upstream.empty()) return parts_.shelf->resolve(name);
    return resolve_default_upstream(is_auto);
  }
  if (auto found = parts_.upstreams->find(name)) {
    if (!*found) return std::unexpected(found->error());
    return ModelChoice{.upstream = **std::move(found)};
  }
  auto here = parts_.shelf->resolve(name);
  if (here && is_named(*here, name)) return here;
  if (auto plain = parts_.upstreams->find_plain(name)) return ModelChoice{.upstream = *std::move(plain)};
  if (here || here.error().code != Code::kUnsupported) return here;
  return resolve_foreign(name, here.error());
}

// A model that the engine can't run: llama-server may.
Result<ModelChoice> Conductor::resolve_foreign(const std::string& name, Error problem) const {
  const auto entry = parts_.shelf->find_foreign(name);
  if (!entry) return std::unexpected(std::move(problem));
  if (parts_.llama != nullptr) return ModelChoice{.upstream = child_target(*entry)};
  problem.message +=
      "; llama-server may run it: install llama.cpp, so that llama-server is in the PATH, or name it under "
      "[llama_server] in hearth.toml";
  return std::unexpected(std::move(problem));
}

UpstreamTarget Conductor::child_target(const store::CatalogueEntry& entry) const {
  return {.model = entry.name,
          .name = entry.name,
          .kind = ServerKind::kLlamaServer,
          .is_egress = false,
          .place = fmt::format("{}, on this machine", parts_.llama->program()),
          .child = LlamaModel{.name = entry.name, .path = entry.path, .bytes = entry.bytes}};
}

Result<ModelChoice> Conductor::resolve_default_upstream(bool is_auto) const {
  auto found = parts_.upstreams->find(options_.default_upstream);
  HEARTH_CHECK(found);  // create_hub has asked.
  if (!*found) return std::unexpected(found->error());
  if ((*found)->is_egress) {
    return fail(Code::kPermissionDenied,
                fmt::format("models.default is '{}', which runs at {}: what answers unasked must run on "
                            "this machine; name that model in the request, or make it the adviser",
                            (*found)->name, (*found)->place));
  }
  return ModelChoice{.is_auto = is_auto, .may_leave = !is_auto, .upstream = **std::move(found)};
}

void Conductor::plan_upstream(Run& run, UpstreamTarget target) const {
  Receipt& receipt = run.receipt;
  receipt.model = target.name;
  receipt.upstream = target.child ? "llama-server" : parts_.upstreams->server(target.server).options.name;
  receipt.place = target.place;
  receipt.advice_detail = "answers of other servers are passed on without advice";
  if (run.rules.mode == AdviceMode::kAlways) receipt.advice = AdviceOutcome::kNotAllowed;
  run.rule = receipt.choice.empty() ? fmt::format("named: the request asks for '{}'", target.name)
                                    : fmt::format("task: {} names '{}'", receipt.choice, target.name);
  run.upstream = std::move(target);
}

// With the names by which its models can be asked for alone.
void Conductor::list_upstreams(std::vector<ModelEntry>& entries) const {
  for (ModelEntry& entry : entries) {
    if (parts_.llama == nullptr || !entry.is_foreign) continue;
    entry.problem.clear();
    entry.upstream = "llama-server";
    entry.place = fmt::format("{}, on this machine", parts_.llama->program());
  }
  if (parts_.upstreams == nullptr) return;
  std::set<std::string> names;
  for (const ModelEntry& entry : entries) names.insert(entry.name);
  for (ModelEntry& entry : parts_.upstreams->models()) {
    ModelEntry plain = entry;
    plain.name.erase(0, plain.name.find('/') + 1);
    const bool is_free = !entry.is_egress && names.insert(plain.name).second;
    entries.push_back(std::move(entry));
    if (is_free) entries.push_back(std::move(plain));
  }
}

std::vector<UpstreamState> Conductor::upstreams() const {
  std::vector<UpstreamState> states;
  if (parts_.upstreams != nullptr) states = parts_.upstreams->states();
  if (parts_.llama != nullptr) states.push_back(parts_.llama->state());
  return states;
}

// ---- The conductor's thread --------------------------------------------------------------------

void Conductor::begin_upstream(Run& run) {
  run.stage = Stage::kUpstream;
  for (std::uint32_t choice = 0; choice < run.request.n; ++choice) run.answers.emplace_back(false);
  if (!run.upstream->is_egress) return ask_upstream(run, {.request = run.request, .label = {}, .consent = {}, .placeholders = {}});
  // What leaves is judged and redacted first, which takes its time.
  const std::string provider = run.upstream->name.substr(0, run.upstream->name.find('/'));
  clearer_->post([this, id = run.id, provider, request = run.request]() mutable {
    inbox_.put(RequestCleared{id, clear_request(*parts_.privacy, std::move(request), provider)});
  });
}

void Conductor::on(RequestCleared& message) {
  Run* const run = find(message.run);
  if (run == nullptr || run->stage != Stage::kUpstream) return;
  if (run->is_cancelled) return cancel_run(*run);
  if (!message.cleared) return fail_run(*run, message.cleared.error());
  run->rule += "; " + message.cleared->label;
  run->sink->on_status(fmt::format("asking {} at {}", run->upstream->name, run->upstream->place));
  ask_upstream(*run, *std::move(message.cleared));
}

void Conductor::ask_upstream(Run& run, ClearedRequest cleared) {
  const auto relay = std::make_shared<UpstreamRelay>(inbox_, run.id);
  const auto sink = make_restoring(relay, cleared.request, std::move(cleared.placeholders));
  run.upstream_id = parts_.upstream_desk->ask({.receipt_id = run.receipt.id,
                                               .target = *run.upstream,
                                               .request = std::move(cleared.request),
                                               .rule = run.rule,
                                               .label = std::move(cleared.label),
                                               .consent = std::move(cleared.consent),
                                               .is_preview = run.request.is_preview},
                                              sink);
}

// Somebody must agree, or only wants to see it.
void Conductor::on(DepartureNear& message) {
  Run* const run = find(message.run);
  if (run == nullptr || run->is_cancelled) return;
  const advisor::Departure& departure = *message.departure;
  if (!departure.consent.empty()) {
    run->sink->on_status(fmt::format("waiting for consent to send {} bytes to {}/{} ({})", departure.body.size(),
                                     departure.provider, departure.model, departure.label));
  }
  run->sink->on_departure(message.departure);
}

void Conductor::on(UpstreamSaid& message) {
  Run* const run = find(message.run);
  if (run == nullptr || run->stage != Stage::kUpstream || run->is_cancelled) return;
  const UpstreamPiece& piece = message.piece;
  if (!std::exchange(run->has_visible_text, true)) {
    run->upstream_began_ms = run->receipt.first_token_ms = ms_since(run->admitted_ns);
  }
  ChatSink& sink = *run->sink;
  if (!piece.reasoning.empty()) sink.on_reasoning(piece.choice, piece.reasoning);
  static const engine::TokenEvent kNoToken;
  const auto n_tokens = piece.tokens.size();
  if (!piece.text.empty() || n_tokens > 0) {
    sink.on_text(piece.choice, piece.text, n_tokens > 0 ? piece.tokens[0] : kNoToken);
  }
  for (std::size_t i = 1; i < n_tokens; ++i) sink.on_text(piece.choice, "", piece.tokens[i]);
  for (const ToolCallPiece& call : piece.calls) sink.on_tool_call(piece.choice, call);
}

void Conductor::on(UpstreamStatus& message) {
  Run* const run = find(message.run);
  if (run != nullptr && run->stage == Stage::kUpstream) run->sink->on_status(message.text);
}

void Conductor::on(UpstreamEnded& message) {
  Run* const run = find(message.run);
  if (run == nullptr || run->stage != Stage::kUpstream) return;
  UpstreamEnd& end = message.end;
  Receipt& receipt = run->receipt;
  receipt.usage = end.usage;
  receipt.left_out = std::move(end.left_out);
  if (!end.odd.empty()) receipt.advice_detail += "; " + end.odd;
  if (end.is_preview) receipt.advice_detail = "this was a preview: nothing has left";
  receipt.bytes_out += end.bytes_out;
  receipt.cost_usd_micro += end.cost_usd_micro;
  const double decode_ms = ms_since(run->admitted_ns) - run->upstream_began_ms;
  if (run->has_visible_text && end.usage.completion_tokens > 1 && decode_ms > 0) {
    receipt.tokens_per_second = (end.usage.completion_tokens - 1) * 1000.0 / decode_ms;
  }
  if (run->is_cancelled) return cancel_run(*run);
  if (end.error) return fail_run(*run, *std::move(end.error));
  for (std::uint32_t choice = 0; choice < run->answers.size(); ++choice) {
    const std::string reason = choice < end.finish_reasons.size() ? end.finish_reasons[choice] : "";
    run->answers[choice].reason = reason_of(reason);
    end_choice(*run, choice);
  }
  receipt.end = receipt_end(run->answers[0].reason);
  store_receipt(*run);
}

}  // namespace hearth::hub
