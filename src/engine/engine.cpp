// The engine's thread around the scheduler.
//
// Callers put messages into an inbox; the thread empties it before each step, so a cancel
// takes effect within one, and sleeps when there is nothing to do.  Nothing but the inbox
// and the published statistics is shared, and no lock is held while a sink is called.
#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <variant>

#include "base/log.h"
#include "engine/catch_error.h"
#include "engine/model_step_runner.h"
#include "engine/scheduler.h"
#include "engine/snapshot_desk.h"

namespace hearth::engine {
namespace {

// What was computed is written for so long after the engine has stopped.
constexpr auto kSnapshotGrace = std::chrono::seconds(5);

class ThreadedEngine final : public Engine {
 public:
  ThreadedEngine(const EngineOptions& options, std::unique_ptr<KvPagePool> pages,
                 const Clock& clock)
      : options_(options),
        clock_(clock),
        pages_(std::move(pages)),
        forward_(options.n_threads),
        desk_(make_desk()),
        scheduler_(options, *pages_, clock, desk_.get()),
        thread_([this] { loop(); }) {}

  ~ThreadedEngine() override {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  Result<JobId> submit(GenerateRequest request, std::shared_ptr<GenerateSink> sink) override {
    Result<JobId> id = JobId{};
    auto error = catch_error([&] { id = try_submit(std::move(request), std::move(sink)); });
    if (error) return std::unexpected(std::move(*error));
    return id;
  }
  void cancel(JobId job) override;
  std::uint32_t context_tokens(const model::Model& model) const override;
  EngineStats stats() const override;

 private:
  using Message = std::variant<Job, JobId>;  // Submit, or cancel.

  Result<JobId> try_submit(GenerateRequest request, std::shared_ptr<GenerateSink> sink);
  std::unique_ptr<SnapshotDesk> make_desk();
  void loop();
  bool take_inbox(std::vector<Message>& messages);
  void handle(Message& message);

  const EngineOptions options_;
  const Clock& clock_;
  const std::unique_ptr<KvPagePool> pages_;
  ForwardContext forward_;  // Outlives the jobs' runners in the scheduler.

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Message> inbox_;
  std::uint32_t n_submitted_ = 0;  // Jobs in the inbox.
  std::uint64_t next_id_ = 1;
  bool has_news_ = false;          // Of the desk's.
  bool is_idle_ = false;           // The loop has nothing but the inbox to wait for.
  bool is_stopping_ = false;

  const std::unique_ptr<SnapshotDesk> desk_;  // Null where no snapshots are kept.
  Scheduler scheduler_;
  std::thread thread_;             // Last: it uses all of the above.
};

std::unique_ptr<SnapshotDesk> ThreadedEngine::make_desk() {
  const SnapshotOptions& options = options_.snapshots;
  if (options.folder.empty() || !options_.prefix_cache) return nullptr;
  return std::make_unique<SnapshotDesk>(
      SnapshotFolderOptions{.folder = options.folder, .bytes_max = options.bytes_max}, [this] {
        const std::lock_guard lock(mutex_);
        has_news_ = true;
        wake_.notify_one();
      });
}

std::uint32_t ThreadedEngine::context_tokens(const model::Model& model) const {
  std::uint64_t n_tokens =
      pages_->capacity_pages(model.kv_layout().page_bytes()) * model::kPageTokens;
  n_tokens = std::min<std::uint64_t>(n_tokens, model.config().n_context_train);
  if (options_.n_context_max > 0) {
    n_tokens = std::min<std::uint64_t>(n_tokens, options_.n_context_max);
  }
  return static_cast<std::uint32_t>(n_tokens);
}

Result<JobId> ThreadedEngine::try_submit(GenerateRequest request,
                                         std::shared_ptr<GenerateSink> sink) {
  HEARTH_CHECK(request.model != nullptr && sink != nullptr);
  const std::uint32_t n_context = context_tokens(*request.model);
  if (n_context == 0) {
    return fail(Code::kOutOfBudget,
                fmt::format("one page of keys and values of model '{}' takes {} bytes, the KV cache "
                            "has {}: give it more",
                            request.model->config().name,
                            request.model->kv_layout().page_bytes(), pages_->bytes_max()));
  }
  Job job;
  HEARTH_TRY(job.n_tokens_max,
             check_request(request, request.model->config().n_vocab, n_context));
  for (const AdapterChoice& choice : request.adapters) {
    if (choice.adapter->fits(*request.model)) continue;
    return fail(Code::kInvalidArgument,
                fmt::format("the adapter '{}' was made for another model than '{}'",
                            choice.adapter->name(), request.model->config().name));
  }
  job.runner = make_model_step_runner(request.model, forward_);
  job.model_name = request.model->config().name;
  if (request.draft_model != nullptr) {
    job.drafter = make_model_step_runner(request.draft_model, forward_);
  }
  job.request = std::move(request);
  job.sink = std::move(sink);
  job.submitted_ns = clock_.now_monotonic_ns();

  std::unique_lock lock(mutex_);
  if (is_stopping_) return fail(Code::kUnavailable, "the engine is shutting down");
  if (scheduler_.stats().jobs_waiting + n_submitted_ >= options_.queue_max) {
    return fail(Code::kUnavailable,
                fmt::format("{} jobs wait already, the queue holds no more: try again later",
                            options_.queue_max));
  }
  const JobId id{next_id_++};
  job.id = id;
  inbox_.emplace_back(std::move(job));
  ++n_submitted_;
  lock.unlock();
  wake_.notify_one();
  return id;
}

void ThreadedEngine::cancel(JobId job) {
  const auto error = catch_error([&] {
    const std::lock_guard lock(mutex_);
    inbox_.emplace_back(job);
  });
  if (error) (void)catch_error([] { log_error("engine", "out of memory: a cancel was lost"); });
  wake_.notify_one();
}

EngineStats ThreadedEngine::stats() const {
  EngineStats stats = scheduler_.stats();
  if (desk_ != nullptr) {
    const SnapshotFolderStats on_disk = desk_->folder().stats();
    stats.snapshot_files = on_disk.files;
    stats.snapshot_bytes = on_disk.bytes;
    stats.snapshot_bytes_written = on_disk.bytes_written;
    stats.snapshots_written = on_disk.files_written;
    stats.snapshots_evicted = on_disk.evicted;
    stats.snapshots_damaged = on_disk.damaged;
    stats.snapshots_not_written = on_disk.not_written;
  }
  const std::lock_guard lock(mutex_);
  stats.jobs_waiting += n_submitted_;
  return stats;
}

// Waits for work if there is none; swaps the inbox out.  False once the engine stops.
bool ThreadedEngine::take_inbox(std::vector<Message>& messages) {
  std::unique_lock lock(mutex_);
  if (is_idle_) wake_.wait(lock, [this] { return !inbox_.empty() || has_news_ || is_stopping_; });
  has_news_ = false;
  messages.swap(inbox_);
  n_submitted_ = 0;
  return !is_stopping_;
}

void ThreadedEngine::handle(Message& message) {
  if (Job* const job = std::get_if<Job>(&message)) {
    scheduler_.submit(std::move(*job));
  } else {
    scheduler_.cancel(std::get<JobId>(message));
  }
}

void ThreadedEngine::loop() {
  std::vector<Message> messages;
  for (bool is_running = true; is_running;) {
    is_running = take_inbox(messages);
    for (Message& message : messages) handle(message);
    messages.clear();
    if (!is_running) break;
    const auto error = catch_error([&] { is_idle_ = !scheduler_.step(); });
    if (error) scheduler_.fail_all(*error);  // A bug of ours; the process goes on.
  }
  scheduler_.cancel_all();
  scheduler_.settle(std::chrono::steady_clock::now() + kSnapshotGrace);
}

Result<> check_options(const EngineOptions& options) {
  struct Row {
    const char* name;
    std::uint32_t value;
    std::uint32_t min;
    std::uint32_t max;
  };
  const Row rows[] = {
      {"prefill_chunk_tokens", options.prefill_chunk_tokens, 1, 65536},
      {"n_batch_sessions_max", options.n_batch_sessions_max, 1, 4096},
      {"queue_max", options.queue_max, 1, 1'000'000},
      {"n_threads", options.n_threads, 0, 1024},
  };
  for (const Row& row : rows) {
    if (row.value >= row.min && row.value <= row.max) continue;
    return fail(Code::kInvalidArgument, fmt::format("engine option {} is {}: {} to {} expected",
                                                    row.name, row.value, row.min, row.max));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(const EngineOptions& options, const Clock& clock) {
  HEARTH_TRY_VOID(check_options(options));
  KvPagePoolOptions pool_options;
  pool_options.bytes_max = options.kv_bytes_max;
  HEARTH_TRY(auto pages, KvPagePool::create(pool_options));
  std::unique_ptr<Engine> engine;
  const auto error = catch_error(
      [&] { engine = std::make_unique<ThreadedEngine>(options, std::move(pages), clock); });
  if (error) return std::unexpected(*error);
  return engine;
}

}  // namespace hearth::engine
