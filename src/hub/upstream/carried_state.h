// What providers gave along with tool calls and want back with them (signed or sealed thinking): clients
// have no place for it, so the hub keeps the latest by the calls' ids.  A call whose state is gone is sent
// without it; what was thought then is thought again, or the provider says that it is missing.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>

namespace hearth::hub {

// Threading: externally synchronised.
class CarriedStates {
 public:
  static constexpr std::size_t kEntriesMax = 4'096;
  static constexpr std::size_t kBytesMax = std::size_t{32} << 20;

  void put(const std::string& call_id, std::string state) {
    const auto [place, is_new] = states_.try_emplace(call_id);
    n_bytes_ += state.size();
    n_bytes_ -= place->second.size();
    place->second = std::move(state);
    if (is_new) order_.push_back(call_id);
    while (order_.size() > kEntriesMax || (n_bytes_ > kBytesMax && order_.size() > 1)) drop_oldest();
  }

  std::string find(const std::string& call_id) const {
    const auto found = states_.find(call_id);
    return found == states_.end() ? "" : found->second;
  }
  std::size_t size() const { return order_.size(); }

 private:
  void drop_oldest() {
    const auto oldest = states_.find(order_.front());
    n_bytes_ -= oldest->second.size();
    states_.erase(oldest);
    order_.pop_front();
  }

  std::unordered_map<std::string, std::string> states_;
  std::deque<std::string> order_;
  std::size_t n_bytes_ = 0;
};

}  // namespace hearth::hub
