// What the hub adds to a local request: everything between the parsed request and its
// receipt except the engine's own work, which a stand-in answers at once.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "hub/fakes_for_test.h"

namespace hearth::hub {
namespace {

// Says one token and ends, on the caller's thread.
class InstantEngine final : public engine::Engine {
 public:
  Result<engine::JobId> submit(engine::GenerateRequest,
                               std::shared_ptr<engine::GenerateSink> sink) override {
    engine::TokenEvent event;
    event.text = "word";
    sink->on_token(engine::JobId{1}, event);
    sink->on_finish(engine::JobId{1}, {});
    return engine::JobId{1};
  }
  void cancel(engine::JobId) override {}
  std::uint32_t context_tokens(const model::Model&) const override { return 4096; }
  engine::EngineStats stats() const override { return {}; }
};

void answer_local_request(benchmark::State& state) {
  std::string name = (std::filesystem::temp_directory_path() / "hearth_hub_XXXXXX").string();
  const std::filesystem::path folder = ::mkdtemp(name.data());
  ConductorParts parts;
  parts.ledger =
      std::move(*ledger::Ledger::open(folder / "ledger.db", ledger::Ledger::Mode::kReadWrite));
  parts.writer = std::make_unique<ledger::LedgerWriter>(*parts.ledger);
  parts.engine = std::make_unique<InstantEngine>();
  auto source = std::make_unique<FakeSource>();
  source->add("tiny", std::make_shared<FakeModel>());
  parts.shelf = std::make_unique<ModelShelf>(std::move(source), ShelfOptions{});
  {
    Conductor hub(std::move(parts), {});
    const std::string question(static_cast<std::size_t>(state.range(0)), 'q');
    double first_token_ms = 0;
    for (auto _ : state) {
      const auto sink = std::make_shared<CollectingSink>();
      (void)hub.chat({.messages = {{.content = question}}}, sink);
      sink->wait();
      first_token_ms += sink->receipt()->first_token_ms;
    }
    state.counters["first_token_us"] = benchmark::Counter(
        first_token_ms * 1000, benchmark::Counter::kAvgIterations);
  }
  std::filesystem::remove_all(folder);
}
BENCHMARK(answer_local_request)->Arg(100)->Arg(10'000)->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace
}  // namespace hearth::hub
