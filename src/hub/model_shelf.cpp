#include "hub/model_shelf.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/log.h"
#include "gguf/pack_check.h"
#include "hub/create_hub.h"
#include "model/encoder.h"
#include "model/memory.h"
#include "store/adapters.h"
#include "store/residency.h"

namespace hearth::hub {
namespace {

constexpr std::string_view kAuto = "auto";
constexpr std::string_view kLocal = "local";
constexpr std::string_view kEmbedded = "embedded";
constexpr std::string_view kStored = "store";
constexpr std::int64_t kFailureAgeNs = 60'000'000'000;  // "auto" tries a broken model again then.
constexpr std::int64_t kScanAgeNs = 5'000'000'000;      // Listings older than this are refreshed.

constexpr std::size_t kListedPairsMax = 4096;           // Of models and adapters.

std::uint64_t half_of_memory() {
  const auto pages = static_cast<std::uint64_t>(std::max(::sysconf(_SC_PHYS_PAGES), 0L));
  return pages * static_cast<std::uint64_t>(std::max(::sysconf(_SC_PAGESIZE), 0L)) / 2;
}

}  // namespace

std::vector<store::CatalogueEntry> auto_candidates(
    const std::vector<store::CatalogueEntry>& entries) {
  std::vector<store::CatalogueEntry> candidates;
  for (const store::CatalogueEntry& entry : entries) {
    const bool fits = entry.bytes <= kAutoModelBytesMax || entry.source == kEmbedded;
    const bool chats = !model::is_encoder_architecture(entry.architecture);
    if (entry.problem.empty() && fits && chats) candidates.push_back(entry);
  }
  std::ranges::stable_sort(candidates, [](const auto& a, const auto& b) {
    const bool a_embedded = a.source == kEmbedded, b_embedded = b.source == kEmbedded;
    return a_embedded != b_embedded ? b_embedded : a.bytes > b.bytes;
  });
  return candidates;
}

Result<store::CatalogueEntry> ModelSource::find_adapter(std::string_view name) const {
  return store::find_adapter({}, name);
}

Result<std::shared_ptr<const model::Adapter>> ModelSource::load_adapter(
    const store::CatalogueEntry& entry, const model::Model&) {
  return fail(Code::kUnsupported, fmt::format("adapter '{}' can't be loaded here", entry.name));
}

ModelShelf::ModelShelf(std::unique_ptr<ModelSource> source, ShelfOptions options,
                       const Clock& clock)
    : source_(std::move(source)),
      options_(std::move(options)),
      clock_(clock),
      adapter_shelf_(
          [this](const auto& entry, const auto& base) { return source_->load_adapter(entry, base); },
          options_.adapters_bytes_max) {
  rescan_later();
  if (!options_.pinned.empty() || !options_.preloaded.empty()) {
    loader_.post([this] { load_at_start(); });
  }
}

ModelShelf::~ModelShelf() { is_stopping_ = true; }

void ModelShelf::check_later(const store::CatalogueEntry& entry) {
  if (entry.source != kStored) return;
  {
    const std::lock_guard lock(mutex_);
    Checked& checked = checked_[entry.path.string()];
    if (checked.version == entry.version) return;
    checked = {.version = entry.version};
  }
  checker_.post([this, entry] { check_now(entry); });
}

void ModelShelf::check_now(const store::CatalogueEntry& entry) {
  // One part of the time computing, four not: what runs beside it loses little of the memory's speed.
  constexpr int kRestPerWork = 4;
  std::int64_t resumed_ns = Clock::system().now_monotonic_ns();
  const auto pace = [&] {
    const std::int64_t worked_ns = Clock::system().now_monotonic_ns() - resumed_ns;
    if (!is_stopping_) {
      std::this_thread::sleep_for(std::chrono::nanoseconds(worked_ns * kRestPerWork));
    }
    resumed_ns = Clock::system().now_monotonic_ns();
    return !is_stopping_;
  };
  const auto file = gguf::GgufFile::open_model(entry.path);
  const auto whole = file ? gguf::check_packs(*file, pace) : Result<>();
  if (whole || whole.error().code == Code::kCancelled) return;
  log_error("hub", whole.error().message);
  const std::lock_guard lock(mutex_);
  checked_[entry.path.string()] = {.version = entry.version, .error = whole.error()};
  std::erase_if(loaded_, [&](const Slot& slot) { return slot.path == entry.path; });
}

Result<> ModelShelf::refuse_damaged(const store::CatalogueEntry& entry) const {
  const std::lock_guard lock(mutex_);
  const auto checked = checked_.find(entry.path.string());
  if (checked == checked_.end() || checked->second.version != entry.version) return {};
  if (!checked->second.error) return {};
  return std::unexpected(*checked->second.error);
}

void ModelShelf::load_at_start() {
  for (const auto* names : {&options_.pinned, &options_.preloaded}) {
    for (const std::string& name : *names) {
      const auto entry = source_->find(name);
      const auto loaded = entry ? load_first({*entry}, {}) : Result<Loaded>(std::unexpected(entry.error()));
      if (!loaded) {
        log_warn("hub", fmt::format("'{}' is not loaded at the start: {}", name,
                                    loaded.error().message));
      } else if (names == &options_.pinned) {
        pin(*entry);
      }
    }
  }
}

void ModelShelf::pin(const store::CatalogueEntry& entry) {
  ReadyModelPtr model;
  {
    const std::lock_guard lock(mutex_);
    const auto slot = std::ranges::find(loaded_, entry.path.string(), &Slot::path);
    if (slot == loaded_.end()) return;
    slot->is_pinned = true;
    model = slot->model;
  }
  if (const auto locked = model::lock_in_memory(*model->model); !locked) {
    log_warn("hub", fmt::format("'{}' stays loaded, but {}", entry.name, locked.error().message));
  }
}

// A model's own name may hold '@': it goes first.
Result<ModelChoice> ModelShelf::resolve(std::string_view name) {
  if (name.find('@') == name.npos) return resolve_model(name);
  wait_for_scan();
  if (auto whole = source_->find(name)) return ModelChoice{.candidates = {*std::move(whole)}};
  HEARTH_TRY(const ModelName parsed, parse_model_name(name));
  HEARTH_TRY(ModelChoice choice, resolve_model(parsed.model));
  HEARTH_TRY(choice.adapters, resolve_adapters(parsed.adapters));
  return choice;
}

Result<std::vector<AdapterEntry>> ModelShelf::resolve_adapters(
    std::span<const AdapterWish> wishes) {
  std::vector<AdapterEntry> adapters;
  for (const AdapterWish& wish : wishes) {
    auto entry = source_->find_adapter(wish.name);
    if (!entry) {
      rescan_later();
      return std::unexpected(entry.error());
    }
    adapters.push_back({*std::move(entry), wish.weight});
  }
  return adapters;
}

std::optional<store::CatalogueEntry> ModelShelf::find_foreign(std::string_view name) {
  wait_for_scan();
  auto entry = source_->find_any(name);
  if (!entry || !entry->is_foreign) return std::nullopt;
  return *std::move(entry);
}

Result<ModelChoice> ModelShelf::resolve_model(std::string_view name) {
  wait_for_scan();
  if (name.empty() || name == kAuto) return resolve_default(true);
  if (name == kLocal) {
    HEARTH_TRY(ModelChoice choice, resolve_default(false));
    choice.may_leave = false;
    return choice;
  }
  auto entry = source_->find(name);
  if (!entry) {
    rescan_later();  // It may have come since: the next request will find it.
    return std::unexpected(entry.error());
  }
  return ModelChoice{.candidates = {*std::move(entry)}};
}

Result<ModelChoice> ModelShelf::resolve_default(bool is_auto) {
  ModelChoice choice{.is_auto = is_auto};
  if (!options_.default_model.empty()) {
    HEARTH_TRY(store::CatalogueEntry entry, source_->find(options_.default_model));
    choice.candidates.push_back(std::move(entry));
    return choice;
  }
  {
    const std::lock_guard lock(mutex_);
    choice.candidates = auto_candidates(entries_);
  }
  if (!choice.candidates.empty()) return choice;
  rescan_later();
  return fail(
      Code::kNotFound,
      "there is no model that can run here; `hearth models list` shows what was found and why");
}

void ModelShelf::rescan_later() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(scan_is_due_, true)) return;
  }
  loader_.post([this] { scan_now(); });
}

