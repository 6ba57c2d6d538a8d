#include "ledger/receipt_id.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

#include "base/result.h"

namespace hearth::ledger {
namespace {

constexpr std::string_view kPrefix = "r-";
constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kTimeChars = 10;
constexpr std::size_t kRandomChars = 16;

}  // namespace

std::string make_receipt_id(std::int64_t at_unix_us) {
  std::array<unsigned char, kRandomChars> random;
  HEARTH_CHECK(::getrandom(random.data(), random.size(), 0) == static_cast<ssize_t>(random.size()));

  std::string id(kPrefix);
  const std::uint64_t ms = static_cast<std::uint64_t>(std::max<std::int64_t>(at_unix_us, 0)) / 1000;
  for (std::size_t i = kTimeChars; i-- > 0;) id.push_back(kAlphabet[(ms >> (5 * i)) & 31]);
  for (const unsigned char byte : random) id.push_back(kAlphabet[byte & 31]);
  return id;
}

bool is_receipt_id(std::string_view text) {
  return text.starts_with(kPrefix) && text.size() == kPrefix.size() + kTimeChars + kRandomChars &&
         text.find_first_not_of(kAlphabet, kPrefix.size()) == std::string_view::npos;
}

}  // namespace hearth::ledger
