// The engine with real weights on its own thread: cancelling, ending and refusing from other
// threads, and adapters.  That answers stay the same: equality_test.cpp.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "engine/engine_for_test.h"
#include "model/random_adapter.h"

namespace hearth::engine {
namespace {

TEST(Engine, DreamsMakesSentences) {
  if (dreams() == nullptr) GTEST_SKIP() << "shared/models is absent";
  const auto engine = make_engine();
  const auto sink = std::make_shared<WaitingSink>();
  GenerateRequest request = request_for(dreams(), "Echoes", 60);
  ASSERT_TRUE(engine->submit(std::move(request), sink));
  sink->wait();
  EXPECT_EQ(sink->text().find("\xEF\xBF\xBD"), std::string::npos) << sink->text();
  std::printf("Echoes%s\n", sink->text().c_str());
  EXPECT_GE(std::count(sink->text().begin(), sink->text().end(), ' '), 15) << sink->text();
  EXPECT_GE(std::count(sink->text().begin(), sink->text().end(), '.'), 1) << sink->text();
}

TEST(Engine, SameSeedSameText) {
  const auto engine = make_engine();
  const auto run = [&](std::uint64_t seed, int n_others) {
    std::vector<std::shared_ptr<WaitingSink>> sinks;
    for (int i = 0; i <= n_others; ++i) {
      sinks.push_back(std::make_shared<WaitingSink>());
      GenerateRequest request = request_for(small_llama(), i == 0 ? "one" : "another", 30);
      request.sampling.temperature = 0.9F;
      request.sampling.seed = i == 0 ? seed : 99;
      request.sampling.top_p = 0.95F;
      EXPECT_TRUE(engine->submit(std::move(request), sinks.back()));
    }
    for (const auto& sink : sinks) sink->wait();
    return sinks[0]->ids();
  };
  const auto first = run(7, 0);
  EXPECT_EQ(run(7, 5), first);
  EXPECT_NE(run(8, 0), first);
}

TEST(Engine, TwoModelsAndSixtyFourSessions) {
  model::RandomModelOptions options;
  options.architecture = "qwen3";
  options.type = "F16";
  options.n_layers = 3;
  options.d_model = 64;
  options.d_ff = 128;
  options.n_heads = 4;
  options.n_kv_heads = 4;
  options.head_dim = 16;
  options.n_vocab = 700;
  options.n_context = 512;
  const auto qwen = make_random_model(options);
  const auto engine = make_engine();
  std::vector<std::shared_ptr<WaitingSink>> sinks;
  for (int i = 0; i < 64; ++i) {
    sinks.push_back(std::make_shared<WaitingSink>());
    GenerateRequest request = request_for(i % 2 == 0 ? small_llama() : qwen, "one two", 50);
    request.client = std::to_string(i % 5);
    ASSERT_TRUE(engine->submit(std::move(request), sinks.back()));
  }
  for (std::size_t i = 0; i < sinks.size(); ++i) {
    EXPECT_EQ(sinks[i]->wait().reason, FinishReason::kLength);
    EXPECT_EQ(sinks[i]->ids(), sinks[i % 2]->ids());
  }
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.jobs_finished, 64U);
  EXPECT_EQ(stats.completion_tokens, 64U * 50U);
  EXPECT_EQ(stats.kv_pages_used, stats.kv_pages_cached);
  EXPECT_EQ(stats.jobs_running + stats.jobs_waiting, 0U);
}

std::vector<AdapterChoice> make_adapters(const model::Model& base, std::uint64_t n) {
  std::vector<AdapterChoice> adapters;
  for (std::uint64_t seed = 1; seed <= n; ++seed) {
    const auto writer = model::random_adapter(base, {.rank = 8, .spread = 0.1F, .seed = seed});
    const std::string bytes = writer->to_bytes();
    const auto file = gguf::GgufFile::parse(std::as_bytes(std::span(bytes)), "adapter");
    adapters.push_back({model::Adapter::bind(*model::read_adapter(*file), base).value()});
  }
  return adapters;
}

// Requests of one client after the other, as if no other were there, and all of them at once.
TEST(Engine, SixtyFourAdaptersOfOneBaseAnswerAsEachAlone) {
  const auto model = small_llama();
  const auto adapters = make_adapters(*model, 64);
  std::mt19937 random(3);
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < 48; ++i) {
    GenerateRequest request;
    request.model = model;
    for (std::uint32_t t = 0; t < 40 + random() % 30; ++t) {
      request.prompt.push_back(static_cast<text::TokenId>(t < 36 ? 3 + t : 3 + random() % 900));
    }
    request.sampling.temperature = 0;
    request.max_tokens = 8;
    request.ignore_eos = true;
    if (i % 7 != 0) request.adapters.push_back(adapters[random() % 64]);
    if (i % 5 == 0) request.adapters.push_back({adapters[(random() % 63) + 1].adapter, 0.25F});
    if (i % 5 == 0 && i % 7 != 0 && request.adapters[0].adapter == request.adapters[1].adapter) {
      request.adapters.pop_back();
    }
    requests.push_back(std::move(request));
  }
  std::vector<std::vector<text::TokenId>> expected;
  std::set<std::vector<text::TokenId>> distinct;
  {
    EngineOptions plain;
    plain.prefix_cache = plain.speculation = false;
    const auto engine = make_engine(plain);
    for (const GenerateRequest& request : requests) {
      const auto sink = std::make_shared<WaitingSink>();
      ASSERT_TRUE(engine->submit(request, sink));
      sink->wait();
      expected.push_back(sink->ids());
      distinct.insert(sink->ids());
    }
  }
  EXPECT_GT(distinct.size(), 30U) << "adapters change answers";
  const auto engine = make_engine();
  std::vector<std::shared_ptr<WaitingSink>> sinks;
  for (const GenerateRequest& request : requests) {
    sinks.push_back(std::make_shared<WaitingSink>());
    ASSERT_TRUE(engine->submit(request, sinks.back()));
  }
  for (std::size_t i = 0; i < sinks.size(); ++i) {
    sinks[i]->wait();
    EXPECT_EQ(sinks[i]->ids(), expected[i]) << i;
  }
}

