// A hub and another server over real sockets, which misbehaves in every way that servers do.
#include "hub/upstream/upstream_desk.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "hub/conductor.h"
#include "hub/fakes_for_test.h"
#include "ledger/verify.h"
#include "net/loopback_server.h"

namespace hearth::hub {
namespace {

using net::LoopbackConnection;
using net::LoopbackRequest;
using net::LoopbackServer;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kUsage =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n";

std::string say(const std::string& text) {
  return "data: " + json{{"choices", {{{"index", 0}, {"delta", {{"content", text}}}}}}}.dump() + "\n\n";
}
std::string stop() { return R"(data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})" "\n\n"; }

// Answers lists as Ollama does, /api/show with `show`, and chats with a script.
class FakeUpstream {
 public:
  using Chat = std::function<void(LoopbackConnection&, const LoopbackRequest&, int number)>;

  explicit FakeUpstream(Chat chat) : chat_(std::move(chat)), server_([this](auto& peer) { serve(peer); }) {}

  std::string url() const { return server_.url("/v1"); }
  int n_chats() const { return n_chats_; }
  std::vector<std::string> bodies() {
    const std::lock_guard lock(mutex_);
    return bodies_;
  }
  std::string head() {
    const std::lock_guard lock(mutex_);
    return head_;
  }

  std::string tags = R"({"models":[{"model":"tiny:1b","size":5,"digest":"d"},
      {"model":"vast:cloud"},{"model":"hosted","remote_host":"https://ollama.com:443"},{"model":"shown"}]})";
  std::atomic<bool> is_list_broken = false;

 private:
  void serve(LoopbackConnection& peer) {
    const LoopbackRequest request = peer.read_request();
    const std::string line = request.head.substr(0, request.head.find("\r\n"));
    if (line.starts_with("GET /v1/models")) {
      if (is_list_broken) return peer.respond(500, "{}");
      return peer.respond(200, R"({"object":"list","data":[{"id":"tiny:1b","owned_by":"library"}]})");
    }
    if (line.starts_with("GET /api/tags")) return peer.respond(200, tags);
    if (line.starts_with("POST /api/show")) {
      const bool is_remote = request.body.find("shown") != std::string::npos;
      return peer.respond(200, is_remote ? R"({"remote_host":"https://elsewhere.example"})" : "{}");
    }
    int number = 0;
    {
      const std::lock_guard lock(mutex_);
      bodies_.push_back(request.body);
      head_ = request.head;
      number = ++n_chats_;
    }
    chat_(peer, request, number);
  }

  Chat chat_;
  std::mutex mutex_;
  std::vector<std::string> bodies_;
  std::string head_;
  std::atomic<int> n_chats_ = 0;
  LoopbackServer server_;
};

void answer_well(LoopbackConnection& peer, const LoopbackRequest&, int) {
  peer.begin_stream();
  peer.write(R"(data: {"choices":[{"index":0,"delta":{"reasoning":"Hm."}}]})" "\n\n");
  peer.write(say("The sky ") + say("is blue.") + stop() + kUsage);
}

class UpstreamDeskTest : public ::testing::Test {
 protected:
  UpstreamDeskTest() {
    ::setenv("HEARTH_TEST_UPSTREAM_KEY", "sk-secret-123", 1);
  }
  ~UpstreamDeskTest() override {
    hub_.reset();
  }

