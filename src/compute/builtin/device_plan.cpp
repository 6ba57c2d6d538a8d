#include "compute/builtin/device_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "compute/builtin/rounding.h"

namespace hearth::compute {
namespace {

constexpr std::int64_t kGroup = 256;
constexpr std::int64_t kSumBlock = 16384;              // SUM_BLOCK of the source.
constexpr std::int64_t kGroupsMax = 2'147'483'647;     // Of a grid's first extent; CUDA's limit.
constexpr std::int64_t kGroupsMaxOfSecond = 65'535;

std::size_t bytes_of(const Tensor& tensor) {
  return static_cast<std::size_t>(tensor.n_elements()) * type_info(tensor.type).bytes;
}

// A buffer for each tensor: out first, the others are read.
std::vector<DeviceBuffer> buffers_of(const Bindings& arguments) {
  std::vector<DeviceBuffer> buffers;
  for (const Tensor& tensor : arguments.tensors) {
    buffers.push_back({bytes_of(tensor), tensor.data, nullptr});
  }
  buffers[0] = {buffers[0].bytes, nullptr, arguments.tensors[0].data};
  return buffers;
}

Launch over_elements(std::string_view kernel, std::int64_t n, std::int64_t per_group,
                     std::vector<LaunchArgument> arguments) {
  Launch launch{kernel, {}, {kGroup, 1}, std::move(arguments)};
  launch.groups[0] = static_cast<std::uint32_t>(divide_up(n, per_group));
  launch.groups[1] = 1;
  return launch;
}

Result<DevicePlan> plan_elementwise(std::string_view name, const Bindings& arguments) {
  const std::int64_t n = arguments.symbols()[0];
  DevicePlan plan{buffers_of(arguments), {}};
  std::vector<LaunchArgument> values = {BufferIndex{0}, BufferIndex{1}, BufferIndex{2}};
  if (!arguments.reals.empty()) values.emplace_back(static_cast<float>(arguments.reals[0]));
  values.emplace_back(n);
  if (n > 0) plan.launches = {over_elements(name, n, kGroup, std::move(values))};
  return plan;
}

// Sums of blocks, and sums of those, until one is left.
Result<DevicePlan> plan_sum(std::string_view name, const Bindings& arguments) {
  DevicePlan plan{buffers_of(arguments), {}};
  std::uint32_t from = 1;
  std::string_view kernel = name;
  for (std::int64_t n = arguments.symbols()[0];; kernel = "sum_f64") {
    const std::int64_t n_blocks = std::max<std::int64_t>(divide_up(n, kSumBlock), 1);
    std::uint32_t to = 0;
    if (n_blocks > 1) {
      to = static_cast<std::uint32_t>(plan.buffers.size());
      plan.buffers.push_back({static_cast<std::size_t>(n_blocks) * sizeof(double)});
    }
    plan.launches.push_back(over_elements(kernel, std::max<std::int64_t>(n, 1), kSumBlock,
                                          {BufferIndex{to}, BufferIndex{from}, n}));
    if (n_blocks == 1) return plan;
    from = to;
    n = n_blocks;
  }
}

Launch over_grid(std::string_view kernel, std::int64_t rows, std::int64_t cols,
                 std::array<std::uint32_t, 2> group, std::vector<LaunchArgument> arguments) {
  Launch launch{kernel, {}, {group[0], group[1]}, std::move(arguments)};
  launch.groups[0] = static_cast<std::uint32_t>(divide_up(cols, group[0]));
  launch.groups[1] = static_cast<std::uint32_t>(divide_up(rows, group[1]));
  return launch;
}

Result<DevicePlan> plan_gemm(std::string_view name, const Bindings& arguments) {
  for (const Tensor& tensor : arguments.tensors) {
    if (tensor.n_elements() > 0 && tensor.strides != contiguous_strides(tensor.shape)) {
      return fail(Code::kUnsupported,
                  fmt::format("{} on a device wants contiguous tensors: copy those with strides first", name));
    }
  }
  const std::int64_t m = arguments.tensors[0].shape[0];
  const std::int64_t n = arguments.tensors[0].shape[1];
  const std::int64_t k = arguments.tensors[1].shape[1];
  DevicePlan plan{buffers_of(arguments), {}};
  if (m > 0 && n > 0) {
    plan.launches = {over_grid(name, m, n, {16, 16},
                               {BufferIndex{0}, BufferIndex{1}, BufferIndex{2}, m, n, k})};
    plan.product = {{0}, {1}, {2}, m, n, k, arguments.tensors[0].type == ElementType::kF64};
  }
  return plan;
}

// Sweeps go back and forth between `out` and a buffer beside it, so that the last ends in `out`.
Result<DevicePlan> plan_jacobi(std::string_view name, const Bindings& arguments) {
  constexpr std::int64_t kSweepsMax = 1'000'000;
  const std::int64_t sweeps = arguments.symbols()[0];
  if (sweeps < 0 || sweeps > kSweepsMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("'sweeps' is {}: 0 to {} are possible on a device", sweeps, kSweepsMax));
  }
  const std::int64_t n = arguments.tensors[0].shape[0];
  const std::int64_t m = arguments.tensors[0].shape[1];
  DevicePlan plan{buffers_of(arguments), {}};
  if (sweeps == 0) plan.buffers[0].in = arguments.tensors[1].data;
  if (sweeps > 1) plan.buffers.push_back({bytes_of(arguments.tensors[0])});
  std::uint32_t from = 1;
  for (std::int64_t left = sweeps; left > 0 && n > 0 && m > 0; --left) {
    const std::uint32_t to = left % 2 == 1 ? 0 : 2;
    plan.launches.push_back(over_grid(name, n, m, {32, 8}, {BufferIndex{to}, BufferIndex{from}, n, m}));
    from = to;
  }
  return plan;
}

struct Planner {
  std::string_view name;
  Result<DevicePlan> (*plan)(std::string_view name, const Bindings& arguments);
};
constexpr Planner kPlanners[] = {
    {"mul_f32", plan_elementwise}, {"axpy_f32", plan_elementwise}, {"sum_f32", plan_sum},
    {"sum_f64", plan_sum},         {"gemm_f32", plan_gemm},        {"gemm_f64", plan_gemm},
    {"jacobi5_f64", plan_jacobi},
};

// In 64 bits: a launch has only room for what passes.
Result<> check_grid(std::string_view name, const Bindings& arguments) {
  for (const Tensor& tensor : arguments.tensors) {
    const bool is_flat = tensor.shape.size() < 2;
    const std::int64_t groups = divide_up(is_flat ? tensor.n_elements() : tensor.shape[1], 16);
    const std::int64_t second = is_flat ? 1 : divide_up(tensor.shape[0], 8);
    if (groups <= kGroupsMax && second <= kGroupsMaxOfSecond) continue;
    return fail(Code::kUnsupported, fmt::format("{} of {} is larger than a device's grid", name,
                                                describe(tensor.type, tensor.shape)));
  }
  return {};
}

}  // namespace

std::span<const std::string_view> device_builtins() {
  static const auto kNames = [] {
    std::array<std::string_view, std::size(kPlanners)> names;
    std::ranges::transform(kPlanners, names.begin(), &Planner::name);
    return names;
  }();
  return kNames;
}

Result<DevicePlan> plan_for_device(std::string_view builtin, const Bindings& arguments) {
  const auto* const planner = std::ranges::find(kPlanners, builtin, &Planner::name);
  if (planner == std::end(kPlanners)) {
    return fail(Code::kUnsupported, fmt::format("{} has no kernel for devices: run it on the CPU", builtin));
  }
  HEARTH_TRY_VOID(check_grid(builtin, arguments));
  return planner->plan(builtin, arguments);
}

}  // namespace hearth::compute
