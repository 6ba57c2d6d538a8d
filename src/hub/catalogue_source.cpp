// The shelf's source of models in earnest: the store's catalogue, and Model::load.
#include <memory>
#include <mutex>
#include <utility>

#include "convert/peft_adapter.h"
#include "hub/model_shelf.h"
#include "store/adapters.h"

namespace hearth::hub {
namespace {

class CatalogueSource final : public ModelSource {
 public:
  CatalogueSource(store::CatalogueOptions options, model::LoadOptions load)
      : options_(std::move(options)), load_(load) {}

  std::vector<store::CatalogueEntry> scan() override {
    const std::shared_ptr<const store::Catalogue> previous = last();
    auto scanned = std::make_shared<const store::Catalogue>(
        store::Catalogue::scan(options_, previous.get()));
    const std::lock_guard lock(mutex_);
    catalogue_ = std::move(scanned);
    return catalogue_->entries();
  }
  Result<store::CatalogueEntry> find(std::string_view name) const override {
    const std::shared_ptr<const store::Catalogue> catalogue = last();
    if (catalogue == nullptr) return fail(Code::kUnavailable, "the models are still being listed");
    return catalogue->find(name);
  }
  Result<store::CatalogueEntry> find_any(std::string_view name) const override {
    const std::shared_ptr<const store::Catalogue> catalogue = last();
    if (catalogue == nullptr) return fail(Code::kUnavailable, "the models are still being listed");
    return catalogue->find_any(name);
  }
  std::vector<store::CatalogueEntry> adapters() const override {
    const auto catalogue = last();
    return catalogue == nullptr ? std::vector<store::CatalogueEntry>() : catalogue->adapters();
  }
  Result<store::CatalogueEntry> find_adapter(std::string_view name) const override {
    const auto catalogue = last();
    if (catalogue == nullptr) return fail(Code::kUnavailable, "the models are still being listed");
    return store::find_adapter(catalogue->adapters(), name);
  }
  Result<std::shared_ptr<const model::Adapter>> load_adapter(const store::CatalogueEntry& entry,
                                                             const model::Model& base) override {
    return convert::load_adapter(entry.path, base);
  }
  Result<std::shared_ptr<const model::Model>> load(const store::CatalogueEntry& entry) override {
    return model::Model::load(entry.path, load_);
  }

 private:
  std::shared_ptr<const store::Catalogue> last() const {
    const std::lock_guard lock(mutex_);
    return catalogue_;
  }

  const store::CatalogueOptions options_;
  const model::LoadOptions load_;
  mutable std::mutex mutex_;
  std::shared_ptr<const store::Catalogue> catalogue_;
};

}  // namespace

std::unique_ptr<ModelSource> make_catalogue_source(store::CatalogueOptions options,
                                                   model::LoadOptions load) {
  return std::make_unique<CatalogueSource>(std::move(options), load);
}

}  // namespace hearth::hub
