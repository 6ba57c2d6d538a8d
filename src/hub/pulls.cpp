#include "hub/pulls.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/ascii.h"
#include "base/log.h"
#include "store/pull_name.h"
#include "store/pulled.h"

namespace hearth::hub {
namespace {

using Clock = std::chrono::steady_clock;

// One for all names that mean the same pull.
std::string key_of(const store::PullName& name) {
  const bool is_latest = name.from == store::PullFrom::kOllama && name.tag.empty();
  return lower(fmt::format("{}:{}:{}", static_cast<int>(name.from), name.repository, is_latest ? "latest" : name.tag));
}

PullState state_of(const store::PullFile& file, std::uint64_t completed) {
  return {.step = PullStep::kFetching,
          .file = file.path.filename().string(),
          .sha256 = file.sha256,
          .total = std::max(file.bytes, completed),
          .completed = completed};
}

Result<> check_runs_as_it_comes(const store::PullPlan& plan) {
  if (!plan.needs_conversion) return {};
  return fail(Code::kUnsupported,
              fmt::format("'{0}' are weights as their makers wrote them, which do not run as they are: name a repository "
                          "with GGUF files, or use `hearth models pull` and `hearth models quantize`", plan.name));
}

}  // namespace

struct Pulls::Job {
  struct Watch {
    PullWatch id;
    Watcher watcher;
  };

  std::string key, asked;
  store::PullName name;
  std::vector<Watch> watches;
  PullState state;
  JobPtr before;  // A job for the same model that nobody watches any more: its files are free when it has ended.
  bool has_ended = false;
  std::atomic<bool> is_stopped{false};
  std::thread thread;
};

Pulls::Pulls(PullsOptions options, Hub& hub) : options_(std::move(options)), hub_(hub) {}
Pulls::~Pulls() { stop(); }

// ---- Joining and leaving ----

Result<> Pulls::check_may_pull(const store::PullName& name) const {
  if (!options_.is_allowed) {
    return fail(Code::kPermissionDenied, "this hub pulls no models for its clients: models.pull is false in hearth.toml; "
                                         "`hearth models pull` does");
  }
  if (name.from == store::PullFrom::kUrl) {
    return fail(Code::kInvalidArgument, fmt::format("'{}' is a URL, and the hub pulls from registries alone for its clients; "
                                                    "`hearth models pull` takes URLs", name.repository));
  }
  if (options_.from.is_offline) {
    return fail(Code::kUnavailable, fmt::format("'{}' is not pulled: HF_HUB_OFFLINE is set for this hub", name.repository));
  }
  return {};
}

Result<PullWatch> Pulls::join(std::string_view name, Watcher watcher) {
  HEARTH_TRY(const store::PullName parsed, store::parse_pull_name(name));
  HEARTH_TRY_VOID(check_may_pull(parsed));
  join_ended();
  const std::lock_guard lock(mutex_);
  if (is_stopping_) return fail(Code::kUnavailable, "the hub is stopping");
  const std::string key = key_of(parsed);
  const auto same = std::ranges::find_if(
      jobs_, [&](const JobPtr& job) { return job->key == key && !job->has_ended && !job->is_stopped; });
  const PullWatch watch{next_watch_++};
  if (same != jobs_.end()) {
    watcher((*same)->state);
    (*same)->watches.push_back({watch, std::move(watcher)});
    return watch;
  }
  if (n_running() >= options_.pulls_max) {
    return fail(Code::kUnavailable, fmt::format("{} models are being pulled, which is the limit; '{}' has to wait for one of "
                                                "them", options_.pulls_max, name));
  }
  auto job = std::make_shared<Job>();
  job->key = key;
  job->asked = name;
  job->name = parsed;
  job->watches.push_back({watch, std::move(watcher)});
  for (const JobPtr& other : jobs_) {
    if (other->key == key && !other->has_ended) job->before = other;
  }
  jobs_.push_back(job);
  job->thread = std::thread([this, job] { run(job); });
  return watch;
}

void Pulls::leave(PullWatch watch) {
  const std::lock_guard lock(mutex_);
  for (const JobPtr& job : jobs_) {
    if (std::erase_if(job->watches, [&](const Job::Watch& one) { return one.id == watch; }) == 0) continue;
    if (job->watches.empty()) job->is_stopped = true;
    return;
  }
}

std::uint32_t Pulls::n_running() const {
  return static_cast<std::uint32_t>(
      std::ranges::count_if(jobs_, [](const JobPtr& job) { return !job->has_ended && !job->is_stopped; }));
}

// Takes the threads of jobs that have ended off the list, and waits for their last instructions.
void Pulls::join_ended() {
  std::vector<JobPtr> ended;
  {
    const std::lock_guard lock(mutex_);
    const auto [first, last] = std::ranges::stable_partition(jobs_, [](const JobPtr& job) { return !job->has_ended; });
    ended.assign(first, last);
    jobs_.erase(first, last);
  }
  for (const JobPtr& job : ended) job->thread.join();
}

void Pulls::stop() {
  std::vector<JobPtr> jobs;
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    jobs.swap(jobs_);
    for (const JobPtr& job : jobs) job->is_stopped = true;
  }
  for (const JobPtr& job : jobs) job->thread.join();
}

