#include "convert/extract_adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "base/digest.h"
#include "base/thread_pool.h"
#include "convert/low_rank.h"
#include "gguf/gguf_writer.h"
#include "gguf/pack_format.h"
#include "model/adapter_source.h"
#include "tensor/float_formats.h"
#include "tensor/matmul.h"
#include "tensor/vector_ops.h"

namespace hearth::convert {
namespace {

using gguf::GgufFile;
using gguf::TensorInfo;
using tensor::F16;

constexpr std::string_view kEmbedding = "token_embd.weight", kOutput = "output.weight";
// What adapters change in layers (model/adapter.cpp).
constexpr std::string_view kLayerMatrices[] = {
    "attn_q.weight", "attn_k.weight",   "attn_v.weight",   "attn_qkv.weight",     "attn_output.weight",
    "ffn_up.weight", "ffn_gate.weight", "ffn_down.weight", "ffn_gate_inp.weight",
};

bool can_adapt(const TensorInfo& info) {
  if (info.n_dims != 2) return false;
  if (info.name == kEmbedding || info.name == kOutput) return true;
  if (!info.name.starts_with("blk.")) return false;
  return std::ranges::any_of(kLayerMatrices, [&](std::string_view suffix) {
    return info.name.ends_with(suffix) && info.name[info.name.size() - suffix.size() - 1] == '.';
  });
}

// All but its first dimension as rows.
tensor::MatView as_matrix(const TensorInfo& info) {
  return {info.type, static_cast<std::uint32_t>(info.n_elements() / info.dims[0]),
          static_cast<std::uint32_t>(info.dims[0]), info.data.data(), info.layout};
}

class Extractor {
 public:
  Extractor(const GgufFile& fine_tune, const GgufFile& base, const ExtractOptions& options)
      : fine_tune_(fine_tune), base_(base), options_(options), pool_(options.n_threads) {}

  Result<ExtractedAdapter> run() {
    HEARTH_TRY_VOID(check());
    HEARTH_TRY(const std::string_view architecture, fine_tune_.get_string("general.architecture"));
    writer_.set_string("general.type", "adapter");
    writer_.set_string("general.architecture", architecture);
    writer_.set_string("general.name", options_.name);
    writer_.set_string("general.base_model.0.name", options_.base);
    writer_.set_string("adapter.type", "lora");
    writer_.set_string(gguf::kDeltaOfKey, options_.base);
    std::uint64_t done = 0;
    for (const TensorInfo& info : fine_tune_.tensors()) {
      if (options_.progress && !options_.progress(done, total_, info.name)) {
        return fail(Code::kCancelled, "interrupted: no adapter was made");
      }
      HEARTH_TRY_VOID(take(info));
      done += info.data.size();
    }
    if (made_.losses.empty()) {
      return fail(Code::kInvalidArgument,
                  fmt::format("no matrix of '{}' differs from '{}': there is nothing to adapt",
                              fine_tune_.name(), options_.base));
    }
    made_.bytes = writer_.to_bytes();
    return std::move(made_);
  }

 private:
  Result<> check() {
    if (options_.rank < 1 || options_.rank > model::kAdapterRankMax) {
      return fail(Code::kUnsupported, fmt::format("adapters have ranks from 1 to {}, not {}",
                                                  model::kAdapterRankMax, options_.rank));
    }
    for (const TensorInfo& info : fine_tune_.tensors()) {
      total_ += info.data.size();
      const TensorInfo* const theirs = base_.find_tensor(info.name);
      if (theirs != nullptr && theirs->dims == info.dims) continue;
      return refuse(info, theirs == nullptr
                              ? std::string("the base has no such tensor")
                              : fmt::format("it is {}, the base's {}", info.shape_text(), theirs->shape_text()));
    }
    return {};
  }

  std::unexpected<Error> refuse(const TensorInfo& info, std::string_view why) const {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' can't become an adapter of '{}' because of tensor '{}': {}; say --as "
                            "exact to keep all of it",
                            fine_tune_.name(), options_.base, info.name, why));
  }

