// search_ledger: receipts, and what left for one of them, without the words that were sent: whoever asks may be
// a model elsewhere.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "api/chat_fields.h"
#include "api/json_writer.h"
#include "api/mcp/tools.h"
#include "base/ascii.h"
#include "base/clock.h"

namespace hearth::api::mcp {
namespace {

constexpr std::int64_t kFoundDefault = 20, kFoundMax = 100;
constexpr std::size_t kScannedMax = 10'000;  // Receipts that are looked through for a text.
constexpr std::size_t kEgressRowsMax = 100;
constexpr std::size_t kTextBytesMax = 256;
constexpr auto kSearchNames = std::to_array<std::string_view>({"id", "text", "model", "advice", "since", "limit"});

struct Search {
  std::string id, text;
  ledger::ReceiptFilter filter;
  std::size_t limit = 0;
};

Parsed<> optional_text(std::string& out, dom::object arguments, const char* name) {
  if (!member(arguments, name)) return {};
  HEARTH_TRY(out, required_text(arguments, name, kTextBytesMax));
  return {};
}

Parsed<Search> read_search(dom::object arguments) {
  HEARTH_TRY_VOID(check_names(arguments, kSearchNames));
  Search search;
  HEARTH_TRY_VOID(optional_text(search.id, arguments, "id"));
  HEARTH_TRY_VOID(optional_text(search.text, arguments, "text"));
  HEARTH_TRY_VOID(optional_text(search.filter.model, arguments, "model"));
  HEARTH_TRY_VOID(optional_text(search.filter.advice, arguments, "advice"));
  std::string since;
  HEARTH_TRY_VOID(optional_text(since, arguments, "since"));
  if (!since.empty()) {
    const auto at_s = parse_iso8601(since);
    if (!at_s) return refuse("invalid_value", "since", "Invalid 'since': a time like 2026-03-01T12:00:00Z is expected.");
    search.filter.since_unix_us = *at_s * 1'000'000;
  }
  std::int64_t limit = kFoundDefault;
  if (const auto value = member(arguments, "limit")) {
    HEARTH_TRY(limit, as_integer("limit", *value, 1, kFoundMax));
  }
  search.limit = static_cast<std::size_t>(limit);
  search.filter.limit = search.text.empty() ? search.limit : kScannedMax;
  search.text = lower(search.text);
  return search;
}

Result<> write_receipts(JsonWriter& json, const ledger::Ledger& book, const Search& search) {
  if (!search.id.empty()) {
    HEARTH_TRY(const ledger::ReceiptRow row, book.receipt(search.id, search.filter.client));
    json.raw(row.json);
    return {};
  }
  HEARTH_TRY(const auto rows, book.receipts(search.filter));
  std::size_t n_found = 0;
  for (const ledger::ReceiptRow& row : rows) {
    if (n_found == search.limit) break;
    if (!search.text.empty() && lower(row.json).find(search.text) == std::string::npos) continue;
    json.raw(row.json);
    ++n_found;
  }
  return {};
}

void write_row(JsonWriter& json, const ledger::EgressRow& row) {
  json.begin_object().key("seq").value(row.seq).key("kind").value(row.kind).key("at").value(format_iso8601(row.at_unix_us));
  json.key("provider").value(row.provider).key("url").value(row.url).key("model").value(row.model);
  json.key("bytes_out").value(row.body.size()).key("rule").value(row.rule);
  json.key("charged_usd_micro").value(row.charged_usd_micro).key("outcome").value(row.outcome).end_object();
}

Result<std::string> find(const ledger::Ledger& book, const Search& search) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("receipts").begin_array();
  HEARTH_TRY_VOID(write_receipts(json, book, search));
  json.end_array();
  if (!search.id.empty()) {
    json.key("egress").begin_array();
    HEARTH_TRY_VOID(book.for_each_egress({.request_id = search.id, .limit = kEgressRowsMax, .client = search.filter.client}, [&](const ledger::EgressRow& row) {
      write_row(json, row);
      return true;
    }));
    json.end_array();
  }
  json.end_object();
  return out;
}

}  // namespace

void start_search_ledger(const ToolHost& host, dom::object arguments, std::shared_ptr<ToolRun> run) {
  auto search = read_search(arguments);
  if (!search) return run->fail(search.error().message);
  search->filter.client = run->caller().sees_only;
  if (host.ledger == nullptr) return run->fail("This hub keeps no receipts.");
  const auto found = find(*host.ledger, *search);
  if (!found) return run->fail(found.error().message);
  run->succeed(*found);
}

}  // namespace hearth::api::mcp
