// The ledger under use, misuse, races, crashes and forgery.
#include "ledger/ledger.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "ledger/receipt_id.h"
#include "ledger/verify.h"
#include "ledger/writer.h"

namespace hearth::ledger {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr BudgetLimits kRich{.day_usd_micro = kUsdMicroMax, .request_usd_micro = kUsdMicroMax};

class LedgerTest : public ::testing::Test {
 protected:

  std::filesystem::path path() const { return folder_ / "ledger.db"; }
  std::unique_ptr<Ledger> open() const {
    auto ledger = Ledger::open(path(), Ledger::Mode::kReadWrite, clock_);
    EXPECT_TRUE(ledger) << (ledger ? "" : ledger.error().message);
    return ledger ? std::move(*ledger) : nullptr;
  }
  VerifyReport verify_now(const std::optional<ChainHead>& expected = std::nullopt) const {
    const auto ledger = Ledger::open(path(), Ledger::Mode::kReadOnly);
    EXPECT_TRUE(ledger);
    auto report = verify(**ledger, expected);
    EXPECT_TRUE(report) << (report ? "" : report.error().message);
    return report.value_or(VerifyReport{});
  }
  // Runs SQL on the file behind the ledger's back, as an attacker would.
  void forge(const std::string& sql) const {
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(path().c_str(), &handle), SQLITE_OK);
    const std::string all =
        "DROP TRIGGER IF EXISTS egress_no_update;"
        "DROP TRIGGER IF EXISTS egress_no_delete;" +
        sql;
    ASSERT_EQ(sqlite3_exec(handle, all.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(handle);
    sqlite3_close(handle);
  }
  int run_script(const std::string& arguments = "") const {
    const std::string command =
        fmt::format("python3 {}/scripts/verify_ledger.py {} {} >{}", HEARTH_SOURCE_DIR,
                    path().string(), arguments, (folder_ / "script.out").string());
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  // Appends the exported rows; false if the file can't be read or does not hold.
  bool rows_that_hold(std::string& all) const {
    const auto ledger = Ledger::open(path(), Ledger::Mode::kReadOnly);
    if (!ledger) return false;
    const auto report = verify(**ledger);
    if (!report || !report->problems.empty()) return false;
    return (*ledger)
        ->export_json_lines({}, [&](std::string_view line) { all.append(line).append("\n"); })
        .has_value();
  }

  TempFolder folder_;
  mutable FakeClock clock_;
};

CallIntent intent(std::int64_t reserved = 100, std::string request = "r-1",
                  std::string body = R"({"messages":[]})") {
  return {.request_id = std::move(request),
          .provider = "acme",
          .url = "https://api.acme.test/v1",
          .model = "wise-1",
          .headers = "Authorization: (not recorded)\n",
          .body = std::move(body),
          .rule = "auto: confidence 0.21 < 0.60",
          .reserved_usd_micro = reserved};
}

Settlement answered(std::int64_t charged) {
  return {.charged_usd_micro = charged,
          .reported_usd_micro = charged,
          .prompt_tokens = 12,
          .cached_tokens = 0,
          .completion_tokens = 34,
          .http_status = 200,
          .outcome = "answered",
          .bytes_in = 512,
          .response_sha256 = sha256("response")};
}

// Three settled calls: rows 1..6.
void fill(Ledger& ledger) {
  for (int i = 0; i < 3; ++i) {
    const auto call = ledger.begin_call(intent(100, fmt::format("r-{}", i)), kRich);
    ASSERT_TRUE(call) << call.error().message;
    ASSERT_TRUE(ledger.settle(*call, answered(40)));
  }
}

TEST_F(LedgerTest, RecordsExactBytesBeforeAndOutcomeAfter) {
  const std::string body("{\"a\":\"\0\xff\"}", 10);
  auto ledger = open();
  const auto call = ledger->begin_call(intent(100, "r-1", body), kRich);
  ASSERT_TRUE(call);
  ASSERT_TRUE(ledger->settle(*call, answered(40)));
  std::vector<EgressRow> rows;
  ASSERT_TRUE(ledger->for_each_egress({}, [&](const EgressRow& row) {
    rows.push_back(row);
    return true;
  }));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].body, body);
  EXPECT_EQ(rows[0].rule, "auto: confidence 0.21 < 0.60");
  EXPECT_EQ(rows[1].call_seq, rows[0].seq);
  EXPECT_EQ(rows[1].charged_usd_micro, 40);
  EXPECT_EQ(rows[1].response_sha256.size(), 32U);
  const VerifyReport report = verify_now();
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_EQ(report.calls, 1);
  EXPECT_EQ(report.charged_usd_micro, 40);
  EXPECT_EQ(run_script(), 0);
}

TEST_F(LedgerTest, EmptyLedgerHolds) {
  open();
  EXPECT_THAT(verify_now().problems, IsEmpty());
  EXPECT_EQ(run_script(), 0);
}

TEST_F(LedgerTest, ReopensAndContinuesTheChain) {
  fill(*open());
  fill(*open());
  const VerifyReport report = verify_now();
  EXPECT_EQ(report.rows, 12);
  EXPECT_THAT(report.problems, IsEmpty());
}

TEST_F(LedgerTest, BudgetHoldsExactlyAtItsLimits) {
  auto ledger = open();
  const BudgetLimits limits{.day_usd_micro = 250, .request_usd_micro = 150};
  const auto first = ledger->begin_call(intent(150, "a"), limits);
  ASSERT_TRUE(first);
  const auto second = ledger->begin_call(intent(1, "a"), limits);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kOutOfBudget);
  EXPECT_THAT(second.error().message, HasSubstr("per request"));
  ASSERT_TRUE(ledger->begin_call(intent(100, "b"), limits));
  const auto over = ledger->begin_call(intent(1, "c"), limits);
  ASSERT_FALSE(over);
  EXPECT_THAT(over.error().message, HasSubstr("per day"));
  // Settling below the reservation gives the rest back.
  ASSERT_TRUE(ledger->settle(*first, answered(149)));
  ASSERT_TRUE(ledger->begin_call(intent(1, "c"), limits));
  EXPECT_FALSE(ledger->begin_call(intent(1, "c"), limits));
  // A new day is a new budget, for days; a request keeps its own.
  clock_.advance(std::chrono::hours(24));
  EXPECT_TRUE(ledger->begin_call(intent(100, "d"), limits));
  EXPECT_FALSE(ledger->begin_call(intent(2, "a"), limits));
}

