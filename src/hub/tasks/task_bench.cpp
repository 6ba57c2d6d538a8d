// What the choice by task costs a request, and its training a start.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "hub/tasks/task_router.h"

namespace hearth::hub {
namespace {

// `n_tasks` tasks of 20 examples each, in made-up words.
TaskRouterOptions tasks_of(std::int64_t n_tasks) {
  TaskRouterOptions options;
  for (std::int64_t task = 0; task < n_tasks; ++task) {
    TaskOptions& made = options.tasks.emplace_back();
    made.name = fmt::format("task {}", task);
    made.model = "model";
    for (int i = 0; i < 20; ++i) {
      std::string text;
      for (int word = 0; word < 12; ++word) text += fmt::format("w{}x{} ", task * 7 + word * i % 11, word);
      made.examples.push_back(std::move(text));
    }
  }
  return options;
}

void choose_task(benchmark::State& state) {
  const auto router = TaskRouter::create(tasks_of(state.range(0)));
  std::string text;
  for (int i = 0; text.size() < static_cast<std::size_t>(state.range(1)); ++i) text += fmt::format("word{} and w{}x3, ", i, i % 9);
  text.resize(static_cast<std::size_t>(state.range(1)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(router->choose(text, [](const auto&) { return std::string(); }));
  }
}
BENCHMARK(choose_task)->Args({4, 200})->Args({4, 2048})->Args({16, 2048})->Args({64, 2048})->Unit(benchmark::kMicrosecond);

void train_tasks(benchmark::State& state) {
  const TaskRouterOptions options = tasks_of(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(TaskRouter::create(options));
}
BENCHMARK(train_tasks)->Arg(4)->Arg(16)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hearth::hub
