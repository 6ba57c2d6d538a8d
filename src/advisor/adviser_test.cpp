// The adviser against endpoints that misbehave in each way that real ones do; after each,
// the ledger must tell exactly what left and what it cost.
#include "advisor/adviser.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <set>

#include "advisor/circuit.h"
#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "ledger/verify.h"
#include "net/loopback_server.h"

namespace hearth::advisor {
namespace {

using net::LoopbackConnection;
using net::LoopbackRequest;
using net::LoopbackServer;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Prices kPrices{1'000'000, 2'000'000};  // 1 and 2 micro-dollars a token.
constexpr ledger::BudgetLimits kRich{1'000'000'000, 1'000'000'000};
constexpr milliseconds kNever{60'000};  // Longer than a Waiter waits.
const std::string kKey = "sk-very-secret-12345";

std::string chunk(std::string_view content) {
  return fmt::format("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", content);
}
const std::string kStop = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const std::string kDone = "data: [DONE]\n\n";
std::string usage(std::int64_t prompt, std::int64_t completion) {
  return fmt::format(
      "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":{},\"completion_tokens\":{}}}}}\n\n",
      prompt, completion);
}
void answer_well(LoopbackConnection& peer) {
  peer.begin_stream();
  peer.write(chunk("It is ") + chunk("blue.") + kStop + usage(100, 3) + kDone);
}

class Waiter final : public AdviceSink {
 public:
  void on_advice(const Advice& advice) override {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(advice_) << "advice came twice";
    advice_ = advice;
    changed_.notify_all();
  }
  void on_departure(const DeparturePtr& departure) override {
    const std::lock_guard lock(mutex_);
    departure_ = departure;
    changed_.notify_all();
  }
  DeparturePtr wait_for_departure() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(30), [&] { return departure_ != nullptr; }));
    return departure_;
  }
  Advice wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(30), [&] { return advice_.has_value(); }));
    return advice_.value_or(Advice{});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Advice> advice_;
  DeparturePtr departure_;
};

class AdviserTest : public ::testing::Test {
 protected:
  AdviserTest() {
    ledger_ =
        std::move(*ledger::Ledger::open(folder_ / "ledger.db", ledger::Ledger::Mode::kReadWrite));
    writer_ = std::make_unique<ledger::LedgerWriter>(*ledger_);
    client_ = std::move(*net::HttpClient::create());
    ::setenv("HEARTH_TEST_KEY", kKey.c_str(), 1);
  }
  ~AdviserTest() override {
    adviser_.reset();
    client_.reset();
    writer_.reset();
    check_ledger();
    ledger_.reset();
  }

  // After every test: the chain holds, nothing stays open, and no key is anywhere in the file.
  void check_ledger() {
    const auto report = ledger::verify(*ledger_);
    ASSERT_TRUE(report);
    EXPECT_THAT(report->problems, ::testing::IsEmpty());
    EXPECT_EQ(report->open_calls, 0);
    ASSERT_TRUE(ledger_->for_each_egress({}, [&](const ledger::EgressRow& row) {
      EXPECT_THAT(row.headers + row.body + row.url, Not(HasSubstr(kKey)));
      return true;
    }));
  }
  static AdviserOptions options_for(const std::string& base_url) {
    return {.provider = "acme",
            .base_url = base_url,
            .model = "wise-1",
            .key_env = "HEARTH_TEST_KEY",
            .prices = kPrices,
            .budget = kRich,
            .max_output_tokens = 200,
            .deadline = kNever,
            .timeouts = {.connect = kNever, .first_byte = kNever, .idle = kNever, .total = kNever}};
  }
  void start(AdviserOptions options) {
    auto adviser = Adviser::create(std::move(options), *client_, *writer_, Clock::system(), &consents_);
    ASSERT_TRUE(adviser) << adviser.error().message;
    adviser_ = std::move(*adviser);
  }
  static AdviceRequest question(std::string id = "r-1") {
    return {.request_id = std::move(id),
            .conversation = {{true, "What colour is the sky?"}},
            .draft = "Green?",
            .rule = "auto: test"};
  }
  static AdviceRequest delicate_question() {
    AdviceRequest request = question();
    request.client = "ann";
    request.label = "class private by rule 'tickets'";
    request.consent = ConsentNeed{.client = "ann", .gives = "private", .rule = "tickets", .policy = 1};
    return request;
  }
  Advice ask(AdviceRequest request = question()) {
    const auto waiter = std::make_shared<Waiter>();
    adviser_->ask(std::move(request), waiter);
    return waiter->wait();
  }
  std::vector<ledger::EgressRow> rows() const {
    std::vector<ledger::EgressRow> all;
    EXPECT_TRUE(ledger_->for_each_egress({}, [&](const ledger::EgressRow& row) {
      all.push_back(row);
      return true;
    }));
    return all;
  }
  // Asks one question of a server that runs `script` for each connection.
  Advice ask_server(LoopbackServer::Script script, std::uint32_t attempts_max = 1, milliseconds patience = kNever) {
    server_ = std::make_unique<LoopbackServer>(std::move(script));
    AdviserOptions options = options_for(server_->url("/v1"));
    options.attempts_max = attempts_max;
    options.timeouts.first_byte = options.timeouts.idle = patience;
    start(std::move(options));
    return ask();
  }
  std::int64_t worst_case(std::size_t body_bytes) const {
    return worst_case_usd_micro(kPrices, {.request_bytes = body_bytes, .max_output_tokens = 200});
  }

