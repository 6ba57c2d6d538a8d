// What another server says of itself and its models, read as untrusted: sizes are bounded, names that
// are no names are skipped, and a model that the server has elsewhere is told apart.
//
// OpenAI's list (GET /v1/models) names models and little else; Ollama's own (GET /api/tags,
// POST /api/show) also says which of them are not here: `remote_host`, or a tag "cloud".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::hub {

inline constexpr std::size_t kUpstreamModelsMax = 1'024;
inline constexpr std::size_t kUpstreamModelNameBytesMax = 256;
inline constexpr std::size_t kListingBytesMax = std::size_t{4} << 20;

// Programs whose habits are known; what any other does is found out by asking it.
enum class ServerKind : std::uint8_t {
  kUnknown = 1,
  kOpenAi = 2,
  kOllama = 4,
  kLlamaServer = 8,
  kVllm = 16,
  kLmStudio = 32,
};
const char* server_kind_name(ServerKind kind);

struct UpstreamModel {
  std::string name;
  std::string elsewhere;  // Why it counts as egress though its server is here; empty: it does not.
  std::uint64_t bytes = 0;
  std::uint32_t n_context = 0;
  std::string architecture, quantization;
  std::string digest;  // Of its content, as Ollama says it.
};

struct UpstreamListing {
  ServerKind kind = ServerKind::kUnknown;
  std::vector<UpstreamModel> models;  // In the server's order.
};

// kCorrupt for what is no list.
Result<UpstreamListing> parse_model_list(std::string_view json);
Result<UpstreamListing> parse_ollama_tags(std::string_view json);

// Why the model that /api/show describes counts as egress; empty if it says nothing of the kind.
// kCorrupt for what is no description.
Result<std::string> parse_ollama_show(std::string_view json);

// "kimi-k2:1t-cloud", "gpt-oss:cloud": Ollama's names of what runs on its makers' machines.
bool is_cloud_name(std::string_view name);

}  // namespace hearth::hub
