#include "model/random_model.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/digest.h"
#include "model/architecture_table.h"
#include "tensor/float_formats.h"

namespace hearth::model {
namespace {

using gguf::GgufWriter;
using tensor::DType;

// splitmix64 (Steele, Lea and Flood 2014): eight random bytes in about a nanosecond.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }
  // From -1 to 1.
  float symmetric() { return static_cast<float>(static_cast<std::int64_t>(next())) * 0x1p-63F; }
  void fill(std::span<std::byte> out) {
    while (out.size() >= sizeof(std::uint64_t)) {
      const std::uint64_t bits = next();
      std::memcpy(out.data(), &bits, sizeof bits);
      out = out.subspan(sizeof bits);
    }
    const std::uint64_t bits = next();
    std::memcpy(out.data(), &bits, out.size());
  }

 private:
  std::uint64_t state_;
};

// A uniform distribution on [-a, a] has the deviation a / sqrt(3).
constexpr float kSqrt3 = 1.7320508F;

void put_f16(std::span<std::byte> at, float value) {
  const tensor::F16 bits = tensor::f16_from_f32(value);
  std::memcpy(at.data(), &bits, sizeof bits);
}

// The fillers below write random blocks whose weights have about the deviation `sigma`.
using Filler = void (*)(std::span<std::byte> out, float sigma, Random& random);

template <class T, T (*Convert)(float)>
void fill_plain(std::span<std::byte> out, float sigma, Random& random) {
  for (; !out.empty(); out = out.subspan(sizeof(T))) {
    const T value = Convert(random.symmetric() * sigma * kSqrt3);
    std::memcpy(out.data(), &value, sizeof value);
  }
}

float same(float value) { return value; }
// Truncated, not rounded: good enough for noise.
tensor::BF16 bf16_from_f32(float value) {
  return static_cast<tensor::BF16>(std::bit_cast<std::uint32_t>(value) >> 16);
}

// A 16-bit scale and then codes centred on zero, uniform over +-`code_max`.
template <std::size_t kBlockBytes, int kCodeMax>
void fill_scaled(std::span<std::byte> out, float sigma, Random& random) {
  random.fill(out);
  for (; !out.empty(); out = out.subspan(kBlockBytes)) {
    put_f16(out, sigma * kSqrt3 / kCodeMax);
  }
}

// Packs eight 6-bit scales and minimums, each pair equal, into the 12 bytes of Q4_K and Q5_K.
void put_k_scales(std::span<std::byte> at, std::uint64_t bits) {
  std::array<std::uint8_t, 12> packed{};
  for (std::size_t j = 0; j < 8; ++j) {
    const auto scale = static_cast<std::uint8_t>(32 + ((bits >> (4 * j)) & 15));
    if (j < 4) {
      packed[j] = packed[j + 4] = scale;
      continue;
    }
    const auto high = static_cast<std::uint8_t>((scale >> 4) << 6);
    packed[j + 4] = static_cast<std::uint8_t>((scale & 15) | ((scale & 15) << 4));
    packed[j - 4] |= high;
    packed[j] |= high;
  }
  std::memcpy(at.data(), packed.data(), packed.size());
}

// d, dmin, scales, codes of 0..2 * kCodeMid: weight = d * scale * code - dmin * scale.
template <std::size_t kBlockBytes, int kCodeMid2>
void fill_k(std::span<std::byte> out, float sigma, Random& random) {
  constexpr float kScaleMean = 39.5F;
  constexpr float kCodeMid = static_cast<float>(kCodeMid2) / 2;
  const float d = sigma * kSqrt3 / (kCodeMid * kScaleMean);
  random.fill(out);
  for (; !out.empty(); out = out.subspan(kBlockBytes)) {
    put_f16(out, d);
    put_f16(out.subspan(2), d * kCodeMid);
    put_k_scales(out.subspan(4), random.next());
  }
}

// Q6_K: 192 bytes of codes, 16 signed scales, d.
void fill_q6_k(std::span<std::byte> out, float sigma, Random& random) {
  constexpr std::size_t kBlockBytes = 210;
  constexpr float kScaleMean = 63.5F;
  random.fill(out);
  for (; !out.empty(); out = out.subspan(kBlockBytes)) {
    for (std::size_t i = 192; i < 208; ++i) out[i] = (out[i] & std::byte{63}) | std::byte{32};
    put_f16(out.subspan(208), sigma * kSqrt3 / (32 * kScaleMean * 0.75F));
  }
}

struct FillerRow {
  DType type;
  Filler fill;
};

constexpr auto kFillers = std::to_array<FillerRow>({
    {DType::kF32, fill_plain<float, same>},
    {DType::kF16, fill_plain<tensor::F16, tensor::f16_from_f32>},
    {DType::kBF16, fill_plain<tensor::BF16, bf16_from_f32>},
    {DType::kQ8_0, fill_scaled<34, 128>},
    {DType::kQ4_0, fill_scaled<18, 8>},
    {DType::kQ4_K, fill_k<144, 15>},
    {DType::kQ5_K, fill_k<176, 31>},
    {DType::kQ6_K, fill_q6_k},
});

Filler filler_of(DType type) {
  for (const FillerRow& row : kFillers) {
    if (row.type == type) return row.fill;
  }
  check_failed("every type of kMixes has a filler");
}

// Which type each kind of matrix gets, as the ecosystem's quantiser mixes them.
struct Mix {
  std::string_view name;
  DType common;
  DType output;             // The output matrix, and the embedding where it is tied to it.
  DType sensitive;          // attn_v and ffn_down of the layers that `is_sensitive` picks.
  std::uint32_t file_type;  // GGUF `general.file_type`.
};

constexpr auto kMixes = std::to_array<Mix>({
    {"F32", DType::kF32, DType::kF32, DType::kF32, 0},
    {"F16", DType::kF16, DType::kF16, DType::kF16, 1},
    {"Q4_0", DType::kQ4_0, DType::kQ6_K, DType::kQ4_0, 2},
    {"Q8_0", DType::kQ8_0, DType::kQ8_0, DType::kQ8_0, 7},
    {"Q4_K_M", DType::kQ4_K, DType::kQ6_K, DType::kQ6_K, 15},
    {"Q5_K_M", DType::kQ5_K, DType::kQ6_K, DType::kQ6_K, 17},
    {"Q6_K", DType::kQ6_K, DType::kQ6_K, DType::kQ6_K, 18},
    {"BF16", DType::kBF16, DType::kBF16, DType::kBF16, 32},
});

// The first and last eighth of the layers, and every third between.
bool is_sensitive(std::uint32_t layer, std::uint32_t n_layers) {
  const std::uint32_t eighth = n_layers / 8;
  return layer < eighth || layer >= 7 * n_layers / 8 || (layer - eighth) % 3 == 2;
}

// Writes one model's keys and tensors.
class Builder {
 public:
  Builder(const RandomModelOptions& options, const Mix& mix, const Architecture& architecture)
      : o_(options), mix_(mix), architecture_(architecture) {}

