#include "ledger/verify.h"

#include <fmt/format.h>

#include <unordered_map>
#include <utility>

#include "ledger/ledger_state.h"

namespace hearth::ledger {
namespace {

struct Call {
  std::int64_t day = 0;
  std::int64_t usd_micro = 0;
  bool is_open = true;
};

// Walks the chain once, in order, remembering of each call what `spend` repeats.
class Verifier {
 public:
  explicit Verifier(Database& database) : database_(database) {}

  Result<> check_file();
  Result<> check_chain(const std::vector<std::pair<std::string, ChainHead>>& heads);
  Result<> check_spend();
  void problem(std::string sentence) {
    if (report_.problems.size() < kProblemsMax) report_.problems.push_back(std::move(sentence));
  }
  VerifyReport finish();

 private:
  void check_links(const EgressRow& row);
  void check_meaning(const EgressRow& row);

  Database& database_;
  VerifyReport report_;
  std::unordered_map<std::int64_t, Call> calls_;
};

Result<> Verifier::check_file() {
  HEARTH_TRY(Query query, database_.query("PRAGMA integrity_check(5)"));
  for (;;) {
    HEARTH_TRY(const bool has_row, query.step());
    if (!has_row) return {};
    if (query.bytes(0) != "ok") problem(fmt::format("the database file: {}", query.text(0)));
  }
}

void Verifier::check_links(const EgressRow& row) {
  if (row.seq != report_.head.seq + 1) {
    problem(fmt::format("row {} follows row {}: rows are missing", row.seq, report_.head.seq));
  }
  if (row.prev_hash != report_.head.hash) {
    problem(fmt::format("row {} does not continue the row before it", row.seq));
  }
  if (canonical_hash(row) != row.hash) {
    problem(fmt::format("row {} was changed: its hash does not fit its content", row.seq));
  }
}

void Verifier::check_meaning(const EgressRow& row) {
  if (row.kind == kKindSend) {
    if (row.call_seq != row.seq)
      problem(fmt::format("row {} names call {}", row.seq, row.call_seq));
    calls_[row.seq] = Call{day_of(row.at_unix_us), row.reserved_usd_micro, true};
    return;
  }
  if (row.kind != kKindSettle) {
    problem(fmt::format("row {} is neither send nor settle", row.seq));
    return;
  }
  const auto call = calls_.find(row.call_seq);
  if (call == calls_.end() || !call->second.is_open) {
    problem(fmt::format("row {} settles call {}, which is not open", row.seq, row.call_seq));
    return;
  }
  if (row.charged_usd_micro > call->second.usd_micro) {
    problem(fmt::format("row {} charges more than call {} reserved", row.seq, row.call_seq));
  }
  call->second.is_open = false;
  call->second.usd_micro = row.charged_usd_micro;
  report_.charged_usd_micro += row.charged_usd_micro;
}

Result<> Verifier::check_chain(const std::vector<std::pair<std::string, ChainHead>>& heads) {
  std::vector<bool> met(heads.size(), false);
  HEARTH_TRY(Query query,
             database_.query("SELECT " HEARTH_EGRESS_COLUMNS " FROM egress ORDER BY seq"));
  for (;;) {
    HEARTH_TRY(const bool has_row, query.step());
    if (!has_row) break;
    const EgressRow row = read_egress_row(query);
    check_links(row);
    check_meaning(row);
    ++report_.rows;
    report_.head = ChainHead{row.seq, row.hash};
    for (std::size_t i = 0; i < heads.size(); ++i) {
      if (heads[i].second == report_.head) met[i] = true;
    }
  }
  for (std::size_t i = 0; i < heads.size(); ++i) {
    const auto& [name, head] = heads[i];
    if (met[i] || head.seq == 0) continue;
    problem(fmt::format("{} names row {}, which is missing or changed", name, head.seq));
  }
  return {};
}

Result<> Verifier::check_spend() {
  std::size_t n_rows = 0;
  HEARTH_TRY(Query query, database_.query("SELECT call_seq, day, is_open, usd_micro FROM spend"));
  for (;;) {
    HEARTH_TRY(const bool has_row, query.step());
    if (!has_row) break;
    ++n_rows;
    const auto call = calls_.find(query.integer(0));
    const bool agrees = call != calls_.end() && call->second.day == query.integer(1) &&
                        call->second.is_open == (query.integer(2) != 0) &&
                        call->second.usd_micro == query.integer(3);
    if (!agrees) {
      problem(
          fmt::format("the budget's entry for call {} disagrees with the chain", query.integer(0)));
    }
  }
  if (n_rows != calls_.size()) {
    problem(fmt::format("the budget knows {} calls, the chain {}", n_rows, calls_.size()));
  }
  return {};
}

VerifyReport Verifier::finish() {
  report_.calls = static_cast<std::int64_t>(calls_.size());
  for (const auto& [seq, call] : calls_) report_.open_calls += call.is_open ? 1 : 0;
  return std::move(report_);
}

}  // namespace

Result<VerifyReport> verify(const Ledger& ledger, const std::optional<ChainHead>& expected_head) {
  Ledger::State& state = ledger.state();
  const std::lock_guard lock(state.mutex);
  Database& database = *state.database;
  Verifier verifier(database);

  // The head file is read before the database: rows that another process appends meanwhile then
  // only make the chain longer than the head says.
  std::vector<std::pair<std::string, ChainHead>> heads;
  const auto file = state.head_file.read();
  if (!file)
    verifier.problem(file.error().message);
  else if (*file)
    heads.emplace_back(fmt::format("'{}'", state.head_file.path().string()), **file);
  if (expected_head) heads.emplace_back("the expected head", *expected_head);

  // One snapshot for all that follows.
  HEARTH_TRY_VOID(database.run("BEGIN"));
  const auto checked = [&]() -> Result<> {
    HEARTH_TRY_VOID(verifier.check_file());
    HEARTH_TRY(const ChainHead table, read_chain_head(database));
    heads.emplace_back("the table chain_head", table);
    HEARTH_TRY_VOID(verifier.check_chain(heads));
    HEARTH_TRY_VOID(verifier.check_spend());
    HEARTH_TRY(Query query, database.query("SELECT count(*) FROM egress WHERE seq > ?", table.seq));
    HEARTH_TRY([[maybe_unused]] const bool has_row, query.step());
    if (query.integer(0) != 0)
      verifier.problem("there are rows after the one that chain_head names");
    return {};
  }();
  (void)database.run("COMMIT");
  if (!checked) return std::unexpected(checked.error());
  return verifier.finish();
}

}  // namespace hearth::ledger
