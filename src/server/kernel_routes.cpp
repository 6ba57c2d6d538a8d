#include "server/kernel_routes.h"

#include <fmt/format.h>

#include <mutex>
#include <utility>

#include "api/hearth/consents.h"
#include "api/hearth/kernel_run.h"
#include "api/hearth/kernels.h"
#include "net/sse.h"
#include "server/chat_answer.h"

namespace hearth::server {
namespace {

namespace own = api::hearth;

void respond(const KernelExchange& asked, net::ServerResponse response) {
  asked.metrics->count_response(response.status);
  response.headers.insert(response.headers.end(), asked.headers.begin(), asked.headers.end());
  asked.exchange->respond(std::move(response));
}

void refuse(const KernelExchange& asked, const api::ApiError& error) {
  respond(asked, error_response(error));
}
void refuse(const KernelExchange& asked, const Error& error) {
  refuse(asked, api::api_error(error));
}

// Refuses for a hub without kernels.
bool has_desk(const KernelExchange& asked) {
  if (asked.desk == nullptr) refuse(asked, api::api_error(404, "This hub has no kernels."));
  return asked.desk != nullptr;
}

hub::StillWanted wanted_by(const KernelExchange& asked) {
  return [exchange = asked.exchange] { return !exchange->cancelled(); };
}

bool has_tensors(const net::ServerRequest& request) {
  const std::string_view type = request.header("Content-Type");
  return type.starts_with(own::kTensorsType) || type.starts_with("application/octet-stream");
}

// The events of a kernel that is being written.
//
// Threading: the writer's thread, and the I/O thread for heartbeats; a mutex orders them.
class WritingStream {
 public:
  explicit WritingStream(const KernelExchange& asked) : asked_(asked) {
    asked_.metrics->count_response(200);
    net::HeaderList headers = asked_.headers;
    headers.emplace_back("Cache-Control", "no-cache");
    headers.emplace_back("X-Accel-Buffering", "no");  // Asks proxies not to hold events back.
    asked_.exchange->start_stream(
        {.content_type = "text/event-stream", .headers = std::move(headers)});
  }

  void event(std::string_view name, std::string_view data) {
    std::string out;
    net::append_sse_event(out, data, name);
    send(out);
  }
  void heartbeat() {
    std::string out;
    net::append_sse_comment(out, "still working");
    send(out);
  }
  void end() {
    const std::lock_guard lock(mutex_);
    asked_.exchange->end_stream();
  }

 private:
  void send(std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    asked_.exchange->write(bytes);
  }

  const KernelExchange asked_;
  std::mutex mutex_;
};

hub::WritingEvents events_to(const std::shared_ptr<WritingStream>& stream) {
  hub::WritingEvents events;
  events.progress = [stream](std::uint64_t done, std::uint64_t total, std::string_view what) {
    stream->event("progress", own::render_progress(done, total, what));
  };
  events.on_round = [stream, n = std::size_t{0}](const hub::KernelRound& round) mutable {
    stream->event("round", own::render_round(++n, round));
  };
  events.on_departure = [stream](const advisor::Departure& departure) {
    stream->event("consent", own::render_departure(departure));
  };
  return events;
}

Result<std::string> written(const KernelExchange& asked, own::KernelAsk ask,
                            const hub::WritingEvents& events) {
  HEARTH_TRY(const hub::WrittenKernel made,
             asked.desk->write(std::move(ask.request), ask.rounds, wanted_by(asked), events));
  HEARTH_TRY(const hub::RunnableKernel kernel, asked.desk->find(to_hex(made.kernel->key)));
  return own::render_written(asked.desk->describe(kernel), made);
}

void stream_written(const KernelExchange& asked, own::KernelAsk ask) {
  const auto stream = std::make_shared<WritingStream>(asked);
  asked.exchange->on_idle(asked.heartbeat_every, [weak = std::weak_ptr(stream)] {
    if (const auto alive = weak.lock()) alive->heartbeat();
  });
  const auto made = written(asked, std::move(ask), events_to(stream));
  if (made) {
    stream->event("kernel", *made);
  } else {
    stream->event("error", api::render_error(api::api_error(made.error())));
  }
  stream->end();
}

}  // namespace

void answer_kernels(const KernelExchange& asked) {
  if (!has_desk(asked)) return;
  const auto kernels = asked.desk->list();
  if (!kernels) return refuse(asked, kernels.error());
  respond(asked, {.body = own::render_kernels(*kernels, asked.desk->roofs(), asked.desk->jail(),
                                              asked.desk->look_for_devices())});
}

void answer_kernel(const KernelExchange& asked, const std::string& name) {
  if (!has_desk(asked)) return;
  const auto kernel = asked.desk->find(name);
  if (!kernel) return refuse(asked, kernel.error());
  respond(asked, {.body = own::render_kernel(asked.desk->describe(*kernel))});
}

void answer_drop_kernel(const KernelExchange& asked, const std::string& name) {
  if (!has_desk(asked)) return;
  const auto dropped = asked.desk->drop(name);
  if (!dropped) return refuse(asked, dropped.error());
  respond(asked, {.body = fmt::format(R"({{"dropped":"{}"}})", to_hex(*dropped))});
}

void answer_run_kernel(const KernelExchange& asked) {
  if (!has_desk(asked) || asked.exchange->cancelled()) return;
  const net::ServerRequest& request = asked.exchange->request();
  const bool is_tensors = has_tensors(request);
  const own::FindKernel find = [&](std::string_view name) { return asked.desk->find(name); };
  auto ask = is_tensors ? own::parse_kernel_run_tensors(find, request.body)
                        : own::parse_kernel_run(find, request.body);
  if (!ask) return refuse(asked, ask.error());
  const auto outcome = asked.desk->run(ask->kernel, std::move(ask->call), wanted_by(asked));
  if (!outcome) return refuse(asked, outcome.error());
  if (is_tensors) {
    return respond(asked, {.content_type = std::string(own::kTensorsType),
                           .body = own::render_kernel_run_tensors(*ask, *outcome)});
  }
  auto body = own::render_kernel_run(*ask, *outcome);
  if (!body) return refuse(asked, body.error());
  respond(asked, {.body = *std::move(body)});
}

void answer_write_kernel(const KernelExchange& asked) {
  if (!has_desk(asked) || asked.exchange->cancelled()) return;
  auto ask = own::parse_kernel_ask(asked.exchange->request().body);
  if (!ask) return refuse(asked, ask.error());
  ask->request.client = asked.client;
  if (ask->stream) return stream_written(asked, *std::move(ask));
  auto made = written(asked, *std::move(ask), {});
  if (!made) return refuse(asked, made.error());
  respond(asked, {.body = *std::move(made)});
}

}  // namespace hearth::server