  void start(FakeUpstream::Chat chat, std::function<void(UpstreamOptions&)> change = {},
             ConductorOptions options = {}) {
    upstream_ = std::make_unique<FakeUpstream>(std::move(chat));
    connect(upstream_->url(), std::move(change), std::move(options));
  }
  void connect(const std::string& url, std::function<void(UpstreamOptions&)> change = {},
               ConductorOptions options = {}) {
    UpstreamOptions upstream{.name = "box", .url = url, .key_env = "HEARTH_TEST_UPSTREAM_KEY"};
    upstream.budget = {.day_usd_micro = 1'000'000, .request_usd_micro = 100'000};
    if (change) change(upstream);
    ConductorParts parts;
    parts.ledger =
        std::move(*ledger::Ledger::open(folder_ / "ledger.db", ledger::Ledger::Mode::kReadWrite));
    ledger_ = parts.ledger.get();
    parts.writer = std::make_unique<ledger::LedgerWriter>(*parts.ledger);
    parts.http = std::move(*net::HttpClient::create());
    parts.privacy = std::make_unique<PrivacyGate>(PrivacyOptions{.policy = policy_});
    parts.consents = std::make_unique<advisor::ConsentDesk>(advisor::ConsentOptions{.wait = consent_wait_, .remembered = {}});
    auto created = UpstreamDirectory::create({upstream}, *parts.http);
    ASSERT_TRUE(created) << created.error().message;
    parts.upstreams = *std::move(created);
    parts.upstream_desk = std::make_unique<UpstreamDesk>(*parts.upstreams, *parts.http, *parts.writer, nullptr,
                                                         Clock::system(), parts.consents.get());
    parts.engine = std::make_unique<FakeEngine>([](FakeJob& job) {
      job.say("from here");
      job.end();
    });
    auto source = std::make_unique<FakeSource>();
    source->add("tiny", std::make_shared<FakeModel>());
    parts.shelf = std::make_unique<ModelShelf>(std::move(source), ShelfOptions{});
    hub_ = std::make_unique<Conductor>(std::move(parts), std::move(options));
  }

  void use_policy(std::string_view toml) {
    auto parsed = privacy::parse_policy(toml, "p.toml");
    ASSERT_TRUE(parsed) << parsed.error().message;
    policy_ = *std::move(parsed);
  }

  static ChatRequest question(std::string model) {
    return {.model = std::move(model), .messages = {{.content = "What colour is the sky?"}}};
  }
  std::shared_ptr<CollectingSink> ask(ChatRequest request) {
    auto sink = std::make_shared<CollectingSink>();
    const auto id = hub_->chat(std::move(request), sink);
    if (!id) {
      sink->on_error(id.error());
    } else {
      last_id_ = *id;
    }
    return sink;
  }
  std::shared_ptr<CollectingSink> answered(const std::string& model) {
    auto sink = ask(question(model));
    EXPECT_TRUE(sink->wait());
    return sink;
  }
  std::string error_of(const std::string& model) {
    const auto sink = answered(model);
    return sink->error() ? sink->error()->message : "";
  }
  std::vector<ledger::EgressRow> rows() {
    std::vector<ledger::EgressRow> all;
    EXPECT_TRUE(ledger_->for_each_egress({}, [&](const ledger::EgressRow& row) {
      all.push_back(row);
      return true;
    }));
    return all;
  }
  void expect_whole_ledger() {
    const auto report = ledger::verify(*ledger_);
    ASSERT_TRUE(report);
    EXPECT_THAT(report->problems, ::testing::IsEmpty());
    EXPECT_EQ(report->open_calls, 0);
  }

  privacy::Policy policy_ = privacy::Policy::standard();
  milliseconds consent_wait_{60'000};
  TempFolder folder_;
  std::unique_ptr<FakeUpstream> upstream_;
  ledger::Ledger* ledger_ = nullptr;
  std::unique_ptr<Conductor> hub_;
  RequestId last_id_{};
};

const advisor::Prices kPrices{.in_usd_micro_per_mtok = 3'000'000, .out_usd_micro_per_mtok = 15'000'000};

void make_egress(UpstreamOptions& upstream) {
  upstream.is_local = false;
  upstream.prices = kPrices;
  upstream.max_output_tokens = 256;
}

// ---- A server of this machine ------------------------------------------------------------------

TEST_F(UpstreamDeskTest, PassesAnAnswerOn) {
  start(answer_well);
  const auto sink = answered("box/tiny:1b");
  EXPECT_EQ(sink->text(), "The sky is blue.");
  EXPECT_EQ(sink->reasoning(), "Hm.");
  ASSERT_TRUE(sink->receipt());
  const Receipt receipt = *sink->receipt();
  EXPECT_EQ(receipt.model, "box/tiny:1b");
  EXPECT_EQ(receipt.upstream, "box");
  EXPECT_THAT(receipt.place, AllOf(HasSubstr("127.0.0.1"), HasSubstr("on this machine")));
  EXPECT_EQ(receipt.usage.prompt_tokens, 11U);
  EXPECT_EQ(receipt.usage.completion_tokens, 4U);
  EXPECT_EQ(receipt.bytes_out, 0U);
  EXPECT_EQ(receipt.end, "stop");
  EXPECT_TRUE(rows().empty()) << "nothing left this machine";
  EXPECT_TRUE(ledger_->receipt(receipt.id));
  EXPECT_THAT(upstream_->head(), HasSubstr("Bearer sk-secret-123"));
}

TEST_F(UpstreamDeskTest, PlainNamesAreForWhatRunsHere) {
  start(answer_well);
  EXPECT_EQ(answered("tiny:1b")->text(), "The sky is blue.");
  EXPECT_EQ(answered("tiny")->text(), "from here") << "the machine's own model goes first";
  for (const char* const name : {"vast:cloud", "hosted", "shown"}) EXPECT_NE(error_of(name), "") << name;
  EXPECT_EQ(upstream_->n_chats(), 1);
}

TEST_F(UpstreamDeskTest, WhatIsNotKnownToBeHereNeedsPrices) {
  start(answer_well);
  for (const char* const name : {"box/vast:cloud", "box/hosted", "box/shown"}) {
    EXPECT_THAT(error_of(name), HasSubstr("prices are unknown")) << name;
  }
  EXPECT_EQ(upstream_->n_chats(), 0);
  EXPECT_THAT(error_of("box/nothing"), AllOf(HasSubstr("no model 'nothing'"), HasSubstr("tiny:1b")));
}

TEST_F(UpstreamDeskTest, ModelsAreListedWithTheirPlaces) {
  start(answer_well);
  std::map<std::string, ModelEntry> listed;
  for (const ModelEntry& entry : hub_->models()) listed[entry.name] = entry;
  ASSERT_TRUE(listed.contains("box/tiny:1b") && listed.contains("tiny:1b") && listed.contains("box/hosted"));
  EXPECT_FALSE(listed.contains("hosted"));
  EXPECT_FALSE(listed["box/tiny:1b"].is_egress);
  EXPECT_TRUE(listed["box/hosted"].is_egress);
  EXPECT_THAT(listed["box/hosted"].place, HasSubstr("ollama.com"));
  EXPECT_THAT(listed["box/shown"].place, HasSubstr("elsewhere.example"));
  ASSERT_EQ(hub_->upstreams().size(), 1U);
  EXPECT_EQ(hub_->upstreams()[0].kind, "ollama");
  EXPECT_EQ(hub_->upstreams()[0].circuit, "closed");
}

TEST_F(UpstreamDeskTest, TheDefaultMayBeAnUpstreamsButMustBeHere) {
  start(answer_well, {}, {.default_upstream = "box/tiny:1b"});
  EXPECT_EQ(answered("auto")->text(), "The sky is blue.");
  EXPECT_EQ(answered("local")->text(), "The sky is blue.");
}

TEST_F(UpstreamDeskTest, TheDefaultIsNeverElsewhere) {
  start(answer_well, [](UpstreamOptions& upstream) { upstream.prices = kPrices; },
        {.default_upstream = "box/hosted"});
  EXPECT_THAT(error_of("auto"), HasSubstr("must run on this machine"));
  EXPECT_THAT(error_of("local"), HasSubstr("must run on this machine"));
  EXPECT_EQ(upstream_->n_chats(), 0);
}

TEST_F(UpstreamDeskTest, ToolCallsComeThrough) {
  start([](LoopbackConnection& peer, const LoopbackRequest&, int) {
    peer.begin_stream();
    peer.write(R"(data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c9","function":{"name":"f","arguments":"{"}}]}}]})" "\n\n");
    peer.write(R"(data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]},"finish_reason":"tool_calls"}]})" "\n\n");
  });
  const auto sink = answered("box/tiny:1b");
  ASSERT_EQ(sink->calls().size(), 1U);
  EXPECT_EQ(sink->calls()[0].id, "c9");
  EXPECT_EQ(sink->calls()[0].arguments, "{}");
  EXPECT_TRUE(sink->receipt()) << "finish_reason ends it, with or without [DONE]";
}

