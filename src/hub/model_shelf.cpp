#include "hub/model_shelf.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "hub/create_hub.h"
#include "model/encoder.h"

namespace hearth::hub {
namespace {

constexpr std::string_view kAuto = "auto";
constexpr std::string_view kLocal = "local";
constexpr std::string_view kEmbedded = "embedded";
constexpr std::int64_t kFailureAgeNs = 60'000'000'000;  // "auto" tries a broken model again then.
constexpr std::int64_t kScanAgeNs = 5'000'000'000;      // Listings older than this are refreshed.

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

ModelShelf::ModelShelf(std::unique_ptr<ModelSource> source, ShelfOptions options,
                       const Clock& clock)
    : source_(std::move(source)), options_(std::move(options)), clock_(clock) {
  scan_now();
}

ModelShelf::~ModelShelf() = default;

Result<ModelChoice> ModelShelf::resolve(std::string_view name) {
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
  const std::lock_guard lock(mutex_);
  entries_ = std::move(entries);
  scanned_at_ns_ = clock_.now_monotonic_ns();
  scan_is_due_ = false;
}

void ModelShelf::get(std::vector<store::CatalogueEntry> candidates, Done done) {
  leave_out_failed(candidates);
  if (ReadyModelPtr model = find_loaded(candidates.front())) {
    return done(Loaded{candidates.front(), std::move(model)});
  }
  loader_.post([this, candidates = std::move(candidates), done = std::move(done)] {
    done(load_first(candidates));
  });
}

Result<Loaded> ModelShelf::load_first(const std::vector<store::CatalogueEntry>& candidates) {
  Error last{Code::kNotFound, "no model was named"};
  for (const store::CatalogueEntry& entry : candidates) {
    auto model = load(entry);
    if (model) return Loaded{entry, *std::move(model)};
    last = model.error();
    remember_failure(entry);
    log_warn("hub", fmt::format("model '{}' can't be loaded: {}", entry.name, last.message));
  }
  return std::unexpected(std::move(last));
}

Result<ReadyModelPtr> ModelShelf::load(const store::CatalogueEntry& entry) {
  if (ReadyModelPtr loaded = find_loaded(entry)) return loaded;
  HEARTH_TRY(std::shared_ptr<const model::Model> model, source_->load(entry));
  auto ready = std::make_shared<ReadyModel>(std::move(model));
  HEARTH_TRY(ready->draft_model, load_draft_model(entry, *ready->model));
  keep(entry, ready);
  return ready;
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
    HEARTH_TRY(std::shared_ptr<const model::Model> draft, source_->load(draft_entry));
    HEARTH_TRY_VOID(engine::check_draft_model(model, *draft));
    keep(draft_entry, std::make_shared<const ReadyModel>(draft));
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
    return candidate.path == entry.path && candidate.file_bytes == entry.bytes;
  });
  if (slot == loaded_.end()) return nullptr;
  loaded_.splice(loaded_.begin(), loaded_, slot);
  return slot->model;
}

void ModelShelf::keep(const store::CatalogueEntry& entry, const ReadyModelPtr& model) {
  const std::uint64_t bytes_max = options_.bytes_max != 0 ? options_.bytes_max : half_of_memory();
  const std::lock_guard lock(mutex_);
  std::erase_if(loaded_, [&](const Slot& slot) { return slot.path == entry.path; });
  loaded_.push_front({entry.path.string(), entry.bytes, model});
  // The newest stays even if it alone exceeds the budget: something must answer.
  std::uint64_t bytes = 0;
  for (auto slot = loaded_.begin(); slot != loaded_.end();) {
    bytes += slot->model->model->weight_bytes();
    slot = bytes > bytes_max && slot != loaded_.begin() ? loaded_.erase(slot) : std::next(slot);
  }
}

ReadyModelPtr ModelShelf::any_loaded() const {
  const std::lock_guard lock(mutex_);
  return loaded_.empty() ? nullptr : loaded_.front().model;
}

std::vector<ModelEntry> ModelShelf::entries() {
  std::vector<ModelEntry> listed;
  bool is_old = false;
  {
    const std::lock_guard lock(mutex_);
    is_old = clock_.now_monotonic_ns() - scanned_at_ns_ > kScanAgeNs;
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
                        .problem = entry.problem});
    }
  }
  if (is_old) rescan_later();
  return listed;
}

}  // namespace hearth::hub
