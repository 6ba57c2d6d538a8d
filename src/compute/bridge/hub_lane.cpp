#include "compute/bridge/hub_lane.h"

#include <new>
#include <string>

#include "base/fixed_text.h"

namespace hearth::compute::bridge {
namespace {

constexpr std::int64_t kSleepNs = 1'000'000'000;

bool is_given_up(const sandbox::RunChannel& channel, std::uint32_t run) {
  return static_cast<std::int32_t>(channel.give_up_before.value.load(std::memory_order_relaxed) - run) > 0;
}

}  // namespace

Result<std::unique_ptr<HubLane>> HubLane::start(SharedThreads& threads) {
  HEARTH_TRY(auto memory, sandbox::SharedMapping::create("hearth lane", sandbox::kRunChannelBytes, sandbox::Pages::kMapped));
  return std::unique_ptr<HubLane>(new HubLane(threads, std::move(memory)));
}

HubLane::HubLane(SharedThreads& threads, sandbox::SharedMapping memory)
    : threads_(threads), memory_(std::move(memory)), page_(new (memory_.data()) HubPage{}), thread_([this] { serve(); }) {}

HubLane::~HubLane() {
  is_stopping_ = true;
  sandbox::RunChannel& channel = page_->channel;
  sandbox::give_up(channel, channel.asked.value.load());
  // Another number than any client's, so that the thread can't fall asleep after it has looked.
  sandbox::publish(channel.asked, channel.asked.value.load() + (std::uint32_t{1} << 31));
  thread_.join();
}

void HubLane::add(std::uint32_t call, HubCall what) {
  auto shared = std::make_shared<const HubCall>(std::move(what));
  const std::lock_guard lock(mutex_);
  calls_.insert_or_assign(call, std::move(shared));
}

void HubLane::remove(std::uint32_t call) {
  const std::lock_guard lock(mutex_);
  calls_.erase(call);
}

void HubLane::serve() {
  sandbox::RunChannel& channel = page_->channel;
  AdaptiveSpin spin;
  std::uint32_t last = 0;
  while (!is_stopping_.load(std::memory_order_relaxed)) {
    std::uint32_t asked = last;
    const auto is_asked = [&] { return (asked = channel.asked.value.load(std::memory_order_acquire)) != last; };
    if (!spin.spin(is_asked)) {
      while (!is_asked()) sandbox::sleep_while(channel.asked, last, kSleepNs);
    }
    if (is_stopping_.load(std::memory_order_relaxed)) return;
    answer_one(asked);
    last = asked;
    sandbox::publish(channel.answered, asked);
  }
}

void HubLane::answer_one(std::uint32_t run) {
  sandbox::RunChannel& channel = page_->channel;
  const std::uint32_t call = *static_cast<const volatile std::uint32_t*>(&channel.request.kernel);
  sandbox::RunAnswer answer{};
  answer.fault_mapping = sandbox::kNoMapping;
  const std::int64_t begun_ns = sandbox::monotonic_ns();
  const auto done = run_call(call, run);
  if (is_given_up(channel, run)) {
    answer.status = sandbox::RunStatus::kGaveUp;
  } else if (!done) {
    answer.status = sandbox::RunStatus::kRefused;
    answer.signal = 1 + static_cast<std::int32_t>(done.error().code);
    put_text(page_->sentence, done.error().message);
  }
  page_->n_copies = done ? done->n_copies : 0;
  put_text(page_->device, done ? done->device : "");
  page_->kernel_s = static_cast<double>(sandbox::monotonic_ns() - begun_ns) * 1e-9;
  channel.answer = answer;
}

Result<HubRun> HubLane::run_call(std::uint32_t call, std::uint32_t run) {
  std::shared_ptr<const HubCall> found;
  {
    const std::lock_guard lock(mutex_);
    if (const auto at = calls_.find(call); at != calls_.end()) found = at->second;
  }
  if (found == nullptr) return fail(Code::kNotFound, "no such call is bound");
  std::unique_lock lock(threads_.in_use, std::defer_lock);
  if (!found->kernel->is_elsewhere) lock.lock();
  if (is_given_up(page_->channel, run)) return HubRun{};
  return found->kernel->run(found->bindings, Workers(threads_.pool, {&page_->channel.give_up_before.value, run}));
}

}  // namespace hearth::compute::bridge
