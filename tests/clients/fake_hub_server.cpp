// Serves scripted answers over the real HTTP server, for tests with real clients and for
// measuring the server alone.  A registry of its own has the model "tiny:1b", whose line breaks once.
//
// Usage: fake_hub_server [PORT [STEP_US]]   prints its URL and serves until standard input
// ends or SIGTERM comes.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "server/server.h"
#include "server/test_support/fake_hub.h"
#include "store/registry_for_test.h"

namespace {

// Blocks SIGTERM and SIGINT in every thread and returns a descriptor that reports them.
int block_stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_CLOEXEC);
}

void wait_for_stop(int signals) {
  pollfd fds[] = {{signals, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  char byte = 0;
  while (true) {
    if (::poll(fds, 2, -1) < 0) continue;
    if (fds[0].revents != 0) return;
    if (fds[1].revents != 0 && ::read(STDIN_FILENO, &byte, 1) <= 0) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int signals = block_stop_signals();
  const auto port = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 0UL;
  const auto step_us = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 0L;

  hearth::server::FakeHub hub{std::chrono::microseconds(step_us)};
  hearth::store::RegistryForTest registry{std::string(300'000, 'm')};
  registry.breaks_once = true;
  std::string folder = (std::filesystem::temp_directory_path() / "hearth_fake_hub_XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  hearth::hub::Pulls pulls({.from = {.folder = folder, .ollama_url = registry.url()}, .pause = std::chrono::milliseconds(1)}, hub);
  hearth::server::ServerOptions options;
  options.pulls = &pulls;
  options.http.port = static_cast<std::uint16_t>(port);
  options.version = "0.0.0-fake";
  auto server = hearth::server::Server::create(std::move(options), hub);
  if (!server) {
    std::fprintf(stderr, "fake_hub_server: %s\n", server.error().message.c_str());
    return 1;
  }
  std::printf("%s\n", (*server)->url().c_str());
  std::fflush(stdout);
  wait_for_stop(signals);
  (*server)->stop(std::chrono::milliseconds(500));
  pulls.stop();
  std::filesystem::remove_all(folder);
  return 0;
}
