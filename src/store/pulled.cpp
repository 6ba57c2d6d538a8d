#include "store/pulled.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "base/ascii.h"
#include "base/file.h"
#include "store/file_name.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLatest = "latest";
constexpr std::string_view kLibrary = "library";

// The name as somebody says it who pulls just this file; nothing for what no pull puts there.
std::optional<PullName> name_of(const fs::path& relative) {
  std::vector<std::string> parts;
  for (const fs::path& part : relative) parts.push_back(part.string());
  if (parts.size() < 4) return std::nullopt;
  const std::string repository = parts[1] + "/" + parts[2];
  if (parts[0] == "huggingface") return PullName{PullFrom::kHuggingFace, repository, parts.back()};
  if (parts[0] != "ollama" || parts.size() != 4) return std::nullopt;
  const std::string stem = relative.stem().string();
  if (stem == parts[2]) return PullName{PullFrom::kOllama, repository, std::string(kLatest)};
  if (!stem.starts_with(parts[2] + "-")) return std::nullopt;
  return PullName{PullFrom::kOllama, repository, stem.substr(parts[2].size() + 1)};
}

// FILE, without what says which part of a model it is.
std::string model_stem(const fs::path& file) {
  const std::string stem = file.stem().string();
  const auto part = split_part(stem);
  return part ? part->stem : stem;
}

bool is_below(const fs::path& folder, const fs::path& file) {
  const fs::path relative = file.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != ".." && *relative.begin() != ".";
}

// "model.gguf" of "model.gguf.partial".
fs::path without_partial(const fs::path& file) {
  return file.extension() == ".partial" ? fs::path(file).replace_extension() : file;
}

}  // namespace

fs::path ollama_file(const PullName& name) {
  const std::string last = name.repository.substr(name.repository.find('/') + 1);
  const bool is_latest = name.tag.empty() || name.tag == kLatest;
  return fs::path("ollama") / name.repository / (is_latest ? last + ".gguf" : fmt::format("{}-{}.gguf", last, name.tag));
}

std::string pulled_model_name(const fs::path& relative) {
  const auto name = name_of(relative);
  if (!name || name->from != PullFrom::kOllama) return model_stem(relative);
  const std::string_view owner = std::string_view(name->repository).substr(0, name->repository.find('/'));
  return fmt::format("{}:{}", owner == kLibrary ? name->repository.substr(owner.size() + 1) : name->repository, name->tag);
}

bool is_pulled_as(std::string_view name, const fs::path& relative) {
  const auto asked = parse_pull_name(name);
  const auto here = name_of(relative);
  if (!asked || !here || asked->from != here->from || lower(asked->repository) != lower(here->repository)) return false;
  const std::string tag = lower(asked->tag), here_tag = lower(here->tag);
  if (asked->from == PullFrom::kOllama) return (tag.empty() ? kLatest : tag) == here_tag;
  return here_tag.find(tag) != std::string::npos;
}

Result<> remove_pulled(const fs::path& folder, const fs::path& file) {
  std::error_code error;
  if (!is_below(folder, file) || !fs::exists(file, error)) {
    return fail(Code::kNotFound, fmt::format("'{}' is no file of '{}'", file.string(), folder.string()));
  }
  std::vector<fs::path> files;
  for (fs::directory_iterator it(file.parent_path(), error), end; !error && it != end; it.increment(error)) {
    const fs::path whole = without_partial(it->path());
    if (whole.extension() == file.extension() && model_stem(whole) == model_stem(file)) files.push_back(it->path());
  }
  if (error) return std::unexpected(file_error("list", file.parent_path(), error.value()));
  for (const fs::path& path : files) {
    if (!fs::remove(path, error) && error) return std::unexpected(file_error("delete", path, error.value()));
  }
  // A folder that isn't empty stays.
  for (fs::path above = file.parent_path(); is_below(folder, above) && fs::remove(above, error);) above = above.parent_path();
  return {};
}

}  // namespace hearth::store
