#include "ledger/ledger.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "base/utf8.h"
#include "ledger/ledger_state.h"
#include "ledger/schema.h"

namespace hearth::ledger {
namespace {

constexpr std::int64_t kDayUs = 86'400'000'000;
constexpr std::string_view kOutcomeNotSent = "not_sent";
constexpr std::string_view kOutcomeUnknown = "unknown";

Sha256 to_hash(std::string_view bytes) {
  Sha256 hash{};
  if (bytes.size() == hash.size()) std::memcpy(hash.data(), bytes.data(), hash.size());
  return hash;
}

std::string_view hash_bytes(const Sha256& hash) {
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

std::string dollars(std::int64_t usd_micro) {
  return fmt::format("${:.6f}", static_cast<double>(usd_micro) / 1e6);
}

Result<> check_amount(const char* name, std::int64_t usd_micro) {
  if (usd_micro >= 0 && usd_micro <= kUsdMicroMax) return {};
  return fail(Code::kInvalidArgument, fmt::format("{} of {} micro-dollars is not in [0, {}]", name,
                                                  usd_micro, kUsdMicroMax));
}

// Completes `row` with its place in the chain and inserts it.  Within a transaction.
Result<ChainHead> append_row(Database& database, EgressRow& row) {
  HEARTH_TRY(const ChainHead head, read_chain_head(database));
  row.seq = head.seq + 1;
  if (row.kind == kKindSend) row.call_seq = row.seq;
  row.prev_hash = head.hash;
  row.hash = canonical_hash(row);
  HEARTH_TRY_VOID(database.run(
      "INSERT INTO egress (" HEARTH_EGRESS_COLUMNS
      ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      row.seq, row.kind, row.call_seq, row.at_unix_us, row.request_id, row.provider, row.url,
      row.model, row.headers, Blob{row.body}, row.rule, row.reserved_usd_micro,
      row.charged_usd_micro, row.reported_usd_micro, row.prompt_tokens, row.cached_tokens,
      row.completion_tokens, row.http_status, row.outcome, row.bytes_in, Blob{row.response_sha256},
      Blob{hash_bytes(row.prev_hash)}, Blob{hash_bytes(row.hash)}, row.cache_write_tokens.value_or(0)));
  HEARTH_TRY_VOID(
      database.run("UPDATE chain_head SET seq = ?, hash = ?", row.seq, Blob{hash_bytes(row.hash)}));
  return ChainHead{row.seq, row.hash};
}

Result<Spend> read_spend(Query query) {
  Spend spend;
  for (;;) {
    HEARTH_TRY(const bool has_row, query.step());
    if (!has_row) return spend;
    (query.integer(0) != 0 ? spend.reserved_usd_micro : spend.charged_usd_micro) = query.integer(1);
    spend.calls += query.integer(2);
  }
}

Result<Spend> spend_of_day(Database& database, std::int64_t day) {
  HEARTH_TRY(Query query, database.query("SELECT is_open, sum(usd_micro), count(*) FROM spend "
                                         "WHERE day = ? GROUP BY is_open",
                                         day));
  return read_spend(std::move(query));
}

Result<Spend> spend_of_request(Database& database, std::string_view request_id) {
  HEARTH_TRY(Query query, database.query("SELECT is_open, sum(usd_micro), count(*) FROM spend "
                                         "WHERE request_id = ? GROUP BY is_open",
                                         request_id));
  return read_spend(std::move(query));
}

Result<> check_budget(const char* which, const Spend& spend, std::int64_t wanted_usd_micro,
                      std::int64_t limit_usd_micro) {
  const std::int64_t taken = spend.charged_usd_micro + spend.reserved_usd_micro;
  if (wanted_usd_micro <= limit_usd_micro - taken) return {};
  return fail(Code::kOutOfBudget,
              fmt::format("the call may cost {}, but of the budget of {} per {} only {} is left",
                          dollars(wanted_usd_micro), dollars(limit_usd_micro), which,
                          dollars(std::max<std::int64_t>(limit_usd_micro - taken, 0))));
}

EgressRow send_row(const CallIntent& intent, std::int64_t at_unix_us) {
  EgressRow row;
  row.kind = kKindSend;
  row.at_unix_us = at_unix_us;
  row.request_id = intent.request_id;
  row.provider = intent.provider;
  row.url = intent.url;
  row.model = intent.model;
  row.headers = intent.headers;
  row.body = intent.body;
  row.rule = intent.rule;
  row.reserved_usd_micro = intent.reserved_usd_micro;
  return row;
}

// Appends the settle row of `call` and closes its reservation.  Within a transaction.
Result<ChainHead> append_settlement(Database& database, CallId call, const Settlement& settlement,
                                    std::int64_t at_unix_us) {
  const auto call_seq = static_cast<std::int64_t>(call);
  EgressRow row;
  {
    HEARTH_TRY(Query query, database.query("SELECT request_id, usd_micro FROM spend "
                                           "WHERE call_seq = ? AND is_open = 1",
                                           call_seq));
    HEARTH_TRY(const bool is_open, query.step());
    if (!is_open) {
      return fail(Code::kInvalidArgument, fmt::format("call {} is not open", call_seq));
    }
    row.request_id = query.text(0);
    if (settlement.charged_usd_micro > query.integer(1)) {
      return fail(Code::kInvalidArgument,
                  fmt::format("call {} reserved {}, so {} can't be charged", call_seq,
                              dollars(query.integer(1)), dollars(settlement.charged_usd_micro)));
    }
  }
  row.kind = kKindSettle;
  row.call_seq = call_seq;
  row.at_unix_us = at_unix_us;
  row.charged_usd_micro = settlement.charged_usd_micro;
  row.reported_usd_micro = settlement.reported_usd_micro;
  row.prompt_tokens = settlement.prompt_tokens;
  row.cached_tokens = settlement.cached_tokens;
  row.completion_tokens = settlement.completion_tokens;
  row.cache_write_tokens = settlement.cache_write_tokens;
  row.http_status = settlement.http_status;
  row.outcome = settlement.outcome;
  row.bytes_in = static_cast<std::int64_t>(settlement.bytes_in);
  if (settlement.response_sha256) row.response_sha256 = hash_bytes(*settlement.response_sha256);
  HEARTH_TRY(const ChainHead head, append_row(database, row));
  HEARTH_TRY_VOID(database.run("UPDATE spend SET is_open = 0, usd_micro = ? WHERE call_seq = ?",
                               row.charged_usd_micro, call_seq));
  return head;
}

// A head that could not be written makes the next opening see an older one, which is allowed.
void write_head(HeadFile& file, const ChainHead& head) {
  if (const auto written = file.write(head); !written) log_warn("ledger", written.error().message);
}

// Refuses a database whose tail was cut: writing on would cover the traces.
Result<> check_heads(Ledger::State& state) {
  Database& database = *state.database;
  HEARTH_TRY(const ChainHead table, read_chain_head(database));
  HEARTH_TRY(const std::optional<ChainHead> file, state.head_file.read());
  const ChainHead outside = file.value_or(ChainHead{});
  for (const ChainHead& head : {table, outside}) {
    if (head.seq == 0) continue;
    HEARTH_TRY(Query query, database.query("SELECT hash FROM egress WHERE seq = ?", head.seq));
    HEARTH_TRY(const bool exists, query.step());
    if (exists && to_hash(query.bytes(0)) == head.hash) continue;
    return fail(Code::kCorrupt,
                fmt::format("ledger '{}': row {} is missing or changed, though its head names it; "
                            "see `hearth ledger verify`, then move the ledger aside",
                            database.path().string(), head.seq));
  }
  return {};
}

Result<> recover_open_calls(Ledger::State& state) {
  Database& database = *state.database;
  HEARTH_TRY(Transaction transaction, Transaction::begin(database));
  std::vector<std::pair<std::int64_t, std::int64_t>> open_calls;
  {
    HEARTH_TRY(Query query, database.query("SELECT call_seq, usd_micro FROM spend "
                                           "WHERE is_open = 1 ORDER BY call_seq"));
    for (;;) {
      HEARTH_TRY(const bool has_row, query.step());
      if (!has_row) break;
      open_calls.emplace_back(query.integer(0), query.integer(1));
    }
  }
  ChainHead head;
  for (const auto& [call_seq, reserved] : open_calls) {
    const Settlement unknown{.charged_usd_micro = reserved,
                             .outcome = std::string(kOutcomeUnknown)};
    HEARTH_TRY(head,
               append_settlement(database, CallId{call_seq}, unknown, state.clock.now_unix_us()));
  }
  HEARTH_TRY_VOID(transaction.commit());
  if (head.seq != 0) write_head(state.head_file, head);
  state.recovered_calls = static_cast<std::int64_t>(open_calls.size());
  return {};
}

Result<> make_folder_of(const std::filesystem::path& path) {
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error) return std::unexpected(file_error("create the folder of", path, error.value()));
  return {};
}

Result<> open_for_writing(Ledger::State& state, const std::filesystem::path& path) {
  HEARTH_TRY(const bool is_alone, state.process_lock.acquire(path));
  HEARTH_TRY(state.database, Database::open(path, Database::Mode::kReadWrite));
  HEARTH_TRY_VOID(prepare_schema(*state.database, Database::Mode::kReadWrite));
  HEARTH_TRY_VOID(check_heads(state));
  if (is_alone) HEARTH_TRY_VOID(recover_open_calls(state));
  state.process_lock.share();
  return {};
}

nlohmann::ordered_json to_json(const EgressRow& row) {
  nlohmann::ordered_json json = {
      {"seq", row.seq},
      {"kind", row.kind},
      {"call_seq", row.call_seq},
      {"at", format_iso8601(row.at_unix_us)},
      {"at_unix_us", row.at_unix_us},
      {"request_id", row.request_id},
  };
  if (row.kind == kKindSend) {
    json.update({{"provider", row.provider},
                 {"url", row.url},
                 {"model", row.model},
                 {"headers", row.headers},
                 {"rule", row.rule},
                 {"reserved_usd_micro", row.reserved_usd_micro}});
    const auto bytes =
        std::span(reinterpret_cast<const std::uint8_t*>(row.body.data()), row.body.size());
    if (is_valid_utf8(row.body))
      json["body"] = row.body;
    else
      json["body_hex"] = to_hex(bytes);
  } else {
    json.update({{"outcome", row.outcome},
                 {"http_status", row.http_status},
                 {"charged_usd_micro", row.charged_usd_micro},
                 {"reported_usd_micro", row.reported_usd_micro},
                 {"prompt_tokens", row.prompt_tokens},
                 {"cached_tokens", row.cached_tokens},
                 {"cache_write_tokens", row.cache_write_tokens.value_or(kUnreported)},
                 {"completion_tokens", row.completion_tokens},
                 {"bytes_in", row.bytes_in}});
    json["response_sha256"] =
        row.response_sha256.empty() ? "" : to_hex(to_hash(row.response_sha256));
  }
  json["prev_hash"] = to_hex(row.prev_hash);
  json["hash"] = to_hex(row.hash);
  return json;
}

ReceiptRow read_receipt_row(const Query& query) {
  return {.id = query.text(0),
          .at_unix_us = query.integer(1),
          .model = query.text(2),
          .advice = query.text(3),
          .bytes_out = query.integer(4),
          .cost_usd_micro = query.integer(5),
          .json = query.text(6),
          .client = query.text(7)};
}

}  // namespace

std::int64_t day_of(std::int64_t at_unix_us) {
  const std::int64_t day = at_unix_us / kDayUs;
  return at_unix_us % kDayUs < 0 ? day - 1 : day;
}

EgressRow read_egress_row(const Query& query) {
  EgressRow row;
  row.seq = query.integer(0);
  row.kind = query.text(1);
  row.call_seq = query.integer(2);
  row.at_unix_us = query.integer(3);
  row.request_id = query.text(4);
  row.provider = query.text(5);
  row.url = query.text(6);
  row.model = query.text(7);
  row.headers = query.text(8);
  row.body = query.text(9);
  row.rule = query.text(10);
  row.reserved_usd_micro = query.integer(11);
  row.charged_usd_micro = query.integer(12);
  row.reported_usd_micro = query.integer(13);
  row.prompt_tokens = query.integer(14);
  row.cached_tokens = query.integer(15);
  row.completion_tokens = query.integer(16);
  row.http_status = query.integer(17);
  row.outcome = query.text(18);
  row.bytes_in = query.integer(19);
  row.response_sha256 = query.text(20);
  row.prev_hash = to_hash(query.bytes(21));
  row.hash = to_hash(query.bytes(22));
  row.cache_write_tokens = query.is_null(23) ? std::nullopt : std::optional(query.integer(23));
  return row;
}

Result<ChainHead> read_chain_head(Database& database) {
  HEARTH_TRY(Query query, database.query("SELECT seq, hash FROM chain_head WHERE id = 1"));
  HEARTH_TRY(const bool exists, query.step());
  if (!exists) {
    return fail(Code::kCorrupt, fmt::format("ledger '{}': the chain's head is gone; see `hearth "
                                            "ledger verify`, then move the ledger aside",
                                            database.path().string()));
  }
  return ChainHead{query.integer(0), to_hash(query.bytes(1))};
}

ProcessLock::~ProcessLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<bool> ProcessLock::acquire(const std::filesystem::path& ledger_path) {
  const std::filesystem::path path = ledger_path.string() + ".lock";
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) return std::unexpected(file_error("open", path, errno));
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return true;
  // Waits only for another process that is just opening: it holds the lock alone for that long.
  while (::flock(fd_, LOCK_SH) != 0) {
    if (errno != EINTR) return std::unexpected(file_error("lock", path, errno));
  }
  return false;
}

