#include "gguf/tensor_delta.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>

#include "tensor/dequantize.h"
#include "tensor/matmul.h"
#include "tensor/pack.h"
#include "tensor/quantize.h"

namespace hearth::gguf {
namespace {

using tensor::DType;
using tensor::WeightLayout;

// What is restored at once: small beside the pieces in which models are read, large beside what
// beginning one costs.
constexpr std::uint64_t kChunkBytes = std::uint64_t{256} << 10;
// Higher levels look for repetitions, of which differences have none: 19 saves a hundredth.
constexpr int kCompression = 3;
constexpr std::uint64_t kPanelRows = 16;

// ---- Planes --------------------------------------------------------------------------------------

// How elements are subtracted.
enum class Unit : std::uint8_t { kByte, kNibbles, kTwoBytes, kFourBytes };

Unit unit_of(DType type) {
  switch (type) {
    case DType::kF32: return Unit::kFourBytes;
    case DType::kF16:
    case DType::kBF16: return Unit::kTwoBytes;
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kIQ4_NL:
    case DType::kIQ4_XS:
    case DType::kMXFP4: return Unit::kNibbles;
    default: return Unit::kByte;
  }
}

// The least that a chunk is a multiple of: an element, a block, or all rows of a panel's block.
std::uint64_t record_bytes(const TensorForm& form) {
  const std::uint64_t block = tensor::dtype_info(form.type).block_bytes;
  return form.layout == WeightLayout::kPacked ? block * kPanelRows : block;
}

// Differences near 0 as small numbers: 0, -1, 1, -2, 2...
template <class Word>
Word fold(Word difference) {
  const Word sign = static_cast<Word>(difference >> (8 * sizeof(Word) - 1)) != 0
                        ? static_cast<Word>(~Word{0}) : Word{0};
  return static_cast<Word>(static_cast<Word>(difference << 1) ^ sign);
}
template <class Word>
Word unfold(Word folded) {
  const Word sign = (folded & 1) != 0 ? static_cast<Word>(~Word{0}) : Word{0};
  return static_cast<Word>(static_cast<Word>(folded >> 1) ^ sign);
}

template <class Word>
void words_to_planes(const std::byte* tensor, const std::byte* base, std::size_t bytes,
                     std::byte* out) {
  const std::size_t n = bytes / sizeof(Word);
  for (std::size_t i = 0; i < n; ++i) {
    Word a, b;
    std::memcpy(&a, tensor + i * sizeof a, sizeof a);
    std::memcpy(&b, base + i * sizeof b, sizeof b);
    const Word folded = fold(static_cast<Word>(a - b));
    for (std::size_t k = 0; k < sizeof(Word); ++k) {
      out[k * n + i] = static_cast<std::byte>(folded >> (8 * k));
    }
  }
}

template <class Word>
void planes_to_words(const std::byte* planes, const std::byte* base, std::size_t bytes,
                     std::byte* out) {
  const std::size_t n = bytes / sizeof(Word);
  for (std::size_t i = 0; i < n; ++i) {
    Word folded = 0, b;
    for (std::size_t k = 0; k < sizeof(Word); ++k) {
      folded = static_cast<Word>(folded | static_cast<Word>(planes[k * n + i]) << (8 * k));
    }
    std::memcpy(&b, base + i * sizeof b, sizeof b);
    const Word a = static_cast<Word>(b + unfold(folded));
    std::memcpy(out + i * sizeof a, &a, sizeof a);
  }
}

struct ByteSteps {
  static unsigned minus(unsigned a, unsigned b) { return a - b; }
  static unsigned plus(unsigned a, unsigned b) { return a + b; }
};

struct NibbleSteps {
  static unsigned minus(unsigned a, unsigned b) {
    return ((a - b) & 0x0F) | (((a & 0xF0) - (b & 0xF0)) & 0xF0);
  }
  static unsigned plus(unsigned a, unsigned b) {
    return ((a + b) & 0x0F) | (((a & 0xF0) + (b & 0xF0)) & 0xF0);
  }
};

// Calls move(byte in the chunk, byte in the planes, kRun) so that bytes at the same place of all
// records lie together, in runs of kRun.
template <std::size_t kRun, class Move>
void each_run(std::size_t bytes, std::size_t record, Move&& move) {
  const std::size_t n_records = bytes / record;
  std::size_t to = 0;
  for (std::size_t at = 0; at < record; at += kRun) {
    for (std::size_t r = 0; r < n_records; ++r, to += kRun) move(r * record + at, to);
  }
}

template <class Steps, std::size_t kRun>
void blocks_to_planes(const std::byte* tensor, const std::byte* base, std::size_t bytes,
                      std::size_t record, std::byte* out) {
  each_run<kRun>(bytes, record, [&](std::size_t at, std::size_t to) {
    for (std::size_t i = 0; i < kRun; ++i) {
      out[to + i] = static_cast<std::byte>(Steps::minus(static_cast<unsigned>(tensor[at + i]),
                                                        static_cast<unsigned>(base[at + i])));
    }
  });
}

template <class Steps, std::size_t kRun>
void planes_to_blocks(const std::byte* planes, const std::byte* base, std::size_t bytes,
                      std::size_t record, std::byte* out) {
  each_run<kRun>(bytes, record, [&](std::size_t at, std::size_t from) {
    for (std::size_t i = 0; i < kRun; ++i) {
      out[at + i] = static_cast<std::byte>(Steps::plus(static_cast<unsigned>(base[at + i]),
                                                       static_cast<unsigned>(planes[from + i])));
    }
  });
}

using Blocks = void (*)(const std::byte* from, const std::byte* base, std::size_t bytes,
                        std::size_t record, std::byte* out);

// In panels, 16 rows' bytes are neighbours already.
Blocks to_planes(Unit unit, bool is_packed) {
  if (unit == Unit::kNibbles) {
    return is_packed ? blocks_to_planes<NibbleSteps, 16> : blocks_to_planes<NibbleSteps, 1>;
  }
  return is_packed ? blocks_to_planes<ByteSteps, 16> : blocks_to_planes<ByteSteps, 1>;
}
Blocks from_planes(Unit unit, bool is_packed) {
  if (unit == Unit::kNibbles) {
    return is_packed ? planes_to_blocks<NibbleSteps, 16> : planes_to_blocks<NibbleSteps, 1>;
  }
  return is_packed ? planes_to_blocks<ByteSteps, 16> : planes_to_blocks<ByteSteps, 1>;
}

void subtract(const TensorForm& form, std::span<const std::byte> tensor, const std::byte* base,
              std::byte* planes) {
  const Unit unit = unit_of(form.type);
  const std::size_t n = tensor.size();
  if (unit == Unit::kTwoBytes) return words_to_planes<std::uint16_t>(tensor.data(), base, n, planes);
  if (unit == Unit::kFourBytes) return words_to_planes<std::uint32_t>(tensor.data(), base, n, planes);
  to_planes(unit, form.layout == WeightLayout::kPacked)(tensor.data(), base, n, record_bytes(form),
                                                        planes);
}

void add(const TensorForm& form, const std::byte* planes, std::span<const std::byte> base,
         std::byte* out) {
  const Unit unit = unit_of(form.type);
  const std::size_t n = base.size();
  if (unit == Unit::kTwoBytes) return planes_to_words<std::uint16_t>(planes, base.data(), n, out);
  if (unit == Unit::kFourBytes) return planes_to_words<std::uint32_t>(planes, base.data(), n, out);
  from_planes(unit, form.layout == WeightLayout::kPacked)(planes, base.data(), n,
                                                          record_bytes(form), out);
}

// ---- Signs ---------------------------------------------------------------------------------------

// A float and a bit for each weight.
std::uint64_t signs_bytes(std::uint64_t cols) { return sizeof(float) + (cols + 7) / 8; }

// Rows that are restored together.
std::uint64_t row_group(const TensorForm& form) {
  return form.layout == WeightLayout::kPacked ? kPanelRows : 1;
}

// Rows of a chunk, or of all of a tensor, as a matrix.
tensor::MatView rows_of(const TensorForm& form, std::span<const std::byte> bytes) {
  const std::uint64_t row = tensor::row_bytes(form.type, form.cols);
  return {form.type, static_cast<std::uint32_t>(bytes.size() / row),
          static_cast<std::uint32_t>(form.cols), bytes.data(), form.layout};
}

struct SignRow {
  double delta_squares = 0, error_squares = 0;
};

// out [signs_bytes] = of one row.
SignRow write_signs(const float* tensor, const float* base, std::size_t cols, std::byte* out) {
  double magnitude = 0, squares = 0;
  for (std::size_t i = 0; i < cols; ++i) {
    const double d = static_cast<double>(tensor[i]) - static_cast<double>(base[i]);
    magnitude += std::abs(d);
    squares += d * d;
    if (d < 0) out[sizeof(float) + i / 8] |= static_cast<std::byte>(1U << i % 8);
  }
  const auto n = static_cast<double>(cols);
  const auto scale = static_cast<float>(magnitude / n);
  std::memcpy(out, &scale, sizeof scale);
  return {squares, std::max(0.0, squares - magnitude * magnitude / n)};
}

// row [cols] becomes what the signs make of it: finite numbers, whatever the bytes are.
void apply_signs(const std::byte* signs, std::size_t cols, float* row) {
  float scale;
  std::memcpy(&scale, signs, sizeof scale);
  const std::byte* const bits = signs + sizeof scale;
  for (std::size_t i = 0; i < cols; ++i) {
    const bool is_less = (static_cast<unsigned>(bits[i / 8]) >> i % 8 & 1) != 0;
    const float sum = row[i] + (is_less ? -scale : scale);
    row[i] = std::isfinite(sum) ? sum : 0.0F;
  }
}

void restore_signs(const TensorForm& form, const std::byte* signs,
                   std::span<const std::byte> base_bytes, std::byte* out) {
  thread_local std::vector<float> floats;
  thread_local std::vector<std::byte> group;
  ThreadPool alone(1);
  const tensor::MatView base = rows_of(form, base_bytes);
  const std::size_t row = tensor::row_bytes(form.type, form.cols), n_together = row_group(form);
  floats.resize(form.cols);
  group.resize(row * n_together);
  for (std::uint32_t r = 0; r < base.rows; ++r) {
    tensor::dequantize_row(base, r, floats.data());
    apply_signs(signs + r * signs_bytes(form.cols), form.cols, floats.data());
    std::byte* const to = form.layout == WeightLayout::kPacked
                              ? group.data() + r % n_together * row : out + r * row;
    tensor::quantize(form.type, floats.data(), nullptr, form.cols, to);
    if (form.layout != WeightLayout::kPacked || r % n_together + 1 < n_together) continue;
    (void)tensor::pack({form.type, static_cast<std::uint32_t>(n_together), base.cols, group.data()},
                       out + (r + 1 - n_together) * row, alone);
  }
}

// ---- Chunks --------------------------------------------------------------------------------------

// What a tensor, and each chunk of it, is a multiple of.
std::uint64_t least_bytes(const TensorForm& form, DeltaForm delta) {
  return delta == DeltaForm::kExact ? record_bytes(form)
                                    : tensor::row_bytes(form.type, form.cols) * row_group(form);
}

std::uint64_t chunk_bytes_of(const TensorForm& form, DeltaForm delta) {
  const std::uint64_t least = least_bytes(form, delta);
  return std::max<std::uint64_t>(kChunkBytes / least, 1) * least;
}

std::uint64_t n_chunks_of(std::uint64_t bytes, std::uint64_t chunk) {
  return (bytes + chunk - 1) / chunk;
}

// Head, table and payloads in one piece.
std::string join(DeltaHead head, const std::vector<std::string>& payloads) {
  std::vector<std::uint64_t> ends;
  std::uint64_t end = 0;
  for (const std::string& payload : payloads) ends.push_back(end += payload.size());
  std::string out(reinterpret_cast<const char*>(&head), sizeof head);
  out.append(reinterpret_cast<const char*>(ends.data()), ends.size() * sizeof(std::uint64_t));
  for (const std::string& payload : payloads) out += payload;
  return out;
}

std::string compressed(const std::vector<std::byte>& planes) {
  std::string out(ZSTD_compressBound(planes.size()), '\0');
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                     &ZSTD_freeCCtx);
  HEARTH_CHECK(context != nullptr);
  (void)ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kCompression);
  (void)ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  const std::size_t n =
      ZSTD_compress2(context.get(), out.data(), out.size(), planes.data(), planes.size());
  HEARTH_CHECK(ZSTD_isError(n) == 0);
  out.resize(n);
  return out;
}

