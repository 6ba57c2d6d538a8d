// `hearth compare`: one prompt, or a file of them, to several models and adapters, one after the other;
// their answers, their speeds, and where each first says something else than the first one.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/utf8_bounds.h"
#include "cli/answer_source.h"
#include "cli/interrupt.h"
#include "cli/question.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "hub/receipt_json.h"

namespace hearth::cli {
namespace {

constexpr std::size_t kPromptsMax = 10'000;
constexpr std::size_t kContextBytes = 24;  // Of a divergence, as far as it is shown.

struct Row {
  std::string prompt, model;
  Answer answer;
  std::size_t same_bytes = 0;  // That this answer begins with as the first model's does.
  bool is_same = true;
};

// One prompt per line; empty lines are skipped.
Result<std::vector<std::string>> read_prompts(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail(Code::kNotFound, fmt::format("the file '{}' can't be read", path));
  std::vector<std::string> prompts;
  for (std::string line; std::getline(file, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (prompts.size() == kPromptsMax) {
      return fail(Code::kInvalidArgument, fmt::format("'{}' has more than {} prompts, which is the limit: cut it into "
                                                      "several files", path, kPromptsMax));
    }
    prompts.push_back(std::move(line));
  }
  if (!prompts.empty()) return prompts;
  return fail(Code::kInvalidArgument, fmt::format("'{}' has no prompt: write one per line", path));
}

Result<std::vector<std::string>> prompts_of(const CompareOptions& options) {
  if (!options.file.empty()) return read_prompts(options.file);
  HEARTH_TRY(std::string question, read_question(options.question));
  return std::vector<std::string>{std::move(question)};
}

// Up to where two texts are the same, at the start of a code point.
std::size_t common_prefix(std::string_view a, std::string_view b) {
  const auto [end, other] = std::ranges::mismatch(a, b);
  return utf8_bound_up_to(a, static_cast<std::size_t>(end - a.begin()));
}

Result<Row> ask_one(AnswerSource& source, const CompareOptions& options, const std::string& model,
                    const std::string& prompt) {
  AnswerOptions asked = options.answer;
  asked.model = model;
  std::vector<hub::Message> messages;
  if (!asked.system.empty()) messages.push_back({.role = hub::Role::kSystem, .content = asked.system});
  messages.push_back({.role = hub::Role::kUser, .content = prompt});
  HEARTH_TRY(Answer answer, source.answer(messages, asked, silent_listener()));
  return Row{.prompt = prompt, .model = model, .answer = std::move(answer)};
}

void mark_divergence(Row& row, const Row& first) {
  row.same_bytes = common_prefix(row.answer.text, first.answer.text);
  row.is_same = row.answer.text == first.answer.text;
}

std::string divergence_text(const Row& row) {
  if (row.is_same) return "the same";
  std::string_view from = std::string_view(row.answer.text).substr(row.same_bytes);
  const bool is_cut = from.size() > kContextBytes;
  std::string shown(from.substr(0, utf8_bound_up_to(from, kContextBytes)));
  std::ranges::replace(shown, '\n', ' ');
  return fmt::format("from byte {}: {}{}", row.same_bytes, shown, is_cut ? "..." : "");
}

void print_rows(std::span<const Row> rows, bool shows_answers) {
  std::vector<std::vector<std::string>> table = {{"MODEL", "TOKENS", "READY", "FIRST", "TOKENS/S", "SURE", "DIFFERS"}};
  for (const Row& row : rows) {
    const hub::Receipt& receipt = row.answer.receipt;
    if (shows_answers) print_out(fmt::format("== {}\n{}\n\n", row.model, row.answer.text));
    table.push_back({row.model, std::to_string(receipt.usage.completion_tokens),
                     fmt::format("{:.1f} ms", receipt.ready_ms), fmt::format("{:.0f} ms", receipt.first_token_ms), fmt::format("{:.1f}", receipt.tokens_per_second),
                     fmt::format("{:.2f}", receipt.confidence), &row == rows.data() ? "" : divergence_text(row)});
  }
  print_out(format_table(table));
}

nlohmann::ordered_json json_of(const Row& row) {
  return {{"model", row.model},
          {"prompt", row.prompt},
          {"answer", row.answer.text},
          {"same_bytes", row.same_bytes},
          {"same", row.is_same},
          {"receipt", nlohmann::ordered_json::parse(hub::receipt_to_json(row.answer.receipt))}};
}

// For a spreadsheet: RFC 4180, so that line breaks and quotes survive.
std::string csv_line(std::span<const std::string> cells) {
  std::string line;
  for (const std::string& cell : cells) {
    line += line.empty() ? "\"" : ",\"";
    for (const char c : cell) line.append(c == '"' ? 2 : 1, c);
    line += '"';
  }
  return line + "\r\n";
}

void print_csv(std::span<const Row> rows, bool is_first) {
  if (is_first) {
    print_out(csv_line(std::vector<std::string>{"prompt", "model", "answer", "completion_tokens", "first_token_ms",
                                                "tokens_per_second", "confidence", "same_bytes"}));
  }
  for (const Row& row : rows) {
    const hub::Receipt& receipt = row.answer.receipt;
    print_out(csv_line(std::vector<std::string>{
        row.prompt, row.model, row.answer.text, std::to_string(receipt.usage.completion_tokens),
        fmt::format("{:.3f}", receipt.first_token_ms), fmt::format("{:.3f}", receipt.tokens_per_second),
        fmt::format("{:.4f}", receipt.confidence), std::to_string(row.same_bytes)}));
  }
}

}  // namespace

Result<> compare(const Context& context, const CompareOptions& options) {
  HEARTH_TRY(const auto prompts, prompts_of(options));
  HEARTH_TRY(const auto source, AnswerSource::open(context, options.answer));
  watch_interrupts();
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    std::vector<Row> rows;
    for (const std::string& model : options.models) {
      print_note(fmt::format("{} of {}: asking {}", i + 1, prompts.size(), model));
      HEARTH_TRY(Row row, ask_one(*source, options, model, prompts[i]));
      rows.push_back(std::move(row));
      mark_divergence(rows.back(), rows.front());
    }
    if (context.json) {
      for (const Row& row : rows) print_out(json_of(row).dump() + "\n");
    } else if (options.csv) {
      print_csv(rows, i == 0);
    } else {
      if (prompts.size() > 1) print_out(fmt::format("# {}\n", prompts[i]));
      print_rows(rows, true);
      if (i + 1 < prompts.size()) print_out("\n");
    }
  }
  return {};
}

}  // namespace hearth::cli
