#include "compute/devices/device_host.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "base/fixed_text.h"
#include "compute/devices/device_message.h"
#include "compute/devices/device_table.h"

namespace hearth::compute {
namespace {

constexpr int kSocket = 0;
constexpr int kKeepMappedMs = 1000;     // After a run, in case the next one has the same tensors.
constexpr int kIdleMs = 5 * 60 * 1000;  // A context on a GPU takes memory from others.

bool has_packet(int timeout_ms) {
  pollfd wait{kSocket, POLLIN, 0};
  return ::poll(&wait, 1, timeout_ms) > 0;
}

// Of a run: whether its owner has said that nobody wants it.
bool is_given_up() {
  char byte = 0;
  return ::recv(kSocket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

// Ends the process once its owner is gone, whatever a driver is doing just then.
void end_with_owner() {
  std::thread([] {
    pollfd wait{kSocket, 0, 0};
    while (::poll(&wait, 1, -1) < 0) {
    }
    ::_exit(0);
  }).detach();
}

// The memory of the last run, mapped: who calls again with the same tensors waits for no page
// tables.
class Mappings {
 public:
  ~Mappings() { drop(); }

  // Where the memory behind each of these begins; what is not among them is given back.
  Result<std::vector<std::byte*>> map(const std::vector<sandbox::OwnedFd>& descriptors) {
    std::set<Key> wanted;
    std::vector<std::byte*> begins;
    for (const sandbox::OwnedFd& descriptor : descriptors) {
      struct stat found {};
      ::fstat(descriptor.get(), &found);
      const Key key(found.st_dev, found.st_ino);
      wanted.insert(key);
      if (!mapped_.contains(key)) {
        const auto bytes = static_cast<std::size_t>(found.st_size);
        void* const data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                                  descriptor.get(), 0);
        if (data == MAP_FAILED)
          return fail(Code::kOutOfBudget, "the process of the device can't map a tensor");
        mapped_[key] = {static_cast<std::byte*>(data), bytes};
      }
      begins.push_back(mapped_[key].data);
    }
    keep(wanted);
    return begins;
  }
  void drop() { keep({}); }

 private:
  using Key = std::pair<dev_t, ino_t>;
  struct Mapped {
    std::byte* data = nullptr;
    std::size_t bytes = 0;
  };
  void keep(const std::set<Key>& wanted) {
    std::erase_if(mapped_, [&](const auto& each) {
      if (wanted.contains(each.first)) return false;
      ::munmap(each.second.data, each.second.bytes);
      return true;
    });
  }
  std::map<Key, Mapped> mapped_;
};

Bindings bindings_of(const DeviceAsk& ask, const std::vector<std::byte*>& memory) {
  Bindings bound;
  bound.n_symbols = ask.n_symbols;
  bound.integers.assign(ask.integers, ask.integers + ask.n_integers);
  bound.reals.assign(ask.reals, ask.reals + ask.n_reals);
  for (const DeviceTensor& tensor : std::span(ask.tensors, ask.n_tensors)) {
    bound.tensors.push_back({.type = tensor.type,
                             .shape = {tensor.shape, tensor.shape + tensor.rank},
                             .strides = {tensor.strides, tensor.strides + tensor.rank},
                             .data = memory.at(tensor.memory) + tensor.offset});
  }
  return bound;
}

Result<std::uint32_t> run_ask(PlanDevice& device, const Packet& packet, Mappings& mappings) {
  DeviceAsk ask;
  std::memcpy(&ask, packet.bytes.data(), sizeof ask);
  HEARTH_TRY(const auto memory, mappings.map(packet.descriptors));
  HEARTH_TRY(const DevicePlan plan, plan_for_device(ask.builtin, bindings_of(ask, memory)));
  return device.run(plan, [] { return !is_given_up(); });
}

// A byte that said that a run is not wanted may come when it has ended: it means nothing then.
bool is_ask(const Packet& packet) { return packet.bytes.size() == sizeof(DeviceAsk); }

void serve(PlanDevice& device) {
  Mappings mappings;
  for (;;) {
    if (!has_packet(kKeepMappedMs)) {
      mappings.drop();
      // What has come by now is answered; whoever asks later finds that it can't, and starts
      // another.
      if (!has_packet(kIdleMs)) ::shutdown(kSocket, SHUT_RD);
    }
    const Packet packet = receive_packet(kSocket, sizeof(DeviceAsk));
    if (packet.bytes.empty()) return;
    if (!is_ask(packet)) continue;
    const Result<std::uint32_t> ran = run_ask(device, packet, mappings);
    DeviceAnswer answer = ran ? DeviceAnswer{} : answer_of(ran.error());
    if (ran) answer.n_copies = *ran;
    if (!send_packet(kSocket, bytes_of(answer))) return;
  }
}

// The first answer: which device, or why there is none.
bool tell(const Result<DeviceInfo>& info) {
  DeviceAnswer answer = info ? DeviceAnswer{} : answer_of(info.error());
  if (info) {
    answer.is_host = info->is_host ? 1 : 0;
    put_text(answer.text, info->name);
  }
  return send_packet(kSocket, bytes_of(answer)).has_value() && info.has_value();
}

bool open_and_serve(const DeviceRow& row) {
  const auto device = row.open();
  if (!device) return tell(std::unexpected(device.error()));
  if (tell((*device)->info())) serve(**device);
  return true;
}

// PoCL takes all processors unless it is told otherwise.
void limit_threads(const char* n_threads) {
  if (std::strcmp(n_threads, "0") == 0) return;
  for (const char* const name : {"POCL_MAX_PTHREAD_COUNT", "POCL_CPU_MAX_CU_COUNT"})
    ::setenv(name, n_threads, 0);
}

}  // namespace

int serve_device(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto rows = device_rows();
  const auto row = std::ranges::find(rows, std::string_view(argv[0]), &DeviceRow::name);
  if (row == rows.end()) return 2;
  end_with_owner();
  limit_threads(argv[2]);
  const bool is_served =
      std::string_view(argv[1]) == "look" ? tell(row->look()) : open_and_serve(*row);
  // Not by exit(): drivers' threads and what they would still tidy up concern nobody.
  ::_exit(is_served ? 0 : 1);
}

}  // namespace hearth::compute