void ModelShelf::scan_now() {
  std::vector<store::CatalogueEntry> entries = source_->scan();
  std::vector<store::CatalogueEntry> adapters = source_->adapters();
  const std::lock_guard lock(mutex_);
  entries_ = std::move(entries);
  adapters_ = std::move(adapters);
  scanned_at_ns_ = clock_.now_monotonic_ns();
  scan_is_due_ = false;
  scanned_.notify_all();
}

void ModelShelf::wait_for_scan() const {
  std::unique_lock lock(mutex_);
  scanned_.wait(lock, [this] { return scanned_at_ns_.has_value(); });
}

void ModelShelf::get(std::vector<store::CatalogueEntry> candidates,
                     std::vector<AdapterEntry> adapters, Done done) {
  leave_out_failed(candidates);
  if (ReadyModelPtr model = find_loaded(candidates.front())) {
    bring_in(*model);
    if (auto found = adapter_shelf_.find(adapters, *model->model)) {
      return done(Loaded{candidates.front(), std::move(model), *std::move(found)});
    }
  }
  loader_.post([this, candidates = std::move(candidates), adapters = std::move(adapters),
                done = std::move(done)] { done(load_first(candidates, adapters)); });
}

Result<Loaded> ModelShelf::load_first(const std::vector<store::CatalogueEntry>& candidates,
                                      const std::vector<AdapterEntry>& adapters) {
  Error last{Code::kNotFound, "no model was named"};
  for (const store::CatalogueEntry& entry : candidates) {
    auto model = load(entry);
    if (model) {
      auto found = adapter_shelf_.get(adapters, *(*model)->model);
      if (found) return Loaded{entry, *std::move(model), *std::move(found)};
      last = found.error();  // The model is none the worse for it.
      continue;
    }
    last = model.error();
    remember_failure(entry);
    log_warn("hub", fmt::format("model '{}' can't be loaded: {}", entry.name, last.message));
  }
  return std::unexpected(std::move(last));
}

