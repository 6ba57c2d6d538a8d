#include "model/adapter_source.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <string_view>

#include "base/digest.h"

namespace hearth::model {
namespace {

using gguf::GgufFile;
using gguf::TensorInfo;

constexpr std::string_view kDownSuffix = ".lora_a";
constexpr std::string_view kUpSuffix = ".lora_b";
constexpr std::string_view kAlphaKey = "adapter.lora.alpha";
constexpr std::string_view kInvocationKey = "adapter.alora.invocation_tokens";

std::unexpected<Error> refuse(const GgufFile& file, Code code, std::string_view what) {
  return fail(code, fmt::format("'{}': {}", file.name(), what));
}

Result<> check_kind(const GgufFile& file) {
  if (!is_adapter(file)) {
    return refuse(file, Code::kInvalidArgument,
                  "it is no adapter (its 'general.type' says so): give the file of a LoRA adapter");
  }
  HEARTH_TRY(const std::string_view type, file.get_string("adapter.type", "lora"));
  if (type == "lora") return {};
  return refuse(file, Code::kUnsupported,
                fmt::format("its adapter is of the type '{}', only 'lora' can be run", type));
}

Result<std::vector<text::TokenId>> read_invocation(const GgufFile& file) {
  std::vector<text::TokenId> tokens;
  const gguf::Value* const value = file.find(kInvocationKey);
  if (value == nullptr) return tokens;
  const bool fits = value->is_array() && value->count() <= kInvocationTokensMax;
  for (std::size_t i = 0; fits && i < value->count(); ++i) {
    const auto id = value->i64_at(i);
    if (!id || *id < 0 || *id > INT32_MAX) break;
    tokens.push_back(static_cast<text::TokenId>(*id));
  }
  if (fits && tokens.size() == value->count() && !tokens.empty()) return tokens;
  return refuse(file, Code::kCorrupt, fmt::format("key '{}' must list 1 to {} token ids",
                                                  kInvocationKey, kInvocationTokensMax));
}

Result<tensor::MatView> as_matrix(const GgufFile& file, const TensorInfo& info) {
  constexpr std::uint64_t kExtentMax = 1U << 24;
  if (info.n_dims == 2 && info.dims[0] <= kExtentMax && info.dims[1] <= kExtentMax) {
    return tensor::MatView{info.type, static_cast<std::uint32_t>(info.dims[1]),
                           static_cast<std::uint32_t>(info.dims[0]), info.data.data()};
  }
  return refuse(file, Code::kCorrupt,
                fmt::format("tensor '{}' is {}, a matrix of at most {} rows and columns is needed",
                            info.name, info.shape_text(), kExtentMax));
}

struct Halves {
  const TensorInfo* a = nullptr;
  const TensorInfo* b = nullptr;
};

// By the name of the matrix that they change.
Result<std::map<std::string_view, Halves>> pair_tensors(const GgufFile& file) {
  std::map<std::string_view, Halves> pairs;
  for (const TensorInfo& info : file.tensors()) {
    const bool is_a = info.name.ends_with(kDownSuffix);
    if (!is_a && !info.name.ends_with(kUpSuffix)) {
      return refuse(file, Code::kUnsupported,
                    fmt::format("tensor '{}' is neither a '.lora_a' nor a '.lora_b', and without "
                                "it the answers would be wrong",
                                info.name));
    }
    Halves& halves = pairs[info.name.substr(0, info.name.size() - kDownSuffix.size())];
    (is_a ? halves.a : halves.b) = &info;
  }
  if (pairs.empty()) return refuse(file, Code::kCorrupt, "the adapter holds no tensors");
  return pairs;
}

}  // namespace

bool is_adapter(const GgufFile& file) {
  return file.get_string("general.type", "").value_or("") == "adapter";
}

Result<AdapterSource> read_adapter(const GgufFile& file) {
  HEARTH_TRY_VOID(check_kind(file));
  AdapterSource source{.file = file.name()};
  HEARTH_TRY(const std::string_view name, file.get_string("general.name", ""));
  HEARTH_TRY(const std::string_view architecture, file.get_string("general.architecture", ""));
  HEARTH_TRY(const float alpha, file.get_f32(kAlphaKey, 0.0F));
  if (!std::isfinite(alpha)) {
    return refuse(file, Code::kCorrupt, fmt::format("key '{}' is no number", kAlphaKey));
  }
  source.name = name;
  source.architecture = architecture;
  HEARTH_TRY(source.invocation_tokens, read_invocation(file));
  HEARTH_TRY(const auto pairs, pair_tensors(file));
  for (const auto& [target, halves] : pairs) {
    if (halves.a == nullptr || halves.b == nullptr) {
      return refuse(file, Code::kCorrupt,
                    fmt::format("tensor '{}{}' is missing: get the adapter from its source again",
                                target, halves.a == nullptr ? kDownSuffix : kUpSuffix));
    }
    AdapterMatrix matrix{.target = std::string(target)};
    HEARTH_TRY(matrix.a, as_matrix(file, *halves.a));
    HEARTH_TRY(matrix.b, as_matrix(file, *halves.b));
    // Without an alpha the product counts as it is.
    if (alpha != 0) matrix.scale = alpha / static_cast<float>(matrix.b.cols);
    source.matrices.push_back(std::move(matrix));
  }
  source.identity = hash64(file.bytes());
  return source;
}

}  // namespace hearth::model
