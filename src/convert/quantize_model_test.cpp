// Whole files: errors beside those of llama.cpp's own files, metadata, fallbacks, threads,
// refusals.
#include "convert/quantize_model.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "gguf/gguf_file.h"
#include "gguf/split_for_test.h"
#include "model/logits_for_test.h"
#include "model/random_model.h"
#include "model/session_for_test.h"
#include "tensor/dequantize.h"

namespace hearth::convert {
namespace {

using gguf::GgufFile;
using tensor::DType;

const std::filesystem::path kParity = std::filesystem::path(HEARTH_SHARED_DIR) / "parity";

class QuantizeModel : public ::testing::Test {
 protected:
  // A small random llama whose rows are 256 and 512 long.
  std::filesystem::path make_model(const std::string& type, std::uint32_t width = 256) {
    const auto path = folder_ / ("random-" + type + ".gguf");
    const auto made = model::write_random_model(path, {.type = type,
                                                       .n_layers = 8,
                                                       .d_model = width,
                                                       .d_ff = 2 * width,
                                                       .n_heads = 4,
                                                       .n_kv_heads = 2,
                                                       .head_dim = 64,
                                                       .n_vocab = 512,
                                                       .n_context = 256});
    HEARTH_CHECK(made);
    return path;
  }

  Result<QuantizeReport> quantize(const std::filesystem::path& from, const std::string& recipe,
                                  QuantizeOptions options = {}) {
    HEARTH_TRY(const ModelSource source, open_source(from));
    options.recipe = find_recipe(recipe);
    options.overwrite = true;
    return quantize_model(source, out(), options);
  }

  std::filesystem::path out() const { return folder_ / "out.gguf"; }
  std::size_t files_in_folder() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_.path()), {}));
  }

  const TempFolder folder_;
};

std::vector<float> floats_of(const gguf::TensorInfo& info) {
  std::vector<float> values(info.n_elements());
  tensor::dequantize(info.type, info.data.data(), values.size(), values.data());
  return values;
}

double rms_error(const gguf::TensorInfo& found, const gguf::TensorInfo& truth) {
  const std::vector<float> a = floats_of(found), b = floats_of(truth);
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  }
  return std::sqrt(sum / static_cast<double>(a.size()));
}

TEST_F(QuantizeModel, ReadsAModelThatIsCutIntoFiles) {
  const auto whole = make_model("F16");
  ASSERT_TRUE(quantize(whole, "Q8_0"));
  const std::string expected = read_file(out()).value();
  const auto first = gguf::split(whole, 3);
  const auto report = quantize(first, "Q8_0");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(read_file(out()).value(), expected);
}

TEST_F(QuantizeModel, ErrorsAreNoLargerThanThoseOfTheEcosystemsFiles) {
  const auto original = kParity / "llama-wide-BF16.gguf";
  if (!std::filesystem::exists(original)) GTEST_SKIP() << "no shared data";
  const auto truth = GgufFile::open(original);
  ASSERT_TRUE(truth) << truth.error().message;
  for (const std::string type :
       {"Q4_0", "Q4_1", "Q5_0", "Q8_0", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "IQ4_NL"}) {
    const auto peer = GgufFile::open(kParity / ("llama-wide-" + type + ".gguf"));
    ASSERT_TRUE(peer) << peer.error().message;
    const auto report = quantize(original, type);
    ASSERT_TRUE(report) << report.error().message;
    const auto ours = GgufFile::open(out());
    ASSERT_TRUE(ours) << ours.error().message;
    double ratio_max = 0, ratio_sum = 0;
    int n = 0;
    for (const gguf::TensorInfo& info : ours->tensors()) {
      const gguf::TensorInfo& peers = *peer->find_tensor(info.name);
      if (type != "Q2_K" && type != "IQ4_NL") {
        EXPECT_EQ(info.type, peers.type) << type << " " << info.name;
      }
      if (info.type != peers.type || tensor::dtype_info(info.type).block_elements == 1) continue;
      const gguf::TensorInfo& true_info = *truth->find_tensor(info.name);
      const double ratio = rms_error(info, true_info) / rms_error(peers, true_info);
      EXPECT_LE(ratio, 1.02) << type << " " << info.name;
      ratio_max = std::max(ratio_max, ratio);
      ratio_sum += ratio;
      ++n;
    }
    EXPECT_GE(n, 15) << type;
    EXPECT_EQ(ours->get_u32("general.file_type").value_or(99),
              peer->get_u32("general.file_type").value_or(98));
    std::printf("%-7s error over the peer's: mean %.4f, worst %.4f\n", type.c_str(), ratio_sum / n,
                ratio_max);
  }
}

