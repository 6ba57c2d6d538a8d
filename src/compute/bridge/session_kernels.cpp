// The part of a session that opens, binds and places kernels.
#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "compute/bridge/session.h"
#include "compute/devices/device_table.h"

namespace hearth::compute::bridge {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

// The hearth_type of a tensor is its compute::ElementType, counted from 1.
ElementType element_type(std::uint32_t type) { return static_cast<ElementType>(type - 1); }
std::uint32_t wire_type(ElementType type) { return static_cast<std::uint32_t>(type) + 1; }
static_assert(static_cast<std::size_t>(ElementType::kU64) == 9 && kElementTypes == 10, "hearth.h numbers them so");

template <class Reply>
std::string with_run(const Reply& reply, const sandbox::RunRequest& run) {
  return std::string(PayloadWriter().put(reply).put(run).bytes());
}

}  // namespace

const Signature& Session::OpenedKernel::signature() const {
  return std::visit([](const auto& kernel) -> const Signature& { return kernel->signature; }, what);
}

Result<Cost> Session::OpenedKernel::cost(const Bindings& bindings) const {
  return std::visit([&](const auto& kernel) { return kernel->cost ? kernel->cost(bindings) : Result<Cost>(Cost{}); }, what);
}

Result<Session::OpenedKernel*> Session::find_kernel(std::uint64_t kernel) {
  const auto at = kernels_.find(kernel);
  if (at == kernels_.end()) return fail(Code::kNotFound, "the kernel is not open any more");
  return &at->second;
}

Result<Session::Reply> Session::on_open_kernel(std::string_view payload) {
  HEARTH_TRY(const NamedAsk ask, parse_open_kernel(payload));
  if (kernels_.size() >= kKernelsMax) {
    return fail(Code::kOutOfBudget, fmt::format("{} kernels are open, which is the limit for a client: close some", kKernelsMax));
  }
  KernelReply reply;
  reply.kernel = ++last_id_;
  std::string name, key, receipt;
  OpenedKernel opened;
  const auto& house = shared_.services.hub_kernels;
  const PlacedName placed = placed_name(ask.name);
  const auto at = placed.device.empty() ? std::ranges::find(house, placed.kernel, &HubKernel::name) : house.end();
  if (at != house.end()) {
    opened.what = &*at;
    name = at->name;
    reply.place = Place::kHub;
    reply.is_verified = 1;
  } else if (shared_.services.find_kernel) {
    HEARTH_TRY(JailedKernelPtr found, shared_.services.find_kernel(ask.name));
    name = found->name, key = found->key, receipt = found->receipt.substr(0, kPayloadBytesMax / 2);
    reply.place = found->on_device != nullptr ? Place::kHub : Place::kWorker;
    reply.is_verified = found->is_verified ? 1 : 0;
    reply.compile_s = found->compile_s;
    opened.what = std::move(found);
  } else {
    return fail(Code::kNotFound, fmt::format("there is no kernel '{}'; hearth_list_kernels names those that there are", ask.name));
  }
  const std::string signature = opened.signature().text();
  reply.n_name = static_cast<std::uint32_t>(name.size());
  reply.n_key = static_cast<std::uint32_t>(key.size());
  reply.n_signature = static_cast<std::uint32_t>(signature.size());
  reply.n_receipt = static_cast<std::uint32_t>(receipt.size());
  kernels_.emplace(reply.kernel, std::move(opened));
  return Reply{std::string(PayloadWriter().put(reply).put_text(name).put_text(key).put_text(signature).put_text(receipt).bytes()), {}};
}

Result<Session::Reply> Session::on_close_kernel(std::string_view payload) {
  HEARTH_TRY(const auto ask, parse_plain<CloseKernelAsk>(payload));
  drop_calls([&](const Call& call) { return call.kernel == ask.kernel; });
  const auto closing = kernels_.extract(ask.kernel);
  if (closing.empty()) return Reply{};
  const auto* jailed = std::get_if<JailedKernelPtr>(&closing.mapped().what);
  const bool is_shared = jailed != nullptr && std::ranges::any_of(kernels_, [&](const auto& other) {
    return other.second.what == closing.mapped().what;
  });
  if (jailed != nullptr && !is_shared && worker_ != nullptr) worker_->forget_kernel(**jailed);
  return Reply{};
}

Result<Argument> Session::argument_of(const WireValue& value, std::size_t index) const {
  if (value.kind == ValueKind::kInteger) return Argument(value.integer);
  if (value.kind == ValueKind::kReal) return Argument(value.real);
  if (value.kind == ValueKind::kMissing) return fail(Code::kInvalidArgument, fmt::format("value {} is missing", index));
  HEARTH_TRY(const std::uint64_t reach, reach_bytes(value));
  const auto block = blocks_.find(value.block);
  if (block == blocks_.end()) return fail(Code::kNotFound, fmt::format("the memory of value {} is not allocated any more", index));
  const std::uint64_t n_bytes = block->second->n_bytes();
  if (value.offset > n_bytes || reach > n_bytes - value.offset) {
    return fail(Code::kInvalidArgument, fmt::format("the tensor of value {} reaches behind its memory of {} bytes", index, n_bytes));
  }
  Tensor tensor;
  tensor.type = element_type(value.type);
  tensor.shape.assign(value.shape.begin(), value.shape.begin() + value.rank);
  tensor.strides.assign(value.strides.begin(), value.strides.begin() + value.rank);
  tensor.data = block->second->data() + value.offset;
  tensor.memory_fd = block->second->descriptor();
  tensor.memory_offset = value.offset;
  return Argument(std::move(tensor));
}

