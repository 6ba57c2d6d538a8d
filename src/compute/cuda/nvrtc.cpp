#include "compute/cuda/nvrtc.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "compute/builtin/library/shared_library.h"
#include "sandbox/device/cuda_api.h"

namespace hearth::compute {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNames[] = {"libnvrtc.so.13", "libnvrtc.so.12"};
constexpr int kSuccess = 0;
constexpr int kCompilation = 6;

// FOLDER/lib/python3.x/site-packages/nvidia/*/lib, where pip puts NVIDIA's libraries.
void add_of_python(const fs::path& prefix, std::vector<std::string>& found) {
  std::error_code ignored;
  for (const auto& python : fs::directory_iterator(prefix / "lib", ignored)) {
    if (!python.path().filename().string().starts_with("python3")) continue;
    for (const auto& package : fs::directory_iterator(python.path() / "site-packages/nvidia", ignored)) {
      for (const char* const name : kNames) {
        const fs::path file = package.path() / "lib" / name;
        if (fs::exists(file, ignored)) found.push_back(file);
      }
    }
  }
}

}  // namespace

std::vector<std::string> nvrtc_candidates() {
  std::vector<std::string> found;
  if (const char* const named = std::getenv("HEARTH_NVRTC")) found.emplace_back(named);
  for (const char* const variable : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    if (const char* const prefix = std::getenv(variable)) add_of_python(prefix, found);
  }
  for (const char* const variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const char* const home = std::getenv(variable);
    if (home == nullptr) continue;
    for (const char* const name : kNames) found.push_back(fs::path(home) / "lib64" / name);
  }
  found.insert(found.end(), std::begin(kNames), std::end(kNames));
  return found;
}

struct Nvrtc::Functions : sandbox::NvrtcFunctions {};

Result<Nvrtc> Nvrtc::load() {
  HEARTH_TRY(const SharedLibrary library,
             SharedLibrary::open(nvrtc_candidates(), "compiling CUDA C++", "pip's nvidia-cuda-nvrtc-cu12, and name its libnvrtc.so.12 in HEARTH_NVRTC"));
  static Functions f;
  Result<> bound;
  sandbox::bind_nvrtc(f, [&](const char* name, auto*& function) {
    bound = library.bind(name, function, "version 11.2 or later");
    return bound.has_value();
  });
  HEARTH_TRY_VOID(std::move(bound));
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
