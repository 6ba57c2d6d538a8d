// Where exceptions that are thrown below us (bad_alloc above all) become errors of one job.
#pragma once

#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "base/result.h"

namespace hearth::engine {

// Calls `work`; the error it threw, if any.  Itself throws nothing: where there is no memory for the
// exception's own words, short ones that need none stand in.
template <class Work>
std::optional<Error> catch_error(Work&& work) noexcept {
  try {
    try {
      std::forward<Work>(work)();
      return std::nullopt;
    } catch (const std::bad_alloc&) {
      return Error{Code::kOutOfBudget, "out of memory"};
    } catch (const std::exception& e) {
      return Error{Code::kInternal, e.what()};
    }
  } catch (const std::bad_alloc&) {
    return Error{Code::kOutOfBudget, "out of memory"};
  } catch (...) {
    return Error{Code::kInternal, "unknown error"};
  }
}

}  // namespace hearth::engine
