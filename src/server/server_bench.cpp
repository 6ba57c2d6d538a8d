// The server alone, on loopback, with a scripted hub: requests per second over kept
// connections, tokens per second through many streams, and the memory of open streams.
//
// Client and server share the machine, so the figures are a floor.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <fstream>
#include <vector>

#include "net/http_test_client.h"
#include "server/server.h"
#include "server/test_support/fake_hub.h"

namespace hearth::server {
namespace {

using net::TestClient;

std::unique_ptr<Server> start(FakeHub& hub) {
  auto server = Server::create({}, hub);
  HEARTH_CHECK(server.has_value());
  return *std::move(server);
}

std::string chat_bytes(std::string_view text, bool stream) {
  const std::string body =
      fmt::format(R"({{"model":"fake","messages":[{{"role":"user","content":"{}"}}],"stream":{}}})",
                  text, stream);
  return fmt::format("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
                     body.size(), body);
}

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double size = 0;
  double resident = 0;
  statm >> size >> resident;
  return resident * 4096;
}

// One request in flight on each of `range(0)` connections.
void requests(benchmark::State& state, const std::string& bytes) {
  FakeHub hub;
  const auto server = start(hub);
  std::vector<TestClient> clients;
  for (int i = 0; i < state.range(0); ++i) clients.emplace_back(server->port());
  for (auto _ : state) {
    for (TestClient& c : clients) c.send(bytes);
    for (TestClient& c : clients) HEARTH_CHECK(c.read_response().status == 200);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void health(benchmark::State& state) { requests(state, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"); }
void whole_chat(benchmark::State& state) { requests(state, chat_bytes("count 1", false)); }
BENCHMARK(health)->Arg(1)->Arg(64)->UseRealTime();
BENCHMARK(whole_chat)->Arg(1)->Arg(64)->UseRealTime();

// Streams of 1,000 tokens each on `range(0)` connections at once; items are tokens.
void streamed_tokens(benchmark::State& state) {
  FakeHub hub;
  const auto server = start(hub);
  const std::string bytes = chat_bytes("count 1000", true);
  std::vector<TestClient> clients;
  for (int i = 0; i < state.range(0); ++i) clients.emplace_back(server->port());
  for (auto _ : state) {
    for (TestClient& c : clients) c.send(bytes);
    for (TestClient& c : clients) HEARTH_CHECK(c.read_response().status == 200);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0) * 1000);
}
BENCHMARK(streamed_tokens)->Arg(1)->Arg(16)->UseRealTime();

// Memory of `range(0)` open streams, each after its first token; the scripted hub's share is in it.
void open_streams(benchmark::State& state) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const std::string bytes = chat_bytes("hold", true);
  for (auto _ : state) {
    FakeHub hub;
    const auto server = start(hub);
    const double before = resident_bytes();
    std::vector<TestClient> clients;
    for (int i = 0; i < state.range(0); ++i) {
      clients.emplace_back(server->port());
      clients.back().send(bytes);
    }
    for (TestClient& c : clients) HEARTH_CHECK(c.await("\"content\":\"held\""));
    state.counters["bytes_per_stream"] =
        (resident_bytes() - before) / static_cast<double>(state.range(0));
  }
}
BENCHMARK(open_streams)->Arg(1000)->Iterations(1)->UseRealTime();

}  // namespace
}  // namespace hearth::server