// The model with what the hub derives from it, and with its smaller companion.
Result<ReadyModelPtr> ModelShelf::make_ready(const store::CatalogueEntry& entry) {
  HEARTH_TRY(std::shared_ptr<const model::Model> model, source_->load(entry));
  auto ready = std::make_shared<ReadyModel>(std::move(model));
  HEARTH_TRY(ready->draft_model, load_draft_model(entry, *ready->model));
  return ready;
}

double ModelShelf::ms_since(std::int64_t started_ns) const {
  return static_cast<double>(clock_.now_monotonic_ns() - started_ns) / 1e6;
}

Result<ReadyModelPtr> ModelShelf::load(const store::CatalogueEntry& entry) {
  if (ReadyModelPtr loaded = find_loaded(entry)) return loaded;
  HEARTH_TRY_VOID(refuse_damaged(entry));
  const auto set_loading = [this](std::string path) {
    const std::lock_guard lock(mutex_);
    loading_path_ = std::move(path);
  };
  set_loading(entry.path.string());
  const std::int64_t started_ns = clock_.now_monotonic_ns();
  auto ready = make_ready(entry);
  set_loading({});
  if (!ready) return std::unexpected(std::move(ready).error());
  keep(entry, *ready, ms_since(started_ns));
  bring_in(**ready);
  check_later(entry);
  return *std::move(ready);
}

// Has what is missing of its weights read; whoever computes with it waits for what it needs.
void ModelShelf::bring_in(const ReadyModel& ready) {
  for (const auto* model : {&ready.model, &ready.draft_model}) {
    PageStream* const stream = *model == nullptr ? nullptr : (*model)->stream();
    if (stream != nullptr) stream->want(Want::kSoon);
  }
}