TEST_F(UpstreamDeskTest, TriesAgainBeforeTheFirstToken) {
  start([](LoopbackConnection& peer, const LoopbackRequest& request, int number) {
    if (number == 1) return peer.respond(500, R"({"error":{"message":"warming up"}})", "retry-after-ms: 1\r\n");
    if (number == 2) return peer.respond(429, R"({"error":"slow down"})", "Retry-After: 0\r\n");
    answer_well(peer, request, number);
  });
  const auto sink = answered("box/tiny:1b");
  EXPECT_EQ(sink->text(), "The sky is blue.");
  EXPECT_THAT(sink->status(), HasSubstr("trying again"));
  EXPECT_EQ(upstream_->n_chats(), 3);
}

TEST_F(UpstreamDeskTest, NeverTriesAgainAfterTheFirstToken) {
  start([](LoopbackConnection& peer, const LoopbackRequest&, int) {
    peer.begin_stream();
    peer.write(say("half"));
  });
  const auto sink = answered("box/tiny:1b");
  EXPECT_EQ(sink->text(), "half");
  ASSERT_TRUE(sink->error());
  EXPECT_THAT(sink->error()->message, AllOf(HasSubstr("'box'"), HasSubstr("broke off in the middle")));
  EXPECT_EQ(upstream_->n_chats(), 1);
  EXPECT_EQ(sink->n_last_calls(), 1);
}

TEST_F(UpstreamDeskTest, ARetryThatWouldKeepTheClientWaitingIsNotMade) {
  start([](LoopbackConnection& peer, const LoopbackRequest&, int) {
    peer.respond(429, R"({"error":{"message":"come back later"}})", "Retry-After: 60\r\n");
  });
  EXPECT_THAT(error_of("box/tiny:1b"), AllOf(HasSubstr("429"), HasSubstr("come back later")));
  EXPECT_EQ(upstream_->n_chats(), 1);
}

TEST_F(UpstreamDeskTest, RefusalsKeepTheirMeaning) {
  start([](LoopbackConnection& peer, const LoopbackRequest&, int number) {
    constexpr int kStatuses[] = {400, 401, 404};
    peer.respond(kStatuses[number - 1], R"({"error":{"message":"no such knob","code":"bad"}})");
  });
  const auto code = [&] { return answered("box/tiny:1b")->error()->code; };
  EXPECT_EQ(code(), Code::kInvalidArgument);
  EXPECT_EQ(code(), Code::kPermissionDenied);
  EXPECT_EQ(code(), Code::kNotFound);
  EXPECT_EQ(hub_->upstreams()[0].n_failures, 0U) << "a refusal is no failure of the server";
}

