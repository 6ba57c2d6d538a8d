#include "sandbox/worker/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "sandbox/descriptor_room.h"
#include "sandbox/protocol.h"
#include "sandbox/worker/runner.h"

namespace hearth::sandbox {
namespace {

[[noreturn]] void end_process(int status) {
  for (;;) ::syscall(SYS_exit_group, status);
}

void reply(std::uint32_t op, std::uint32_t number, bool is_ok, const Trouble& trouble) {
  ControlReply packet{op, number, is_ok ? 1U : 0U, 0, {}};
  if (!is_ok) std::memcpy(packet.sentence, trouble.text(), kSentenceBytes);
  if (::write(kControlFd, &packet, sizeof packet) != sizeof packet) end_process(1);
}

LoadImage load_into = nullptr;

bool load(const ControlRequest& request, int fd, Trouble& trouble) {
  Image* slot = image_slot(request.number);
  if (slot == nullptr || slot->is_loaded() || fd < 0)
    return refuse(trouble, "the worker has no such place");
  Image image;
  if (!load_into(fd, request.bytes, image, trouble)) return false;
  *slot = image;
  return true;
}

bool drop(const ControlRequest& request, Trouble& trouble) {
  Image* slot = image_slot(request.number);
  if (slot == nullptr || !slot->is_loaded())
    return refuse(trouble, "the worker has no such kernel");
  slot->entry = nullptr;
  slot->run_on_device = nullptr;
  publish_slots();
  release(slot->region);
  return true;
}

bool map(const ControlRequest& request, int fd, Trouble& trouble) {
  Region* slot = mapping_slot(request.number);
  if (slot == nullptr || slot->memory != nullptr || fd < 0)
    return refuse(trouble, "the worker has no such place");
  Region region;
  if (!map_memory(fd, request.offset, request.bytes, request.writable != 0, request.populate != 0,
                  region, trouble)) {
    return false;
  }
  *slot = region;
  return true;
}

bool unmap(const ControlRequest& request, Trouble& trouble) {
  Region* slot = mapping_slot(request.number);
  if (slot == nullptr || slot->memory == nullptr)
    return refuse(trouble, "the worker has no such mapping");
  release(*slot);
  return true;
}

bool carry_out(const ControlRequest& request, int fd, Trouble& trouble) {
  switch (request.op) {
    case ControlOp::kLoad:
      return load(request, fd, trouble);
    case ControlOp::kDrop:
      return drop(request, trouble);
    case ControlOp::kMap:
      return map(request, fd, trouble);
    case ControlOp::kUnmap:
      return unmap(request, trouble);
  }
  return refuse(trouble, "the worker knows no such request");
}

// Reads one request and the descriptor beside it, or ends the process when the owner is gone.
ControlRequest receive(int& fd) {
  ControlRequest request{};
  iovec part{&request, sizeof request};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  DescriptorRoom<1> beside;
  beside.offer(message);
  const ssize_t n = ::recvmsg(kControlFd, &message, MSG_CMSG_CLOEXEC);
  if (n != sizeof request) end_process(n == 0 ? 0 : 1);
  fd = -1;
  take_descriptors(message, [&fd](int descriptor) { fd = descriptor; });
  return request;
}

}  // namespace

bool map_channel(Trouble& trouble) {
  void* at = ::mmap(nullptr, kRunChannelBytes, PROT_READ | PROT_WRITE, MAP_SHARED, kChannelFd, 0);
  if (at == MAP_FAILED)
    return refuse(trouble, "the run channel can't be mapped (", std::strerror(errno), ")");
  ::close(kChannelFd);
  set_channel(static_cast<RunChannel*>(at));
  return true;
}

// Nothing ever comes on the lifeline but its end, when the owner's is closed: then the kernel kills
// this process, whatever runs in it.
bool hold_lifeline(Trouble& trouble) {
  const int flags = ::fcntl(kLifelineFd, F_GETFL);
  if (flags < 0 || ::fcntl(kLifelineFd, F_SETOWN, ::getpid()) != 0 ||
      ::fcntl(kLifelineFd, F_SETSIG, SIGKILL) != 0 ||
      ::fcntl(kLifelineFd, F_SETFL, flags | O_ASYNC) != 0) {
    return refuse(trouble, "the lifeline was refused by the system (", std::strerror(errno), ")");
  }
  pollfd already{kLifelineFd, POLLIN, 0};
  if (::poll(&already, 1, 0) != 0) end_process(1);
  return true;
}

void tell_ready(bool jailed, const Trouble& trouble) {
  reply(0, 0, jailed, trouble);
  if (!jailed) end_process(1);
}

void tell_ready_with(const void* news, std::size_t bytes) {
  ControlReply packet{0, 0, 1, 0, {}};
  std::memcpy(packet.sentence, news, bytes);
  if (::write(kControlFd, &packet, sizeof packet) != sizeof packet) end_process(1);
}

void serve_requests(LoadImage loader) {
  load_into = loader;
  for (;;) {
    int fd = -1;
    const ControlRequest request = receive(fd);
    Trouble why;
    const bool done = carry_out(request, fd, why);
    if (fd >= 0) ::close(fd);
    publish_slots();
    reply(static_cast<std::uint32_t>(request.op), request.number, done, why);
  }
}

}  // namespace hearth::sandbox
