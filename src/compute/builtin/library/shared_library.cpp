#include "compute/builtin/library/shared_library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace hearth::compute {

Result<SharedLibrary> SharedLibrary::open(std::span<const std::string> names,
                                          std::string_view what_for, std::string_view package) {
  for (const std::string& name : names) {
    // Its names stay its own: two libraries may both bring, say, LAPACK.
    if (void* const handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) {
      return SharedLibrary(handle, name);
    }
  }
  return fail(Code::kUnavailable,
              fmt::format("{} needs {}, which is not on this machine: install {}", what_for,
                          fmt::join(names, " or "), package));
}

void* SharedLibrary::symbol(const char* name) const { return dlsym(handle_, name); }

Result<> SharedLibrary::has_no(std::string_view function, std::string_view wanted) const {
  return fail(Code::kUnavailable,
              fmt::format("{} has no function '{}'{}{}", name_, function,
                          wanted.empty() ? "" : ": needed is ", wanted));
}

}  // namespace hearth::compute
