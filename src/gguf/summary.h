// A GGUF file in a form for people: what `hearth inspect gguf` prints.
//
// Values are shortened (a vocabulary has 150,000 strings) and made printable: metadata is whatever
// a stranger wrote, so control characters and invalid UTF-8 never reach a terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gguf/gguf_file.h"

namespace hearth::gguf {

struct SummaryLimits {
  std::size_t text_bytes_max = 120;  // Of one value; a longer one ends in "...".
  std::size_t array_items_max = 6;   // Shown of an array.
};

struct MetadataSummary {
  std::string key;
  std::string type;       // "u32", "string", "array of string", ...
  std::string text;       // 42, 0.5, true, llama, [a, b, ...]: shortened.
  std::size_t count = 1;  // Items of an array.
};

struct TensorSummary {
  std::string name;
  std::string type;   // "Q4_K"
  std::string shape;  // "[rows, cols]"
  std::uint64_t n_elements = 0;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;  // From the start of the data section.
};

struct TypeSummary {
  std::string type;
  std::size_t n_tensors = 0;
  std::uint64_t n_elements = 0;
  std::uint64_t bytes = 0;
};

struct Summary {
  std::string name;
  std::uint32_t version = 0;
  std::uint32_t alignment = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t header_bytes = 0;
  std::uint64_t n_parameters = 0;
  std::vector<MetadataSummary> metadata;  // In the file's order, as are the tensors.
  std::vector<TensorSummary> tensors;
  std::vector<TypeSummary> types;  // The most bytes first.
};

Summary summarize(const GgufFile& file, const SummaryLimits& limits = {});

// The summary as aligned lines of text.
std::string to_text(const Summary& summary);

}  // namespace hearth::gguf
