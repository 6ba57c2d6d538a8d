// A model that is cut into several files ("model-00001-of-00003.gguf", as llama-gguf-split writes
// them): the first has all metadata, the tensors are those of all.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "gguf/gguf_file.h"

namespace hearth::gguf {
namespace {

constexpr std::uint32_t kSplitFilesMax = 1000;

// "model-" of ".../model-00001-of-00003.gguf", if that is the name of the first of n files.
Result<std::string> stem_of_first(const std::filesystem::path& path, std::uint32_t n_files) {
  const std::string name = path.filename().string();
  const std::string ending = fmt::format("00001-of-{:05}.gguf", n_files);
  if (name.ends_with(ending)) return name.substr(0, name.size() - ending.size());
  return fail(Code::kInvalidArgument,
              fmt::format("'{}' is one of {} files of a model: give the first, whose name ends in "
                          "'{}'",
                          path.string(), n_files, ending));
}

Result<> check_place(const GgufFile& file, std::uint32_t index, std::uint32_t n_files) {
  HEARTH_TRY(const std::uint32_t own_index, file.get_u32("split.no", n_files));
  HEARTH_TRY(const std::uint32_t own_count, file.get_u32("split.count", 0U));
  if (own_index == index && own_count == n_files) return {};
  return fail(Code::kCorrupt,
              fmt::format("'{}' says that it is file {} of {}, {} of {} expected: download the "
                          "model again",
                          file.name(), own_index + 1, own_count, index + 1, n_files));
}

}  // namespace

Result<> GgufFile::open_rest(const std::filesystem::path& path, std::uint32_t n_files) {
  if (n_files > kSplitFilesMax) {
    return fail(Code::kCorrupt,
                fmt::format("'{}': key 'split.count' is {}, at most {} files are read",
                            path.string(), n_files, kSplitFilesMax));
  }
  HEARTH_TRY(const std::string stem, stem_of_first(path, n_files));
  HEARTH_TRY_VOID(check_place(*this, 0, n_files));
  for (std::uint32_t i = 1; i < n_files; ++i) {
    const auto next =
        path.parent_path() / fmt::format("{}{:05}-of-{:05}.gguf", stem, i + 1, n_files);
    HEARTH_TRY(GgufFile file, open_alone(next));
    HEARTH_TRY_VOID(check_place(file, i, n_files));
    rest_.push_back(std::make_shared<const GgufFile>(std::move(file)));
  }
  return join_tensors();
}

// Each tensor once, in the files' order, and as many as the first file says.
Result<> GgufFile::join_tensors() {
  for (const auto& file : rest_) {
    tensors_.insert(tensors_.end(), file->tensors_.begin(), file->tensors_.end());
  }
  tensors_by_name_.resize(tensors_.size());
  std::iota(tensors_by_name_.begin(), tensors_by_name_.end(), 0U);
  const auto name_of = [this](std::uint32_t i) { return tensors_[i].name; };
  std::ranges::sort(tensors_by_name_, {}, name_of);
  const auto twin = std::ranges::adjacent_find(tensors_by_name_, {}, name_of);
  if (twin != tensors_by_name_.end()) {
    return fail(Code::kCorrupt, fmt::format("'{}': tensor '{}' is in two of the model's files: "
                                            "download the model again",
                                            name_, name_of(*twin)));
  }
  const auto n = static_cast<std::uint32_t>(tensors_.size());
  HEARTH_TRY(const std::uint32_t claimed, get_u32("split.tensors.count", n));
  if (claimed == n) return {};
  return fail(Code::kCorrupt,
              fmt::format("'{}': {} tensors claimed, {} found in all its files: download the model "
                          "again",
                          name_, claimed, n));
}

}  // namespace hearth::gguf