TEST_F(UpstreamDeskTest, NonsenseIsAnError) {
  start([](LoopbackConnection& peer, const LoopbackRequest&, int number) {
    peer.begin_stream();
    if (number == 1) peer.write("data: <html>\n\n");
    if (number == 2) peer.write("data: {\"error\":{\"message\":\"out of memory\"}}\n\n");
    if (number == 3) peer.write("data: [DONE]\n\n");
    if (number == 4) {
      peer.write("data: [DONE]\n\n");
      peer.wait_for_hangup();
    }
  }, [](UpstreamOptions& upstream) { upstream.attempts_max = 1; });
  EXPECT_THAT(error_of("box/tiny:1b"), HasSubstr("no chat completion"));
  EXPECT_THAT(error_of("box/tiny:1b"), HasSubstr("out of memory"));
  EXPECT_THAT(error_of("box/tiny:1b"), HasSubstr("before it began"));
  EXPECT_THAT(error_of("box/tiny:1b"), HasSubstr("before it began"));
}

TEST_F(UpstreamDeskTest, ASlowServerTimesOut) {
  start([](LoopbackConnection& peer, const LoopbackRequest&, int number) {
    if (number == 2) {
      peer.begin_stream();
      peer.write(say("first"));
    }
    peer.wait_for_hangup();
  }, [](UpstreamOptions& upstream) {
    upstream.attempts_max = 1;
    upstream.timeouts.first_byte = milliseconds(600);
    upstream.timeouts.idle = milliseconds(600);
  });
  EXPECT_THAT(error_of("box/tiny:1b"), HasSubstr("no answer within 600 ms"));
  const auto sink = answered("box/tiny:1b");
  EXPECT_EQ(sink->text(), "first");
  EXPECT_THAT(sink->error()->message, HasSubstr("nothing more came within 600 ms"));
}

TEST_F(UpstreamDeskTest, UsageThatCantBeIsBroughtIntoItsRange) {
  start([](LoopbackConnection& peer, const LoopbackRequest&, int) {
    peer.begin_stream();
    peer.write(say("x") + stop() +
               R"(data: {"choices":[],"usage":{"prompt_tokens":1e15,"completion_tokens":-7}})" "\n\ndata: [DONE]\n\n");
  });
  const auto receipt = *answered("box/tiny:1b")->receipt();
  EXPECT_LT(receipt.usage.prompt_tokens, 1000U);
}

TEST_F(UpstreamDeskTest, ACancelClosesTheConnection) {
  std::atomic<bool> has_left = false;
  start([&](LoopbackConnection& peer, const LoopbackRequest&, int) {
    peer.begin_stream();
    peer.write(say("first"));
    peer.wait_for_hangup();
    has_left = true;
  });
  const auto sink = ask(question("box/tiny:1b"));
  ASSERT_TRUE(sink->wait_for_text("first"));
  hub_->cancel(last_id_);
  ASSERT_TRUE(sink->wait());
  EXPECT_EQ(sink->error()->code, Code::kCancelled);
  for (int i = 0; i < 20'000 && !has_left; ++i) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_TRUE(has_left);
  EXPECT_EQ(hub_->upstreams()[0].n_failures, 0U);
}

TEST_F(UpstreamDeskTest, AServerThatKeepsFailingIsLeftAlone) {
  std::atomic<bool> works = false;
  start([&](LoopbackConnection& peer, const LoopbackRequest& request, int number) {
    if (works) return answer_well(peer, request, number);
    peer.respond(503, "{}");
  }, [](UpstreamOptions& upstream) { upstream.attempts_max = 1; });
  for (std::uint32_t i = 0; i < advisor::Circuit::kFailuresMax; ++i) EXPECT_THAT(error_of("box/tiny:1b"), HasSubstr("503"));
  EXPECT_NE(hub_->upstreams()[0].circuit, "closed");
  works = true;
  // Refused at once until a health check finds it well; then one request probes it.
  std::shared_ptr<CollectingSink> sink;
  for (int i = 0; i < 400; ++i) {
    sink = answered("box/tiny:1b");
    if (!sink->error()) break;
    EXPECT_THAT(sink->error()->message, HasSubstr("left alone"));
    std::this_thread::sleep_for(milliseconds(25));
  }
  EXPECT_EQ(sink->text(), "The sky is blue.");
  EXPECT_EQ(hub_->upstreams()[0].circuit, "closed");
}

TEST_F(UpstreamDeskTest, ASilentServerIsNamedWithItsReason) {
  connect(fmt::format("http://127.0.0.1:{}", net::unused_port()));
  EXPECT_THAT(error_of("box/tiny:1b"), AllOf(HasSubstr("'box'"), HasSubstr("can't be asked")));
  EXPECT_NE(hub_->upstreams()[0].problem, "");
}

TEST_F(UpstreamDeskTest, ABrokenListIsNotMistakenForALocalServer) {
  upstream_ = std::make_unique<FakeUpstream>(answer_well);
  upstream_->is_list_broken = true;
  connect(upstream_->url());
  EXPECT_THAT(error_of("box/tiny:1b"), HasSubstr("answered 500"));
  upstream_->is_list_broken = false;
  EXPECT_EQ(answered("box/tiny:1b")->text(), "The sky is blue.");
}

// ---- A server that counts as egress ------------------------------------------------------------

TEST_F(UpstreamDeskTest, EgressIsRecordedByteForByteBeforeItLeaves) {
  std::vector<ledger::EgressRow> at_arrival;
  start([&](LoopbackConnection& peer, const LoopbackRequest& request, int number) {
    at_arrival = rows();
    answer_well(peer, request, number);
  }, make_egress);
  const auto sink = answered("box/any-name");
  EXPECT_EQ(sink->text(), "The sky is blue.");
  ASSERT_EQ(at_arrival.size(), 1U) << "the row was there before the bytes";
  EXPECT_EQ(at_arrival[0].body, upstream_->bodies()[0]);
  EXPECT_EQ(at_arrival[0].request_id, sink->receipt()->id);
  EXPECT_EQ(at_arrival[0].provider, "box");
  EXPECT_THAT(at_arrival[0].rule, HasSubstr("box/any-name"));
  EXPECT_GT(at_arrival[0].reserved_usd_micro, 0);
  EXPECT_EQ(at_arrival[0].headers.find("sk-secret"), std::string::npos);
  const auto all = rows();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].outcome, "answered");
  EXPECT_GT(all[1].charged_usd_micro, 0);
  EXPECT_EQ(sink->receipt()->bytes_out, upstream_->bodies()[0].size());
  EXPECT_EQ(sink->receipt()->cost_usd_micro, all[1].charged_usd_micro);
  EXPECT_EQ(json::parse(upstream_->bodies()[0])["max_tokens"], 256);
  expect_whole_ledger();
}