void ProcessLock::share() { (void)::flock(fd_, LOCK_SH); }

Ledger::Ledger(std::unique_ptr<State> state) : state_(std::move(state)) {}
Ledger::~Ledger() = default;

Result<std::unique_ptr<Ledger>> Ledger::open(const std::filesystem::path& path, Mode mode,
                                             const Clock& clock) {
  auto state = std::make_unique<State>(path, clock);
  if (mode == Mode::kReadWrite) {
    HEARTH_TRY_VOID(make_folder_of(path));
    HEARTH_TRY_VOID(open_for_writing(*state, path));
  } else {
    HEARTH_TRY(state->database, Database::open(path, Database::Mode::kReadOnly));
    HEARTH_TRY_VOID(prepare_schema(*state->database, Database::Mode::kReadOnly));
  }
  return std::unique_ptr<Ledger>(new Ledger(std::move(state)));
}

Result<CallId> Ledger::begin_call(const CallIntent& intent, const BudgetLimits& limits) {
  HEARTH_TRY_VOID(check_amount("a reservation", intent.reserved_usd_micro));
  HEARTH_TRY_VOID(check_amount("a daily budget", limits.day_usd_micro));
  HEARTH_TRY_VOID(check_amount("a request's budget", limits.request_usd_micro));
  if (intent.body.size() > kBodyBytesMax) {
    return fail(Code::kInvalidArgument, fmt::format("a call of {} bytes exceeds the limit of {}",
                                                    intent.body.size(), kBodyBytesMax));
  }
  const std::lock_guard lock(state_->mutex);
  Database& database = *state_->database;
  HEARTH_TRY(Transaction transaction, Transaction::begin(database));

  // Is there room?  Nobody else can reserve until we commit.
  EgressRow row = send_row(intent, state_->clock.now_unix_us());
  const std::int64_t day = day_of(row.at_unix_us);
  HEARTH_TRY(const Spend of_day, spend_of_day(database, day));
  HEARTH_TRY_VOID(check_budget("day", of_day, row.reserved_usd_micro, limits.day_usd_micro));
  HEARTH_TRY(const Spend of_request, spend_of_request(database, row.request_id));
  HEARTH_TRY_VOID(
      check_budget("request", of_request, row.reserved_usd_micro, limits.request_usd_micro));

  // Reserve and record.
  HEARTH_TRY(const ChainHead head, append_row(database, row));
  HEARTH_TRY_VOID(database.run("INSERT INTO spend VALUES (?, ?, ?, 1, ?)", row.seq, day,
                               row.request_id, row.reserved_usd_micro));
  HEARTH_TRY_VOID(transaction.commit());
  write_head(state_->head_file, head);
  return CallId{row.seq};
}

