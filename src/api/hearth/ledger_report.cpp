#include "api/hearth/ledger_report.h"

#include <fmt/format.h>

#include "api/json_writer.h"
#include "api/query.h"
#include "base/digest.h"

namespace hearth::api::hearth {
namespace {

void write_row(JsonWriter& json, const ledger::EgressRow& row, bool with_bytes) {
  json.begin_object();
  json.key("seq").value(row.seq).key("kind").value(row.kind).key("call_seq").value(row.call_seq);
  json.key("at_unix_us").value(row.at_unix_us).key("request_id").value(row.request_id);
  json.key("provider").value(row.provider).key("url").value(row.url).key("model").value(row.model);
  json.key("body_bytes").value(row.body.size()).key("rule").value(row.rule);
  if (with_bytes) json.key("headers").value(row.headers).key("body").value(row.body);
  json.key("reserved_usd_micro").value(row.reserved_usd_micro);
  json.key("charged_usd_micro").value(row.charged_usd_micro);
  json.key("reported_usd_micro").value(row.reported_usd_micro);
  json.key("prompt_tokens").value(row.prompt_tokens).key("cached_tokens").value(row.cached_tokens);
  json.key("completion_tokens").value(row.completion_tokens).key("http_status").value(row.http_status);
  json.key("outcome").value(row.outcome).key("bytes_in").value(row.bytes_in);
  json.key("hash").value(to_hex(row.hash)).end_object();
}

}  // namespace

Parsed<ledger::ReceiptFilter> parse_receipt_filter(std::string_view target) {
  ledger::ReceiptFilter filter;
  HEARTH_TRY(const std::int64_t limit, query_number(target, "limit", 100, kReceiptsPerAnswerMax));
  filter.limit = static_cast<std::size_t>(limit);
  HEARTH_TRY(filter.since_unix_us, query_number(target, "since_us", 0, INT64_MAX));
  HEARTH_TRY(filter.model, query_text(target, "model"));
  HEARTH_TRY(filter.advice, query_text(target, "advice"));
  return filter;
}

Parsed<ledger::EgressFilter> parse_egress_filter(std::string_view target) {
  ledger::EgressFilter filter;
  HEARTH_TRY(const std::int64_t limit, query_number(target, "limit", kRowsPerAnswerMax, kRowsPerAnswerMax));
  filter.limit = static_cast<std::size_t>(limit);
  HEARTH_TRY(filter.after_seq, query_number(target, "after", 0, INT64_MAX));
  HEARTH_TRY(filter.request_id, query_text(target, "request"));
  return filter;
}

Result<std::string> render_receipts(const ledger::Ledger& book, const ledger::ReceiptFilter& filter) {
  HEARTH_TRY(const auto rows, book.receipts(filter));
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("receipts").begin_array();
  for (const ledger::ReceiptRow& row : rows) json.raw(row.json);
  json.end_array().end_object();
  return out;
}

Result<std::string> render_egress(const ledger::Ledger& book, const ledger::EgressFilter& filter,
                                  const ledger::BudgetLimits& budget, std::int64_t now_unix_us) {
  HEARTH_TRY(const ledger::Spend today, book.spent_on_day_of(now_unix_us));
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("rows").begin_array();
  HEARTH_TRY_VOID(book.for_each_egress(filter, [&](const ledger::EgressRow& row) {
    write_row(json, row, !filter.request_id.empty());
    return true;
  }));
  json.end_array().key("budget").begin_object();
  json.key("day_usd_micro").value(budget.day_usd_micro);
  json.key("request_usd_micro").value(budget.request_usd_micro).end_object();
  json.key("today").begin_object().key("charged_usd_micro").value(today.charged_usd_micro);
  json.key("reserved_usd_micro").value(today.reserved_usd_micro).key("calls").value(today.calls).end_object();
  json.end_object();
  return out;
}

std::string render_verification(const ledger::VerifyReport& report) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("holds").value(report.problems.empty());
  json.key("rows").value(report.rows).key("calls").value(report.calls).key("open_calls").value(report.open_calls);
  json.key("charged_usd_micro").value(report.charged_usd_micro);
  json.key("head").value(fmt::format("{}:{}", report.head.seq, to_hex(report.head.hash)));
  json.key("problems").begin_array();
  for (const std::string& problem : report.problems) json.value(problem);
  json.end_array().end_object();
  return out;
}

}  // namespace hearth::api::hearth
