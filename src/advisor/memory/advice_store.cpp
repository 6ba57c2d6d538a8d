#include "advisor/memory/advice_store.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <set>

#include "advisor/memory/likeness.h"
#include "base/file.h"

namespace hearth::advisor {
namespace {

using ledger::Query;
using ledger::Transaction;

constexpr std::int64_t kDayUs = 86'400'000'000;
constexpr std::size_t kSearchWordsMax = 32;   // Of a question; the longest say most.
constexpr std::int64_t kCandidates = 16;

constexpr const char* kSchema = R"sql(
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS advice (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at_unix_us INTEGER NOT NULL,
  client TEXT NOT NULL,
  class TEXT NOT NULL,
  asked TEXT NOT NULL,
  model TEXT NOT NULL,
  context INTEGER NOT NULL,
  receipt TEXT NOT NULL,
  adviser TEXT NOT NULL,
  question TEXT NOT NULL,
  draft TEXT NOT NULL,
  advice TEXT NOT NULL
) STRICT;
CREATE VIRTUAL TABLE IF NOT EXISTS advice_words USING fts5 (words, tokenize = "unicode61 remove_diacritics 0");
CREATE TABLE IF NOT EXISTS deferred (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at_unix_us INTEGER NOT NULL,
  receipt TEXT NOT NULL,
  model TEXT NOT NULL,
  request TEXT NOT NULL,
  draft TEXT NOT NULL,
  why TEXT NOT NULL
) STRICT;
)sql";

// A number that SQLite's signed integers hold.
std::int64_t stored(std::uint64_t number) { return std::bit_cast<std::int64_t>(number); }

// Any of the question's longest words, as the full-text index is asked.
std::string search_text(const std::vector<std::string>& words) {
  std::set<std::string> distinct(words.begin(), words.end());
  std::vector<std::string> longest(distinct.begin(), distinct.end());
  std::ranges::stable_sort(longest, std::ranges::greater{}, &std::string::size);
  if (longest.size() > kSearchWordsMax) longest.resize(kSearchWordsMax);
  std::string text;
  for (const std::string& word : longest) {
    if (word.find('"') == std::string::npos) text += fmt::format("{}\"{}\"", text.empty() ? "" : " OR ", word);
  }
  return text;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += word + " ";
  return text;
}

// The number of "a-12"; 0 for what is none.
std::int64_t number_of(std::string_view id, std::string_view prefix) {
  std::int64_t number = 0;
  if (!id.starts_with(prefix)) return 0;
  const auto read = std::from_chars(id.data() + prefix.size(), id.data() + id.size(), number);
  return read.ec == std::errc() && read.ptr == id.data() + id.size() ? number : 0;
}

RememberedAdvice read_advice(const Query& query) {
  return {.id = fmt::format("a-{}", query.integer(0)), .at_unix_us = query.integer(1), .receipt = query.text(2),
          .adviser = query.text(3), .question = query.text(4), .draft = query.text(5), .advice = query.text(6)};
}

}  // namespace

Result<std::unique_ptr<AdviceStore>> AdviceStore::open(AdviceStoreOptions options, const Clock& clock) {
  std::error_code error;
  std::filesystem::create_directories(options.file.parent_path(), error);
  if (error) return std::unexpected(file_error("create the folder of", options.file, error.value()));
  std::unique_ptr<AdviceStore> store(new AdviceStore(std::move(options), clock));
  HEARTH_TRY(store->database_, ledger::Database::open(store->options_.file, ledger::Database::Mode::kReadWrite));
  ::chmod(store->options_.file.c_str(), 0600);
  HEARTH_TRY_VOID(store->database_->exec(kSchema));
  return store;
}

Result<std::int64_t> AdviceStore::changes() {
  HEARTH_TRY(Query query, database_->query("SELECT changes()"));
  HEARTH_TRY([[maybe_unused]] const bool has_row, query.step());
  return query.integer(0);
}

