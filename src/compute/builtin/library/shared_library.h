// A library of the system that may be there or not: opened when it is first needed, never linked.
//
// Threading: const after opening.  A library stays open until the process ends: some start threads.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::compute {

class SharedLibrary {
 public:
  // The first of these names or paths that the loader finds; kUnavailable names them, `what_for` and
  // the Debian `package` that brings the library.
  static Result<SharedLibrary> open(std::span<const std::string> names, std::string_view what_for,
                                    std::string_view package);

  // kUnavailable names the function that it has not, and what would have it (`wanted`).
  template <class Function>
  Result<> bind(const char* name, Function*& function, std::string_view wanted = "") const {
    function = find<Function>(name);
    return function != nullptr ? Result<>() : has_no(name, wanted);
  }
  // All functions of a table, which a bind_functions(table, bind) of its own namespace names.
  template <class Table>
  Result<> bind_all(Table& table, std::string_view wanted = "") const {
    Result<> bound;
    bind_functions(table, [&](const char* name, auto*& function) {
      bound = bind(name, function, wanted);
      return bound.has_value();
    });
    return bound;
  }
  // nullptr if it has no such function.
  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(symbol(name));
  }

  const std::string& name() const { return name_; }  // The one that was found.

 private:
  SharedLibrary(void* handle, std::string name) : handle_(handle), name_(std::move(name)) {}
  void* symbol(const char* name) const;
  Result<> has_no(std::string_view function, std::string_view wanted) const;

  void* handle_;
  std::string name_;
};

}  // namespace hearth::compute
