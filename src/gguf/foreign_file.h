// What a file that is no GGUF probably is, for an error that helps.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace hearth::gguf {

// A clause that names what `head` (a file's first bytes, without GGUF's magic) looks like and what
// to do about it: "it is a text file ...: give the .gguf file itself".
std::string_view describe_foreign_file(std::span<const std::byte> head);

}  // namespace hearth::gguf