std::vector<float> logits_of(const std::filesystem::path& path) {
  const auto model = model::Model::load(path);
  HEARTH_CHECK(model);
  std::vector<text::TokenId> tokens;
  for (text::TokenId id = 300; id < 340; ++id) tokens.push_back(id);
  model::SessionForTest session(**model);
  return session.run(tokens);
}

// What counts in the end: how far the answers move.
TEST_F(QuantizeModel, LogitsMoveNoFurtherThanThoseOfTheEcosystemsFiles) {
  const auto original = kParity / "llama-wide-BF16.gguf";
  if (!std::filesystem::exists(original)) GTEST_SKIP() << "no shared data";
  const std::vector<float> truth = logits_of(original);
  for (const std::string type : {"Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"}) {
    ASSERT_TRUE(quantize(original, type));
    const double ours = model::relative_error(logits_of(out()), truth);
    const double peers =
        model::relative_error(logits_of(kParity / ("llama-wide-" + type + ".gguf")), truth);
    EXPECT_LE(ours, 1.05 * peers) << type;
    std::printf("%-7s logits off by %.5f, the peer's by %.5f\n", type.c_str(), ours, peers);
  }
}

TEST_F(QuantizeModel, MetadataIsCarriedOver) {
  const auto from = make_model("F16");
  ASSERT_TRUE(quantize(from, "Q4_K_M"));
  const auto before = GgufFile::open(from), after = GgufFile::open(out());
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->metadata().size(), after->metadata().size());
  for (const gguf::MetadataEntry& entry : before->metadata()) {
    if (entry.key == "general.file_type") continue;
    const gguf::Value* const value = after->find(entry.key);
    ASSERT_NE(value, nullptr) << entry.key;
    EXPECT_EQ(value->type(), entry.value.type());
    EXPECT_TRUE(std::ranges::equal(value->payload(), entry.value.payload())) << entry.key;
  }
  EXPECT_EQ(after->get_u32("general.file_type").value_or(0), 15U);
  EXPECT_EQ(after->get_u32("general.quantization_version").value_or(0), 2U);
}

TEST_F(QuantizeModel, RecipesSpendMoreWhereItMatters) {
  ASSERT_TRUE(quantize(make_model("F16"), "q4_k_m"));
  const auto file = GgufFile::open(out());
  ASSERT_TRUE(file);
  const auto type = [&](std::string_view name) { return file->find_tensor(name)->type; };
  EXPECT_EQ(type("output.weight"), DType::kQ6_K);
  EXPECT_EQ(type("token_embd.weight"), DType::kQ4_K);
  EXPECT_EQ(type("blk.0.attn_norm.weight"), DType::kF32);
  for (const int layer : {0, 3, 6, 7}) {  // Of 8: the first, the last, and every third between.
    const std::string name = "blk." + std::to_string(layer);
    EXPECT_EQ(type(name + ".ffn_down.weight"), DType::kQ6_K) << layer;
    EXPECT_EQ(type(name + ".attn_v.weight"), DType::kQ6_K) << layer;
    EXPECT_EQ(type(name + ".attn_q.weight"), DType::kQ4_K) << layer;
  }
  for (const int layer : {1, 2, 4, 5}) {
    EXPECT_EQ(type("blk." + std::to_string(layer) + ".ffn_down.weight"), DType::kQ4_K) << layer;
  }
}

TEST_F(QuantizeModel, RowsThatDontDivideFallBackAndSaySo) {
  const auto report = quantize(make_model("F16", 96), "Q4_K_M");
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_FALSE(report->notes.empty());
  EXPECT_NE(report->notes[0].find("rows of 96 became Q5_0 instead of Q4_K"), std::string::npos)
      << report->notes[0];
  const auto file = GgufFile::open(out());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->find_tensor("output.weight")->type, DType::kQ8_0);
  EXPECT_EQ(file->find_tensor("blk.1.attn_q.weight")->type, DType::kQ5_0);
}

TEST_F(QuantizeModel, ThreadsChangeNothing) {
  const auto from = make_model("F32");
  ASSERT_TRUE(quantize(from, "Q4_K_M", {.n_threads = 1}));
  const auto one = read_file(out());
  ASSERT_TRUE(quantize(from, "Q4_K_M", {.n_threads = 4}));
  const auto four = read_file(out());
  ASSERT_TRUE(one && four);
  EXPECT_TRUE(*one == *four);
}

TEST_F(QuantizeModel, QuantisedFilesAreRefusedUnlessAllowed) {
  const auto from = make_model("Q8_0");
  const auto refused = quantize(from, "Q4_0");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("--allow-requantize"), std::string::npos);
  EXPECT_EQ(files_in_folder(), 1U);
  EXPECT_TRUE(quantize(from, "Q4_0", {.allow_requantize = true}));
  // The same type again copies bytes, which costs nothing.
  EXPECT_TRUE(quantize(from, "Q8_0"));
}

