// What this library and its jailed program say to one another: packets on a SOCK_SEQPACKET socket.
//
// The program reads them before it runs anything foreign, and believes this side.  This side
// believes a jailer (worker/command.h), which runs nothing foreign itself, and of a worker only
// what it can check.
#pragma once

#include <cstdint>

namespace hearth::sandbox {

inline constexpr std::uint32_t kSentenceBytes = 400;

// Where the program finds what it was started with.
inline constexpr int kControlFd = 0;  // Its end of the socket.
inline constexpr int kLifelineFd =
    1;                              // Worker: a socket on which nothing comes but its owner's end.
inline constexpr int kInputFd = 1;  // Jailer: what the command reads.
inline constexpr int kChannelFd = 2;  // Worker: the run channel's memory.
inline constexpr int kOutputFd = 2;   // Jailer: where the command writes.
inline constexpr int kProgramFd = 3;  // The program itself; the first thing that it closes.

enum class ControlOp : std::uint32_t { kLoad = 1, kDrop, kMap, kUnmap };

// With the descriptor of the image or memory beside it, for kLoad and kMap.
struct ControlRequest {
  ControlOp op;
  std::uint32_t number;    // Of the kernel or mapping: chosen by the asker.
  std::uint64_t offset;    // kMap: of the file's first byte to map.
  std::uint64_t bytes;     // kMap: to map; kLoad: of the image's file.
  std::uint32_t writable;  // kMap
  std::uint32_t populate;  // kMap
};

// The answer to each request, and the first word of a worker (op 0) and of a jail that was probed.
struct ControlReply {
  std::uint32_t op;
  std::uint32_t number;
  std::uint32_t is_ok;
  std::uint32_t reserved;
  char sentence[kSentenceBytes];  // Why not, ended by a zero; of a ready device, its identity.
};

enum class CommandEnd : std::uint32_t {
  kRan,        // The command was run; the fields below say how it went.
  kNoJail,     // The jail could not be built: nothing ran.
  kNoProgram,  // The program could not be started.
};

// A jailer's only packet.
struct CommandReport {
  CommandEnd end;
  std::int32_t wait_status;  // As waitpid has it.
  std::uint32_t timed_out;
  std::uint32_t n_refused_processes;
  std::uint64_t cpu_us;
  char sentence[kSentenceBytes];
};

}  // namespace hearth::sandbox