TEST_F(LedgerTest, ReleaseGivesTheWholeReservationBack) {
  auto ledger = open();
  const BudgetLimits limits{.day_usd_micro = 100, .request_usd_micro = 100};
  const auto call = ledger->begin_call(intent(100), limits);
  ASSERT_TRUE(ledger->release(*call));
  EXPECT_TRUE(ledger->begin_call(intent(100), limits));
}

TEST_F(LedgerTest, RefusesSettlingTwiceUnknownCallsAndOvercharges) {
  auto ledger = open();
  const auto call = ledger->begin_call(intent(100), kRich);
  EXPECT_EQ(ledger->settle(CallId{77}, answered(1)).error().code, Code::kInvalidArgument);
  EXPECT_EQ(ledger->settle(*call, answered(101)).error().code, Code::kInvalidArgument);
  EXPECT_EQ(ledger->settle(*call, answered(-1)).error().code, Code::kInvalidArgument);
  EXPECT_TRUE(ledger->settle(*call, answered(100)));
  EXPECT_EQ(ledger->settle(*call, answered(1)).error().code, Code::kInvalidArgument);
  EXPECT_EQ(ledger->begin_call(intent(-1), kRich).error().code, Code::kInvalidArgument);
  EXPECT_EQ(ledger->begin_call(intent(kUsdMicroMax + 1), kRich).error().code,
            Code::kInvalidArgument);
  EXPECT_THAT(verify_now().problems, IsEmpty());
}

TEST_F(LedgerTest, FiftyRacingCallsForABudgetOfTenMakeExactlyTen) {
  auto ledger = open();
  const BudgetLimits limits{.day_usd_micro = 1000, .request_usd_micro = 100};
  std::atomic<int> made = 0, refused = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 50; ++i) {
      threads.emplace_back([&, i] {
        const auto call = ledger->begin_call(intent(100, fmt::format("r-{}", i)), limits);
        if (call)
          ++made;
        else if (call.error().code == Code::kOutOfBudget)
          ++refused;
      });
    }
  }
  EXPECT_EQ(made, 10);
  EXPECT_EQ(refused, 40);
  EXPECT_EQ(verify_now().calls, 10);
}

