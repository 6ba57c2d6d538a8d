// What can go wrong in libhearth: a status of hearth.h and one sentence.
//
// Inside, functions return Outcome<T>.  Each exported one is `guarded`: what fails is remembered for its
// thread, and no exception (memory that ran out) leaves the library.
#pragma once

#include <exception>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "hearth/hearth.h"

namespace hearth::client {

struct Failure {
  hearth_status status = HEARTH_INTERNAL;
  std::string sentence;
};

template <class T = void>
using Outcome = std::expected<T, Failure>;

inline std::unexpected<Failure> failed(hearth_status status, std::string sentence) {
  return std::unexpected(Failure{status, std::move(sentence)});
}

// The statuses begin with the codes of base/result.h, in their order.
inline hearth_status status_of(Code code) { return static_cast<hearth_status>(1 + static_cast<int>(code)); }
static_assert(static_cast<int>(Code::kInternal) + 1 == HEARTH_INTERNAL);

template <class T>
Outcome<T> outcome_of(Result<T> result) {
  if (!result) return failed(status_of(result.error().code), std::move(result.error().message));
  if constexpr (std::is_void_v<T>) {
    return {};
  } else {
    return *std::move(result);
  }
}

// Keeps the sentence for hearth_error() of this thread.
void remember(std::string_view sentence) noexcept;

template <class Body>
hearth_status guarded(Body&& body) noexcept {
  try {
    const Outcome<> outcome = body();
    if (outcome) return HEARTH_OK;
    remember(outcome.error().sentence);
    return outcome.error().status;
  } catch (const std::bad_alloc&) {
    remember("this process has no memory left");
    return HEARTH_OVER_BUDGET;
  } catch (const std::exception& error) {
    remember(error.what());
    return HEARTH_INTERNAL;
  }
}

// A copy of the caller's struct, as far as the caller has it; what it lacks is zero.
template <class Struct>
Struct read_struct(const Struct* given) {
  Struct whole{};
  if (given == nullptr || given->size < sizeof given->size) return whole;
  const std::size_t n = given->size < sizeof whole ? given->size : sizeof whole;
  std::char_traits<char>::copy(reinterpret_cast<char*>(&whole), reinterpret_cast<const char*>(given), n);
  return whole;
}

// The other way: fills in what the caller has room for.
template <class Struct>
void write_struct(Struct whole, Struct* into) {
  if (into == nullptr || into->size < sizeof into->size) return;
  whole.size = into->size;
  const std::size_t n = into->size < sizeof whole ? into->size : sizeof whole;
  std::char_traits<char>::copy(reinterpret_cast<char*>(into), reinterpret_cast<const char*>(&whole), n);
}

}  // namespace hearth::client
