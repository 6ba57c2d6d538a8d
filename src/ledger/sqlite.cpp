#include "ledger/sqlite.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

namespace hearth::ledger {
namespace {

constexpr int kBusyTimeoutMs = 5000;  // How long another process may hold the write lock.

struct CodeRow {
  int sqlite;
  Code code;
  const char* advice;  // What to do about it, after the file's name and SQLite's own words.
};

constexpr CodeRow kCodes[] = {
    {SQLITE_NOTADB, Code::kCorrupt, "it is no ledger; move it aside or name another file"},
    {SQLITE_CORRUPT, Code::kCorrupt, "it is damaged; move it aside, or restore a copy"},
    {SQLITE_READONLY, Code::kPermissionDenied, "make it and its folder writable"},
    {SQLITE_PERM, Code::kPermissionDenied, "make it and its folder writable"},
    {SQLITE_CANTOPEN, Code::kPermissionDenied, "check that the folder exists and is writable"},
    {SQLITE_FULL, Code::kOutOfBudget, "free space on that disk"},
    {SQLITE_IOERR, Code::kUnavailable, "check the disk"},
    {SQLITE_BUSY, Code::kUnavailable, "another program holds it; try again"},
    {SQLITE_LOCKED, Code::kUnavailable, "another program holds it; try again"},
    {SQLITE_NOMEM, Code::kOutOfBudget, "free memory"},
    {SQLITE_TOOBIG, Code::kInvalidArgument, "the row is too large"},
    {SQLITE_CONSTRAINT, Code::kInvalidArgument, "the row breaks a rule of the ledger"},
};

}  // namespace

Error Database::error(int sqlite_code) const {
  const int primary = sqlite_code & 0xFF;
  const char* const words =
      handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(sqlite_code);
  for (const CodeRow& row : kCodes) {
    if (row.sqlite != primary) continue;
    return Error{row.code, fmt::format("ledger '{}': {}: {}", path_.string(), words, row.advice)};
  }
  return Error{Code::kInternal, fmt::format("ledger '{}': {}", path_.string(), words)};
}

Result<std::unique_ptr<Database>> Database::open(const std::filesystem::path& path, Mode mode) {
  std::unique_ptr<Database> database(new Database(path));
  if (mode == Mode::kReadOnly && ::access(path.c_str(), F_OK) != 0) {
    return fail(Code::kNotFound, fmt::format("there is no ledger at '{}' yet", path.string()));
  }
  const int flags =
      mode == Mode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int code = sqlite3_open_v2(path.c_str(), &database->handle_,
                                   flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  if (code != SQLITE_OK) return std::unexpected(database->error(code));
  sqlite3_busy_timeout(database->handle_, kBusyTimeoutMs);
  return database;
}

Database::~Database() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(handle_);
}

Result<> Database::exec(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(error(code));
  return {};
}

Result<sqlite3_stmt*> Database::prepared(const char* sql) {
  const auto [entry, is_new] = statements_.try_emplace(sql, nullptr);
  if (!is_new) return entry->second;
  const int code =
      sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &entry->second, nullptr);
  if (code == SQLITE_OK) return entry->second;
  statements_.erase(entry);
  return std::unexpected(error(code));
}

Query::~Query() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Result<bool> Query::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return std::unexpected(database_->error(code));
}

std::int64_t Query::integer(int column) const { return sqlite3_column_int64(statement_, column); }

bool Query::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

std::string_view Query::bytes(int column) const {
  const void* const data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

// Values are bound by reference: the caller's arguments outlive the statement's run in every use
// except Database::query, whose Query may outlive temporaries; so texts are copied.
int Query::bind(int index, std::string_view text) {
  return sqlite3_bind_text64(statement_, index, text.data() == nullptr ? "" : text.data(),
                             text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

int Query::bind(int index, Blob blob) {
  if (blob.bytes.empty()) return sqlite3_bind_zeroblob(statement_, index, 0);
  return sqlite3_bind_blob64(statement_, index, blob.bytes.data(), blob.bytes.size(),
                             SQLITE_TRANSIENT);
}

int Query::bind(int index, std::int64_t number) {
  return sqlite3_bind_int64(statement_, index, number);
}

int Query::bind(int index, const std::optional<std::string>& text) {
  return text ? bind(index, std::string_view(*text)) : sqlite3_bind_null(statement_, index);
}

Result<Transaction> Transaction::begin(Database& database) {
  HEARTH_TRY_VOID(database.run("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Transaction::~Transaction() {
  if (database_ != nullptr) (void)database_->run("ROLLBACK");
}

Result<> Transaction::commit() {
  HEARTH_TRY_VOID(database_->run("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace hearth::ledger
