// A model for tests of the scheduler: no weights, but keys and values that tell lies apart.
//
// What it writes for a token is a function of model, position and token; the logits are a
// function of what it then reads back from the pages of all positions.  So the text of a
// job is known in advance (`expected_answer`), and a page that was lost, swapped, written
// by another session or never computed changes it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/random.h"
#include "engine/step_runner.h"

namespace hearth::engine {

inline constexpr std::uint32_t kSeesAll = 1U << 31;

struct FakeModel {
  std::uint64_t identity = 1;
  std::uint64_t voice = 0;         // Identity of the model whose text it says; 0: its own.
  std::uint32_t n_vocab = 40;
  std::uint32_t n_context = 512;
  std::uint32_t n_layers = 1;      // Pages of n_layers * 8 KiB.
  TokenId end_token = 0;
  TokenId unsure_token = 1;
  std::uint32_t end_in = 64;       // One token in so many ends the answer, ...
  std::uint32_t unsure_in = 1U << 31;  // ... one in so many is the unsure token.
  std::uint32_t n_seen = kSeesAll;     // Positions that decide the next token; with few, text repeats.
};

// An adapter without matrices: its identity is all that a FakeRunner looks at.
class FakeAdapter final : public model::Adapter {
 public:
  explicit FakeAdapter(std::uint64_t identity, std::vector<TokenId> invocation_tokens = {}) {
    identity_ = identity;
    invocation_tokens_ = std::move(invocation_tokens);
  }
};

class FakeText final : public TextStream {
 public:
  std::string push(TokenId id) override { return text_of(id); }
  std::string flush() override { return {}; }
  static std::string text_of(TokenId id) {
    return std::string(1, static_cast<char>('a' + id % 26));
  }
};

class FakeRunner final : public StepRunner {
 public:
  explicit FakeRunner(const FakeModel& fake) : fake_(fake) {}

  std::uint64_t identity() const override { return fake_.identity; }
  model::KvLayout kv_layout() const override {
    return {fake_.n_layers, 1, 64, model::KvType::kF16};
  }
  std::uint32_t n_vocab() const override { return fake_.n_vocab; }
  std::uint32_t n_context() const override { return fake_.n_context; }
  std::optional<TokenId> unsure_token() const override { return fake_.unsure_token; }
  bool is_end_of_generation(TokenId id) const override { return id == fake_.end_token; }
  std::string token_bytes(TokenId id) const override { return FakeText::text_of(id); }
  std::unique_ptr<TextStream> text_after(std::span<const TokenId>,
                                         std::span<const TokenId>) const override {
    return std::make_unique<FakeText>();
  }
  Result<> reserve(std::uint32_t n_tokens_max) override {
    n_tokens_max_ = n_tokens_max;
    return {};
  }

  Result<> run(std::span<const model::Segment> batch) override {
    std::size_t n_tokens = 0;
    for (const model::Segment& segment : batch) n_tokens += segment.tokens.size();
    HEARTH_CHECK(n_tokens <= n_tokens_max_);
    if (on_run) HEARTH_TRY_VOID(on_run(batch));
    for (const model::Segment& segment : batch) write(segment);
    for (const model::Segment& segment : batch) {
      for (std::uint32_t i = 0; i < segment.n_logits; ++i) answer(segment, i);
    }
    return {};
  }

  // What greedy sampling yields after `tokens`.
  static TokenId next_token(const FakeModel& fake, std::span<const TokenId> tokens) {
    std::uint64_t state = 0;
    const std::size_t n = tokens.size();
    for (std::size_t i = n - std::min<std::size_t>(n, fake.n_seen); i < n; ++i) {
      state = mix64(state + entry(fake, static_cast<std::uint32_t>(i), tokens[i]));
    }
    return choose(fake, state);
  }

  // The ids that greedy sampling yields, without the one that ends them.
  static std::vector<TokenId> expected_answer(const FakeModel& fake, std::vector<TokenId> tokens,
                                              std::uint32_t n_max, bool ignore_eos) {
    std::vector<TokenId> answer;
    while (answer.size() < n_max) {
      const TokenId id = next_token(fake, tokens);
      if (id == fake.unsure_token || (id == fake.end_token && !ignore_eos)) break;
      tokens.push_back(id);
      answer.push_back(id);
    }
    return answer;
  }

  // Called before each batch; may refuse it.
  std::function<Result<>(std::span<const model::Segment>)> on_run;

 private:
  static std::uint64_t entry(const FakeModel& fake, std::uint32_t position, TokenId id) {
    if (fake.n_seen < kSeesAll) position = 0;  // Else no two places would go on alike.
    const std::uint64_t voice = fake.voice != 0 ? fake.voice : fake.identity;
    return mix64((voice << 48) ^ (std::uint64_t{position} << 24) ^ static_cast<std::uint64_t>(id));
  }

  static TokenId choose(const FakeModel& fake, std::uint64_t state) {
    if (state % fake.unsure_in == 7) return fake.unsure_token;
    if (state % fake.end_in == 5) return fake.end_token;
    return static_cast<TokenId>(2 + (state >> 20) % (fake.n_vocab - 2));
  }

  // In the values of the first layer, so that who clears a token's slot clears this.
  std::byte* slot(const model::Segment& segment, std::uint32_t position) const {
    const model::KvLayout layout = kv_layout();
    return segment.pages[position / model::kPageTokens] + layout.value_offset(0, 0) +
           (position % model::kPageTokens) * layout.head_dim * 2;
  }

  void write(const model::Segment& segment) const {
    for (std::uint32_t i = 0; i < segment.tokens.size(); ++i) {
      const std::uint32_t position = segment.position + i;
      std::uint64_t value = entry(fake_, position, segment.tokens[i]);
      for (const model::AdapterUse& use : segment.adapters) {
        if (position < use.first_position) continue;
        value = mix64(value + use.adapter->identity() + std::bit_cast<std::uint32_t>(use.weight));
      }
      std::memcpy(slot(segment, position), &value, sizeof value);
    }
  }

  // Row `i` of the logits.
  void answer(const model::Segment& segment, std::uint32_t i) const {
    const auto n = segment.position + static_cast<std::uint32_t>(segment.tokens.size()) -
                   segment.n_logits + i + 1;
    float* const logits = segment.logits + std::size_t{i} * fake_.n_vocab;
    std::uint64_t state = 0;
    for (std::uint32_t position = n - std::min(n, fake_.n_seen); position < n; ++position) {
      std::uint64_t value = 0;
      std::memcpy(&value, slot(segment, position), sizeof value);
      state = mix64(state + value);
    }
    for (std::uint32_t id = 0; id < fake_.n_vocab; ++id) {
      logits[id] = static_cast<float>(uniform01(state, id));
    }
    logits[static_cast<std::size_t>(choose(fake_, state))] = 4.0F;
  }

  FakeModel fake_;
  std::uint32_t n_tokens_max_ = 0;
};

// Keeps what it is told.
class RecordingSink final : public GenerateSink {
 public:
  void on_token(JobId, const TokenEvent& event) override {
    HEARTH_CHECK(n_finished == 0);
    ids.push_back(event.token.id);
    text += event.text;
    events.push_back(event);
    if (after_token) after_token(*this);
  }
  void on_finish(JobId job, const FinishEvent& event) override {
    ++n_finished;
    id = job;
    finish = event;
    text += event.text;
  }

  std::function<void(RecordingSink&)> after_token;
  JobId id{};
  std::vector<TokenId> ids;
  std::vector<TokenEvent> events;
  std::string text;
  FinishEvent finish;
  int n_finished = 0;
};

}  // namespace hearth::engine
