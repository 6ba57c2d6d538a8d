// hearth_kills RUNS [CLIENTS [SEED]]: a hub whose clients run kernels, of the house and compiled ones, while
// clients and workers are killed at random.
//
// What must hold: every run that a client was told is done has the right result; a killed worker costs its
// client HEARTH_FAULT and nothing else; and in the end the hub has no memory, descriptor, session or
// process more than in the beginning.  Exits 0 if so, 1 with the reason if not, 77 where no jail can be built.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "compute/bridge/server.h"
#include "hearth/hearth.h"
#include "test_support/jailed_kernel.h"

extern char** environ;

namespace hearth::client {
namespace {

constexpr int kSkipped = 77;
constexpr int kCountersFd = 3;  // Of clients: where they count what they have done.
constexpr std::uint32_t kClientsMax = 64;

struct Counters {
  std::atomic<std::uint32_t> n_done{0}, n_faults{0}, n_wrong{0};
};

[[noreturn]] void give_up(const std::string& why, int status = 1) {
  std::fprintf(stderr, "hearth_kills: %s\n", why.c_str());
  std::_Exit(status);
}

// ---- A client: runs until it is killed.

struct Client {
  hearth_context* context = nullptr;
  hearth_kernel* house = nullptr;
  hearth_kernel* jailed = nullptr;
  std::mt19937_64 random;

  hearth_tensor* alloc(std::int64_t n) {
    hearth_tensor* tensor = nullptr;
    if (hearth_alloc(context, HEARTH_F64, 1, &n, &tensor) != HEARTH_OK) give_up(hearth_error());
    return tensor;
  }
  hearth_kernel* open(const char* name) {
    const hearth_source source{sizeof source, HEARTH_BY_NAME, name, 0};
    hearth_kernel* kernel = nullptr;
    if (hearth_kernel_open(context, &source, &kernel) != HEARTH_OK) give_up(hearth_error());
    return kernel;
  }
};

// One run on fresh numbers; what it said, and whether its result is right.
void run_once(Client& client, Counters& counters) {
  const std::int64_t n = 1 + static_cast<std::int64_t>(client.random() % 3000);
  hearth_tensor* const in = client.alloc(n);
  hearth_tensor* const out = client.alloc(n);
  auto* const x = static_cast<double*>(hearth_data(in));
  const auto* const y = static_cast<const double*>(hearth_data(out));
  const double base = static_cast<double>(client.random() % 1000);
  for (std::int64_t i = 0; i < n; ++i) x[i] = base + static_cast<double>(i);
  std::memset(hearth_data(out), 0xFF, static_cast<std::size_t>(n) * sizeof(double));

  const bool is_jailed = client.random() % 3 != 0;
  const hearth_value values[] = {hearth_of(out), hearth_of(in), is_jailed ? hearth_integer(kDouble) : hearth_real(2)};
  const hearth_status status = hearth_run(is_jailed ? client.jailed : client.house, values, 3, nullptr, nullptr);
  if (status == HEARTH_OK) {
    bool is_right = true;
    for (std::int64_t i = 0; i < n; ++i) is_right = is_right && y[i] == 2 * (base + static_cast<double>(i));
    ++(is_right ? counters.n_done : counters.n_wrong);
  } else if (status == HEARTH_FAULT && is_jailed) {
    ++counters.n_faults;
  } else {
    give_up(std::string("a run failed otherwise: ") + hearth_error(), status == HEARTH_UNSUPPORTED ? kSkipped : 1);
  }
  hearth_free(in);
  hearth_free(out);
}

int be_client(const char* socket, std::uint32_t slot, std::uint64_t seed) {
  void* shared = ::mmap(nullptr, sizeof(Counters) * kClientsMax, PROT_READ | PROT_WRITE, MAP_SHARED, kCountersFd, 0);
  if (shared == MAP_FAILED) give_up("no counters");
  Client client;
  client.random.seed(seed);
  hearth_options options{};
  options.size = sizeof options;
  options.socket = socket;
  if (hearth_open(&options, &client.context) != HEARTH_OK) give_up(hearth_error());
  client.house = client.open("scale_f64");
  client.jailed = client.open("test");
  for (;;) run_once(client, static_cast<Counters*>(shared)[slot]);
}

// ---- The hub's side.

// Processes whose parent this one is.
std::set<pid_t> children() {
  std::set<pid_t> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "stat");
    std::string text;
    std::getline(file, text);
    const std::size_t after_name = text.rfind(')');
    if (after_name == std::string::npos) continue;
    char state = 0;
    int parent = 0;
    if (std::sscanf(text.c_str() + after_name + 1, " %c %d", &state, &parent) == 2 && parent == ::getpid()) found.insert(std::stoi(name));
  }
  return found;
}

std::size_t n_open_files() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

// Memory of this process's own, without what it shares with clients.
std::uint64_t anonymous_bytes() {
  ::malloc_trim(0);
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("RssAnon:")) return std::strtoull(line.c_str() + 8, nullptr, 10) << 10;
  }
  return 0;
}

pid_t start_client(const char* program, const std::string& socket, int counters, std::uint32_t slot, std::uint64_t seed) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, counters, kCountersFd);
  const std::string slot_text = std::to_string(slot), seed_text = std::to_string(seed);
  const char* arguments[] = {program, "--client", socket.c_str(), slot_text.c_str(), seed_text.c_str(), nullptr};
  pid_t process = -1;
  if (::posix_spawn(&process, program, &actions, nullptr, const_cast<char**>(arguments), environ) != 0) give_up("no client could be started");
  posix_spawn_file_actions_destroy(&actions);
  return process;
}