bool decompress(std::span<const std::byte> payload, std::span<std::byte> out) {
  thread_local const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(
      ZSTD_createDCtx(), &ZSTD_freeDCtx);
  if (context == nullptr) return false;
  const std::size_t n = ZSTD_decompressDCtx(context.get(), out.data(), out.size(), payload.data(),
                                            payload.size());
  return ZSTD_isError(n) == 0 && n == out.size();
}

std::unexpected<Error> corrupt(std::string_view what) {
  return fail(Code::kCorrupt, fmt::format("a tensor's delta {}: run `hearth models verify`, and "
                                          "import what it lists again",
                                          what));
}

}  // namespace

bool can_keep_signs(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 ||
         type == DType::kQ8_0;
}

std::string exact_delta(const TensorForm& form, std::span<const std::byte> tensor,
                        std::span<const std::byte> base, const Sha256& base_key,
                        ThreadPool& pool) {
  HEARTH_CHECK(tensor.size() == form.bytes && base.size() == form.bytes);
  DeltaHead head{.form = DeltaForm::kExact,
                 .tensor_bytes = form.bytes,
                 .chunk_bytes = chunk_bytes_of(form, DeltaForm::kExact),
                 .sum = hash64(tensor),
                 .base = base_key};
  std::vector<std::string> payloads(n_chunks_of(form.bytes, head.chunk_bytes));
  pool.run(static_cast<std::uint32_t>(payloads.size()), [&](std::uint32_t i) {
    const std::uint64_t begin = i * head.chunk_bytes;
    const auto part = tensor.subspan(begin, std::min(head.chunk_bytes, form.bytes - begin));
    std::vector<std::byte> planes(part.size());
    subtract(form, part, base.data() + begin, planes.data());
    payloads[i] = compressed(planes);
  });
  return join(head, payloads);
}