// The model that the configuration has draft for this one; null if it names none.
Result<std::shared_ptr<const model::Model>> ModelShelf::load_draft_model(
    const store::CatalogueEntry& entry, const model::Model& model) {
  for (const auto& [name, draft_name] : options_.drafts) {
    const auto named = source_->find(name);
    if (!named || named->path != entry.path) continue;
    HEARTH_TRY(const store::CatalogueEntry draft_entry, source_->find(draft_name));
    const ReadyModelPtr loaded = find_loaded(draft_entry);
    if (loaded != nullptr) {
      HEARTH_TRY_VOID(engine::check_draft_model(model, *loaded->model));
      return loaded->model;
    }
    const std::int64_t started_ns = clock_.now_monotonic_ns();
    HEARTH_TRY(std::shared_ptr<const model::Model> draft, source_->load(draft_entry));
    HEARTH_TRY_VOID(engine::check_draft_model(model, *draft));
    keep(draft_entry, std::make_shared<const ReadyModel>(draft), ms_since(started_ns));
    check_later(draft_entry);
    return draft;
  }
  return std::shared_ptr<const model::Model>{};
}

void ModelShelf::leave_out_failed(std::vector<store::CatalogueEntry>& candidates) const {
  const std::lock_guard lock(mutex_);
  const std::int64_t now = clock_.now_monotonic_ns();
  std::vector<store::CatalogueEntry> promising;
  for (const store::CatalogueEntry& entry : candidates) {
    const auto failed = failed_at_ns_.find(entry.path.string());
    const bool is_fresh = failed != failed_at_ns_.end() && now - failed->second < kFailureAgeNs;
    if (!is_fresh) promising.push_back(entry);
  }
  if (!promising.empty()) candidates = std::move(promising);
}

void ModelShelf::remember_failure(const store::CatalogueEntry& entry) {
  const std::lock_guard lock(mutex_);
  failed_at_ns_[entry.path.string()] = clock_.now_monotonic_ns();
}

ReadyModelPtr ModelShelf::find_loaded(const store::CatalogueEntry& entry) {
  const std::lock_guard lock(mutex_);
  const auto slot = std::ranges::find_if(loaded_, [&](const Slot& candidate) {
    return candidate.path == entry.path && candidate.version == entry.version;
  });
  if (slot == loaded_.end()) return nullptr;
  if (slot->model->model->is_damaged()) {  // Loading it again finds it repaired, or says why not.
    loaded_.erase(slot);
    return nullptr;
  }
  loaded_.splice(loaded_.begin(), loaded_, slot);
  ++slot->n_uses;
  weigh(*slot);
  return slot->model;
}

void ModelShelf::keep(const store::CatalogueEntry& entry, const ReadyModelPtr& model,
                      double load_ms) {
  const std::lock_guard lock(mutex_);
  std::erase_if(loaded_, [&](const Slot& slot) { return slot.path == entry.path; });
  loaded_.push_front({.path = entry.path.string(),
                      .version = entry.version,
                      .model = model,
                      .load_ms = load_ms});
  weigh(loaded_.front());
  evict();
}

std::uint64_t ModelShelf::bytes_max() const {
  return options_.bytes_max != 0 ? options_.bytes_max : half_of_memory();
}

// What a miss would cost, per byte that keeping it costs.
void ModelShelf::weigh(Slot& slot) const {
  constexpr double kLoadMsMin = 0.1;
  const double bytes = std::max<double>(static_cast<double>(slot.model->model->weight_bytes()), 1);
  slot.priority = aged_to_ + static_cast<double>(slot.n_uses) * std::max(slot.load_ms, kLoadMsMin) / bytes;
}

// Drops what is worth least until the budget holds.  The newest stays even if it alone exceeds it:
// something must answer.  Dropping what a request holds would free nothing.
void ModelShelf::evict() {
  std::uint64_t bytes = 0;
  for (const Slot& slot : loaded_) bytes += slot.model->model->weight_bytes();
  while (bytes > bytes_max()) {
    auto least = loaded_.end();
    for (auto slot = std::next(loaded_.begin()); slot != loaded_.end(); ++slot) {
      const bool is_held = slot->is_pinned || slot->model.use_count() > 1;
      if (!is_held && (least == loaded_.end() || slot->priority <= least->priority)) least = slot;
    }
    if (least == loaded_.end()) return;
    aged_to_ = std::max(aged_to_, least->priority);
    bytes -= least->model->model->weight_bytes();
    loaded_.erase(least);
  }
}

