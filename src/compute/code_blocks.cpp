#include "compute/code_blocks.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/ascii.h"

namespace hearth::compute {
namespace {

// The word behind a fence: "cpp" of "```cpp {.numbered}".
std::string language_of(std::string_view fence) {
  return lower(fence.substr(0, std::min(fence.find_first_of(" \t\r{"), fence.size())));
}

bool is_source(std::string_view language) {
  constexpr std::string_view kNames[] = {"", "cpp", "c++", "cc", "c", "opencl", "cl", "cuda", "cu"};
  return std::ranges::find(kNames, language) != std::end(kNames);
}

}  // namespace

CodeBlocks find_code_blocks(std::string_view answer) {
  CodeBlocks blocks;
  bool is_open = false;
  std::string language, block;
  while (!answer.empty()) {
    const std::size_t end = std::min(answer.find('\n'), answer.size());
    const std::string_view line = answer.substr(0, end);
    answer.remove_prefix(std::min(end + 1, answer.size()));
    const std::string_view fence = line.substr(std::min(line.find_first_not_of(' '), line.size()));
    if (!fence.starts_with("```")) {
      if (is_open) block.append(line).append("\n");
      continue;
    }
    if (!is_open) {
      language = language_of(fence.substr(3));
    } else if (language == "toml") {
      blocks.contract_toml = std::exchange(block, {});
    } else if (is_source(language)) {
      blocks.source = std::exchange(block, {});
    }
    block.clear();
    is_open = !is_open;
  }
  return blocks;
}

}  // namespace hearth::compute