TEST_F(QuantizeModel, StoppingLeavesNothingBehind) {
  const auto from = make_model("F32");
  int calls = 0;
  const auto stopped =
      quantize(from, "Q4_K_M", {.progress = [&](const Progress&) { return ++calls < 2; }});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Code::kCancelled);
  EXPECT_EQ(files_in_folder(), 1U);
}

TEST_F(QuantizeModel, ProgressReachesTheWhole) {
  Progress last;
  const auto report =
      quantize(make_model("F32"), "Q8_0", {.progress = [&](const Progress& progress) {
                 EXPECT_GE(progress.done, last.done);
                 last = progress;
                 return true;
               }});
  ASSERT_TRUE(report);
  EXPECT_EQ(last.done, last.total);
  EXPECT_EQ(last.total, report->n_weights);
}

// Strangers' files may hold anything that GGUF allows.
TEST_F(QuantizeModel, TensorsThatAreNoWeightsStayAsTheyAre) {
  const std::vector<std::byte> bytes(8192, std::byte{3});
  gguf::GgufWriter writer;
  writer.set_string("general.architecture", "warp");
  const std::pair<std::string, DType> tensors[] = {
      {"table.weight", DType::kI32}, {"wide.weight", DType::kF64}, {"v.bias", DType::kQ8_0}};
  for (const auto& [name, type] : tensors) {
    const std::uint64_t dims[] = {32, 2, 2, 2};
    const std::size_t n = 8 * tensor::row_bytes(type, 32);
    writer.add_tensor(name, type, dims, std::span(bytes).first(n));
  }
  const std::uint64_t cube[] = {256, 1, 2, 2};
  writer.add_tensor("cube.weight", DType::kF32, cube, std::span(bytes).first(4096));
  ASSERT_TRUE(writer.write(folder_ / "odd.gguf"));
  Importance importance;
  importance.inputs["cube.weight"] = std::vector<float>(1024, 2.0F);
  const auto report = quantize(folder_ / "odd.gguf", "Q4_K_M", {.importance = &importance});
  ASSERT_TRUE(report) << report.error().message;
  const auto file = GgufFile::open(out());
  ASSERT_TRUE(file);
  for (const auto& [name, type] : tensors) EXPECT_EQ(file->find_tensor(name)->type, type) << name;
  EXPECT_EQ(file->find_tensor("cube.weight")->type, DType::kQ4_K);
}

TEST_F(QuantizeModel, AnInfinityIsNamed) {
  const auto from = make_model("F32");
  auto bytes = read_file(from);
  ASSERT_TRUE(bytes);
  const auto file = GgufFile::open(from);
  ASSERT_TRUE(file);
  const auto& data = file->find_tensor("blk.1.ffn_up.weight")->data;
  const auto at = static_cast<std::size_t>(data.data() - file->bytes().data()) + 4 * (256 * 7 + 3);
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(bytes->data() + at, &infinity, sizeof infinity);
  ASSERT_TRUE(write_file_atomic(folder_ / "bad.gguf", *bytes));
  const auto refused = quantize(folder_ / "bad.gguf", "Q4_K_M");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("blk.1.ffn_up.weight"), std::string::npos);
  EXPECT_NE(refused.error().message.find("row 7"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(out()));
}

TEST_F(QuantizeModel, ExistingFilesAreKept) {
  const auto from = make_model("F32");
  const auto source = open_source(from);
  ASSERT_TRUE(source);
  ASSERT_TRUE(write_file_atomic(out(), "precious"));
  const auto refused = quantize_model(*source, out(), {.recipe = find_recipe("Q8_0")});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("--force"), std::string::npos);
  EXPECT_EQ(read_file(out()).value_or(""), "precious");
}

TEST_F(QuantizeModel, ImportanceGuidesItsTensorsAndIsChecked) {
  const auto from = make_model("F32");
  Importance importance;
  std::vector<float> inputs(256);
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = i % 4 == 0 ? 100.0F : 1.0F;
  importance.inputs["blk.0.attn_q.weight"] = inputs;
  const auto report = quantize(from, "Q4_0", {.importance = &importance});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_NE(report->notes.back().find("guided 1 of"), std::string::npos) << report->notes.back();

  importance.inputs["blk.0.attn_k.weight"] = std::vector<float>(100, 1.0F);
  const auto wrong = quantize(from, "Q4_0", {.importance = &importance});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("blk.0.attn_k.weight"), std::string::npos);

  Importance foreign;
  foreign.inputs["blk.99.attn_q.weight"] = inputs;
  EXPECT_FALSE(quantize(from, "Q4_0", {.importance = &foreign}));
}

}  // namespace
}  // namespace hearth::convert