// ---- A job's thread ----

void Pulls::run(const JobPtr& job) {
  if (job->before != nullptr) {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return job->before->has_ended; });
    job->before = nullptr;
  }
  const Result<PullState> done = work(*job);
  if (!done) log_info("hub", fmt::format("pulling '{}' ended: {}", job->asked, done.error().message));
  const std::lock_guard lock(mutex_);
  tell_locked(*job, done ? *done : PullState{.step = PullStep::kFailed, .error = done.error()});
  job->watches.clear();
  job->has_ended = true;
  ended_.notify_all();
}

Result<PullState> Pulls::work(Job& job) {
  tell(job, {.step = PullStep::kAsking});
  if (job.is_stopped) return fail(Code::kCancelled, "the pull was stopped before it began");
  HEARTH_TRY(const store::PullPlan plan, store::plan_pull(job.name, options_.from));
  HEARTH_TRY_VOID(check_runs_as_it_comes(plan));
  HEARTH_TRY_VOID(fetch(job, plan));
  tell(job, {.step = PullStep::kVerified});
  tell(job, {.step = PullStep::kListing});
  hub_.refresh_models();
  PullState done{.step = PullStep::kDone};
  for (const ModelEntry& entry : hub_.models()) {
    if (entry.path != plan.files.front().path || !entry.adapter.empty()) continue;
    done.model = entry.name;
    done.problem = entry.problem;
  }
  log_info("hub", fmt::format("pulled {}", plan.name));
  return done;
}

// Tells of each file's bytes every now and then, and of its last in any case.
Result<> Pulls::fetch(Job& job, const store::PullPlan& plan) {
  std::size_t told_file = plan.files.size();
  std::size_t n_whole = 0;  // Files that were told of to their end, or have been here.
  Clock::time_point told_at;
  const auto tell_whole = [&](std::size_t end) {
    for (; n_whole < end; ++n_whole) tell(job, state_of(plan.files[n_whole], plan.files[n_whole].bytes));
  };
  store::PullControl control{.attempts_max = options_.attempts_max, .pause = options_.pause};
  control.is_stopped = [&job] { return job.is_stopped.load(); };
  control.on_progress = [&](const store::PullProgress& progress) {
    tell_whole(progress.file);
    const Clock::time_point now = Clock::now();
    if (std::exchange(told_file, progress.file) == progress.file && now - told_at < options_.report_every) return;
    told_at = now;
    tell(job, state_of(plan.files[progress.file], progress.bytes));
  };
  HEARTH_TRY_VOID(store::pull(plan, control));
  tell_whole(plan.files.size());
  return {};
}

void Pulls::tell(Job& job, PullState state) {
  const std::lock_guard lock(mutex_);
  tell_locked(job, std::move(state));
}

void Pulls::tell_locked(Job& job, PullState state) {
  for (const Job::Watch& watch : job.watches) watch.watcher(state);
  job.state = std::move(state);
}

// ---- What is here ----

std::optional<ModelEntry> Pulls::find(std::string_view name) const {
  const std::vector<ModelEntry> models = hub_.models();
  for (const std::string& full : {std::string(name), fmt::format("{}:latest", name)}) {
    const auto found = std::ranges::find(models, full, &ModelEntry::name);
    if (found != models.end()) return *found;
  }
  const auto pulled = std::ranges::find_if(models, [&](const ModelEntry& model) {
    return model.source == store::kPulledSource && model.adapter.empty() &&
           store::is_pulled_as(name, std::filesystem::path(model.path).lexically_relative(options_.from.folder));
  });
  return pulled == models.end() ? std::nullopt : std::optional(*pulled);
}

bool Pulls::is_being_pulled(const ModelEntry& model) {
  const auto relative = std::filesystem::path(model.path).lexically_relative(options_.from.folder);
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(
      jobs_, [&](const JobPtr& job) { return !job->has_ended && store::is_pulled_as(job->asked, relative); });
}

Result<> Pulls::remove(std::string_view name) {
  if (!options_.is_allowed) {
    return fail(Code::kPermissionDenied, "this hub deletes no models for its clients: models.pull is false in hearth.toml");
  }
  const auto model = find(name);
  if (!model) return fail(Code::kNotFound, fmt::format("there is no model '{}'", name));
  if (model->source != store::kPulledSource) {
    return fail(Code::kPermissionDenied,
                fmt::format("'{}' was not pulled by Hearth (its source is '{}'), so it is not Hearth's to delete{}", model->name,
                            model->source, model->source == "store" ? "; `hearth models rm` takes it out of the store" : ""));
  }
  if (is_being_pulled(*model)) return fail(Code::kUnavailable, fmt::format("'{}' is being pulled", model->name));
  if (model->loaded) HEARTH_TRY_VOID(hub_.unload(model->name));
  HEARTH_TRY_VOID(store::remove_pulled(options_.from.folder, model->path));
  log_info("hub", fmt::format("deleted {}", model->path));
  hub_.refresh_models();
  return {};
}

}  // namespace hearth::hub
