// Small models, prompts and a sink that waits, for tests of the engine with real weights.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "model/random_model.h"

namespace hearth::engine {

// Collects a job's events and lets the test wait for the end.
class WaitingSink final : public GenerateSink {
 public:
  void on_token(JobId, const TokenEvent& event) override {
    {
      const std::lock_guard lock(mutex_);
      ids_.push_back(event.token.id);
      text_ += event.text;
    }
    changed_.notify_all();
    if (after_token) after_token();
  }
  void on_finish(JobId, const FinishEvent& event) override {
    {
      const std::lock_guard lock(mutex_);
      ++n_finished_;
      finish_ = event;
      text_ += event.text;
    }
    changed_.notify_all();
  }

  const FinishEvent& wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(120), [this] { return n_finished_ > 0; }));
    return finish_;
  }
  void wait_for_tokens(std::size_t n) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(120), [&] { return ids_.size() >= n || n_finished_ > 0; }));
  }
  const std::vector<text::TokenId>& ids() const { return ids_; }
  const std::string& text() const { return text_; }
  int n_finished() const {
    const std::lock_guard lock(mutex_);
    return n_finished_;
  }

  std::function<void()> after_token;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<text::TokenId> ids_;
  std::string text_;
  FinishEvent finish_;
  int n_finished_ = 0;
};

inline std::unique_ptr<Engine> make_engine(EngineOptions options = {}) {
  options.kv_bytes_max = std::max<std::uint64_t>(options.kv_bytes_max, std::uint64_t{2} << 20);
  if (options.n_threads == 0) options.n_threads = 2;
  return std::move(Engine::create(options)).value();
}

inline std::shared_ptr<const model::Model> make_random_model(
    model::RandomModelOptions options, const model::LoadOptions& load = {}) {
  static std::atomic<int> n_files = 0;
  const auto path = std::filesystem::temp_directory_path() /
                    ("hearth_engine_" + std::to_string(::getpid()) + "_" +
                     std::to_string(n_files++) + ".gguf");
  EXPECT_TRUE(model::write_random_model(path, options));
  auto loaded = model::Model::load(path, load);
  std::filesystem::remove(path);
  EXPECT_TRUE(loaded) << loaded.error().message;
  return *loaded;
}

// A llama of 2 layers; large enough that pages, heads and blocks are whole ones.
inline std::shared_ptr<const model::Model> small_llama() {
  static const auto model = [] {
    model::RandomModelOptions options;
    options.type = "Q8_0";
    options.n_layers = 2;
    options.d_model = 128;
    options.d_ff = 256;
    options.n_heads = 4;
    options.n_kv_heads = 2;
    options.head_dim = 32;
    options.n_vocab = 1024;
    options.n_context = 1024;
    return make_random_model(options);
  }();
  return model;
}

// The trained story model; null where the shared files are absent.
inline std::shared_ptr<const model::Model> dreams() {
  static const auto model = []() -> std::shared_ptr<const model::Model> {
    const auto path = std::filesystem::path(HEARTH_SHARED_DIR) / "models" / "dreams-230k.gguf";
    if (!std::filesystem::exists(path)) return nullptr;
    return model::Model::load(path).value();
  }();
  return model;
}

inline GenerateRequest request_for(const std::shared_ptr<const model::Model>& model,
                            const std::string& prompt, std::uint32_t max_tokens) {
  GenerateRequest request;
  request.model = model;
  request.prompt = model->tokenizer().encode(prompt, {.add_special = true});
  const std::size_t n_most = model->config().n_context_train / 2;
  if (request.prompt.size() > n_most) request.prompt.resize(n_most);
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  request.ignore_eos = true;
  return request;
}

inline std::vector<std::string> prompts() {
  const std::string words[] = {"Echoes", " of",   " the", " night", " fell", " on", " a",
                               " garden", " where", " the", " moon", " had",  " a",  " dream"};
  std::vector<std::string> all;
  for (std::size_t i = 0; i < 12; ++i) {
    std::string prompt = words[i % 14];
    for (std::size_t j = 0; j < i * i; ++j) prompt += words[(i / 3 + j) % 14];
    all.push_back(prompt);
  }
  return all;
}

}  // namespace hearth::engine
