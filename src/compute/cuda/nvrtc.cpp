#include "compute/cuda/nvrtc.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "compute/builtin/library/shared_library.h"
#include "compute/cuda/library_search.h"
#include "sandbox/device/cuda_api.h"

namespace hearth::compute {
namespace {

constexpr int kSuccess = 0;
constexpr int kCompilation = 6;

}  // namespace

std::vector<std::string> nvrtc_candidates() {
  return library_candidates("HEARTH_NVRTC", {"libnvrtc.so.13", "libnvrtc.so.12"});
}

struct Nvrtc::Functions : sandbox::NvrtcFunctions {};

Result<Nvrtc> Nvrtc::load() {
  HEARTH_TRY(const SharedLibrary library,
             SharedLibrary::open(nvrtc_candidates(), "compiling CUDA C++", "pip's nvidia-cuda-nvrtc-cu12, and name its libnvrtc.so.12 in HEARTH_NVRTC"));
  static Functions f;
  HEARTH_TRY_VOID(library.bind_all(f, "version 11.2 or later"));
  Nvrtc nvrtc;
  nvrtc.functions_ = &f;
  nvrtc.library_ = library.name();
  f.nvrtcVersion(&nvrtc.version_.major, &nvrtc.version_.minor);
  int n = 0;
  if (f.nvrtcGetNumSupportedArchs(&n) == kSuccess && n > 0) {
    nvrtc.architectures_.resize(static_cast<std::size_t>(n));
    f.nvrtcGetSupportedArchs(nvrtc.architectures_.data());
  }
  return nvrtc;
}

Result<const Nvrtc*> Nvrtc::open() {
  static const Result<Nvrtc> kLoaded = load();
  if (!kLoaded) return std::unexpected(kLoaded.error());
  return &*kLoaded;
}

bool Nvrtc::knows(int architecture) const { return std::ranges::count(architectures_, architecture) > 0; }

std::string Nvrtc::log_of(void* program) const {
  std::size_t size = 0;
  if (functions_->nvrtcGetProgramLogSize(program, &size) != kSuccess || size == 0) return {};
  std::string log(size, '\0');
  if (functions_->nvrtcGetProgramLog(program, log.data()) != kSuccess) return {};
  log.resize(std::min(log.size() - 1, kLogBytesMax));
  return log;
}

Result<std::string> Nvrtc::compile(std::string_view source, int architecture) const {
  if (!knows(architecture)) {
    return fail(Code::kUnsupported, fmt::format("{} makes no code for sm_{}", library_, architecture));
  }
  void* made = nullptr;
  const std::string text(source);
  if (functions_->nvrtcCreateProgram(&made, text.c_str(), "hearth.cu", 0, nullptr, nullptr) != kSuccess) {
    return fail(Code::kInternal, library_ + " can't take the program");
  }
  const auto destroy = [this](void* program) { functions_->nvrtcDestroyProgram(&program); };
  const std::unique_ptr<void, decltype(destroy)> program(made, destroy);
  const std::string target = fmt::format("--gpu-architecture=sm_{}", architecture);
  const char* const options[] = {target.c_str(), "--std=c++17", "--fmad=false"};
  const int status = functions_->nvrtcCompileProgram(made, std::size(options), options);
  if (status != kSuccess) {
    return fail(status == kCompilation ? Code::kInvalidArgument : Code::kInternal,
                fmt::format("CUDA C++ does not compile for sm_{}: {}", architecture, log_of(made)));
  }
  std::size_t size = 0;
  std::string cubin;
  if (functions_->nvrtcGetCUBINSize(made, &size) == kSuccess) {
    cubin.resize(size);
    if (size > 0 && functions_->nvrtcGetCUBIN(made, cubin.data()) == kSuccess) return cubin;
  }
  return fail(Code::kInternal, fmt::format("{} gave no code for sm_{}", library_, architecture));
}

}  // namespace hearth::compute
