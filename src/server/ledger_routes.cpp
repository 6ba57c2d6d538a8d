#include "server/ledger_routes.h"

#include <utility>

#include "api/hearth/ledger_report.h"
#include "base/clock.h"
#include "ledger/verify.h"
#include "server/chat_answer.h"

namespace hearth::server {
namespace {

namespace own = api::hearth;

net::ServerResponse answer(Result<std::string> json) {
  if (!json) return error_response(api::api_error(json.error()));
  return {.body = *std::move(json)};
}

net::ServerResponse no_ledger() { return error_response(api::api_error(404, "This hub keeps no receipts.")); }

}  // namespace

net::ServerResponse answer_receipt(const Books& books, const std::string& id, const SeesOnly& client) {
  if (books.ledger == nullptr) return no_ledger();
  auto row = books.ledger->receipt(id, client);
  if (!row) return error_response(api::api_error(row.error()));
  return {.body = std::move(row->json)};
}

net::ServerResponse answer_receipts(const Books& books, const net::ServerRequest& request, const SeesOnly& client) {
  if (books.ledger == nullptr) return no_ledger();
  auto filter = own::parse_receipt_filter(request.target);
  if (!filter) return error_response(filter.error());
  filter->client = client;
  return answer(own::render_receipts(*books.ledger, *filter));
}

net::ServerResponse answer_ledger(const Books& books, const net::ServerRequest& request, const SeesOnly& client) {
  if (books.ledger == nullptr) return no_ledger();
  auto filter = own::parse_egress_filter(request.target);
  if (!filter) return error_response(filter.error());
  filter->client = client;
  return answer(own::render_egress(*books.ledger, *filter, books.budget, Clock::system().now_unix_us()));
}

net::ServerResponse answer_verify(const Books& books) {
  if (books.ledger == nullptr) return no_ledger();
  const auto report = ledger::verify(*books.ledger);
  if (!report) return error_response(api::api_error(report.error()));
  return {.body = own::render_verification(*report)};
}

net::ServerResponse answer_policy(const Books& books, const net::ServerRequest& request) {
  if (!books.explain_policy) return error_response(api::api_error(404, "This hub has no policy to explain."));
  auto explained = books.explain_policy(request.body);
  if (!explained) return error_response(explained.error());
  return {.body = *std::move(explained)};
}

}  // namespace hearth::server
