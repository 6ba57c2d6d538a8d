// A program that tries to get out of a compile jail; its first argument says how.  Prints what came
// of it.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

namespace {

const char* target = "";  // The second argument: a path or a process.

int try_connect() { return socket(AF_INET, SOCK_STREAM, 0); }
int try_unix_socket() { return socket(AF_UNIX, SOCK_STREAM, 0); }
int try_socket_pair() {
  int pair[2];
  return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}
int try_read() { return open(target, O_RDONLY); }
int try_write() { return open(target, O_WRONLY); }
int try_truncate() { return truncate(target, 0); }
int try_open_truncating() { return open(target, O_RDONLY | O_TRUNC); }
int try_open_truncating_oddly() { return open(target, O_ACCMODE | O_TRUNC); }
int try_create() { return open(target, O_CREAT | O_WRONLY | O_EXCL, 0644); }
int try_remove() { return unlink(target); }
int try_chmod() { return chmod(target, 0777); }
int try_run() {
  char* const argv[] = {const_cast<char*>(target), nullptr};
  return execve(target, argv, nullptr);
}
int try_kill() { return kill(atoi(target), SIGKILL); }
int try_signal_by_pipe() {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  if (fcntl(ends[0], F_SETOWN, atoi(target)) != 0) return -1;
  return 0;
}
int try_ptrace() { return static_cast<int>(ptrace(PTRACE_ATTACH, atoi(target), nullptr, nullptr)); }
int try_read_memory() {
  char byte;
  iovec local{&byte, 1}, remote{&byte, 1};
  return static_cast<int>(process_vm_readv(atoi(target), &local, 1, &remote, 1, 0));
}
int try_own_memory() { return open("/proc/self/mem", O_RDWR); }
int try_leave_group() { return setpgid(0, 0); }
int try_new_session() { return setsid() < 0 ? -1 : 0; }
int try_new_namespace() {
  return static_cast<int>(syscall(SYS_clone, 0x10000000 | SIGCHLD, 0, 0, 0, 0));
}
int try_clone3() { return static_cast<int>(syscall(SYS_clone3, nullptr, 0)); }
int try_memory_file() { return static_cast<int>(syscall(SYS_memfd_create, "x", 0)); }
int try_more_cpu() {
  const rlimit more{RLIM_INFINITY, RLIM_INFINITY};
  return setrlimit(RLIMIT_CPU, &more);
}
int try_io_uring() { return static_cast<int>(syscall(425, 1, nullptr)); }
int try_mount() { return static_cast<int>(syscall(SYS_mount, "x", "/tmp", "tmpfs", 0, nullptr)); }

int fork_once() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  if (child > 0) waitpid(child, nullptr, 0);
  return child;
}
int try_fork_many() {
  int started = 0;
  for (int i = 0; i < 50; ++i) started += fork_once() > 0 ? 1 : 0;
  printf("started %d\n", started);
  return 0;
}
int try_orphans() {
  if (fork() == 0) {
    if (fork() == 0) {
      for (;;) pause();
    }
    _exit(0);
  }
  wait(nullptr);
  return 0;
}
int try_loop() {
  for (;;) asm volatile("");
}
int try_sleep() {
  for (;;) pause();
}
int try_memory() {
  const size_t step = size_t{64} << 20;
  for (size_t taken = 0;; taken += step) {
    void* at = mmap(nullptr, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
      printf("taken %zu MiB\n", taken >> 20);
      return 0;
    }
  }
}
int try_output() {
  const std::string line(1023, 'x');
  for (int i = 0; i < 4096; ++i) puts(line.c_str());
  return 0;
}
int try_large_file() {
  const int fd = open(target, O_CREAT | O_WRONLY, 0644);
  const std::string block(1 << 20, 'x');
  for (int i = 0; i < 1024; ++i) {
    if (write(fd, block.data(), block.size()) < 0) return -1;
  }
  return 0;
}
int try_environment() {
  for (char** variable = environ; *variable != nullptr; ++variable) puts(*variable);
  return 0;
}
int try_echo() {
  char text[256];
  const ssize_t n = read(0, text, sizeof text);
  return n >= 0 && write(1, text, static_cast<size_t>(n)) == n && write(2, "!", 1) == 1 ? 0 : -1;
}
int try_descriptors() {
  int open_ones = 0;
  for (int fd = 0; fd < 256; ++fd) open_ones += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  printf("open %d\n", open_ones);
  return 0;
}
// Root without capabilities can't change its user.
int try_capabilities() {
  return setuid(12345);
}

struct Row {
  const char* name;
  int (*attempt)();
};
constexpr Row kRows[] = {
    {"connect", try_connect},
    {"unix_socket", try_unix_socket},
    {"socket_pair", try_socket_pair},
    {"read", try_read},
    {"write", try_write},
    {"truncate", try_truncate},
    {"open_truncating", try_open_truncating},
    {"open_truncating_oddly", try_open_truncating_oddly},
    {"create", try_create},
    {"remove", try_remove},
    {"chmod", try_chmod},
    {"run", try_run},
    {"kill", try_kill},
    {"signal_by_pipe", try_signal_by_pipe},
    {"ptrace", try_ptrace},
    {"read_memory", try_read_memory},
    {"own_memory", try_own_memory},
    {"leave_group", try_leave_group},
    {"new_session", try_new_session},
    {"new_namespace", try_new_namespace},
    {"clone3", try_clone3},
    {"memory_file", try_memory_file},
    {"more_cpu", try_more_cpu},
    {"io_uring", try_io_uring},
    {"mount", try_mount},
    {"fork_many", try_fork_many},
    {"orphans", try_orphans},
    {"loop", try_loop},
    {"sleep", try_sleep},
    {"memory", try_memory},
    {"output", try_output},
    {"large_file", try_large_file},
    {"environment", try_environment},
    {"echo", try_echo},
    {"descriptors", try_descriptors},
    {"capabilities", try_capabilities},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2) target = argv[2];
  for (const Row& row : kRows) {
    if (argc < 2 || strcmp(argv[1], row.name) != 0) continue;
    errno = 0;
    const int result = row.attempt();
    if (result < 0) printf("refused: %s\n", strerror(errno));
    return result < 0 ? 1 : 0;
  }
  return 2;
}