  TempFolder folder_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<ledger::LedgerWriter> writer_;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<LoopbackServer> server_;
  ConsentDesk consents_{{.wait = milliseconds(60'000), .remembered = {}}};
  std::unique_ptr<Adviser> adviser_;
};

TEST_F(AdviserTest, AnswersAndRecordsExactlyWhatLeft) {
  LoopbackRequest seen;
  const Advice advice = ask_server([&](LoopbackConnection& peer) {
    seen = peer.read_request();
    answer_well(peer);
  });
  EXPECT_EQ(advice.status, AdviceStatus::kAnswered) << advice.detail;
  EXPECT_EQ(advice.text, "It is blue.");
  EXPECT_EQ(advice.bytes_out, seen.body.size());
  EXPECT_EQ(advice.cost_usd_micro, 100 * 1 + 3 * 2);
  EXPECT_THAT(seen.head, HasSubstr("POST /v1/chat/completions"));
  EXPECT_THAT(seen.head, HasSubstr("Authorization: Bearer " + kKey));
  const auto all = rows();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].body, seen.body);
  EXPECT_THAT(all[0].headers, HasSubstr("Authorization: (not recorded)"));
  EXPECT_EQ(all[0].reserved_usd_micro, worst_case(seen.body.size()));
  EXPECT_EQ(all[0].rule, "auto: test");
  EXPECT_EQ(all[1].outcome, "answered");
  EXPECT_EQ(all[1].charged_usd_micro, 106);
  EXPECT_EQ(all[1].prompt_tokens, 100);
}

TEST_F(AdviserTest, WithConsentTheExactBytesLeaveAndTheLedgerKnowsWhoAgreed) {
  std::string sent;
  LoopbackServer server([&](LoopbackConnection& peer) {
    sent = peer.read_request().body;
    answer_well(peer);
  });
  start(options_for(server.url("/v1")));
  const auto waiter = std::make_shared<Waiter>();
  adviser_->ask(delicate_question(), waiter);
  const DeparturePtr departure = waiter->wait_for_departure();
  EXPECT_TRUE(rows().empty()) << "nothing is reserved while somebody thinks";
  EXPECT_EQ(departure->label, "class private by rule 'tickets'");
  EXPECT_EQ(departure->url, server.url("/v1") + "/chat/completions");
  EXPECT_GT(departure->worst_usd_micro, 0);
  ASSERT_TRUE(consents_.answer(departure->consent, "ann", true, false));
  EXPECT_EQ(waiter->wait().status, AdviceStatus::kAnswered);
  EXPECT_EQ(departure->body, sent);
  EXPECT_EQ(rows().at(0).rule, "auto: test; class private by rule 'tickets'; consent: allowed by ann");
}

TEST_F(AdviserTest, WithoutConsentNothingLeaves) {
  std::atomic<int> n_calls = 0;
  LoopbackServer server([&](LoopbackConnection&) { ++n_calls; });
  start(options_for(server.url("/v1")));
  const auto refused = std::make_shared<Waiter>();
  adviser_->ask(delicate_question(), refused);
  ASSERT_TRUE(consents_.answer(refused->wait_for_departure()->consent, "ann", false, false));
  EXPECT_EQ(refused->wait().status, AdviceStatus::kDenied);
  EXPECT_THAT(refused->wait().detail, HasSubstr("leave only where somebody agrees: refused by ann"));

  const auto withdrawn = std::make_shared<Waiter>();
  const AdviceId id = adviser_->ask(delicate_question(), withdrawn);
  withdrawn->wait_for_departure();
  adviser_->cancel(id);
  EXPECT_EQ(withdrawn->wait().status, AdviceStatus::kCancelled);

  const auto last = std::make_shared<Waiter>();
  adviser_->ask(delicate_question(), last);
  last->wait_for_departure();
  adviser_.reset();
  EXPECT_EQ(last->wait().status, AdviceStatus::kCancelled);
  EXPECT_TRUE(consents_.pending("ann").empty());
  EXPECT_EQ(n_calls, 0);
  EXPECT_TRUE(rows().empty());
}

TEST_F(AdviserTest, APreviewShowsWhatWouldLeave) {
  std::atomic<int> n_calls = 0;
  LoopbackServer server([&](LoopbackConnection&) { ++n_calls; });
  start(options_for(server.url("/v1")));
  AdviceRequest request = delicate_question();
  request.is_preview = true;
  const auto waiter = std::make_shared<Waiter>();
  adviser_->ask(request, waiter);
  const DeparturePtr departure = waiter->wait_for_departure();
  EXPECT_EQ(departure->consent, "");
  EXPECT_THAT(departure->body, HasSubstr("What colour is the sky?"));
  EXPECT_EQ(waiter->wait().status, AdviceStatus::kDenied);
  EXPECT_EQ(n_calls, 0);
  EXPECT_TRUE(rows().empty());
}

TEST_F(AdviserTest, TheRowIsOnDiskBeforeTheServerSeesAByte) {
  std::int64_t n_calls_seen = -1;
  ask_server([&](LoopbackConnection& peer) {
    const auto other = ledger::Ledger::open(folder_ / "ledger.db", ledger::Ledger::Mode::kReadOnly);
    n_calls_seen = ledger::verify(**other)->calls;
    peer.read_request();
    answer_well(peer);
  });
  EXPECT_EQ(n_calls_seen, 1);
}

TEST_F(AdviserTest, APlainObjectIsAnAnswerToo) {
  const Advice advice = ask_server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.respond(200,
                 "{\"choices\":[{\"message\":{\"content\":\"Blue.\"},\"finish_reason\":\"stop\"}],"
                 "\"usage\":{\"prompt_tokens\":90,\"completion_tokens\":2}}");
  });
  EXPECT_EQ(advice.text, "Blue.");
  EXPECT_EQ(advice.cost_usd_micro, 94);
}

