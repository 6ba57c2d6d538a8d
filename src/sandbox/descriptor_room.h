// Descriptors that travel beside a message of a Unix socket (SCM_RIGHTS; unix(7), cmsg(3)).
//
// Header-only and without allocation: the jailed program has neither a library nor memory to spare.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstring>

namespace hearth::sandbox {

// Room for kMax of them.
template <std::size_t kMax>
struct DescriptorRoom {
  // To send `n` descriptors, at most kMax; none changes nothing.
  void attach(msghdr& message, const int* descriptors, std::size_t n) {
    if (n == 0) return;
    message.msg_control = bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * n);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * n);
    std::memcpy(CMSG_DATA(header), descriptors, sizeof(int) * n);
  }
  // To receive.
  void offer(msghdr& message) {
    message.msg_control = bytes;
    message.msg_controllen = sizeof bytes;
  }

  alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(int) * kMax)] = {};
};

// Calls take(descriptor) for each that came with a message: it is the caller's from then on.
template <class Take>
void take_descriptors(msghdr& message, Take&& take) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < n; ++i) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(part) + i * sizeof(int), sizeof descriptor);
      take(descriptor);
    }
  }
}

}  // namespace hearth::sandbox