// ---- What of a request may leave ---------------------------------------------------------------

ChatRequest delicate_question() {
  ChatRequest request{.model = "box/m", .messages = {{.content = "Write to ann.lee@example.com."}}};
  request.messages.push_back({.role = Role::kAssistant,
                              .content = "Done.",
                              .name = {},
                              .tool_calls = {{"c1", "mail", R"({"to": "ann.lee@example.com", "card": 4111111111111111})"}}});
  request.messages.push_back({.role = Role::kTool, .content = "sent to ann.lee@example.com", .name = {}, .tool_calls = {}, .tool_call_id = "c1"});
  request.tools.push_back({.name = "mail",
                           .definition = R"({"name":"mail","description":"As ann.lee@example.com","parameters":{"type":"object"}})",
                           .parameters = R"({"type":"object"})"});
  request.client = "ann";
  return request;
}

TEST_F(UpstreamDeskTest, WhatLeavesHasPlaceholdersAndWhatComesBackHasValues) {
  start([](LoopbackConnection& peer, const LoopbackRequest&, int) {
    peer.begin_stream();
    for (const char* piece : {"To [EMAIL", "_ADDRESS_1] and [EMAIL_ADDRESS_9]", " or [EMAIL_"}) peer.write(say(piece));
    const json call = {{"choices", {{{"index", 0}, {"delta", {{"tool_calls", {{{"index", 0}, {"id", "c9"},
        {"function", {{"name", "mail"}, {"arguments", "{\"to\": \"[EMAIL_ADDRESS_1]\"}"}}}}}}}}}}}};
    peer.write("data: " + call.dump() + "\n\n" + stop() + kUsage);
  }, make_egress);
  const auto sink = ask(delicate_question());
  ASSERT_TRUE(sink->wait());
  const std::string sent = upstream_->bodies().at(0);
  EXPECT_EQ(sent.find("ann.lee"), std::string::npos) << sent;
  EXPECT_EQ(sent.find("4111"), std::string::npos) << sent;
  const json body = json::parse(sent);
  EXPECT_EQ(body["messages"][0]["content"], "Write to [EMAIL_ADDRESS_1].");
  EXPECT_EQ(json::parse(body["messages"][1]["tool_calls"][0]["function"]["arguments"].get<std::string>())["to"], "[EMAIL_ADDRESS_1]");
  EXPECT_EQ(body["tools"][0]["function"]["name"], "mail");
  EXPECT_EQ(sink->text(), "To ann.lee@example.com and [EMAIL_ADDRESS_9] or [EMAIL_");
  ASSERT_EQ(sink->calls().size(), 1U);
  EXPECT_EQ(sink->calls()[0].arguments, R"({"to": "ann.lee@example.com"})");
  EXPECT_THAT(sink->receipt()->advice_detail, HasSubstr("not given out: [EMAIL_ADDRESS_9]"));
  EXPECT_THAT(rows().at(0).rule, HasSubstr("; class private by rule 'default', redacted: CREDIT_CARD 1, EMAIL_ADDRESS 4"));
  expect_whole_ledger();
}

TEST_F(UpstreamDeskTest, ThePolicySaysPerProviderAndHeaderWhatLeaves) {
  use_policy(R"(
[[rules]]
name = "site"
class = "public"
headers = ["x-project: website"]
[actions]
private = "free"
[actions.box]
private = "never"
)");
  start(answer_well, make_egress);
  const auto kept = ask(delicate_question());
  ASSERT_TRUE(kept->wait());
  ASSERT_TRUE(kept->error());
  EXPECT_EQ(kept->error()->code, Code::kPermissionDenied);
  EXPECT_THAT(kept->error()->message, HasSubstr("class private by rule 'default' may not go to box"));
  EXPECT_TRUE(rows().empty());

  ChatRequest request = delicate_question();
  request.headers = {"x-project: website"};
  const auto free = ask(std::move(request));
  ASSERT_TRUE(free->wait());
  EXPECT_EQ(free->text(), "The sky is blue.");
  EXPECT_THAT(upstream_->bodies().at(0), HasSubstr("ann.lee@example.com"));
  EXPECT_THAT(rows().at(0).rule, HasSubstr("class public by rule 'site', as it is"));
}

