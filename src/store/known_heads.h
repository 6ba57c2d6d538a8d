// What the heads of files said when they were read, kept from one run of the program to the next.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "store/head.h"

namespace hearth::store {

struct KnownHead {
  Head head;
  std::string path;  // That the head's problem names; empty without a problem.
  bool operator==(const KnownHead&) const = default;
};
using HeadMap = std::map<FileKey, KnownHead>;

// Nothing for a file that is not there, not readable, or not of this build: what it would have
// spared is done again.
HeadMap read_heads(const std::filesystem::path& path);
void write_heads(const std::filesystem::path& path, const HeadMap& heads);

}  // namespace hearth::store
