// Text in an array of fixed size, ended by a zero: what structs carry from one process to another.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace hearth {

// As much of the text as has room.
inline void put_text(std::span<char> to, std::string_view text) {
  to[text.copy(to.data(), to.size() - 1)] = '\0';
}

// Up to its zero, or whole where another process has left none.
inline std::string text_of(std::span<const char> from) {
  return {from.data(), ::strnlen(from.data(), from.size())};
}

}  // namespace hearth
