#include "hub/model_shelf.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>
#include <utility>

#include "base/log.h"
#include "gguf/pack_check.h"
#include "hub/create_hub.h"
#include "hub/tasks/model_tags.h"
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

void lock_weights(const std::string& name, const model::Model& model) {
  if (const auto locked = model::lock_in_memory(model); !locked) {
    log_warn("hub", fmt::format("'{}' stays loaded, but {}", name, locked.error().message));
  }
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
      budget_(std::make_shared<store::MemoryBudget>(
          options_.bytes_max != 0 ? options_.bytes_max : half_of_memory())),
      adapter_shelf_(
          [this](const auto& entry, const auto& base) { return source_->load_adapter(entry, base); },
          options_.adapters_bytes_max),
      loaded_(budget_, options_.reader, options_.give_back) {
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
  while (!is_stopping_ && loaded_.is_streaming(entry.path.string())) {  // Who waits goes first.
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
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
  {
    const std::lock_guard lock(mutex_);
    checked_[entry.path.string()] = {.version = entry.version, .error = whole.error()};
  }
  loaded_.drop(entry.path.string());
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
        pin_at_start(*entry);
      }
    }
  }
}

void ModelShelf::pin_at_start(const store::CatalogueEntry& entry) {
  const ReadyModelPtr model = loaded_.set_pinned(entry.path.string(), true);
  if (model != nullptr) lock_weights(entry.name, *model->model);
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

std::string ModelShelf::find_tagged(const std::vector<std::string>& tags) const {
  wait_for_scan();
  const std::lock_guard lock(mutex_);
  return hub::find_tagged(auto_candidates(entries_), adapters_, tags);
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

void ModelShelf::refresh() {
  const auto done = std::make_shared<std::promise<void>>();
  loader_.post([this, done] {
    scan_now();
    done->set_value();
  });
  done->get_future().wait();
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
  loaded_.note(candidates.front().path.string());
  if (const auto resident = loaded_.find(candidates.front())) {
    if (auto found = adapter_shelf_.find(adapters, *resident->model()->model)) {
      Loaded loaded{candidates.front(), resident->model(), *std::move(found)};
      loaded_.use(*resident);  // What is missing begins to be read; room for it is made beside.
      if (loaded_.is_unsettled(*resident)) {
        loader_.post([this, resident] { loaded_.settle(resident); });
      }
      return done(std::move(loaded));
    }
  }
  loader_.post([this, candidates = std::move(candidates), adapters = std::move(adapters),
                done = std::move(done)] { done(load_first(candidates, adapters)); });
}

void ModelShelf::released() {
  if (loaded_.is_over_budget()) loader_.post([this] { loaded_.settle(); });
}

Result<Loaded> ModelShelf::load_first(const std::vector<store::CatalogueEntry>& candidates,
                                      const std::vector<AdapterEntry>& adapters) {
  Error last{Code::kNotFound, "no model was named"};
  for (const store::CatalogueEntry& entry : candidates) {
    auto resident = load(entry);
    if (resident) {
      ReadyModelPtr model = (*resident)->model();
      loaded_.use(**resident);
      if ((*resident)->stream() == nullptr) {
        loaded_.settle(*resident);
      } else {  // Its pages come by and by: room is made beside that, which takes milliseconds.
        loader_.post([this, resident = *resident] { loaded_.settle(resident); });
      }
      auto found = adapter_shelf_.get(adapters, *model->model);
      if (found) return Loaded{entry, std::move(model), *std::move(found)};
      last = found.error();  // The model is none the worse for it.
      continue;
    }
    last = resident.error();
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

Result<std::shared_ptr<ResidentModel>> ModelShelf::load(const store::CatalogueEntry& entry) {
  if (auto resident = loaded_.find(entry)) return resident;
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
  auto resident = loaded_.keep(entry, *std::move(ready), ms_since(started_ns));
  const std::uint64_t other_bytes = options_.other_bytes ? options_.other_bytes() : 0;
  if (other_bytes > 0 && budget_->bytes_used() + other_bytes > budget_->bytes_max()) options_.free_other();
  check_later(entry);
  return resident;
}

// The model that the configuration has draft for this one; null if it names none.
Result<std::shared_ptr<const model::Model>> ModelShelf::load_draft_model(
    const store::CatalogueEntry& entry, const model::Model& model) {
  for (const auto& [name, draft_name] : options_.drafts) {
    const auto named = source_->find(name);
    if (!named || named->path != entry.path) continue;
    HEARTH_TRY(const store::CatalogueEntry draft_entry, source_->find(draft_name));
    if (const auto loaded = loaded_.find(draft_entry)) {
      HEARTH_TRY_VOID(engine::check_draft_model(model, *loaded->model()->model));
      return loaded->model()->model;
    }
    const std::int64_t started_ns = clock_.now_monotonic_ns();
    HEARTH_TRY(std::shared_ptr<const model::Model> draft, source_->load(draft_entry));
    HEARTH_TRY_VOID(engine::check_draft_model(model, *draft));
    loaded_.keep(draft_entry, std::make_shared<const ReadyModel>(draft), ms_since(started_ns));
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

MemoryReport ModelShelf::memory() {
  wait_for_scan();
  MemoryReport report;
  std::unordered_map<std::string, ModelMemory> loaded = loaded_.report(report);
  std::vector<store::CatalogueEntry> entries;
  std::string loading;
  {
    const std::lock_guard lock(mutex_);
    entries = entries_;
    loading = loading_path_;
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
    if (memory.residence == Residence::kCached && !is_cached) memory.residence = Residence::kCold;
    if (!memory.is_loaded && is_cached) memory.residence = Residence::kCached;
    if (entry.path == loading) memory.residence = Residence::kStreaming;
    report.models.push_back(std::move(memory));
  }
  return report;
}

Result<> ModelShelf::unload(std::string_view name) {
  wait_for_scan();
  HEARTH_TRY(const store::CatalogueEntry entry, source_->find(name));
  return loaded_.unload(entry);
}

Result<> ModelShelf::set_pinned(std::string_view name, bool is_pinned) {
  wait_for_scan();
  HEARTH_TRY(const store::CatalogueEntry entry, source_->find(name));
  const ReadyModelPtr model = loaded_.set_pinned(entry.path.string(), is_pinned);
  if (model == nullptr) {
    return fail(Code::kUnavailable, fmt::format("'{}' is not loaded: load it first (POST /models/load)", entry.name));
  }
  // It takes no lease meanwhile: that would keep the model from being unloaded.
  loader_.post([this, weak = std::weak_ptr(model), is_pinned, name = entry.name] {
    const ReadyModelPtr held = weak.lock();
    if (held == nullptr) return;
    if (is_pinned) return lock_weights(name, *held->model);
    model::unlock_memory(*held->model);
    released();
  });
  return {};
}

const char* residence_name(Residence residence) {
  constexpr const char* kNames[] = {"cold", "streaming", "cached", "pinned"};
  return kNames[static_cast<std::size_t>(residence)];
}

ReadyModelPtr ModelShelf::any_loaded() const { return loaded_.any(); }

std::vector<ModelEntry> ModelShelf::entries() {
  wait_for_scan();
  std::vector<ModelEntry> listed;
  bool is_old = false;
  {
    const std::lock_guard lock(mutex_);
    is_old = clock_.now_monotonic_ns() - *scanned_at_ns_ > kScanAgeNs;
    for (const store::CatalogueEntry& entry : entries_) {
      listed.push_back({.name = entry.name,
                        .path = entry.path.string(),
                        .source = entry.source,
                        .bytes = entry.bytes,
                        .architecture = entry.architecture,
                        .quantization = entry.quantization,
                        .n_context = entry.n_context,
                        .loaded = loaded_.is_loaded(entry.path.string()),
                        .kv_bytes_per_token = loaded_.kv_bytes_per_token(entry.path.string()),
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
