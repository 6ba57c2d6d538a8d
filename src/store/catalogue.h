// The catalogue: which models this machine already has, wherever another program put them.
//
// Scanning reads directory listings and the heads of GGUF files; nothing is copied, moved
// or written.  A file that can't be used is listed with its problem instead of vanishing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/head.h"
#include "store/known_heads.h"

namespace hearth::store {

struct CatalogueEntry {
  std::string name;  // Unique; what requests say: "ember", "qwen3:0.6b", "Qwen3-0.6B-Q8_0".
  std::filesystem::path path;
  // "embedded", "store", "config", "pulled", "ollama", "lm-studio", "llama.cpp", "huggingface"; "path"
  // for a file that find() was given by its path.
  std::string source;
  std::uint64_t bytes = 0;
  std::uint64_t version = 0;  // Of the file's content, as far as its size and time tell.
  std::string architecture;  // GGUF general.architecture.
  std::string quantization;  // The type that most weight bytes have: "Q4_K".
  std::uint32_t n_context = 0;
  Shape shape;
  std::string base;     // As Head's.
  std::vector<std::string> tags;  // What its makers call it, in lower case.
  std::string problem;  // Why it can't run, in one sentence; empty if it can.
  bool is_foreign = false;  // A whole model that can't run here, but may elsewhere.
};

struct CatalogueOptions {
  std::vector<std::filesystem::path> folders;  // From hearth.toml; searched recursively for *.gguf.
  std::vector<std::filesystem::path> adapter_folders;  // The same; any folder may hold both.
  std::optional<std::filesystem::path> embedded;  // ember's file.
  std::optional<std::filesystem::path> pulled;    // Where pulls put their files; it need not be there.
  // The store's folder.  A file that was imported from is not listed beside what it became.
  std::optional<std::filesystem::path> store;
  // Keeps what heads said from one program's run to the next, so that only new and changed files are
  // opened: reading a head means walking past its vocabulary.  Written when it changes, if it can be.
  std::optional<std::filesystem::path> heads_file;
  // Where other programs keep models; unset members follow the environment and $HOME as those
  // programs do (OLLAMA_MODELS, LLAMA_CACHE, HF_HOME, HF_HUB_CACHE, XDG_CACHE_HOME).
  std::optional<std::filesystem::path> ollama, lm_studio, llama_cpp, huggingface;
  bool scan_other_programs = true;
  std::size_t files_max = 10'000;
  // Architectures that can run (the model room's table); others are listed with a problem.  Empty:
  // no architecture is a problem.
  std::vector<std::string> architectures;
};

// Threading: immutable; scan again to see changes.
class Catalogue {
 public:
  // Never fails: what can't be read is in notes().  With the catalogue of an earlier scan, files
  // that have not changed since are not opened again.
  static Catalogue scan(const CatalogueOptions& options, const Catalogue* previous = nullptr);

  const std::vector<CatalogueEntry>& entries() const { return entries_; }
  // LoRA adapters, found in the same places: GGUF files and folders in PEFT's layout.
  const std::vector<CatalogueEntry>& adapters() const { return adapters_; }
  // What was left out and why, a sentence each: folders that can't be read, limits that were met.
  const std::vector<std::string>& notes() const { return notes_; }

  // By exact name (also without Ollama's ":latest"), then as what it was pulled as (store/pulled.h), by path
  // of a .gguf file, and by unambiguous case-insensitive prefix, of models that can run before others.  kNotFound names the
  // models that there are; kInvalidArgument names the candidates of an ambiguous prefix;
  // kUnsupported carries the entry's problem.
  Result<CatalogueEntry> find(std::string_view name) const;
  // The same, also for models that can't run.
  Result<CatalogueEntry> find_any(std::string_view name) const;

 private:
  Head head_of(const std::filesystem::path& path, const std::optional<FileKey>& key,
               std::span<const HeadMap* const> known);
  const CatalogueEntry* find_pulled(std::string_view name) const;
  Result<CatalogueEntry> find_path(const std::filesystem::path& path) const;
  Result<CatalogueEntry> find_prefix(std::string_view name) const;

  std::vector<CatalogueEntry> entries_;   // Sorted by name,
  std::vector<CatalogueEntry> adapters_;  // as these.
  std::vector<std::string> notes_;
  HeadMap heads_;
  std::vector<std::string> architectures_;
  std::filesystem::path pulled_;
};

}  // namespace hearth::store
