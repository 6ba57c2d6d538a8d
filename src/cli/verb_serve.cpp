// `hearth serve` and `hearth stop`: the hub as a process.
#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>

#include "api/hearth/policy_report.h"
#include "base/log.h"
#include "cli/advisers.h"
#include "cli/api_keys.h"
#include "cli/background.h"
#include "cli/compute_bridge.h"
#include "cli/kernel_services.h"
#include "cli/kernels.h"
#include "cli/open_catalogue.h"
#include "cli/open_hub.h"
#include "cli/outcome.h"
#include "cli/paths.h"
#include "cli/privacy.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "cli/version.h"
#include "ledger/ledger.h"
#include "server/server.h"

namespace hearth::cli {
namespace {

// How long running requests may go on after SIGTERM.
constexpr std::chrono::milliseconds kStopGrace{500};

// SIGINT, SIGTERM and SIGHUP, blocked in every thread of the process and taken by one.
sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
  return set;
}

int wait_for_stop(const sigset_t& signals) {
  int number = 0;
  while (sigwait(&signals, &number) != 0) {
  }
  return number;
}

// A connection is a descriptor, and the usual soft limit is a quarter of what the server would serve.
void raise_descriptor_limit(std::uint32_t n_connections) {
  constexpr rlim_t kBesideConnections = 256;  // Models, the ledger, the adviser, standard streams.
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = n_connections + kBesideConnections;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ? wanted : std::min(wanted, limit.rlim_max);
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= wanted) return;
  log_warn("serve", fmt::format("only {} open files are allowed, {} connections would need {}: raise "
                                "the hard limit (ulimit -Hn) for so many", limit.rlim_cur, n_connections, wanted));
}

void apply_log_level(const std::string& name) {
  const auto level = name == "debug"  ? LogLevel::kDebug
                     : name == "warn"  ? LogLevel::kWarn
                     : name == "error" ? LogLevel::kError
                                       : LogLevel::kInfo;
  set_log_level(level);
}

Result<server::ServerOptions> server_options(const Context& context, const ServeOptions& options) {
  server::ServerOptions made;
  made.version = kVersion;
  made.http.address = options.host.value_or(context.config.server.host);
  made.http.port = static_cast<std::uint16_t>(options.port.value_or(static_cast<int>(context.config.server.port)));
  made.host_names = context.config.server.host_names;
  made.origins = context.config.server.origins;
  if (!context.config.server.api_keys_file.empty()) {
    HEARTH_TRY(made.keys, load_api_keys(context.config.server.api_keys_file));
  } else if (!net::is_loopback_address(made.http.address)) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is not a loopback address: others could use this hub; set server.api_keys_file in "
                            "{} first",
                            made.http.address, context.config_path));
  }
  return made;
}

// Adds the ledger and the policy to the server's routes.
Result<std::unique_ptr<ledger::Ledger>> serve_books(const Context& context, server::ServerOptions& options) {
  HEARTH_TRY(auto book, ledger::Ledger::open(ledger_file(), ledger::Ledger::Mode::kReadOnly));
  HEARTH_TRY(auto policy, load_policy(context.config.privacy.policy));
  HEARTH_TRY(auto dictionary, load_dictionaries(context.config.privacy.dictionaries));
  options.books.ledger = book.get();
  options.books.budget = budget_of(context.config.budget);
  const auto gate = std::make_shared<const hub::PrivacyGate>(hub::PrivacyOptions{std::move(policy), std::move(dictionary)});
  options.books.explain_policy = [gate, provider = context.config.advisor.provider](std::string_view body) {
    return api::hearth::explain_policy(*gate, provider, body);
  };
  return book;
}

void print_ready(const Context& context, const std::string& url) {
  print_out(context.json ? nlohmann::json{{"url", url}}.dump() + "\n"
                         : fmt::format("hearth listens on {}  (OpenAI clients: {}/v1)\n", url, url));
}

Result<> serve_in_background(const Context& context, const ServeOptions& options) {
  if (const auto running = find_running()) {
    print_note("a hub is already running");
    print_ready(context, running->url);
    return {};
  }
  std::vector<std::string> args = {"--log", options.log_level};
  if (options.host) args.insert(args.end(), {"--host", *options.host});
  if (options.port) args.insert(args.end(), {"--port", fmt::format("{}", *options.port)});
  HEARTH_TRY(const RunningHub hub, start_background(context.config_path, args));
  print_ready(context, hub.url);
  return {};
}

}  // namespace

Result<> serve(const Context& context, const ServeOptions& options) {
  if (options.background) return serve_in_background(context, options);
  apply_log_level(options.log_level);

  // Before any thread starts, so that all inherit the mask.  A client that leaves must not kill us.
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  // Everything that can refuse, refuses here: settings, ledger, port.
  HEARTH_TRY(server::ServerOptions listen, server_options(context, options));
  raise_descriptor_limit(listen.http.connections_max);
  const auto consents = std::make_shared<advisor::ConsentDesk>(consent_options(context.config.privacy));
  HEARTH_TRY(const auto hub, open_hub(context.config, consents));
  const auto kernels = open_kernel_desk(context.config, consents);
  listen.kernels = kernels.get();
  HEARTH_TRY(const auto books, serve_books(context, listen));
  listen.page = {.conversations = std::make_shared<server::ConversationFolder>(conversations_folder()),
                 .roofs = std::make_shared<device::RoofKeeper>(cache_folder() / "roofs",
                                                               static_cast<unsigned>(context.config.engine.threads))};
  listen.note_outcome = [](const std::string& id, bool is_good) -> Result<std::string> {
    HEARTH_TRY(const NotedOutcome noted, note_outcome(id, is_good));
    return outcome_json(noted);
  };
  hub::Pulls pulls({.from = pull_options(), .is_allowed = context.config.models.pull}, *hub);
  listen.pulls = &pulls;
  HEARTH_TRY(const auto server, server::Server::create(std::move(listen), *hub));
  auto bridge = open_bridge(context.config, *hub, kernels);

  // Beyond this point clients are served.
  HEARTH_TRY_VOID(announce_running(server->url()));
  print_ready(context, server->url());
  const int number = wait_for_stop(signals);
  log_info("cli", fmt::format("stopping on {}", strsignal(number)));
  retract_running();
  server->stop(kStopGrace);
  pulls.stop();
  bridge = nullptr;
  hub->shutdown(std::chrono::milliseconds(0));
  return {};
}

Result<> stop(const Context& context) {
  HEARTH_TRY(const RunningHub hub, find_running());
  HEARTH_TRY_VOID(stop_running(hub));
  if (!context.json) print_note(fmt::format("the hub at {} has stopped", hub.url));
  return {};
}

}  // namespace hearth::cli
