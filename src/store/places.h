// Where models lie on this machine: the folders that other programs keep them in, and the
// files found there.  What the files are is not looked at here (head.h).
//
// Layouts, as those programs document and write them:
//   Ollama       models/manifests/HOST/NAMESPACE/MODEL/TAG   JSON that names blobs
//                models/blobs/sha256-HEX                     the GGUF file, without a suffix
//   LM Studio    models/PUBLISHER/REPOSITORY/FILE.gguf
//   llama.cpp    FILE.gguf, flat
//   Hearth       store/models/NAME.model                     manifests (gguf/pack_format.h)
//   Hugging Face hub/models--ORG--NAME/snapshots/REVISION/**/FILE.gguf   links into blobs/
//
// Folders and manifests are other programs' data and may be anything: links may form loops,
// folders may be endless or unreadable, a manifest may name a path outside of its blobs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/head.h"

namespace hearth::store {

struct CatalogueOptions;

// Limits of a scan; what lies beyond them is left out with a note.
inline constexpr int kFolderDepthMax = 16;
inline constexpr std::size_t kFolderEntriesMax = 500'000;  // Looked at, over all folders.
inline constexpr std::size_t kManifestBytesMax = std::size_t{1} << 20;

// A file that may hold a model, or something that should be one.
struct Candidate {
  std::string name;
  std::filesystem::path path;
  std::string source;
  std::string problem;      // Known before the file is opened; empty if none.
  std::uint64_t bytes = 0;  // Of all parts, for a split model; otherwise 0.
  bool is_peft = false;     // `path` is an adapter's folder.
};

struct FoundFiles {
  std::vector<Candidate> candidates;  // In the order of the sources, then of paths.
  std::vector<std::string> notes;
  std::set<FileKey> imported;  // Files that the store's models were imported from.
};

// Lists what the options ask for.  Reads directories and manifests, nothing else.
FoundFiles find_files(const CatalogueOptions& options);

}  // namespace hearth::store
