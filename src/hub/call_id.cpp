#include "hub/call_id.h"

#include <sys/random.h>

#include <array>
#include <string_view>

#include "base/result.h"

namespace hearth::hub {

std::string make_call_id() {
  constexpr std::string_view kAlphabet =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzAB";
  static_assert(kAlphabet.size() == 64);
  std::array<unsigned char, 24> random;
  HEARTH_CHECK(::getrandom(random.data(), random.size(), 0) == static_cast<ssize_t>(random.size()));
  std::string id = "call_";
  for (const unsigned char byte : random) id.push_back(kAlphabet[byte & 63]);
  return id;
}

}  // namespace hearth::hub
