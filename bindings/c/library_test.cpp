// libhearth against a real server of the bridge in this process: memory, runs in the hub, generations,
// what ends, and what comes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <deque>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/temp_folder_for_test.h"
#include "compute/bridge/server.h"
#include "dlpack_layout.h"
#include "hearth/hearth.h"
#include "test_support/jailed_kernel.h"

namespace hearth {
namespace {

using compute::Bindings;
using compute::Workers;
using compute::bridge::HubKernel;
using compute::bridge::HubRun;
using testing::ElementsAre;
using testing::HasSubstr;

HubKernel hub_kernel(std::string name, const char* signature, Result<> (*run)(const Bindings&, const Workers&), HubRun told = {}) {
  auto parsed = compute::parse_signature(signature);
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
  const auto cost = [](const Bindings& bound) -> Result<compute::Cost> {
    const std::int64_t n = bound.tensors.empty() ? 0 : bound.tensors[0].n_elements();
    return compute::Cost{n, 12 * n};
  };
  const auto run_and_tell = [run, told](const Bindings& bound, const Workers& workers) -> Result<HubRun> {
    HEARTH_TRY_VOID(run(bound, workers));
    return told;
  };
  return {std::move(name), *std::move(parsed), cost, run_and_tell};
}

// out = in * w, however they lie.
Result<> multiply(const Bindings& bound, const Workers&) {
  const auto& [out, in, w] = std::tie(bound.tensors[0], bound.tensors[1], bound.tensors[2]);
  for (std::int64_t i = 0; i < out.shape[0]; ++i) {
    for (std::int64_t j = 0; j < out.shape[1]; ++j) {
      const auto at = [&](const compute::Tensor& t) -> float& {
        return reinterpret_cast<float*>(t.data)[i * t.strides[0] + j * t.strides[1]];
      };
      at(out) = at(in) * at(w);
    }
  }
  return {};
}

std::atomic<int> n_spinning{0};

// Writes `value`; before that, waits to be given up if it is odd.
Result<> spin_if_odd(const Bindings& bound, const Workers& workers) {
  const std::int64_t value = bound.integers[0];
  if (value % 2 != 0) {
    ++n_spinning;
    while (!workers.gave_up()) std::this_thread::yield();
    --n_spinning;
    return {};
  }
  *reinterpret_cast<std::int64_t*>(bound.tensors[0].data) = value;
  return {};
}

// A kernel for a device, which the hub has run elsewhere.
std::shared_ptr<const compute::bridge::JailedKernel> device_kernel() {
  auto run = std::make_shared<HubKernel>(hub_kernel("on_device", "out i64[1], value i64", spin_if_odd, {.n_copies = 3, .device = "a GPU with a name of more letters than the report has room for, they say"}));
  run->is_elsewhere = true;
  auto kernel = std::make_shared<compute::bridge::JailedKernel>();
  kernel->name = run->name, kernel->signature = run->signature;
  kernel->on_device = std::move(run);
  return kernel;
}

Result<> refuse(const Bindings&, const Workers&) { return fail(Code::kUnavailable, "the library 'fft' is not installed"); }

// An answer that says its question back, word by word, or goes on for ever.
class Echo final : public compute::bridge::AnswerStream {
 public:
  Echo(const compute::bridge::Question& question, std::atomic<int>& n_alive) : n_alive_(n_alive) {
    ++n_alive_;
    is_endless_ = question.prompt == "endless";
    pieces_ = {question.client + ": ", question.model + " ", question.prompt};
  }
  ~Echo() override { --n_alive_; }
  Result<std::optional<compute::bridge::AnswerPiece>> next(std::chrono::milliseconds) override {
    if (is_endless_) return std::optional<compute::bridge::AnswerPiece>();
    if (pieces_.empty()) return compute::bridge::AnswerPiece{"", true, "r-1"};
    const std::string text = pieces_.front();
    pieces_.pop_front();
    return compute::bridge::AnswerPiece{text, false, ""};
  }

 private:
  std::atomic<int>& n_alive_;
  bool is_endless_;
  std::deque<std::string> pieces_;
};

class Library : public testing::Test {
 protected:
  void SetUp() override {
    start();
    const hearth_options options = options_of();
    ASSERT_EQ(hearth_open(&options, &context_), HEARTH_OK) << hearth_error();
  }
  void TearDown() override {
    for (hearth_kernel* kernel : kernels_) hearth_kernel_close(kernel);
    for (hearth_tensor* tensor : tensors_) hearth_free(tensor);
    hearth_close(context_);
    server_ = nullptr;
  }

