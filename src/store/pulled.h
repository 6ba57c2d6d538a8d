// The folder of pulled models: where a pull puts a model's files, what they are called afterwards, and
// how they go.
//
//   huggingface/ORG/REPO/FILE.gguf      listed by FILE, asked for as ORG/REPO:TAG, too
//   ollama/NS/NAME/NAME-TAG.gguf        listed as NAME:TAG (NS/NAME:TAG outside of the library)
//   url/FILE.gguf
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/pull_name.h"

namespace hearth::store {

inline constexpr std::string_view kPulledSource = "pulled";  // CatalogueEntry::source.

// "ollama/library/qwen3/qwen3-0.6b.gguf", for a name of Ollama's.
std::filesystem::path ollama_file(const PullName& name);

// What the catalogue calls the model whose first file is at `relative` in the folder.
std::string pulled_model_name(const std::filesystem::path& relative);

// Whether `name`, read as parse_pull_name does, may mean the model at `relative`.
bool is_pulled_as(std::string_view name, const std::filesystem::path& relative);

// Deletes the model whose first file is `file` in `folder`: all of its parts, what an unfinished pull
// left of them, and folders that are empty then.  Who has it mapped keeps its bytes.  kNotFound: there
// is no such file in the folder; kPermissionDenied, kUnavailable: by the file system.
Result<> remove_pulled(const std::filesystem::path& folder, const std::filesystem::path& file);

}  // namespace hearth::store