TEST_F(UpstreamDeskTest, AGrammarWithPersonalDataStaysHere) {
  start(answer_well, [](UpstreamOptions& upstream) { make_egress(upstream); });
  ChatRequest request = question("box/m");
  request.format_field = "guided_regex";
  request.format_json = R"("ann.lee@example.com|nobody")";
  const auto sink = ask(std::move(request));
  ASSERT_TRUE(sink->wait());
  ASSERT_TRUE(sink->error());
  EXPECT_THAT(sink->error()->message, HasSubstr("a grammar can't have any"));
  EXPECT_TRUE(upstream_->bodies().empty());
}

TEST_F(UpstreamDeskTest, WhereSomebodyMustAgreeNothingLeavesBefore) {
  use_policy("[actions]\nprivate = \"ask\"");
  start(answer_well, make_egress);
  const auto allowed = ask(delicate_question());
  const auto shown = allowed->wait_for_departure();
  ASSERT_NE(shown, nullptr);
  EXPECT_TRUE(upstream_->bodies().empty());
  EXPECT_TRUE(hub_->consents("bob").empty());
  EXPECT_FALSE(hub_->answer_consent(shown->consent, "bob", true, true));
  ASSERT_EQ(hub_->consents("ann").size(), 1U);
  ASSERT_TRUE(hub_->answer_consent(shown->consent, "ann", true, false));
  ASSERT_TRUE(allowed->wait());
  EXPECT_EQ(allowed->text(), "The sky is blue.");
  EXPECT_EQ(upstream_->bodies().at(0), shown->body);
  EXPECT_THAT(rows().at(0).rule, HasSubstr("; consent: allowed by ann"));

  const auto refused = ask(delicate_question());
  ASSERT_TRUE(hub_->answer_consent(refused->wait_for_departure()->consent, "ann", false, true));
  ASSERT_TRUE(refused->wait());
  ASSERT_TRUE(refused->error());
  EXPECT_EQ(refused->error()->code, Code::kPermissionDenied);
  const auto remembered = ask(delicate_question());
  ASSERT_TRUE(remembered->wait());
  ASSERT_TRUE(remembered->error());
  EXPECT_THAT(remembered->error()->message, HasSubstr("refused by ann for all of rule 'default'"));
  EXPECT_EQ(upstream_->bodies().size(), 1U);
  expect_whole_ledger();
}

TEST_F(UpstreamDeskTest, SilenceAndLeavingAreNoConsent) {
  use_policy("[actions]\nprivate = \"ask\"");
  consent_wait_ = milliseconds(1);
  start(answer_well, make_egress);
  const auto silent = ask(delicate_question());
  ASSERT_TRUE(silent->wait());
  ASSERT_TRUE(silent->error());
  EXPECT_THAT(silent->error()->message, HasSubstr("nobody agreed"));
  hub_.reset();
  consent_wait_ = milliseconds(60'000);
  start(answer_well, make_egress);
  const auto left = ask(delicate_question());
  ASSERT_NE(left->wait_for_departure(), nullptr);
  hub_->cancel(last_id_);
  ASSERT_TRUE(left->wait());
  EXPECT_EQ(left->error()->code, Code::kCancelled);
  EXPECT_TRUE(hub_->consents("ann").empty());
  EXPECT_TRUE(upstream_->bodies().empty());
  EXPECT_TRUE(rows().empty());
}

TEST_F(UpstreamDeskTest, APreviewOfARequestSendsNothing) {
  start(answer_well, make_egress);
  ChatRequest request = delicate_question();
  request.is_preview = true;
  const auto sink = ask(std::move(request));
  ASSERT_TRUE(sink->wait());
  ASSERT_FALSE(sink->error());
  EXPECT_EQ(sink->text(), "");
  EXPECT_THAT(sink->wait_for_departure()->body, HasSubstr("[EMAIL_ADDRESS_1]"));
  EXPECT_THAT(sink->receipt()->advice_detail, HasSubstr("a preview"));
  EXPECT_TRUE(upstream_->bodies().empty());
  EXPECT_TRUE(rows().empty());
}

TEST_F(UpstreamDeskTest, EgressIsNeverAskedUnasked) {
  start(answer_well, make_egress);
  EXPECT_TRUE(hub_->models().size() == 1) << "only the machine's own";
  EXPECT_EQ(answered("auto")->text(), "from here");
  EXPECT_EQ(answered("local")->text(), "from here");
  EXPECT_NE(error_of("tiny:1b"), "");
  EXPECT_EQ(upstream_->n_chats(), 0);
  EXPECT_TRUE(rows().empty());
}

TEST_F(UpstreamDeskTest, ModelsElsewhereBehindALocalServerAreEgress) {
  start(answer_well, [](UpstreamOptions& upstream) { upstream.prices = kPrices; });
  const auto sink = answered("box/hosted");
  EXPECT_EQ(sink->text(), "The sky is blue.");
  EXPECT_THAT(sink->receipt()->place, HasSubstr("ollama.com"));
  EXPECT_GT(sink->receipt()->bytes_out, 0U);
  EXPECT_EQ(rows().size(), 2U);
}

TEST_F(UpstreamDeskTest, EachAttemptIsReservedRecordedAndSettled) {
  start([](LoopbackConnection& peer, const LoopbackRequest& request, int number) {
    if (number == 1) return peer.respond(503, "{}", "retry-after-ms: 1\r\n");
    answer_well(peer, request, number);
  }, make_egress);
  EXPECT_EQ(answered("box/m")->text(), "The sky is blue.");
  const auto all = rows();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[1].outcome, "refused");
  EXPECT_EQ(all[1].charged_usd_micro, 0);
  expect_whole_ledger();
}

