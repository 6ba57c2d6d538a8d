// NVIDIA's run-time compiler: CUDA C++ to machine code, on machines without a GPU, too.
//
// libnvrtc.so.13 or .12: the file that HEARTH_NVRTC names, or the first that library_search.h finds.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::compute {

// Files and names to try, best first.
std::vector<std::string> nvrtc_candidates();

// Threading: const after opening.
class Nvrtc {
 public:
  // Opened at the first call; kUnavailable says where it was looked for.
  static Result<const Nvrtc*> open();

  struct Version {
    int major = 0, minor = 0;
  };
  Version version() const { return version_; }
  const std::string& library() const { return library_; }
  // Of the machine codes that it can make: 80 is sm_80.
  bool knows(int architecture) const;

  // A cubin of `source` for sm_`architecture`; products and sums are fused only where they say so.
  // kInvalidArgument has the compiler's messages (kLogBytesMax of them), kUnsupported names an
  // architecture that it does not know.
  Result<std::string> compile(std::string_view source, int architecture) const;

  static constexpr std::size_t kLogBytesMax = 8000;

 private:
  struct Functions;
  Nvrtc() = default;
  static Result<Nvrtc> load();
  std::string log_of(void* program) const;

  const Functions* functions_ = nullptr;
  Version version_;
  std::string library_;
  std::vector<int> architectures_;
};

}  // namespace hearth::compute
