#include "cli/compute_bridge.h"

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/utf8.h"
#include "cli/kernel_services.h"
#include "compute/bridge/message_socket.h"
#include "device/cpu.h"

namespace hearth::cli {
namespace {

using compute::bridge::AnswerPiece;
using compute::bridge::Question;

// An answer on its way from the hub's threads to the session that reads it.
//
// Text that nobody fetches piles up here: bounded by the answer's own tokens.
class QueuedSink final : public hub::ChatSink {
 public:
  void on_text(std::uint32_t, const std::string& text, const engine::TokenEvent&) override { put({text, false, {}}); }
  void on_reasoning(std::uint32_t, const std::string&) override {}
  void on_tool_call(std::uint32_t, const hub::ToolCallPiece&) override {}
  void on_status(const std::string&) override {}
  void on_choice_end(std::uint32_t, const hub::ChoiceEnd&) override {}
  void on_finish(const hub::Usage&, const hub::Receipt& receipt) override { put({"", true, receipt.id}); }
  void on_error(const Error& error) override {
    const std::lock_guard lock(mutex_);
    error_ = error;
    changed_.notify_all();
  }

  // All text that has come, as one piece.
  Result<std::optional<AnswerPiece>> next(std::chrono::milliseconds at_most) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, at_most, [this] { return has_piece_ || error_; });
    if (has_piece_) {
      has_piece_ = false;
      return std::exchange(piece_, {});
    }
    if (error_) return std::unexpected(*error_);
    return std::optional<AnswerPiece>();
  }

 private:
  void put(AnswerPiece piece) {
    const std::lock_guard lock(mutex_);
    piece_.text += piece.text;
    piece_.is_end = piece.is_end;
    piece_.receipt = std::move(piece.receipt);
    has_piece_ = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  AnswerPiece piece_;
  bool has_piece_ = false;
  std::optional<Error> error_;
};

class HubAnswer final : public compute::bridge::AnswerStream {
 public:
  HubAnswer(hub::Hub& hub, hub::RequestId request, std::shared_ptr<QueuedSink> sink)
      : hub_(hub), request_(request), sink_(std::move(sink)) {}
  ~HubAnswer() override { hub_.cancel(request_); }
  Result<std::optional<AnswerPiece>> next(std::chrono::milliseconds at_most) override { return sink_->next(at_most); }

 private:
  hub::Hub& hub_;
  hub::RequestId request_;
  std::shared_ptr<QueuedSink> sink_;
};

Result<std::unique_ptr<compute::bridge::AnswerStream>> ask(hub::Hub& hub, const std::string& client,
                                                           const Question& question) {
  hub::ChatRequest request;
  request.model = question.model;
  request.max_tokens = question.max_tokens;
  request.client = client;
  if (!question.system.empty()) request.messages.push_back({.role = hub::Role::kSystem, .content = sanitize_utf8(question.system)});
  request.messages.push_back({.role = hub::Role::kUser, .content = sanitize_utf8(question.prompt)});
  auto sink = std::make_shared<QueuedSink>();
  HEARTH_TRY(const hub::RequestId id, hub.chat(std::move(request), sink));
  return std::make_unique<HubAnswer>(hub, id, std::move(sink));
}

std::uint64_t pool_bytes(const Config::Compute& config) {
  constexpr std::uint64_t kShareOfMemory = 4;
  if (config.memory_mib != 0) return static_cast<std::uint64_t>(config.memory_mib) << 20;
  return device::memory_info().total_bytes / kShareOfMemory;
}

}  // namespace

std::string bridge_path(const Config::Compute& config) {
  return config.socket.empty() ? compute::bridge::default_socket_path() : config.socket;
}

std::unique_ptr<compute::bridge::Server> open_bridge(const Config& whole, hub::Hub& hub,
                                                     std::shared_ptr<hub::KernelDesk> kernels) {
  const Config::Compute& config = whole.compute;
  if (!config.bridge) return nullptr;
  compute::bridge::Services services;
  services.hub_kernels = compute::bridge::house_kernels();
  add_kernel_services(whole, std::move(kernels), services);
  services.ask = [&hub, client = client_of_bridge(whole)](const Question& question) { return ask(hub, client, question); };

  compute::bridge::ServerOptions options;
  options.socket = bridge_path(config);
  options.pool_bytes_max = pool_bytes(config);
  options.run_max = std::chrono::seconds(config.run_seconds_max);
  options.sessions_max = static_cast<std::uint32_t>(config.clients_max);
  options.n_threads = static_cast<unsigned>(config.threads);
  auto server = compute::bridge::Server::start(std::move(options), std::move(services));
  if (!server) {
    log_warn("cli", fmt::format("no bridge for programs' kernels: {}", server.error().message));
    return nullptr;
  }
  log_info("cli", fmt::format("programs' kernels run by way of {}", (*server)->path()));
  return *std::move(server);
}

}  // namespace hearth::cli