Result<> Ledger::settle(CallId call, const Settlement& settlement) {
  HEARTH_TRY_VOID(check_amount("a charge", settlement.charged_usd_micro));
  const std::lock_guard lock(state_->mutex);
  HEARTH_TRY(Transaction transaction, Transaction::begin(*state_->database));
  HEARTH_TRY(const ChainHead head,
             append_settlement(*state_->database, call, settlement, state_->clock.now_unix_us()));
  HEARTH_TRY_VOID(transaction.commit());
  write_head(state_->head_file, head);
  return {};
}

Result<> Ledger::release(CallId call) {
  return settle(call, Settlement{.outcome = std::string(kOutcomeNotSent)});
}

Result<> Ledger::put_receipt(const ReceiptRow& receipt) {
  const std::lock_guard lock(state_->mutex);
  Database& database = *state_->database;
  // A receipt guards no money: an fsync less, see the head of ledger.h.  This pragma acts when it
  // is compiled, so it must not be a prepared statement.
  HEARTH_TRY_VOID(database.exec("PRAGMA synchronous = NORMAL"));
  const auto stored = database.run("INSERT INTO receipt VALUES (?, ?, ?, ?, ?, ?, ?, ?)", receipt.id,
                                   receipt.at_unix_us, receipt.model, receipt.advice,
                                   receipt.bytes_out, receipt.cost_usd_micro, receipt.json,
                                   receipt.client);
  HEARTH_TRY_VOID(database.exec("PRAGMA synchronous = FULL"));
  return stored;
}