  Result<GgufWriter> run() {
    HEARTH_TRY_VOID(check_rows());
    set_config();
    HEARTH_TRY_VOID(set_vocabulary());
    add_matrix("token_embd.weight", o_.tied_embeddings ? mix_.output : mix_.common, o_.n_vocab,
               o_.d_model);
    if (!o_.tied_embeddings) add_matrix("output.weight", mix_.output, o_.n_vocab, o_.d_model);
    add_vector("output_norm.weight", o_.d_model, 1.0F);
    for (std::uint32_t layer = 0; layer < o_.n_layers; ++layer) add_layer(layer);
    return std::move(writer_);
  }

 private:
  Result<> check_rows() const {
    for (const std::uint32_t cols : {o_.d_model, o_.d_ff, o_.n_heads * o_.head_dim}) {
      for (const DType type : {mix_.common, mix_.output, mix_.sensitive}) {
        const tensor::DTypeInfo& info = tensor::dtype_info(type);
        if (cols % info.block_elements == 0) continue;
        return fail(Code::kInvalidArgument,
                    fmt::format("rows of {} elements cannot be {}: use a multiple of {}", cols,
                                info.name, info.block_elements));
      }
    }
    return {};
  }

  void set_config() {
    const auto key = [this](std::string_view suffix) {
      return fmt::format("{}.{}", o_.architecture, suffix);
    };
    writer_.set_string("general.architecture", o_.architecture);
    writer_.set_string("general.name", fmt::format("random-{}", mix_.name));
    writer_.set_u32("general.file_type", mix_.file_type);
    writer_.set_u32("general.quantization_version", 2);
    writer_.set_u32(key("block_count"), o_.n_layers);
    writer_.set_u32(key("context_length"), o_.n_context);
    writer_.set_u32(key("embedding_length"), o_.d_model);
    writer_.set_u32(key("feed_forward_length"), o_.d_ff);
    writer_.set_u32(key("attention.head_count"), o_.n_heads);
    writer_.set_u32(key("attention.head_count_kv"), o_.n_kv_heads);
    writer_.set_u32(key("attention.key_length"), o_.head_dim);
    writer_.set_u32(key("attention.value_length"), o_.head_dim);
    writer_.set_u32(key("rope.dimension_count"), o_.head_dim);
    writer_.set_f32(key("rope.freq_base"), 10000.0F);
    writer_.set_f32(key("attention.layer_norm_rms_epsilon"), 1e-5F);
    writer_.set_u32(key("vocab_size"), o_.n_vocab);
  }