MemoryReport ModelShelf::memory() {
  wait_for_scan();
  MemoryReport report;
  std::vector<store::CatalogueEntry> entries;
  std::unordered_map<std::string, ModelMemory> loaded;
  std::string loading;
  {
    const std::lock_guard lock(mutex_);
    entries = entries_;
    loading = loading_path_;
    report.bytes_max = bytes_max();
    for (const Slot& slot : loaded_) {
      report.bytes_used += slot.model->model->weight_bytes();
      const PageStream* const stream = slot.model->model->stream();
      const Residence kept = slot.is_pinned ? Residence::kPinned : Residence::kCached;
      const bool is_streaming = stream != nullptr && stream->is_streaming();
      loaded[slot.path] = {.residence = is_streaming ? Residence::kStreaming : kept,
                           .bytes = slot.model->model->weight_bytes(),
                           .is_loaded = true,
                           .n_leases = static_cast<std::uint32_t>(slot.model.use_count() - 1),
                           .n_uses = slot.n_uses,
                           .load_ms = slot.load_ms};
    }
  }
  for (const store::CatalogueEntry& entry : entries) {
    if (!entry.problem.empty()) continue;
    ModelMemory memory = loaded[entry.path.string()];
    memory.name = entry.name;
    const auto cached = store::residency_of(entry.path);
    if (cached) {
      memory.cached_bytes = cached->cached_bytes;
      memory.bytes = memory.is_loaded ? memory.bytes : cached->bytes;
    }
    constexpr std::uint64_t kMostly = 10;  // All but a tenth.
    const bool is_cached = cached && (cached->bytes - cached->cached_bytes) * kMostly <= cached->bytes;
    if (!memory.is_loaded && is_cached) memory.residence = Residence::kCached;
    if (entry.path == loading) memory.residence = Residence::kStreaming;
    report.models.push_back(std::move(memory));
  }
  return report;
}

const char* residence_name(Residence residence) {
  constexpr const char* kNames[] = {"cold", "streaming", "cached", "pinned"};
  return kNames[static_cast<std::size_t>(residence)];
}

ReadyModelPtr ModelShelf::any_loaded() const {
  const std::lock_guard lock(mutex_);
  return loaded_.empty() ? nullptr : loaded_.front().model;
}

std::vector<ModelEntry> ModelShelf::entries() {
  wait_for_scan();
  std::vector<ModelEntry> listed;
  bool is_old = false;
  {
    const std::lock_guard lock(mutex_);
    is_old = clock_.now_monotonic_ns() - *scanned_at_ns_ > kScanAgeNs;
    for (const store::CatalogueEntry& entry : entries_) {
      const auto slot = std::ranges::find(loaded_, entry.path.string(), &Slot::path);
      const bool loaded = slot != loaded_.end();
      listed.push_back({.name = entry.name,
                        .path = entry.path.string(),
                        .source = entry.source,
                        .bytes = entry.bytes,
                        .architecture = entry.architecture,
                        .quantization = entry.quantization,
                        .n_context = entry.n_context,
                        .loaded = loaded,
                        .kv_bytes_per_token =
                            loaded ? slot->model->model->kv_layout().token_bytes() : 0,
                        .problem = entry.problem,
                        .is_foreign = entry.is_foreign});
    }
    list_pairs(listed);
  }
  if (is_old) rescan_later();
  return listed;
}

// NAME@ADAPTER for each model and each adapter that looks as if it were made for it.
void ModelShelf::list_pairs(std::vector<ModelEntry>& listed) const {
  const std::size_t n_models = listed.size();
  for (const store::CatalogueEntry& adapter : adapters_) {
    for (std::size_t i = 0; i < n_models && listed.size() < n_models + kListedPairsMax; ++i) {
      if (!adapter.problem.empty() || !entries_[i].problem.empty()) continue;
      if (!store::may_fit(adapter, entries_[i])) continue;
      ModelEntry pair = listed[i];
      pair.name = fmt::format("{}@{}", pair.name, adapter.name);
      pair.adapter = adapter.name;
      pair.loaded = pair.loaded && adapter_shelf_.is_resident(adapter.path);
      listed.push_back(std::move(pair));
    }
  }
}

}  // namespace hearth::hub