TEST_F(AdviserTest, DownCostsNothingAndLeavesNothing) {
  start(options_for(fmt::format("http://127.0.0.1:{}/v1", net::unused_port())));
  const Advice advice = ask();
  EXPECT_EQ(advice.status, AdviceStatus::kFailed);
  EXPECT_THAT(advice.detail, HasSubstr("acme/wise-1 can't be reached"));
  EXPECT_EQ(advice.bytes_out, 0U);
  EXPECT_EQ(advice.cost_usd_micro, 0);
  EXPECT_EQ(advice.attempts, 0U);
  EXPECT_EQ(rows().back().outcome, "not_sent");
  EXPECT_EQ(rows().size(), 6U) << "three tries, each recorded and released";
}

TEST_F(AdviserTest, ASlowFirstByteTimesOutAndIsCharged) {
  const Advice advice = ask_server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.wait_for_hangup();
  }, 1, milliseconds(300));
  EXPECT_EQ(advice.status, AdviceStatus::kFailed);
  EXPECT_THAT(advice.detail, HasSubstr("too slow"));
  EXPECT_EQ(rows()[1].outcome, "timeout");
  EXPECT_EQ(advice.cost_usd_micro, worst_case(advice.bytes_out));
}

TEST_F(AdviserTest, DyingInTheMiddleIsNoAnswerAndNotTriedAgain) {
  const Advice advice = ask_server(
      [](LoopbackConnection& peer) {
        peer.read_request();
        peer.begin_stream();
        peer.write(chunk("It is "));
      },
      3);
  EXPECT_EQ(advice.status, AdviceStatus::kFailed);
  EXPECT_EQ(advice.text, "");
  EXPECT_THAT(advice.detail, HasSubstr("broke off"));
  EXPECT_EQ(server_->n_connections(), 1);
  EXPECT_EQ(rows()[1].outcome, "broken");
  EXPECT_EQ(advice.cost_usd_micro, worst_case(advice.bytes_out)) << "unknown: the worst case";
}

