#include "ledger/schema.h"

#include <fmt/format.h>

#include <iterator>

namespace hearth::ledger {
namespace {

// "HRTH" in the database header's application id, so that `file` and we can tell it from others.
constexpr std::int64_t kApplicationId = 0x48525448;

// kSteps[v] brings version v to v + 1; a released step is never edited, only followed by another.
constexpr const char* kSteps[] = {
    R"sql(
CREATE TABLE egress (
  seq INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  call_seq INTEGER NOT NULL,
  at_unix_us INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  url TEXT NOT NULL,
  model TEXT NOT NULL,
  headers TEXT NOT NULL,
  body BLOB NOT NULL,
  rule TEXT NOT NULL,
  reserved_usd_micro INTEGER NOT NULL,
  charged_usd_micro INTEGER NOT NULL,
  reported_usd_micro INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  http_status INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  bytes_in INTEGER NOT NULL,
  response_sha256 BLOB NOT NULL,
  prev_hash BLOB NOT NULL,
  hash BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX egress_one_row_per_kind ON egress (call_seq, kind);
CREATE INDEX egress_by_request ON egress (request_id);
CREATE TRIGGER egress_no_update BEFORE UPDATE ON egress
  BEGIN SELECT RAISE(ABORT, 'egress rows are never changed'); END;
CREATE TRIGGER egress_no_delete BEFORE DELETE ON egress
  BEGIN SELECT RAISE(ABORT, 'egress rows are never deleted'); END;

CREATE TABLE chain_head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL
) STRICT;
INSERT INTO chain_head VALUES (1, 0, zeroblob(32));

CREATE TABLE spend (
  call_seq INTEGER PRIMARY KEY,
  day INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  is_open INTEGER NOT NULL,
  usd_micro INTEGER NOT NULL
) STRICT;
CREATE INDEX spend_by_day ON spend (day, is_open, usd_micro);
CREATE INDEX spend_by_request ON spend (request_id, is_open, usd_micro);
CREATE INDEX spend_open ON spend (call_seq) WHERE is_open = 1;

CREATE TABLE receipt (
  id TEXT PRIMARY KEY,
  at_unix_us INTEGER NOT NULL,
  model TEXT NOT NULL,
  advice TEXT NOT NULL,
  bytes_out INTEGER NOT NULL,
  cost_usd_micro INTEGER NOT NULL,
  json TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX receipt_by_time ON receipt (at_unix_us);
)sql",
    // NULL in the rows that are there: they keep the form in which they were hashed.
    R"sql(
ALTER TABLE egress ADD COLUMN cache_write_tokens INTEGER;
)sql",
    // Who asked for the answers that are there, nobody knows any more.
    R"sql(
ALTER TABLE receipt ADD COLUMN client TEXT NOT NULL DEFAULT '';
)sql",
};
constexpr std::int64_t kVersion = std::size(kSteps);

Result<std::int64_t> read_pragma(Database& database, const char* sql) {
  HEARTH_TRY(Query query, database.query(sql));
  HEARTH_TRY(const bool has_row, query.step());
  return has_row ? query.integer(0) : 0;
}

Result<> check_identity(Database& database, Database::Mode mode) {
  HEARTH_TRY(const std::int64_t application, read_pragma(database, "PRAGMA application_id"));
  HEARTH_TRY(const std::int64_t n_tables,
             read_pragma(database, "SELECT count(*) FROM sqlite_schema"));
  const bool is_new = application == 0 && n_tables == 0 && mode == Database::Mode::kReadWrite;
  if (application == kApplicationId || is_new) return {};
  return fail(Code::kCorrupt,
              fmt::format("'{}' is a database, but no Hearth ledger; name another file for it",
                          database.path().string()));
}

Result<> migrate(Database& database) {
  HEARTH_TRY(Transaction transaction, Transaction::begin(database));
  // Read again under the lock: another process may have been faster.
  HEARTH_TRY(const std::int64_t version, read_pragma(database, "PRAGMA user_version"));
  for (std::int64_t v = version; v < kVersion; ++v) {
    HEARTH_TRY_VOID(database.exec(kSteps[v]));
  }
  HEARTH_TRY_VOID(database.exec(
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};", kApplicationId, kVersion)
          .c_str()));
  return transaction.commit();
}

}  // namespace

Result<> prepare_schema(Database& database, Database::Mode mode) {
  HEARTH_TRY_VOID(check_identity(database, mode));
  HEARTH_TRY(const std::int64_t version, read_pragma(database, "PRAGMA user_version"));
  if (version > kVersion) {
    return fail(
        Code::kUnsupported,
        fmt::format("ledger '{}' has schema {}, this Hearth knows up to {}; use a newer one",
                    database.path().string(), version, kVersion));
  }
  if (mode == Database::Mode::kReadOnly) {
    // What can't be brought up to date is read as if it were.
    if (version < 2) {
      HEARTH_TRY_VOID(database.exec("CREATE TEMP VIEW egress AS SELECT *, NULL AS cache_write_tokens FROM main.egress"));
    }
    return version < 3 ? database.exec("CREATE TEMP VIEW receipt AS SELECT *, '' AS client FROM main.receipt") : Result<>{};
  }
  HEARTH_TRY_VOID(database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"));
  return version < kVersion ? migrate(database) : Result<>{};
}

}  // namespace hearth::ledger
