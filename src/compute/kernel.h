// A verified kernel, ready to run: its contract, what was written, what was compiled, and its
// receipt.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "compute/compile.h"
#include "compute/contract.h"
#include "compute/machine_key.h"
#include "compute/oracle.h"
#include "compute/verify.h"

namespace hearth::compute {

// Immutable, and shared by all who run it.
struct Kernel {
  Contract contract;
  Sha256 key{};  // contract_key()
  std::string source;
  Image image;  // Its descriptor is for sandbox::Worker::load.
  std::string receipt;
};

// What progress says before the compiler is asked; whatever comes later is verification.
inline constexpr std::string_view kCompilingStep = "compiling";

// Compiles and verifies.  kInvalidArgument: what is wrong with the source, for whoever wrote it;
// kUnsupported: this machine can't compile or jail, or not that language.
Result<std::shared_ptr<const Kernel>> make_kernel(const Contract& contract, std::string source,
                                                  Oracle& oracle, const MachineKey& key,
                                                  const VerifyOptions& options);

// Verifies a kernel once more, as it is on the shelf, with the seed of `options`.  Errors as
// make_kernel().
Result<VerifyReport> verify_again(const Kernel& kernel, const VerifyOptions& options);

// What came of verifying a kernel again as its receipt says.
struct Replay {
  VerifyReport report;
  bool same_results = false;  // The bits of all results are those of the receipt.
  // So are the compiler, the flags and the image: then results must be, too.
  bool same_build = false;
};

// Builds and verifies the kernel again from its source with its receipt's seed.  Errors as
// make_kernel(), and kCorrupt for a receipt that is not what was signed.
Result<Replay> replay(const Kernel& kernel, const VerifyOptions& options);

}  // namespace hearth::compute
