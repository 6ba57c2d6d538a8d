#include "compute/cuda/library_search.h"

#include <cstdlib>
#include <filesystem>

namespace hearth::compute {
namespace {

namespace fs = std::filesystem;

// PREFIX/lib/python3.x/site-packages/nvidia/*/lib, where pip puts NVIDIA's libraries.
void add_of_python(const fs::path& prefix, std::initializer_list<const char*> names,
                   std::vector<std::string>& found) {
  std::error_code ignored;
  for (const auto& python : fs::directory_iterator(prefix / "lib", ignored)) {
    if (!python.path().filename().string().starts_with("python3")) continue;
    for (const auto& package :
         fs::directory_iterator(python.path() / "site-packages/nvidia", ignored)) {
      for (const char* const name : names) {
        const fs::path file = package.path() / "lib" / name;
        if (fs::exists(file, ignored)) found.push_back(file);
      }
    }
  }
}

}  // namespace

std::vector<std::string> library_candidates(const char* variable,
                                            std::initializer_list<const char*> names) {
  std::vector<std::string> found;
  if (const char* const named = std::getenv(variable)) found.emplace_back(named);
  for (const char* const of_python : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    if (const char* const prefix = std::getenv(of_python)) add_of_python(prefix, names, found);
  }
  for (const char* const of_cuda : {"CUDA_HOME", "CUDA_PATH"}) {
    const char* const home = std::getenv(of_cuda);
    if (home == nullptr) continue;
    for (const char* const name : names) found.push_back(fs::path(home) / "lib64" / name);
  }
  found.insert(found.end(), names.begin(), names.end());
  return found;
}

}  // namespace hearth::compute