TEST(Engine, RefusesAnAdapterOfAnotherModel) {
  const auto engine = make_engine();
  const auto other = make_random_model({.type = "Q8_0", .n_layers = 1, .d_model = 64, .d_ff = 64,
                                        .n_heads = 2, .n_kv_heads = 1, .head_dim = 32,
                                        .n_vocab = 600});
  GenerateRequest request;
  request.model = small_llama();
  request.prompt = {1, 2, 3};
  request.adapters = make_adapters(*other, 1);
  const auto refused = engine->submit(request, std::make_shared<WaitingSink>());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("another model"), std::string::npos);
  request.adapters = make_adapters(*small_llama(), 1);
  request.adapters.push_back(request.adapters[0]);
  EXPECT_FALSE(engine->submit(request, std::make_shared<WaitingSink>()));
}

TEST(Engine, ASecondTurnIsMostlyCached) {
  const auto engine = make_engine();
  GenerateRequest first = request_for(small_llama(), prompts()[8], 40);
  auto chat = first.prompt;
  const auto sink = std::make_shared<WaitingSink>();
  ASSERT_TRUE(engine->submit(std::move(first), sink));
  sink->wait();
  chat.insert(chat.end(), sink->ids().begin(), sink->ids().end());
  GenerateRequest second = request_for(small_llama(), "", 5);
  second.prompt = chat;
  second.prompt.push_back(300);
  const auto next = std::make_shared<WaitingSink>();
  ASSERT_TRUE(engine->submit(std::move(second), next));
  EXPECT_EQ(next->wait().cached_tokens, chat.size() - 1);
  EXPECT_EQ(next->wait().prompt_tokens, chat.size() + 1);
}

TEST(Engine, CancelEndsAJobInTheMiddle) {
  EngineOptions options;
  options.prefix_cache = false;
  const auto engine = make_engine(options);
  const auto sink = std::make_shared<WaitingSink>();
  const JobId job = engine->submit(request_for(small_llama(), "one", 0), sink).value();
  sink->wait_for_tokens(5);
  engine->cancel(job);
  EXPECT_EQ(sink->wait().reason, FinishReason::kCancelled);
  EXPECT_GE(sink->ids().size(), 5U);
  EXPECT_EQ(engine->stats().kv_pages_used, 0U);
  engine->cancel(job);
  engine->cancel(JobId{12345});
}

TEST(Engine, SinksMayCallTheEngine) {
  const auto engine = make_engine();
  const auto sink = std::make_shared<WaitingSink>();
  const auto second = std::make_shared<WaitingSink>();
  std::atomic<int> n_tokens = 0;
  JobId job{};
  std::mutex mutex;  // The job's id may come after its first token.
  std::unique_lock lock(mutex);
  sink->after_token = [&] {
    if (++n_tokens != 3) return;
    const std::lock_guard inner(mutex);
    EXPECT_TRUE(engine->submit(request_for(small_llama(), "two", 3), second));
    EXPECT_EQ(engine->stats().jobs_running, 1U);
    engine->cancel(job);
  };
  job = engine->submit(request_for(small_llama(), "one", 0), sink).value();
  lock.unlock();
  EXPECT_EQ(sink->wait().reason, FinishReason::kCancelled);
  EXPECT_LE(sink->ids().size(), 3U) << "cancelled within one step";
  EXPECT_EQ(second->wait().reason, FinishReason::kLength);
}