TEST_F(AdviserTest, ABusyServerIsTriedAgainUntilItAnswers) {
  std::atomic<int> n = 0;
  const Advice advice = ask_server(
      [&](LoopbackConnection& peer) {
        peer.read_request();
        if (++n < 3)
          return peer.respond(429, "{\"error\":{\"code\":\"rate_limit_exceeded\"}}",
                              "Retry-After-Ms: 10\r\n");
        answer_well(peer);
      },
      3);
  EXPECT_EQ(advice.status, AdviceStatus::kAnswered);
  EXPECT_EQ(advice.attempts, 3U);
  EXPECT_EQ(advice.cost_usd_micro, 106) << "refusals cost nothing";
  EXPECT_EQ(rows().size(), 6U) << "each try is recorded";
}

TEST_F(AdviserTest, OutOfQuotaIsNotTriedAgain) {
  const Advice advice = ask_server(
      [](LoopbackConnection& peer) {
        peer.read_request();
        peer.respond(429,
                     "{\"error\":{\"message\":\"You exceeded your "
                     "quota.\",\"code\":\"insufficient_quota\"}}");
      },
      3);
  EXPECT_EQ(advice.status, AdviceStatus::kFailed);
  EXPECT_THAT(advice.detail,
              HasSubstr("answered 429: You exceeded your quota. (insufficient_quota)"));
  EXPECT_EQ(server_->n_connections(), 1);
  EXPECT_EQ(advice.cost_usd_micro, 0);
}

TEST_F(AdviserTest, ARetryAfterPastTheDeadlineIsNotWaitedFor) {
  const Advice advice = ask_server(
      [](LoopbackConnection& peer) {
        peer.read_request();
        peer.respond(503, "{}", "Retry-After: 100\r\n");
      },
      3);
  EXPECT_EQ(advice.status, AdviceStatus::kFailed);
}

TEST_F(AdviserTest, AnErrorInsideA200StreamIsAnError) {
  const Advice advice = ask_server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.begin_stream();
    peer.write("data: {\"error\":{\"message\":\"model melted\",\"type\":\"server_error\"}}\n\n");
  });
  EXPECT_EQ(advice.status, AdviceStatus::kFailed);
  EXPECT_THAT(advice.detail, HasSubstr("model melted (server_error)"));
  EXPECT_EQ(advice.cost_usd_micro, 0);
}

TEST_F(AdviserTest, GarbageIsAnError) {
  for (const char* body : {"<html>hello</html>", "", "{\"choices\":[]}", "data: {\n\n"}) {
    const Advice advice = ask_server([&](LoopbackConnection& peer) {
      peer.read_request();
      peer.respond(200, body);
    });
    EXPECT_EQ(advice.status, AdviceStatus::kFailed) << body;
    EXPECT_EQ(advice.text, "");
  }
}

TEST_F(AdviserTest, LiesAboutUsageAreBoundedAndBothAreRecorded) {
  const Advice advice = ask_server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.begin_stream();
    peer.write(chunk("Blue.") + kStop + usage(1'000'000'000, 1'000'000'000) + kDone);
  });
  EXPECT_EQ(advice.status, AdviceStatus::kAnswered);
  const auto settled = rows()[1];
  EXPECT_EQ(settled.charged_usd_micro, worst_case(advice.bytes_out));
  EXPECT_EQ(settled.reported_usd_micro, 3'000'000'000);
  EXPECT_EQ(settled.completion_tokens, 1'000'000'000);
}

TEST_F(AdviserTest, AnUnderstatedUsageIsRaisedToWhatTheBytesImply) {
  const Advice advice = ask_server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.begin_stream();
    peer.write(chunk(std::string(1600, 'x')) + kStop + usage(0, 0) + kDone);
  });
  EXPECT_EQ(rows()[1].reported_usd_micro, 0);
  EXPECT_EQ(advice.cost_usd_micro,
            static_cast<std::int64_t>(advice.bytes_out) / kBytesPerTokenMax + 2 * 100);
}

TEST_F(AdviserTest, AnEndlessStreamIsCutAndUsed) {
  server_ = std::make_unique<LoopbackServer>([](LoopbackConnection& peer) {
    peer.read_request();
    peer.begin_stream();
    while (peer.write(chunk("word "))) {
    }
  });
  AdviserOptions options = options_for(server_->url());
  options.advice_bytes_max = 1000;
  start(std::move(options));
  const Advice advice = ask();
  EXPECT_EQ(advice.status, AdviceStatus::kAnswered);
  EXPECT_EQ(advice.text.size(), 1000U);
  EXPECT_EQ(rows()[1].outcome, "too_long");
}