SignDelta sign_delta(const TensorForm& form, std::span<const std::byte> tensor,
                     std::span<const std::byte> base, const Sha256& base_key, ThreadPool& pool) {
  HEARTH_CHECK(can_keep_signs(form.type));
  HEARTH_CHECK(tensor.size() == form.bytes && base.size() == form.bytes);
  DeltaHead head{.form = DeltaForm::kSigns,
                 .tensor_bytes = form.bytes,
                 .chunk_bytes = chunk_bytes_of(form, DeltaForm::kSigns),
                 .base = base_key};
  const std::uint64_t n_chunks = n_chunks_of(form.bytes, head.chunk_bytes);
  std::vector<std::string> payloads(n_chunks);
  std::vector<SignRow> sums(n_chunks);
  std::vector<std::byte> restored(form.bytes);
  pool.run(static_cast<std::uint32_t>(n_chunks), [&](std::uint32_t i) {
    const std::uint64_t begin = i * head.chunk_bytes;
    const std::uint64_t size = std::min(head.chunk_bytes, form.bytes - begin);
    const tensor::MatView mine = rows_of(form, tensor.subspan(begin, size));
    const tensor::MatView theirs = rows_of(form, base.subspan(begin, size));
    std::vector<float> a(form.cols), b(form.cols);
    payloads[i].resize(mine.rows * signs_bytes(form.cols));
    auto* const signs = reinterpret_cast<std::byte*>(payloads[i].data());
    for (std::uint32_t r = 0; r < mine.rows; ++r) {
      tensor::dequantize_row(mine, r, a.data());
      tensor::dequantize_row(theirs, r, b.data());
      const SignRow row =
          write_signs(a.data(), b.data(), form.cols, signs + r * signs_bytes(form.cols));
      sums[i].delta_squares += row.delta_squares;
      sums[i].error_squares += row.error_squares;
    }
    restore_signs(form, signs, base.subspan(begin, size), restored.data() + begin);
  });
  head.sum = hash64(restored);
  SignDelta made{.bytes = join(head, payloads)};
  for (const SignRow& sum : sums) {
    made.delta_squares += sum.delta_squares;
    made.error_squares += sum.error_squares;
  }
  return made;
}