  Result<> set_vocabulary();

  void add_matrix(std::string_view name, DType type, std::uint32_t rows, std::uint32_t cols) {
    const std::uint64_t dims[] = {cols, rows};
    const float sigma = 1.0F / std::sqrt(static_cast<float>(cols));
    const std::uint64_t seed = hash64(name, o_.seed);
    const Filler fill = filler_of(type);
    writer_.add_tensor(name, type, dims, [=](std::span<std::byte> out) {
      Random random(seed);
      fill(out, sigma, random);
    });
  }

  // `mean` and a little noise.
  void add_vector(std::string_view name, std::uint32_t size, float mean) {
    const std::uint64_t dims[] = {size};
    const std::uint64_t seed = hash64(name, o_.seed);
    writer_.add_tensor(name, DType::kF32, dims, [=](std::span<std::byte> out) {
      Random random(seed);
      for (; !out.empty(); out = out.subspan(sizeof(float))) {
        const float value = mean + 0.1F * random.symmetric();
        std::memcpy(out.data(), &value, sizeof value);
      }
    });
  }

  void add_layer(std::uint32_t layer) {
    const auto name = [layer](std::string_view suffix) {
      return fmt::format("blk.{}.{}", layer, suffix);
    };
    const DType picked = is_sensitive(layer, o_.n_layers) ? mix_.sensitive : mix_.common;
    const std::uint32_t q_width = o_.n_heads * o_.head_dim;
    const std::uint32_t kv_width = o_.n_kv_heads * o_.head_dim;
    add_vector(name("attn_norm.weight"), o_.d_model, 1.0F);
    add_matrix(name("attn_q.weight"), mix_.common, q_width, o_.d_model);
    add_matrix(name("attn_k.weight"), mix_.common, kv_width, o_.d_model);
    add_matrix(name("attn_v.weight"), picked, kv_width, o_.d_model);
    add_matrix(name("attn_output.weight"), mix_.common, o_.d_model, q_width);
    add_vector(name("ffn_norm.weight"), o_.d_model, 1.0F);
    add_matrix(name("ffn_gate.weight"), mix_.common, o_.d_ff, o_.d_model);
    add_matrix(name("ffn_up.weight"), mix_.common, o_.d_ff, o_.d_model);
    add_matrix(name("ffn_down.weight"), picked, o_.d_model, o_.d_ff);
    if (architecture_.qkv_bias == Presence::kRequired) {
      add_vector(name("attn_q.bias"), q_width, 0.0F);
      add_vector(name("attn_k.bias"), kv_width, 0.0F);
      add_vector(name("attn_v.bias"), kv_width, 0.0F);
    }
    if (architecture_.qk_norm == Presence::kRequired) {
      add_vector(name("attn_q_norm.weight"), o_.head_dim, 1.0F);
      add_vector(name("attn_k_norm.weight"), o_.head_dim, 1.0F);
    }
  }

  const RandomModelOptions& o_;
  const Mix& mix_;
  const Architecture& architecture_;
  GgufWriter writer_;
};

// The characters that stand for the 256 bytes in byte-level BPE: printable Latin-1 bytes for
// themselves, the others from U+0100 on (github.com/openai/gpt-2, encoder.py).
std::vector<std::string> byte_tokens() {
  std::vector<std::string> tokens;
  std::uint32_t next = 256;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    const std::uint32_t code_point = printable ? byte : next++;
    std::string text;
    if (code_point < 128) {
      text = static_cast<char>(code_point);
    } else {
      text = {static_cast<char>(0xC0 | (code_point >> 6)),
              static_cast<char>(0x80 | (code_point & 63))};
    }
    tokens.push_back(std::move(text));
  }
  return tokens;
}

