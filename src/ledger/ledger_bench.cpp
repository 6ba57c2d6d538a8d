// What the ledger costs: a receipt per answer, a durable row before and one after a call.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "base/temp_folder_for_test.h"
#include "ledger/ledger.h"
#include "ledger/receipt_id.h"
#include "ledger/verify.h"

namespace hearth::ledger {
namespace {

constexpr BudgetLimits kRich{.day_usd_micro = kUsdMicroMax, .request_usd_micro = kUsdMicroMax};

struct Fixture {
  Fixture() {
    ledger = std::move(*Ledger::open(folder / "ledger.db", Ledger::Mode::kReadWrite));
  }
  TempFolder folder;
  std::unique_ptr<Ledger> ledger;
};

void put_receipt(benchmark::State& state) {
  Fixture fixture;
  const std::string json(600, 'x');
  for (auto _ : state) {
    (void)fixture.ledger->put_receipt({.id = make_receipt_id(1), .model = "m", .json = json});
  }
}
BENCHMARK(put_receipt)->Unit(benchmark::kMicrosecond);

void begin_and_settle(benchmark::State& state) {
  Fixture fixture;
  const std::string body(4000, 'x');
  for (auto _ : state) {
    const auto call = fixture.ledger->begin_call(
        {.request_id = make_receipt_id(1), .body = body, .reserved_usd_micro = 10}, kRich);
    (void)fixture.ledger->settle(*call, {.charged_usd_micro = 5, .outcome = "answered"});
  }
}
BENCHMARK(begin_and_settle)->Unit(benchmark::kMicrosecond);

void verify_10k_rows(benchmark::State& state) {
  Fixture fixture;
  const std::string body(2000, 'x');
  for (int i = 0; i < 5000; ++i) {
    const auto call = fixture.ledger->begin_call(
        {.request_id = make_receipt_id(i), .body = body, .reserved_usd_micro = 10}, kRich);
    (void)fixture.ledger->settle(*call, {.charged_usd_micro = 5, .outcome = "answered"});
  }
  for (auto _ : state) benchmark::DoNotOptimize(verify(*fixture.ledger));
}
BENCHMARK(verify_10k_rows)->Unit(benchmark::kMillisecond)->Iterations(3);

}  // namespace
}  // namespace hearth::ledger
