// `hearth bench hybrid`: the same questions answered here alone, here with advice, and elsewhere: what
// each costs in time and money on this machine.  What can't be measured is named, never made up.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/answer_source.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "hub/receipt_json.h"

namespace hearth::cli {
namespace {

constexpr std::size_t kQuestionsMax = 1'000;

constexpr auto kQuestions = std::to_array<const char*>({
    "What is the difference between a process and a thread?",
    "A train leaves at 14:05 and arrives at 17:50. How long does it take?",
    "Write a regular expression that matches an IPv4 address.",
    "Why does ice float on water?",
    "Which is larger, 7/12 or 5/9, and by how much?",
    "Name three causes of the First World War, one sentence each.",
    "What does `git rebase --onto` do?",
    "Translate into French: The early bird catches the worm.",
});

// One way to get an answer.
struct Way {
  const char* name;
  std::string model;
  const char* advice;
  std::string missing;  // Why it can't be measured; empty if it can.
};

struct Row {
  std::string name, model, missing;
  std::vector<double> first_ms, total_ms, tokens_per_second;
  std::size_t n_advised = 0;
  std::uint64_t bytes_out = 0;
  std::int64_t cost_usd_micro = 0;
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

Result<std::vector<std::string>> questions_of(const BenchHybridOptions& options) {
  if (options.file.empty()) return std::vector<std::string>(kQuestions.begin(), kQuestions.end());
  std::ifstream file(options.file);
  if (!file) return fail(Code::kNotFound, fmt::format("the file '{}' can't be read", options.file));
  std::vector<std::string> questions;
  for (std::string line; std::getline(file, line) && questions.size() < kQuestionsMax;) {
    if (!line.empty()) questions.push_back(std::move(line));
  }
  if (!questions.empty()) return questions;
  return fail(Code::kInvalidArgument, fmt::format("'{}' has no question: write one per line", options.file));
}

std::array<Way, 3> ways_of(const Context& context, const BenchHybridOptions& options) {
  const bool has_adviser = !context.config.advisor.model.empty() || !context.config.advisers.empty();
  return {Way{"local alone", options.model, "never", ""},
          Way{"local, advised", options.model, "always",
              has_adviser ? "" : "no [advisor] is set up in the configuration"},
          Way{"cloud alone", options.cloud, "never",
              options.cloud.empty() ? "no --cloud UPSTREAM/MODEL was given" : ""}};
}

// A question that fails ends its way: half a measurement is none.
void measure(AnswerSource& source, const BenchHybridOptions& options, const Way& way,
             const std::vector<std::string>& questions, Row& row) {
  AnswerOptions asked{.model = way.model, .advice = way.advice, .max_tokens = options.max_tokens, .temperature = 0.0F};
  asked.may_store = false;  // What was remembered would answer without a call.
  for (std::size_t i = 0; i < questions.size(); ++i) {
    print_note(fmt::format("{}: question {} of {}", way.name, i + 1, questions.size()));
    const auto answer = source.answer({{.role = hub::Role::kUser, .content = questions[i]}}, asked, silent_listener());
    if (!answer) {
      row.missing = answer.error().message;
      return;
    }
    const hub::Receipt& receipt = answer->receipt;
    row.first_ms.push_back(receipt.first_token_ms);
    row.total_ms.push_back(receipt.total_ms);
    if (receipt.tokens_per_second > 0) row.tokens_per_second.push_back(receipt.tokens_per_second);
    row.n_advised += receipt.advice == hub::AdviceOutcome::kAdvised ? 1 : 0;
    row.bytes_out += receipt.bytes_out;
    row.cost_usd_micro += receipt.cost_usd_micro;
  }
}

nlohmann::ordered_json json_of(const Row& row) {
  if (!row.missing.empty()) return {{"way", row.name}, {"model", row.model}, {"not_measured", row.missing}};
  return {{"way", row.name},
          {"model", row.model},
          {"questions", row.first_ms.size()},
          {"advised", row.n_advised},
          {"first_token_ms", median(row.first_ms)},
          {"total_ms", median(row.total_ms)},
          {"tokens_per_second", median(row.tokens_per_second)},
          {"bytes_out", row.bytes_out},
          {"cost_usd_micro", row.cost_usd_micro}};
}

std::vector<std::string> cells_of(const Row& row) {
  if (!row.missing.empty()) return {row.name, row.model, "not measured", "", "", "", "", ""};
  return {row.name,
          row.model,
          fmt::format("{:.0f} ms", median(row.first_ms)),
          fmt::format("{:.0f} ms", median(row.total_ms)),
          fmt::format("{:.1f}", median(row.tokens_per_second)),
          fmt::format("{} of {}", row.n_advised, row.first_ms.size()),
          format_bytes(row.bytes_out),
          format_usd(row.cost_usd_micro)};
}

}  // namespace

Result<> bench_hybrid(const Context& context, const BenchHybridOptions& options) {
  HEARTH_TRY(const auto questions, questions_of(options));
  HEARTH_TRY(const auto source, AnswerSource::open(context, {.hub = options.hub}));
  watch_interrupts();
  std::vector<Row> rows;
  for (const Way& way : ways_of(context, options)) {
    rows.push_back({.name = way.name, .model = way.model, .missing = way.missing});
    if (way.missing.empty()) measure(*source, options, way, questions, rows.back());
  }
  if (context.json) {
    auto all = nlohmann::ordered_json::array();
    for (const Row& row : rows) all.push_back(json_of(row));
    print_out(all.dump(2) + "\n");
    return {};
  }
  std::vector<std::vector<std::string>> table = {
      {"WAY", "MODEL", "FIRST TOKEN", "WHOLE ANSWER", "TOKENS/S", "ADVISED", "BYTES OUT", "COST"}};
  for (const Row& row : rows) table.push_back(cells_of(row));
  print_out(format_table(table));
  for (const Row& row : rows) {
    if (!row.missing.empty()) print_out(fmt::format("{} is not measured: {}\n", row.name, row.missing));
  }
  print_note(fmt::format("medians of {} questions, greedy, at most {} tokens each; bytes and cost are sums",
                         questions.size(), options.max_tokens));
  return {};
}

}  // namespace hearth::cli
