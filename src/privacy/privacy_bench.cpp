// How fast a text is searched for what may not leave: the deterministic floor alone, and all of it.
#include <benchmark/benchmark.h>

#include "base/file.h"
#include "privacy/detect.h"
#include "privacy/redactor.h"

namespace hearth::privacy {
namespace {

// Prose of this project with some personal data in every paragraph.
std::string text_of(std::size_t bytes) {
  const auto page = read_file(std::string(HEARTH_SOURCE_DIR) + "/docs/design/0017-upstreams.md");
  HEARTH_CHECK(page.has_value());
  std::string text;
  while (text.size() < bytes) {
    text += *page;
    text += "\nAnn Lee, 12 Main Street, Springfield, ann.lee@example.com, card 4111 1111 1111 1111.\n";
  }
  text.resize(bytes);
  return text;
}

void bench_floor(benchmark::State& state) {
  const std::string text = text_of(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    Spans spans;
    detect(text, spans);
    benchmark::DoNotOptimize(spans.data());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(bench_floor)->Arg(2 << 10)->Arg(64 << 10)->Arg(1 << 20);

void bench_all(benchmark::State& state) {
  const std::string text = text_of(static_cast<std::size_t>(state.range(0)));
  const Redactor redactor;
  for (auto _ : state) benchmark::DoNotOptimize(redactor.find(text).data());
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(bench_all)->Arg(2 << 10)->Arg(64 << 10)->Arg(1 << 20);

}  // namespace
}  // namespace hearth::privacy
