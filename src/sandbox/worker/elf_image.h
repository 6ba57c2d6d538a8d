// A kernel's image: which parts of an ELF shared object go where, and its relocations.
//
// The file is a stranger's.  It is read inside the jail only, and still every offset and size is
// checked before it is used: a report that says what is wrong with an image is worth more than a
// fault, and the fuzzer holds it to that (elf_image_fuzz.cpp).  Nothing here makes a system call.
//
// Accepted is what a freestanding kernel compiles to, and no more: x86-64 ET_DYN with at most
// kSegmentsMax loadable segments, none both writable and executable, a GNU hash table, and
// relocations R_X86_64_64, GLOB_DAT, JUMP_SLOT and RELATIVE into writable segments.  Refused by
// name: what would run code before the entry is called (constructors, IFUNC), thread-local storage,
// needed libraries, relocations in the text, and symbols that the worker does not have.
//
// Formats: System V ABI, chapter 5; its x86-64 supplement; <elf.h>.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "sandbox/worker/trouble.h"

namespace hearth::sandbox {

inline constexpr std::uint32_t kSegmentsMax = 8;
inline constexpr std::uint64_t kSpanBytesMax = std::uint64_t{4}
                                               << 30;  // From an image's first to its last byte.
inline constexpr std::uint64_t kRelocationsMax = std::uint64_t{1} << 20;  // Of either table.
inline constexpr std::uint64_t kPageBytes = 4096;

constexpr std::uint64_t page_floor(std::uint64_t at) { return at & ~(kPageBytes - 1); }
constexpr std::uint64_t page_ceil(std::uint64_t at) { return page_floor(at + kPageBytes - 1); }

// Addresses are relative to where the image is loaded.
struct ImageSegment {
  std::uint64_t address;
  std::uint64_t memory_bytes;
  std::uint64_t file_offset;  // On the same place within a page as `address`.
  std::uint64_t file_bytes;   // At most memory_bytes; the rest is zeros.
  bool readable, writable, executable;
};

struct RelocationTable {
  std::uint64_t address;
  std::uint64_t count;
};

struct ImagePlan {
  std::uint32_t n_segments = 0;
  ImageSegment segments[kSegmentsMax] = {};  // Ascending; no two on the same page.
  std::uint64_t span_bytes = 0;              // Whole pages from 0 to behind the last segment.
  std::uint64_t entry = 0;                   // Address of hearth_entry, in an executable segment.
  std::uint64_t symbols = 0;                 // Address of the symbol table.
  std::uint64_t strings = 0;                 // Address and size of its names.
  std::uint64_t strings_bytes = 0;
  std::uint64_t hashes = 0;             // Address of the GNU hash table.
  RelocationTable relocations[2] = {};  // DT_RELA, DT_JMPREL
};

// The address that an image's undefined symbol `name` gets, or 0 for one that kernels don't have.
using FindSymbol = std::uintptr_t (*)(const char* name);

// Finds out how `file` is laid out in memory; false with a sentence if it is no image for us.
bool plan_image(std::span<const std::byte> file, ImagePlan& plan, Trouble& trouble);

// Applies the relocations to an image that lies in `memory` ([plan.span_bytes], its segments in
// place) and will run at address `base`.  Writes to writable segments only.  False with a sentence
// for a relocation or a symbol that there is not.
bool relocate_image(std::span<const std::byte> file, const ImagePlan& plan, std::byte* memory,
                    std::uintptr_t base, FindSymbol find, Trouble& trouble);

}  // namespace hearth::sandbox