TEST_F(LedgerTest, ProcessesShareABudgetAndAChain) {
  open();
  const BudgetLimits limits{.day_usd_micro = 1000, .request_usd_micro = 100};
  std::vector<pid_t> children;
  for (int p = 0; p < 4; ++p) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto ledger = Ledger::open(path(), Ledger::Mode::kReadWrite, clock_);
      int made = 0;
      for (int i = 0; ledger && i < 10; ++i) {
        const auto call = (*ledger)->begin_call(intent(100, fmt::format("{}-{}", p, i)), limits);
        if (call && (*ledger)->settle(*call, answered(100))) ++made;
      }
      ::_exit(ledger ? made : 99);
    }
    children.push_back(child);
  }
  int made = 0;
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    made += WEXITSTATUS(status);
  }
  EXPECT_EQ(made, 10);
  EXPECT_THAT(verify_now().problems, IsEmpty());
}

TEST_F(LedgerTest, OpenCallsOfACrashAreChargedInFullAtTheNextOpening) {
  {
    auto ledger = open();
    ASSERT_TRUE(ledger->begin_call(intent(70), kRich));  // Never settled.
    EXPECT_EQ(verify_now().open_calls, 1);
  }
  auto ledger = open();
  EXPECT_EQ(ledger->recovered_calls(), 1);
  EXPECT_EQ(ledger->spent_by_request("r-1")->charged_usd_micro, 70);
  EXPECT_EQ(ledger->spent_by_request("r-1")->reserved_usd_micro, 0);
  const VerifyReport report = verify_now();
  EXPECT_EQ(report.open_calls, 0);
  EXPECT_THAT(report.problems, IsEmpty());
}

TEST_F(LedgerTest, ASecondOpeningLeavesTheFirstOnesCallsAlone) {
  auto first = open();
  const auto call = first->begin_call(intent(70), kRich);
  const auto second = open();
  EXPECT_EQ(second->recovered_calls(), 0);
  EXPECT_TRUE(first->settle(*call, answered(10)));
}

// A child makes calls as fast as it can and says so on a pipe after each begin_call returned; it is
// killed at a random moment.  What it said must be there, and the chain must hold.
TEST_F(LedgerTest, SurvivesKillAtRandomMoments) {
  std::mt19937 random(20260301);
  std::int64_t acknowledged = 0;
  for (int round = 0; round < 40 || (acknowledged <= 10 && round < 1000); ++round) {  // However busy the machine.
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto ledger = Ledger::open(path(), Ledger::Mode::kReadWrite, clock_);
      for (int i = 0; ledger; ++i) {
        const auto call = (*ledger)->begin_call(intent(10, "r", std::string(5000, 'x')), kRich);
        if (!call || ::write(ends[1], "c", 1) != 1) break;
        if (i % 3 != 0 && !(*ledger)->settle(*call, answered(5))) break;
        if (!(*ledger)->put_receipt({.id = fmt::format("r-{}-{}", ::getpid(), i), .json = "{}"})) {
          break;
        }
      }
      ::_exit(1);
    }
    ::close(ends[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    char buffer[4096];
    for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) acknowledged += n;
    ::close(ends[0]);
    if (!std::filesystem::exists(path())) continue;  // Killed before it made the file.
    const auto reopened = open();
    ASSERT_TRUE(reopened);
    const VerifyReport report = verify_now();
    ASSERT_THAT(report.problems, IsEmpty()) << "round " << round;
    ASSERT_GE(report.calls, acknowledged) << "round " << round;
    ASSERT_EQ(report.open_calls, 0);
  }
  EXPECT_GT(acknowledged, 10);
  EXPECT_EQ(run_script(), 0);
}

