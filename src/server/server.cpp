#include "server/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "api/anthropic/messages_request.h"
#include "api/anthropic/messages_writer.h"
#include "api/hearth/consents.h"
#include "api/memory_report.h"
#include "api/ollama/chat_request.h"
#include "api/ollama/chat_writer.h"
#include "api/ollama/models.h"
#include "api/openai/chat_writer.h"
#include "api/openai/response.h"
#include "api/responses/responses_request.h"
#include "api/router.h"
#include "base/ascii.h"
#include "base/clock.h"
#include "hub/privacy_sources.h"
#include "net/router.h"
#include "server/chat_answer.h"
#include "server/embedding_answer.h"
#include "server/kernel_routes.h"
#include "server/mcp_answer.h"
#include "server/metrics.h"
#include "server/model_routes.h"
#include "server/openapi.h"
#include "server/page.h"
#include "server/pull_answer.h"
#include "server/routes.h"
#include "server/text_answer.h"
#include "server/worker_pool.h"

namespace hearth::server {
namespace {

using Exchange = std::shared_ptr<net::HttpExchange>;

constexpr unsigned kKernelWorkers = 2;  // That list and run kernels; those of the house run one at a time.

namespace openai = api::openai;
namespace ollama = api::ollama;
namespace anthropic = api::anthropic;

// Requests that are answered by a model, in words.
struct ChatRoute {
  RouteId route;
  std::expected<api::ChatCall, api::ApiError> (*parse)(std::string_view body);
};

constexpr auto kChatRoutes = std::to_array<ChatRoute>({
    {kChat, [](std::string_view body) { return openai::parse_call(openai::Endpoint::kChat, body); }},
    {kCompletion, [](std::string_view body) { return openai::parse_call(openai::Endpoint::kCompletion, body); }},
    {kResponses, api::responses::parse_call},
    {kMessages, anthropic::parse_call},
    {kCountTokens, anthropic::parse_count},
    {kOllamaChat, [](std::string_view body) { return ollama::parse_call(ollama::Endpoint::kChat, body); }},
    {kOllamaGenerate, [](std::string_view body) { return ollama::parse_call(ollama::Endpoint::kGenerate, body); }},
    {kRouterLoad, api::router::parse_load},
});

struct EmbeddingRoute {
  RouteId route;
  void (*answer)(hub::Hub& hub, EmbeddingCall call);
};

constexpr auto kEmbeddingRoutes = std::to_array<EmbeddingRoute>({
    {kEmbeddings, answer_embeddings},
    {kRerank, answer_rerank},
    {kOllamaEmbed, answer_ollama_embed},
    {kOllamaEmbeddings, answer_ollama_embeddings},
});

// Requests that kernels answer.
struct KernelRoute {
  RouteId route;
  void (*answer)(const KernelExchange& asked, const std::string& rest);
};

constexpr auto kKernelRoutes = std::to_array<KernelRoute>({
    {kKernels, [](const KernelExchange& asked, const std::string&) { answer_kernels(asked); }},
    {kKernel, answer_kernel},
    {kDropKernel, answer_drop_kernel},
    {kRunKernel, [](const KernelExchange& asked, const std::string&) { answer_run_kernel(asked); }},
    {kWriteKernel, [](const KernelExchange& asked, const std::string&) { answer_write_kernel(asked); }},
});

// Others that may wait for a model to be loaded, or for a look at the disk.
constexpr auto kWaitingRoutes = std::to_array<RouteId>({kMcp, kMeasureRoofs, kOllamaDelete, kRouterProps, kTokenize, kDetokenize, kApplyTemplate});

template <class Row, std::size_t N>
const Row* find_route(const std::array<Row, N>& rows, RouteId route) {
  const auto* const row = std::ranges::find(rows, route, &Row::route);
  return row == rows.end() ? nullptr : row;
}

// Errors have the shape of the protocol that a path belongs to.
struct ErrorRow {
  std::string_view prefix;
  RenderError render;
};

constexpr auto kErrorShapes = std::to_array<ErrorRow>({
    {"/v1/messages", anthropic::render_error},
    {"/api/", ollama::render_error},
    {"/mcp", render_mcp_error},
});

RenderError error_shape(std::string_view path) {
  for (const ErrorRow& row : kErrorShapes) {
    if (path.starts_with(row.prefix)) return row.render;
  }
  return api::render_error;
}

// What a monitor or a browser may see without a key: that something is here.
bool is_public(const net::RouteMatch& match) { return match.id == kPage || match.id == kHealth; }

// Headers that carry a secret: no rule sees them.
constexpr auto kSecretHeaders =
    std::to_array<std::string_view>({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key"});

// What the privacy policy may look at: "name: value", the name in lower case.
std::vector<std::string> policy_headers(const net::ServerRequest& request) {
  std::vector<std::string> headers;
  for (const auto& [name, value] : request.headers) {
    if (std::ranges::find(kSecretHeaders, lower(name)) == kSecretHeaders.end()) headers.push_back(hub::header_text(name, value));
  }
  return headers;
}

net::RouteMatch route_of(const net::ServerRequest& request) {
  return net::match_route(kRoutes, request.method, request.path());
}

api::ApiError route_error(const net::RouteMatch& match, const net::ServerRequest& request) {
  if (match.kind == net::RouteMatch::Kind::kNoMethod) {
    return api::api_error(405, fmt::format("Method {} is not allowed for {}; it takes {}.",
                                           request.method, request.path(), match.allowed));
  }
  return api::api_error(404, fmt::format("Invalid URL ({} {}). GET / lists what there is.",
                                         request.method, request.path()));
}

}  // namespace

struct Server::State {
  State(ServerOptions o, Access a, hub::Hub& h)
      : options(std::move(o)), access(std::move(a)), hub(h),
        chat_workers(options.n_workers, options.http.requests_max),
        status_worker(1, options.http.requests_max),
        kernel_workers(options.kernels != nullptr ? kKernelWorkers : 0, options.http.requests_max),
        kernel_writer(options.kernels != nullptr ? 1 : 0, options.http.requests_max),
        mcp_desk({.hub = hub,
                  .ledger = options.books.ledger,
                  .kernels = options.kernels,
                  .submit = [this](std::function<void()> task) { return chat_workers.submit(std::move(task)); }},
                 options.version) {}

  // Judging heads, on the I/O thread.
  std::optional<net::ServerResponse> check_head(const net::ServerRequest& request);
  net::ServerResponse answer_options(const net::ServerRequest& request, const net::RouteMatch& match);

  // Answering, on workers.
  WorkerPool& workers_for(RouteId route);
  void handle(Exchange exchange);
  void answer(RouteId route, const std::string& rest, const Exchange& exchange);
  void answer_chat_request(const ChatRoute& route, const Exchange& exchange);
  void answer_mcp_message(const Exchange& exchange);
  void ollama_pull(const Exchange& exchange);
  net::ServerResponse health();
  net::ServerResponse consent(const std::string& id, const net::ServerRequest& request);
  net::ServerResponse outcome(const net::ServerRequest& request);

  net::HeaderList common_headers(const net::ServerRequest& request);
  net::ServerResponse refusal(const api::ApiError& error, const net::ServerRequest& request);
  void respond(const Exchange& exchange, net::ServerResponse response);

  const ServerOptions options;
  const Access access;
  hub::Hub& hub;
  const std::shared_ptr<Metrics> metrics = std::make_shared<Metrics>();
  const std::int64_t started_unix_s = Clock::system().now_unix_us() / 1'000'000;
  std::atomic<std::uint64_t> request_count{0};
  WorkerPool chat_workers;
  WorkerPool status_worker;
  WorkerPool kernel_workers;
  WorkerPool kernel_writer;  // One at a time: each is minutes of an adviser, a compiler and trials.
  api::mcp::Desk mcp_desk;
  std::unique_ptr<net::HttpServer> http;  // Last: its thread calls the rest.
};

// ---- Heads ----

std::optional<net::ServerResponse> Server::State::check_head(const net::ServerRequest& request) {
  const net::RouteMatch match = route_of(request);
  const bool found = match.kind == net::RouteMatch::Kind::kFound;
  if (const auto error = access.judge(request, found && is_public(match))) {
    return refusal(*error, request);
  }
  if (request.method == "OPTIONS") return answer_options(request, match);
  if (!found) {
    net::ServerResponse response = refusal(route_error(match, request), request);
    if (!match.allowed.empty()) response.headers.emplace_back("Allow", match.allowed);
    return response;
  }
  const std::string_view coding = request.header("Content-Encoding");
  if (!coding.empty() && !net::equals_ignoring_case(coding, "identity")) {
    return refusal(api::api_error(415, "The request's body must not be compressed."), request);
  }
  return std::nullopt;
}

// A preflight of a configured origin is told what it may do; for all others OPTIONS lists the methods
// and grants nothing.
net::ServerResponse Server::State::answer_options(const net::ServerRequest& request,
                                                  const net::RouteMatch& match) {
  if (match.kind == net::RouteMatch::Kind::kNoPath && request.target != "*") {
    return refusal(route_error(match, request), request);
  }
  net::ServerResponse response{.status = 204, .content_type = "", .headers = common_headers(request)};
  response.headers.emplace_back("Allow", match.allowed);
  if (access.allows_origin(request.header("Origin"))) {
    response.headers.emplace_back("Access-Control-Allow-Methods", match.allowed);
    response.headers.emplace_back("Access-Control-Allow-Headers",
                                  "authorization, content-type, x-api-key, anthropic-version, anthropic-beta, "
                                  "x-hearth-advice, mcp-protocol-version, mcp-session-id, mcp-method, mcp-name");
    response.headers.emplace_back("Access-Control-Max-Age", "600");
  }
  metrics->count_response(204);
  return response;
}

net::HeaderList Server::State::common_headers(const net::ServerRequest& request) {
  net::HeaderList headers = {
      {"x-request-id", fmt::format("req-{:x}-{:x}", started_unix_s, ++request_count)},
      {"X-Content-Type-Options", "nosniff"}};
  const std::string_view origin = request.header("Origin");
  if (!origin.empty() && access.allows_origin(origin)) {
    headers.emplace_back("Access-Control-Allow-Origin", origin);
    headers.emplace_back("Access-Control-Expose-Headers", "x-hearth-receipt, x-request-id, mcp-session-id");
    headers.emplace_back("Vary", "Origin");
  }
  return headers;
}

net::ServerResponse Server::State::refusal(const api::ApiError& error,
                                           const net::ServerRequest& request) {
  metrics->count_response(error.status);
  return error_response(error, common_headers(request), error_shape(request.path()));
}

// ---- Answers ----

void Server::State::respond(const Exchange& exchange, net::ServerResponse response) {
  metrics->count_response(response.status);
  for (auto& header : common_headers(exchange->request())) response.headers.push_back(std::move(header));
  exchange->respond(std::move(response));
}

// Who waits for models, and who for kernels, is not in the way of the others.
WorkerPool& Server::State::workers_for(RouteId route) {
  const bool asks_model = find_route(kChatRoutes, route) != nullptr || find_route(kEmbeddingRoutes, route) != nullptr;
  const bool may_wait = std::ranges::find(kWaitingRoutes, route) != kWaitingRoutes.end();
  if (asks_model || may_wait) return chat_workers;
  const bool asks_kernel = options.kernels != nullptr && find_route(kKernelRoutes, route) != nullptr;
  if (!asks_kernel) return status_worker;
  return route == kWriteKernel ? kernel_writer : kernel_workers;
}

// On the I/O thread: hands the request to a worker.
void Server::State::handle(Exchange exchange) {
  const net::RouteMatch match = route_of(exchange->request());
  const auto route = static_cast<RouteId>(match.id);
  WorkerPool& workers = workers_for(route);
  const bool queued = workers.submit([this, exchange, route, rest = match.rest] {
    answer(route, rest, exchange);
  });
  if (!queued) {
    respond(exchange, error_response(api::api_error(503, "The server is stopping or overloaded."), {},
                                     error_shape(exchange->request().path())));
  }
}

void Server::State::answer(RouteId route, const std::string& rest, const Exchange& exchange) {
  switch (route) {
    case kPage: return respond(exchange, answer_page(embedded_page(), exchange->request()));
    case kHealth: return respond(exchange, health());
    case kMetrics:
      return respond(exchange, {.content_type = "text/plain; version=0.0.4; charset=utf-8",
                                .body = render_metrics(*metrics, hub.stats(), hub.upstreams(), hub.memory(),
                                                       http->stats())});
    case kOpenApi: return respond(exchange, {.body = render_openapi(options.version)});
    case kModels: return respond(exchange, answer_models(hub, started_unix_s));
    case kModel: return respond(exchange, answer_model(hub, rest, started_unix_s));
    case kReceipt: return respond(exchange, answer_receipt(options.books, rest, access.sees_only(exchange->request())));
    case kReceipts:
      return respond(exchange, answer_receipts(options.books, exchange->request(), access.sees_only(exchange->request())));
    case kLedger:
      return respond(exchange, answer_ledger(options.books, exchange->request(), access.sees_only(exchange->request())));
    case kVerify: return respond(exchange, answer_verify(options.books));
    case kPolicy: return respond(exchange, answer_policy(options.books, exchange->request()));
    case kMemory: return respond(exchange, {.body = api::render_memory(hub.memory(), hub.upstreams())});
    case kConsents:
      return respond(exchange, {.body = api::hearth::render_consents(hub.consents(access.client_name(exchange->request())))});
    case kConsent: return respond(exchange, consent(rest, exchange->request()));
    case kOutcomes: return respond(exchange, outcome(exchange->request()));
    case kPins: return respond(exchange, answer_pin(hub, exchange->request().body));
    case kRoofs: return respond(exchange, answer_roofs(options.page));
    case kMeasureRoofs: return respond(exchange, answer_measure(options.page));
    case kRecommendation: return respond(exchange, answer_recommendation(options.page, hub));
    case kConversations:
    case kConversation:
      return respond(exchange, answer_conversations(options.page, access.key_name(exchange->request()), rest, exchange->request()));
    case kOllamaTags: return respond(exchange, {.body = ollama::render_tags(usable_models(hub))});
    case kOllamaLoaded: return respond(exchange, {.body = ollama::render_loaded(usable_models(hub), hub.memory())});
    case kOllamaShow: return respond(exchange, answer_ollama_show(hub, options.pulls, exchange->request().body));
    case kOllamaPull: return ollama_pull(exchange);
    case kOllamaDelete: return respond(exchange, answer_ollama_delete(options.pulls, exchange->request().body));
    case kOllamaVersion: return respond(exchange, {.body = ollama::render_version(options.version)});
    case kMcp: return answer_mcp_message(exchange);
    case kMcpEnd: return respond(exchange, end_mcp_session(mcp_desk, exchange->request(), access.client_name(exchange->request())));
    case kRouterModels: return respond(exchange, {.body = api::router::render_models(usable_models(hub))});
    case kRouterUnload: return respond(exchange, answer_unload(hub, exchange->request().body));
    case kRouterProps:
      return respond(exchange, answer_props(hub, exchange->request(), {.models = usable_models(hub),
                                                                       .n_slots = options.http.requests_max,
                                                                       .version = options.version}));
    case kTokenize: return respond(exchange, answer_tokenize(hub, exchange->request()));
    case kDetokenize: return respond(exchange, answer_detokenize(hub, exchange->request()));
    case kApplyTemplate: return respond(exchange, answer_apply_template(hub, exchange->request()));
    default: break;
  }
  if (const auto* const chat = find_route(kChatRoutes, route)) return answer_chat_request(*chat, exchange);
  if (const auto* const kernels = find_route(kKernelRoutes, route)) {
    return kernels->answer({.desk = options.kernels,
                            .exchange = exchange,
                            .headers = common_headers(exchange->request()),
                            .client = access.client_name(exchange->request()),
                            .metrics = metrics,
                            .heartbeat_every = options.heartbeat_every}, rest);
  }
  if (const auto* const row = find_route(kEmbeddingRoutes, route)) {
    row->answer(hub, {.headers = common_headers(exchange->request()),
                      .client = access.client_name(exchange->request()),
                      .exchange = exchange,
                      .metrics = metrics});
  }
}

void Server::State::answer_chat_request(const ChatRoute& route, const Exchange& exchange) {
  const net::ServerRequest& request = exchange->request();
  const RenderError render = error_shape(request.path());
  auto parsed = route.parse(request.body);
  if (!parsed) return respond(exchange, error_response(parsed.error(), {}, render));

  const std::string_view advice = request.header("x-hearth-advice");
  if (!parsed->chat.advice && !advice.empty()) {
    const auto mode = openai::parse_advice(advice, "x-hearth-advice");
    if (!mode) return respond(exchange, error_response(mode.error(), {}, render));
    parsed->chat.advice = *mode;
  }
  parsed->chat.client = access.client_name(request);
  parsed->chat.headers = policy_headers(request);
  answer_chat(hub, {.call = *std::move(parsed),
                    .headers = common_headers(request),
                    .render_error = render,
                    .exchange = exchange,
                    .metrics = metrics,
                    .heartbeat_every = options.heartbeat_every});
}

void Server::State::answer_mcp_message(const Exchange& exchange) {
  const net::ServerRequest& request = exchange->request();
  answer_mcp(mcp_desk, {.headers = common_headers(request),
                        .exchange = exchange,
                        .metrics = metrics,
                        .caller = {.client = access.client_name(request),
                                   .sees_only = access.sees_only(request),
                                   .headers = policy_headers(request)},
                        .heartbeat_every = options.heartbeat_every});
}

net::ServerResponse Server::State::health() {
  if (const auto healthy = hub.health(); !healthy) return error_response(api::api_error(healthy.error()));
  return {.body = R"({"status":"ok"})"};
}

void Server::State::ollama_pull(const Exchange& exchange) {
  if (options.pulls == nullptr) {
    return respond(exchange, error_response(api::api_error(404, "This hub pulls no models."), {}, ollama::render_error));
  }
  answer_pull(*options.pulls, {.headers = common_headers(exchange->request()),
                               .exchange = exchange,
                               .metrics = metrics,
                               .heartbeat_every = options.heartbeat_every});
}

// Only who asked may answer: to all others there is nothing that waits.
net::ServerResponse Server::State::consent(const std::string& id, const net::ServerRequest& request) {
  const auto answer = api::hearth::parse_consent_answer(request.body);
  if (!answer) return error_response(answer.error());
  const auto done = hub.answer_consent(id, access.client_name(request), answer->is_allowed, answer->is_remembered);
  if (!done) return error_response(api::api_error(done.error()));
  return {.body = api::hearth::render_consent_answer(id, *answer)};
}

net::ServerResponse Server::State::outcome(const net::ServerRequest& request) {
  if (!options.note_outcome) return error_response(api::api_error(404, "This hub learns nothing from outcomes."));
  const auto outcome = api::hearth::parse_outcome(request.body);
  if (!outcome) return error_response(outcome.error());
  if (const SeesOnly client = access.sees_only(request); client && options.books.ledger != nullptr) {
    const auto own = options.books.ledger->receipt(outcome->receipt, client);
    if (!own) return error_response(api::api_error(own.error()));
  }
  auto noted = options.note_outcome(outcome->receipt, outcome->is_good);
  if (!noted) return error_response(api::api_error(noted.error()));
  return {.body = *std::move(noted)};
}

// ---- Server ----

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() { stop(std::chrono::milliseconds{0}); }

Result<std::unique_ptr<Server>> Server::create(ServerOptions options, hub::Hub& hub) {
  HEARTH_TRY(Access access, Access::create({.listen_address = options.http.address,
                                            .keys = options.keys,
                                            .host_names = options.host_names,
                                            .origins = options.origins}));
  auto state = std::make_unique<State>(std::move(options), std::move(access), hub);
  State* s = state.get();
  HEARTH_TRY(s->http, net::HttpServer::create(s->options.http, {
      .check_head = [s](const net::ServerRequest& r) { return s->check_head(r); },
      .handle = [s](Exchange exchange) { s->handle(std::move(exchange)); },
      .render_error = [metrics = s->metrics](unsigned status, std::string_view message) {
        metrics->count_response(status);
        return error_response(api::api_error(status, message));
      }}));
  s->http->start();
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

void Server::stop(std::chrono::milliseconds grace) {
  state_->http->stop(grace);
  state_->chat_workers.stop();
  state_->status_worker.stop();
  state_->kernel_workers.stop();
  state_->kernel_writer.stop();
}

std::uint16_t Server::port() const { return state_->http->port(); }

std::string Server::url() const {
  const std::string& address = state_->http->address();
  const bool v6 = address.find(':') != std::string::npos;
  return fmt::format("http://{}{}{}:{}", v6 ? "[" : "", address, v6 ? "]" : "", port());
}

net::HttpServerStats Server::http_stats() const { return state_->http->stats(); }

}  // namespace hearth::server
