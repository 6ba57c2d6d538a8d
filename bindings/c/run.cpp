// Running: values are bound once, after which a run is a message in shared memory.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "kernel.h"
#include "tensor.h"

namespace hearth::client {
namespace {

using namespace compute::bridge;

using Values = std::vector<WireValue>;

Outcome<Values> wire_values(const hearth_value* values, std::uint32_t n_values) {
  if (n_values > kValuesMax) return failed(HEARTH_INVALID, "a kernel takes at most " + std::to_string(kValuesMax) + " values, " + std::to_string(n_values) + " are given");
  if (n_values > 0 && values == nullptr) return failed(HEARTH_INVALID, "the values are a null pointer");
  Values wires(n_values);
  for (std::uint32_t i = 0; i < n_values; ++i) {
    WireValue& wire = wires[i];
    switch (values[i].kind) {
      case HEARTH_TENSOR:
        if (values[i].as.tensor == nullptr) return failed(HEARTH_INVALID, "value " + std::to_string(i) + " is a null pointer");
        wire = values[i].as.tensor->wire;
        break;
      case HEARTH_INTEGER:
        wire.kind = ValueKind::kInteger;
        wire.integer = values[i].as.integer;
        break;
      case HEARTH_REAL:
        wire.kind = ValueKind::kReal;
        wire.real = values[i].as.real;
        break;
      default: return failed(HEARTH_INVALID, "value " + std::to_string(i) + " is missing: hearth_complete fills it in");
    }
  }
  return wires;
}

void unbind(hearth_kernel& kernel, const BoundCall& call) {
  if (kernel.reply.place == Place::kWorker) return;  // Nothing of it stays there.
  (void)kernel.link->control().ask(Kind::kUnbind, PayloadWriter().put(UnbindAsk{call.bound.call}).bytes());
}

Outcome<std::unique_ptr<BoundCall>> bind(const hearth_kernel& kernel, std::uint32_t generation, Values values) {
  PayloadWriter writer;
  writer.put(BindAsk{kernel.reply.kernel, static_cast<std::uint32_t>(values.size()), 0});
  for (const WireValue& value : values) writer.put(value);
  HEARTH_TRY(const Message reply, kernel.link->control().ask(Kind::kBind, writer.bytes()));
  PayloadReader reader(reply.payload);
  auto call = std::make_unique<BoundCall>();
  call->bound = reader.get<BindReply>();
  call->run = reader.get<sandbox::RunRequest>();
  if (!reader.is_whole() || call->bound.n_run != sizeof call->run) return failed(HEARTH_CORRUPT, "the hub's answer about a call breaks its format");
  call->values = std::move(values);
  call->generation = generation;
  return call;
}

// The call for these values, bound now if the kernel has not met them.
Outcome<const BoundCall*> call_for(hearth_kernel& kernel, const Lane& lane, Values values) {
  auto& calls = kernel.calls;
  std::erase_if(calls, [&](const auto& call) { return call->generation != lane.generation(); });
  const auto at = std::ranges::find_if(calls, [&](const auto& call) { return call->values == values; });
  if (at != calls.end()) {
    std::rotate(at, at + 1, calls.end());
    return calls.back().get();
  }
  if (calls.size() >= kCallsKept) {
    unbind(kernel, *calls.front());
    calls.erase(calls.begin());
  }
  HEARTH_TRY(auto call, bind(kernel, lane.generation(), std::move(values)));
  calls.push_back(std::move(call));
  return calls.back().get();
}

// XXH3 over the elements of what was written, in the order of values and indices.
std::uint64_t hash_outputs(const hearth_value* values, std::uint32_t n_values, std::uint32_t written) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (std::uint32_t i = 0; i < n_values; ++i) {
    if ((written >> i & 1) == 0) continue;
    const hearth_tensor& tensor = *values[i].as.tensor;
    for_each_span(tensor.data(), tensor.wire, [&](const std::byte* bytes, std::uint64_t n_bytes) { XXH3_64bits_update(&state, bytes, n_bytes); });
  }
  return XXH3_64bits_digest(&state);
}

std::uint32_t take_copies(const hearth_value* values, std::uint32_t n_values) {
  std::uint32_t n_copies = 0;
  for (std::uint32_t i = 0; i < n_values; ++i) {
    if (values[i].kind == HEARTH_TENSOR) n_copies += std::exchange(values[i].as.tensor->n_copies, 0);
  }
  return n_copies;
}

void raise(std::atomic<std::uint64_t>& to, std::uint64_t value) {
  std::uint64_t seen = to.load();
  while (seen < value && !to.compare_exchange_weak(seen, value)) {
  }
}

Outcome<> check_written(const BoundCall& call, const hearth_value* values) {
  for (std::size_t i = 0; i < call.values.size(); ++i) {
    if ((call.bound.written >> i & 1) != 0 && values[i].as.tensor->is_read_only) {
      return failed(HEARTH_INVALID, "value " + std::to_string(i) + " is written by the kernel, and its tensor is read-only");
    }
  }
  return {};
}

// A double-precision roof for double-precision kernels.
double roof_gflops(const RoofsReply& roofs, const BoundCall& call) {
  const bool is_f64 = std::ranges::any_of(call.values, [](const WireValue& value) { return value.type == HEARTH_F64; });
  return is_f64 ? roofs.gflops_f64 : roofs.gflops_f32;
}

hearth_report report_of(const hearth_kernel& kernel, const BoundCall& call, const LaneRun& run) {
  hearth_report report{};
  report.is_verified = kernel.reply.is_verified;
  report.is_cached = kernel.is_cached ? 1 : 0;
  report.is_jailed = kernel.reply.place == Place::kWorker ? 1 : 0;
  std::ranges::copy(run.device, report.device);
  report.t_compile = kernel.reply.compile_s;
  report.t_kernel = run.kernel_s;
  report.flops = call.bound.flops;
  report.bytes = call.bound.bytes;
  if (run.kernel_s > 0) {
    report.gflops = report.flops / run.kernel_s * 1e-9;
    report.gbps = report.bytes / run.kernel_s * 1e-9;
  }
  const RoofsReply roofs = kernel.link->roofs();
  report.roof_gflops = roof_gflops(roofs, call);
  report.roof_gbps = roofs.gbps_stream;
  return report;
}

Outcome<> run(hearth_kernel& kernel, const hearth_value* values, std::uint32_t n_values, const hearth_run_options& options,
              hearth_report* report) {
  const std::int64_t begun_ns = sandbox::monotonic_ns();
  HEARTH_TRY(Values wires, wire_values(values, n_values));

  // Makes older runs end, the one in flight too, and then waits for its turn.
  raise(kernel.newest, options.generation);
  const Flight flight{&kernel, options.generation, static_cast<std::int64_t>(options.deadline_s * 1e9), &kernel.newest, &kernel.cancelled};
  HEARTH_TRY_VOID(flight.check());
  Lane& lane = kernel.link->lane(kernel.reply.place);
  if (options.generation != 0) lane.stop(&kernel, options.generation, HEARTH_SUPERSEDED);
  const std::lock_guard turn(lane.use);
  HEARTH_TRY_VOID(flight.check());
  if (kernel.link->control().is_gone()) return failed(HEARTH_HUB_GONE, "the hub is not there any more: open a new context");

  HEARTH_TRY_VOID(lane.open(*kernel.link, kernel.reply.place));
  auto bound = call_for(kernel, lane, wires);
  // Nothing has run yet: a worker that died since its last run is no matter of this one's.
  constexpr int kBindsMax = 4;
  for (int n_binds = 1; !bound && n_binds < kBindsMax && lane.renew(*kernel.link); ++n_binds) bound = call_for(kernel, lane, wires);
  if (!bound) return std::unexpected(bound.error());
  const BoundCall* const call = *bound;
  HEARTH_TRY_VOID(check_written(*call, values));
  HEARTH_TRY(const LaneRun ran, lane.run(*kernel.link, call->run, flight));
  if (report == nullptr) return {};

  hearth_report made = report_of(kernel, *call, ran);
  made.n_copies = ran.n_copies + take_copies(values, n_values);
  made.generation = options.generation;
  if ((options.flags & HEARTH_HASH_OUTPUTS) != 0) made.out_hash = hash_outputs(values, n_values, call->bound.written);
  made.t_total = static_cast<double>(sandbox::monotonic_ns() - begun_ns) * 1e-9;
  write_struct(made, report);
  return {};
}

}  // namespace
}  // namespace hearth::client

using namespace hearth::client;

hearth_status hearth_run(hearth_kernel* kernel, const hearth_value* values, uint32_t n_values, const hearth_run_options* options,
                         hearth_report* report) {
  return guarded([&]() -> Outcome<> {
    if (kernel == nullptr) return failed(HEARTH_INVALID, "hearth_run was given a null pointer");
    const hearth_run_options given = read_struct(options);
    if (!(given.deadline_s >= 0 && given.deadline_s < 1e9)) return failed(HEARTH_INVALID, "a deadline is a number of seconds from 0");
    return run(*kernel, values, n_values, given, report);
  });
}

hearth_status hearth_cancel(hearth_kernel* kernel, uint64_t generation) {
  return guarded([&]() -> Outcome<> {
    if (kernel == nullptr) return failed(HEARTH_INVALID, "hearth_cancel was given a null pointer");
    raise(kernel->cancelled, generation);
    kernel->link->lane(kernel->reply.place).stop(kernel, generation + 1, HEARTH_CANCELLED);
    return {};
  });
}