// The file may grow by N bytes less each time: whatever write fails, it fails cleanly.
TEST_F(LedgerTest, FailedWritesLeaveAChainThatHolds) {
  fill(*open());
  struct rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  int failures = 0, successes = 0;
  for (rlim_t limit = 0; limit < 200'000 && successes < 3; limit += 3'001) {
    struct rlimit tight = old;
    tight.rlim_cur = limit;
    {
      auto ledger = open();
      ASSERT_TRUE(ledger);
      ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
      const auto call = ledger->begin_call(intent(10, "r", std::string(20'000, 'x')), kRich);
      const bool settled = call && ledger->settle(*call, answered(5));
      ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
      ++(settled ? successes : failures);
      if (!call) {
        EXPECT_THAT(call.error().message, HasSubstr("ledger '"));
      }
    }
    ASSERT_TRUE(open());
    ASSERT_THAT(verify_now().problems, IsEmpty()) << "limit " << limit;
  }
  ::signal(SIGXFSZ, old_handler);
  EXPECT_GT(failures, 3);
  EXPECT_EQ(successes, 3);
}

struct Forgery {
  const char* name;
  const char* sql;
};

class ForgeryTest : public LedgerTest, public ::testing::WithParamInterface<Forgery> {};

TEST_P(ForgeryTest, IsFound) {
  fill(*open());
  ASSERT_EQ(run_script(), 0);
  forge(GetParam().sql);
  EXPECT_THAT(verify_now().problems, Not(IsEmpty()));
  EXPECT_EQ(run_script(), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ForgeryTest,
    ::testing::Values(
        Forgery{"Seq", "UPDATE egress SET seq = 60 WHERE seq = 6"},
        Forgery{"Kind", "UPDATE egress SET kind = 'sent' WHERE seq = 3"},
        Forgery{"CallSeq", "UPDATE egress SET call_seq = 2 WHERE seq = 5"},
        Forgery{"Time", "UPDATE egress SET at_unix_us = at_unix_us + 1 WHERE seq = 3"},
        Forgery{"Request", "UPDATE egress SET request_id = 'r-9' WHERE seq = 3"},
        Forgery{"Provider", "UPDATE egress SET provider = 'acmf' WHERE seq = 3"},
        Forgery{"Url", "UPDATE egress SET url = url || '/' WHERE seq = 3"},
        Forgery{"Model", "UPDATE egress SET model = '' WHERE seq = 3"},
        Forgery{"Headers", "UPDATE egress SET headers = '' WHERE seq = 3"},
        Forgery{"Body", "UPDATE egress SET body = x'7b' WHERE seq = 3"},
        Forgery{"BodyMovedToRule",
                "UPDATE egress SET headers = headers || 'x', rule = substr(rule, 2) WHERE seq = 3"},
        Forgery{"Rule", "UPDATE egress SET rule = 'always' WHERE seq = 3"},
        Forgery{"Reserved", "UPDATE egress SET reserved_usd_micro = 1 WHERE seq = 3"},
        Forgery{"Charged", "UPDATE egress SET charged_usd_micro = 1 WHERE seq = 4"},
        Forgery{"Reported", "UPDATE egress SET reported_usd_micro = 1 WHERE seq = 4"},
        Forgery{"Prompt", "UPDATE egress SET prompt_tokens = 1 WHERE seq = 4"},
        Forgery{"Cached", "UPDATE egress SET cached_tokens = 1 WHERE seq = 4"},
        Forgery{"Completion", "UPDATE egress SET completion_tokens = 1 WHERE seq = 4"},
        Forgery{"Status", "UPDATE egress SET http_status = 500 WHERE seq = 4"},
        Forgery{"Outcome", "UPDATE egress SET outcome = 'broken' WHERE seq = 4"},
        Forgery{"BytesIn", "UPDATE egress SET bytes_in = 0 WHERE seq = 4"},
        Forgery{"Response", "UPDATE egress SET response_sha256 = zeroblob(32) WHERE seq = 4"},
        Forgery{"PrevHash", "UPDATE egress SET prev_hash = zeroblob(32) WHERE seq = 4"},
        Forgery{"Hash", "UPDATE egress SET hash = zeroblob(32) WHERE seq = 4"},
        Forgery{"LastHash", "UPDATE egress SET hash = zeroblob(32) WHERE seq = 6"},
        Forgery{"DeletedFirst", "DELETE FROM egress WHERE seq = 1"},
        Forgery{"DeletedMiddle", "DELETE FROM egress WHERE seq IN (3, 4)"},
        Forgery{"DeletedAndRenumbered",
                "DELETE FROM egress WHERE seq IN (3, 4);"
                "UPDATE egress SET seq = 3, call_seq = 3 WHERE seq = 5;"
                "UPDATE egress SET seq = 4, call_seq = 3 WHERE seq = 6;"},
        Forgery{"Swapped",
                "UPDATE egress SET seq = 30 WHERE seq = 3;"
                "UPDATE egress SET seq = 3 WHERE seq = 5;"
                "UPDATE egress SET seq = 5 WHERE seq = 30;"},
        Forgery{"Inserted",
                "CREATE TEMP TABLE t AS SELECT * FROM egress WHERE seq = 5;"
                "UPDATE t SET seq = 7, call_seq = 7; INSERT INTO egress SELECT * FROM t"},
        Forgery{"TailCut", "DELETE FROM egress WHERE seq = 6"},
        Forgery{"TailCutWithHeadTableAndBudget",
                "DELETE FROM egress WHERE seq >= 5; DELETE FROM spend WHERE call_seq = 5;"
                "UPDATE chain_head SET seq = 4, hash = (SELECT hash FROM egress WHERE seq = 4)"},
        Forgery{"HeadTable",
                "UPDATE chain_head SET seq = 4, hash = (SELECT hash FROM egress WHERE seq = 4)"}),
    [](const auto& test) { return test.param.name; });

TEST_F(LedgerTest, AlteredBudgetTableIsFound) {
  fill(*open());
  forge("UPDATE spend SET usd_micro = 0 WHERE call_seq = 3");
  EXPECT_THAT(verify_now().problems, Not(IsEmpty()));
}

// Cutting the database and both heads consistently can be seen only from a head kept elsewhere.
TEST_F(LedgerTest, AKeptHeadFindsWhatTheFilesAloneCant) {
  fill(*open());
  const ChainHead kept = verify_now().head;
  forge(
      "DELETE FROM egress WHERE seq >= 5; DELETE FROM spend WHERE call_seq = 5;"
      "UPDATE chain_head SET seq = 4, hash = (SELECT hash FROM egress WHERE seq = 4)");
  std::filesystem::remove(path().string() + ".head");
  EXPECT_THAT(verify_now().problems, IsEmpty());
  EXPECT_THAT(verify_now(kept).problems, Not(IsEmpty()));
  EXPECT_EQ(run_script(fmt::format("{}:{}", kept.seq, to_hex(kept.hash))), 1);
}

TEST_F(LedgerTest, RefusesToWriteOnACutChain) {
  fill(*open());
  forge(
      "DELETE FROM egress WHERE seq >= 5; DELETE FROM spend WHERE call_seq = 5;"
      "UPDATE chain_head SET seq = 4, hash = (SELECT hash FROM egress WHERE seq = 4)");
  const auto ledger = Ledger::open(path(), Ledger::Mode::kReadWrite);
  ASSERT_FALSE(ledger);
  EXPECT_EQ(ledger.error().code, Code::kCorrupt);
  EXPECT_THAT(ledger.error().message, HasSubstr("row 6 is missing"));
}

// Every changed byte of the file either makes it unreadable, or is found, or changes no row.
TEST_F(LedgerTest, NoFlippedByteOfTheFileChangesARowUnseen) {
  fill(*open());
  std::string before;
  ASSERT_TRUE(rows_that_hold(before));
  const std::string bytes = read_file(path()).value();
  std::mt19937 random(7);
  int found = 0;
  for (int i = 0; i < 400; ++i) {
    std::string changed = bytes;
    char& byte = changed[random() % changed.size()];
    byte = static_cast<char>(byte ^ (1 << (random() % 8)));
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << changed;
    std::string after;
    if (!rows_that_hold(after)) {
      ++found;
    } else {
      ASSERT_EQ(after, before);
    }
  }
  EXPECT_GT(found, 10);
}

// Cutting off a page that holds no row (an index of receipts) may pass; losing rows may not.
TEST_F(LedgerTest, TruncatedFilesAreErrorsOrFoundOrLackNoRow) {
  fill(*open());
  std::string before;
  ASSERT_TRUE(rows_that_hold(before));
  const std::string bytes = read_file(path()).value();
  for (std::size_t size = 1; size < bytes.size(); size += 509) {
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << bytes.substr(0, size);
    std::string after;
    if (rows_that_hold(after)) {
      EXPECT_EQ(after, before) << "cut to " << size;
    }
  }
}

TEST_F(LedgerTest, WrongFilesGetOneClearSentence) {
  std::ofstream(path()) << std::string(5000, 'x');
  for (const auto mode : {Ledger::Mode::kReadOnly, Ledger::Mode::kReadWrite}) {
    const auto ledger = Ledger::open(path(), mode);
    ASSERT_FALSE(ledger);
    EXPECT_EQ(ledger.error().code, Code::kCorrupt);
    EXPECT_THAT(ledger.error().message, HasSubstr(path().string()));
  }
  std::filesystem::remove(path());
  EXPECT_EQ(Ledger::open(path(), Ledger::Mode::kReadOnly).error().code, Code::kNotFound);
  forge("CREATE TABLE other (x)");
  EXPECT_THAT(Ledger::open(path(), Ledger::Mode::kReadWrite).error().message,
              HasSubstr("no Hearth ledger"));
}

TEST_F(LedgerTest, RowsOfTheFirstFormKeepTheirHashes) {
  fill(*open());
  // The same rows as the first version wrote them: without the column, with hashes of that form.
  std::string sql;
  Sha256 last{};
  std::int64_t n = 0;
  ASSERT_TRUE(open()->for_each_egress({}, [&](EgressRow row) {
    row.prev_hash = last;
    row.cache_write_tokens.reset();
    last = canonical_hash(row);
    n = row.seq;
    sql += fmt::format("UPDATE egress SET prev_hash = x'{}', hash = x'{}' WHERE seq = {};", to_hex(row.prev_hash), to_hex(last), n);
    return true;
  }));
  forge(sql + fmt::format("ALTER TABLE egress DROP COLUMN cache_write_tokens; ALTER TABLE receipt DROP COLUMN client;"
                          "PRAGMA user_version = 1;"
                          "UPDATE chain_head SET hash = x'{}';", to_hex(last)));
  std::filesystem::remove(path().string() + ".head");

  EXPECT_THAT(verify_now().problems, IsEmpty()) << "as it is, where nothing may be written";
  EXPECT_EQ(run_script(), 0);
  {
    const auto ledger = open();
    const auto call = ledger->begin_call(intent(), kRich);
    ASSERT_TRUE(call);
    Settlement settlement = answered(5);
    settlement.cache_write_tokens = 7;
    ASSERT_TRUE(ledger->settle(*call, settlement));
  }
  EXPECT_THAT(verify_now().problems, IsEmpty());
  EXPECT_EQ(run_script(), 0);
  std::optional<std::int64_t> first, latest;
  ASSERT_TRUE(open()->for_each_egress({}, [&](const EgressRow& row) {
    (row.seq == 1 ? first : latest) = row.cache_write_tokens;
    return true;
  }));
  EXPECT_EQ(first, std::nullopt);
  EXPECT_EQ(latest, 7);
  forge(fmt::format("UPDATE egress SET cache_write_tokens = NULL WHERE seq = {}", n + 2));
  EXPECT_THAT(verify_now().problems, Not(IsEmpty()));
  EXPECT_EQ(run_script(), 1);
}

TEST_F(LedgerTest, ReceiptsAndCallsAreFoundByTheirClient) {
  {
    const auto ledger = open();
    fill(*ledger);
    for (const char* const client : {"ann", "ben"}) {
      CallIntent call = intent();
      call.request_id = fmt::format("r-of-{}", client);
      ASSERT_TRUE(ledger->begin_call(call, kRich));
      ASSERT_TRUE(ledger->put_receipt({.id = call.request_id, .model = "m", .json = "{}", .client = client}));
    }
    const auto of_ann = ledger->receipts({.client = "ann"});
    ASSERT_EQ(of_ann->size(), 1U);
    EXPECT_EQ(of_ann->front().client, "ann");
    EXPECT_TRUE(ledger->receipt("r-of-ann", "ann"));
    EXPECT_EQ(ledger->receipt("r-of-ann", "ben").error().code, Code::kNotFound);
    std::vector<std::string> requests;
    ASSERT_TRUE(ledger->for_each_egress({.client = "ben"}, [&](const EgressRow& row) {
      requests.push_back(row.request_id);
      return true;
    }));
    EXPECT_THAT(requests, testing::Each("r-of-ben"));
    EXPECT_THAT(requests, Not(IsEmpty()));
  }
  // As the second version kept them: nobody knows whose they are, read only or brought up to date.
  forge("ALTER TABLE receipt DROP COLUMN client; PRAGMA user_version = 2");
  for (const auto mode : {Ledger::Mode::kReadOnly, Ledger::Mode::kReadWrite}) {
    const auto ledger = Ledger::open(path(), mode);
    ASSERT_TRUE(ledger) << ledger.error().message;
    EXPECT_EQ((*ledger)->receipt("r-of-ann")->client, "");
    EXPECT_THAT(*(*ledger)->receipts({.client = "ann"}), IsEmpty());
  }
}

TEST_F(LedgerTest, ANewerSchemaIsRefused) {
  open();
  forge("PRAGMA user_version = 99");
  EXPECT_EQ(Ledger::open(path(), Ledger::Mode::kReadWrite).error().code, Code::kUnsupported);
}

TEST_F(LedgerTest, AReadOnlyFolderIsASentenceAndCanStillBeRead) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  fill(*open());
  std::filesystem::permissions(
      folder_.path(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  EXPECT_EQ(Ledger::open(folder_ / "new.db", Ledger::Mode::kReadWrite).error().code,
            Code::kPermissionDenied);
  std::filesystem::permissions(folder_.path(), std::filesystem::perms::owner_all);
}

TEST_F(LedgerTest, ReceiptsAreStoredFilteredAndNeverOverwritten) {
  auto ledger = open();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(ledger->put_receipt({.id = fmt::format("r-{}", i),
                                     .at_unix_us = i,
                                     .model = i < 3 ? "ember" : "big",
                                     .advice = "not_needed",
                                     .json = fmt::format("{{\"i\":{}}}", i)}));
  }
  EXPECT_EQ(ledger->receipt("r-3")->json, "{\"i\":3}");
  EXPECT_EQ(ledger->receipt("r-9").error().code, Code::kNotFound);
  EXPECT_EQ(ledger->put_receipt({.id = "r-3"}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(ledger->receipts({})->size(), 5U);
  EXPECT_EQ(ledger->receipts({})->front().id, "r-4");
  EXPECT_EQ(ledger->receipts({.limit = 2})->size(), 2U);
  EXPECT_EQ(ledger->receipts({.since_unix_us = 3})->size(), 2U);
  EXPECT_EQ(ledger->receipts({.model = "ember"})->size(), 3U);
  EXPECT_EQ(ledger->receipts({.advice = "advised"})->size(), 0U);
}

TEST_F(LedgerTest, ExportIsOneJsonObjectPerLine) {
  auto ledger = open();
  fill(*ledger);
  ASSERT_TRUE(ledger->begin_call(intent(1, "bin", "\xff\xfe"), kRich));
  std::vector<std::string> lines;
  ASSERT_TRUE(
      ledger->export_json_lines({}, [&](std::string_view line) { lines.emplace_back(line); }));
  ASSERT_EQ(lines.size(), 7U);
  EXPECT_THAT(lines[0], HasSubstr(R"("kind":"send")"));
  EXPECT_THAT(lines[1], HasSubstr(R"("charged_usd_micro":40)"));
  EXPECT_THAT(lines[6], HasSubstr(R"("body_hex":"fffe")"));
}

TEST(ReceiptId, HasItsFormAndSortsByTime) {
  const std::string first = make_receipt_id(1'700'000'000'000'000);
  const std::string later = make_receipt_id(1'700'000'000'001'000);
  EXPECT_TRUE(is_receipt_id(first)) << first;
  EXPECT_EQ(first.size(), 28U);
  EXPECT_LT(first, later);
  EXPECT_NE(first, make_receipt_id(1'700'000'000'000'000));
  EXPECT_FALSE(is_receipt_id("r-123"));
  EXPECT_FALSE(is_receipt_id("x" + first.substr(1)));
}

TEST_F(LedgerTest, WriterRunsJobsInOrderAndFinishesThemAtTheEnd) {
  auto ledger = open();
  std::vector<int> order;
  {
    LedgerWriter writer(*ledger);
    for (int i = 0; i < 100; ++i) writer.post([&order, i](Ledger&) { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 100U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

}  // namespace
}  // namespace hearth::ledger