TEST_F(UpstreamDeskTest, OverTheBudgetNothingLeaves) {
  start(answer_well, [](UpstreamOptions& upstream) {
    make_egress(upstream);
    upstream.budget.request_usd_micro = 10;
  });
  const auto sink = answered("box/m");
  ASSERT_TRUE(sink->error());
  EXPECT_EQ(sink->error()->code, Code::kOutOfBudget);
  EXPECT_EQ(upstream_->n_chats(), 0);
  EXPECT_TRUE(rows().empty());
}

TEST_F(UpstreamDeskTest, ACancelledCallIsChargedAsItMayHaveCost) {
  start([](LoopbackConnection& peer, const LoopbackRequest&, int) {
    peer.begin_stream();
    peer.write(say("first"));
    peer.wait_for_hangup();
  }, make_egress);
  const auto sink = ask(question("box/m"));
  ASSERT_TRUE(sink->wait_for_text("first"));
  hub_->cancel(last_id_);
  ASSERT_TRUE(sink->wait());
  const auto all = rows();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].outcome, "cancelled");
  EXPECT_EQ(all[1].charged_usd_micro, all[0].reserved_usd_micro);
  expect_whole_ledger();
}

TEST_F(UpstreamDeskTest, UnreachableEgressCostsNothing) {
  connect(fmt::format("http://127.0.0.1:{}/v1", net::unused_port()), [](UpstreamOptions& upstream) {
    make_egress(upstream);
    upstream.attempts_max = 1;
  });
  EXPECT_THAT(error_of("box/m"), HasSubstr("can't be reached"));
  const auto all = rows();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].outcome, "not_sent");
  EXPECT_EQ(all[1].charged_usd_micro, 0);
}

TEST_F(UpstreamDeskTest, ManyAtOnceEndOnceEach) {
  start(answer_well);
  std::vector<std::shared_ptr<CollectingSink>> sinks;
  for (int i = 0; i < 40; ++i) {
    sinks.push_back(ask(question("box/tiny:1b")));
    if (i % 3 == 0) hub_->cancel(last_id_);
  }
  for (const auto& sink : sinks) {
    ASSERT_TRUE(sink->wait());
    EXPECT_EQ(sink->n_last_calls(), 1);
    EXPECT_TRUE(sink->receipt() || sink->error()->code == Code::kCancelled);
  }
  EXPECT_EQ(hub_->upstreams()[0].n_running, 0U);
}

// ---- Settings ----------------------------------------------------------------------------------

TEST(UpstreamDirectory, RefusesSettingsThatCantWork) {
  const auto client = std::move(*net::HttpClient::create());
  const auto message = [&](std::vector<UpstreamOptions> upstreams) {
    const auto made = UpstreamDirectory::create(std::move(upstreams), *client);
    return made ? std::string() : made.error().message;
  };
  EXPECT_THAT(message({{.name = "a/b", .url = "http://127.0.0.1:1"}}), HasSubstr("'a/b'"));
  EXPECT_THAT(message({{.name = "a", .url = "http://example.com/v1"}}), HasSubstr("unencrypted"));
  EXPECT_THAT(message({{.name = "a", .url = "ftp://x"}}), HasSubstr("the url of upstream 'a'"));
  EXPECT_THAT(message({{.name = "a", .url = "http://127.0.0.1:1"}, {.name = "a", .url = "http://127.0.0.1:2"}}),
              HasSubstr("two"));
  EXPECT_THAT(message({{.name = "a", .url = "http://127.0.0.1:1", .key_env = "HEARTH_NOT_SET"}}),
              AllOf(HasSubstr("HEARTH_NOT_SET"), HasSubstr("'a'")));
}

// ---- Providers with words of their own ----------------------------------------------------------

std::string recorded(const char* name) {
  const std::filesystem::path folder = std::filesystem::path(HEARTH_SOURCE_DIR) / "fuzz/corpus/answer";
  return read_file(folder / name, 1 << 20).value().substr(1);
}

