// Errors as values.
//
// A function that can fail for reasons outside the program (a file, a peer, a
// user) returns Result<T>.  A broken precondition is a bug in the caller: it is
// caught by HEARTH_CHECK and ends the process.  Nothing in src/ throws; exceptions
// raised below us (bad_alloc, Asio, JSON) are turned into one of the two where they
// enter.
//
// libstdc++ 12 gives us std::expected, but without and_then/transform and without
// [[nodiscard]].  Result adds the second; HEARTH_TRY and HEARTH_TRY_VOID are the one way
// to propagate.
#pragma once

#include <cstdint>
#include <expected>
#include <source_location>
#include <string>
#include <utility>

namespace hearth {

// What the caller can do about it, not where it came from.  The server maps each
// code to exactly one HTTP status (api/error_status.h), so keep the list short.
enum class Code : std::uint8_t {
  kInvalidArgument,   // The request is wrong; sending it again will fail again.
  kNotFound,          // No such model, session or file.
  kPermissionDenied,  // A key, a policy or the operating system says no.
  kUnsupported,       // Well formed, but not something that this build can do.
  kUnavailable,       // Try again later: busy, loading, peer down.
  kOutOfBudget,       // Memory, tokens or money promised to others already.
  kCancelled,         // The client went away or called stop.
  kCorrupt,           // Bytes on disk or on the wire break their own format.
  kInternal,          // None of the above; always worth a bug report.
};

// The code's name as logs and --json print it: "invalid_argument", "not_found", ...
const char* code_name(Code code);

struct [[nodiscard]] Error {
  Code code;
  std::string message;  // For a person: names the thing and the limit it broke.
  std::source_location where = std::source_location::current();
};

template <class T = void>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
};

inline std::unexpected<Error> fail(Code code, std::string message,
                                   std::source_location where = std::source_location::current()) {
  return std::unexpected(Error{code, std::move(message), where});
}

// Prints the broken condition and its place, then aborts.
[[noreturn]] void check_failed(const char* text,
                               std::source_location where = std::source_location::current());

}  // namespace hearth

// Evaluates `expr`; on error returns it from the enclosing function, else binds it.
//   HEARTH_TRY(auto file, MappedFile::open(path));
#define HEARTH_TRY(decl, expr) HEARTH_TRY_IMPL(HEARTH_CAT(hearth_try_, __LINE__), decl, expr)
#define HEARTH_TRY_IMPL(tmp, decl, expr)                                 \
  auto tmp = (expr);                                                     \
  if (!tmp) [[unlikely]] return std::unexpected(std::move(tmp).error()); \
  decl = *std::move(tmp)

// The same for Result<>:  HEARTH_TRY_VOID(pool->acquire(pages));
#define HEARTH_TRY_VOID(expr)                         \
  if (auto hearth_r = (expr); !hearth_r) [[unlikely]] \
  return std::unexpected(std::move(hearth_r).error())

#define HEARTH_CAT(a, b) HEARTH_CAT_IMPL(a, b)
#define HEARTH_CAT_IMPL(a, b) a##b

#define HEARTH_CHECK(cond) ((cond) ? void(0) : ::hearth::check_failed(#cond))
#ifdef NDEBUG
#define HEARTH_DCHECK(cond) void(0)
#else
#define HEARTH_DCHECK(cond) HEARTH_CHECK(cond)
#endif
