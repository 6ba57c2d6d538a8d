// One client of the bridge: what it has, and what it is answered.
//
// Everything that a client has (blocks, kernels, bound calls, its lane and its worker) is a member here, so
// that its end, orderly or not, is this object's destructor.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "compute/bridge/client_worker.h"
#include "compute/bridge/hub_lane.h"
#include "compute/bridge/memory_pool.h"
#include "compute/bridge/message_socket.h"
#include "compute/bridge/protocol.h"
#include "compute/bridge/services.h"
#include "compute/bridge/spare_workers.h"

namespace hearth::compute::bridge {

// What sessions share.
struct Shared {
  Shared(const Services& given, std::uint64_t pool_bytes_max, unsigned n_threads, unsigned n_spares);

  const Services services;
  MemoryPool pool;
  SharedThreads threads;
  SpareWorkers spares;
  std::chrono::nanoseconds run_max{};
  int stop_descriptor = -1;  // Readable once the server stops.
  std::atomic<std::uint64_t> n_workers_replaced{0};

  // Measured once, while no kernel of the house runs.
  Result<MachineRoofs> roofs();

 private:
  std::mutex roofs_mutex_;
  std::optional<MachineRoofs> roofs_;
};

inline constexpr std::size_t kBlocksMax = 4096;
inline constexpr std::size_t kKernelsMax = 256;
inline constexpr std::size_t kCallsMax = 4096;

// Threading: one thread.
class Session {
 public:
  Session(Shared& shared, OwnedFd socket) : shared_(shared), socket_(std::move(socket)) {}

  // Answers until the client leaves, breaks the format, or the server stops.
  void serve();

 private:
  struct Reply {
    std::string payload;
    std::vector<int> descriptors;
  };
  using Handler = Result<Reply> (Session::*)(std::string_view payload);
  static Handler handler_of(Kind kind);

  using HubKernelPtr = const HubKernel*;
  using JailedKernelPtr = std::shared_ptr<const JailedKernel>;
  struct OpenedKernel {
    std::variant<HubKernelPtr, JailedKernelPtr> what;
    const Signature& signature() const;
    Result<Cost> cost(const Bindings& bindings) const;
  };
  struct Call {
    Place place = Place::kHub;
    std::uint64_t kernel = 0;
    std::vector<std::uint64_t> blocks;
  };

  bool wait_for_message();
  Result<> answer(const Message& message);
  bool is_wanted() const;

  Result<Reply> on_hello(std::string_view payload);
  Result<Reply> on_allocate(std::string_view payload);
  Result<Reply> on_free(std::string_view payload);
  Result<Reply> on_open_kernel(std::string_view payload);
  Result<Reply> on_close_kernel(std::string_view payload);
  Result<Reply> on_bind(std::string_view payload);
  Result<Reply> on_complete(std::string_view payload);
  Result<Reply> on_unbind(std::string_view payload);
  Result<Reply> on_open_lane(std::string_view payload);
  Result<Reply> on_replace_worker(std::string_view payload);
  Result<Reply> on_list_kernels(std::string_view payload);
  Result<Reply> on_roofs(std::string_view payload);
  Result<Reply> on_build(std::string_view payload);
  Result<Reply> on_check(std::string_view payload);
  Result<Reply> on_ask(std::string_view payload);

  Result<OpenedKernel*> find_kernel(std::uint64_t kernel);
  Result<Argument> argument_of(const WireValue& value, std::size_t index) const;
  Result<std::vector<Argument>> arguments_of(const std::vector<WireValue>& values) const;
  Result<sandbox::RunRequest> bind_in_hub(std::uint32_t call, HubKernelPtr kernel,
                                          std::shared_ptr<const HubKernel> owned,
                                          const BoundAsk& ask, Bindings bindings);
  Result<sandbox::RunRequest> bind_in_worker(const JailedKernelPtr& kernel, const BoundAsk& ask,
                                             const Bindings& bindings);
  void drop_calls(const std::function<bool(const Call&)>& which);
  Result<HubLane*> hub_lane();
  Result<ClientWorker*> worker();
  Reply lane_reply(const ClientWorker::End& end) const;

  Shared& shared_;
  OwnedFd socket_;
  std::string client_;
  std::uint64_t last_id_ = 0;  // Of blocks, kernels and calls: none is used twice.
  std::uint32_t worker_generation_ = 0;
  std::map<std::uint64_t, std::shared_ptr<MemoryBlock>> blocks_;
  std::map<std::uint64_t, OpenedKernel> kernels_;
  std::map<std::uint64_t, Call> calls_;
  std::unique_ptr<HubLane> hub_lane_;
  std::unique_ptr<ClientWorker> worker_;
};

}  // namespace hearth::compute::bridge
