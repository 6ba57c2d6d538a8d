#include "hub/loaded_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hearth::hub {

LoadedModels::LoadedModels(std::shared_ptr<store::MemoryBudget> budget,
                           std::shared_ptr<PageReader> reader, GiveBack where)
    : budget_(std::move(budget)), reader_(std::move(reader)), where_(where) {}

std::shared_ptr<ResidentModel> LoadedModels::of_path(const std::string& path) const {
  const auto slot = std::ranges::find(slots_, path, &Slot::path);
  return slot == slots_.end() ? nullptr : slot->resident;
}

std::shared_ptr<ResidentModel> LoadedModels::of_model(const model::Model* model) const {
  const auto slot = std::ranges::find_if(
      slots_, [&](const Slot& s) { return s.resident->model()->model.get() == model; });
  return slot == slots_.end() ? nullptr : slot->resident;
}

void LoadedModels::erase(std::list<Slot>::iterator slot) {
  budget_->forget(slot->resident.get());
  slots_.erase(slot);
}

void LoadedModels::drop_gone() {
  for (auto slot = slots_.begin(); slot != slots_.end();) {
    const auto next = std::next(slot);
    if (slot->resident->is_gone()) erase(slot);
    slot = next;
  }
}

std::shared_ptr<ResidentModel> LoadedModels::find(const store::CatalogueEntry& entry) {
  const std::lock_guard lock(mutex_);
  const auto slot = std::ranges::find(slots_, entry.path.string(), &Slot::path);
  if (slot == slots_.end() || slot->version != entry.version) return nullptr;
  const bool is_lost = slot->resident->is_gone() || slot->resident->model()->model->is_damaged();
  if (is_lost) {  // Loading it again finds it repaired, or says why not.
    erase(slot);
    return nullptr;
  }
  slots_.splice(slots_.begin(), slots_, slot);
  return slot->resident;
}

std::shared_ptr<ResidentModel> LoadedModels::keep(const store::CatalogueEntry& entry,
                                                  ReadyModelPtr model, double load_ms) {
  const auto resident = std::make_shared<ResidentModel>(std::move(model), where_);
  drop(entry.path.string());
  const std::lock_guard lock(mutex_);
  if (slots_.size() >= kLoadedMax) {
    const auto idle = std::find_if(slots_.rbegin(), slots_.rend(), [](const Slot& slot) {
      return slot.resident->n_leases() == 0 && !slot.resident->is_pinned();
    });
    if (idle != slots_.rend()) erase(std::next(idle).base());
  }
  slots_.push_front({entry.path.string(), entry.version, resident, load_ms});
  return resident;
}

void LoadedModels::drop(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto slot = std::ranges::find(slots_, path, &Slot::path);
  if (slot != slots_.end()) erase(slot);
}

Result<> LoadedModels::unload(const store::CatalogueEntry& entry) {
  const std::lock_guard lock(mutex_);
  const auto slot = std::ranges::find(slots_, entry.path.string(), &Slot::path);
  if (slot == slots_.end()) return {};
  if (slot->resident->is_pinned()) {
    return fail(Code::kPermissionDenied,
                fmt::format("'{}' is pinned: unpin it first, or take it from [models] pinned", entry.name));
  }
  if (const auto n = slot->resident->n_leases(); n > 0) {
    return fail(Code::kUnavailable, fmt::format("'{}' is held by {} requests; try again when they have ended", entry.name, n));
  }
  erase(slot);
  return {};
}

ReadyModelPtr LoadedModels::set_pinned(const std::string& path, bool is_pinned) {
  const std::lock_guard lock(mutex_);
  const auto resident = of_path(path);
  if (resident == nullptr) return nullptr;
  resident->set_pinned(is_pinned);
  return resident->model();
}

void LoadedModels::note(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!forecast_.note(path)) return;
  if (!expected_.empty() && expected_ != path) {
    const auto wrong = of_path(expected_);
    if (wrong != nullptr && wrong->stream() != nullptr) (void)wrong->stream()->forget_guess();
  }
  const auto guess = forecast_.guess();
  expected_ = guess ? guess->name : std::string();
}

void LoadedModels::use(ResidentModel& resident) {
  double load_ms = 0;
  std::shared_ptr<ResidentModel> self, draft;
  {
    const std::lock_guard lock(mutex_);
    const auto slot = std::ranges::find_if(
        slots_, [&](const Slot& s) { return s.resident.get() == &resident; });
    if (slot == slots_.end()) return;  // Dropped meanwhile: whoever holds it has all of it.
    self = slot->resident;
    load_ms = slot->load_ms;
    const auto& draft_model = resident.model()->draft_model;
    if (draft_model != nullptr) draft = of_model(draft_model.get());
  }
  for (const auto& each : {self, draft}) {
    if (each == nullptr) continue;
    each->bring_in(Want::kSoon);
    budget_->use(each, each->miss_ms(load_ms));
  }
}

