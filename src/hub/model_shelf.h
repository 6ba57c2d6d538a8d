// Which models there are, what a request's name means, and which ones are loaded.
//
// A name is resolved at once, from the last scan; loading happens on a thread of its own,
// one model after another, so that nobody who only wants an answer from a loaded model
// ever waits for another's load.  Loaded models are kept up to a budget of bytes, least
// recently used first to go; a model that a request still holds lives on until that
// request ends (shared_ptr), so nothing that runs is ever pulled away.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/engine.h"
#include "hub/hub.h"
#include "hub/prompt.h"
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
  virtual Result<std::shared_ptr<const model::Model>> load(const store::CatalogueEntry& entry) = 0;
};

// The real one: the catalogue and Model::load.
std::unique_ptr<ModelSource> make_catalogue_source(store::CatalogueOptions options,
                                                   model::LoadOptions load = {});

struct ShelfOptions {
  std::string default_model;
  // Names of models, and of smaller ones that draft for them.
  std::vector<std::pair<std::string, std::string>> drafts;
  std::uint64_t bytes_max = 0;  // Of loaded weights.
};

// What a request's model name stands for.
struct ModelChoice {
  // Tried in this order: only "auto" and "local" without a configured default have more than one.
  std::vector<store::CatalogueEntry> candidates;
  bool is_auto = false;   // Named "auto": the configuration's advice mode applies.
  bool may_leave = true;  // False for "local".
};

// A model that was made ready, and which entry it is.
struct Loaded {
  store::CatalogueEntry entry;
  ReadyModelPtr model;
};

// Threading: any thread.
class ModelShelf {
 public:
  ModelShelf(std::unique_ptr<ModelSource> source, ShelfOptions options,
             const Clock& clock = Clock::system());
  ~ModelShelf();

  // kNotFound names the models that there are.
  Result<ModelChoice> resolve(std::string_view name);

  // Hands the first candidate that loads, or the last error, to `done`: at once if it is loaded,
  // else on the loading thread.  `candidates` must not be empty; those that failed a moment ago are
  // left out if others remain.
  using Done = std::function<void(Result<Loaded>)>;
  void get(std::vector<store::CatalogueEntry> candidates, Done done);

  // The last scan, with what is loaded; a new one is started if that is older than a few seconds.
  std::vector<ModelEntry> entries();

  // Any loaded model, most recently used first; null if there is none.
  ReadyModelPtr any_loaded() const;

 private:
  struct Slot {
    std::string path;
    std::uint64_t file_bytes = 0;
    ReadyModelPtr model;
  };

  Result<ModelChoice> resolve_default(bool is_auto);
  void rescan_later();
  void scan_now();
  Result<Loaded> load_first(const std::vector<store::CatalogueEntry>& candidates);
  Result<ReadyModelPtr> load(const store::CatalogueEntry& entry);
  Result<std::shared_ptr<const model::Model>> load_draft_model(const store::CatalogueEntry& entry,
                                                               const model::Model& model);
  ReadyModelPtr find_loaded(const store::CatalogueEntry& entry);
  // Removes what failed to load a moment ago, unless nothing would be left.
  void leave_out_failed(std::vector<store::CatalogueEntry>& candidates) const;
  void remember_failure(const store::CatalogueEntry& entry);
  void keep(const store::CatalogueEntry& entry, const ReadyModelPtr& model);

  const std::unique_ptr<ModelSource> source_;
  const ShelfOptions options_;
  const Clock& clock_;

  mutable std::mutex mutex_;  // Guards what follows; never held while scanning or loading.
  std::vector<store::CatalogueEntry> entries_;
  std::int64_t scanned_at_ns_ = 0;
  bool scan_is_due_ = false;
  std::unordered_map<std::string, std::int64_t> failed_at_ns_;  // By path.
  std::list<Slot> loaded_;                                      // Most recently used first.

  Worker loader_;  // Last: its jobs use the members above.
};

// The entries that "auto" stands for without a configured default, best first: the largest runnable
// ones of at most kAutoModelBytesMax that are not embedded, then the embedded one.
std::vector<store::CatalogueEntry> auto_candidates(
    const std::vector<store::CatalogueEntry>& entries);

}  // namespace hearth::hub
