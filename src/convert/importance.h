// Importance matrices: how large the inputs of each weight are, measured over some text.
//
// An error in a weight costs what its input multiplies it by, so a quantiser that knows the mean
// square of every input places its errors better.  Two formats are in use, both by llama.cpp's
// imatrix tool:
//   GGUF   general.type = "imatrix"; per tensor NAME two tensors, NAME.in_sum2 [cols] or
//          [cols, n_experts] and NAME.counts [1] or [1, n_experts], both F32
//   .dat   i32 n_entries, then per entry: i32 length, name, i32 n_calls, i32 n_values,
//          f32 values[n_values]; then, if the file goes on: i32 n_chunks, i32 length, text's name
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::convert {

inline constexpr std::uint32_t kImportanceEntriesMax = 65'536;
inline constexpr std::uint32_t kImportanceNameBytesMax = 1'024;
inline constexpr std::uint64_t kImportanceValuesMax = 1U << 28;  // Of one entry.

struct Importance {
  // By tensor name: the mean square of each input, [n_matrices, cols]; finite and at least 0.
  std::map<std::string, std::vector<float>, std::less<>> inputs;
};

// kCorrupt naming the file, the entry and what is wrong with it, or the errors of opening it.
Result<Importance> read_importance(const std::filesystem::path& path);

// Parses borrowed bytes of either format; `name` stands for the file in errors.
Result<Importance> parse_importance(std::span<const std::byte> bytes, const std::string& name);

}  // namespace hearth::convert
