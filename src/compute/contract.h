// A contract: what a kernel has to do, in a form that can be checked.
//
//   name = "scale"
//   signature = "out f32[n], in f32[n], w f32[n], n i64"
//   preconditions = ["n % 8 == 0"]       # Sizes that callers keep to; others are not tried.
//   tolerance_ulps = 2                   # Or an expression: "4 + log2(n)".
//   determinism = "D2"
//   flops = "n"                          # For the share of the roof.
//   bytes = "12*n"                       # The same; the tensors' own where it is left out.
//   oracle = '''
//   HEARTH_ORACLE scale(f64* out, const f64* in, const f64* w, i64 n) {
//     for (i64 k = 0; k < n; ++k) out[k] = in[k] * w[k];
//   }
//   '''
//   language = "opencl"                  # "c++" where it is left out; "opencl", "cuda": on a device.
//   range = ["n"]                        # On a device: work items in each of 1 to 3 dimensions.
//   group = [64]                         # Of so many work items each; may be left out.
//   [ranges]                             # Of values that are drawn; expressions for integers.
//   in = [-10, 10]
//   [bench]                              # The sizes at which its speed is taken.
//   n = 1048576
//
// The oracle is the obvious way to compute it, in double precision: f32 and f64 tensors and scalars
// arrive as f64, integers as they are.  It never meets a kernel: it runs in a process of its own,
// and a kernel's results are held against its (verify.h).
//
// On a device the function runs once for each work item.  `range` says how many there have to be, the
// first dimension counting fastest; there are as many more as fill the last groups, so a kernel looks
// whether its own is wanted: `if (ITEM(0) >= n) return;`.  Who leaves `group` out gets 64, 8 x 8 or
// 4 x 4 x 4.  The kernel's declaration and the words that both languages have (KERNEL, GLOBAL, LOCAL,
// BARRIER, ITEM) are the prelude's (device_kernel.h).  Oracles are C++ always.
//
// A contract is written by a person or by the adviser: its text is foreign, everything has a limit.
//
// Threading: values; const after parsing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "compute/signature.h"

namespace hearth::compute {

inline constexpr std::size_t kContractBytesMax = std::size_t{256} << 10;
inline constexpr std::size_t kSourceBytesMax = std::size_t{256} << 10;  // Of an oracle or a kernel.
inline constexpr std::size_t kPreconditionsMax = 32;
inline constexpr std::int64_t kToleranceUlpsMax = std::int64_t{1} << 20;
inline constexpr std::uint32_t kKernelThreadsMax = 64;
inline constexpr std::uint32_t kGroupItemsMax = 256;  // What every device has.

enum class Language : std::uint8_t { kCpp, kCuda, kOpenCl };
std::string_view language_name(Language language);  // "c++", "cuda", "opencl".
std::optional<Language> language_from_name(std::string_view name);
inline bool is_for_device(Language language) { return language != Language::kCpp; }

// How far equal inputs give equal bits; each level includes those before.
enum class Determinism : std::uint8_t {
  kRuns,     // D0: from run to run.
  kThreads,  // D1: whatever the number of threads.
  kIsa,      // D2: whatever instruction set it was built for.
  kOrder,    // D3: in whatever order the elements stand over which it reduces.
};
inline constexpr std::array<std::string_view, 4> kDeterminismNames = {"D0", "D1", "D2", "D3"};

// Values of a parameter's elements, or of a scalar, lie in [low, high].
struct ValueRange {
  std::string parameter;
  double low = 0, high = 0;  // Of a float parameter.
  std::optional<Expression> low_of, high_of;  // Of an integer one.
};

struct Contract {
  std::string name;   // Of the function in the kernel and in the oracle.
  std::string prose;  // What was asked for; no part of the key.
  // Of a kernel that comes along (key `source`); no part of the key, and not written again.
  std::string source;
  Signature signature;
  std::vector<Expression> preconditions;  // Each is not 0.
  std::vector<ValueRange> ranges;
  std::string oracle;
  std::optional<Expression> flops, bytes;
  Expression tolerance_ulps;  // Of the oracle's result, scaled by its condition (compare.h).
  Determinism determinism = Determinism::kRuns;
  Language language = Language::kCpp;
  std::uint32_t n_threads = 1;  // That the kernel may use; on a device, those of a processor.
  std::vector<Expression> range;     // Of a kernel for a device, and for those alone.
  std::vector<std::uint32_t> group;  // As many as `range` has.
  std::vector<std::pair<std::string, std::int64_t>> bench;  // Symbol and value.

  const ValueRange* range_of(std::string_view parameter) const;  // Null: none is given.
};

// From TOML; `where` stands in messages.
// kInvalidArgument names the line, the key and what is wrong.
Result<Contract> parse_contract(std::string_view toml, std::string_view where);

// In one spelling: what parse_contract reads back as the same contract.
std::string to_toml(const Contract& contract);

// Equal for contracts that ask for the same, whatever their prose and spelling.
Sha256 contract_key(const Contract& contract);

// Work items at these sizes, whole groups.  kInvalidArgument: `range` overflows, or is below 0 or more
// than a device counts.
Result<std::array<std::uint64_t, 3>> items_of(const Contract& contract,
                                              std::span<const std::int64_t> symbols);

// What a run at these sizes costs; bytes are those of all tensors where the contract does not say.
Result<std::int64_t> flops_of(const Contract& contract, std::span<const std::int64_t> symbols);
Result<std::int64_t> bytes_of(const Contract& contract, std::span<const std::int64_t> symbols);

}  // namespace hearth::compute