Result<std::optional<RememberedAdvice>> AdviceStore::recall(const AdviceKey& key, std::string_view question) {
  if (question.size() > kRememberedBytesMax) return std::nullopt;
  const std::vector<std::string> words = question_words(question);
  const std::string search = search_text(words);
  if (search.empty()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  HEARTH_TRY(Query query, database_->query(
      "SELECT id, at_unix_us, receipt, adviser, question, draft, advice FROM advice_words JOIN advice ON id = advice_words.rowid "
      "WHERE advice_words MATCH ? AND client = ? AND class = ? AND asked = ? AND model = ? AND context = ? AND at_unix_us >= ? "
      "ORDER BY advice_words.rank, id DESC LIMIT ?",
      search, key.client, key.gives, key.adviser, key.model, stored(key.context),
      clock_.now_unix_us() - kDayUs * options_.days_max, kCandidates));
  std::optional<RememberedAdvice> best;
  for (;;) {
    HEARTH_TRY(const bool has_row, query.step());
    if (!has_row) return best;
    RememberedAdvice advice = read_advice(query);
    advice.likeness = likeness(words, question_words(advice.question));
    if (advice.likeness < options_.likeness_min || (best && best->likeness >= advice.likeness)) continue;
    best = std::move(advice);
  }
}

Result<> AdviceStore::remember(const AdviceKey& key, const RememberedAdvice& advice) {
  if (advice.question.size() > kRememberedBytesMax) return {};
  const std::vector<std::string> words = question_words(advice.question);
  if (words.empty()) return {};
  const std::lock_guard lock(mutex_);
  HEARTH_TRY(Transaction transaction, Transaction::begin(*database_));
  HEARTH_TRY_VOID(database_->run(
      "INSERT INTO advice (at_unix_us, client, class, asked, model, context, receipt, adviser, question, draft, advice) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      clock_.now_unix_us(), key.client, key.gives, key.adviser, key.model, stored(key.context), advice.receipt, advice.adviser,
      advice.question, advice.draft, advice.advice));
  HEARTH_TRY_VOID(database_->run("INSERT INTO advice_words (rowid, words) VALUES (last_insert_rowid(), ?)", joined(words)));
  HEARTH_TRY_VOID(database_->run("DELETE FROM advice WHERE id <= (SELECT max(id) FROM advice) - ? OR at_unix_us < ?",
                                 static_cast<std::int64_t>(options_.entries_max),
                                 clock_.now_unix_us() - kDayUs * options_.days_max));
  HEARTH_TRY_VOID(database_->run("DELETE FROM advice_words WHERE rowid NOT IN (SELECT id FROM advice)"));
  return transaction.commit();
}

Result<std::vector<RememberedAdvice>> AdviceStore::remembered(std::size_t n) {
  const std::lock_guard lock(mutex_);
  HEARTH_TRY(Query query, database_->query("SELECT id, at_unix_us, receipt, adviser, question, draft, advice FROM advice "
                                           "ORDER BY id DESC LIMIT ?", static_cast<std::int64_t>(std::min<std::size_t>(n, INT32_MAX))));
  std::vector<RememberedAdvice> list;
  for (;;) {
    HEARTH_TRY(const bool has_row, query.step());
    if (!has_row) return list;
    list.push_back(read_advice(query));
  }
}

Result<std::int64_t> AdviceStore::forget(std::string_view id) {
  const std::lock_guard lock(mutex_);
  HEARTH_TRY(Transaction transaction, Transaction::begin(*database_));
  HEARTH_TRY_VOID(database_->run("DELETE FROM advice WHERE ?1 = 'all' OR id = ?2 OR receipt = ?1", id, number_of(id, "a-")));
  HEARTH_TRY(const std::int64_t n, changes());
  HEARTH_TRY_VOID(database_->run("DELETE FROM advice_words WHERE rowid NOT IN (SELECT id FROM advice)"));
  HEARTH_TRY_VOID(transaction.commit());
  return n;
}

Result<> AdviceStore::defer(const DeferredQuestion& question) {
  if (question.request.size() > kDeferredBytesMax) {
    return fail(Code::kInvalidArgument, fmt::format("a request of {} bytes is not kept for later, at most {} are",
                                                    question.request.size(), kDeferredBytesMax));
  }
  const std::lock_guard lock(mutex_);
  HEARTH_TRY(Transaction transaction, Transaction::begin(*database_));
  HEARTH_TRY_VOID(database_->run("INSERT INTO deferred (at_unix_us, receipt, model, request, draft, why) SELECT ?1, ?2, ?3, ?4, ?5, ?6 "
                                 "WHERE NOT EXISTS (SELECT 1 FROM deferred WHERE model = ?3 AND request = ?4)",
                                 clock_.now_unix_us(), question.receipt, question.model, question.request, question.draft,
                                 question.why));
  HEARTH_TRY_VOID(database_->run("DELETE FROM deferred WHERE id <= (SELECT max(id) FROM deferred) - ?",
                                 static_cast<std::int64_t>(kDeferredMax)));
  return transaction.commit();
}

Result<std::vector<DeferredQuestion>> AdviceStore::deferred() {
  const std::lock_guard lock(mutex_);
  HEARTH_TRY(Query query, database_->query("SELECT id, at_unix_us, receipt, model, request, draft, why FROM deferred ORDER BY id"));
  std::vector<DeferredQuestion> list;
  for (;;) {
    HEARTH_TRY(const bool has_row, query.step());
    if (!has_row) return list;
    list.push_back({.id = fmt::format("d-{}", query.integer(0)), .at_unix_us = query.integer(1), .receipt = query.text(2),
                    .model = query.text(3), .request = query.text(4), .draft = query.text(5), .why = query.text(6)});
  }
}

Result<std::int64_t> AdviceStore::drop_deferred(std::string_view id) {
  const std::lock_guard lock(mutex_);
  HEARTH_TRY_VOID(database_->run("DELETE FROM deferred WHERE ?1 = 'all' OR id = ?2", id, number_of(id, "d-")));
  return changes();
}

}  // namespace hearth::advisor