  Result<> take(const TensorInfo& info) {
    const TensorInfo& theirs = *base_.find_tensor(info.name);
    const RowSource difference{
        as_matrix(info).rows, as_matrix(info).cols,
        [mine = as_matrix(info), base = as_matrix(theirs)](std::uint32_t row, float* out) {
          thread_local std::vector<float> other;
          other.resize(base.cols);
          tensor::dequantize_row(mine, row, out);
          tensor::dequantize_row(base, row, other.data());
          for (std::uint32_t i = 0; i < base.cols; ++i) out[i] -= other[i];
        }};
    if (!can_adapt(info)) return leave_out(info, difference);
    const std::uint64_t seed = hash64(info.name);
    const LowRankFactors factors = factorize(difference, options_.rank, seed, pool_);
    if (factors.norm == 0) return {};
    if (!std::isfinite(factors.norm)) return refuse(info, "it holds values that are no numbers");
    made_.losses.push_back({std::string(info.name), factors.error / factors.norm});
    const bool is_embedding = info.name == kEmbedding;
    if (is_embedding) put_embedding(difference, factors);
    if (!is_embedding) put(info.name, difference, factors);
    // Where the output is the embedding, both are changed by the same.
    if (is_embedding && fine_tune_.find_tensor(kOutput) == nullptr) put(kOutput, difference, factors);
    return {};
  }

  // What no adapter holds: nothing, or so little that it is counted and forgotten.
  Result<> leave_out(const TensorInfo& info, const RowSource& difference) {
    const tensor::MatView base = as_matrix(*base_.find_tensor(info.name));
    std::vector<float> row(difference.cols);
    double squares = 0, base_squares = 0;
    for (std::uint32_t r = 0; r < difference.rows; ++r) {
      difference.row(r, row.data());
      for (const float v : row) squares += static_cast<double>(v) * static_cast<double>(v);
      tensor::dequantize_row(base, r, row.data());
      for (const float v : row) base_squares += static_cast<double>(v) * static_cast<double>(v);
    }
    if (squares == 0) return {};
    const double relative = std::sqrt(squares / base_squares);
    if (!(relative <= kVectorDifferenceMax)) {
      return refuse(info, fmt::format("it differs by {:.1f} % and no adapter can hold it", 100 * relative));
    }
    made_.left_out.push_back({std::string(info.name), relative});
    return {};
  }

  void put(std::string_view target, const RowSource& difference, const LowRankFactors& factors) {
    put_matrix(fmt::format("{}.lora_a", target), factors.a, difference.cols);
    put_matrix(fmt::format("{}.lora_b", target), factors.b, factors.rank);
  }

  // Of the embedding a token picks a row of A, which lies transposed: D = A B^T.
  void put_embedding(const RowSource& difference, const LowRankFactors& factors) {
    put_matrix(fmt::format("{}.lora_a", kEmbedding), factors.b, factors.rank);
    std::vector<float> transposed(factors.a.size());
    for (std::uint32_t k = 0; k < factors.rank; ++k) {
      for (std::uint32_t c = 0; c < difference.cols; ++c) {
        transposed[std::size_t{c} * factors.rank + k] = factors.a[std::size_t{k} * difference.cols + c];
      }
    }
    put_matrix(fmt::format("{}.lora_b", kEmbedding), transposed, factors.rank);
  }

  void put_matrix(const std::string& name, const std::vector<float>& values, std::uint32_t cols) {
    auto halves = std::make_shared<std::vector<F16>>(values.size());
    tensor::f16_from_f32(values.data(), values.size(), halves->data());
    const std::uint64_t dims[] = {cols, values.size() / cols};
    writer_.add_tensor(name, tensor::DType::kF16, dims, [halves](std::span<std::byte> out) {
      std::memcpy(out.data(), halves->data(), out.size());
    });
  }

  const GgufFile& fine_tune_;
  const GgufFile& base_;
  const ExtractOptions& options_;
  ThreadPool pool_;
  std::uint64_t total_ = 0;
  gguf::GgufWriter writer_;
  ExtractedAdapter made_;
};

}  // namespace

Result<ExtractedAdapter> extract_adapter(const GgufFile& fine_tune, const GgufFile& base,
                                         const ExtractOptions& options) {
  return Extractor(fine_tune, base, options).run();
}

}  // namespace hearth::convert
