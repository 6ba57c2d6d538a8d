// Which models there are, what a request's name means, and which ones are loaded.
//
// A name is resolved at once, from the last scan; the first scan runs beside the start of the
// program, and only who asks before its end waits for it.  Loading happens on a thread of its own,
// one model after another, so that nobody who only wants an answer from a loaded model
// ever waits for another's load.
//
// What is loaded, and how much of it is in memory, is the business of hub/loaded_models.h.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/engine.h"
#include "hub/adapter_name.h"
#include "hub/adapter_shelf.h"
#include "hub/hub.h"
#include "hub/loaded_models.h"
#include "hub/prompt.h"
#include "hub/upstream/upstream_directory.h"
#include "hub/worker.h"
#include "store/catalogue.h"

namespace hearth::hub {

// Where entries come from and how a file becomes a model; tests bring their own.
//
// Threading: any thread.
class ModelSource {
 public:
  virtual ~ModelSource() = default;
  // May take its time: walks folders.  Entries sorted by name.
  virtual std::vector<store::CatalogueEntry> scan() = 0;
  // As Catalogue::find, over the last scan; quick.
  virtual Result<store::CatalogueEntry> find(std::string_view name) const = 0;
  // The same, also for models that can't run; a source without any need not say so.
  virtual Result<store::CatalogueEntry> find_any(std::string_view name) const { return find(name); }
  virtual Result<std::shared_ptr<const model::Model>> load(const store::CatalogueEntry& entry) = 0;

  // The same for adapters; a source without any need not say so.
  virtual std::vector<store::CatalogueEntry> adapters() const { return {}; }
  virtual Result<store::CatalogueEntry> find_adapter(std::string_view name) const;
  virtual Result<std::shared_ptr<const model::Adapter>> load_adapter(
      const store::CatalogueEntry& entry, const model::Model& base);
};

// The real one: the catalogue and Model::load.
std::unique_ptr<ModelSource> make_catalogue_source(store::CatalogueOptions options,
                                                   model::LoadOptions load = {});

struct ShelfOptions {
  std::string default_model;
  // Names of models, and of smaller ones that draft for them.
  std::vector<std::pair<std::string, std::string>> drafts;
  std::uint64_t bytes_max = 0;  // Of loaded weights; 0: half of the machine's memory.
  GiveBack give_back = GiveBack::kToCache;  // Where weights go that the budget has no room for.
  std::shared_ptr<PageReader> reader = nullptr;  // That models' weights stream through; null: they don't.
  // Names of models that are loaded at the start; the first list's never go, and are locked in memory
  // as far as this process may.
  std::vector<std::string> pinned, preloaded;
  std::uint64_t adapters_bytes_max = 0;  // Of resident adapters.
  // Who else holds models in memory, under the same budget: how much, and a request to let go of what
  // nobody uses.  Neither may block.
  std::function<std::uint64_t()> other_bytes = {};
  std::function<void()> free_other = {};
};

// What a request's model name stands for.
struct ModelChoice {
  // Tried in this order: only "auto" and "local" without a configured default have more than one.
  std::vector<store::CatalogueEntry> candidates;
  bool is_auto = false;   // Named "auto": the configuration's advice mode applies.
  bool may_leave = true;  // False for "local".
  std::vector<AdapterEntry> adapters;
  std::optional<UpstreamTarget> upstream;  // Another server has it: there are no candidates then.
  std::string why;  // For "auto" and "local" with tasks: the choice in one sentence.
};

// A model that was made ready, and which entry it is.
struct Loaded {
  store::CatalogueEntry entry;
  ReadyModelPtr model;
  std::vector<engine::AdapterChoice> adapters;
};

// Threading: any thread.
class ModelShelf {
 public:
  ModelShelf(std::unique_ptr<ModelSource> source, ShelfOptions options,
             const Clock& clock = Clock::system());
  ~ModelShelf();

  // kNotFound names the models, or adapters, that there are.
  Result<ModelChoice> resolve(std::string_view name);
  Result<std::vector<AdapterEntry>> resolve_adapters(std::span<const AdapterWish> wishes);
  // The whole model of that name which this engine can't run; nullopt if there is none.
  std::optional<store::CatalogueEntry> find_foreign(std::string_view name);
  // As find_tagged(), of the models that "auto" may mean and of all adapters.
  std::string find_tagged(const std::vector<std::string>& tags) const;

