// The desk of kernels: built-ins and verified ones by name, calls that are prepared, and a writer
// that waits for somebody's consent.
#include "hub/kernels/kernel_desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "compute/kernels_for_test.h"
#include "hub/kernels/kernel_brief.h"

namespace hearth::hub {
namespace {

using compute::ElementType;
using compute::TensorData;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

TensorData floats(std::vector<std::int64_t> shape, std::vector<float> values) {
  TensorData tensor = compute::make_tensor(ElementType::kF32, std::move(shape));
  std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

std::vector<float> values_of(const TensorData& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.n_elements()));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

class Desk : public testing::Test {
 protected:
  std::unique_ptr<compute::KernelShelf> open_shelf() {
    return std::make_unique<compute::KernelShelf>(
        folder_.path() / "kernels", *compute::MachineKey::open(folder_.path() / "kernel.key"));
  }
  KernelDeskOptions options() {
    KernelDeskOptions made;
    made.open_shelf = [this]() -> Result<std::unique_ptr<compute::KernelShelf>> {
      return open_shelf();
    };
    made.n_threads = 2;
    return made;
  }
  Result<KernelOutcome> run(KernelDesk& desk, std::string_view name, KernelCall call) {
    HEARTH_TRY(const RunnableKernel kernel, desk.find(name));
    return desk.run(kernel, std::move(call), {});
  }
  std::string problem(std::string_view name, KernelCall call) {
    KernelDesk desk(options());
    const auto outcome = run(desk, name, std::move(call));
    return outcome ? "" : outcome.error().message;
  }

