#include "hub/create_hub.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "hub/conductor.h"
#include "hub/private_adviser.h"

namespace hearth::hub {
namespace {

Result<> open_adviser(HubOptions& options, ConductorParts& parts, const Clock& clock) {
  std::vector<std::string> providers;
  for (const auto& adviser : options.advisers) providers.push_back(adviser.provider);
  HEARTH_TRY(parts.http, net::HttpClient::create());
  HEARTH_TRY(parts.adviser, advisor::Adviser::create(std::move(options.advisers), *parts.http, *parts.writer, clock,
                                                     parts.consents.get()));
  const bool has_store = !options.advice_store.file.empty() && (options.remembers_advice || options.defers_questions);
  if (has_store) {
    HEARTH_TRY(parts.advice_store, advisor::AdviceStore::open(options.advice_store, clock));
  }
  parts.adviser = make_private(std::move(parts.adviser), *parts.privacy, std::move(providers),
                               options.remembers_advice ? parts.advice_store.get() : nullptr);
  return {};
}

Result<> open_upstreams(HubOptions& options, ConductorParts& parts, const Clock& clock) {
  const std::string llama = find_program(options.llama_server.program);
  const bool is_named = options.llama_server.program.find('/') != std::string::npos;
  if (llama.empty() && is_named) {
    return fail(Code::kNotFound, fmt::format("llama_server.path is '{}', where no program is",
                                             options.llama_server.program));
  }
  if (options.upstreams.empty() && llama.empty()) return {};
  if (parts.http == nullptr) {
    HEARTH_TRY(parts.http, net::HttpClient::create());
  }
  HEARTH_TRY(parts.upstreams, UpstreamDirectory::create(options.upstreams, *parts.http, clock));
  if (!llama.empty()) {
    parts.llama = std::make_unique<LlamaServer>(llama, options.llama_server, *parts.http);
  }
  parts.upstream_desk = std::make_unique<UpstreamDesk>(*parts.upstreams, *parts.http, *parts.writer,
                                                       parts.llama.get(), clock, parts.consents.get());
  return {};
}

Result<> check_second(const HubOptions& options, ModelShelf& shelf) {
  if (options.second_model.empty()) return {};
  HEARTH_TRY(const ModelChoice found, shelf.resolve(options.second_model));
  const bool is_pinned = std::ranges::find(options.pinned_models, options.second_model) != options.pinned_models.end();
  const std::uint64_t bytes = found.candidates.front().bytes;
  if (bytes <= kSecondBytesMax || is_pinned) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("advice.second_model is '{}', which has {} bytes: a second opinion must be cheap, so at most {}, or "
                          "pinned (models.pinned)", options.second_model, bytes, kSecondBytesMax));
}

// The default, if it is another server's.
std::string take_default_upstream(HubOptions& options) {
  for (const UpstreamOptions& upstream : options.upstreams) {
    if (options.default_model.starts_with(upstream.name + "/")) return std::exchange(options.default_model, {});
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Hub>> create_hub(HubOptions options, const Clock& clock) {
  ConductorParts parts;
  HEARTH_TRY(parts.ledger,
             ledger::Ledger::open(options.ledger_path, ledger::Ledger::Mode::kReadWrite, clock));
  parts.writer = std::make_unique<ledger::LedgerWriter>(*parts.ledger);
  parts.privacy = std::make_unique<PrivacyGate>(std::move(options.privacy));
  parts.consents = std::move(options.consents);
  if (parts.consents == nullptr && (!options.advisers.empty() || !options.upstreams.empty())) {
    parts.consents = std::make_shared<advisor::ConsentDesk>(options.consent, clock);
  }
  if (!options.advisers.empty()) HEARTH_TRY_VOID(open_adviser(options, parts, clock));
  HEARTH_TRY_VOID(open_upstreams(options, parts, clock));
  LlamaServer* const llama = parts.llama.get();
  const std::string default_upstream = take_default_upstream(options);
  if (!options.tasks.tasks.empty()) {
    HEARTH_TRY(TaskRouter router, TaskRouter::create(std::move(options.tasks)));
    parts.tasks = std::make_unique<TaskRouter>(std::move(router));
  }
  HEARTH_TRY(parts.engine, engine::Engine::create(options.engine, clock));
  if (options.load.reader == nullptr) options.load.reader = std::make_shared<PageReader>();
  const std::shared_ptr<PageReader> reader = options.load.reader;
  parts.shelf = std::make_unique<ModelShelf>(
      make_catalogue_source(std::move(options.catalogue), options.load),
      ShelfOptions{.default_model = options.default_model,
                   .drafts = options.drafts,
                   .bytes_max = options.models_bytes_max,
                   .give_back = options.give_back,
                   .reader = reader,
                   .pinned = options.pinned_models,
                   .preloaded = options.preloaded_models,
                   .adapters_bytes_max = options.adapters_bytes_max,
                   .other_bytes = [llama] { return llama != nullptr ? llama->bytes_used() : 0; },
                   .free_other = [llama] { llama->stop_if_idle(); }},
      clock);
  parts.embedding_desk = std::make_unique<EmbeddingDesk>(
      EmbeddingDeskOptions{.budget = parts.shelf->budget(), .n_threads = options.engine.n_threads});
  // A default that names nothing is a mistake in the configuration: say so now, not at each
  // request.
  if (!options.default_model.empty()) {
    HEARTH_TRY([[maybe_unused]] const ModelChoice found,
               parts.shelf->resolve(options.default_model));
  }
  HEARTH_TRY_VOID(check_second(options, *parts.shelf));
  for (const auto& [name, draft_name] : options.drafts) {
    HEARTH_TRY([[maybe_unused]] const ModelChoice model, parts.shelf->resolve(name));
    HEARTH_TRY([[maybe_unused]] const ModelChoice draft, parts.shelf->resolve(draft_name));
  }
  return std::make_unique<Conductor>(std::move(parts),
                                     ConductorOptions{.default_advice = options.default_advice,
                                                      .requests_max = options.requests_max,
                                                      .default_upstream = default_upstream,
                                                      .ask = options.ask,
                                                      .learned_folder = options.learned_folder,
                                                      .second_model = options.second_model,
                                                      .asks_early = options.asks_early,
                                                      .defers = options.defers_questions,
                                                      .keeps_unstored =
                                                          options.snapshots_of_unstored},
                                     clock);
}

}  // namespace hearth::hub