Result<std::vector<Argument>> Session::arguments_of(const std::vector<WireValue>& values) const {
  std::vector<Argument> arguments;
  for (const WireValue& value : values) {
    HEARTH_TRY(Argument argument, argument_of(value, arguments.size()));
    arguments.push_back(std::move(argument));
  }
  return arguments;
}

Result<Session::Reply> Session::on_bind(std::string_view payload) {
  HEARTH_TRY(const BoundAsk ask, parse_bind(payload));
  HEARTH_TRY(OpenedKernel* const kernel, find_kernel(ask.kernel));
  if (calls_.size() >= kCallsMax) {
    return fail(Code::kOutOfBudget, fmt::format("{} calls are bound, which is the limit for a client", kCallsMax));
  }
  HEARTH_TRY(const auto arguments, arguments_of(ask.values));
  HEARTH_TRY(Bindings bindings, bind_arguments(kernel->signature(), arguments));

  HEARTH_TRY(const Cost cost, kernel->cost(bindings));
  BindReply reply{.call = ++last_id_, .written = 0, .n_run = sizeof(sandbox::RunRequest),
                  .flops = static_cast<double>(cost.flops), .bytes = static_cast<double>(cost.bytes)};
  Call call{.place = Place::kHub, .kernel = ask.kernel, .blocks = {}};
  for (std::size_t i = 0; i < ask.values.size(); ++i) {
    if (ask.values[i].kind == ValueKind::kTensor) call.blocks.push_back(ask.values[i].block);
    if (kernel->signature().parameters[i].is_tensor() && kernel->signature().parameters[i].is_written()) reply.written |= 1U << i;
  }
  HEARTH_TRY(const sandbox::RunRequest run,
             std::visit(Overloaded{[&](const HubKernelPtr& house) {
                                     return bind_in_hub(static_cast<std::uint32_t>(reply.call), house, nullptr, ask, std::move(bindings));
                                   },
                                   [&](const JailedKernelPtr& jailed) {
                                     if (jailed->on_device != nullptr) {
                                       return bind_in_hub(static_cast<std::uint32_t>(reply.call), jailed->on_device.get(),
                                                          jailed->on_device, ask, std::move(bindings));
                                     }
                                     call.place = Place::kWorker;
                                     return bind_in_worker(jailed, ask, bindings);
                                   }},
                        kernel->what));
  calls_.emplace(reply.call, std::move(call));
  return Reply{with_run(reply, run), {}};
}

Result<sandbox::RunRequest> Session::bind_in_hub(std::uint32_t call, HubKernelPtr kernel,
                                                 std::shared_ptr<const HubKernel> owned,
                                                 const BoundAsk& ask, Bindings bindings) {
  HEARTH_TRY(HubLane* const lane, hub_lane());
  HubCall made{kernel, std::move(bindings), {}, std::move(owned)};
  for (const WireValue& value : ask.values) {
    if (value.kind == ValueKind::kTensor) made.memory.push_back(blocks_.at(value.block));
  }
  lane->add(call, std::move(made));
  sandbox::RunRequest run{};
  run.kernel = call;
  return run;
}

Result<sandbox::RunRequest> Session::bind_in_worker(const JailedKernelPtr& kernel, const BoundAsk& ask,
                                                    const Bindings& bindings) {
  HEARTH_TRY(ClientWorker* const client_worker, worker());
  sandbox::RunRequest run{};
  HEARTH_TRY(run.kernel, client_worker->kernel(kernel));
  for (std::size_t i = 0; i < ask.values.size(); ++i) {
    const WireValue& value = ask.values[i];
    if (value.kind != ValueKind::kTensor) continue;
    const bool is_written = kernel->signature.parameters[i].is_written();
    HEARTH_TRY(const std::uint32_t mapping,
               client_worker->mapping(value.block, *blocks_.at(value.block),
                                      is_written ? sandbox::Access::kWrite : sandbox::Access::kRead));
    run.buffers[run.n_buffers++] = {mapping, 0, value.offset};
  }
  if (bindings.integers.size() > sandbox::kRunIntegersMax || bindings.reals.size() > sandbox::kRunRealsMax) {
    return fail(Code::kUnsupported, fmt::format("a run takes at most {} integers with all sizes and strides, this one has {}",
                                                sandbox::kRunIntegersMax, bindings.integers.size()));
  }
  run.n_integers = static_cast<std::uint32_t>(bindings.integers.size());
  run.n_reals = static_cast<std::uint32_t>(bindings.reals.size());
  std::ranges::copy(bindings.integers, run.integers);
  std::ranges::copy(bindings.reals, run.reals);
  return run;
}

