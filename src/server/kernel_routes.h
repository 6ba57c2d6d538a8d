// The routes of the hub's kernels: listed, shown, run, asked for, dropped.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "hub/kernels/kernel_desk.h"
#include "net/http_server.h"
#include "server/metrics.h"

namespace hearth::server {

// A request on its way to the desk.
struct KernelExchange {
  hub::KernelDesk* desk = nullptr;  // Null: this hub has no kernels, which is a 404.
  std::shared_ptr<net::HttpExchange> exchange;
  net::HeaderList headers;  // For the answer: request id, CORS.
  std::string client;       // Who asks, and alone may agree where the policy wants consent.
  std::shared_ptr<Metrics> metrics;
  std::chrono::milliseconds heartbeat_every;
};

// They wait for the disk, for kernels, and the last one for an adviser and a compiler, minutes
// perhaps: not for the I/O thread.  Once the client has left, runs and questions are given up.
void answer_kernels(const KernelExchange& asked);
void answer_kernel(const KernelExchange& asked, const std::string& name);
void answer_drop_kernel(const KernelExchange& asked, const std::string& name);
void answer_run_kernel(const KernelExchange& asked);
void answer_write_kernel(const KernelExchange& asked);

}  // namespace hearth::server
