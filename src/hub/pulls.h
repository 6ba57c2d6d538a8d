// Models on their way here from a registry, for clients of the hub: a job per model, on a thread of its
// own, and whoever watches it.
//
// As in Ollama, a job belongs to those who watch: who asks for a model that is being pulled joins and is
// told at once how far it is, and when the last of them leaves, the job ends.  What came is kept in
// FILE.partial, so that the next one goes on from there.  Rejected: jobs that live on by themselves.  Tens
// of gigabytes would come for nobody, and a client has no other way to call a pull off.
//
// The bytes, digests and retries are store/pull.h's, which `hearth models pull` uses, too.  What is done
// is in the catalogue before anybody is told.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/result.h"
#include "hub/hub.h"
#include "store/pull.h"

namespace hearth::hub {

struct PullsOptions {
  store::PullOptions from;
  bool is_allowed = true;       // By the configuration.
  std::uint32_t pulls_max = 4;  // At once; more are kUnavailable.
  std::chrono::milliseconds report_every{100};  // Of one file's bytes.
  std::uint32_t attempts_max = 8;               // As PullControl's,
  std::chrono::milliseconds pause{500};         // as this.
};

enum class PullStep : std::uint8_t { kAsking, kFetching, kVerified, kListing, kDone, kFailed };

// How far a pull is.
struct PullState {
  PullStep step = PullStep::kAsking;
  // kFetching: a file of the model, its SHA-256 in hexadecimal (empty: not known beforehand), and what of it
  // is here; `total` 0: not known.
  std::string file, sha256;
  std::uint64_t total = 0, completed = 0;
  // kDone: the model's name in the catalogue, and why it can't run; empty if it can.
  std::string model, problem;
  std::optional<Error> error;  // kFailed.
};

enum class PullWatch : std::uint64_t {};

// Threading: join, leave, find and remove on any thread; stop and the destructor on the owner's.
class Pulls {
 public:
  // Gets a pull's states in order, one at a time, on its thread or the caller's of join(): do little,
  // never block, call nothing here.  kDone or kFailed is the last, exactly once unless the watch left.
  using Watcher = std::function<void(const PullState& state)>;

  // `hub` must outlive this.
  Pulls(PullsOptions options, Hub& hub);
  ~Pulls();  // stop().

  // Begins to pull what `name` stands for (store/pull_name.h, but no URL), or joins who does already.
  // kInvalidArgument: no such form of a name; kPermissionDenied: the configuration forbids it;
  // kUnavailable: offline, or pulls_max are running, or stopping.  All else comes as kFailed.
  Result<PullWatch> join(std::string_view name, Watcher watcher);
  // `watch` is told nothing from here on; if it was the last, the pull ends and keeps what came.
  void leave(PullWatch watch);

  // The listed model of that name, or that was pulled as that.
  std::optional<ModelEntry> find(std::string_view name) const;
  // Deletes the files of a model that was pulled.  kNotFound; kPermissionDenied: it came here otherwise, the
  // configuration pins it or forbids this; kUnavailable: it is answering or being pulled.
  Result<> remove(std::string_view name);

  // Ends all pulls; their watchers are told so.
  void stop();

 private:
  struct Job;
  using JobPtr = std::shared_ptr<Job>;

  void run(const JobPtr& job);
  Result<PullState> work(Job& job);
  Result<> fetch(Job& job, const store::PullPlan& plan);
  void tell(Job& job, PullState state);
  void tell_locked(Job& job, PullState state);
  bool is_being_pulled(const ModelEntry& model);
  Result<> check_may_pull(const store::PullName& name) const;
  void join_ended();
  std::uint32_t n_running() const;

  const PullsOptions options_;
  Hub& hub_;
  std::mutex mutex_;  // Guards what follows, and all of a job but its thread.
  std::condition_variable ended_;
  std::vector<JobPtr> jobs_;  // Also those that have ended and whose threads nobody joined yet.
  std::uint64_t next_watch_ = 1;
  bool is_stopping_ = false;
};

}  // namespace hearth::hub