Result<DeltaView> DeltaView::open(std::span<const std::byte> bytes, const TensorForm& form) {
  DeltaView view;
  view.form_ = form;
  if (bytes.size() < sizeof(DeltaHead)) return corrupt("is cut off");
  std::memcpy(&view.head_, bytes.data(), sizeof(DeltaHead));
  const DeltaHead& head = view.head_;
  if (head.version != kDeltaVersion) {
    return fail(Code::kUnsupported,
                fmt::format("a tensor's delta is of version {}, this build reads {}: import its "
                            "model again with this build",
                            head.version, kDeltaVersion));
  }
  const bool is_signs = head.form == DeltaForm::kSigns;
  if (!is_signs && head.form != DeltaForm::kExact) return corrupt("has an unknown form");
  if (is_signs && !can_keep_signs(form.type)) return corrupt("has a form that its type can't have");
  if (head.tensor_bytes != form.bytes || form.bytes == 0) return corrupt("is of another tensor");
  const bool is_float = tensor::dtype_info(form.type).block_elements == 1;
  if ((form.layout == WeightLayout::kPacked && is_float) || form.bytes % least_bytes(form, head.form) != 0) {
    return corrupt("is of a tensor that can't lie so");
  }
  if (head.chunk_bytes != chunk_bytes_of(form, head.form) || head.chunk_bytes > kDeltaChunkBytesMax) {
    return corrupt("has chunks of another size");
  }
  bytes = bytes.subspan(sizeof head);
  const std::uint64_t n = n_chunks_of(form.bytes, head.chunk_bytes);
  if (n > bytes.size() / sizeof(std::uint64_t)) return corrupt("is cut off");
  view.ends_.resize(n);
  std::memcpy(view.ends_.data(), bytes.data(), n * sizeof(std::uint64_t));
  view.payloads_ = bytes.subspan(n * sizeof(std::uint64_t));
  if (!std::ranges::is_sorted(view.ends_) || view.ends_.back() > view.payloads_.size()) {
    return corrupt("has payloads outside of it");
  }
  return view;
}

std::uint64_t DeltaView::payload_begin(std::uint64_t index) const {
  return index == 0 ? 0 : ends_[index - 1];
}

std::span<const std::byte> DeltaView::payload(std::uint64_t first, std::uint64_t end) const {
  const std::uint64_t begin = payload_begin(first);
  return payloads_.subspan(begin, payload_begin(end) - begin);
}

bool DeltaView::restore(std::uint64_t index, std::span<const std::byte> base,
                        std::byte* out) const {
  const std::span<const std::byte> from = payload(index, index + 1);
  if (base.size() != chunk_size(index)) return false;
  if (head_.form == DeltaForm::kSigns) {
    const std::uint64_t rows = base.size() / tensor::row_bytes(form_.type, form_.cols);
    if (from.size() != rows * signs_bytes(form_.cols)) return false;
    restore_signs(form_, from.data(), base, out);
    return true;
  }
  thread_local std::vector<std::byte> planes;
  planes.resize(base.size());
  if (!decompress(from, planes)) return false;
  add(form_, planes.data(), base, out);
  return true;
}

}  // namespace hearth::gguf
