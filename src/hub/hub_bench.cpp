// What the hub adds to a local request: everything between the parsed request and its
// receipt except the engine's own work, which a stand-in answers at once.
//
// Three hubs get the same conversations of 2 and 64 KB: one that has nobody to ask; one with an adviser
// and a policy whose answers are sure, so that nothing is judged; and one whose answers are all unsure and
// whose policy keeps them here, so that each is labelled and judged.  All write a receipt.  `p50_us` is the
// median of a whole answer; what policy, labels and the ledger cost is the difference between rows, and
// the rows of `label_and_judge`, `redact` and `receipt` are the parts by themselves.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <filesystem>

#include "base/temp_folder_for_test.h"
#include "hub/fakes_for_test.h"
#include "hub/private_adviser.h"
#include "hub/privacy_sources.h"
#include "hub/receipt_json.h"

namespace hearth::hub {
namespace {

// Says one token and ends, on the caller's thread.
class InstantEngine final : public engine::Engine {
 public:
  explicit InstantEngine(float logprob) : logprob_(logprob) {}
  Result<engine::JobId> submit(engine::GenerateRequest, std::shared_ptr<engine::GenerateSink> sink) override {
    engine::TokenEvent event;
    event.text = "word";
    event.token.logprob = logprob_;
    event.entropy = -logprob_;
    sink->on_token(engine::JobId{1}, event);
    sink->on_finish(engine::JobId{1}, {});
    return engine::JobId{1};
  }
  void cancel(engine::JobId) override {}
  std::uint32_t context_tokens(const model::Model&) const override { return 4096; }
  engine::EngineStats stats() const override { return {}; }

 private:
  const float logprob_;
};

// Ten rules, as a careful user may have them; private text stays here.
privacy::Policy careful_policy() {
  std::string toml = "[actions]\nprivate = \"never\"\n";
  for (int i = 0; i < 10; ++i) {
    toml += "[[rules]]\nname = \"r" + std::to_string(i) + "\"\nclass = \"secret\"\npaths = [\"**/work" + std::to_string(i) +
            "/**\", \"**/*.pem\"]\n";
  }
  return *privacy::parse_policy(toml, "bench");
}

// A conversation of so many bytes, in which every fourth turn is a tool's result.
std::vector<Message> conversation(std::size_t n_bytes) {
  const std::string prose = "Please tell Ann Lee of Acme Inc. (ann.lee@example.com) that the parcel arrived in Ghent on Monday. ";
  std::vector<Message> messages;
  for (std::size_t n = 0; n < n_bytes; n += 512) {
    Message message{.role = n % 1024 == 0 ? Role::kUser : Role::kAssistant};
    while (message.content.size() < std::min<std::size_t>(512, n_bytes - n)) message.content += prose;
    message.content.resize(std::min<std::size_t>(512, n_bytes - n));
    if (n % 2048 == 1536) {
      messages.push_back({.role = Role::kAssistant, .content = {}, .name = {},
                          .tool_calls = {{"c" + std::to_string(n), "read", R"({"path": "/home/ann/notes/today.md"})"}}});
      message.role = Role::kTool;
      message.tool_call_id = messages.back().tool_calls[0].id;
    }
    messages.push_back(std::move(message));
  }
  messages.push_back({.content = "And now?"});
  return messages;
}

enum class Setup { kAlone, kSure, kJudged };

void answer_local_request(benchmark::State& state, Setup setup) {
  const TempFolder folder;
  ConductorParts parts;
  parts.ledger = std::move(*ledger::Ledger::open(folder / "ledger.db", ledger::Ledger::Mode::kReadWrite));
  parts.writer = std::make_unique<ledger::LedgerWriter>(*parts.ledger);
  parts.engine = std::make_unique<InstantEngine>(setup == Setup::kJudged ? -5.0F : 0.0F);
  parts.privacy = std::make_unique<PrivacyGate>(PrivacyOptions{.policy = careful_policy()});
  if (setup != Setup::kAlone) parts.adviser = make_private(std::make_unique<FakeAdviser>(), *parts.privacy);
  auto source = std::make_unique<FakeSource>();
  source->add("tiny", std::make_shared<FakeModel>());
  parts.shelf = std::make_unique<ModelShelf>(std::move(source), ShelfOptions{});
  std::vector<double> times_us;
  {
    Conductor hub(std::move(parts), {});
    const ChatRequest request{.messages = conversation(static_cast<std::size_t>(state.range(0)))};
    for (auto _ : state) {
      const auto sink = std::make_shared<CollectingSink>();
      const auto begin = std::chrono::steady_clock::now();
      (void)hub.chat(request, sink);
      sink->wait();
      times_us.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count());
    }
  }
  std::ranges::nth_element(times_us, times_us.begin() + static_cast<std::ptrdiff_t>(times_us.size() / 2));
  state.counters["p50_us"] = times_us[times_us.size() / 2];
}
BENCHMARK_CAPTURE(answer_local_request, alone, Setup::kAlone)->Arg(2048)->Arg(65536)->Unit(benchmark::kMicrosecond)->UseRealTime();
BENCHMARK_CAPTURE(answer_local_request, sure, Setup::kSure)->Arg(2048)->Arg(65536)->Unit(benchmark::kMicrosecond)->UseRealTime();
BENCHMARK_CAPTURE(answer_local_request, judged, Setup::kJudged)->Arg(2048)->Arg(65536)->Unit(benchmark::kMicrosecond)->UseRealTime();

void label_and_judge(benchmark::State& state) {
  const PrivacyGate gate(PrivacyOptions{.policy = careful_policy()});
  const ChatRequest request{.messages = conversation(static_cast<std::size_t>(state.range(0)))};
  const std::vector<std::string> providers = {"openai", "anthropic"};
  for (auto _ : state) benchmark::DoNotOptimize(gate.judge(sources_of(request), providers));
}
BENCHMARK(label_and_judge)->Arg(2048)->Arg(65536)->Unit(benchmark::kMicrosecond);

// Only of what leaves: no part of a request that stays here.
void redact(benchmark::State& state) {
  const PrivacyGate gate;
  const std::vector<Message> messages = conversation(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    Redaction redaction(gate);
    for (Message message : messages) redaction.hide(message.content);
    benchmark::DoNotOptimize(redaction.placeholders().size());
  }
}
BENCHMARK(redact)->Arg(2048)->Arg(65536)->Unit(benchmark::kMicrosecond);

void receipt(benchmark::State& state) {
  const TempFolder folder;
  {
    const auto book = std::move(*ledger::Ledger::open(folder / "ledger.db", ledger::Ledger::Mode::kReadWrite));
    Receipt receipt{.at_unix_us = 1, .model = "tiny", .advice_detail = "confidence 0.93 is not below 0.50"};
    std::uint64_t n = 0;
    for (auto _ : state) {
      receipt.id = "r-" + std::to_string(++n);
      (void)book->put_receipt(receipt_row(receipt));
    }
  }
}
BENCHMARK(receipt)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hearth::hub
