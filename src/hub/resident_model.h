// A loaded model as the memory budget sees it: how many of its bytes are in memory, and which go first.
//
// A model whose weights stream shrinks extent by extent from its end and stays what it is: its
// mapping, tokenizer and template are kept, so that what comes back is only bytes.  One that has a copy
// of its weights goes altogether.  Neither gives anything back while a request holds it.
#pragma once

#include <atomic>
#include <memory>

#include "base/page_stream.h"
#include "hub/prompt.h"
#include "store/memory_budget.h"

namespace hearth::hub {

// Threading: any thread.
class ResidentModel final : public store::Resident {
 public:
  ResidentModel(ReadyModelPtr model, GiveBack where) : model_(std::move(model)), where_(where) {}

  const ReadyModelPtr& model() const { return model_; }
  PageStream* stream() const { return model_->model->stream(); }
  // Requests and sessions that hold it.
  std::uint32_t n_leases() const { return static_cast<std::uint32_t>(model_.use_count() - 1); }
  bool is_whole() const { return stream() == nullptr ? !is_gone_ : stream()->is_whole(); }
  // Whether it gave back what can't come again: it must be loaded anew.
  bool is_gone() const { return is_gone_; }
  void set_pinned(bool is_pinned) { is_pinned_ = is_pinned; }
  bool is_pinned() const { return is_pinned_; }
  // Has what is missing read.
  void bring_in(Want want);
  // What missing all of it would cost.
  double miss_ms(double load_ms) const;

  std::uint64_t bytes_held() const override;
  double tail() const override;
  std::uint64_t give_back(std::uint64_t bytes) override;

 private:
  const ReadyModelPtr model_;
  const GiveBack where_;
  std::atomic<bool> is_gone_ = false, is_pinned_ = false;
};

}  // namespace hearth::hub
