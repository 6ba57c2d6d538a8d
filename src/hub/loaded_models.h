// The models that are loaded, what the memory budget left of each, and which one is expected next.
//
// Loaded means bound: header read, tokenizer and template there.  That is small and stays, up to
// kLoadedMax models; bytes of weights come and go (store/memory_budget.h).  A switch that repeats is
// foreseen (store/switch_forecast.h), and the next model's weights are read beside what runs now.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "hub/hub.h"
#include "hub/resident_model.h"
#include "store/catalogue.h"
#include "store/memory_budget.h"
#include "store/switch_forecast.h"

namespace hearth::hub {

inline constexpr std::size_t kLoadedMax = 512;

// Threading: any thread.
class LoadedModels {
 public:
  // `reader` may be null: then nothing streams.
  LoadedModels(std::shared_ptr<store::MemoryBudget> budget, std::shared_ptr<PageReader> reader,
               GiveBack where);

  // Of this version and undamaged; null otherwise.
  std::shared_ptr<ResidentModel> find(const store::CatalogueEntry& entry);
  // The newest, whose room others make.
  std::shared_ptr<ResidentModel> keep(const store::CatalogueEntry& entry, ReadyModelPtr model,
                                      double load_ms);
  void drop(const std::string& path);
  // As drop(), of a model that nobody needs: kPermissionDenied if it is pinned, kUnavailable if it is leased.
  Result<> unload(const store::CatalogueEntry& entry);
  ReadyModelPtr set_pinned(const std::string& path, bool is_pinned);  // Null if it is not loaded.

  // A request that names the model of `path` came: says what may come next.
  void note(const std::string& path);
  // A request takes it: has what is missing of it, and of what drafts for it, read.
  void use(ResidentModel& resident);
  // Whether settle() would find something to do.
  bool is_unsettled(const ResidentModel& resident) const;
  // Makes room for what is read, and has the model that is expected next read as well.  May take
  // some milliseconds.
  void settle(const std::shared_ptr<ResidentModel>& newest);
  // The same for the one that was settled last, once something was let go of.
  void settle();
  bool is_over_budget() const { return budget_->bytes_used() > budget_->bytes_max(); }

  // Whether its weights are being read for somebody.
  bool is_streaming(const std::string& path) const;

  // A loaded model whose weights are all there, most recently used first; null if there is none.
  ReadyModelPtr any() const;
  bool is_loaded(const std::string& path) const;
  std::uint64_t kv_bytes_per_token(const std::string& path) const;  // 0 if it is not loaded.
  // Fills in all but what the page cache knows; by path.
  std::unordered_map<std::string, ModelMemory> report(MemoryReport& sums) const;

 private:
  struct Slot {
    std::string path;
    std::uint64_t version = 0;  // CatalogueEntry::version.
    std::shared_ptr<ResidentModel> resident;
    double load_ms = 0;
  };

  // With the lock held:
  std::shared_ptr<ResidentModel> of_path(const std::string& path) const;
  std::shared_ptr<ResidentModel> of_model(const model::Model* model) const;
  void erase(std::list<Slot>::iterator slot);
  void drop_gone();
  ModelMemory memory_of(const Slot& slot) const;
  static void add_mapped(std::span<const Slot> slots, std::span<ModelMemory> memories);

  const std::shared_ptr<store::MemoryBudget> budget_;
  const std::shared_ptr<PageReader> reader_;
  const GiveBack where_;
  mutable std::mutex mutex_;  // Guards what follows; never held while the budget is asked to settle.
  std::list<Slot> slots_;     // Most recently used first.
  store::SwitchForecast forecast_;
  std::weak_ptr<ResidentModel> newest_;
  std::string expected_;      // Path of the model that is expected next; empty: none.
};

}  // namespace hearth::hub
