#include "cli/progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace hearth::cli {

ProgressBar::ProgressBar(bool wanted) : shown_(wanted && ::isatty(2) == 1) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs("\r\033[K", stderr);
}

void ProgressBar::show(std::uint64_t done, std::uint64_t total, std::string_view what) {
  if (!shown_ || total == 0) return;
  constexpr std::size_t kWidth = 30;
  constexpr double kShareMin = 0.02;  // Before that, nobody knows how long it will take.
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const auto filled = static_cast<std::size_t>(share * kWidth);
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
  const double left = share > kShareMin ? passed.count() * (1 - share) / share : 0;
  const std::string time = left >= 1 ? fmt::format("  {}:{:02} left", static_cast<int>(left) / 60,
                                                   static_cast<int>(left) % 60)
                                     : "";
  const std::string line = fmt::format("\r\033[K[{}{}] {:3.0f} %{}  {}", std::string(filled, '#'),
                                       std::string(kWidth - filled, '.'), 100 * share, time, what);
  std::fputs(line.c_str(), stderr);
  drawn_ = true;
}

void ProgressBar::show(std::string_view what) {
  if (!shown_) return;
  std::fputs(fmt::format("\r\033[K{} ...", what).c_str(), stderr);
  drawn_ = true;
}

}  // namespace hearth::cli
