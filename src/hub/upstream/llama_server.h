// llama-server as a child: it runs the models that Hearth's own engine can't, one at a time.
//
//   stopped --> starting --> ready --> (idle, swapped, crashed) --> stopped
//
// A request takes a lease on the child for its model and holds it to its end; leases are granted in the
// order in which they were asked for.  The child is started for the first that needs it, on a port
// that the system chooses, on the loopback address, with a random key that only the two of them know;
// it is given a limit to become healthy.  Where the next lease is for another model, the child ends
// when the last one on the present model is returned: never while a request runs.  It also ends when
// nobody has needed it for a while, when its memory is wanted, and with the hub.
//
// A crash is one error for each who waits or is being answered, with the child's last lines; the next
// request starts it again, at once after one crash, then after 1, 2, 4 ... 60 s.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "base/mailbox.h"
#include "base/result.h"
#include "hub/hub.h"
#include "hub/upstream/child_process.h"
#include "net/http_client.h"

namespace hearth::hub {

struct LlamaServerOptions {
  std::string program = "llama-server";  // A path, or a name to find in $PATH; empty: never used.
  std::vector<std::string> arguments;    // Behind those that Hearth sets.
  std::chrono::milliseconds start_timeout{120'000};
  std::chrono::milliseconds idle_stop{300'000};
};

struct LlamaModel {
  std::string name;
  std::filesystem::path path;
  std::uint64_t bytes = 0;
};

// What a request may use until it drops `hold`.
struct LlamaLease {
  std::string base_url;  // "http://127.0.0.1:PORT/v1"
  std::string key;
  std::uint64_t generation = 0;  // Of the child.
  std::shared_ptr<void> hold;
};

// Threading: any thread.
class LlamaServer {
 public:
  // `program` is where it was found (find_program).  Borrows `client`.
  LlamaServer(std::string program, LlamaServerOptions options, net::HttpClient& client);
  ~LlamaServer();  // Ends the child; every `ready` is called first.
  LlamaServer(const LlamaServer&) = delete;
  LlamaServer& operator=(const LlamaServer&) = delete;

  using Ready = std::function<void(Result<LlamaLease>)>;
  // Calls `ready` once, on this object's thread: with the lease, or why there is none.
  std::uint64_t lease(LlamaModel model, Ready ready);
  // Who waits does so no longer: `ready` is called with kCancelled, soon.  No effect once it was called.
  void give_up(std::uint64_t ticket) { mailbox_.put(GivenUp{ticket}); }

  // Calls `done` with what became of the child of that generation, if it has ended ("was killed by signal 9
  // (Killed); its last lines: ..."), or with "" if it still runs.
  void explain(std::uint64_t generation, std::function<void(std::string)> done);

  // Ends the child unless a request uses it: its memory is wanted.
  void stop_if_idle() { mailbox_.put(StopIfIdle{}); }
  std::uint64_t bytes_used() const { return bytes_used_; }  // By the child's weights; 0: none runs.

  UpstreamState state() const;
  const std::string& program() const { return program_; }

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Wanted {
    std::uint64_t ticket = 0;
    LlamaModel model;
    Ready ready;
  };
  struct GivenUp {
    std::uint64_t ticket;
  };
  struct Returned {
    std::uint64_t generation;
  };
  struct Asked {
    std::uint64_t generation;
    std::function<void(std::string)> done;
    TimePoint until{};
  };
  struct StopIfIdle {};
  struct Wake {};
  struct Stop {};
  using KeeperMessage = std::variant<Wanted, GivenUp, Returned, Asked, StopIfIdle, Wake, Stop>;

  void work();
  void on(Wanted& message);
  void on(GivenUp& message);
  void on(Returned& message);
  void on(Asked& message);
  void on(StopIfIdle& message);
  void on(Wake&) {}
  void on(Stop& message);

  void look();
  void look_after_child();
  void serve_waiting();
  void begin_child(const LlamaModel& model);
  bool is_healthy();
  void end_child(std::chrono::milliseconds grace);
  void note_crash();
  void fail_waiting(const std::string& name, const Error& error);
  void give_lease(Wanted& wanted);
  void answer_asked();
  void publish();
  TimePoint next_look() const;
  std::string words_of_end();

  const std::string program_;
  const LlamaServerOptions options_;
  net::HttpClient& client_;
  std::atomic<std::uint64_t> bytes_used_ = 0;
  std::atomic<std::uint64_t> last_ticket_ = 0;
  Mailbox<KeeperMessage> mailbox_;
  std::stop_source closing_;

  // The thread's own.
  std::unique_ptr<ChildProcess> child_;
  LlamaModel model_;  // That the child runs.
  std::string base_url_, key_;
  bool is_ready_ = false;
  bool is_stopping_ = false;
  TimePoint started_at_, idle_since_, rest_until_;
  std::uint64_t generation_ = 0;
  std::string last_end_;  // Of the last generation that has ended.
  std::uint32_t n_crashes_ = 0;  // In a row.
  std::uint32_t n_leases_ = 0;
  std::deque<Wanted> waiting_;
  std::vector<Asked> asked_;

  mutable std::mutex mutex_;  // Guards what follows.
  UpstreamState state_;

  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace hearth::hub