TEST(Engine, DestructionFinishesEverySinkOnce) {
  std::vector<std::shared_ptr<WaitingSink>> sinks;
  {
    EngineOptions options;
    options.n_batch_sessions_max = 4;
    const auto engine = make_engine(options);
    for (int i = 0; i < 32; ++i) {
      sinks.push_back(std::make_shared<WaitingSink>());
      ASSERT_TRUE(engine->submit(request_for(small_llama(), "one", 0), sinks.back()));
    }
    sinks[0]->wait_for_tokens(2);
  }
  for (const auto& sink : sinks) {
    EXPECT_EQ(sink->n_finished(), 1);
    EXPECT_EQ(sink->wait().reason, FinishReason::kCancelled);
  }
}

TEST(Engine, RefusesWhatItCannotServe) {
  EngineOptions options;
  options.n_context_max = 100;
  const auto engine = make_engine(options);
  EXPECT_EQ(engine->context_tokens(*small_llama()), 100U);
  const auto sink = std::make_shared<WaitingSink>();
  const auto refuse = [&](auto change) {
    GenerateRequest request = request_for(small_llama(), "one", 5);
    change(request);
    const auto job = engine->submit(std::move(request), sink);
    EXPECT_FALSE(job);
    return job ? Error{Code::kInternal, "accepted"} : job.error();
  };
  const Error too_long = refuse([](auto& r) { r.prompt.assign(100, 300); });
  EXPECT_EQ(too_long.code, Code::kInvalidArgument);
  EXPECT_NE(too_long.message.find("exceeds the available context size"), std::string::npos);
  EXPECT_EQ(refuse([](auto& r) { r.prompt.clear(); }).code, Code::kInvalidArgument);
  EXPECT_EQ(refuse([](auto& r) { r.sampling.top_p = 2; }).code, Code::kInvalidArgument);
  EXPECT_EQ(refuse([](auto& r) { r.prompt = {100000}; }).code, Code::kInvalidArgument);
  EXPECT_EQ(sink->n_finished(), 0);
}

TEST(Engine, AModelWhosePageDoesNotFitIsOutOfBudget) {
  model::RandomModelOptions options;
  options.n_layers = 70;  // A page of 70 * 2 * 4 heads * 32 tokens * 64 * 2 bytes: 2.2 MiB.
  options.d_model = 256;
  options.d_ff = 256;
  options.n_heads = 4;
  options.n_vocab = 512;
  options.type = "Q8_0";
  const auto deep = make_random_model(options);
  EngineOptions small;
  small.kv_bytes_max = std::uint64_t{2} << 20;
  const auto engine = make_engine(small);
  EXPECT_EQ(engine->context_tokens(*deep), 0U);
  const auto job = engine->submit(request_for(deep, "one", 5), std::make_shared<WaitingSink>());
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().code, Code::kOutOfBudget);
}

TEST(Engine, AFullQueueIsUnavailable) {
  EngineOptions options;
  options.n_batch_sessions_max = 1;
  options.queue_max = 3;
  const auto engine = make_engine(options);
  std::vector<std::shared_ptr<WaitingSink>> sinks;
  int n_refused = 0;
  for (int i = 0; i < 10; ++i) {
    sinks.push_back(std::make_shared<WaitingSink>());
    const auto job = engine->submit(request_for(small_llama(), "one", 200), sinks.back());
    if (job) continue;
    sinks.pop_back();
    ++n_refused;
    EXPECT_EQ(job.error().code, Code::kUnavailable);
  }
  EXPECT_GE(n_refused, 1);
  for (const auto& sink : sinks) EXPECT_EQ(sink->wait().reason, FinishReason::kLength);
}

TEST(Engine, ChecksItsOptions) {
  EngineOptions options;
  options.kv_bytes_max = 1000;
  EXPECT_EQ(Engine::create(options).error().code, Code::kInvalidArgument);
  options = {};
  options.prefill_chunk_tokens = 0;
  EXPECT_EQ(Engine::create(options).error().code, Code::kInvalidArgument);
  options = {};
  options.n_batch_sessions_max = 5000;
  EXPECT_EQ(Engine::create(options).error().code, Code::kInvalidArgument);
}

// Threads that submit, cancel and ask at the same time; for ThreadSanitizer above all.
TEST(Engine, ManyThreadsAtOnce) {
  const auto engine = make_engine();
  std::vector<std::thread> threads;
  std::atomic<int> n_finished = 0;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 12; ++i) {
        const auto sink = std::make_shared<WaitingSink>();
        GenerateRequest request = request_for(small_llama(), "thread", 10U + 5U * t);
        request.client = std::to_string(t);
        const JobId job = engine->submit(std::move(request), sink).value();
        if (i % 3 == 0) {
          sink->wait_for_tokens(2);
          engine->cancel(job);
        }
        (void)engine->stats();
        sink->wait();
        ++n_finished;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_finished, 48);
  EXPECT_EQ(engine->stats().jobs_finished, 48U);
  EXPECT_EQ(engine->stats().kv_pages_used, engine->stats().kv_pages_cached);
}

}  // namespace
}  // namespace hearth::engine
