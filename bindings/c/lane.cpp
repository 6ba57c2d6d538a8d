#include "lane.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/fixed_text.h"
#include "link.h"

namespace hearth::client {
namespace {

using compute::bridge::Ending;
using compute::bridge::Place;
using sandbox::RunStatus;

// How long a sleep lasts before the world is looked at: whether the run was stopped, whether its other end lives.
constexpr std::int64_t kSliceNs = 2'000'000;
constexpr int kSlicesPerLook = 8;

std::string signal_text(std::int32_t number) {
  switch (number) {
    case SIGSEGV: return "touched memory that is not its own";
    case SIGBUS: return "touched memory that is not there";
    case SIGFPE: return "divided an integer by zero";
    case SIGILL: return "used an instruction that this processor lacks";
    case SIGTRAP: return "trapped";
    default: return "was ended by signal " + std::to_string(number);
  }
}

std::string fault_sentence(const sandbox::RunAnswer& answer, const sandbox::RunRequest& request) {
  if (answer.signal == SIGSYS) {
    return "the kernel made system call " + std::to_string(answer.system_call) + ", and kernels may make none";
  }
  std::string sentence = "the kernel " + signal_text(answer.signal);
  for (std::uint32_t i = 0; i < request.n_buffers; ++i) {
    if (request.buffers[i].mapping != answer.fault_mapping) continue;
    return sentence + ": byte " + std::to_string(answer.fault_offset - static_cast<std::int64_t>(request.buffers[i].offset)) +
           " of its tensor number " + std::to_string(i + 1);
  }
  return sentence;
}

}  // namespace

Lane::~Lane() { unmap(); }

void Lane::unmap() {
  if (page_ != nullptr) ::munmap(page_, sandbox::kRunChannelBytes);
  page_ = nullptr;
}

Outcome<> Lane::open(Link& link, Place place) {
  if (page_ != nullptr) return {};
  place_ = place;
  HEARTH_TRY(Message reply, link.control().ask(Kind::kOpenLane, PayloadWriter().put(compute::bridge::OpenLaneAsk{place, 0}).bytes()));
  return take_over(reply, nullptr, nullptr);
}

// The page and the process that a reply brings.
Outcome<> Lane::take_over(Message& reply, std::string* reason, Ending* ending) {
  PayloadReader reader(reply.payload);
  const auto lane = reader.get<compute::bridge::LaneReply>();
  const std::string_view text = reader.get_text(lane.n_reason, compute::bridge::kTextBytesMax);
  const std::size_t n_descriptors = place_ == Place::kWorker ? 2 : 1;
  if (!reader.is_whole() || reply.descriptors.size() != n_descriptors) {
    return failed(HEARTH_CORRUPT, "the hub's answer about a lane breaks its format");
  }
  void* mapped = ::mmap(nullptr, sandbox::kRunChannelBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                        reply.descriptors[0].get(), 0);
  if (mapped == MAP_FAILED) {
    return failed(HEARTH_UNAVAILABLE, std::string("the page of a lane could not be mapped: ") + std::strerror(errno));
  }
  const std::lock_guard lock(flight_mutex_);
  unmap();
  page_ = static_cast<compute::bridge::HubPage*>(mapped);
  if (place_ == Place::kWorker) process_ = std::move(reply.descriptors[1]);
  generation_ = lane.generation;
  if (reason != nullptr) *reason = text;
  if (ending != nullptr) *ending = lane.ending;
  return {};
}

Outcome<LaneRun> Lane::run(Link& link, const sandbox::RunRequest& request, const Flight& flight) {
  sandbox::RunChannel& channel = page_->channel;
  const std::int64_t begun_ns = sandbox::monotonic_ns();
  std::uint32_t run = 0;
  {
    // Under the lock: whoever stops the flight comes before and is seen here, or after and knows its number.
    const std::lock_guard lock(flight_mutex_);
    HEARTH_TRY_VOID(flight.check());
    flight_ = flight;
    stop_since_ns_.store(0, std::memory_order_relaxed);
    run = flight_run_ = sandbox::ask(channel, request);
  }
  const Outcome<> waited = await(link, run, flight.deadline_ns == 0 ? 0 : begun_ns + flight.deadline_ns);
  const std::int64_t ended_ns = sandbox::monotonic_ns();
  const Outcome<> judged = waited ? judge(link, request, run) : waited;
  {
    const std::lock_guard lock(flight_mutex_);
    flight_ = {};
  }
  if (!judged) return std::unexpected(judged.error());
  LaneRun ran{.kernel_s = static_cast<double>(ended_ns - begun_ns) * 1e-9};
  if (place_ == Place::kHub) {
    ran.n_copies = page_->n_copies;
    std::copy_n(page_->device, ran.device.size() - 1, ran.device.begin());
  }
  return ran;
}

// Returns once the run is answered; the failures are those of an end without an answer.
Outcome<> Lane::await(Link& link, std::uint32_t run, std::int64_t deadline_ns) {
  sandbox::RunChannel& channel = page_->channel;
  if (spin_.spin([&] { return channel.answered.value.load(std::memory_order_acquire) == run; })) return {};
  for (int slice = 1;; ++slice) {
    const std::uint32_t answered = channel.answered.value.load(std::memory_order_acquire);
    if (answered == run) return {};
    const std::int64_t now_ns = sandbox::monotonic_ns();
    if (deadline_ns != 0 && now_ns >= deadline_ns && stop_since_ns_.load(std::memory_order_relaxed) == 0) {
      const std::lock_guard lock(flight_mutex_);
      sandbox::give_up(channel, run);
      stop_status_ = HEARTH_DEADLINE;
      stop_since_ns_.store(now_ns, std::memory_order_relaxed);
    }
    const std::int64_t since_ns = stop_since_ns_.load(std::memory_order_relaxed);
    if (since_ns != 0 && now_ns - since_ns >= kGraceNs && place_ == Place::kWorker) return replace(link, stop_status(), {});
    if (slice % kSlicesPerLook == 0) {
      if (has_died()) return replace(link, HEARTH_FAULT, {});
      if (link.control().look_for_hang_up()) return failed(HEARTH_HUB_GONE, "the hub ended while a kernel ran: open a new context");
    }
    std::int64_t sleep_ns = kSliceNs;
    if (since_ns != 0) sleep_ns = std::clamp(kGraceNs - (now_ns - since_ns), std::int64_t{50'000}, kSliceNs);
    sandbox::sleep_while(channel.answered, answered, sleep_ns);
  }
}

// What an answered run came to.
Outcome<> Lane::judge(Link& link, const sandbox::RunRequest& request, std::uint32_t) {
  const sandbox::RunAnswer answer = sandbox::read_answer(page_->channel);
  switch (answer.status) {
    case RunStatus::kDone: return {};
    case RunStatus::kGaveUp: {
      const hearth_status why = stop_status();
      if (why == HEARTH_DEADLINE) return failed(why, "the run was not done at its deadline");
      return failed(why, why == HEARTH_CANCELLED ? "the run was cancelled" : "a newer run took this one's place");
    }
    case RunStatus::kFault: return replace(link, HEARTH_FAULT, fault_sentence(answer, request));
    case RunStatus::kRefused: break;
    case RunStatus::kFailed: break;  // A device's alone: the hub runs those, and says why in words.
  }
  if (place_ == Place::kWorker) return failed(HEARTH_INTERNAL, "the worker does not know what it was asked to run");
  const bool is_status = answer.signal > HEARTH_OK && answer.signal <= HEARTH_INTERNAL;
  return failed(is_status ? static_cast<hearth_status>(answer.signal) : HEARTH_INVALID, text_of(page_->sentence));
}

// Has the hub end the worker, whatever state it is in, and takes over the next one.  Always a failure: of the run.
Outcome<> Lane::replace(Link& link, hearth_status status, std::string sentence) {
  if (place_ != Place::kWorker) return failed(status, std::move(sentence));
  auto reply = link.control().ask(Kind::kReplaceWorker, PayloadWriter().put(compute::bridge::ReplaceWorkerAsk{generation_, 0}).bytes());
  if (!reply) return std::unexpected(reply.error());
  std::string reason;
  Ending ending = Ending::kNone;
  if (const auto taken = take_over(*reply, &reason, &ending); !taken) return taken;
  if (status == HEARTH_FAULT && ending == Ending::kDeadline) status = HEARTH_DEADLINE;
  if (status == HEARTH_SUPERSEDED) sentence = "a newer run took this one's place";
  if (status == HEARTH_CANCELLED) sentence = "the run was cancelled";
  if (sentence.empty()) sentence = reason.empty() ? "the run was not done at its deadline" : reason;
  return failed(status, std::move(sentence));
}

bool Lane::renew(Link& link) {
  const std::uint32_t before = generation_;
  if (has_died()) (void)replace(link, HEARTH_FAULT, {});
  return generation_ != before;
}

bool Lane::has_died() const {
  if (place_ != Place::kWorker) return false;
  pollfd look{process_.get(), POLLIN, 0};
  return ::poll(&look, 1, 0) > 0;
}

hearth_status Lane::stop_status() {
  const std::lock_guard lock(flight_mutex_);
  return stop_since_ns_.load(std::memory_order_relaxed) == 0 ? HEARTH_CANCELLED : stop_status_;
}

void Lane::stop(const void* kernel, std::uint64_t generation, hearth_status why) {
  const std::lock_guard lock(flight_mutex_);
  if (flight_.kernel != kernel || flight_.generation == 0 || flight_.generation >= generation) return;
  if (stop_since_ns_.load(std::memory_order_relaxed) != 0) return;
  sandbox::RunChannel& channel = page_->channel;
  sandbox::give_up(channel, flight_run_);
  stop_status_ = why;
  stop_since_ns_.store(sandbox::monotonic_ns(), std::memory_order_relaxed);
  // Whoever waits sleeps a slice at most if this comes too early for it.
  ::syscall(SYS_futex, &channel.answered.value, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace hearth::client
