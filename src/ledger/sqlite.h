// A thin layer over SQLite's C interface: connections, statements and transactions
// that clean up after themselves and speak Result.
//
// Statements are prepared once per connection and kept: a Query borrows one and hands
// it back, reset, when it goes out of scope.
//
// Threading: externally synchronised, all of it.
#pragma once

#include <sqlite3.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"

namespace hearth::ledger {

// Bytes that are no text; binds as BLOB.
struct Blob {
  std::string_view bytes;
};

class Query;

class Database {
 public:
  enum class Mode { kReadOnly, kReadWrite };

  // Opens (and for kReadWrite creates) the file.  Errors name the file and the way out.
  static Result<std::unique_ptr<Database>> open(const std::filesystem::path& path, Mode mode);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs one or more statements without results.
  Result<> exec(const char* sql);

  // Prepares (once) and binds; `sql` must be a string literal.  At most one Query per text at a
  // time.
  template <class... Args>
  Result<Query> query(const char* sql, const Args&... args);

  // Runs a statement that returns no row.
  template <class... Args>
  Result<> run(const char* sql, const Args&... args);

  const std::filesystem::path& path() const { return path_; }
  // What SQLite last complained about, as an Error with the fitting code.
  Error error(int sqlite_code) const;

 private:
  explicit Database(std::filesystem::path path) : path_(std::move(path)) {}
  Result<sqlite3_stmt*> prepared(const char* sql);

  std::filesystem::path path_;
  sqlite3* handle_ = nullptr;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;  // By the literal's address.
};

// A bound statement and the row that it stands on.
class Query {
 public:
  Query(const Database& database, sqlite3_stmt* statement)
      : database_(&database), statement_(statement) {}
  Query(Query&& other) noexcept
      : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)) {}
  Query& operator=(Query&&) = delete;
  ~Query();

  // Moves to the next row; false after the last.
  Result<bool> step();

  // Columns of the current row, from 0.  Views live until the next step().
  std::int64_t integer(int column) const;
  bool is_null(int column) const;
  std::string_view bytes(int column) const;
  std::string text(int column) const { return std::string(bytes(column)); }

 private:
  friend class Database;
  Result<> bind_all(int) { return {}; }
  template <class First, class... Rest>
  Result<> bind_all(int index, const First& first, const Rest&... rest);
  int bind(int index, std::string_view text);
  int bind(int index, Blob blob);
  int bind(int index, std::int64_t number);
  int bind(int index, const std::optional<std::string>& text);  // NULL where there is none.

  const Database* database_;
  sqlite3_stmt* statement_;
};

// Rolls back unless committed.  BEGIN IMMEDIATE takes the write lock at once, so that what the
// transaction reads can't be outdated by the time it writes.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

template <class First, class... Rest>
Result<> Query::bind_all(int index, const First& first, const Rest&... rest) {
  int code = SQLITE_OK;
  if constexpr (std::integral<First>) {
    code = bind(index, static_cast<std::int64_t>(first));
  } else if constexpr (std::same_as<First, Blob> || std::same_as<First, std::optional<std::string>>) {
    code = bind(index, first);
  } else {
    code = bind(index, std::string_view(first));
  }
  if (code != SQLITE_OK) return std::unexpected(database_->error(code));
  return bind_all(index + 1, rest...);
}

template <class... Args>
Result<Query> Database::query(const char* sql, const Args&... args) {
  HEARTH_TRY(sqlite3_stmt* const statement, prepared(sql));
  Query bound(*this, statement);
  HEARTH_TRY_VOID(bound.bind_all(1, args...));
  return bound;
}

template <class... Args>
Result<> Database::run(const char* sql, const Args&... args) {
  HEARTH_TRY(Query bound, query(sql, args...));
  HEARTH_TRY([[maybe_unused]] const bool has_row, bound.step());
  return {};
}

}  // namespace hearth::ledger
