// The worker of device kernels, from its first instruction to the loop that reads the control socket.
//
// Landlock comes before the driver is opened, since it binds a thread and those that it starts, and
// drivers start theirs at once; the filter of system calls comes last, for all threads together, when
// the driver has what it wants.  What is left to a kernel is then what PoCL needs to run one: files
// that anybody may read, a scratch folder that goes with the worker, memory, and sleeping.  On a GPU
// the driver's ioctls are left as well, and what a kernel may do with them nobody here knows.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sandbox/device/backend.h"
#include "sandbox/worker/arguments.h"
#include "sandbox/worker/control.h"
#include "sandbox/worker/lockdown.h"
#include "sandbox/worker/runner.h"
#include "sandbox/worker/team.h"

namespace hearth::sandbox {
namespace {

constexpr std::uint32_t kPathsMax = 64;
constexpr std::uint64_t kDriverBytes = std::uint64_t{2} << 30;     // Its own memory: compilers.
constexpr std::uint64_t kDriverAddresses = std::uint64_t{8} << 30; // And libraries' and arenas'.
constexpr std::uint64_t kScratchFileBytes = std::uint64_t{64} << 20;

const DeviceBackend* backend = nullptr;
DeviceIdentity here;
bool is_taken = false;  // There is a kernel.

bool allow_paths(int argc, char** argv, Trouble& trouble) {
  static constexpr struct {
    const char* key;
    PathUse use;
  } kUses[] = {{"r=", PathUse::kRead}, {"d=", PathUse::kDevice}, {"scratch=", PathUse::kWrite}};
  static AllowedPath paths[kPathsMax];
  std::uint32_t n = 0;
  for (int i = 2; i < argc; ++i) {
    for (const auto& [key, use] : kUses) {
      const char* const path = value_of(argv[i], key);
      if (path == nullptr) continue;
      if (n == kPathsMax) return refuse(trouble, "more than ", kPathsMax, " paths");
      paths[n++] = {path, use};
    }
  }
  return close_files({paths, n}, trouble);
}

// PoCL's settings: its cache is the scratch folder; it compiles nothing (opencl.cpp); faults and
// divisions by zero are told, not handled.
void set_environment(int argc, char** argv) {
  const char* const scratch = text_of(argc, argv, "scratch=");
  const char* const threads = text_of(argc, argv, "threads=");
  const char* const settings[][2] = {{"POCL_CACHE_DIR", scratch},
                                     {"TMPDIR", scratch},
                                     {"HOME", scratch},
                                     {"POCL_WORK_GROUP_SPECIALIZATION", "0"},
                                     {"POCL_MAX_PTHREAD_COUNT", threads},
                                     {"POCL_CPU_MAX_CU_COUNT", threads},
                                     {"POCL_SIGFPE_HANDLER", "0"},
                                     {"POCL_SIGUSR2_HANDLER", "0"},
                                     {"CUDA_CACHE_DISABLE", "1"}};
  for (const auto& [name, value] : settings) ::setenv(name, value, 1);
}

void* run_thread(void*) {
  Trouble trouble;
  if (!use_signal_stack(trouble)) ::_exit(1);
  run_kernels();
}

bool start_runner(std::uint64_t stack_bytes, Trouble& trouble) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_t thread;
  int error = pthread_attr_setstacksize(&attributes, stack_bytes);
  if (error == 0) error = pthread_create(&thread, &attributes, run_thread, nullptr);
  return error == 0 ||
         refuse(trouble, "a thread was refused by the system (", std::strerror(error), ")");
}

// A GPU's driver takes addresses for all memory that there is, here and there.
bool limit_memory(int argc, char** argv, Trouble& trouble) {
  const std::uint64_t memory = number_of(argc, argv, "memory=") + kDriverBytes;
  const Resource resources[] = {
      {RLIMIT_AS, memory + number_of(argc, argv, "mapped=") + kDriverAddresses},
      {RLIMIT_DATA, memory},
      {RLIMIT_FSIZE, kScratchFileBytes},
      {RLIMIT_NOFILE, 64},
      {RLIMIT_MEMLOCK, 0},
  };
  const std::size_t first = here.is_host != 0 ? 0 : 2;
  return limit_resources(std::span(resources).subspan(first), trouble);
}

// Where the channel was.  Else the next file to be opened, or a tensor's memory while it is mapped,
// would be what the driver complains to.
bool silence_driver(Trouble& trouble) {
  return ::open("/dev/null", O_WRONLY | O_CLOEXEC) == STDERR_FILENO ||
         refuse(trouble, "/dev/null can't be opened (", std::strerror(errno), ")");
}

bool enter_jail(int argc, char** argv, Trouble& trouble) {
  if (!map_channel(trouble) || !silence_driver(trouble) || !hold_lifeline(trouble)) return false;
  measure_spin(static_cast<std::int64_t>(number_of(argc, argv, "spin=")) * 1000);
  set_environment(argc, argv);
  if (!be_expendable(trouble) || !drop_privileges(trouble) || !allow_paths(argc, argv, trouble) ||
      !backend->open(text_of(argc, argv, "library="), trouble)) {
    return false;
  }
  backend->identify(here);
  return tell_faults(trouble) && use_signal_stack(trouble) &&
         start_runner(number_of(argc, argv, "stack="), trouble) &&
         limit_memory(argc, argv, trouble) &&
         filter_calls_of_all_threads(device_filter(here.is_host == 0), trouble);
}

bool is_text(const char* text, std::size_t bytes) { return std::memchr(text, 0, bytes) != nullptr; }

// What the run relies on: every index within its list, every text ended.
bool is_sound(const DeviceImageHeader& header) {
  if (std::memcmp(header.magic, kDeviceImageMagic, sizeof header.magic) != 0 ||
      header.n_dimensions < 1 || header.n_dimensions > kRunDimensionsMax ||
      header.n_arguments > kDeviceArgumentsMax || !is_text(header.name, sizeof header.name) ||
      !is_text(header.made_for.device, kDeviceNameBytes) ||
      !is_text(header.made_for.target, kDeviceNameBytes)) {
    return false;
  }
  for (std::uint32_t d = 0; d < header.n_dimensions; ++d) {
    if (header.group[d] == 0) return false;
  }
  for (std::uint32_t i = 0; i < header.n_arguments; ++i) {
    if (header.arguments[i].index >= kRunBuffersMax) return false;  // All lists are as long.
  }
  return true;
}

bool load_kernel(int fd, std::uint64_t file_bytes, Image& image, Trouble& trouble) {
  if (is_taken) return refuse(trouble, "a worker of devices holds one kernel");
  if (file_bytes <= sizeof(DeviceImageHeader))
    return refuse(trouble, "it is no kernel for a device");
  void* const file = ::mmap(nullptr, file_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (file == MAP_FAILED) return refuse(trouble, "it can't be read (", std::strerror(errno), ")");
  DeviceImageHeader header;
  std::memcpy(&header, file, sizeof header);
  if (!is_sound(header)) return refuse(trouble, "it is no kernel for a device");
  if (std::strcmp(header.made_for.target, here.target) != 0) {
    return refuse(trouble, "it was built for ", Foreign{header.made_for.target}, ", and here is ",
                  Foreign{here.target});
  }
  const auto* const binary = static_cast<const unsigned char*>(file) + sizeof header;
  if (!backend->load(header, binary, file_bytes - sizeof header, trouble)) return false;
  is_taken = true;
  image.run_on_device = backend->run;
  return true;
}

}  // namespace

void serve_device(int argc, char** argv) {
  static_assert(kRunBuffersMax == kRunIntegersMax && kRunBuffersMax == kRunRealsMax);
  backend = std::strcmp(text_of(argc, argv, "kind="), "cuda") == 0 ? &cuda_backend()
                                                                   : &opencl_backend();
  Trouble trouble;
  if (enter_jail(argc, argv, trouble)) {
    tell_ready_with(&here, sizeof here);
  } else {
    tell_ready(false, trouble);
  }
  serve_requests(load_kernel);
}

}  // namespace hearth::sandbox