bool LoadedModels::is_unsettled(const ResidentModel& resident) const {
  if (!resident.is_whole()) return true;
  const std::lock_guard lock(mutex_);
  const auto expected = expected_.empty() ? nullptr : of_path(expected_);
  return expected != nullptr && !expected->is_whole();
}

void LoadedModels::settle() {
  std::shared_ptr<ResidentModel> newest;
  {
    const std::lock_guard lock(mutex_);
    newest = newest_.lock();
  }
  budget_->settle(newest.get());
  const std::lock_guard lock(mutex_);
  drop_gone();
}

void LoadedModels::settle(const std::shared_ptr<ResidentModel>& newest) {
  {
    const std::lock_guard lock(mutex_);
    newest_ = newest;
  }
  budget_->settle(newest.get());
  std::shared_ptr<ResidentModel> expected;
  {
    const std::lock_guard lock(mutex_);
    drop_gone();
    if (!expected_.empty()) expected = of_path(expected_);
  }
  if (expected == nullptr || expected == newest || expected->is_whole()) return;
  expected->bring_in(Want::kGuess);
  budget_->settle(expected.get());
}

bool LoadedModels::is_streaming(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  const auto resident = of_path(path);
  return resident != nullptr && resident->stream() != nullptr && resident->stream()->is_streaming();
}

ReadyModelPtr LoadedModels::any() const {
  const std::lock_guard lock(mutex_);
  const auto whole = std::ranges::find_if(slots_, [](const Slot& s) { return s.resident->is_whole(); });
  return whole == slots_.end() ? nullptr : whole->resident->model();
}

bool LoadedModels::is_loaded(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  const auto resident = of_path(path);
  return resident != nullptr && resident->bytes_held() > 0;
}

std::uint64_t LoadedModels::kv_bytes_per_token(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  const auto resident = of_path(path);
  return resident == nullptr ? 0 : resident->model()->model->kv_layout().token_bytes();
}

ModelMemory LoadedModels::memory_of(const Slot& slot) const {
  const ResidentModel& resident = *slot.resident;
  const PageStream* const stream = resident.stream();
  ModelMemory memory{.bytes = resident.model()->model->weight_bytes(),
                     .is_loaded = true,
                     .n_leases = resident.n_leases(),
                     .n_uses = budget_->n_uses(&resident),
                     .load_ms = slot.load_ms};
  memory.ready_bytes = memory.bytes;
  memory.residence = resident.is_pinned() ? Residence::kPinned : Residence::kCached;
  if (stream == nullptr) return memory;
  const PageStream::Progress progress = stream->progress();
  memory.bytes = progress.bytes;
  memory.ready_bytes = progress.bytes_ready;
  memory.wanted_bytes = progress.bytes_wanted;
  memory.waited_ms = static_cast<double>(stream->waited().count()) / 1e6;
  if (progress.bytes_wanted > 0) memory.residence = Residence::kStreaming;
  return memory;
}

// One look at the page tables for all of them.
void LoadedModels::add_mapped(std::span<const Slot> slots, std::span<ModelMemory> memories) {
  std::vector<std::span<const std::byte>> ranges;
  std::vector<std::size_t> owners;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].resident->stream() == nullptr) continue;
    for (const MappedPart& part : slots[i].resident->stream()->parts()) {
      ranges.push_back(part.bytes);
      owners.push_back(i);
    }
  }
  const std::vector<MappedBytes> mapped = mapped_bytes(ranges);
  for (std::size_t r = 0; r < ranges.size(); ++r) {
    memories[owners[r]].mapped_bytes += mapped[r].mapped;
    memories[owners[r]].large_page_bytes += mapped[r].large;
  }
}

std::unordered_map<std::string, ModelMemory> LoadedModels::report(MemoryReport& sums) const {
  std::vector<Slot> slots;
  {
    const std::lock_guard lock(mutex_);
    slots.assign(slots_.begin(), slots_.end());
    const store::SwitchForecast::Stats& stats = forecast_.stats();
    sums.guesses = stats.guesses;
    sums.guess_hits = stats.hits;
  }
  sums.bytes_max = budget_->bytes_max();
  sums.bytes_used = budget_->bytes_used();
  if (reader_ != nullptr) {
    const PageReaderStats stats = reader_->stats();
    sums.read_bytes = stats.bytes_asked;
    sums.guessed_bytes = stats.bytes_guessed;
    sums.wasted_bytes = stats.bytes_wasted;
  }
  std::vector<ModelMemory> memories;
  for (const Slot& slot : slots) memories.push_back(memory_of(slot));
  add_mapped(slots, memories);
  std::unordered_map<std::string, ModelMemory> found;
  for (std::size_t i = 0; i < slots.size(); ++i) found[slots[i].path] = std::move(memories[i]);
  return found;
}

}  // namespace hearth::hub
