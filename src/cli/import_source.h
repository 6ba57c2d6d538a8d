// What `hearth models import` was given, as one GGUF file.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "base/result.h"
#include "cli/verbs.h"

namespace hearth::cli {

// What is to be imported, and what it will be called.
struct ImportSource {
  std::filesystem::path path;
  std::string name;
};
Result<ImportSource> find_import_source(const Context& context, const ModelsImportOptions& options);

// A GGUF file, which goes with this if it was made for it.
class ImportFile {
 public:
  ImportFile(std::filesystem::path path, bool is_scratch) : path_(std::move(path)), is_scratch_(is_scratch) {}
  ImportFile(ImportFile&& other) noexcept
      : path_(std::move(other.path_)), is_scratch_(std::exchange(other.is_scratch_, false)) {}
  ImportFile& operator=(ImportFile&&) = delete;
  ~ImportFile();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool is_scratch_;
};

// The source itself, or what a folder in Hugging Face's layout or another type make of it.
Result<ImportFile> prepare_import(const ImportSource& source, const ModelsImportOptions& options,
                                  bool shows_progress);

}  // namespace hearth::cli
