// `hearth compare`: one prompt, or a file of them, to several models and adapters, one after the other;
// their answers, their speeds, and where each first says something else than the first one.  A model that fails has
// its error in place of an answer, and the others go on; a prompt that nobody answers ends it.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/utf8.h"
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
  std::string problem = {};  // Why there is no answer; empty if there is one.
  Answer answer = {};
  std::size_t same_bytes = 0;  // That this answer begins with as the first one does.
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
    if (line.ends_with('\r')) line.pop_back();
    prompts.push_back(sanitize_utf8(line));
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

Result<Answer> ask_one(AnswerSource& source, const CompareOptions& options, const std::string& model,
                       const std::string& prompt) {
  AnswerOptions asked = options.answer;
  asked.model = model;
  std::vector<hub::Message> messages;
  if (!asked.system.empty()) messages.push_back({.role = hub::Role::kSystem, .content = asked.system});
  messages.push_back({.role = hub::Role::kUser, .content = prompt});
  return source.answer(messages, asked, silent_listener());
}

// A row per model; an error where it was interrupted or no model has an answer.
Result<std::vector<Row>> ask_all(AnswerSource& source, const CompareOptions& options, const std::string& prompt) {
  std::vector<Row> rows;
  std::optional<std::string> first;  // Answer that there was.
  std::optional<Error> failed;
  for (const std::string& model : options.models) {
    print_note(fmt::format("asking {}", model));
    auto answer = ask_one(source, options, model, prompt);
    if (!answer && answer.error().code == Code::kCancelled) return std::unexpected(answer.error());
    Row& row = rows.emplace_back(Row{.prompt = prompt, .model = model});
    if (!answer) {
      row.problem = answer.error().message;
      failed = std::move(answer).error();
      continue;
    }
    row.answer = *std::move(answer);
    if (!first) first = row.answer.text;
    row.same_bytes = common_prefix(row.answer.text, *first);
    row.is_same = row.answer.text == *first;
  }
  if (!first) return std::unexpected(*failed);
  return rows;
}

std::string divergence_text(const Row& row) {
  if (row.is_same) return "the same";
  std::string_view from = std::string_view(row.answer.text).substr(row.same_bytes);
  const bool is_cut = from.size() > kContextBytes;
  std::string shown(from.substr(0, utf8_bound_up_to(from, kContextBytes)));
  std::ranges::replace(shown, '\n', ' ');
  return fmt::format("from byte {}: {}{}", row.same_bytes, shown, is_cut ? "..." : "");
}

void print_rows(std::span<const Row> rows) {
  std::vector<std::vector<std::string>> table = {{"MODEL", "TOKENS", "READY", "FIRST", "TOKENS/S", "SURE", "DIFFERS"}};
  for (const Row& row : rows) {
    const hub::Receipt& receipt = row.answer.receipt;
    print_out(fmt::format("== {}\n{}\n\n", row.model, row.problem.empty() ? row.answer.text : "failed: " + row.problem));
    if (!row.problem.empty()) {
      table.push_back({row.model, "", "", "", "", "", "failed"});
      continue;
    }
    table.push_back({row.model, std::to_string(receipt.usage.completion_tokens),
                     fmt::format("{:.1f} ms", receipt.ready_ms), fmt::format("{:.0f} ms", receipt.first_token_ms), fmt::format("{:.1f}", receipt.tokens_per_second),
                     fmt::format("{:.2f}", receipt.confidence), &row == rows.data() ? "" : divergence_text(row)});
  }
  print_out(format_table(table));
}

nlohmann::ordered_json json_of(const Row& row) {
  nlohmann::ordered_json json = {{"model", row.model},   {"prompt", row.prompt},
                                 {"answer", row.answer.text}, {"same_bytes", row.same_bytes},
                                 {"same", row.is_same},       {"receipt", nullptr}};
  if (row.problem.empty()) {
    json["receipt"] = nlohmann::ordered_json::parse(hub::receipt_to_json(row.answer.receipt));
  } else {
    json["error"] = row.problem;
  }
  return json;
}

// What a spreadsheet would run: models write cells.
bool is_formula(std::string_view cell) {
  return !cell.empty() && std::string_view("=+-@\t\r").contains(cell[0]) &&
         cell.find_first_not_of("0123456789.", cell[0] == '-' ? 1 : 0) != cell.npos;
}

// For a spreadsheet: RFC 4180, so that line breaks and quotes survive; a formula is led by an apostrophe.
std::string csv_line(std::span<const std::string> cells) {
  std::string line;
  for (const std::string& cell : cells) {
    line += line.empty() ? "\"" : ",\"";
    if (is_formula(cell)) line += '\'';
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

// As the page's export is.
void print_markdown(std::span<const Row> rows, bool is_first) {
  std::string text = fmt::format("{}# {}\n\n| model | tokens | first token | tokens/s | sure |\n|---|---|---|---|---|\n",
                                 is_first ? "" : "\n---\n\n", rows.front().prompt);
  for (const Row& row : rows) {
    const hub::Receipt& receipt = row.answer.receipt;
    text += row.problem.empty()
                ? fmt::format("| {} | {} | {:.0f} ms | {:.1f} | {:.0f} % |\n", row.model, receipt.usage.completion_tokens,
                              receipt.first_token_ms, receipt.tokens_per_second, 100 * receipt.confidence)
                : fmt::format("| {} | | | | |\n", row.model);
  }
  for (const Row& row : rows) {
    text += fmt::format("\n## {}\n\n{}\n", row.model, row.problem.empty() ? row.answer.text : fmt::format("*{}*", row.problem));
  }
  print_out(text);
}

}  // namespace

Result<> compare(const Context& context, const CompareOptions& options) {
  HEARTH_TRY(const auto prompts, prompts_of(options));
  HEARTH_TRY(const auto source, AnswerSource::open(context, options.answer));
  watch_interrupts();
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    if (prompts.size() > 1) print_note(fmt::format("{} of {}", i + 1, prompts.size()));
    HEARTH_TRY(const std::vector<Row> rows, ask_all(*source, options, prompts[i]));
    if (context.json) {
      for (const Row& row : rows) print_out(json_of(row).dump() + "\n");
    } else if (options.csv) {
      print_csv(rows, i == 0);
    } else if (options.markdown) {
      print_markdown(rows, i == 0);
    } else {
      if (prompts.size() > 1) print_out(fmt::format("# {}\n", prompts[i]));
      print_rows(rows);
      if (i + 1 < prompts.size()) print_out("\n");
    }
  }
  return {};
}

}  // namespace hearth::cli
