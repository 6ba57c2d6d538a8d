// A GGUF file as a source: everything is carried over as it is.
#include <fmt/format.h>

#include <algorithm>

#include "convert/model_source.h"
#include "gguf/gguf_file.h"

namespace hearth::convert {
namespace {

// Keys that say how a file is quantised or laid out; the new file has its own.
constexpr std::string_view kOwnKeys[] = {"general.file_type", "general.quantization_version",
                                         "general.alignment", "split.no",
                                         "split.count",       "split.tensors.count"};

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

}  // namespace

Result<ModelSource> open_gguf_source(const std::filesystem::path& path) {
  HEARTH_TRY(const FilePtr file, open_file(path));
  HEARTH_TRY_VOID(refuse_what_is_no_model(*file));
  if (file->tensors().empty()) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' has no tensors: give the path of a whole model", file->name()));
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
  for (const gguf::TensorInfo& info : file->tensors()) source.tensors.push_back(tensor_of(info));
  source.files.push_back(file);
  return source;
}

}  // namespace hearth::convert
