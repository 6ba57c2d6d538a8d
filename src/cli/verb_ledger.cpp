// `hearth ledger`: what was answered, what left this machine, what it cost, and whether the record
// still is what was written.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/paths.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "ledger/ledger.h"
#include "ledger/verify.h"

namespace hearth::cli {
namespace {

Result<std::unique_ptr<ledger::Ledger>> open_for_reading() {
  auto opened = ledger::Ledger::open(ledger_file(), ledger::Ledger::Mode::kReadOnly);
  if (!opened && opened.error().code == Code::kNotFound) {
    return fail(Code::kNotFound, fmt::format("there is no ledger at '{}' yet; it begins with the first answer",
                                             ledger_file().string()));
  }
  return opened;
}

nlohmann::ordered_json parse_stored(const ledger::ReceiptRow& row) {
  auto json = nlohmann::ordered_json::parse(row.json, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? nlohmann::ordered_json{{"id", row.id}} : json;
}

Result<> show_latest(const ledger::Ledger& book, bool json, std::uint32_t n) {
  HEARTH_TRY(const auto rows, book.receipts({.limit = n}));
  if (json) {
    nlohmann::ordered_json receipts = nlohmann::ordered_json::array();
    for (const auto& row : rows) receipts.push_back(parse_stored(row));
    print_out(receipts.dump(2) + "\n");
    return {};
  }
  std::vector<std::vector<std::string>> table = {{"RECEIPT", "AT (UTC)", "MODEL", "ADVICE", "BYTES OUT", "COST"}};
  for (const auto& row : rows) {
    table.push_back({row.id, format_iso8601(row.at_unix_us).substr(0, 19), row.model, row.advice,
                     fmt::format("{}", row.bytes_out), format_usd(row.cost_usd_micro)});
  }
  print_out(format_table(table));
  return {};
}

// Everything about one answer: its receipt, and each row of what left for it.
Result<> show_one(const ledger::Ledger& book, bool json, const std::string& id) {
  HEARTH_TRY(const auto row, book.receipt(id));
  nlohmann::ordered_json receipt = parse_stored(row);
  nlohmann::ordered_json egress = nlohmann::ordered_json::array();
  HEARTH_TRY_VOID(book.export_json_lines({.request_id = id}, [&](std::string_view line) {
    egress.push_back(nlohmann::ordered_json::parse(line, nullptr, /*allow_exceptions=*/false));
  }));
  if (json) {
    receipt["egress"] = egress;
    print_out(receipt.dump(2) + "\n");
    return {};
  }
  const auto text_of = [](const nlohmann::ordered_json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  std::vector<std::vector<std::string>> table;
  for (const auto& [key, value] : receipt.items()) table.push_back({key, text_of(value)});
  print_out(format_table(table));
  for (const auto& left : egress) {
    print_out(fmt::format("\nledger row {} ({})\n", left.value("seq", 0), left.value("kind", "")));
    std::vector<std::vector<std::string>> columns;
    for (const auto& [key, value] : left.items()) columns.push_back({"  " + key, text_of(value)});
    print_out(format_table(columns));
  }
  if (egress.empty()) print_out("\nnothing left this machine for it\n");
  return {};
}

}  // namespace

Result<> ledger_show(const Context& context, const LedgerShowOptions& options) {
  HEARTH_TRY(const auto book, open_for_reading());
  return options.id.empty() ? show_latest(*book, context.json, options.n)
                            : show_one(*book, context.json, options.id);
}

Result<> ledger_export(const Context&, const LedgerExportOptions& options) {
  HEARTH_TRY(const auto book, open_for_reading());
  if (!options.receipts) {
    return book->export_json_lines({}, [](std::string_view line) { print_out(std::string(line) + "\n"); });
  }
  HEARTH_TRY(auto rows, book->receipts({.limit = SIZE_MAX}));
  std::ranges::reverse(rows);
  for (const auto& row : rows) print_out(parse_stored(row).dump() + "\n");
  return {};
}

Result<> ledger_verify(const Context& context) {
  HEARTH_TRY(const auto book, open_for_reading());
  HEARTH_TRY(const ledger::VerifyReport report, ledger::verify(*book));
  const std::string head = fmt::format("{}:{}", report.head.seq, to_hex(report.head.hash));
  if (context.json) {
    print_out(nlohmann::ordered_json{{"holds", report.problems.empty()},
                                     {"rows", report.rows},
                                     {"calls", report.calls},
                                     {"open_calls", report.open_calls},
                                     {"charged_usd_micro", report.charged_usd_micro},
                                     {"head", head},
                                     {"problems", report.problems}}.dump(2) +
              "\n");
  } else if (report.problems.empty()) {
    print_out(fmt::format("the ledger holds: {} rows, {} calls ({} open), {} charged\nhead {}\n", report.rows,
                          report.calls, report.open_calls, format_usd(report.charged_usd_micro), head));
  }
  if (report.problems.empty()) return {};
  std::string text;
  for (const std::string& problem : report.problems) text += (text.empty() ? "" : "; ") + problem;
  return fail(Code::kCorrupt, fmt::format("the ledger '{}' does not hold: {}", ledger_file().string(), text));
}

}  // namespace hearth::cli