  // Hands the first candidate that loads and that the adapters fit, or the last error, to `done`: at
  // once if all is loaded, else on the loading thread.  `candidates` must not be empty; those that failed a moment ago are
  // left out if others remain.
  using Done = std::function<void(Result<Loaded>)>;
  void get(std::vector<store::CatalogueEntry> candidates, std::vector<AdapterEntry> adapters,
           Done done);

  // A request let go of its model: what had to stay because of it may go now.
  void released();

  // The last scan, with what is loaded; a new one is started if that is older than a few seconds.
  std::vector<ModelEntry> entries();

  // Scans again, and returns when that is done; waits for a model that is being loaded.
  void refresh();

  // What is loaded, what the page cache holds of the rest, and the budget.  Asks the kernel about each
  // file: some microseconds each.
  MemoryReport memory();

  // Of one model, by its name; nothing happens if it is not loaded.  Errors: those of Hub::unload().
  Result<> unload(std::string_view name);
  // Of one that is loaded; its weights are locked or unlocked on the loading thread.  Errors: those of
  // Hub::set_pinned().
  Result<> set_pinned(std::string_view name, bool is_pinned);

  // The budget, for others who keep weights.
  std::shared_ptr<store::MemoryBudget> budget() const { return budget_; }

  // Any loaded model whose weights are all there, most recently used first; null if there is none.
  ReadyModelPtr any_loaded() const;

 private:
  Result<ModelChoice> resolve_model(std::string_view name);
  Result<ModelChoice> resolve_default(bool is_auto);
  void list_pairs(std::vector<ModelEntry>& listed) const;
  void rescan_later();
  void scan_now();
  // Returns once there has been a scan.
  void wait_for_scan() const;
  Result<Loaded> load_first(const std::vector<store::CatalogueEntry>& candidates,
                            const std::vector<AdapterEntry>& adapters);
  Result<std::shared_ptr<ResidentModel>> load(const store::CatalogueEntry& entry);
  double ms_since(std::int64_t started_ns) const;
  Result<ReadyModelPtr> make_ready(const store::CatalogueEntry& entry);
  Result<std::shared_ptr<const model::Model>> load_draft_model(const store::CatalogueEntry& entry,
                                                               const model::Model& model);
  // Removes what failed to load a moment ago, unless nothing would be left.
  void leave_out_failed(std::vector<store::CatalogueEntry>& candidates) const;
  void remember_failure(const store::CatalogueEntry& entry);
  void load_at_start();
  // Whether the bytes of a stored model are still those that were imported, once for each version of
  // it.  One that is not is dropped, and not loaded until it is imported again.
  void check_later(const store::CatalogueEntry& entry);
  void check_now(const store::CatalogueEntry& entry);
  Result<> refuse_damaged(const store::CatalogueEntry& entry) const;
  void pin_at_start(const store::CatalogueEntry& entry);

  const std::unique_ptr<ModelSource> source_;
  const ShelfOptions options_;
  const Clock& clock_;
  const std::shared_ptr<store::MemoryBudget> budget_;

  AdapterShelf adapter_shelf_;
  LoadedModels loaded_;
  mutable std::mutex mutex_;  // Guards what follows; never held while scanning or loading.
  mutable std::condition_variable scanned_;
  std::vector<store::CatalogueEntry> entries_;
  std::vector<store::CatalogueEntry> adapters_;
  std::optional<std::int64_t> scanned_at_ns_;
  bool scan_is_due_ = false;
  std::unordered_map<std::string, std::int64_t> failed_at_ns_;  // By path.
  std::string loading_path_;  // Of the model being loaded; empty if none is.

  // Version of each stored model that was checked, and what was found, by path.
  struct Checked {
    std::uint64_t version = 0;
    std::optional<Error> error;
  };
  std::unordered_map<std::string, Checked> checked_;
  std::atomic<bool> is_stopping_ = false;

  Worker checker_;
  Worker loader_;  // Last: their jobs use the members above.
};

// The entries that "auto" stands for without a configured default, best first: the largest runnable
// ones of at most kAutoModelBytesMax that are not embedded, then the embedded one.
std::vector<store::CatalogueEntry> auto_candidates(
    const std::vector<store::CatalogueEntry>& entries);

}  // namespace hearth::hub
