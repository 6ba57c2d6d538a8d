// Which other servers there are, what they have, and whether they can be asked.
//
// A server whose address is this machine's is asked for its models now and then, on a thread of this
// directory's own: at the start, when somebody looks and the last answer is old, and while it is
// down.  A server that counts as egress is never contacted here: nothing leaves for a list.
//
// Whether a model counts as egress is decided for each one.  It does unless its server's address is
// this machine's (or the configuration says that it counts so) and the server, asked in its own language
// too, says nothing of a remote host.  What can't be told counts as egress.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "advisor/circuit.h"
#include "advisor/endpoint.h"
#include "advisor/wire/wire.h"
#include "base/clock.h"
#include "base/result.h"
#include "hub/hub.h"
#include "hub/upstream/fetch.h"
#include "hub/upstream/listing.h"
#include "hub/upstream/llama_server.h"
#include "hub/upstream/upstream_options.h"
#include "net/http_client.h"

namespace hearth::hub {

// A model of another server, and what is known of where it runs.
struct UpstreamTarget {
  std::size_t server = 0;
  std::string model;  // As that server calls it.
  std::string name;   // SERVER/MODEL.
  ServerKind kind = ServerKind::kUnknown;
  bool is_egress = true;
  std::optional<advisor::Prices> prices;  // Unset: unknown, or nothing leaves.
  std::string place;  // For receipts and lists: "http://127.0.0.1:11434/v1, on this machine".
  std::optional<LlamaModel> child;  // Run by llama-server, which Hearth starts; `server` says nothing then.
};

// Threading: any thread.
class UpstreamDirectory {
 public:
  // kInvalidArgument for names, addresses and limits that can't work; kNotFound and kPermissionDenied
  // as read_api_key().  Borrows `client`.
  static Result<std::unique_ptr<UpstreamDirectory>> create(std::vector<UpstreamOptions> upstreams,
                                                           net::HttpClient& client,
                                                           const Clock& clock = Clock::system());
  ~UpstreamDirectory();

  // What SERVER/MODEL stands for; nullopt if no server has that name.  Waits for a server of this machine to
  // be asked once more where it is not known to have the model.  kNotFound names what it has;
  // kUnavailable says why it can't be asked; kInvalidArgument: its prices are unknown.
  std::optional<Result<UpstreamTarget>> find(std::string_view name);

  // A model that a server of this machine runs here and calls just so; the first server that has it.
  // What leaves the machine has to be named in full.
  std::optional<UpstreamTarget> find_plain(std::string_view name);

  // All models by their full names.  Waits for the first answers; older ones are asked for again, later.
  std::vector<ModelEntry> models();
  std::vector<UpstreamState> states() const;

  // For those who call.
  struct Server {
    UpstreamOptions options;
    advisor::Endpoint endpoint;
    const advisor::WireFormat* wire = &advisor::wire_format(advisor::Wire::kChat);
    std::string root;  // The address without a path.
    std::string key;
    bool is_here = false;  // Its address counts as this machine.
  };
  const Server& server(std::size_t number) const { return *servers_[number]; }

  // The circuit breaker.  kUnavailable if the server is not to be asked now; else one of the others
  // follows, once.
  Result<> begin_call(std::size_t server);
  void end_call(std::size_t server, const std::optional<std::string>& failure);  // nullopt: it works.
  void withdraw_call(std::size_t server);

 private:
  struct Health {
    advisor::Circuit circuit;
    UpstreamListing listing;
    std::optional<std::string> problem;  // Why the last listing failed.
    std::uint64_t n_listings = 0;        // Tried so far.
    std::uint32_t n_running = 0;
    std::uint64_t n_requests = 0, n_failures = 0;
    std::string last_failure;
  };

  UpstreamDirectory(std::vector<std::unique_ptr<Server>> servers, net::HttpClient& client,
                    const Clock& clock);
  static Result<std::unique_ptr<Server>> open(UpstreamOptions options);
  void watch(const std::stop_token& stop);
  void list_all(const std::stop_token& stop);
  Result<UpstreamListing> list(const Server& server, const std::stop_token& stop);
  Result<UpstreamListing> list_ollama(const Server& server, const std::stop_token& stop);
  std::string elsewhere_of(const Server& server, const UpstreamModel& model,
                           const std::stop_token& stop);
  Result<Fetched> get(const Server& server, const std::string& url, const std::stop_token& stop);
  Result<UpstreamTarget> find_in(std::size_t number, std::string_view model);
  UpstreamTarget target_of(std::size_t number, const UpstreamModel& model) const;
  Result<> check_prices(const UpstreamTarget& target) const;
  void wait_for_listing(std::unique_lock<std::mutex>& lock, std::size_t number, std::uint64_t n);
  bool is_down() const;  // With the lock held.

  const std::vector<std::unique_ptr<Server>> servers_;
  net::HttpClient& client_;
  const Clock& clock_;
  std::map<std::string, std::string> shown_;  // The watcher's: what /api/show said, by server and digest.

  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable wanted_, listed_;
  bool is_listing_wanted_ = true;
  std::int64_t listed_at_ns_ = 0;
  std::vector<Health> health_;

  std::jthread watcher_;  // Last: it uses all of the above.
};

}  // namespace hearth::hub
