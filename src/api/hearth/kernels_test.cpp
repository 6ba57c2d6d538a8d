// Kernels over HTTP: what a request may say, how arrays travel, and how kernels are told of.
#include "api/hearth/kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "api/hearth/kernel_run.h"
#include "convert/safetensors.h"

namespace hearth::api::hearth {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class Kernels : public testing::Test {
 protected:
  static hub::KernelDesk& desk() {
    static hub::KernelDesk desk([] {
      hub::KernelDeskOptions options;
      options.open_shelf = []() -> Result<std::unique_ptr<compute::KernelShelf>> {
        return fail(Code::kNotFound, "there is no shelf");
      };
      options.n_threads = 1;
      return options;
    }());
    return desk;
  }
  static Result<hub::RunnableKernel> find(std::string_view name) { return desk().find(name); }
  static std::string run(std::string_view body) {
    auto answer = run_kernel(desk(), body, {});
    return answer ? *answer : answer.error().message;
  }
};

TEST_F(Kernels, RunOnNestedListsAndOnShapedOnes) {
  EXPECT_THAT(
      run(R"({"name":"gemm_f32","arrays":{"a":[[1,2],[3,4]],"b":{"shape":[2,1],"data":[10,1],"dtype":"f32"}}})"),
      HasSubstr(R"("outputs":{"out":{"dtype":"f32","shape":[2,1],"data":[12,34]}})"));
  EXPECT_THAT(run(R"({"name":"scale_f64","arrays":{"in":[1,"NaN","-Infinity"],"factor":2}})"),
              HasSubstr(R"("data":[2,"NaN","-Infinity"])"));
  EXPECT_THAT(run(R"({"name":"mul_f32","sizes":{"n":4},"outputs":"none","roof":true,"repeats":2})"),
              testing::AllOf(HasSubstr(R"("drawn":["in","weights"])"), HasSubstr(R"("runs":2)"),
                             HasSubstr(R"("roof_gb_s":)"), testing::Not(HasSubstr("outputs"))));
  EXPECT_THAT(run(R"({"name":"argmax_f32","arrays":{"in":[1,5,3]}})"), HasSubstr(R"("data":[1])"));
  EXPECT_THAT(run(R"({"name":"mul_f32","arrays":{"in":[],"weights":[]}})"),
              HasSubstr(R"("shape":[0],"data":[])"));
}

struct Refusal {
  const char* body;
  const char* words;
};

TEST_F(Kernels, RefuseInWords) {
  const Refusal kRefusals[] = {
      {R"({})", "name"},
      {R"({"name":"none_such"})", "there is no shelf"},
      {R"({"name":"mul_f32","arrays":{"x":[1]}})", "'mul_f32' takes no 'x'"},
      {R"({"name":"mul_f32","arrays":{"in":1}})", "arrays.in"},
      {R"({"name":"mul_f32","arrays":{"in":["one"]}})", "arrays.in"},
      {R"({"name":"gemm_f32","arrays":{"a":[[1,2],[3]]}})", "not equally long: 2 and 1"},
      {R"({"name":"gemm_f32","arrays":{"a":{"shape":[2,2],"data":[1,2,3]}}})",
       "not what its shape says"},
      {R"({"name":"gemm_f32","arrays":{"a":{"shape":[1099511627776,1099511627776],"data":[]}}})",
       "not what its shape says"},
      {R"({"name":"gemm_f32","arrays":{"a":{"shape":[1,1],"data":[1],"dtype":"f64"}}})",
       "'arrays.a' is f64"},
      {R"({"name":"mul_f32","sizes":{"n":-1}})", "sizes.n"},
      {R"({"name":"mul_f32","sizes":{"n":1},"repeats":0})", "repeats"},
      {R"({"name":"mul_f32","sizes":{"n":1},"outputs":"some"})",
       "Supported values are: 'values' and 'none'"},
      {R"({"name":"mul_f32","sizes":{"n":300000}})", "application/x-safetensors"},
      {R"({"name":"mul_f32"})", "nothing says what 'n' is"},
  };
  for (const Refusal& refusal : kRefusals)
    EXPECT_THAT(run(refusal.body), HasSubstr(refusal.words)) << refusal.body;
}

std::string tensors_body(std::string_view header, std::span<const float> data) {
  const std::uint64_t n = header.size();
  std::string body(reinterpret_cast<const char*>(&n), sizeof n);
  body += header;
  return body.append(reinterpret_cast<const char*>(data.data()), data.size_bytes());
}

TEST_F(Kernels, TakeAndGiveTensorsAsTheyLieInMemory) {
  const float data[] = {1, 2, 3, 4};
  const std::string body = tensors_body(
      R"({"__metadata__":{"request":"{\"name\":\"mul_f32\"}"},"in":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"weights":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
      data);
  auto ask = parse_kernel_run_tensors(find, body);
  ASSERT_TRUE(ask) << ask.error().message;
  const auto outcome = desk().run(ask->kernel, std::move(ask->call), {});
  ASSERT_TRUE(outcome) << outcome.error().message;
  const std::string answer = render_kernel_run_tensors(*ask, *outcome);
  const auto tensors = convert::parse_safetensors(std::as_bytes(std::span(answer)), "answer");
  ASSERT_TRUE(tensors) << tensors.error().message;
  ASSERT_THAT(*tensors, SizeIs(1));
  EXPECT_EQ((*tensors)[0].name, "out");
  EXPECT_THAT((*tensors)[0].shape, ElementsAre(2U));
  float found[2];
  ASSERT_EQ((*tensors)[0].data.size(), sizeof found);
  std::memcpy(found, (*tensors)[0].data.data(), sizeof found);
  EXPECT_THAT(found, ElementsAre(3, 8));
  EXPECT_THAT(answer, HasSubstr(R"(results_sha256)"));

  EXPECT_THAT(parse_kernel_run_tensors(find, "short").error().message,
              HasSubstr("the request's body"));
  EXPECT_THAT(parse_kernel_run_tensors(find, tensors_body("{}", {})).error().message,
              HasSubstr("__metadata__.request"));
}

TEST_F(Kernels, AreAskedFor) {
  const auto prose = parse_kernel_ask(R"({"prose":"add one","rounds":2,"stream":false})");
  ASSERT_TRUE(prose) << prose.error().message;
  EXPECT_EQ(prose->request.prose, "add one");
  EXPECT_EQ(prose->rounds, 2U);
  EXPECT_FALSE(prose->stream);
  const auto device = parse_kernel_ask(R"({"prose":"add one","language":"opencl"})");
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ(device->request.language, compute::Language::kOpenCl);
  EXPECT_THAT(parse_kernel_ask(R"({"prose":"add one","language":"c"})").error().message,
              HasSubstr("c++, opencl and cuda are"));
  EXPECT_THAT(parse_kernel_ask("{}").error().message, HasSubstr("prose"));
  EXPECT_EQ(parse_kernel_ask(R"({"prose":1})").error().param, "prose");
  EXPECT_THAT(parse_kernel_ask(R"({"contract":"name = 1"})").error().message,
              HasSubstr("there is no 'signature'"));
  EXPECT_THAT(parse_kernel_ask(R"({"prose":"x","rounds":17})").error().message,
              HasSubstr("rounds"));
}

TEST_F(Kernels, AreListed) {
  const hub::RunnableKernel product = *find("gemm_f64");
  const std::vector<hub::KernelEntry> entries = {desk().describe(product)};
  const Result<> no_jail = fail(Code::kUnsupported, "no Landlock here");
  const hub::DeviceEntry devices[] = {
      {&compute::device_rows()[0], compute::DeviceInfo{.name = "a \"GPU\"", .is_host = true}},
      {&compute::device_rows()[1], fail(Code::kUnavailable, "no driver")}};
  const std::string list = render_kernels(
      entries, {.n_threads = 2, .gflops_f32 = 10, .gflops_f64 = 5, .gb_s = 3}, no_jail,
      devices);
  EXPECT_THAT(list, HasSubstr(R"("name":"gemm_f64","key":")" + to_hex(product.key)));
  EXPECT_THAT(list, HasSubstr(R"("origin":"built-in","about":"out = a b","signature":")"));
  EXPECT_THAT(list, HasSubstr(R"("determinism":"D2","flops":"2*m*n*k")"));
  EXPECT_THAT(list, HasSubstr(R"("jail":{"works":false,"reason":"no Landlock here"})"));
  EXPECT_THAT(list, HasSubstr(R"("works":true,"device":"a \"GPU\"","is_processor":true,"reason":null)"));
  EXPECT_THAT(list, HasSubstr(R"("name":"cuda","about":"an NVIDIA GPU)"));
  EXPECT_THAT(list, HasSubstr(R"("works":false,"device":null,"is_processor":false,"reason":"no driver")"));
  EXPECT_THAT(list, HasSubstr(R"("kernels":["mul_f32","axpy_f32","sum_f32")"));
  EXPECT_THAT(render_kernel(desk().describe(*find("gemm_f64@cuda"))),
              AllOf(HasSubstr(R"("name":"gemm_f64@cuda")"), HasSubstr(R"("device":"cuda")"), HasSubstr(R"("determinism":"D0")")));
  EXPECT_THAT(render_kernel(entries[0]),
              HasSubstr(R"("contract":null,"source":null,"receipt":null)"));
  const hub::KernelRound round{.adviser = "a/b",
                               .step = "compile",
                               .problem = "it's wrong",
                               .bytes_out = 5,
                               .cost_usd_micro = 7};
  EXPECT_EQ(
      render_round(1, round),
      R"({"round":1,"step":"compile","problem":"it's wrong","adviser":"a/b","bytes_out":5,"cost_usd_micro":7})");
}

}  // namespace
}  // namespace hearth::api::hearth