void speak_anthropic(UpstreamOptions& upstream) {
  make_egress(upstream);
  upstream.is_local.reset();
  upstream.wire = "anthropic";
}

TEST_F(UpstreamDeskTest, AProviderIsAskedInItsOwnWords) {
  start([](LoopbackConnection& peer, const LoopbackRequest&, int) {
    peer.begin_stream();
    peer.write(recorded("anthropic_stream"));
  }, speak_anthropic);
  ChatRequest request = question("box/claude-x");
  request.tools = {{"weather", R"({"name":"weather"})", ""}};
  const auto sink = ask(request);
  EXPECT_TRUE(sink->wait());
  EXPECT_EQ(sink->text(), "Let me look.");
  EXPECT_EQ(sink->reasoning(), "Which city");
  const Receipt receipt = *sink->receipt();
  EXPECT_EQ(receipt.usage.cached_tokens, 40U);
  EXPECT_THAT(receipt.place, HasSubstr("not on this machine"));
  // 20 of input and 40 cached at 3, 20 written at 3.75, 10 for an hour at 6, 57 of output at 15.
  EXPECT_EQ(receipt.cost_usd_micro, 180 + 75 + 60 + 855);
  ASSERT_EQ(rows().size(), 2U);
  EXPECT_EQ(rows()[0].body, upstream_->bodies()[0]);
  EXPECT_THAT(rows()[0].url, HasSubstr("/v1/messages"));
  EXPECT_THAT(rows()[0].headers, HasSubstr("x-api-key: (not recorded)"));
  EXPECT_THAT(upstream_->head(), HasSubstr("x-api-key: sk-secret-123"));

  // The call comes back with its result, and the provider gets back what it had signed.
  request.messages.push_back({.role = Role::kAssistant, .tool_calls = {{"toolu_1", "weather", "{}"}}});
  request.messages.push_back({.role = Role::kTool, .content = "rain", .tool_call_id = "toolu_1"});
  EXPECT_TRUE(ask(request)->wait());
  EXPECT_THAT(upstream_->bodies()[1], HasSubstr(R"("signature":"c2ln")"));
  expect_whole_ledger();
}

TEST_F(UpstreamDeskTest, AProvidersErrorsAndBrokenStreamsAreAccounted) {
  start([](LoopbackConnection& peer, const LoopbackRequest&, int number) {
    if (number == 1) return peer.respond(429, R"({"error":{"type":"rate_limit_error"}})", "retry-after-ms: 1\r\n");
    peer.begin_stream();
    peer.write(recorded("anthropic_error"));
  }, speak_anthropic);
  EXPECT_THAT(error_of("box/claude-x"), HasSubstr("Overloaded"));
  const auto all = rows();
  ASSERT_EQ(all.size(), 4U) << "a call each";
  EXPECT_EQ(all[1].charged_usd_micro, 0);
  EXPECT_EQ(all[3].charged_usd_micro, 180 + 75 + 60 + 256 * 15) << "its input is known, its output is not";
  expect_whole_ledger();
}

TEST_F(UpstreamDeskTest, CloudWiresAreNeverThisMachine) {
  UpstreamOptions upstream{.name = "box", .url = "http://127.0.0.1:9", .wire = "gemini", .is_local = true};
  const auto client = std::move(*net::HttpClient::create());
  EXPECT_THAT(UpstreamDirectory::create({upstream}, *client).error().message, HasSubstr("can't count as this machine"));
  upstream.is_local.reset();
  upstream.prices = kPrices;
  const auto directory = UpstreamDirectory::create({upstream}, *client);
  ASSERT_TRUE(directory);
  EXPECT_EQ((*directory)->server(0).endpoint.base, "http://127.0.0.1:9/v1beta");
  EXPECT_TRUE((**(*directory)->find("box/gemini-x")).is_egress);
  upstream.wire = "telegraph";
  EXPECT_THAT(UpstreamDirectory::create({upstream}, *client).error().message, HasSubstr("none of: chat, openai"));
}

TEST_F(UpstreamDeskTest, PricesGoByModelThenByServerThenByTheMakersList) {
  UpstreamOptions upstream{.name = "claude", .wire = "anthropic"};
  upstream.model_prices = {{"special", advisor::Prices{.in_usd_micro_per_mtok = 7'000'000}}};
  const auto client = std::move(*net::HttpClient::create());
  const auto listed = std::move(*UpstreamDirectory::create({upstream}, *client));
  EXPECT_EQ(listed->find("claude/special")->value().prices->in_usd_micro_per_mtok, 7'000'000);
  EXPECT_EQ(listed->find("claude/claude-sonnet-4-6")->value().prices->in_usd_micro_per_mtok, 3'000'000);
  EXPECT_THAT(listed->find("claude/claude-unheard-of")->error().message, HasSubstr("prices are unknown"));
  upstream.prices = kPrices;
  const auto priced = std::move(*UpstreamDirectory::create({upstream}, *client));
  EXPECT_EQ(priced->find("claude/claude-unheard-of")->value().prices->cache_write_usd_micro_per_mtok, 3'750'000);
}

}  // namespace
}  // namespace hearth::hub