  void start() {
    compute::bridge::Services services;
    services.hub_kernels.push_back(hub_kernel("multiply", "out f32[n, m] strided, in f32[n, m] strided, w f32[n, m] strided", multiply));
    services.hub_kernels.push_back(hub_kernel("spin", "out i64[1], value i64", spin_if_odd));
    services.hub_kernels.push_back(hub_kernel("refuse", "out f32[n], in f32[n], scale f32", refuse));
    services.ask = [this](const compute::bridge::Question& question) -> Result<std::unique_ptr<compute::bridge::AnswerStream>> {
      if (question.prompt == "no") return fail(Code::kNotFound, "there is no model 'x'");
      return std::make_unique<Echo>(question, n_answers_);
    };
    services.find_kernel = [](std::string_view name) -> Result<std::shared_ptr<const compute::bridge::JailedKernel>> {
      if (name == "on_device") return device_kernel();
      if (name != "test" && name != "0123") return fail(Code::kNotFound, "there is no kernel '" + std::string(name) + "'");
      return client::test_kernel();
    };
    services.build = [](std::string_view contract, const compute::StillWanted& is_wanted) -> Result<compute::bridge::Built> {
      EXPECT_TRUE(is_wanted());
      if (contract != "name = 'test'") return fail(Code::kInvalidArgument, "line 3: ';' is missing");
      return compute::bridge::Built{"0123", true, 0.25};
    };
    services.write = [this](std::string_view prose, const compute::StillWanted& is_wanted) -> Result<compute::bridge::Built> {
      if (prose == "double it") return compute::bridge::Built{"0123", false, 1.5};
      while (is_wanted()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ++n_given_up_;
      return fail(Code::kCancelled, "nobody waits for it");
    };
    services.check = [](std::string_view key, std::uint64_t seed, const compute::StillWanted&) -> Result<compute::bridge::Checked> {
      if (key != "0123" || seed != 7) return fail(Code::kNotFound, "no such kernel");
      return compute::bridge::Checked{12, 0.5};
    };
    services.measure_roofs = []() -> Result<compute::bridge::MachineRoofs> { return compute::bridge::MachineRoofs{2, 100, 50, 20, 10}; };
    compute::bridge::ServerOptions options;
    options.socket = folder_ / "bridge.sock";
    options.pool_bytes_max = 8 << 20;
    options.run_max = run_max_;
    options.n_threads = 2;
    options.sessions_max = 8;
    auto server = compute::bridge::Server::start(options, std::move(services));
    ASSERT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
  }

  hearth_options options_of() {
    path_ = folder_ / "bridge.sock";
    hearth_options options{};
    options.size = sizeof options;
    options.socket = path_.c_str();
    options.client = "a test";
    return options;
  }

  hearth_tensor* alloc(hearth_type type, std::vector<std::int64_t> shape) {
    hearth_tensor* tensor = nullptr;
    EXPECT_EQ(hearth_alloc(context_, type, static_cast<std::uint32_t>(shape.size()), shape.data(), &tensor), HEARTH_OK) << hearth_error();
    tensors_.push_back(tensor);
    return tensor;
  }
  hearth_tensor* filled(std::vector<std::int64_t> shape, std::vector<float> values) {
    hearth_tensor* tensor = alloc(HEARTH_F32, std::move(shape));
    std::memcpy(hearth_data(tensor), values.data(), values.size() * sizeof(float));
    return tensor;
  }
  std::vector<float> floats(hearth_tensor* tensor, std::size_t n) {
    const auto* data = static_cast<const float*>(hearth_data(tensor));
    return {data, data + n};
  }
  hearth_kernel* open_kernel(const char* name) {
    const hearth_source source{sizeof source, HEARTH_BY_NAME, name, 0};
    hearth_kernel* kernel = nullptr;
    EXPECT_EQ(hearth_kernel_open(context_, &source, &kernel), HEARTH_OK) << hearth_error();
    if (kernel != nullptr) kernels_.push_back(kernel);
    return kernel;
  }
  // Waits, for what happens soon, and for ever on a machine that is busy: a test's timeout ends it.
  template <class Condition>
  static void await(Condition&& condition) {
    while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  const TempFolder folder_;
  std::string path_;
  std::chrono::nanoseconds run_max_ = std::chrono::hours(1);
  std::atomic<int> n_answers_{0}, n_given_up_{0};
  std::unique_ptr<compute::bridge::Server> server_;
  hearth_context* context_ = nullptr;
  std::vector<hearth_tensor*> tensors_;
  std::vector<hearth_kernel*> kernels_;
};

hearth_layout layout_of(const hearth_tensor* tensor) {
  hearth_layout layout{};
  layout.size = sizeof layout;
  EXPECT_EQ(hearth_describe(tensor, &layout), HEARTH_OK);
  return layout;
}

TEST_F(Library, RunsAKernelOfTheHub) {
  hearth_tensor* x = filled({2, 3}, {1, 2, 3, 4, 5, 6});
  hearth_tensor* w = filled({2, 3}, {10, 10, 10, 2, 2, 2});
  hearth_tensor* y = alloc(HEARTH_F32, {2, 3});
  hearth_kernel* kernel = open_kernel("multiply");
  EXPECT_STREQ(hearth_kernel_name(kernel), "multiply");
  EXPECT_THAT(hearth_kernel_signature(kernel), HasSubstr("out f32[n, m] strided"));
  hearth_roofs roofs{};
  roofs.size = sizeof roofs;
  ASSERT_EQ(hearth_measure_roofs(context_, &roofs), HEARTH_OK) << hearth_error();
  EXPECT_EQ(roofs.gflops_f64, 50);

  const hearth_value values[] = {hearth_of(y), hearth_of(x), hearth_of(w)};
  hearth_run_options options{};
  options.size = sizeof options;
  options.flags = HEARTH_HASH_OUTPUTS;
  hearth_report report{};
  report.size = sizeof report;
  ASSERT_EQ(hearth_run(kernel, values, 3, &options, &report), HEARTH_OK) << hearth_error();
  EXPECT_THAT(floats(y, 6), ElementsAre(10, 20, 30, 8, 10, 12));
  EXPECT_EQ(report.flops, 6);
  EXPECT_EQ(report.bytes, 72);
  EXPECT_EQ(report.n_copies, 0U);
  EXPECT_EQ(report.is_jailed, 0U);
  EXPECT_EQ(report.roof_gflops, 100);
  EXPECT_GT(report.t_kernel, 0);
  EXPECT_GE(report.t_total, report.t_kernel);

  const std::uint64_t hash = report.out_hash;
  for (int i = 0; i < 100; ++i) ASSERT_EQ(hearth_run(kernel, values, 3, &options, &report), HEARTH_OK);
  EXPECT_EQ(report.out_hash, hash);
  static_cast<float*>(hearth_data(x))[0] = 7;
  ASSERT_EQ(hearth_run(kernel, values, 3, &options, &report), HEARTH_OK);
  EXPECT_NE(report.out_hash, hash);
  EXPECT_EQ(floats(y, 1)[0], 70);
}

// One that hangs there would else keep every client's kernels of the house waiting.
TEST_F(Library, WhatRunsOnADeviceKeepsNobodyWaiting) {
  hearth_tensor* out = alloc(HEARTH_I64, {1});
  hearth_kernel* const on_device = open_kernel("on_device");
  const hearth_value even[] = {hearth_of(out), hearth_integer(42)};
  hearth_report report{};
  report.size = sizeof report;
  ASSERT_EQ(hearth_run(on_device, even, 2, nullptr, &report), HEARTH_OK) << hearth_error();
  EXPECT_EQ(*static_cast<std::int64_t*>(hearth_data(out)), 42);
  EXPECT_EQ(report.n_copies, 3U);
  EXPECT_STREQ(report.device, "a GPU with a name of more letters than the report has room for,");

  hearth_run_options first{};
  first.size = sizeof first;
  first.generation = 1;
  std::thread hanging([&] {
    const hearth_value odd[] = {hearth_of(out), hearth_integer(1)};
    EXPECT_EQ(hearth_run(on_device, odd, 2, &first, nullptr), HEARTH_SUPERSEDED);
  });
  await([] { return n_spinning == 1; });
  const hearth_options options = options_of();
  hearth_context* other = nullptr;
  ASSERT_EQ(hearth_open(&options, &other), HEARTH_OK) << hearth_error();
  std::swap(context_, other);
  hearth_tensor* x = filled({1, 1}, {3});
  hearth_tensor* y = alloc(HEARTH_F32, {1, 1});
  const hearth_value values[] = {hearth_of(y), hearth_of(x), hearth_of(x)};
  EXPECT_EQ(hearth_run(open_kernel("multiply"), values, 3, nullptr, &report), HEARTH_OK) << hearth_error();
  EXPECT_EQ(report.n_copies, 0U);
  EXPECT_STREQ(report.device, "");
  EXPECT_EQ(n_spinning, 1);
  std::swap(context_, other);
  first.generation = 2;
  EXPECT_EQ(hearth_run(on_device, even, 2, &first, nullptr), HEARTH_OK) << hearth_error();
  hanging.join();
  hearth_close(other);
}

TEST_F(Library, CopiesForeignMemoryAndUsesThePoolsInPlace) {
  float foreign[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  hearth_layout layout{};
  layout.size = sizeof layout;
  layout.type = HEARTH_F32;
  layout.rank = 2;
  layout.shape[0] = 3, layout.shape[1] = 2;
  layout.strides[0] = 4, layout.strides[1] = 1;  // The first two of each four.
  layout.data = foreign;
  hearth_tensor* x = nullptr;
  int copied = -1;
  ASSERT_EQ(hearth_wrap(context_, &layout, &x, &copied), HEARTH_OK) << hearth_error();
  tensors_.push_back(x);
  EXPECT_EQ(copied, 1);
  EXPECT_THAT(floats(x, 6), ElementsAre(1, 2, 5, 6, 9, 10));

  // A column-major look at memory of the pool, its first row left out.
  hearth_tensor* w = filled({2, 4}, {0, 1, 1, 1, 0, 2, 2, 2});
  layout.shape[0] = 3, layout.shape[1] = 2;
  layout.strides[0] = 1, layout.strides[1] = 4;
  layout.data = static_cast<float*>(hearth_data(w)) + 1;
  hearth_tensor* columns = nullptr;
  ASSERT_EQ(hearth_wrap(context_, &layout, &columns, &copied), HEARTH_OK) << hearth_error();
  tensors_.push_back(columns);
  EXPECT_EQ(copied, 0);
  EXPECT_EQ(hearth_data(columns), layout.data);

  hearth_tensor* y = alloc(HEARTH_F32, {3, 2});
  const hearth_value values[] = {hearth_of(y), hearth_of(x), hearth_of(columns)};
  hearth_report report{};
  report.size = sizeof report;
  ASSERT_EQ(hearth_run(open_kernel("multiply"), values, 3, nullptr, &report), HEARTH_OK) << hearth_error();
  EXPECT_THAT(floats(y, 6), ElementsAre(1, 4, 5, 12, 9, 20));
  EXPECT_EQ(report.n_copies, 1U);
  ASSERT_EQ(hearth_run(kernels_[0], values, 3, nullptr, &report), HEARTH_OK);
  EXPECT_EQ(report.n_copies, 0U);
}

TEST_F(Library, SpeaksDlpackBothWays) {
  hearth_tensor* x = filled({3}, {1, 2, 3});
  DLManagedTensorVersioned* managed = nullptr;
  ASSERT_EQ(hearth_view_dlpack(x, &managed), HEARTH_OK);
  EXPECT_EQ(managed->dl_tensor.data, hearth_data(x));
  EXPECT_EQ(managed->dl_tensor.shape[0], 3);
  EXPECT_EQ(managed->dl_tensor.dtype.bits, 32);

  // Back again, in place; the first tensor may go meanwhile.
  hearth_tensor* again = nullptr;
  int copied = -1;
  ASSERT_EQ(hearth_wrap_dlpack(context_, managed, &again, &copied), HEARTH_OK) << hearth_error();
  EXPECT_EQ(copied, 0);
  hearth_free(x);
  tensors_.clear();
  EXPECT_THAT(floats(again, 3), ElementsAre(1, 2, 3));
  hearth_free(again);

  static int n_deleted = 0;
  float foreign[2] = {5, 6};
  std::int64_t shape[1] = {2};
  DLManagedTensorVersioned theirs{};
  theirs.version = {1, 1};
  theirs.deleter = [](DLManagedTensorVersioned*) { ++n_deleted; };
  theirs.dl_tensor = {foreign, {1, 0}, 1, {2, 32, 1}, shape, nullptr, 0};
  ASSERT_EQ(hearth_wrap_dlpack(context_, &theirs, &again, &copied), HEARTH_OK) << hearth_error();
  EXPECT_EQ(copied, 1);
  EXPECT_EQ(n_deleted, 1);
  hearth_free(again);

  theirs.dl_tensor.device = {2, 0};
  EXPECT_EQ(hearth_wrap_dlpack(context_, &theirs, &again, &copied), HEARTH_UNSUPPORTED);
  EXPECT_THAT(hearth_error(), HasSubstr("copy it to the CPU"));
  EXPECT_EQ(n_deleted, 1);
}

TEST_F(Library, SaysWhatIsWrong) {
  hearth_kernel* kernel = nullptr;
  const hearth_source unknown{sizeof unknown, HEARTH_BY_NAME, "nothing", 0};
  EXPECT_EQ(hearth_kernel_open(context_, &unknown, &kernel), HEARTH_NOT_FOUND);
  EXPECT_THAT(hearth_error(), HasSubstr("'nothing'"));

  kernel = open_kernel("multiply");
  hearth_tensor* x = alloc(HEARTH_F32, {2, 3});
  hearth_tensor* wide = alloc(HEARTH_F32, {2, 4});
  const hearth_value mismatched[] = {hearth_of(x), hearth_of(wide), hearth_of(wide)};
  EXPECT_EQ(hearth_run(kernel, mismatched, 3, nullptr, nullptr), HEARTH_INVALID);
  EXPECT_THAT(hearth_error(), HasSubstr("in"));
  const hearth_value aliased[] = {hearth_of(x), hearth_of(x), hearth_of(x)};
  EXPECT_EQ(hearth_run(kernel, aliased, 3, nullptr, nullptr), HEARTH_INVALID);
  EXPECT_EQ(hearth_run(kernel, aliased, 2, nullptr, nullptr), HEARTH_INVALID);

  hearth_tensor* y = alloc(HEARTH_F32, {2});
  hearth_tensor* in = alloc(HEARTH_F32, {2});
  const hearth_value fine[] = {hearth_of(y), hearth_of(in), hearth_real(2)};
  EXPECT_EQ(hearth_run(open_kernel("refuse"), fine, 3, nullptr, nullptr), HEARTH_UNAVAILABLE);
  EXPECT_STREQ(hearth_error(), "the library 'fft' is not installed");

  const std::int64_t negative[] = {-1};
  hearth_tensor* none = nullptr;
  EXPECT_EQ(hearth_alloc(context_, HEARTH_F32, 1, negative, &none), HEARTH_INVALID);
  EXPECT_EQ(hearth_alloc(context_, 77, 1, negative, &none), HEARTH_INVALID);
  EXPECT_EQ(hearth_alloc(context_, HEARTH_F32, 99, negative, &none), HEARTH_INVALID);
}

TEST_F(Library, CompletesWhatTheOthersSay) {
  hearth_kernel* kernel = open_kernel("multiply");
  hearth_tensor* x = filled({2, 2}, {1, 2, 3, 4});
  hearth_value values[] = {hearth_value{}, hearth_of(x), hearth_of(x)};
  ASSERT_EQ(hearth_complete(kernel, values, 3), HEARTH_OK) << hearth_error();
  ASSERT_EQ(values[0].kind, static_cast<std::uint32_t>(HEARTH_TENSOR));
  tensors_.push_back(values[0].as.tensor);
  EXPECT_EQ(layout_of(values[0].as.tensor).shape[1], 2);
  ASSERT_EQ(hearth_run(kernel, values, 3, nullptr, nullptr), HEARTH_OK) << hearth_error();
  EXPECT_THAT(floats(values[0].as.tensor, 4), ElementsAre(1, 4, 9, 16));
}

TEST_F(Library, RecyclesAndBoundsMemory) {
  hearth_tensor* x = alloc(HEARTH_F32, {1000});
  const std::uint64_t used = server_->stats().pool_bytes_used;
  const void* where = hearth_data(x);
  hearth_free(x);
  tensors_.clear();
  x = alloc(HEARTH_F32, {1000});
  EXPECT_EQ(hearth_data(x), where);
  EXPECT_EQ(server_->stats().pool_bytes_used, used);

  const std::int64_t large[] = {1 << 22};
  hearth_tensor* none = nullptr;
  EXPECT_EQ(hearth_alloc(context_, HEARTH_F64, 1, large, &none), HEARTH_OVER_BUDGET);
  EXPECT_THAT(hearth_error(), HasSubstr("compute.memory_mib"));
  // What is kept for later makes room for what is wanted now.
  const std::int64_t small[] = {300'000}, most[] = {1'500'000};
  for (const auto* n : {small, small, small, most}) {
    ASSERT_EQ(hearth_alloc(context_, HEARTH_F32, 1, n, &none), HEARTH_OK) << hearth_error();
    hearth_free(none);
  }
}

TEST_F(Library, NewerRunsTakeThePlaceOfOlderOnes) {
  hearth_kernel* kernel = open_kernel("spin");
  hearth_tensor* out = alloc(HEARTH_I64, {1});
  const auto run = [&](std::int64_t value, std::uint64_t generation) {
    const hearth_value values[] = {hearth_of(out), hearth_integer(value)};
    hearth_run_options options{};
    options.size = sizeof options;
    options.generation = generation;
    return hearth_run(kernel, values, 2, &options, nullptr);
  };
  hearth_status first = HEARTH_OK;
  std::thread spinning([&] { first = run(1, 1); });
  await([] { return n_spinning == 1; });
  EXPECT_EQ(run(42, 2), HEARTH_OK) << hearth_error();
  spinning.join();
  EXPECT_EQ(first, HEARTH_SUPERSEDED);
  EXPECT_EQ(*static_cast<std::int64_t*>(hearth_data(out)), 42);
  EXPECT_EQ(run(44, 1), HEARTH_SUPERSEDED);
  EXPECT_EQ(*static_cast<std::int64_t*>(hearth_data(out)), 42);

  // A slider: each move asks for a run that would not end by itself; the last one ends.
  std::vector<std::thread> moves;
  std::vector<hearth_status> statuses(20, HEARTH_OK);
  for (std::size_t i = 0; i < statuses.size(); ++i) {
    moves.emplace_back([&, i] { statuses[i] = run(i + 1 == statuses.size() ? 100 : 1, 10 + i); });
  }
  for (std::thread& move : moves) move.join();
  EXPECT_EQ(statuses.back(), HEARTH_OK);
  statuses.pop_back();
  EXPECT_THAT(statuses, testing::Each(HEARTH_SUPERSEDED));
  EXPECT_EQ(*static_cast<std::int64_t*>(hearth_data(out)), 100);

  std::thread cancelled([&] { first = run(1, 50); });
  await([] { return n_spinning == 1; });
  EXPECT_EQ(hearth_cancel(kernel, 50), HEARTH_OK);
  cancelled.join();
  EXPECT_EQ(first, HEARTH_CANCELLED);
}

TEST_F(Library, DeadlinesEndRuns) {
  hearth_tensor* out = alloc(HEARTH_I64, {1});
  const hearth_value values[] = {hearth_of(out), hearth_integer(1)};
  hearth_run_options options{};
  options.size = sizeof options;
  options.deadline_s = 0.001;
  EXPECT_EQ(hearth_run(open_kernel("spin"), values, 2, &options, nullptr), HEARTH_DEADLINE);
}

TEST_F(Library, AnEndingHubCostsEachCallOneError) {
  hearth_kernel* kernel = open_kernel("spin");
  hearth_tensor* out = alloc(HEARTH_I64, {1});
  *static_cast<std::int64_t*>(hearth_data(out)) = 5;
  const hearth_value values[] = {hearth_of(out), hearth_integer(2)};
  ASSERT_EQ(hearth_run(kernel, values, 2, nullptr, nullptr), HEARTH_OK);
  server_ = nullptr;
  EXPECT_EQ(hearth_run(kernel, values, 2, nullptr, nullptr), HEARTH_HUB_GONE);
  EXPECT_THAT(hearth_error(), HasSubstr("open a new context"));
  EXPECT_EQ(*static_cast<std::int64_t*>(hearth_data(out)), 2);
  hearth_tensor* none = nullptr;
  const std::int64_t shape[] = {1};
  EXPECT_EQ(hearth_alloc(context_, HEARTH_F32, 1, shape, &none), HEARTH_HUB_GONE);

  start();
  const hearth_options options = options_of();
  hearth_context* next = nullptr;
  ASSERT_EQ(hearth_open(&options, &next), HEARTH_OK) << hearth_error();
  hearth_close(next);
}

TEST_F(Library, WhoLeavesLeavesNothing) {
  const std::uint64_t used = server_->stats().pool_bytes_used;
  const hearth_options options = options_of();
  hearth_context* other = nullptr;
  ASSERT_EQ(hearth_open(&options, &other), HEARTH_OK);
  const std::int64_t shape[] = {100'000};
  hearth_tensor* theirs = nullptr;
  ASSERT_EQ(hearth_alloc(other, HEARTH_F32, 1, shape, &theirs), HEARTH_OK);
  EXPECT_GT(server_->stats().pool_bytes_used, used);
  hearth_close(other);
  static_cast<float*>(hearth_data(theirs))[99'999] = 1;  // Its memory is still its own.
  hearth_free(theirs);
  await([&] { return server_->stats().n_sessions == 1 && server_->stats().pool_bytes_used == used; });

  std::vector<hearth_context*> many;
  hearth_context* one = nullptr;
  while (hearth_open(&options, &one) == HEARTH_OK) many.push_back(one);
  EXPECT_EQ(many.size(), 7U);
  EXPECT_THAT(hearth_error(), HasSubstr("8 clients"));
  for (hearth_context* context : many) hearth_close(context);
}

TEST_F(Library, AnswersComeInPieces) {
  hearth_question question{};
  question.size = sizeof question;
  question.prompt = "hello there";
  hearth_answer* answer = nullptr;
  ASSERT_EQ(hearth_ask(context_, &question, &answer), HEARTH_OK) << hearth_error();
  std::string text;
  char buffer[5];
  for (std::size_t n = 1; n > 0;) {
    ASSERT_EQ(hearth_read(answer, buffer, sizeof buffer, &n), HEARTH_OK) << hearth_error();
    text.append(buffer, n);
  }
  EXPECT_EQ(text, "a test: auto hello there");
  EXPECT_STREQ(hearth_answer_receipt(answer), "r-1");
  hearth_answer_close(answer);

  question.prompt = "no";
  std::size_t n = 1;
  ASSERT_EQ(hearth_ask(context_, &question, &answer), HEARTH_OK);
  EXPECT_EQ(hearth_read(answer, buffer, sizeof buffer, &n), HEARTH_NOT_FOUND);
  EXPECT_STREQ(hearth_error(), "there is no model 'x'");
  hearth_answer_close(answer);

  question.prompt = "endless";
  ASSERT_EQ(hearth_ask(context_, &question, &answer), HEARTH_OK);
  await([&] { return n_answers_ == 1; });
  hearth_answer_close(answer);
  await([&] { return n_answers_ == 0; });
}

TEST_F(Library, KernelsAreBuiltFoundAndCheckedOnRequest) {
  hearth_kernel* kernel = nullptr;
  hearth_source source{sizeof source, HEARTH_BY_CONTRACT, "name = 'test'", 0};
  ASSERT_EQ(hearth_kernel_open(context_, &source, &kernel), HEARTH_OK) << hearth_error();
  kernels_.push_back(kernel);
  EXPECT_STREQ(hearth_kernel_name(kernel), "test");
  hearth_report report{};
  report.size = sizeof report;
  EXPECT_EQ(hearth_check(kernel, 7, &report), HEARTH_OK) << hearth_error();
  EXPECT_EQ(report.n_checks, 12U);
  EXPECT_EQ(report.error_ulps, 0.5);
  EXPECT_EQ(hearth_check(kernel, 8, &report), HEARTH_NOT_FOUND);
  EXPECT_EQ(hearth_check(open_kernel("spin"), 7, &report), HEARTH_UNSUPPORTED);

  source.text = "name = 3";
  EXPECT_EQ(hearth_kernel_open(context_, &source, &kernel), HEARTH_INVALID);
  EXPECT_STREQ(hearth_error(), "line 3: ';' is missing");
  source.kind = HEARTH_BY_PROSE;
  source.text = "double it";
  ASSERT_EQ(hearth_kernel_open(context_, &source, &kernel), HEARTH_OK) << hearth_error();
  kernels_.push_back(kernel);
  source.kind = 9;
  EXPECT_EQ(hearth_kernel_open(context_, &source, &kernel), HEARTH_INVALID);

  // A hub that stops waits for no adviser.
  source.kind = HEARTH_BY_PROSE;
  source.text = "something that takes for ever";
  hearth_status status = HEARTH_OK;
  std::thread waiting([&] { status = hearth_kernel_open(context_, &source, &kernel); });
  await([&] { return server_->stats().n_sessions == 2; });
  server_ = nullptr;
  waiting.join();
  EXPECT_NE(status, HEARTH_OK);
  EXPECT_LE(n_given_up_, 1);
}

// Compiled kernels, each in the worker of its client.
class Jailed : public Library {
 protected:
  void SetUp() override {
    Library::SetUp();
    kernel_ = open_kernel("test");
    out_ = alloc(HEARTH_F64, {100});
    in_ = alloc(HEARTH_F64, {100});
    for (int i = 0; i < 100; ++i) numbers(in_)[i] = i;
    if (run(client::kDouble) == HEARTH_UNSUPPORTED) GTEST_SKIP() << hearth_error();
  }

  static volatile double* numbers(hearth_tensor* tensor) { return static_cast<volatile double*>(hearth_data(tensor)); }

  hearth_status run(client::TestTask what, std::uint64_t generation = 0, hearth_report* report = nullptr) {
    const hearth_value values[] = {hearth_of(out_), hearth_of(in_), hearth_integer(what)};
    hearth_run_options options{};
    options.size = sizeof options;
    options.generation = generation;
    return hearth_run(kernel_, values, 3, &options, report);
  }

  hearth_kernel* kernel_ = nullptr;
  hearth_tensor* out_ = nullptr;
  hearth_tensor* in_ = nullptr;
};

TEST_F(Jailed, RunsInAWorker) {
  hearth_report report{};
  report.size = sizeof report;
  for (int i = 0; i < 100; ++i) {
    numbers(in_)[1] = i;
    ASSERT_EQ(run(client::kDouble, 0, &report), HEARTH_OK) << hearth_error();
    ASSERT_EQ(numbers(out_)[1], 2 * i);
  }
  EXPECT_EQ(report.is_jailed, 1U);
  EXPECT_EQ(report.is_verified, 1U);
  EXPECT_EQ(report.flops, 100);
  EXPECT_STREQ(hearth_kernel_receipt(kernel_), "{}");

  // Memory that comes and goes.
  for (int i = 0; i < 30; ++i) {
    hearth_tensor* fresh = nullptr;
    const std::int64_t shape[] = {100 + 4096 * (i % 7)};
    ASSERT_EQ(hearth_alloc(context_, HEARTH_F64, 1, shape, &fresh), HEARTH_OK) << hearth_error();
    hearth_value values[] = {hearth_value{}, hearth_of(fresh), hearth_integer(client::kDouble)};
    ASSERT_EQ(hearth_complete(kernel_, values, 3), HEARTH_OK) << hearth_error();
    numbers(fresh)[99] = i;
    ASSERT_EQ(hearth_run(kernel_, values, 3, nullptr, nullptr), HEARTH_OK) << hearth_error();
    ASSERT_EQ(numbers(values[0].as.tensor)[99], 2 * i);
    hearth_free(values[0].as.tensor);
    hearth_free(fresh);
  }
}

TEST_F(Jailed, FaultsCostOneErrorAndAWorker) {
  EXPECT_EQ(run(client::kWriteBehind), HEARTH_FAULT);
  EXPECT_THAT(hearth_error(), HasSubstr("tensor number 1"));
  EXPECT_EQ(run(client::kDouble), HEARTH_OK) << hearth_error();
  EXPECT_EQ(numbers(out_)[99], 198);
  EXPECT_EQ(run(client::kWriteInput), HEARTH_FAULT);
  EXPECT_THAT(hearth_error(), HasSubstr("tensor number 2"));
  EXPECT_EQ(run(client::kDouble), HEARTH_OK) << hearth_error();
  EXPECT_EQ(numbers(in_)[0], 0);
  EXPECT_EQ(server_->stats().n_workers_replaced, 2U);
}

TEST_F(Jailed, NewerRunsEndOlderOnesThatListenAndThoseThatDoNot) {
  for (const auto what : {client::kLoop, client::kDeafLoop}) {
    numbers(out_)[0] = 0;
    hearth_status first = HEARTH_OK;
    std::thread looping([&] { first = run(what, 10 * (3 - what)); });
    await([&] { return numbers(out_)[0] == 1; });
    numbers(in_)[0] = 21;
    EXPECT_EQ(run(client::kDouble, 10 * (3 - what) + 1), HEARTH_OK) << hearth_error();
    EXPECT_EQ(numbers(out_)[0], 42);
    looping.join();
    EXPECT_EQ(first, HEARTH_SUPERSEDED);
    // One that listens may come too late to it on a busy machine: then it is replaced, too.
    EXPECT_GE(server_->stats().n_workers_replaced, what == client::kDeafLoop ? 1U : 0U);
  }
}

TEST_F(Jailed, NoRunOutlivesTheHubsLimit) {
  TearDown();
  tensors_.clear();
  kernels_.clear();
  run_max_ = std::chrono::milliseconds(20);
  Jailed::SetUp();
  EXPECT_EQ(run(client::kDeafLoop), HEARTH_DEADLINE);
  EXPECT_THAT(hearth_error(), HasSubstr("compute.run_seconds_max"));
  EXPECT_EQ(run(client::kDouble), HEARTH_OK) << hearth_error();
}

}  // namespace
}  // namespace hearth
