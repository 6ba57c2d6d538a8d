#include "engine/stop_matcher.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"

namespace hearth::engine {

Result<> check_stop_strings(const std::vector<std::string>& stops) {
  if (stops.size() > kStopStringsMax) {
    return fail(Code::kInvalidArgument, fmt::format("{} stop strings are given, at most {} are taken",
                                                    stops.size(), kStopStringsMax));
  }
  for (std::size_t i = 0; i < stops.size(); ++i) {
    if (stops[i].empty() || stops[i].size() > kStopBytesMax) {
      return fail(Code::kInvalidArgument, fmt::format("stop string {} has {} bytes, 1 to {} expected",
                                                      i, stops[i].size(), kStopBytesMax));
    }
    if (!is_valid_utf8(stops[i])) {
      return fail(Code::kInvalidArgument, fmt::format("stop string {} is not valid UTF-8", i));
    }
  }
  return {};
}

StopMatcher::StopMatcher(const std::vector<std::string>& stops) {
  patterns_.reserve(stops.size());
  for (const std::string& stop : stops) {
    Pattern pattern{stop, std::vector<std::uint32_t>(stop.size(), 0)};
    for (std::size_t i = 1; i < stop.size(); ++i) {
      std::uint32_t n = pattern.fallback[i - 1];
      while (n > 0 && stop[n] != stop[i]) n = pattern.fallback[n - 1];
      pattern.fallback[i] = stop[n] == stop[i] ? n + 1 : 0;
    }
    patterns_.push_back(std::move(pattern));
  }
}

// Feeds one byte; true if the pattern is complete.
bool StopMatcher::advance(Pattern& pattern, char byte) {
  std::uint32_t n = pattern.matched;
  while (n > 0 && pattern.text[n] != byte) n = pattern.fallback[n - 1];
  pattern.matched = pattern.text[n] == byte ? n + 1 : 0;
  return pattern.matched == pattern.text.size();
}

bool StopMatcher::push(std::string_view piece, std::string& out) {
  if (found_ != nullptr) return true;
  if (patterns_.empty()) {
    out.append(piece);
    return false;
  }
  std::size_t n_held = held_.size();
  held_.append(piece);
  for (std::size_t i = n_held; i < held_.size(); ++i) {
    std::size_t longest = 0;
    for (Pattern& pattern : patterns_) {
      const bool complete = advance(pattern, held_[i]);
      longest = std::max<std::size_t>(longest, pattern.matched);
      if (!complete) continue;
      if (found_ == nullptr || pattern.text.size() > found_->size()) found_ = &pattern.text;
    }
    if (found_ != nullptr) {
      out.append(held_, 0, i + 1 - found_->size());
      held_.clear();
      return true;
    }
    n_held = longest;
  }
  n_held = std::min(n_held, held_.size());
  out.append(held_, 0, held_.size() - n_held);
  held_.erase(0, held_.size() - n_held);
  return false;
}

void StopMatcher::flush(std::string& out) {
  out.append(held_);
  held_.clear();
}

}  // namespace hearth::engine
