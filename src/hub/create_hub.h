// The way to a running hub: from options to an object that answers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "advisor/adviser.h"
#include "advisor/gate/ask_policy.h"
#include "advisor/memory/advice_store.h"
#include "base/clock.h"
#include "base/page_stream.h"
#include "base/result.h"
#include "engine/engine.h"
#include "hub/chat.h"
#include "hub/hub.h"
#include "hub/privacy_gate.h"
#include "hub/tasks/task_router.h"
#include "hub/upstream/llama_server.h"
#include "hub/upstream/upstream_options.h"
#include "store/catalogue.h"

namespace hearth::hub {

struct HubOptions {
  store::CatalogueOptions catalogue;
  // What "auto" and "local" stand for: a catalogue name, a path or UPSTREAM/MODEL.  Empty: the largest runnable
  // model of at most kAutoModelBytesMax that is not embedded, else the embedded one.
  std::string default_model;
  // Weights kept loaded; what costs least to load again goes first, what a request still uses stays.
  // 0: half of the machine's memory.
  std::uint64_t models_bytes_max = 0;
  GiveBack give_back = GiveBack::kToCache;  // ShelfOptions.
  std::vector<std::string> pinned_models, preloaded_models;  // ShelfOptions.
  std::uint64_t adapters_bytes_max = 0;  // Adapters kept resident; 0: a quarter of the memory.
  model::LoadOptions load;
  std::vector<std::pair<std::string, std::string>> drafts;  // ShelfOptions::drafts.
  engine::EngineOptions engine;
  bool snapshots_of_unstored = false;              // ConductorOptions::keeps_unstored.
  TaskRouterOptions tasks;                         // Without any, "auto" is `default_model`.
  std::filesystem::path ledger_path;               // Created if it is not there.
  std::vector<advisor::AdviserOptions> advisers;   // In order of preference; empty: there is none.
  PrivacyOptions privacy;                          // What may leave.
  advisor::ConsentOptions consent;                 // How somebody is asked, where the policy wants that.
  // Where that happens, if others ask there, too; null: at a desk of the hub's own.
  std::shared_ptr<advisor::ConsentDesk> consents = {};
  // Where advice is remembered and questions are deferred; its file empty: nowhere.
  advisor::AdviceStoreOptions advice_store;
  // Whose answer drafts are held against: at most kSecondBytesMax, or pinned.  Empty: nobody's.
  std::string second_model;
  bool asks_early = false;  // While an unsure draft goes on.
  bool remembers_advice = true;
  bool defers_questions = true;  // For which no adviser was reached.
  std::vector<UpstreamOptions> upstreams;          // Without these and an adviser nothing ever leaves.
  // Runs what the engine can't, if it is installed.
  LlamaServerOptions llama_server = {.program = ""};
  advisor::gate::AskPolicy ask;                    // When the adviser is asked.
  std::filesystem::path learned_folder;            // What was learned of that; empty: nothing is.
  AdviceMode default_advice = AdviceMode::kAuto;   // For requests to "auto" that do not say.
  std::uint32_t requests_max = 1024;               // At once; more are kUnavailable.
};

// Larger models answer too slowly on a processor to be anybody's unasked default.
inline constexpr std::uint64_t kAutoModelBytesMax = std::uint64_t{8} << 30;

// A second opinion must be cheap: another model is not moved out of memory for it.
inline constexpr std::uint64_t kSecondBytesMax = std::uint64_t{1} << 30;

// Opens the ledger, scans for models, starts the engine and the hub's threads.  No model is loaded
// yet.  Errors are those of Ledger::open, Adviser::create, UpstreamDirectory::create and
// Engine::create, and kNotFound if `default_model` names nothing.
Result<std::unique_ptr<Hub>> create_hub(HubOptions options, const Clock& clock = Clock::system());

}  // namespace hearth::hub