constexpr std::string_view kLetters = "etaoinshrdlcumwfgypbvkjxqz";

// Tokens that merges make, in the order of the merges: words of two letters, of two with a space
// in front, then of three and four.
struct MergedTokens {
  std::vector<std::string> tokens;
  std::vector<std::string> merges;

  void add(const std::string& left, const std::string& right) {
    tokens.push_back(left + right);
    merges.push_back(left + " " + right);
  }
};

MergedTokens merged_tokens(std::size_t count) {
  constexpr std::string_view kSpace = "\xC4\xA0";  // The character of byte 32.
  MergedTokens merged;
  std::vector<std::string> pairs;
  for (const char a : kLetters) {
    for (const char b : kLetters) pairs.push_back({a, b});
  }
  for (const std::string& pair : pairs) merged.add(pair.substr(0, 1), pair.substr(1));
  for (const std::string& pair : pairs) merged.add(std::string(kSpace), pair);
  for (const std::string& pair : pairs) {
    for (const char c : kLetters) merged.add(pair, {c});
  }
  for (const std::string& left : pairs) {
    if (merged.tokens.size() >= count) break;
    for (const std::string& right : pairs) merged.add(left, right);
  }
  merged.tokens.resize(count);
  merged.merges.resize(count);
  return merged;
}

constexpr std::array<std::string_view, 3> kControlTokens = {"<|endoftext|>", "<|im_start|>",
                                                            "<|im_end|>"};
constexpr std::uint32_t kVocabMin = 256 + kControlTokens.size();
constexpr std::uint32_t kVocabMax = 400'000;

Result<> Builder::set_vocabulary() {
  if (o_.n_vocab < kVocabMin || o_.n_vocab > kVocabMax) {
    return fail(Code::kInvalidArgument, fmt::format("a vocabulary of {} tokens cannot be made, {} "
                                                    "to {} can",
                                                    o_.n_vocab, kVocabMin, kVocabMax));
  }
  std::vector<std::string> tokens = byte_tokens();
  const MergedTokens merged = merged_tokens(o_.n_vocab - kVocabMin);
  tokens.insert(tokens.end(), merged.tokens.begin(), merged.tokens.end());
  std::vector<std::int32_t> types(tokens.size(), 1);
  const auto first_control = static_cast<std::uint32_t>(tokens.size());
  tokens.insert(tokens.end(), kControlTokens.begin(), kControlTokens.end());
  types.resize(tokens.size(), 3);

  writer_.set_string("tokenizer.ggml.model", "gpt2");
  writer_.set_string("tokenizer.ggml.pre", "gpt-2");
  writer_.set_strings("tokenizer.ggml.tokens", tokens);
  writer_.set_i32s("tokenizer.ggml.token_type", types);
  writer_.set_strings("tokenizer.ggml.merges", merged.merges);
  writer_.set_u32("tokenizer.ggml.bos_token_id", first_control);
  writer_.set_u32("tokenizer.ggml.eos_token_id", first_control + 2);
  writer_.set_bool("tokenizer.ggml.add_bos_token", false);
  return {};
}

}  // namespace

Result<GgufWriter> random_model(const RandomModelOptions& options) {
  const Architecture* const architecture = find_architecture(options.architecture);
  if (architecture == nullptr) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is no architecture of this build ({})", options.architecture,
                            supported_architectures()));
  }
  std::string names;
  for (const Mix& mix : kMixes) {
    if (mix.name == options.type) return Builder(options, mix, *architecture).run();
    names += fmt::format("{}{}", names.empty() ? "" : ", ", mix.name);
  }
  return fail(Code::kInvalidArgument,
              fmt::format("'{}' is no type of random models ({})", options.type, names));
}

Result<> write_random_model(const std::filesystem::path& path, const RandomModelOptions& options) {
  HEARTH_TRY(const GgufWriter writer, random_model(options));
  return writer.write(path);
}

}  // namespace hearth::model
