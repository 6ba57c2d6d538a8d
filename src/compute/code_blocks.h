// The fenced code blocks of an answer: what an adviser that was asked for a kernel has written.
#pragma once

#include <string>
#include <string_view>

namespace hearth::compute {

// The last block of each kind counts; empty where there is none.  A block that is not closed is
// none.
struct CodeBlocks {
  std::string source;         // ```cpp, ```opencl, ```cuda or a fence without a name.
  std::string contract_toml;  // ```toml
};
CodeBlocks find_code_blocks(std::string_view answer);

}  // namespace hearth::compute
