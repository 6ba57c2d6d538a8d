#include "hub/resident_model.h"

namespace hearth::hub {
namespace {

// Reading from a disk; only how models compare matters, and they share one.
constexpr double kReadMsPerByte = 1e3 / 2e9;

}  // namespace

void ResidentModel::bring_in(Want want) {
  if (stream() != nullptr) stream()->want(want);
}

double ResidentModel::miss_ms(double load_ms) const {
  if (stream() == nullptr) return load_ms;
  return load_ms + kReadMsPerByte * static_cast<double>(stream()->progress().bytes);
}

std::uint64_t ResidentModel::bytes_held() const {
  if (stream() == nullptr) return is_gone_ ? 0 : model_->model->weight_bytes();
  const PageStream::Progress progress = stream()->progress();
  return progress.bytes_ready + progress.bytes_wanted;
}

double ResidentModel::tail() const { return stream() == nullptr ? 0 : stream()->tail(); }

std::uint64_t ResidentModel::give_back(std::uint64_t bytes) {
  if (is_pinned_ || n_leases() > 0) return 0;
  if (stream() != nullptr) {
    const std::uint64_t given = stream()->give_back(bytes, where_);
    return given > 0 ? given : stream()->forget_guess();
  }
  return is_gone_.exchange(true) ? 0 : model_->model->weight_bytes();
}

}  // namespace hearth::hub
