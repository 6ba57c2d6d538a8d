// Adapters: against true logits, in any mix of a batch, activated in the middle, and from any bytes.
#include "model/adapter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "model/logits_for_test.h"
#include "model/random_adapter.h"
#include "model/random_model.h"
#include "model/session_for_test.h"

namespace hearth::model {
namespace {

using text::TokenId;
namespace fs = std::filesystem;

const fs::path kParity = fs::path(HEARTH_SHARED_DIR) / "parity";

TEST(AdapterParity, EveryRowWithAnAdapterLiesWithinItsBound) {
  const auto text = read_file(kParity / "index.json");
  if (!text) GTEST_SKIP() << "no shared data: " << text.error().message;
  const auto index = nlohmann::json::parse(*text);
  const auto tokens = index["tokens"].get<std::vector<TokenId>>();
  std::size_t n_rows = 0;
  for (const auto& [name, row] : index["rows"].items()) {
    if (row["adapter"].is_null()) continue;
    ++n_rows;
    const auto model = Model::load(kParity / row["model"].get<std::string>());
    ASSERT_TRUE(model) << model.error().message;
    const auto adapter = Adapter::load(kParity / row["adapter"].get<std::string>(), **model);
    ASSERT_TRUE(adapter) << adapter.error().message;
    const AdapterUse use{adapter->get()};
    const auto bytes = read_file(kParity / (name + ".logits"));
    ASSERT_TRUE(bytes);
    std::vector<float> truth(bytes->size() / sizeof(float));
    std::memcpy(truth.data(), bytes->data(), bytes->size());

    SessionForTest session(**model);
    const double error = relative_error(session.run(tokens, {&use, 1}), truth);
    const double peer = row["peer_relative_error"];
    EXPECT_LE(error, 1.3 * peer) << name;
    SessionForTest plain(**model);
    EXPECT_GT(relative_error(plain.run(tokens), truth), 10 * peer) << "the adapter does nothing";
    std::printf("%-20s relative error %.6f, peer %.6f\n", name.c_str(), error, peer);
  }
  EXPECT_EQ(n_rows, 3U);
}

struct Base {
  std::shared_ptr<const Model> model;
  fs::path folder;
  std::shared_ptr<const TempFolder> temporary = nullptr;  // Has the folder.
};

Base make_base(RandomModelOptions options, const std::string& name) {
  Base base{.temporary = std::make_shared<const TempFolder>("adapters-" + name)};
  base.folder = base.temporary->path();
  const fs::path path = base.folder / "base.gguf";
  const auto written = write_random_model(path, options);
  HEARTH_CHECK(written);
  auto model = Model::load(path);
  if (!model) ADD_FAILURE() << model.error().message;
  base.model = *std::move(model);
  return base;
}

RandomModelOptions small(const std::string& architecture = "llama") {
  return {.architecture = architecture,
          .type = "Q8_0",
          .n_layers = 2,
          .d_model = 128,
          .d_ff = 192,
          .n_heads = 4,
          .n_kv_heads = 2,
          .head_dim = 32,
          .n_vocab = 600,
          .n_context = 512,
          .seed = 3};
}

std::shared_ptr<const Adapter> make_adapter(const Base& base, RandomAdapterOptions options) {
  const fs::path path = base.folder / (options.name + std::to_string(options.seed) + ".gguf");
  const auto written = write_random_adapter(path, *base.model, options);
  HEARTH_CHECK(written);
  auto adapter = Adapter::load(path, *base.model);
  if (!adapter) ADD_FAILURE() << adapter.error().message;
  return *std::move(adapter);
}

std::vector<TokenId> some_tokens(std::size_t n, std::uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(n);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 500);
  return tokens;
}

// W + weight * scale * B A, in the file's own precision, is what the pass must compute.
TEST(Adapter, EqualsAMergedModelForEveryTypeOfFile) {
  RandomModelOptions options = small();
  options.type = "F32";
  const Base base = make_base(options, "merged");
  const auto tokens = some_tokens(20);
  SessionForTest plain(*base.model);
  const auto without = plain.run(tokens);
  for (const char* type : {"F32", "F16", "BF16", "Q8_0"}) {
    const RandomAdapterOptions made{
        .name = "t", .rank = 32, .type = type, .embedding = true, .output = true, .seed = 7};
    const auto adapter = make_adapter(base, made);
    const AdapterUse use{adapter.get(), 0.5F};
    SessionForTest session(*base.model);
    const auto found = session.run(tokens, {&use, 1});

    // Merge the file into a copy of the model.
    const auto file = gguf::GgufFile::open(base.folder / "t7.gguf");
    const auto weights = gguf::GgufFile::open(base.folder / "base.gguf");
    ASSERT_TRUE(file && weights);
    gguf::GgufWriter merged;
    for (const auto& entry : weights->metadata()) merged.set_value(entry.key, entry.value);
    std::vector<std::vector<float>> keep;
    for (const auto& info : weights->tensors()) {
      keep.emplace_back(info.n_elements());
      std::memcpy(keep.back().data(), info.data.data(), info.data.size());
      const auto* a = file->find_tensor(std::string(info.name) + ".lora_a");
      const auto* b = file->find_tensor(std::string(info.name) + ".lora_b");
      if (a != nullptr) {
        const auto rows = static_cast<std::uint32_t>(info.dims[1]);
        const auto cols = static_cast<std::uint32_t>(info.dims[0]);
        const auto view = [](const gguf::TensorInfo& t) {
          return tensor::MatView{t.type, static_cast<std::uint32_t>(t.dims[1]),
                                 static_cast<std::uint32_t>(t.dims[0]), t.data.data()};
        };
        const tensor::MatView av = view(*a), bv = view(*b);
        std::vector<float> aw(std::size_t{av.rows} * av.cols), bw(std::size_t{bv.rows} * bv.cols);
        for (std::uint32_t r = 0; r < av.rows; ++r) dequantize_row(av, r, aw.data() + r * av.cols);
        for (std::uint32_t r = 0; r < bv.rows; ++r) dequantize_row(bv, r, bw.data() + r * bv.cols);
        const bool is_embedding = info.name == "token_embd.weight";
        for (std::uint32_t r = 0; r < rows; ++r) {
          for (std::uint32_t c = 0; c < cols; ++c) {
            double sum = 0;
            for (std::uint32_t k = 0; k < 32; ++k) {
              sum += is_embedding
                         ? static_cast<double>(aw[r * 32 + k]) * static_cast<double>(bw[c * 32 + k])
                         : static_cast<double>(bw[r * 32 + k]) *
                               static_cast<double>(aw[k * cols + c]);
            }
            keep.back()[r * cols + c] += static_cast<float>(0.5 * (32.0 / 32.0) * sum);
          }
        }
      }
      merged.add_tensor(info.name, tensor::DType::kF32,
                        std::span(info.dims).first(info.n_dims),
                        std::as_bytes(std::span(keep.back())));
    }
    ASSERT_TRUE(merged.write(base.folder / "merged.gguf"));
    const auto truth_model = Model::load(base.folder / "merged.gguf");
    ASSERT_TRUE(truth_model) << truth_model.error().message;
    SessionForTest truth(**truth_model);
    const auto expected = truth.run(tokens);
    EXPECT_LT(relative_error(found, expected), 1e-3) << type;
    EXPECT_GT(relative_error(without, expected), 0.02) << type;
  }
}

// Eight bits take half the memory and change little of what the adapter does (part of the difference
// is the base's: its activations are rounded to 8 bits, too).
TEST(Adapter, EightBitsAreNearHalfPrecision) {
  const Base base = make_base(small(), "eight");
  const fs::path path = base.folder / "e.gguf";
  ASSERT_TRUE(write_random_adapter(path, *base.model, {.rank = 16, .spread = 0.05F}));
  const auto tokens = some_tokens(20);
  SessionForTest plain(*base.model);
  const auto without = plain.run(tokens);
  std::vector<std::vector<float>> changes;
  std::vector<std::uint64_t> bytes;
  for (const AdapterForm form : {AdapterForm::kHalf, AdapterForm::kEightBit}) {
    const auto adapter = Adapter::load(path, *base.model, form);
    ASSERT_TRUE(adapter) << adapter.error().message;
    const AdapterUse use{adapter->get()};
    SessionForTest session(*base.model);
    changes.push_back(session.run(tokens, {&use, 1}));
    for (std::size_t i = 0; i < without.size(); ++i) changes.back()[i] -= without[i];
    bytes.push_back((*adapter)->bytes());
  }
  EXPECT_LT(relative_error(changes[1], changes[0]), 0.05);
  EXPECT_LT(bytes[1] * 10, bytes[0] * 6);
  std::printf("8 bits: relative error %.4f of the change\n", relative_error(changes[1], changes[0]));
}

// A batch of sessions with different adapters, with none, and with several gives each the bits that
// it has alone; however it is cut, on any number of threads.
TEST(Adapter, MixedBatchesGiveTheBitsOfEachAlone) {
  std::vector<Base> bases = {make_base(small(), "llama"), make_base(small("qwen3"), "qwen3")};
  for (const char* name : {"phi3-F16", "gemma3-F16", "qwen3moe-F16", "llama-wide-Q4_K_M"}) {
    const fs::path path = kParity / (std::string(name) + ".gguf");
    if (fs::exists(path)) bases.push_back({Model::load(path).value(), bases[0].folder});
  }
  for (const Base& base : bases) {
    const std::string& architecture = base.model->config().name;
    std::vector<std::shared_ptr<const Adapter>> adapters;
    for (std::uint32_t i = 0; i < 3; ++i) {
      adapters.push_back(make_adapter(base, {.name = "m", .rank = 5 + 8 * i, .output = i == 1,
                                             .seed = i + 1}));
    }
    const std::vector<std::vector<AdapterUse>> uses = {
        {{adapters[0].get()}},
        {},
        {{adapters[1].get(), 0.5F}},
        {{adapters[0].get()}},
        {{adapters[2].get(), -1.0F}, {adapters[0].get(), 0.25F}},
        {{adapters[1].get(), 1.0F, 9}},
    };
    const std::size_t n_vocab = base.model->config().n_vocab;
    std::vector<std::vector<float>> alone;
    for (std::size_t i = 0; i < uses.size(); ++i) {
      SessionForTest session(*base.model, 1);
      const auto logits = session.run(some_tokens(20, static_cast<std::uint32_t>(i)), uses[i]);
      alone.emplace_back(logits.end() - static_cast<std::ptrdiff_t>(2 * n_vocab), logits.end());
    }
    for (const unsigned n_threads : {1U, 2U, 4U}) {
      std::vector<std::unique_ptr<SessionForTest>> sessions;
      std::vector<std::vector<TokenId>> tokens;
      std::vector<std::vector<float>> logits(uses.size(), std::vector<float>(2 * n_vocab));
      std::vector<Segment> prefill, decode;
      for (std::size_t i = 0; i < uses.size(); ++i) {
        sessions.push_back(std::make_unique<SessionForTest>(*base.model, n_threads, 160));
        tokens.push_back(some_tokens(20, static_cast<std::uint32_t>(i)));
      }
      for (std::size_t i = 0; i < uses.size(); ++i) {
        prefill.push_back(sessions[i]->segment(std::span(tokens[i]).first(19), 1, logits[i].data()));
        prefill.back().adapters = uses[i];
      }
      sessions[0]->forward_batch(prefill);
      for (std::size_t i = 0; i < uses.size(); ++i) {
        decode.push_back(
            sessions[i]->segment(std::span(tokens[i]).last(1), 1, logits[i].data() + n_vocab));
        decode.back().adapters = uses[i];
      }
      sessions[0]->forward_batch(decode);
      for (std::size_t i = 0; i < uses.size(); ++i) {
        EXPECT_EQ(logits[i], alone[i]) << architecture << ", session " << i << ", " << n_threads;
      }
    }
  }
}

TEST(Adapter, ChunksChangeNothing) {
  const Base base = make_base(small(), "chunks");
  const auto adapter = make_adapter(base, {.name = "c", .rank = 24, .embedding = true});
  const std::vector<AdapterUse> uses = {{adapter.get(), 1.0F, 5}};
  const auto tokens = some_tokens(40);
  SessionForTest whole(*base.model);
  const auto expected = whole.run(tokens, uses);
  for (const std::size_t chunk : {1U, 3U, 17U}) {
    SessionForTest session(*base.model);
    std::vector<float> found;
    for (std::size_t at = 0; at < tokens.size(); at += chunk) {
      const auto part = std::span(tokens).subspan(at, std::min(chunk, tokens.size() - at));
      const auto logits = session.run(part, uses);
      found.insert(found.end(), logits.begin(), logits.end());
    }
    EXPECT_EQ(found, expected) << chunk;
  }
}

// Before its invocation an activated adapter leaves every bit as the base has it.
TEST(Adapter, ActivatedAppliesFromItsInvocationOn) {
  const Base base = make_base(small(), "activated");
  const auto tokens = some_tokens(40);
  const auto adapter = make_adapter(
      base, {.name = "a", .invocation_tokens = {tokens[21], tokens[22]}});
  EXPECT_EQ(first_adapted_position(*adapter, tokens), 21U);
  EXPECT_EQ(first_adapted_position(*adapter, std::span(tokens).first(22)), kNeverAdapted);
  const AdapterUse use{adapter.get(), 1.0F, first_adapted_position(*adapter, tokens)};
  SessionForTest plain(*base.model), adapted(*base.model);
  const auto without = plain.run(tokens);
  const auto with = adapted.run(tokens, {&use, 1});
  const std::size_t n = std::size_t{21} * base.model->config().n_vocab;
  EXPECT_TRUE(std::equal(with.begin(), with.begin() + static_cast<std::ptrdiff_t>(n), without.begin()));
  EXPECT_NE(with[n], without[n]);
}

TEST(Adapter, InvocationIsTheLastOne) {
  const Base base = make_base(small(), "last");
  const auto adapter = make_adapter(base, {.name = "l", .invocation_tokens = {7, 8}});
  const std::vector<TokenId> tokens = {1, 7, 8, 2, 7, 8, 7, 3};
  EXPECT_EQ(first_adapted_position(*adapter, tokens), 4U);
  const auto plain = make_adapter(base, {.name = "p"});
  EXPECT_EQ(first_adapted_position(*plain, tokens), 0U);
}

// What is refused, and that the sentence names it.
std::string refusal(const Base& base, gguf::GgufWriter writer) {
  const std::string bytes = writer.to_bytes();
  const auto file = gguf::GgufFile::parse(std::as_bytes(std::span(bytes)), "x.gguf");
  if (!file) return file.error().message;
  const auto source = read_adapter(*file);
  if (!source) return source.error().message;
  const auto adapter = Adapter::bind(*source, *base.model);
  return adapter ? "" : adapter.error().message;
}

gguf::GgufWriter header(const std::string& type = "adapter", const std::string& kind = "lora",
                        const std::string& architecture = "llama") {
  gguf::GgufWriter writer;
  writer.set_string("general.type", type);
  writer.set_string("general.architecture", architecture);
  writer.set_string("adapter.type", kind);
  writer.set_f32("adapter.lora.alpha", 8);
  return writer;
}

void put(gguf::GgufWriter& writer, const std::string& name, std::uint64_t cols, std::uint64_t rows,
         float value = 0.5F) {
  const std::uint64_t dims[] = {cols, rows};
  writer.add_tensor(name, tensor::DType::kF32, dims, [value](std::span<std::byte> out) {
    for (; !out.empty(); out = out.subspan(4)) std::memcpy(out.data(), &value, 4);
  });
}

TEST(Adapter, RefusesWhatDoesNotFitInASentence) {
  const Base base = make_base(small(), "refuses");
  const auto with = [&](const std::string& target, std::uint64_t cols, std::uint64_t rows,
                        float value = 0.5F) {
    gguf::GgufWriter writer = header();
    put(writer, target + ".lora_a", cols, 4, value);
    put(writer, target + ".lora_b", 4, rows);
    return refusal(base, std::move(writer));
  };
  EXPECT_EQ(with("blk.1.attn_q.weight", 128, 128), "");
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_PRED2(has, with("blk.1.attn_q.weight", 64, 128), "made for another model");
  EXPECT_PRED2(has, with("blk.2.attn_q.weight", 128, 128), "made for another model");
  EXPECT_PRED2(has, with("blk.1.attn_norm.weight", 128, 128), "no matrix of the model");
  EXPECT_PRED2(has, with("blk.1.ffn_gate_exps.weight", 128, 192), "experts");
  EXPECT_PRED2(has, with("blk.99999999999.attn_q.weight", 128, 128), "another model");
  EXPECT_PRED2(has, with("blk.1.attn_q.weight", 128, 128, NAN), "no numbers");
  EXPECT_PRED2(has, refusal(base, header("model")), "no adapter");
  EXPECT_PRED2(has, refusal(base, header("adapter", "control")), "control");
  EXPECT_PRED2(has, refusal(base, header()), "no tensors");
  gguf::GgufWriter other = header("adapter", "lora", "qwen3");
  put(other, "blk.0.attn_q.weight.lora_a", 128, 4);
  put(other, "blk.0.attn_q.weight.lora_b", 4, 128);
  EXPECT_PRED2(has, refusal(base, std::move(other)), "architecture 'qwen3'");
  gguf::GgufWriter half = header();
  put(half, "blk.0.attn_q.weight.lora_a", 128, 4);
  EXPECT_PRED2(has, refusal(base, std::move(half)), "lora_b' is missing");
  gguf::GgufWriter odd = header();
  put(odd, "blk.0.attn_q.weight", 128, 4);
  EXPECT_PRED2(has, refusal(base, std::move(odd)), "neither");
  gguf::GgufWriter wide = header();
  put(wide, "blk.0.attn_q.weight.lora_a", 128, kAdapterRankMax + 1);
  put(wide, "blk.0.attn_q.weight.lora_b", kAdapterRankMax + 1, 128);
  EXPECT_PRED2(has, refusal(base, std::move(wide)), "rank");
  gguf::GgufWriter wrong_token = header();
  put(wrong_token, "blk.0.attn_q.weight.lora_a", 128, 4);
  put(wrong_token, "blk.0.attn_q.weight.lora_b", 4, 128);
  const std::int32_t tokens[] = {5, 600};
  wrong_token.set_i32s("adapter.alora.invocation_tokens", tokens);
  EXPECT_PRED2(has, refusal(base, std::move(wrong_token)), "invocation token 600");
}

TEST(Adapter, IdentityIsOfTheBytes) {
  const Base base = make_base(small(), "identity");
  const auto a = make_adapter(base, {.name = "i", .seed = 1});
  const auto again = make_adapter(base, {.name = "i", .seed = 1});
  const auto other = make_adapter(base, {.name = "i", .alpha = 33, .seed = 1});
  EXPECT_EQ(a->identity(), again->identity());
  EXPECT_NE(a->identity(), other->identity());
  EXPECT_GT(a->bytes(), 0U);
}

}  // namespace
}  // namespace hearth::model