  compute::TestFolder folder_;
};

TEST_F(Desk, RunsBuiltins) {
  KernelDesk desk(options());
  const auto product =
      run(desk, "gemm_f32",
          {.tensors = {{"a", floats({2, 2}, {1, 2, 3, 4})}, {"b", floats({2, 1}, {10, 1})}}});
  ASSERT_TRUE(product) << product.error().message;
  ASSERT_THAT(product->outputs, SizeIs(1));
  EXPECT_EQ(product->outputs[0].name, "out");
  EXPECT_THAT(product->outputs[0].tensor.shape, ElementsAre(2, 1));
  EXPECT_THAT(values_of(product->outputs[0].tensor), ElementsAre(12, 34));
  EXPECT_EQ(product->flops, 8);
  EXPECT_GT(product->speed.run_ns, 0);
  EXPECT_TRUE(product->drawn.empty());

  const auto scaled = run(desk, "scale_f32",
                          {.tensors = {{"in", floats({3}, {1, 2, 3})}}, .reals = {{"factor", 2}}});
  ASSERT_TRUE(scaled) << scaled.error().message;
  EXPECT_THAT(values_of(scaled->outputs[0].tensor), ElementsAre(2, 4, 6));
}

TEST_F(Desk, RunsBuiltinsOnADevice) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a driver brings a compiler, whose own leaks and threads sanitizers report";
#endif
  setenv("POCL_CACHE_DIR", (testing::TempDir() + "hearth-pocl").c_str(), 0);
  KernelDeskOptions placed = options();
  placed.device_command = {HEARTH_DEVICE_HOST};
  KernelDesk desk(placed);
  const DeviceEntry opencl = desk.look_for_devices()[0];
  if (!opencl.found) GTEST_SKIP() << opencl.found.error().message;
  const auto same = [&](std::string_view name, const KernelCall& call) {
    const auto here = run(desk, name, call), there = run(desk, std::string(name) + "@opencl", call);
    ASSERT_TRUE(here && there) << (here ? there : here).error().message;
    EXPECT_EQ(here->results, there->results) << name;
    EXPECT_EQ(here->device, "cpu");
    EXPECT_EQ(there->device, opencl.found->name);
    EXPECT_EQ(here->n_copies, 0U);
    EXPECT_EQ(there->n_copies > 0, !opencl.found->is_host) << "its tensors are shared";
  };
  same("mul_f32", {.sizes = {{"n", 70001}}, .seed = 3, .repeats = 2});
  same("axpy_f32", {.reals = {{"factor", 0.3}}, .sizes = {{"n", 1009}}, .seed = 3});
  same("gemm_f32", {.sizes = {{"m", 31}, {"n", 29}, {"k", 500}}, .seed = 3});
  same("gemm_f64", {.sizes = {{"m", 31}, {"n", 29}, {"k", 500}}, .seed = 3, .with_roof = true});
  same("jacobi5_f64", {.sizes = {{"n", 37}, {"m", 41}, {"sweeps", 20}}, .seed = 3});
  const auto list = desk.list();
  ASSERT_TRUE(list) << list.error().message;
  for (const KernelEntry& entry : *list) {
    EXPECT_EQ(entry.last_run.has_value(), entry.kernel.name() == "gemm_f64") << "the processor's";
  }
  KernelDeskOptions hurried = placed;
  hurried.run_max = std::chrono::milliseconds(300);
  KernelDesk impatient(hurried);
  ASSERT_TRUE(impatient.open_device(*impatient.find("jacobi5_f64@opencl"), {}));
  const auto late = run(impatient, "jacobi5_f64@opencl",
                        {.sizes = {{"n", 500}, {"m", 500}, {"sweeps", 1'000'000}}});
  ASSERT_FALSE(late);
  EXPECT_THAT(late.error().message, HasSubstr("which is the limit (compute.run_seconds_max)"));
}

TEST_F(Desk, SaysWhereNothingRuns) {
  EXPECT_THAT(problem("exp_f32@opencl", {}), HasSubstr("exp_f32 has no kernel for devices"));
  EXPECT_THAT(problem("gemm_f32@abacus", {}), HasSubstr("there is no device 'abacus'"));
  EXPECT_THAT(problem("gemm_f99@opencl", {}), HasSubstr("gemm_f99"));
}

TEST_F(Desk, DrawsWhatIsNotGiven) {
  KernelDesk desk(options());
  const KernelCall call{
      .sizes = {{"m", 9}, {"n", 7}, {"k", 5}}, .seed = 3, .repeats = 2, .with_roof = true};
  const auto one = run(desk, "gemm_f32", call), two = run(desk, "gemm_f32", call);
  ASSERT_TRUE(one && two) << (one ? two : one).error().message;
  EXPECT_EQ(one->results, two->results);
  EXPECT_THAT(one->drawn, ElementsAre("a", "b"));
  EXPECT_GT(one->speed.roof_gflops, 0);
  KernelCall other = call;
  other.seed = 4;
  EXPECT_NE(run(desk, "gemm_f32", other)->results, one->results);
  // What is changed in place begins each run as it was.
  const auto once = run(desk, "sor_red_black_f64",
                        {.reals = {{"omega", 1.5}}, .sizes = {{"n", 8}, {"m", 8}, {"sweeps", 1}}});
  const auto often =
      run(desk, "sor_red_black_f64",
          {.reals = {{"omega", 1.5}}, .sizes = {{"n", 8}, {"m", 8}, {"sweeps", 1}}, .repeats = 3});
  ASSERT_TRUE(once && often) << (once ? often : once).error().message;
  EXPECT_EQ(once->results, often->results);
  // The list knows what was timed beside the roofs.
  const auto list = desk.list();
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_THAT(*list, SizeIs(compute::builtins().size()));
  for (const KernelEntry& entry : *list)
    EXPECT_EQ(entry.last_run.has_value(), entry.kernel.name() == "gemm_f32");
}

TEST_F(Desk, SaysWhatDoesNotFit) {
  EXPECT_THAT(problem("gemm_f99", {}), HasSubstr("gemm_f99"));
  EXPECT_THAT(problem("mul_f32", {}), HasSubstr("nothing says what 'n' is"));
  EXPECT_THAT(problem("mul_f32", {.sizes = {{"m", 1}}}), HasSubstr("'m' is no size of 'mul_f32'"));
  EXPECT_THAT(problem("mul_f32", {.tensors = {{"out", floats({1}, {1})}}}),
              HasSubstr("'out' is no input of 'mul_f32'"));
  EXPECT_THAT(problem("mul_f32", {.tensors = {{"in", floats({1, 1}, {1})}}}),
              HasSubstr("'in' is f32[1, 1]"));
  EXPECT_THAT(problem("mul_f64", {.tensors = {{"in", floats({1}, {1})}}}),
              HasSubstr("'in' is f32[1]"));
  EXPECT_THAT(problem("mul_f32", {.tensors = {{"in", floats({1}, {1})}}, .sizes = {{"n", 2}}}),
              HasSubstr("'in' says that n is 1, and it is 2 already"));
  EXPECT_THAT(problem("scale_f32", {.reals = {{"in", 2}}, .sizes = {{"n", 2}}}),
              HasSubstr("'in' is no number of 'scale_f32'"));
  EXPECT_THAT(problem("mul_f32", {.sizes = {{"n", std::int64_t{1} << 40}}}),
              HasSubstr("at most 1073741824 are given to a call"));
}

TEST_F(Desk, GivesUpWhatNobodyWants) {
  KernelDesk desk(options());
  const KernelCall call{.sizes = {{"n", 512}, {"m", 512}, {"sweeps", 1'000'000'000}}};
  const auto outcome = desk.run(*desk.find("jacobi5_f64"), call, [] { return false; });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kCancelled);
  KernelDeskOptions brief = options();
  brief.run_max = std::chrono::milliseconds(20);
  KernelDesk other(brief);
  const auto late = other.run(*other.find("jacobi5_f64"), call, {});
  ASSERT_FALSE(late);
  EXPECT_THAT(late.error().message, HasSubstr("compute.run_seconds_max"));
}

TEST_F(Desk, RunsVerifiedKernelsInAJail) {
  HEARTH_SKIP_WITHOUT_JAIL();
  const auto made = compute::build_for_test({"out f32[n], in f32[n], w f32[n], n i64",
                                             "for (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];",
                                             "", "tolerance_ulps = 1\n"});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE(open_shelf()->put(*made));
  KernelDesk desk(options());
  const KernelCall call{.tensors = {{"in", floats({3}, {1, 2, 3})}, {"w", floats({3}, {2, 2, 5})}},
                        .repeats = 3};
  const auto outcome = run(desk, "k", call);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_THAT(values_of(outcome->outputs[0].tensor), ElementsAre(2, 4, 15));
  EXPECT_EQ(outcome->n_threads, 1U);
  const auto list = desk.list();
  ASSERT_TRUE(list);
  ASSERT_TRUE(list->back().receipt);
  EXPECT_EQ(list->back().receipt->determinism, "D1");

  // One that does not come back ends with whoever asked for it.
  const auto waits = compute::build_for_test(
      {"out i64[1], n i64", "if (n == 77) for (volatile bool on = true; on;) {}\nout[0] = n;",
       "out[0] = n;", "tolerance_ulps = 0\n[ranges]\nn = [1, 50]\n"});
  ASSERT_TRUE(waits) << waits.error().message;
  EXPECT_EQ(*desk.drop("k"), (*made)->key);
  EXPECT_EQ(desk.drop("mul_f32").error().code, Code::kPermissionDenied);
  ASSERT_TRUE(open_shelf()->put(*waits));
  const auto endless = desk.run(*desk.find("k"), {.sizes = {{"n", 77}}}, [] { return false; });
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().code, Code::kCancelled);
}

// An adviser whose only question waits for consent.
class AskingAdviser final : public advisor::Adviser {
 public:
  explicit AskingAdviser(advisor::ConsentDesk& desk) : desk_(desk) {}
  const advisor::AdviserOptions& options() const override { return options_; }
  advisor::AdviceId ask(advisor::AdviceRequest request,
                        std::shared_ptr<advisor::AdviceSink> sink) override {
    desk_.ask(
        {.client = request.client, .gives = "private", .rule = "test"},
        {.provider = "far", .body = request.conversation.back().text},
        [sink](const advisor::DeparturePtr& departure) { sink->on_departure(departure); },
        [sink](const advisor::ConsentEnd& end) {
          sink->on_advice({.status = end.is_allowed ? advisor::AdviceStatus::kAnswered
                                                    : advisor::AdviceStatus::kDenied,
                           .text = end.is_allowed ? "no code at all" : "",
                           .detail = end.words,
                           .adviser = "far/model"});
        });
    return advisor::AdviceId{1};
  }
  void cancel(advisor::AdviceId) override {}

 private:
  advisor::ConsentDesk& desk_;
  const advisor::AdviserOptions options_;
};

TEST_F(Desk, AsksForConsentAtTheHubsDesk) {
  const auto consents = std::make_shared<advisor::ConsentDesk>(advisor::ConsentOptions{});
  KernelDeskOptions made = options();
  made.open_adviser = [&]() -> Result<KernelAdviser> {
    KernelAdviser adviser;
    HEARTH_TRY(adviser.ledger, ledger::Ledger::open(folder_.path() / "ledger.db",
                                                    ledger::Ledger::Mode::kReadWrite));
    adviser.consents = consents;
    adviser.adviser = std::make_unique<AskingAdviser>(*consents);
    return adviser;
  };
  KernelDesk desk(std::move(made));
  std::vector<KernelRound> rounds;
  bool is_allowed = true;
  WritingEvents events;
  events.on_round = [&](const KernelRound& round) { rounds.push_back(round); };
  events.on_departure = [&](const advisor::Departure& departure) {
    EXPECT_THAT(departure.body, HasSubstr("add one"));
    EXPECT_EQ(consents->answer(departure.consent, "another", true, false).error().code,
              Code::kNotFound);
    EXPECT_TRUE(consents->answer(departure.consent, "me", std::exchange(is_allowed, false), false));
  };
  const auto written = desk.write({.prose = "add one", .client = "me"}, 2, {}, events);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kPermissionDenied);
  ASSERT_THAT(rounds, SizeIs(2));
  EXPECT_EQ(rounds[0].step, "contract");
  EXPECT_THAT(rounds[0].problem, HasSubstr("no ```toml block"));
  EXPECT_EQ(rounds[1].step, "asked");
}

TEST(KernelBrief, IsInTheLanguageThatIsAskedFor) {
  using compute::Language;
  EXPECT_THAT(kernel_instruction(Language::kOpenCl), HasSubstr("get_global_id"));
  EXPECT_THAT(kernel_instruction(Language::kCuda), HasSubstr("__global__"));
  EXPECT_THAT(kernel_instruction(Language::kCpp), Not(HasSubstr("__global__")));
  EXPECT_THAT(kernel_question("scale", {}, Language::kCuda, {}),
              HasSubstr("language = \"cuda\"\nrange = "));
  EXPECT_THAT(kernel_question("scale", {}, Language::kCpp, {}), Not(HasSubstr("\nrange = ")));
  const auto contract = compute::parse_contract(
      "name = \"k\"\nsignature = \"out f32[n]\"\noracle = \"void k() {}\"\n"
      "language = \"opencl\"\nrange = [\"n\"]\n",
      "test");
  ASSERT_TRUE(contract) << contract.error().message;
  EXPECT_THAT(kernel_question("one", *contract, Language::kOpenCl, {}),
              HasSubstr("It must define: KERNEL k(GLOBAL f32* restrict out, i64 n)"));
  EXPECT_EQ(*language_for(*contract, ""), Language::kOpenCl);
  EXPECT_EQ(*language_for({}, "cuda"), Language::kCuda);
  EXPECT_THAT(language_for(*contract, "cuda").error().message, HasSubstr("'cuda' is asked for"));
  EXPECT_THAT(language_for({}, "fortran").error().message, HasSubstr("c++, opencl and cuda are"));
}

}  // namespace
}  // namespace hearth::hub
