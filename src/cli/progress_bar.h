// "[##########..........]  50 %  1:23 left  blk.12.ffn_down.weight", drawn over itself on a
// terminal and not at all elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace hearth::cli {

class ProgressBar {
 public:
  // Draws on standard error if that is a terminal and `wanted`.
  explicit ProgressBar(bool wanted);
  ~ProgressBar();  // Clears the line.
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void show(std::uint64_t done, std::uint64_t total, std::string_view what);
  // Of work that nobody knows the length of: no bar, just what is being done.
  void show(std::string_view what);

 private:
  const bool shown_;
  bool drawn_ = false;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace hearth::cli