TEST_F(AdviserTest, AStreamThatStaysOpenAfterDoneIsNotWaitedFor) {
  const Advice advice = ask_server([](LoopbackConnection& peer) {
    peer.read_request();
    answer_well(peer);
    peer.wait_for_hangup();
  });
  EXPECT_EQ(advice.status, AdviceStatus::kAnswered);
  EXPECT_EQ(advice.cost_usd_micro, 106);
}

TEST_F(AdviserTest, AnUnknownPriceIsRefusedBeforeAnythingHappens) {
  AdviserOptions options = options_for("http://127.0.0.1:9/v1");
  options.prices.reset();
  start(std::move(options));
  const Advice advice = ask();
  EXPECT_EQ(advice.status, AdviceStatus::kUnknownPrice);
  EXPECT_THAT(advice.detail, HasSubstr("price_in_usd_per_mtok"));
  EXPECT_TRUE(rows().empty());
}

TEST_F(AdviserTest, FiftyRacingQuestionsForABudgetOfTenMakeExactlyTenCalls) {
  std::atomic<int> n_requests = 0;
  LoopbackServer server([&](LoopbackConnection& peer) {
    peer.read_request();
    ++n_requests;
    peer.pause(milliseconds(30));
    answer_well(peer);
  });
  AdviserOptions options = options_for(server.url("/v1"));
  // Calls settle for less than they reserve and give the rest back, unless, as with these prices,
  // both round up to the same: then ten fit, whatever the order of events.
  options.prices =
      Prices{.in_usd_micro_per_mtok = 0, .out_usd_micro_per_mtok = 5'000};  // 1 a call.
  options.budget = {.day_usd_micro = 10, .request_usd_micro = 1};
  start(std::move(options));
  std::vector<std::shared_ptr<Waiter>> waiters;
  for (int i = 0; i < 50; ++i) {
    waiters.push_back(std::make_shared<Waiter>());
    adviser_->ask(question(fmt::format("r-{:02}", i)), waiters.back());
  }
  int answered = 0, over_budget = 0;
  for (const auto& waiter : waiters) {
    const AdviceStatus status = waiter->wait().status;
    answered += status == AdviceStatus::kAnswered ? 1 : 0;
    over_budget += status == AdviceStatus::kOverBudget ? 1 : 0;
  }
  EXPECT_EQ(answered, 10);
  EXPECT_EQ(over_budget, 40);
  EXPECT_EQ(n_requests, 10);
}

TEST_F(AdviserTest, CancelEndsACallAndChargesIt) {
  std::atomic<bool> has_begun = false;
  server_ = std::make_unique<LoopbackServer>([&](LoopbackConnection& peer) {
    peer.read_request();
    peer.begin_stream();
    peer.write(chunk("It "));
    has_begun = true;
    peer.wait_for_hangup();
  });
  start(options_for(server_->url()));
  const auto waiter = std::make_shared<Waiter>();
  const AdviceId id = adviser_->ask(question(), waiter);
  while (!has_begun) std::this_thread::sleep_for(milliseconds(1));
  adviser_->cancel(id);
  const Advice advice = waiter->wait();
  EXPECT_EQ(advice.status, AdviceStatus::kCancelled);
  EXPECT_GT(advice.bytes_out, 0U);
  EXPECT_EQ(rows()[1].outcome, "cancelled");
  adviser_->cancel(id);  // No effect.
}

TEST_F(AdviserTest, CancelWhileWaitingForARetryEndsAtOnce) {
  std::atomic<int> n = 0;
  server_ = std::make_unique<LoopbackServer>([&](LoopbackConnection& peer) {
    peer.read_request();
    peer.respond(503, "{}", "Retry-After: 5\r\n");
    ++n;
  });
  start(options_for(server_->url()));
  const auto waiter = std::make_shared<Waiter>();
  const AdviceId id = adviser_->ask(question(), waiter);
  while (n == 0) std::this_thread::sleep_for(milliseconds(1));
  std::this_thread::sleep_for(milliseconds(50));
  adviser_->cancel(id);
  EXPECT_EQ(waiter->wait().status, AdviceStatus::kCancelled);
}

TEST_F(AdviserTest, DestructionGivesEverySinkItsAdvice) {
  server_ =
      std::make_unique<LoopbackServer>([](LoopbackConnection& peer) { peer.wait_for_hangup(); });
  start(options_for(server_->url()));
  std::vector<std::shared_ptr<Waiter>> waiters;
  for (int i = 0; i < 10; ++i) {
    waiters.push_back(std::make_shared<Waiter>());
    adviser_->ask(question(), waiters.back());
  }
  adviser_.reset();
  for (const auto& waiter : waiters) EXPECT_NE(waiter->wait().status, AdviceStatus::kAnswered);
}

TEST_F(AdviserTest, ALedgerThatCantBeWrittenMeansNothingLeaves) {
  int n_connections = 0;
  {
    LoopbackServer server([](LoopbackConnection& peer) {
      peer.read_request();
      answer_well(peer);
    });
    // A second connection that holds the write lock longer than the ledger waits would take
    // seconds; an oversized body is refused at once.
    AdviserOptions options = options_for(server.url());
    options.brief_bytes_max = ledger::kBodyBytesMax * 2;
    start(std::move(options));
    AdviceRequest request = question();
    request.conversation[0].text.assign(ledger::kBodyBytesMax + 1, 'x');
    EXPECT_EQ(ask(std::move(request)).status, AdviceStatus::kFailed);
    n_connections = server.n_connections();
    adviser_.reset();
  }
  EXPECT_EQ(n_connections, 0);
  EXPECT_TRUE(rows().empty());
}

// ---- Several advisers

class AdvisersTest : public AdviserTest {
 protected:
  // Asks two: the first runs `script`, the second answers well.
  Advice ask_two(LoopbackServer::Script script, std::function<void(AdviserOptions&)> change = {}) {
    server_ = std::make_unique<LoopbackServer>(std::move(script));
    second_ = std::make_unique<LoopbackServer>([](LoopbackConnection& peer) {
      peer.read_request();
      answer_well(peer);
    });
    AdviserOptions first = options_for(server_->url("/v1")), second = options_for(second_->url("/v1"));
    second.provider = "second";
    if (change) change(first);
    auto adviser = Adviser::create({std::move(first), std::move(second)}, *client_, *writer_, clock_);
    EXPECT_TRUE(adviser);
    adviser_ = std::move(*adviser);
    return ask();
  }
  std::string providers() const {
    std::string names;
    for (const ledger::EgressRow& row : rows()) {
      if (!row.provider.empty()) names += row.provider + " ";
    }
    return names;
  }
  FakeClock clock_;  // Stands still: nobody rests long enough.
  std::unique_ptr<LoopbackServer> second_;
};

TEST_F(AdvisersTest, TheFirstIsPreferred) {
  const Advice advice = ask_two([](LoopbackConnection& peer) {
    peer.read_request();
    answer_well(peer);
  });
  EXPECT_EQ(advice.adviser, "acme/wise-1");
  EXPECT_EQ(second_->n_connections(), 0);
}

TEST_F(AdvisersTest, OneThatRefusesIsFollowedByTheNextAtOnce) {
  const Advice advice = ask_two([](LoopbackConnection& peer) {
    peer.read_request();
    peer.respond(503, "{}", "Retry-After: 100\r\n");
  });
  EXPECT_EQ(advice.status, AdviceStatus::kAnswered) << advice.detail;
  EXPECT_EQ(advice.adviser, "second/wise-1");
  EXPECT_EQ(advice.attempts, 2U);
  EXPECT_EQ(advice.cost_usd_micro, 106);
  EXPECT_EQ(providers(), "acme second ");
}

TEST_F(AdvisersTest, WhatABrokenAnswerSaidIsDroppedAndPaidFor) {
  const Advice advice = ask_two([](LoopbackConnection& peer) {
    peer.read_request();
    peer.begin_stream();
    peer.write(chunk("It is "));
  });
  EXPECT_EQ(advice.text, "It is blue.") << "said once";
  EXPECT_EQ(advice.adviser, "second/wise-1");
  const auto all = rows();
  ASSERT_EQ(all.size(), 4U) << "a call each";
  EXPECT_EQ(all[1].outcome, "broken");
  EXPECT_EQ(advice.cost_usd_micro, all[1].charged_usd_micro + 106);
  EXPECT_EQ(advice.bytes_out, all[0].body.size() + all[2].body.size());
}

TEST_F(AdvisersTest, OneWithoutAPriceOrTooDearIsPassedOver) {
  const auto answer = [](LoopbackConnection& peer) {
    peer.read_request();
    answer_well(peer);
  };
  EXPECT_EQ(ask_two(answer, [](AdviserOptions& first) { first.prices.reset(); }).adviser, "second/wise-1");
  EXPECT_EQ(ask_two(answer, [](AdviserOptions& first) { first.budget.request_usd_micro = 1; }).adviser,
            "second/wise-1");
  EXPECT_EQ(providers(), "second second ");
}

TEST_F(AdvisersTest, OneThatKeepsFailingIsLeftAlone) {
  Advice advice = ask_two([](LoopbackConnection& peer) {
    peer.read_request();
    peer.respond(500, "{}");
  });
  for (std::uint32_t i = 1; i < Circuit::kFailuresMax + 3; ++i) advice = ask(question(fmt::format("r-{}", i)));
  EXPECT_EQ(advice.adviser, "second/wise-1");
  EXPECT_EQ(server_->n_connections(), static_cast<int>(Circuit::kFailuresMax));
}

TEST_F(AdvisersTest, WhenNoneCanAnswerEachSaysWhy) {
  server_ = std::make_unique<LoopbackServer>([](LoopbackConnection& peer) {
    peer.read_request();
    peer.respond(401, "{\"error\":{\"message\":\"bad key\"}}");
  });
  AdviserOptions first = options_for("http://127.0.0.1:9/v1"), last = options_for(server_->url("/v1"));
  first.prices.reset();
  last.provider = "last";
  adviser_ = std::move(*Adviser::create({first, last}, *client_, *writer_));
  const Advice advice = ask();
  EXPECT_EQ(advice.status, AdviceStatus::kFailed);
  EXPECT_THAT(advice.detail, HasSubstr("the prices of acme/wise-1 are unknown"));
  EXPECT_THAT(advice.detail, HasSubstr("; the adviser last/wise-1 answered 401: bad key"));
}

TEST_F(AdviserTest, SpeaksEachProvidersWords) {
  struct Row {
    const char* wire;
    const char* stream;
    const char* line;
    const char* text;
    std::int64_t cost;  // Of kPrices.
  };
  // Input 90 of which 40 cached and 30 written (10 of them for an hour), output 57; 90 and 30; 54 and 19.
  const Row rows_of_wires[] = {
      {"anthropic", "anthropic_stream", "POST /v1/messages ", "Let me look.", 60 + 25 + 20 + 2 * 57},
      {"responses", "responses_stream", "POST /v1/responses ", "Wait \xE2\x82\xAC.", 82 + 10 + 2 * 30},
      {"gemini", "gemini_stream", "POST /v1/models/wise-1:streamGenerateContent?alt=sse ", "Looking ",
       54 + 2 * 19}};
  const std::filesystem::path corpus = std::filesystem::path(HEARTH_SOURCE_DIR) / "fuzz/corpus/answer";
  for (const Row& row : rows_of_wires) {
    const std::string stream = read_file(corpus / row.stream, 1 << 20).value().substr(1);
    LoopbackRequest seen;
    server_ = std::make_unique<LoopbackServer>([&](LoopbackConnection& peer) {
      seen = peer.read_request();
      peer.begin_stream();
      peer.write(stream);
    });
    AdviserOptions options = options_for(server_->url("/v1"));
    options.wire = row.wire;
    start(std::move(options));
    const Advice advice = ask();
    EXPECT_EQ(advice.status, AdviceStatus::kAnswered) << row.wire << ": " << advice.detail;
    EXPECT_EQ(advice.text, row.text);
    EXPECT_THAT(seen.head, HasSubstr(row.line));
    EXPECT_THAT(seen.head, HasSubstr(kKey));
    EXPECT_EQ(advice.cost_usd_micro, row.cost) << row.wire;
    EXPECT_EQ(rows()[rows().size() - 2].body, seen.body);
  }
}

TEST_F(AdviserTest, ARefusalIsNoAdvice) {
  const Advice advice = ask_server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.begin_stream();
    peer.write(chunk("I'd rather") +
               "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"content_filter\"}]}\n\n" + usage(100, 3) + kDone);
  });
  EXPECT_EQ(advice.status, AdviceStatus::kFailed);
  EXPECT_THAT(advice.detail, HasSubstr("would not answer"));
  EXPECT_EQ(advice.cost_usd_micro, 106);
}

