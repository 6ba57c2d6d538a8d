#include "hub/upstream/upstream_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "advisor/api_key.h"
#include "advisor/provider.h"
#include "base/log.h"

namespace hearth::hub {
namespace {

using advisor::circuit_state_name;
using advisor::CircuitState;
using std::chrono::milliseconds;

constexpr std::int64_t kListingAgeNs = 5'000'000'000;  // Older ones are asked for again.
constexpr milliseconds kCheckEvery{3'000};             // Of a server that is down.
constexpr std::size_t kNamesInErrorMax = 20;
constexpr net::HttpTimeouts kListTimeouts{.connect = milliseconds(1'000),
                                          .first_byte = milliseconds(3'000),
                                          .idle = milliseconds(3'000),
                                          .total = milliseconds(5'000)};

// "http://127.0.0.1:11434" of "http://127.0.0.1:11434/v1".
std::string root_of(const std::string& url) {
  const std::size_t authority = url.find("//") + 2;
  return url.substr(0, url.find('/', authority));
}

Result<> check_names(const std::vector<UpstreamOptions>& upstreams) {
  if (upstreams.size() > kUpstreamsMax) {
    return fail(Code::kInvalidArgument, fmt::format("there are {} [[upstreams]], at most {} are possible",
                                                    upstreams.size(), kUpstreamsMax));
  }
  std::set<std::string> seen;
  for (const UpstreamOptions& upstream : upstreams) {
    if (!is_upstream_name(upstream.name)) {
      return fail(Code::kInvalidArgument,
                  fmt::format("upstreams.name '{}' can't be a name: it takes 1 to {} letters, digits, "
                              "'.', '_' and '-', and is not 'auto' or 'local'",
                              upstream.name.substr(0, kUpstreamNameBytesMax), kUpstreamNameBytesMax));
    }
    if (!seen.insert(upstream.name).second) {
      return fail(Code::kInvalidArgument,
                  fmt::format("two [[upstreams]] have the name '{}'", upstream.name));
    }
  }
  return {};
}

std::string names_of(const std::vector<UpstreamModel>& models) {
  std::string names;
  for (std::size_t i = 0; i < std::min(models.size(), kNamesInErrorMax); ++i) {
    names += (i == 0 ? "" : ", ") + models[i].name;
  }
  if (models.size() > kNamesInErrorMax) {
    names += fmt::format(" and {} more", models.size() - kNamesInErrorMax);
  }
  return names.empty() ? "none" : names;
}

}  // namespace

Result<std::unique_ptr<UpstreamDirectory>> UpstreamDirectory::create(
    std::vector<UpstreamOptions> upstreams, net::HttpClient& client, const Clock& clock) {
  HEARTH_TRY_VOID(check_names(upstreams));
  std::vector<std::unique_ptr<Server>> servers;
  for (UpstreamOptions& options : upstreams) {
    HEARTH_TRY(std::unique_ptr<Server> server, open(std::move(options)));
    servers.push_back(std::move(server));
  }
  return std::unique_ptr<UpstreamDirectory>(
      new UpstreamDirectory(std::move(servers), client, clock));
}

Result<std::unique_ptr<UpstreamDirectory::Server>> UpstreamDirectory::open(UpstreamOptions options) {
  auto server = std::make_unique<Server>();
  const advisor::WireFormat* const named = advisor::find_wire(options.wire);
  if (options.url.empty() && named != nullptr) options.url = named->home;
  const std::string setting = fmt::format("the url of upstream '{}'", options.name);
  HEARTH_TRY(const advisor::Endpoint given, advisor::parse_endpoint(options.url, setting));
  server->wire = advisor::wire_of(options.wire, given.host);
  if (server->wire == nullptr) {
    return fail(Code::kInvalidArgument, fmt::format("the wire '{}' of upstream '{}' is none of: {}", options.wire,
                                                    options.name, advisor::wire_names()));
  }
  server->root = root_of(given.base);
  if (given.base == server->root) options.url = server->root + std::string(server->wire->path);
  HEARTH_TRY(server->endpoint, advisor::parse_endpoint(options.url, setting));
  HEARTH_TRY(server->key, advisor::read_api_key(options.key_env, options.key_file,
                                                fmt::format("upstream '{}''s", options.name)));
  if (options.attempts_max == 0 || options.max_output_tokens == 0) {
    return fail(Code::kInvalidArgument,
                fmt::format("the limits of upstream '{}' must not be 0", options.name));
  }
  // The other wires are those of clouds: whoever stands behind a loopback address and speaks one most likely
  // passes it on.
  if (!server->wire->is_chat() && options.is_local.value_or(false)) {
    return fail(Code::kInvalidArgument,
                fmt::format("upstream '{}' can't count as this machine: servers of this machine are asked by the "
                            "wire 'chat', not '{}'",
                            options.name, server->wire->name));
  }
  server->is_here = options.is_local.value_or(server->wire->is_chat() && server->endpoint.is_loopback);
  server->options = std::move(options);
  return server;
}

UpstreamDirectory::UpstreamDirectory(std::vector<std::unique_ptr<Server>> servers,
                                     net::HttpClient& client, const Clock& clock)
    : servers_(std::move(servers)), client_(client), clock_(clock), health_(servers_.size()) {
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (servers_[i]->is_here) continue;
    UpstreamListing& listing = health_[i].listing;
    if (servers_[i]->endpoint.host == "api.openai.com") listing.kind = ServerKind::kOpenAi;
    for (const std::string& name : servers_[i]->options.models) listing.models.push_back({.name = name});
  }
  watcher_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

UpstreamDirectory::~UpstreamDirectory() {
  watcher_.request_stop();
  {
    const std::lock_guard lock(mutex_);
    wanted_.notify_all();
    listed_.notify_all();
  }
  watcher_.join();
}

// ---- The watcher's thread ----------------------------------------------------------------------

bool UpstreamDirectory::is_down() const {
  for (std::size_t i = 0; i < health_.size(); ++i) {
    const bool is_failing = health_[i].circuit.n_failures() >= advisor::Circuit::kFailuresMax;
    if (servers_[i]->is_here && (health_[i].problem || is_failing)) return true;
  }
  return false;
}

void UpstreamDirectory::watch(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto is_due = [&] { return is_listing_wanted_ || stop.stop_requested(); };
    if (!is_down()) {
      wanted_.wait(lock, is_due);
    } else {
      wanted_.wait_for(lock, kCheckEvery, is_due);
    }
    if (stop.stop_requested()) return;
    is_listing_wanted_ = false;
    lock.unlock();
    list_all(stop);
    lock.lock();
    listed_at_ns_ = clock_.now_monotonic_ns();
  }
}

void UpstreamDirectory::list_all(const std::stop_token& stop) {
  for (std::size_t i = 0; i < servers_.size() && !stop.stop_requested(); ++i) {
    if (!servers_[i]->is_here) continue;
    auto listing = list(*servers_[i], stop);
    const std::lock_guard lock(mutex_);
    Health& health = health_[i];
    ++health.n_listings;
    if (listing) {
      health.listing = *std::move(listing);
      health.problem.reset();
      health.circuit.end_rest();
    } else {
      health.problem = listing.error().message;
    }
    listed_.notify_all();
  }
}

Result<Fetched> UpstreamDirectory::get(const Server& server, const std::string& url,
                                       const std::stop_token& stop) {
  return fetch(client_,
               {.url = url,
                .headers = advisor::wire_headers(*server.wire, server.key),
                .timeouts = kListTimeouts,
                .response_bytes_max = kListingBytesMax,
                .is_get = true,
                .no_proxy = server.endpoint.is_loopback},
               stop);
}

// OpenAI's list says which program it is; what could be Ollama is asked in its own language as well,
// since only that tells which models are elsewhere.
Result<UpstreamListing> UpstreamDirectory::list(const Server& server, const std::stop_token& stop) {
  HEARTH_TRY(const Fetched models, get(server, server.endpoint.base + "/models", stop));
  if (models.status != 200) {
    return fail(Code::kUnavailable, fmt::format("it answered {} to GET /models", models.status));
  }
  HEARTH_TRY(UpstreamListing listing, parse_model_list(models.body));
  if (listing.kind == ServerKind::kUnknown || listing.kind == ServerKind::kOllama) {
    auto ollama = list_ollama(server, stop);
    if (ollama) {
      listing = *std::move(ollama);
    } else if (ollama.error().code != Code::kNotFound || listing.kind == ServerKind::kOllama) {
      return std::unexpected(ollama.error());
    }
  }
  const auto& wanted = server.options.models;
  if (!wanted.empty()) {
    std::erase_if(listing.models, [&](const UpstreamModel& model) {
      return std::ranges::find(wanted, model.name) == wanted.end();
    });
  }
  return listing;
}

// kNotFound: it does not speak Ollama's language.
Result<UpstreamListing> UpstreamDirectory::list_ollama(const Server& server,
                                                       const std::stop_token& stop) {
  HEARTH_TRY(const Fetched tags, get(server, server.root + "/api/tags", stop));
  if (tags.status >= 400 && tags.status < 500) return fail(Code::kNotFound, "no Ollama");
  if (tags.status != 200) {
    return fail(Code::kUnavailable, fmt::format("it answered {} to GET /api/tags", tags.status));
  }
  HEARTH_TRY(UpstreamListing listing, parse_ollama_tags(tags.body));
  for (UpstreamModel& model : listing.models) {
    if (model.elsewhere.empty()) model.elsewhere = elsewhere_of(server, model, stop);
  }
  return listing;
}

// Asked once for each content of a model.
std::string UpstreamDirectory::elsewhere_of(const Server& server, const UpstreamModel& model,
                                            const std::stop_token& stop) {
  const std::string key = fmt::format("{} {} {}", server.options.name, model.name, model.digest);
  if (const auto known = shown_.find(key); known != shown_.end()) return known->second;
  const auto shown = fetch(client_,
                           {.url = server.root + "/api/show",
                            .headers = advisor::wire_headers(*server.wire, server.key),
                            .body = nlohmann::json({{"model", model.name}}).dump(),
                            .timeouts = kListTimeouts,
                            .response_bytes_max = kListingBytesMax,
                            .no_proxy = server.endpoint.is_loopback},
                           stop);
  const auto said = !shown ? Result<std::string>(std::unexpected(shown.error()))
                    : shown->status == 200
                        ? parse_ollama_show(shown->body)
                        : fail(Code::kUnavailable, fmt::format("it answered {}", shown->status));
  if (!said) return fmt::format("/api/show does not tell where it runs: {}", said.error().message);
  if (shown_.size() >= 4 * kUpstreamModelsMax) shown_.clear();
  return shown_[key] = *said;
}

// ---- For others --------------------------------------------------------------------------------

namespace {

std::optional<advisor::Prices> prices_of(const UpstreamDirectory::Server& server, const std::string& model) {
  const UpstreamOptions& options = server.options;
  const auto own = std::ranges::find(options.model_prices, model, &std::pair<std::string, advisor::Prices>::first);
  const auto& configured = own != options.model_prices.end() ? std::optional(own->second) : options.prices;
  return advisor::known_prices(configured, *server.wire, server.endpoint.host, model);
}

}  // namespace

UpstreamTarget UpstreamDirectory::target_of(std::size_t number, const UpstreamModel& model) const {
  const Server& server = *servers_[number];
  UpstreamTarget target{.server = number,
                        .model = model.name,
                        .name = fmt::format("{}/{}", server.options.name, model.name),
                        .kind = health_[number].listing.kind,
                        .is_egress = !server.is_here || !model.elsewhere.empty()};
  if (target.is_egress) target.prices = prices_of(server, model.name);
  target.place = fmt::format("{}, {}", server.endpoint.base,
                             !target.is_egress                ? "on this machine"
                             : model.elsewhere.empty()        ? "not on this machine"
                                                              : "not on this machine: " + model.elsewhere);
  return target;
}

Result<> UpstreamDirectory::check_prices(const UpstreamTarget& target) const {
  const UpstreamOptions& options = servers_[target.server]->options;
  if (!target.is_egress || target.prices) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("'{}' runs at {}, so what it is asked leaves this machine, and its prices are "
                          "unknown: set price_in_usd_per_mtok and price_out_usd_per_mtok of upstream "
                          "'{}' (0 if it costs nothing)",
                          target.name, target.place, options.name));
}

void UpstreamDirectory::wait_for_listing(std::unique_lock<std::mutex>& lock, std::size_t number,
                                         std::uint64_t n) {
  if (!servers_[number]->is_here) return;
  listed_.wait(lock, [&] {
    return health_[number].n_listings >= n || watcher_.get_stop_token().stop_requested();
  });
}

std::optional<Result<UpstreamTarget>> UpstreamDirectory::find(std::string_view name) {
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    const std::string prefix = servers_[i]->options.name + "/";
    if (name.starts_with(prefix)) return find_in(i, name.substr(prefix.size()));
  }
  return std::nullopt;
}

Result<UpstreamTarget> UpstreamDirectory::find_in(std::size_t number, std::string_view model) {
  const Server& server = *servers_[number];
  std::unique_lock lock(mutex_);
  Health& health = health_[number];
  const auto look = [&]() -> std::optional<UpstreamTarget> {
    for (const UpstreamModel& known : health.listing.models) {
      if (known.name == model || known.name == std::string(model) + ":latest") return target_of(number, known);
    }
    return std::nullopt;
  };
  wait_for_listing(lock, number, 1);
  auto found = look();
  if (!found && !server.is_here) {
    if (model.empty() || model.size() > kUpstreamModelNameBytesMax) {
      return fail(Code::kInvalidArgument,
                  fmt::format("a model's name has 1 to {} bytes", kUpstreamModelNameBytesMax));
    }
    found = target_of(number, {.name = std::string(model)});
  }
  if (!found) {  // It may have come since.
    is_listing_wanted_ = true;
    wanted_.notify_all();
    wait_for_listing(lock, number, health.n_listings + 1);
    found = look();
  }
  if (!found && health.problem) {
    return fail(Code::kUnavailable, fmt::format("the upstream '{}' at {} can't be asked what it has: {}",
                                                server.options.name, server.endpoint.base, *health.problem));
  }
  if (!found) {
    return fail(Code::kNotFound, fmt::format("the upstream '{}' has no model '{}'; it has: {}",
                                             server.options.name, model, names_of(health.listing.models)));
  }
  HEARTH_TRY_VOID(check_prices(*found));
  return *std::move(found);
}

std::optional<UpstreamTarget> UpstreamDirectory::find_plain(std::string_view name) {
  std::unique_lock lock(mutex_);
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (!servers_[i]->is_here) continue;
    wait_for_listing(lock, i, 1);
    for (const UpstreamModel& model : health_[i].listing.models) {
      if (model.name == name && model.elsewhere.empty()) return target_of(i, model);
    }
  }
  return std::nullopt;
}

std::vector<ModelEntry> UpstreamDirectory::models() {
  std::vector<ModelEntry> entries;
  std::unique_lock lock(mutex_);
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    wait_for_listing(lock, i, 1);
    for (const UpstreamModel& model : health_[i].listing.models) {
      const UpstreamTarget target = target_of(i, model);
      const Result<> priced = check_prices(target);
      entries.push_back({.name = target.name,
                         .path = servers_[i]->endpoint.base,
                         .source = "upstream",
                         .bytes = model.bytes,
                         .architecture = model.architecture,
                         .quantization = model.quantization,
                         .n_context = model.n_context,
                         .problem = priced ? "" : priced.error().message,
                         .upstream = servers_[i]->options.name,
                         .place = target.place,
                         .is_egress = target.is_egress});
    }
  }
  if (clock_.now_monotonic_ns() - listed_at_ns_ > kListingAgeNs) {
    is_listing_wanted_ = true;
    wanted_.notify_all();
  }
  return entries;
}

std::vector<UpstreamState> UpstreamDirectory::states() const {
  std::vector<UpstreamState> states;
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    const Health& health = health_[i];
    const bool is_known = servers_[i]->is_here && health.n_listings > 0;
    const CircuitState circuit = health.circuit.state(clock_.now_monotonic_ns());
    states.push_back({.name = servers_[i]->options.name,
                      .url = servers_[i]->endpoint.base,
                      .kind = server_kind_name(health.listing.kind),
                      .is_here = servers_[i]->is_here,
                      .circuit = circuit_state_name(circuit),
                      .problem = health.problem.value_or(
                          circuit == CircuitState::kClosed ? "" : health.last_failure),
                      .is_checked = is_known,
                      .n_models = health.listing.models.size(),
                      .n_running = health.n_running,
                      .n_requests = health.n_requests,
                      .n_failures = health.n_failures});
  }
  return states;
}

// ---- The circuit breaker -----------------------------------------------------------------------

Result<> UpstreamDirectory::begin_call(std::size_t number) {
  const std::lock_guard lock(mutex_);
  Health& health = health_[number];
  const std::int64_t now = clock_.now_monotonic_ns();
  if (!health.circuit.let_through(now)) {
    return fail(Code::kUnavailable,
                fmt::format("the upstream '{}' has failed {} times in a row, so it is left alone for "
                            "another {:.1f} s; the last time it {}",
                            servers_[number]->options.name, health.circuit.n_failures(),
                            static_cast<double>(health.circuit.rest_left_ns(now)) / 1e9,
                            health.last_failure));
  }
  ++health.n_running;
  ++health.n_requests;
  return {};
}

void UpstreamDirectory::end_call(std::size_t number, const std::optional<std::string>& failure) {
  const std::lock_guard lock(mutex_);
  Health& health = health_[number];
  --health.n_running;
  if (!failure) return health.circuit.succeed();
  ++health.n_failures;
  health.last_failure = *failure;
  health.circuit.fail(clock_.now_monotonic_ns());
  wanted_.notify_all();
}

void UpstreamDirectory::withdraw_call(std::size_t number) {
  const std::lock_guard lock(mutex_);
  --health_[number].n_running;
  health_[number].circuit.withdraw();
}

}  // namespace hearth::hub