// A client that ended by itself has failed, and said why.
void reap(pid_t process, bool was_killed) {
  int status = 0;
  ::waitpid(process, &status, 0);
  if (was_killed && WIFSIGNALED(status)) return;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSkipped) std::_Exit(kSkipped);
  give_up("a client ended by itself");
}

template <class Condition>
void await(const char* what, Condition&& condition) {
  for (int i = 0; i < 20'000; ++i) {
    if (condition()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  give_up(std::string("still there after 20 s: ") + what);
}

struct Totals {
  std::uint64_t n_done = 0, n_faults = 0, n_wrong = 0;
};
Totals add_up(const Counters* counters) {
  Totals totals;
  for (std::uint32_t i = 0; i < kClientsMax; ++i) {
    totals.n_done += counters[i].n_done, totals.n_faults += counters[i].n_faults, totals.n_wrong += counters[i].n_wrong;
  }
  return totals;
}

// Whatever a run, a client or a worker left behind would be there thousands of times.
void check_memory(std::uint64_t before, std::uint64_t after) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return (void)before, (void)after;  // They keep what is freed.
#endif
  constexpr std::uint64_t kGrowthMax = std::uint64_t{16} << 20;  // Heaps of threads that came later.
  std::printf("%.1f MiB resident after a quarter of the runs, %.1f in the end\n", static_cast<double>(before) / 0x1p20,
              static_cast<double>(after) / 0x1p20);
  if (before != 0 && after > before + kGrowthMax) give_up("the hub's memory grew");
}

int be_hub(const char* program, std::uint64_t n_runs, std::uint32_t n_clients, std::uint64_t seed) {
  const auto folder = std::filesystem::temp_directory_path() / ("hearth-kills-" + std::to_string(::getpid()));
  compute::bridge::Services services;
  services.hub_kernels = compute::bridge::house_kernels();
  services.find_kernel = [](std::string_view) { return test_kernel(); };
  compute::bridge::ServerOptions options;
  options.socket = folder / "bridge.sock";
  auto server = compute::bridge::Server::start(options, std::move(services));
  if (!server) give_up(server.error().message);

  const int memory = ::memfd_create("counters", MFD_CLOEXEC);
  if (memory < 0 || ::ftruncate(memory, sizeof(Counters) * kClientsMax) != 0) give_up("no counters");
  const auto* counters = static_cast<const Counters*>(::mmap(nullptr, sizeof(Counters) * kClientsMax, PROT_READ, MAP_SHARED, memory, 0));
  const std::size_t n_files = n_open_files();

  std::mt19937_64 random(seed);
  std::vector<pid_t> clients;
  for (std::uint32_t i = 0; i < n_clients; ++i) clients.push_back(start_client(program, options.socket, memory, i, random()));
  std::uint64_t n_clients_killed = 0, n_workers_killed = 0, bytes_before = 0;
  while (add_up(counters).n_done < n_runs) {
    // Once all of what is kept has been needed.
    if (bytes_before == 0 && add_up(counters).n_done > n_runs / 4) bytes_before = anonymous_bytes();
    std::this_thread::sleep_for(std::chrono::milliseconds(1 + random() % 10));
    for (const pid_t client : clients) {
      int status = 0;
      if (::waitpid(client, &status, WNOHANG) != client) continue;
      if (WIFEXITED(status)) std::_Exit(WEXITSTATUS(status));
      give_up("a client ended by signal " + std::to_string(WTERMSIG(status)));
    }
    if (random() % 3 == 0) {
      const auto slot = static_cast<std::uint32_t>(random() % n_clients);
      ::kill(clients[slot], SIGKILL);
      reap(clients[slot], true);
      clients[slot] = start_client(program, options.socket, memory, slot, random());
      ++n_clients_killed;
      continue;
    }
    std::set<pid_t> workers = children();
    for (const pid_t client : clients) workers.erase(client);
    if (workers.empty()) continue;
    ::kill(*std::next(workers.begin(), static_cast<std::ptrdiff_t>(random() % workers.size())), SIGKILL);
    ++n_workers_killed;
  }
  for (const pid_t client : clients) {
    ::kill(client, SIGKILL);
    reap(client, true);
  }

  const Totals totals = add_up(counters);
  std::printf("%llu runs right, %llu wrong, %llu faults; %llu clients and %llu workers killed (seed %llu)\n",
              static_cast<unsigned long long>(totals.n_done), static_cast<unsigned long long>(totals.n_wrong),
              static_cast<unsigned long long>(totals.n_faults), static_cast<unsigned long long>(n_clients_killed),
              static_cast<unsigned long long>(n_workers_killed), static_cast<unsigned long long>(seed));
  if (totals.n_wrong != 0) give_up("a result was wrong");
  await("sessions", [&] { return (*server)->stats().n_sessions == 0; });
  await("memory of the pool", [&] { return (*server)->stats().pool_bytes_used == 0; });
  check_memory(bytes_before, anonymous_bytes());
  *server = nullptr;
  await("processes", [] { return children().empty(); });
  // The server's own three are closed by now.
  if (n_open_files() > n_files) give_up("descriptors were left open: " + std::to_string(n_open_files()) + ", " + std::to_string(n_files) + " before");
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace hearth::client

int main(int argc, char** argv) {
  if (argc == 5 && std::strcmp(argv[1], "--client") == 0) {
    return hearth::client::be_client(argv[2], static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10)), std::strtoull(argv[4], nullptr, 10));
  }
  const std::uint64_t n_runs = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10'000;
  const auto n_clients = static_cast<std::uint32_t>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 8);
  const std::uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : std::random_device()();
  if (n_clients == 0 || n_clients > hearth::client::kClientsMax) hearth::client::give_up("1 to 64 clients");
  return hearth::client::be_hub("/proc/self/exe", n_runs, n_clients, seed);
}
