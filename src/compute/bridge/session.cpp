#include "compute/bridge/session.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>

#include "base/log.h"
#include "device/roofs.h"

namespace hearth::compute::bridge {
namespace {

// How often a worker is looked after: while it runs something, and while nothing is known to run.
constexpr int kWatchRunningMs = 50;
constexpr int kWatchIdleMs = 500;

std::uint16_t status_of(const Error& error) { return static_cast<std::uint16_t>(1 + static_cast<std::uint16_t>(error.code)); }

sandbox::WorkerLimits worker_limits(unsigned n_threads) {
  sandbox::WorkerLimits limits;
  limits.n_threads = std::min(n_threads, sandbox::kWorkerThreadsMax);
  return limits;
}

}  // namespace

Shared::Shared(const Services& given, std::uint64_t pool_bytes_max, unsigned n_threads, unsigned n_spares)
    : services(given), pool(pool_bytes_max), threads(n_threads), spares(worker_limits(threads.pool.n_threads()), n_spares) {}

Result<MachineRoofs> Shared::roofs() {
  const std::lock_guard lock(roofs_mutex_);
  if (roofs_) return *roofs_;
  if (services.measure_roofs) {
    HEARTH_TRY(roofs_, services.measure_roofs());
    return *roofs_;
  }
  const std::lock_guard alone(threads.in_use);
  device::RoofProbe probe(threads.pool);
  roofs_ = {threads.pool.n_threads(), probe.f32_gop_s(), probe.f64_gop_s(), probe.read_gb_s(), probe.stream_gb_s(2)};
  return *roofs_;
}

Session::Handler Session::handler_of(Kind kind) {
  struct Row {
    Kind kind;
    Handler handler;
  };
  static constexpr std::array kRows = {
      Row{Kind::kHello, &Session::on_hello},
      Row{Kind::kAllocate, &Session::on_allocate},
      Row{Kind::kFree, &Session::on_free},
      Row{Kind::kOpenKernel, &Session::on_open_kernel},
      Row{Kind::kCloseKernel, &Session::on_close_kernel},
      Row{Kind::kBind, &Session::on_bind},
      Row{Kind::kComplete, &Session::on_complete},
      Row{Kind::kUnbind, &Session::on_unbind},
      Row{Kind::kOpenLane, &Session::on_open_lane},
      Row{Kind::kReplaceWorker, &Session::on_replace_worker},
      Row{Kind::kListKernels, &Session::on_list_kernels},
      Row{Kind::kRoofs, &Session::on_roofs},
      Row{Kind::kBuild, &Session::on_build},
      Row{Kind::kCheck, &Session::on_check},
      Row{Kind::kAsk, &Session::on_ask},
  };
  const auto row = std::ranges::find(kRows, kind, &Row::kind);
  return row == kRows.end() ? nullptr : row->handler;
}

void Session::serve() {
  while (wait_for_message()) {
    const auto message = receive_message(socket_.get());
    if (!message) {
      // Hanging up is how clients leave; the rest is worth a line.
      if (message.error().code != Code::kUnavailable) log_warn("compute", message.error().message);
      return;
    }
    if (const auto answered = answer(*message); !answered) return;
  }
}

// Meanwhile looks after the worker.  False once the server stops.
bool Session::wait_for_message() {
  for (;;) {
    std::array<pollfd, 2> wait{{{socket_.get(), POLLIN, 0}, {shared_.stop_descriptor, POLLIN, 0}}};
    const int at_most_ms = worker_ == nullptr ? -1 : worker_->is_running() ? kWatchRunningMs : kWatchIdleMs;
    const int n = ::poll(wait.data(), wait.size(), at_most_ms);
    if (n < 0 && errno != EINTR) return false;
    if (wait[1].revents != 0) return false;
    if (worker_ != nullptr) worker_->watch(std::chrono::steady_clock::now(), shared_.run_max);
    if (n > 0 && wait[0].revents != 0) return true;
  }
}

// Whether the client is still there and waiting, and the server is not stopping.
bool Session::is_wanted() const {
  std::array<pollfd, 2> look{{{socket_.get(), POLLIN | POLLRDHUP, 0}, {shared_.stop_descriptor, POLLIN, 0}}};
  return ::poll(look.data(), look.size(), 0) == 0;
}

Result<> Session::answer(const Message& message) {
  const Handler handler = handler_of(message.header.kind);
  Result<Reply> reply = handler == nullptr ? Result<Reply>(fail(Code::kCorrupt, "a client sent what only a hub says"))
                                           : (this->*handler)(message.payload);
  if (reply) return send_message(socket_.get(), Kind::kReply, reply->payload, reply->descriptors);
  HEARTH_TRY_VOID(send_message(socket_.get(), Kind::kReply, reply.error().message, {}, status_of(reply.error())));
  // Who breaks the format may be anywhere in it: nothing more is read.
  if (reply.error().code == Code::kCorrupt && handler == nullptr) return std::unexpected(std::move(reply).error());
  return {};
}

Result<Session::Reply> Session::on_hello(std::string_view payload) {
  HEARTH_TRY(const NamedAsk ask, parse_hello(payload));
  client_ = ask.name;
  HelloReply reply;
  reply.n_threads = shared_.threads.pool.n_threads();
  reply.pool_bytes_max = shared_.pool.n_bytes_max();
  reply.run_ns_max = static_cast<std::uint64_t>(shared_.run_max.count());
  reply.recycle_bytes_max = shared_.pool.n_bytes_max() / 4;
  return Reply{std::string(PayloadWriter().put(reply).bytes()), {}};
}

Result<Session::Reply> Session::on_allocate(std::string_view payload) {
  HEARTH_TRY(const auto ask, parse_plain<AllocateAsk>(payload));
  if (blocks_.size() >= kBlocksMax) {
    return fail(Code::kOutOfBudget, fmt::format("{} tensors are allocated, which is the limit for a client: free some", kBlocksMax));
  }
  HEARTH_TRY(auto block, shared_.pool.take(ask.n_bytes));
  const AllocateReply reply{++last_id_, block->n_bytes()};
  const int descriptor = block->descriptor();
  blocks_.emplace(reply.block, std::move(block));
  return Reply{std::string(PayloadWriter().put(reply).bytes()), {descriptor}};
}

Result<Session::Reply> Session::on_free(std::string_view payload) {
  HEARTH_TRY(const auto ask, parse_plain<FreeAsk>(payload));
  drop_calls([&](const Call& call) { return std::ranges::find(call.blocks, ask.block) != call.blocks.end(); });
  if (worker_ != nullptr) worker_->forget_block(ask.block);
  blocks_.erase(ask.block);
  return Reply{};
}

Result<Session::Reply> Session::on_list_kernels(std::string_view) {
  std::string text;
  for (const HubKernel& kernel : shared_.services.hub_kernels) text += kernel.name + " " + kernel.signature.text() + "\n";
  if (shared_.services.list_kernels) {
    for (const std::string& line : shared_.services.list_kernels()) {
      if (text.size() + line.size() < kTextBytesMax) text += line + "\n";
    }
  }
  const ListReply reply{static_cast<std::uint32_t>(text.size()), 0};
  return Reply{std::string(PayloadWriter().put(reply).put_text(text).bytes()), {}};
}

Result<Session::Reply> Session::on_roofs(std::string_view) {
  HEARTH_TRY(const MachineRoofs roofs, shared_.roofs());
  const RoofsReply reply{roofs.n_threads, 0, roofs.gflops_f32, roofs.gflops_f64, roofs.gbps_read, roofs.gbps_stream};
  return Reply{std::string(PayloadWriter().put(reply).bytes()), {}};
}

Result<Session::Reply> Session::on_build(std::string_view payload) {
  HEARTH_TRY(const TextAsk ask, parse_build(payload));
  const auto& work = ask.kind == SourceKind::kContract ? shared_.services.build : shared_.services.write;
  if (!work) {
    return fail(Code::kUnsupported, ask.kind == SourceKind::kContract
                                        ? "this hub builds no kernels"
                                        : "this hub asks nobody for kernels: set up [advisor] in its configuration");
  }
  HEARTH_TRY(const Built built, work(ask.text, [this] { return is_wanted(); }));
  const BuildReply reply{built.is_cached ? 1U : 0U, static_cast<std::uint32_t>(built.key.size()), built.compile_s};
  return Reply{std::string(PayloadWriter().put(reply).put_text(built.key).bytes()), {}};
}

Result<Session::Reply> Session::on_check(std::string_view payload) {
  HEARTH_TRY(const CheckKeyAsk ask, parse_check(payload));
  if (!shared_.services.check) return fail(Code::kUnsupported, "this hub checks no kernels");
  HEARTH_TRY(const Checked checked, shared_.services.check(ask.key, ask.seed, [this] { return is_wanted(); }));
  const CheckReply reply{checked.n_checks, 0, checked.error_ulps};
  return Reply{std::string(PayloadWriter().put(reply).bytes()), {}};
}

// Pieces go out as they come; the client stops the answer by hanging up.
Result<Session::Reply> Session::on_ask(std::string_view payload) {
  constexpr std::chrono::milliseconds kLookAgain{50};
  HEARTH_TRY(const QuestionAsk ask, parse_question(payload));
  if (!shared_.services.ask) return fail(Code::kUnsupported, "this hub answers no questions over the bridge");
  HEARTH_TRY(const auto stream, shared_.services.ask({client_, std::string(ask.model), std::string(ask.system),
                                                      std::string(ask.prompt), ask.max_tokens}));
  while (is_wanted()) {
    HEARTH_TRY(const std::optional<AnswerPiece> piece, stream->next(kLookAgain));
    if (!piece) continue;
    for (std::string_view rest = piece->text; !rest.empty(); rest.remove_prefix(std::min<std::size_t>(rest.size(), kTextBytesMax))) {
      HEARTH_TRY_VOID(send_message(socket_.get(), Kind::kPiece, rest.substr(0, kTextBytesMax)));
    }
    if (!piece->is_end) continue;
    const std::string receipt = piece->receipt.substr(0, kNameBytesMax);
    const AskReply reply{static_cast<std::uint32_t>(receipt.size()), 0};
    return Reply{std::string(PayloadWriter().put(reply).put_text(receipt).bytes()), {}};
  }
  return fail(Code::kCancelled, "the answer was stopped");
}

}  // namespace hearth::compute::bridge