TEST_F(AdviserTest, OptionsThatCantWorkAreRefused) {
  const auto code = [&](AdviserOptions options) {
    const auto adviser = Adviser::create(std::move(options), *client_, *writer_);
    return adviser ? Code::kInternal : adviser.error().code;
  };
  AdviserOptions options = options_for("http://127.0.0.1:9/v1");
  options.model.clear();
  EXPECT_EQ(code(options), Code::kInvalidArgument);
  options = options_for("http://127.0.0.1:9/v1");
  options.wire = "telegraph";
  EXPECT_EQ(code(options), Code::kInvalidArgument);
  options = options_for("not a url");
  EXPECT_EQ(code(options), Code::kInvalidArgument);
  options = options_for("http://127.0.0.1:9/v1");
  options.key_env = "HEARTH_NO_SUCH_KEY";
  EXPECT_EQ(code(options), Code::kNotFound);
}

// ---- kill -9
// -------------------------------------------------------------------------------------

// A server process that appends every body it gets, whole or not, to a file.
pid_t fork_recording_server(const std::filesystem::path& record, std::uint16_t& port) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const int out = ::open(record.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    LoopbackServer server([out](LoopbackConnection& peer) {
      const std::string line = peer.read_request().body + "\n";
      (void)!::write(out, line.data(), line.size());
      answer_well(peer);
    });
    const std::uint16_t my_port = server.port();
    (void)!::write(ends[1], &my_port, sizeof my_port);
    for (;;) ::pause();
  }
  ::close(ends[1]);
  EXPECT_EQ(::read(ends[0], &port, sizeof port), static_cast<ssize_t>(sizeof port));
  ::close(ends[0]);
  return child;
}