Result<ReceiptRow> Ledger::receipt(std::string_view id, const std::optional<std::string>& client) const {
  const std::lock_guard lock(state_->mutex);
  HEARTH_TRY(Query query, state_->database->query("SELECT * FROM receipt WHERE id = ?1 AND (?2 IS NULL OR client = ?2)", id, client));
  HEARTH_TRY(const bool exists, query.step());
  if (!exists) return fail(Code::kNotFound, fmt::format("there is no receipt '{}'", id));
  return read_receipt_row(query);
}

Result<std::vector<ReceiptRow>> Ledger::receipts(const ReceiptFilter& filter) const {
  const std::lock_guard lock(state_->mutex);
  HEARTH_TRY(Query query,
             state_->database->query("SELECT * FROM receipt WHERE at_unix_us >= ?1 "
                                     "AND (?2 = '' OR model = ?2) AND (?3 = '' OR advice = ?3) "
                                     "AND (?5 IS NULL OR client = ?5) "
                                     "ORDER BY at_unix_us DESC, id DESC LIMIT ?4",
                                     filter.since_unix_us, filter.model, filter.advice,
                                     static_cast<std::int64_t>(std::min<std::size_t>(
                                         filter.limit, std::size_t{1} << 40)),
                                     filter.client));
  std::vector<ReceiptRow> rows;
  for (;;) {
    HEARTH_TRY(const bool has_row, query.step());
    if (!has_row) return rows;
    rows.push_back(read_receipt_row(query));
  }
}

