// Arguments of the form NAME=VALUE, as the library gives them to the program; the caller is
// trusted.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace hearth::sandbox {

// The value of an argument that begins with `name` ("cpu="), or null.
inline const char* value_of(const char* argument, const char* name) {
  const std::size_t n = std::strlen(name);
  return std::strncmp(argument, name, n) == 0 ? argument + n : nullptr;
}

// The value of the first argument of that name, up to "--".
inline const char* text_of(int argc, char** argv, const char* name) {
  for (int i = 2; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
    if (const char* value = value_of(argv[i], name)) return value;
  }
  return "";
}

inline std::uint64_t number_of(int argc, char** argv, const char* name) {
  return std::strtoull(text_of(argc, argv, name), nullptr, 10);
}

}  // namespace hearth::sandbox