// Asks one question after another until it is killed.
[[noreturn]] void ask_until_killed(const std::filesystem::path& path, std::uint16_t port,
                                   int round) {
  auto ledger = ledger::Ledger::open(path, ledger::Ledger::Mode::kReadWrite);
  if (!ledger) ::_exit(1);
  ledger::LedgerWriter writer(**ledger);
  auto client = std::move(*net::HttpClient::create());
  AdviserOptions options{.base_url = fmt::format("http://127.0.0.1:{}/v1", port),
                         .model = "wise-1",
                         .prices = kPrices,
                         .budget = kRich};
  auto adviser = std::move(*Adviser::create(options, *client, writer));
  for (int i = 0;; ++i) {
    const auto waiter = std::make_shared<Waiter>();
    adviser->ask(
        {.request_id = "r", .conversation = {{true, fmt::format("question {} {}", round, i)}}},
        waiter);
    waiter->wait();
  }
}

TEST(AdviserKill, NoByteLeavesUnrecordedHoweverTheProgramDies) {
  const TempFolder folder;
  const auto path = folder / "ledger.db", record = folder / "record";
  std::uint16_t port = 0;
  const pid_t server = fork_recording_server(record, port);
  std::mt19937 random(42);
  // As long as it takes a busy machine to get some whole questions out.
  const auto n_arrived = [&] { return std::ranges::count(read_file(record).value_or(""), '\n'); };
  for (int round = 0; round < 30 || (n_arrived() <= 30 && round < 1000); ++round) {
    const pid_t child = ::fork();
    if (child == 0) ask_until_killed(path, port, round);
    std::this_thread::sleep_for(milliseconds(10 + random() % 60));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  std::this_thread::sleep_for(milliseconds(100));  // The server may still be writing.
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);

  std::set<std::string> recorded;
  {
    auto ledger = ledger::Ledger::open(path, ledger::Ledger::Mode::kReadWrite);
    ASSERT_TRUE(ledger) << ledger.error().message;
    const auto report = ledger::verify(**ledger);
    ASSERT_TRUE(report);
    EXPECT_THAT(report->problems, ::testing::IsEmpty());
    EXPECT_EQ(report->open_calls, 0);
    ASSERT_TRUE((*ledger)->for_each_egress({}, [&](const ledger::EgressRow& row) {
      recorded.insert(row.body);
      return true;
    }));
  }
  int n_whole = 0;
  const std::string all = read_file(record).value();
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = all.find('\n', at);
    const std::string body = all.substr(at, end - at);
    at = end + 1;
    const auto next = recorded.lower_bound(body);  // The body itself, or what it is the start of.
    EXPECT_TRUE(next != recorded.end() && next->starts_with(body)) << body;
    n_whole += recorded.contains(body) ? 1 : 0;
  }
  EXPECT_GT(n_whole, 20);
}

}  // namespace
}  // namespace hearth::advisor
