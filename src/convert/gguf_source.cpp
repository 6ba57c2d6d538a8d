// A GGUF file as a source: everything is carried over as it is.  A model that is cut into several
// files ("model-00001-of-00003.gguf") is named by its first, which has all metadata; its tensors
// are those of all.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "convert/model_source.h"
#include "gguf/gguf_file.h"

namespace hearth::convert {
namespace {

// Keys that say how a file is quantised or laid out; the new file has its own.
constexpr std::string_view kOwnKeys[] = {"general.file_type", "general.quantization_version",
                                         "general.alignment", "split.no",
                                         "split.count",       "split.tensors.count"};

constexpr std::uint32_t kSplitFilesMax = 1000;

// For the rules that look at how deep a layer lies.
std::uint32_t layers_of(const gguf::GgufFile& file, std::string_view architecture) {
  return file.get_u32(fmt::format("{}.block_count", architecture), 0U).value_or(0);
}

SourceTensor tensor_of(const gguf::TensorInfo& info) {
  SourceTensor tensor;
  tensor.name = info.name;
  tensor.dims.assign(info.dims.begin(), info.dims.begin() + info.n_dims);
  tensor.type = info.type;
  tensor.parts = {info.data};
  return tensor;
}

Result<> refuse_what_is_no_model(const gguf::GgufFile& file) {
  HEARTH_TRY(const std::string_view type, file.get_string("general.type", "model"));
  if (type != "model") {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is no model but of the type '{}', which is used as it is",
                            file.name(), type.substr(0, 64)));
  }
  return {};
}

using FilePtr = std::shared_ptr<const gguf::GgufFile>;

Result<FilePtr> open_file(const std::filesystem::path& path) {
  HEARTH_TRY(gguf::GgufFile opened, gguf::GgufFile::open(path));
  return std::make_shared<const gguf::GgufFile>(std::move(opened));
}

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

// The first file's followers, in order.
Result<std::vector<FilePtr>> open_rest(const std::filesystem::path& path, std::uint32_t n_files) {
  if (n_files > kSplitFilesMax) {
    return fail(Code::kCorrupt,
                fmt::format("'{}': key 'split.count' is {}, at most {} files are read",
                            path.string(), n_files, kSplitFilesMax));
  }
  HEARTH_TRY(const std::string stem, stem_of_first(path, n_files));
  std::vector<FilePtr> files;
  for (std::uint32_t i = 1; i < n_files; ++i) {
    const auto next =
        path.parent_path() / fmt::format("{}{:05}-of-{:05}.gguf", stem, i + 1, n_files);
    HEARTH_TRY(FilePtr file, open_file(next));
    HEARTH_TRY(const std::uint32_t index, file->get_u32("split.no", n_files));
    HEARTH_TRY(const std::uint32_t count, file->get_u32("split.count", 0U));
    if (index != i || count != n_files) {
      return fail(Code::kCorrupt,
                  fmt::format("'{}' says that it is file {} of {}, {} of {} expected: download the "
                              "model again",
                              next.string(), index + 1, count, i + 1, n_files));
    }
    files.push_back(std::move(file));
  }
  return files;
}

// Each tensor once, in the files' order.
Result<> add_tensors(const gguf::GgufFile& file, std::set<std::string_view>& names,
                     ModelSource& source) {
  for (const gguf::TensorInfo& info : file.tensors()) {
    if (!names.insert(info.name).second) {
      return fail(Code::kCorrupt, fmt::format("'{}': tensor '{}' is in an earlier file, too",
                                              file.name(), info.name));
    }
    source.tensors.push_back(tensor_of(info));
  }
  return {};
}

// What the first file says that there are, all files together.
Result<> check_all_there(const gguf::GgufFile& first, const ModelSource& source) {
  if (source.tensors.empty()) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' has no tensors: give the path of a whole model", first.name()));
  }
  const auto n = static_cast<std::uint32_t>(source.tensors.size());
  HEARTH_TRY(const std::uint32_t claimed, first.get_u32("split.tensors.count", n));
  if (claimed == n) return {};
  return fail(Code::kCorrupt,
              fmt::format("'{}': {} tensors claimed, {} found in all its files: download the model "
                          "again",
                          first.name(), claimed, n));
}

}  // namespace

Result<ModelSource> open_gguf_source(const std::filesystem::path& path) {
  HEARTH_TRY(const FilePtr file, open_file(path));
  HEARTH_TRY_VOID(refuse_what_is_no_model(*file));
  HEARTH_TRY(const std::uint32_t n_files, file->get_u32("split.count", 1U));
  std::vector<FilePtr> rest;
  if (n_files > 1) {
    HEARTH_TRY(rest, open_rest(path, n_files));
  }
  HEARTH_TRY(const std::string_view architecture, file->get_string("general.architecture"));

  ModelSource source{.name = path.string(),
                     .architecture = std::string(architecture),
                     .n_layers = layers_of(*file, architecture),
                     .metadata = gguf::GgufWriter()};
  for (const gguf::MetadataEntry& entry : file->metadata()) {
    if (std::ranges::find(kOwnKeys, entry.key) != std::end(kOwnKeys)) continue;
    source.metadata.set_value(entry.key, entry.value);
  }
  std::set<std::string_view> names;
  HEARTH_TRY_VOID(add_tensors(*file, names, source));
  for (const FilePtr& next : rest) HEARTH_TRY_VOID(add_tensors(*next, names, source));
  HEARTH_TRY_VOID(check_all_there(*file, source));
  source.files.push_back(file);
  source.files.insert(source.files.end(), rest.begin(), rest.end());
  return source;
}

}  // namespace hearth::convert