Result<Session::Reply> Session::on_complete(std::string_view payload) {
  HEARTH_TRY(const BoundAsk ask, parse_bind(payload));
  HEARTH_TRY(const OpenedKernel* const kernel, find_kernel(ask.kernel));
  const auto& parameters = kernel->signature().parameters;
  if (ask.values.size() != parameters.size()) {
    return fail(Code::kInvalidArgument, fmt::format("{} values expected ({}), {} found", parameters.size(),
                                                    kernel->signature().text(), ask.values.size()));
  }
  std::vector<std::optional<Argument>> known(parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (ask.values[i].kind == ValueKind::kMissing) continue;
    HEARTH_TRY(known[i], argument_of(ask.values[i], i));
  }
  HEARTH_TRY(const auto symbols, solve_symbols(kernel->signature(), known));

  PayloadWriter writer;
  writer.put(CompleteReply{static_cast<std::uint32_t>(parameters.size()), 0});
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& parameter = parameters[i];
    WireValue value = ask.values[i];
    if (value.kind == ValueKind::kMissing && parameter.is_tensor()) {
      HEARTH_TRY(const auto shape, shape_of(parameter, symbols));
      value.kind = ValueKind::kTensor;
      value.type = wire_type(parameter.type);
      value.rank = static_cast<std::uint32_t>(shape.size());
      std::ranges::copy(shape, value.shape.begin());
      std::ranges::copy(contiguous_strides(shape), value.strides.begin());
    } else if (value.kind == ValueKind::kMissing) {
      const auto at = std::ranges::find(kernel->signature().symbols, parameter.name);
      if (at == kernel->signature().symbols.end()) {
        return fail(Code::kInvalidArgument, fmt::format("'{}' has to be given: no other value says it", parameter.name));
      }
      value.kind = ValueKind::kInteger;
      value.integer = symbols[static_cast<std::size_t>(at - kernel->signature().symbols.begin())];
    }
    writer.put(value);
  }
  return Reply{std::string(writer.bytes()), {}};
}

void Session::drop_calls(const std::function<bool(const Call&)>& which) {
  std::erase_if(calls_, [&](const auto& entry) {
    if (!which(entry.second)) return false;
    if (entry.second.place == Place::kHub && hub_lane_ != nullptr) hub_lane_->remove(static_cast<std::uint32_t>(entry.first));
    return true;
  });
}

Result<Session::Reply> Session::on_unbind(std::string_view payload) {
  HEARTH_TRY(const auto ask, parse_plain<UnbindAsk>(payload));
  const auto at = calls_.find(ask.call);
  if (at == calls_.end()) return Reply{};
  if (at->second.place == Place::kHub && hub_lane_ != nullptr) hub_lane_->remove(static_cast<std::uint32_t>(ask.call));
  calls_.erase(at);
  return Reply{};
}

Result<HubLane*> Session::hub_lane() {
  if (hub_lane_ == nullptr) {
    HEARTH_TRY(hub_lane_, HubLane::start(shared_.threads));
  }
  return hub_lane_.get();
}

Result<ClientWorker*> Session::worker() {
  if (worker_ == nullptr) {
    HEARTH_TRY(sandbox::Worker taken, shared_.spares.take());
    worker_ = std::make_unique<ClientWorker>(std::move(taken), ++worker_generation_);
  }
  return worker_.get();
}

Session::Reply Session::lane_reply(const ClientWorker::End& end) const {
  const LaneReply reply{worker_->generation(), end.ending, static_cast<std::uint32_t>(end.reason.size()), 0};
  return {std::string(PayloadWriter().put(reply).put_text(end.reason).bytes()),
          {worker_->channel_descriptor(), worker_->process_descriptor()}};
}

Result<Session::Reply> Session::on_open_lane(std::string_view payload) {
  HEARTH_TRY(const Place place, parse_open_lane(payload));
  if (place == Place::kWorker) {
    HEARTH_TRY_VOID(worker());
    return lane_reply({});
  }
  HEARTH_TRY(const HubLane* const lane, hub_lane());
  return Reply{std::string(PayloadWriter().put(LaneReply{}).bytes()), {lane->page_descriptor()}};
}

Result<Session::Reply> Session::on_replace_worker(std::string_view payload) {
  HEARTH_TRY(const auto ask, parse_plain<ReplaceWorkerAsk>(payload));
  std::unique_ptr<ClientWorker> old;
  if (worker_ != nullptr && worker_->generation() == ask.generation) {
    // The next one is made ready while this one dies; it must be gone before anybody runs on its memory.
    worker_->condemn();
    old = std::exchange(worker_, nullptr);
    drop_calls([](const Call& call) { return call.place == Place::kWorker; });
    ++shared_.n_workers_replaced;
  }
  const auto next = worker();
  const ClientWorker::End end = old != nullptr ? old->end() : ClientWorker::End{};
  if (!next) return std::unexpected(next.error());
  return lane_reply(end);
}

}  // namespace hearth::compute::bridge
