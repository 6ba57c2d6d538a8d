#include "sandbox/worker/elf_image.h"

#include <elf.h>

#include <cstring>

#include "sandbox/kernel_abi.h"

namespace hearth::sandbox {
namespace {

using File = std::span<const std::byte>;

// A T at `offset` of the file, copied since nothing says that it is aligned.
template <class T>
bool read_at(File file, std::uint64_t offset, T& value) {
  if (offset > file.size() || file.size() - offset < sizeof(T)) return false;
  std::memcpy(&value, file.data() + offset, sizeof(T));
  return true;
}

// The `bytes` bytes that the file has for `address`, or null: an image's tables are found where the
// program will see them, and have to lie within one segment's part of the file.
const std::byte* at_address(File file, const ImagePlan& plan, std::uint64_t address,
                            std::uint64_t bytes) {
  for (std::uint32_t i = 0; i < plan.n_segments; ++i) {
    const ImageSegment& segment = plan.segments[i];
    if (address < segment.address || address - segment.address > segment.file_bytes) continue;
    const std::uint64_t into = address - segment.address;
    if (segment.file_bytes - into < bytes) continue;
    return file.data() + segment.file_offset + into;
  }
  return nullptr;
}

template <class T>
bool read_address(File file, const ImagePlan& plan, std::uint64_t address, T& value) {
  const std::byte* found = at_address(file, plan, address, sizeof(T));
  if (found != nullptr) std::memcpy(&value, found, sizeof(T));
  return found != nullptr;
}

bool check_header(File file, Elf64_Ehdr& header, Trouble& trouble) {
  if (!read_at(file, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return refuse(trouble, "it is no ELF file");
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64) {
    return refuse(trouble, "it is not for x86-64 (machine ", std::uint32_t{header.e_machine}, ")");
  }
  if (header.e_type != ET_DYN) {
    return refuse(trouble, "it is no shared object (type ", std::uint32_t{header.e_type},
                  "): link with -shared");
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > 32) {
    return refuse(trouble, "its program headers are not in the form of ELF-64");
  }
  return true;
}

bool add_segment(File file, const Elf64_Phdr& part, ImagePlan& plan, Trouble& trouble) {
  if (plan.n_segments == kSegmentsMax)
    return refuse(trouble, "it has more than ", kSegmentsMax, " segments");
  ImageSegment segment{part.p_vaddr,
                       part.p_memsz,
                       part.p_offset,
                       part.p_filesz,
                       (part.p_flags & PF_R) != 0,
                       (part.p_flags & PF_W) != 0,
                       (part.p_flags & PF_X) != 0};
  if (segment.writable && segment.executable) {
    return refuse(trouble, "a segment is both writable and executable");
  }
  if (segment.file_offset > file.size() || file.size() - segment.file_offset < segment.file_bytes) {
    return refuse(trouble, "a segment lies beyond the end of the file");
  }
  if (segment.address > kSpanBytesMax || segment.memory_bytes > kSpanBytesMax - segment.address) {
    return refuse(trouble, "it takes more than ", kSpanBytesMax >> 30, " GiB of addresses");
  }
  if (segment.file_bytes > segment.memory_bytes)
    return refuse(trouble, "a segment is larger in the file than in memory");
  if (segment.address % kPageBytes != segment.file_offset % kPageBytes) {
    return refuse(trouble, "a segment is not aligned to pages");
  }
  if (segment.memory_bytes > segment.file_bytes && !segment.writable) {
    return refuse(trouble, "a read-only segment has zeros that the file does not have");
  }
  if (page_floor(segment.address) < plan.span_bytes) {
    return refuse(trouble, "its segments overlap, or share a page");
  }
  plan.span_bytes = page_ceil(segment.address + segment.memory_bytes);
  plan.segments[plan.n_segments++] = segment;
  return true;
}

// Takes the loadable segments, and remembers the dynamic section.
bool read_segments(File file, const Elf64_Ehdr& header, ImagePlan& plan, Elf64_Phdr& dynamic,
                   Trouble& trouble) {
  for (std::uint32_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part;
    if (header.e_phoff > file.size() || !read_at(file, header.e_phoff + i * sizeof part, part)) {
      return refuse(trouble, "its program headers lie beyond the end of the file");
    }
    if (part.p_type == PT_TLS)
      return refuse(trouble, "it has thread-local variables, which kernels can't have");
    if (part.p_type == PT_INTERP) return refuse(trouble, "it is a program and no shared object");
    if (part.p_type == PT_DYNAMIC) dynamic = part;
    if (part.p_type == PT_LOAD && part.p_memsz != 0 && !add_segment(file, part, plan, trouble))
      return false;
  }
  if (plan.n_segments == 0) return refuse(trouble, "it has nothing to load");
  if (dynamic.p_type != PT_DYNAMIC)
    return refuse(trouble, "it has no dynamic section: link with -shared");
  return true;
}

// The entries of the dynamic section that say what an image must not have.
struct Forbidden {
  std::int64_t tag;
  const char* sentence;
};
constexpr Forbidden kForbidden[] = {
    {DT_NEEDED, "it needs another library: link with -nostdlib"},
    {DT_INIT, "it has an initialisation function, which would run before any check"},
    {DT_INIT_ARRAY, "it has constructors, which would run before any check"},
    {DT_PREINIT_ARRAY, "it has constructors, which would run before any check"},
    {DT_FINI, "it has a termination function, which nobody would call"},
    {DT_FINI_ARRAY, "it has destructors, which nobody would call"},
    {DT_TEXTREL, "it has relocations in its text: compile with -fPIC"},
    {DT_REL, "its relocations have no addends, which x86-64 does not use"},
    {36 /* DT_RELR */, "its relocations are packed: link without -z pack-relative-relocs"},
};

const char* forbidden_by(const Elf64_Dyn& entry) {
  if (entry.d_tag == DT_FLAGS && (entry.d_un.d_val & DF_TEXTREL) != 0) {
    return "it has relocations in its text: compile with -fPIC";
  }
  for (const Forbidden& row : kForbidden) {
    if (entry.d_tag == row.tag) return row.sentence;
  }
  return nullptr;
}

// What the dynamic section says, before it is checked against one another.
struct Dynamic {
  std::uint64_t relocation_bytes[2] = {};
  std::uint64_t relocation_entry_bytes = sizeof(Elf64_Rela);
  std::uint64_t symbol_entry_bytes = sizeof(Elf64_Sym);
  std::uint64_t plt_kind = DT_RELA;
};

void take_entry(const Elf64_Dyn& entry, ImagePlan& plan, Dynamic& dynamic) {
  const std::uint64_t value = entry.d_un.d_val;
  switch (entry.d_tag) {
    case DT_SYMTAB:
      plan.symbols = value;
      break;
    case DT_STRTAB:
      plan.strings = value;
      break;
    case DT_STRSZ:
      plan.strings_bytes = value;
      break;
    case DT_GNU_HASH:
      plan.hashes = value;
      break;
    case DT_RELA:
      plan.relocations[0].address = value;
      break;
    case DT_RELASZ:
      dynamic.relocation_bytes[0] = value;
      break;
    case DT_JMPREL:
      plan.relocations[1].address = value;
      break;
    case DT_PLTRELSZ:
      dynamic.relocation_bytes[1] = value;
      break;
    case DT_RELAENT:
      dynamic.relocation_entry_bytes = value;
      break;
    case DT_SYMENT:
      dynamic.symbol_entry_bytes = value;
      break;
    case DT_PLTREL:
      dynamic.plt_kind = value;
      break;
    default:
      break;  // Names, flags and versions that loading does not need.
  }
}

bool check_tables(File file, ImagePlan& plan, const Dynamic& dynamic, Trouble& trouble) {
  if (dynamic.relocation_entry_bytes != sizeof(Elf64_Rela) ||
      dynamic.symbol_entry_bytes != sizeof(Elf64_Sym) || dynamic.plt_kind != DT_RELA) {
    return refuse(trouble, "its tables are not in the form of x86-64");
  }
  if (plan.hashes == 0)
    return refuse(trouble, "it has no GNU hash table: link with --hash-style=gnu");
  if (plan.strings_bytes == 0 ||
      at_address(file, plan, plan.strings, plan.strings_bytes) == nullptr) {
    return refuse(trouble, "its names lie outside of the file");
  }
  for (int i = 0; i < 2; ++i) {
    RelocationTable& table = plan.relocations[i];
    table.count = dynamic.relocation_bytes[i] / sizeof(Elf64_Rela);
    if (table.count > kRelocationsMax)
      return refuse(trouble, "it has more than ", kRelocationsMax, " relocations");
    if (at_address(file, plan, table.address, table.count * sizeof(Elf64_Rela)) == nullptr &&
        table.count != 0) {
      return refuse(trouble, "its relocations lie outside of the file");
    }
  }
  return true;
}

bool read_dynamic(File file, const Elf64_Phdr& section, ImagePlan& plan, Trouble& trouble) {
  Dynamic dynamic;
  const std::uint64_t count = section.p_filesz / sizeof(Elf64_Dyn);
  for (std::uint64_t i = 0;; ++i) {
    Elf64_Dyn entry;
    if (i >= count || i >= 1024 ||
        !read_address(file, plan, section.p_vaddr + i * sizeof entry, entry)) {
      return refuse(trouble, "its dynamic section has no end");
    }
    if (entry.d_tag == DT_NULL) break;
    if (const char* why = forbidden_by(entry)) return refuse(trouble, why);
    take_entry(entry, plan, dynamic);
  }
  return check_tables(file, plan, dynamic, trouble);
}

// The name at `offset` of the string table, or null if it has no end in there.
const char* name_at(File file, const ImagePlan& plan, std::uint32_t offset) {
  if (offset >= plan.strings_bytes) return nullptr;
  const std::byte* names = at_address(file, plan, plan.strings, plan.strings_bytes);
  if (std::memchr(names + offset, 0, plan.strings_bytes - offset) == nullptr) return nullptr;
  return reinterpret_cast<const char*>(names + offset);
}

bool read_symbol(File file, const ImagePlan& plan, std::uint32_t index, Elf64_Sym& symbol,
                 const char*& name, Trouble& trouble) {
  if (!read_address(file, plan, plan.symbols + std::uint64_t{index} * sizeof symbol, symbol)) {
    return refuse(trouble, "symbol ", index, " lies outside of the file");
  }
  name = name_at(file, plan, symbol.st_name);
  return name != nullptr ||
         refuse(trouble, "the name of symbol ", index, " lies outside of the file");
}

std::uint32_t gnu_hash(const char* name) {
  std::uint32_t hash = 5381;
  for (; *name != 0; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

// Looks `name` up in the GNU hash table: header, bloom filter, buckets, and chains that end with an
// odd hash.  https://flapenguin.me/elf-dt-gnu-hash
bool find_export(File file, const ImagePlan& plan, const char* name, Elf64_Sym& found,
                 Trouble& trouble) {
  std::uint32_t header[4];  // Buckets, first symbol, words of the bloom filter, its shift.
  if (!read_address(file, plan, plan.hashes, header) || header[0] == 0) {
    return refuse(trouble, "its hash table is empty: nothing is exported");
  }
  const std::uint64_t buckets = plan.hashes + sizeof header + std::uint64_t{header[2]} * 8;
  const std::uint64_t chains = buckets + std::uint64_t{header[0]} * 4;
  const std::uint32_t wanted = gnu_hash(name);
  std::uint32_t index = 0;
  if (!read_address(file, plan, buckets + std::uint64_t{wanted % header[0]} * 4, index)) {
    return refuse(trouble, "its hash table lies outside of the file");
  }
  for (; index >= header[1] && index != 0; ++index) {
    std::uint32_t hash = 0;
    if (!read_address(file, plan, chains + std::uint64_t{index - header[1]} * 4, hash)) {
      return refuse(trouble, "its hash table lies outside of the file");
    }
    const char* its_name = nullptr;
    if ((hash | 1U) == (wanted | 1U)) {
      if (!read_symbol(file, plan, index, found, its_name, trouble)) return false;
      if (std::strcmp(its_name, name) == 0) return true;
    }
    if ((hash & 1U) != 0) break;
  }
  return refuse(trouble, "it does not export ", name);
}

bool find_entry(File file, ImagePlan& plan, Trouble& trouble) {
  Elf64_Sym symbol;
  if (!find_export(file, plan, HEARTH_KERNEL_ENTRY, symbol, trouble)) return false;
  if (symbol.st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol.st_info) != STT_FUNC) {
    return refuse(trouble, HEARTH_KERNEL_ENTRY, " is no function of its own");
  }
  for (std::uint32_t i = 0; i < plan.n_segments; ++i) {
    const ImageSegment& segment = plan.segments[i];
    if (segment.executable && symbol.st_value >= segment.address &&
        symbol.st_value - segment.address < segment.file_bytes) {
      plan.entry = symbol.st_value;
      return true;
    }
  }
  return refuse(trouble, HEARTH_KERNEL_ENTRY, " lies outside of the code");
}

bool is_writable(const ImagePlan& plan, std::uint64_t address) {
  for (std::uint32_t i = 0; i < plan.n_segments; ++i) {
    const ImageSegment& segment = plan.segments[i];
    if (segment.writable && address >= segment.address && segment.memory_bytes >= 8 &&
        address - segment.address <= segment.memory_bytes - 8) {
      return true;
    }
  }
  return false;
}

// Where symbol `index` lies at run time.
bool resolve(File file, const ImagePlan& plan, std::uint32_t index, std::uintptr_t base,
             FindSymbol find, std::uint64_t& value, Trouble& trouble) {
  Elf64_Sym symbol;
  const char* name = nullptr;
  if (!read_symbol(file, plan, index, symbol, name, trouble)) return false;
  const auto type = ELF64_ST_TYPE(symbol.st_info);
  if (type == STT_GNU_IFUNC)
    return refuse(trouble, "'", Foreign{name}, "' is chosen by code while loading (IFUNC)");
  if (type == STT_TLS)
    return refuse(trouble, "'", Foreign{name}, "' is thread-local, which kernels can't have");
  if (symbol.st_shndx == SHN_UNDEF) {
    value = find(name);
    return value != 0 ||
           refuse(trouble, "it needs '", Foreign{name}, "', which kernels don't have");
  }
  if (symbol.st_shndx >= SHN_LORESERVE || symbol.st_value > plan.span_bytes) {
    return refuse(trouble, "'", Foreign{name}, "' lies outside of the image");
  }
  value = base + symbol.st_value;
  return true;
}

bool apply(File file, const ImagePlan& plan, const Elf64_Rela& relocation, std::byte* memory,
           std::uintptr_t base, FindSymbol find, Trouble& trouble) {
  const std::uint64_t type = ELF64_R_TYPE(relocation.r_info);
  const auto addend = static_cast<std::uint64_t>(relocation.r_addend);
  if (type == R_X86_64_NONE) return true;
  if (!is_writable(plan, relocation.r_offset)) {
    return refuse(trouble, "a relocation is outside of its writable data: compile with -fPIC");
  }
  std::uint64_t value = 0;
  switch (type) {
    case R_X86_64_RELATIVE:
      value = base + addend;
      break;
    case R_X86_64_64:
    case R_X86_64_GLOB_DAT:
    case R_X86_64_JUMP_SLOT:
      if (!resolve(file, plan, static_cast<std::uint32_t>(relocation.r_info >> 32), base, find,
                   value, trouble))
        return false;
      if (type == R_X86_64_64) value += addend;
      break;
    default:
      return refuse(trouble, "it has a relocation of type ", type, ", which kernels don't need");
  }
  std::memcpy(memory + relocation.r_offset, &value, sizeof value);
  return true;
}

}  // namespace

bool plan_image(File file, ImagePlan& plan, Trouble& trouble) {
  plan = ImagePlan();
  Elf64_Ehdr header;
  Elf64_Phdr dynamic{};
  return check_header(file, header, trouble) &&
         read_segments(file, header, plan, dynamic, trouble) &&
         read_dynamic(file, dynamic, plan, trouble) && find_entry(file, plan, trouble);
}

bool relocate_image(File file, const ImagePlan& plan, std::byte* memory, std::uintptr_t base,
                    FindSymbol find, Trouble& trouble) {
  for (const RelocationTable& table : plan.relocations) {
    for (std::uint64_t i = 0; i < table.count; ++i) {
      Elf64_Rela relocation;
      if (!read_address(file, plan, table.address + i * sizeof relocation, relocation)) {
        return refuse(trouble, "its relocations lie outside of the file");
      }
      if (!apply(file, plan, relocation, memory, base, find, trouble)) return false;
    }
  }
  return true;
}

}  // namespace hearth::sandbox
