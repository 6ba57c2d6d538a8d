#include "hub/upstream/llama_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/digest.h"
#include "base/log.h"
#include "hub/upstream/fetch.h"

namespace hearth::hub {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr milliseconds kHealthEvery{50};
constexpr milliseconds kWatchEvery{250};
constexpr milliseconds kIdleWait{60'000};
constexpr milliseconds kEndGrace{5'000};
constexpr milliseconds kLongLife{60'000};       // A child that lived so long was no start that failed.
constexpr milliseconds kRestMax{60'000};
constexpr milliseconds kRestWaitedFor{2'000};   // A longer one is refused at once instead.
constexpr milliseconds kEndIsSeenWithin{1'000};  // After its connection broke.
constexpr milliseconds kSilenceWithin{200};      // After its end.
constexpr std::size_t kWordsLines = 5;
constexpr net::HttpTimeouts kHealthTimeouts{.connect = milliseconds(500),
                                            .first_byte = milliseconds(1'000),
                                            .idle = milliseconds(1'000),
                                            .total = milliseconds(2'000)};

// A port of the loopback address on which nobody listens now; 0 if there is none.
std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool is_bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(fd);
  return is_bound ? ntohs(address.sin_port) : std::uint16_t{0};
}

std::string random_key() {
  std::array<std::uint8_t, 24> bytes;
  HEARTH_CHECK(::getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  return to_hex(bytes);
}

milliseconds rest_after(std::uint32_t n_crashes) {
  if (n_crashes < 2) return milliseconds(0);
  return std::min(milliseconds(1'000) * (1U << std::min(n_crashes - 2, 10U)), kRestMax);
}

double seconds(SteadyClock::duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

LlamaServer::LlamaServer(std::string program, LlamaServerOptions options, net::HttpClient& client)
    : program_(std::move(program)), options_(std::move(options)), client_(client) {
  publish();
  thread_ = std::thread([this] { work(); });
}

LlamaServer::~LlamaServer() {
  closing_.request_stop();
  mailbox_.put(Stop{});
  thread_.join();
}

std::uint64_t LlamaServer::lease(LlamaModel model, Ready ready) {
  const std::uint64_t ticket = ++last_ticket_;
  mailbox_.put(Wanted{ticket, std::move(model), std::move(ready)});
  return ticket;
}

void LlamaServer::explain(std::uint64_t generation, std::function<void(std::string)> done) {
  mailbox_.put(Asked{generation, std::move(done)});
}

UpstreamState LlamaServer::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

// ---- The keeper's thread -----------------------------------------------------------------------

void LlamaServer::work() {
  while (!is_stopping_) {
    for (KeeperMessage& message : mailbox_.take_all_until(next_look())) {
      std::visit([this](auto& content) { on(content); }, message);
    }
    if (!is_stopping_) look();
    publish();
  }
  end_child(kEndGrace);
  answer_asked();
}

void LlamaServer::on(Wanted& message) {
  if (is_stopping_) return message.ready(fail(Code::kCancelled, "Hearth is shutting down"));
  waiting_.push_back(std::move(message));
}

void LlamaServer::on(GivenUp& message) {
  const auto wanted = std::ranges::find(waiting_, message.ticket, &Wanted::ticket);
  if (wanted == waiting_.end()) return;
  const Ready ready = std::move(wanted->ready);
  waiting_.erase(wanted);
  ready(fail(Code::kCancelled, "the request was cancelled"));
}

void LlamaServer::on(Returned& message) {
  if (message.generation != generation_ || n_leases_ == 0) return;
  if (--n_leases_ == 0) idle_since_ = SteadyClock::now();
}

void LlamaServer::on(Asked& message) {
  message.until = SteadyClock::now() + kEndIsSeenWithin;
  asked_.push_back(std::move(message));
}

void LlamaServer::on(StopIfIdle&) {
  if (child_ != nullptr && is_ready_ && n_leases_ == 0 && waiting_.empty()) end_child(kEndGrace);
}

void LlamaServer::on(Stop&) {
  is_stopping_ = true;
  for (Wanted& wanted : std::exchange(waiting_, {})) {
    wanted.ready(fail(Code::kCancelled, "Hearth is shutting down"));
  }
}

LlamaServer::TimePoint LlamaServer::next_look() const {
  const auto now = SteadyClock::now();
  if (child_ != nullptr && !is_ready_) return now + kHealthEvery;
  if (!asked_.empty()) return now + kHealthEvery;
  if (child_ == nullptr && !waiting_.empty()) return std::max(now, rest_until_);
  return now + (child_ != nullptr ? kWatchEvery : kIdleWait);
}

void LlamaServer::look() {
  look_after_child();
  serve_waiting();
  answer_asked();
}

void LlamaServer::look_after_child() {
  if (child_ == nullptr) return;
  if (child_->has_ended()) return note_crash();
  const auto now = SteadyClock::now();
  if (is_ready_) {
    const bool is_idle = n_leases_ == 0 && waiting_.empty();
    if (is_idle && now - idle_since_ >= options_.idle_stop) end_child(kEndGrace);
    return;
  }
  if (is_healthy()) {
    is_ready_ = true;
    idle_since_ = now;
    log_info("hub", fmt::format("llama-server runs '{}' after {:.1f} s", model_.name, seconds(now - started_at_)));
  } else if (now - started_at_ >= options_.start_timeout) {
    const Error error{Code::kUnavailable,
                      fmt::format("llama-server did not become ready with '{}' within {:.0f} s "
                                  "(llama_server.start_timeout_s); its last lines: {}",
                                  model_.name, seconds(options_.start_timeout),
                                  child_->last_words(kWordsLines))};
    const std::string name = model_.name;
    ++n_crashes_;
    end_child(milliseconds(0));
    rest_until_ = SteadyClock::now() + rest_after(n_crashes_);
    fail_waiting(name, error);
  }
}

bool LlamaServer::is_healthy() {
  const std::string root = base_url_.substr(0, base_url_.size() - std::string_view("/v1").size());
  const auto health = fetch(client_,
                            {.url = root + "/health",
                             .timeouts = kHealthTimeouts,
                             .response_bytes_max = 4'096,
                             .is_get = true,
                             .no_proxy = true},
                            closing_.get_token());
  return health && health->status == 200;
}

std::string LlamaServer::words_of_end() {
  child_->wait_for_silence(kSilenceWithin);
  const std::string words = child_->last_words(kWordsLines);
  return child_->how_it_ended() + (words.empty() ? "" : "; its last lines: " + words);
}

// It has ended by itself, while it was starting or later.
void LlamaServer::note_crash() {
  const bool was_long = SteadyClock::now() - started_at_ >= kLongLife;
  n_crashes_ = was_long ? 1 : n_crashes_ + 1;
  const std::string words = words_of_end();
  const std::string name = model_.name;
  const bool was_ready = is_ready_;
  log_warn("hub", fmt::format("llama-server with '{}' {}", name, words));
  end_child(milliseconds(0));
  last_end_ = words;
  rest_until_ = SteadyClock::now() + rest_after(n_crashes_);
  if (was_ready) return;  // Those who were being answered hear of it through their connections.
  fail_waiting(name, Error{Code::kUnavailable,
                           fmt::format("llama-server could not run '{}': it {}", name, words)});
}

void LlamaServer::fail_waiting(const std::string& name, const Error& error) {
  std::deque<Wanted> others;
  for (Wanted& wanted : std::exchange(waiting_, {})) {
    if (wanted.model.name != name) {
      others.push_back(std::move(wanted));
    } else {
      wanted.ready(std::unexpected(error));
    }
  }
  waiting_ = std::move(others);
}

void LlamaServer::end_child(milliseconds grace) {
  if (child_ == nullptr) return;
  child_->end(grace);
  last_end_ = words_of_end();
  child_.reset();
  is_ready_ = false;
  n_leases_ = 0;
  bytes_used_ = 0;
}

// In their order: what the child runs already, or what it is to run next.
void LlamaServer::serve_waiting() {
  while (!waiting_.empty()) {
    Wanted& next = waiting_.front();
    if (child_ != nullptr && model_.path == next.model.path) {
      if (!is_ready_) return;
      give_lease(next);
      waiting_.pop_front();
      continue;
    }
    if (child_ != nullptr) {
      if (!is_ready_ || n_leases_ > 0) return;
      end_child(kEndGrace);
      n_crashes_ = 0;  // Of another model.
      rest_until_ = {};
    }
    const auto rest = rest_until_ - SteadyClock::now();
    if (rest > kRestWaitedFor) {
      const std::string name = next.model.name;
      return fail_waiting(
          name, Error{Code::kUnavailable,
                      fmt::format("llama-server has failed {} times in a row, so '{}' is tried again in "
                                  "{:.0f} s; the last time it {}",
                                  n_crashes_, name, seconds(rest), last_end_)});
    }
    if (rest > SteadyClock::duration::zero()) return;
    begin_child(next.model);
    if (child_ != nullptr) return;
  }
}

void LlamaServer::begin_child(const LlamaModel& model) {
  const std::uint16_t port = free_port();
  key_ = random_key();
  base_url_ = fmt::format("http://127.0.0.1:{}/v1", port);
  ChildOptions child{.program = program_,
                     .args = {"--model", model.path.string(), "--alias", model.name, "--host",
                              "127.0.0.1", "--port", fmt::format("{}", port), "--jinja"},
                     .environment = {{"LLAMA_API_KEY", key_}},
                     .on_silence = [this] { mailbox_.put(Wake{}); }};
  child.args.insert(child.args.end(), options_.arguments.begin(), options_.arguments.end());
  auto started = port != 0 ? ChildProcess::start(std::move(child))
                           : fail(Code::kUnavailable, "no port of the loopback address is free");
  if (!started) {
    const std::string name = model.name;
    return fail_waiting(name, Error{started.error().code, fmt::format("llama-server can't be started: {}",
                                                                      started.error().message)});
  }
  child_ = *std::move(started);
  model_ = model;
  ++generation_;
  is_ready_ = false;
  n_leases_ = 0;
  started_at_ = SteadyClock::now();
  bytes_used_ = model.bytes;
}

void LlamaServer::give_lease(Wanted& wanted) {
  ++n_leases_;
  const std::uint64_t generation = generation_;
  std::shared_ptr<void> hold(nullptr, [this, generation](void*) { mailbox_.put(Returned{generation}); });
  wanted.ready(LlamaLease{.base_url = base_url_, .key = key_, .generation = generation, .hold = std::move(hold)});
}

// Who asks has seen a connection break: the end of the process may be a moment behind it.
void LlamaServer::answer_asked() {
  const auto now = SteadyClock::now();
  std::erase_if(asked_, [&](Asked& asked) {
    const bool has_ended = asked.generation < generation_ || child_ == nullptr;
    if (!has_ended && now < asked.until && !is_stopping_) return false;
    asked.done(has_ended ? last_end_ : "");
    return true;
  });
}

void LlamaServer::publish() {
  const std::string pid = child_ != nullptr ? fmt::format(" (process {})", child_->pid()) : "";
  const std::lock_guard lock(mutex_);
  state_ = {.name = "llama-server",
            .url = child_ != nullptr ? base_url_ : program_,
            .kind = child_ == nullptr ? "stopped" : (is_ready_ ? "runs " : "starts ") + model_.name + pid,
            .is_here = true,
            .circuit = n_crashes_ < 2 ? "closed" : SteadyClock::now() < rest_until_ ? "open" : "half-open",
            .problem = n_crashes_ > 0 && child_ == nullptr ? last_end_ : "",
            .is_checked = true,
            .n_models = child_ != nullptr ? 1U : 0U,
            .n_running = n_leases_,
            .n_requests = state_.n_requests,
            .n_failures = n_crashes_};
}

}  // namespace hearth::hub
