// Every route that the server has, with what its document says of it: the router and /openapi.json read one table.
//
// A new route is a row here, an enumerator, and, where it has shapes of its own, schemas in
// openapi_components.json, which the names `takes` and `gives` mean.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "net/router.h"

namespace hearth::server {

enum RouteId : int {
  kPage,
  kHealth,
  kMetrics,
  kOpenApi,
  kModels,
  kModel,
  kChat,
  kCompletion,
  kEmbeddings,
  kRerank,
  kReceipt,
  kReceipts,
  kLedger,
  kVerify,
  kPolicy,
  kMemory,
  kConsents,
  kConsent,
  kOutcomes,
  kKernels,
  kKernel,
  kDropKernel,
  kRunKernel,
  kWriteKernel,
  kPins,
  kRoofs,
  kMeasureRoofs,
  kRecommendation,
  kConversations,
  kConversation,
  kResponses,
  kMessages,
  kCountTokens,
  kOllamaChat,
  kOllamaGenerate,
  kOllamaEmbed,
  kOllamaEmbeddings,
  kOllamaTags,
  kOllamaLoaded,
  kOllamaShow,
  kOllamaVersion,
  kOllamaPull,
  kOllamaDelete,
  kRouterModels,
  kRouterLoad,
  kRouterUnload,
  kRouterProps,
  kTokenize,
  kDetokenize,
  kApplyTemplate,
  kMcp,
  kMcpEnd,
};

struct RouteRow {
  net::Route route;
  std::string_view tag;      // Of the document: whose API it belongs to.
  std::string_view summary;  // A sentence.
  std::string_view takes = {};  // Schema of the request's body; empty: there is none.
  std::string_view gives = {};  // Schema of the answer's body; empty: no JSON.
  std::string_view streams = {};  // Media type of the answer as a stream; empty: it comes whole.
  std::string_view queries = {};  // Parameters behind '?', separated by spaces.
  std::string_view parameter = {};  // What "/*" stands for.
  std::string_view media = "application/json";  // Of a whole answer.
};

inline constexpr std::string_view kEvents = "text/event-stream", kLines = "application/x-ndjson";

inline constexpr auto kRouteRows = std::to_array<RouteRow>({
    {.route = {"GET", "/", kPage}, .tag = "page", .summary = "The web page.", .media = "text/html"},
    {.route = {"GET", "/icon.svg", kPage}, .tag = "page", .summary = "Its icon.", .media = "image/svg+xml"},
    {.route = {"GET", "/diagram.html", kPage}, .tag = "page", .summary = "The frame in which it draws diagrams.", .media = "text/html"},
    {.route = {"GET", "/assets/*", kPage}, .tag = "page", .summary = "What the page consists of.",
     .parameter = "file", .media = "application/octet-stream"},
    {.route = {"GET", "/health", kHealth}, .tag = "hearth", .summary = "Whether the hub answers.", .gives = "Health"},
    {.route = {"GET", "/metrics", kMetrics}, .tag = "hearth", .summary = "Counters and times, as Prometheus reads them.", .media = "text/plain"},
    {.route = {"GET", "/openapi.json", kOpenApi}, .tag = "hearth", .summary = "This document.", .gives = "Document"},

    {.route = {"GET", "/v1/models", kModels}, .tag = "openai", .summary = "The models that can answer.", .gives = "ModelList"},
    {.route = {"GET", "/v1/models/*", kModel}, .tag = "openai", .summary = "One of them.", .gives = "Model", .parameter = "id"},
    {.route = {"POST", "/v1/chat/completions", kChat}, .tag = "openai", .summary = "Answers a conversation.",
     .takes = "ChatCompletionRequest", .gives = "ChatCompletion", .streams = kEvents},
    {.route = {"POST", "/v1/completions", kCompletion}, .tag = "openai", .summary = "Goes on with a text.",
     .takes = "CompletionRequest", .gives = "Completion", .streams = kEvents},
    {.route = {"POST", "/v1/embeddings", kEmbeddings}, .tag = "openai", .summary = "Makes vectors of texts.",
     .takes = "EmbeddingsRequest", .gives = "Embeddings"},
    {.route = {"POST", "/v1/rerank", kRerank}, .tag = "openai", .summary = "Ranks documents by a query, as Jina and Cohere have it.",
     .takes = "RerankRequest", .gives = "Ranking"},
    {.route = {"POST", "/v1/reranking", kRerank}, .tag = "openai", .summary = "The same under another name.",
     .takes = "RerankRequest", .gives = "Ranking"},
    {.route = {"POST", "/rerank", kRerank}, .tag = "openai", .summary = "The same under another name.", .takes = "RerankRequest", .gives = "Ranking"},
    {.route = {"POST", "/reranking", kRerank}, .tag = "openai", .summary = "The same under another name.",
     .takes = "RerankRequest", .gives = "Ranking"},
    {.route = {"POST", "/v1/responses", kResponses}, .tag = "openai", .summary = "Answers a conversation, in the form of the newer API.",
     .takes = "ResponsesRequest", .gives = "Response", .streams = kEvents},

    {.route = {"POST", "/v1/messages", kMessages}, .tag = "anthropic", .summary = "Answers a conversation.",
     .takes = "MessagesRequest", .gives = "AnthropicMessage", .streams = kEvents},
    {.route = {"POST", "/v1/messages/count_tokens", kCountTokens}, .tag = "anthropic", .summary = "Counts a conversation's tokens.",
     .takes = "CountTokensRequest", .gives = "TokenCount"},

    {.route = {"POST", "/api/chat", kOllamaChat}, .tag = "ollama", .summary = "Answers a conversation.",
     .takes = "OllamaChatRequest", .gives = "OllamaChat", .streams = kLines},
    {.route = {"POST", "/api/generate", kOllamaGenerate}, .tag = "ollama", .summary = "Answers a prompt.",
     .takes = "OllamaGenerateRequest", .gives = "OllamaGenerated", .streams = kLines},
    {.route = {"POST", "/api/embed", kOllamaEmbed}, .tag = "ollama", .summary = "Makes vectors of texts.",
     .takes = "OllamaEmbedRequest", .gives = "OllamaEmbeddings"},
    {.route = {"POST", "/api/embeddings", kOllamaEmbeddings}, .tag = "ollama", .summary = "Makes a vector of a text.",
     .takes = "OllamaEmbeddingRequest", .gives = "OllamaEmbedding"},
    {.route = {"GET", "/api/tags", kOllamaTags}, .tag = "ollama", .summary = "The models that can answer.", .gives = "OllamaModels"},
    {.route = {"GET", "/api/ps", kOllamaLoaded}, .tag = "ollama", .summary = "Those that are loaded.", .gives = "OllamaModels"},
    {.route = {"POST", "/api/show", kOllamaShow}, .tag = "ollama", .summary = "What is known of a model.",
     .takes = "ModelName", .gives = "OllamaModelDetails"},
    {.route = {"GET", "/api/version", kOllamaVersion}, .tag = "ollama", .summary = "The hub's version.", .gives = "OllamaVersion"},

    {.route = {"POST", "/api/pull", kOllamaPull}, .tag = "ollama", .summary = "Fetches a model.", .takes = "OllamaPullRequest", .gives = "OllamaPulled", .streams = kLines},
    {.route = {"DELETE", "/api/delete", kOllamaDelete}, .tag = "ollama", .summary = "Deletes a model that was fetched.", .takes = "ModelName", .media = "text/plain"},

    {.route = {"GET", "/models", kRouterModels}, .tag = "llama.cpp", .summary = "The models that can answer.", .gives = "RouterModels"},
    {.route = {"POST", "/models/load", kRouterLoad}, .tag = "llama.cpp", .summary = "Loads a model.", .takes = "ModelName", .gives = "Success"},
    {.route = {"POST", "/models/unload", kRouterUnload}, .tag = "llama.cpp", .summary = "Lets go of a model.",
     .takes = "ModelName", .gives = "Success"},
    {.route = {"GET", "/props", kRouterProps}, .tag = "llama.cpp", .summary = "What the server can do.", .gives = "RouterProps", .queries = "model autoload"},
    {.route = {"POST", "/tokenize", kTokenize}, .tag = "llama.cpp", .summary = "A text's tokens.", .takes = "TokenizeRequest", .gives = "Tokenized"},
    {.route = {"POST", "/detokenize", kDetokenize}, .tag = "llama.cpp", .summary = "The text of tokens.", .takes = "DetokenizeRequest", .gives = "Detokenized"},
    {.route = {"POST", "/apply-template", kApplyTemplate}, .tag = "llama.cpp", .summary = "The prompt that a model's template makes of a conversation.",
     .takes = "TemplateRequest", .gives = "TemplateApplied"},

    {.route = {"GET", "/hearth/v1/receipts", kReceipts}, .tag = "hearth", .summary = "Receipts, the newest first.",
     .gives = "Receipts", .queries = "limit since_us model advice"},
    {.route = {"GET", "/hearth/v1/receipts/*", kReceipt}, .tag = "hearth", .summary = "An answer's receipt.", .gives = "Receipt", .parameter = "id"},
    {.route = {"GET", "/hearth/v1/ledger", kLedger}, .tag = "hearth", .summary = "What left this machine, the oldest first; exact bytes where one request's rows are asked for.",
     .gives = "Ledger", .queries = "request after limit"},
    {.route = {"POST", "/hearth/v1/ledger/verify", kVerify}, .tag = "hearth", .summary = "Holds the ledger's chain of hashes against its rows.",
     .gives = "Verification"},
    {.route = {"POST", "/hearth/v1/policy/explain", kPolicy}, .tag = "hearth", .summary = "What the privacy policy makes of a conversation.",
     .takes = "PolicyRequest", .gives = "PolicyVerdict"},
    {.route = {"GET", "/hearth/v1/memory", kMemory}, .tag = "hearth", .summary = "What is in memory.", .gives = "Memory"},
    {.route = {"GET", "/hearth/v1/consents", kConsents}, .tag = "hearth", .summary = "Calls that wait for this client's consent, with their exact bytes.",
     .gives = "Consents"},
    {.route = {"POST", "/hearth/v1/consents/*", kConsent}, .tag = "hearth", .summary = "Lets one of them leave, or not.",
     .takes = "ConsentAnswer", .gives = "ConsentAnswered", .parameter = "id"},
    {.route = {"POST", "/hearth/v1/outcomes", kOutcomes}, .tag = "hearth", .summary = "Tells what came of an answer.",
     .takes = "Outcome", .gives = "OutcomeNoted"},
    {.route = {"GET", "/hearth/v1/kernels", kKernels}, .tag = "hearth", .summary = "All kernels of this hub, and the machine's roofs.", .gives = "Kernels"},
    {.route = {"POST", "/hearth/v1/kernels", kWriteKernel}, .tag = "hearth", .summary = "Asks for a kernel in prose, or builds one from a contract that has its source.",
     .takes = "KernelWish", .gives = "Kernel", .streams = kEvents},
    {.route = {"POST", "/hearth/v1/kernels/run", kRunKernel}, .tag = "hearth", .summary = "Runs a kernel on arrays.",
     .takes = "KernelRun", .gives = "KernelResult"},
    {.route = {"GET", "/hearth/v1/kernels/*", kKernel}, .tag = "hearth", .summary = "One kernel with its contract, source and signed receipt.",
     .gives = "Kernel", .parameter = "name"},
    {.route = {"DELETE", "/hearth/v1/kernels/*", kDropKernel}, .tag = "hearth", .summary = "Forgets a kernel.", .gives = "KernelDropped", .parameter = "name"},
    {.route = {"POST", "/hearth/v1/pins", kPins}, .tag = "hearth", .summary = "Keeps a model in memory, or not.", .takes = "Pin", .gives = "Success"},
    {.route = {"GET", "/hearth/v1/roofs", kRoofs}, .tag = "hearth", .summary = "What this machine was measured to do.", .gives = "Roofs"},
    {.route = {"POST", "/hearth/v1/roofs", kMeasureRoofs}, .tag = "hearth", .summary = "Measures it: 2 s of all cores.", .gives = "Roofs"},
    {.route = {"GET", "/hearth/v1/recommendation", kRecommendation}, .tag = "hearth", .summary = "Which well-known models this machine can run, and how fast.",
     .gives = "Recommendation"},
    {.route = {"GET", "/hearth/v1/conversations", kConversations}, .tag = "hearth", .summary = "Conversations that the page keeps on the hub.", .gives = "Conversations"},
    {.route = {"GET", "/hearth/v1/conversations/*", kConversation}, .tag = "hearth", .summary = "One of them, as it was put.", .gives = "Conversation", .parameter = "id"},
    {.route = {"PUT", "/hearth/v1/conversations/*", kConversation}, .tag = "hearth", .summary = "Keeps one.",
     .takes = "Conversation", .gives = "ConversationId", .parameter = "id"},
    {.route = {"DELETE", "/hearth/v1/conversations/*", kConversation}, .tag = "hearth", .summary = "Forgets one.", .gives = "ConversationId", .parameter = "id"},

    {.route = {"POST", "/mcp", kMcp}, .tag = "mcp", .summary = "A message of the Model Context Protocol (docs/design/0027-mcp.md).",
     .takes = "RpcMessage", .gives = "RpcAnswer", .streams = kEvents},
    {.route = {"DELETE", "/mcp", kMcpEnd}, .tag = "mcp", .summary = "The end of a session (revisions up to 2025-11-25)."},
});

// As the router wants them.
inline constexpr auto kRoutes = [] {
  std::array<net::Route, kRouteRows.size()> routes{};
  for (std::size_t i = 0; i < routes.size(); ++i) routes[i] = kRouteRows[i].route;
  return routes;
}();

}  // namespace hearth::server