Result<> Ledger::for_each_egress(const EgressFilter& filter,
                                 const std::function<bool(const EgressRow&)>& visit) const {
  const std::lock_guard lock(state_->mutex);
  HEARTH_TRY(Query query,
             state_->database->query("SELECT " HEARTH_EGRESS_COLUMNS " FROM egress WHERE seq > ?1 "
                                     "AND (?2 = '' OR request_id = ?2) AND (?3 IS NULL OR EXISTS "
                                     "(SELECT 1 FROM receipt WHERE id = request_id AND client = ?3)) "
                                     "ORDER BY seq",
                                     filter.after_seq, filter.request_id, filter.client));
  for (std::size_t n = 0; n < filter.limit; ++n) {
    HEARTH_TRY(const bool has_row, query.step());
    if (!has_row || !visit(read_egress_row(query))) break;
  }
  return {};
}

Result<> Ledger::export_json_lines(const EgressFilter& filter,
                                   const std::function<void(std::string_view line)>& write) const {
  return for_each_egress(filter, [&](const EgressRow& row) {
    write(to_json(row).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return true;
  });
}

Result<Spend> Ledger::spent_on_day_of(std::int64_t at_unix_us) const {
  const std::lock_guard lock(state_->mutex);
  return spend_of_day(*state_->database, day_of(at_unix_us));
}

Result<Spend> Ledger::spent_by_request(std::string_view request_id) const {
  const std::lock_guard lock(state_->mutex);
  return spend_of_request(*state_->database, request_id);
}

std::int64_t Ledger::recovered_calls() const { return state_->recovered_calls; }

}  // namespace hearth::ledger
