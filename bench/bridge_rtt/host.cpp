// hearth_bridge_host SOCKET: the bridge by itself, with a kernel that touches the ends of a tensor, in the hub
// ("touch_hub") and in a worker ("touch_worker"); ends with its standard input.
#include <cstdio>
#include <utility>

#include "compute/bridge/server.h"
#include "test_support/jailed_kernel.h"

namespace {

using namespace hearth;

Result<compute::bridge::HubRun> touch(const compute::Bindings& bound, const compute::Workers&) {
  const compute::Tensor& in = bound.tensors[1];
  const auto* const x = reinterpret_cast<const double*>(in.data);
  *reinterpret_cast<double*>(bound.tensors[0].data) = x[0] + x[in.n_elements() - 1];
  return compute::bridge::HubRun{};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  compute::bridge::Services services;
  services.hub_kernels = compute::bridge::house_kernels();
  services.hub_kernels.push_back({"touch_hub", *compute::parse_signature(client::kTouchSignature), {}, touch});
  services.find_kernel = [](std::string_view) { return client::test_kernel(client::kTouchSignature); };
  compute::bridge::ServerOptions options;
  options.socket = argv[1];
  options.pool_bytes_max = std::uint64_t{3} << 30;
  const auto server = compute::bridge::Server::start(options, std::move(services));
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  std::puts("ready");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return 0;
}
