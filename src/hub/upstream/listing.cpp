#include "hub/upstream/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "advisor/provider_json.h"
#include "base/utf8.h"
#include "hub/upstream/upstream_options.h"

namespace hearth::hub {
namespace {

using advisor::count_member;
using advisor::Json;
using advisor::member;
using advisor::short_text;
using advisor::text_member;

struct KindRow {
  ServerKind kind;
  const char* name;
  std::string_view owner;  // `owned_by` in its list of models.
};
constexpr KindRow kKinds[] = {
    {ServerKind::kUnknown, "openai-compatible", ""},
    {ServerKind::kOpenAi, "openai", ""},
    {ServerKind::kOllama, "ollama", "library"},
    {ServerKind::kLlamaServer, "llama-server", "llamacpp"},
    {ServerKind::kVllm, "vllm", "vllm"},
    {ServerKind::kLmStudio, "lm-studio", "organization_owner"},
};

ServerKind kind_of_owner(std::string_view owner) {
  for (const KindRow& row : kKinds) {
    if (!row.owner.empty() && row.owner == owner) return row.kind;
  }
  return ServerKind::kUnknown;
}

bool is_model_name(std::string_view name) {
  return !name.empty() && name.size() <= kUpstreamModelNameBytesMax && is_valid_utf8(name) &&
         std::ranges::none_of(name, [](unsigned char c) { return c <= ' ' || c == 0x7F; });
}

std::uint64_t positive(std::int64_t count) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0));
}

// "n_ctx" stands in llama-server's "meta", "max_model_len" in vLLM's entry, "context_length" elsewhere.
std::uint32_t context_of(const Json& entry) {
  const Json& meta = member(entry, "meta");
  std::int64_t tokens = count_member(meta, "n_ctx");
  if (tokens <= 0) tokens = count_member(meta, "n_ctx_train");
  for (const char* const key : {"max_model_len", "max_context_length", "context_length"}) {
    if (tokens <= 0) tokens = count_member(entry, key);
  }
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(tokens, 0, UINT32_MAX));
}

std::string elsewhere_of(const Json& entry, std::string_view name) {
  const std::string host = short_text(text_member(entry, "remote_host"));
  if (!host.empty()) return fmt::format("its remote_host is {}", host);
  if (!text_member(entry, "remote_model").empty()) return "it stands for a remote_model";
  return is_cloud_name(name) ? "its name says that it runs in a cloud" : "";
}

}  // namespace

bool is_upstream_name(const std::string& name) {
  const auto is_allowed = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= kUpstreamNameBytesMax && name[0] != '.' &&
         std::ranges::all_of(name, is_allowed) && name != "auto" && name != "local";
}

const char* server_kind_name(ServerKind kind) {
  for (const KindRow& row : kKinds) {
    if (row.kind == kind) return row.name;
  }
  return kKinds[0].name;
}

bool is_cloud_name(std::string_view name) {
  const std::size_t colon = name.rfind(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view tag = name.substr(colon + 1);
  return tag == "cloud" || tag.ends_with("-cloud");
}

Result<UpstreamListing> parse_model_list(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  const Json& data = member(json, "data");
  if (!data.is_array()) return fail(Code::kCorrupt, "its list of models is no list of OpenAI's form");
  UpstreamListing listing;
  for (const Json& entry : data) {
    if (listing.models.size() == kUpstreamModelsMax) break;
    const std::string name = text_member(entry, "id");
    if (!is_model_name(name)) continue;
    if (listing.kind == ServerKind::kUnknown) {
      listing.kind = kind_of_owner(text_member(entry, "owned_by"));
    }
    listing.models.push_back({.name = name,
                              .elsewhere = elsewhere_of(entry, name),
                              .bytes = positive(count_member(member(entry, "meta"), "size")),
                              .n_context = context_of(entry)});
  }
  return listing;
}

Result<UpstreamListing> parse_ollama_tags(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  const Json& models = member(json, "models");
  if (!models.is_array()) return fail(Code::kCorrupt, "its list of models is no list of Ollama's form");
  UpstreamListing listing{.kind = ServerKind::kOllama};
  for (const Json& entry : models) {
    if (listing.models.size() == kUpstreamModelsMax) break;
    std::string name = text_member(entry, "model");
    if (name.empty()) name = text_member(entry, "name");
    if (!is_model_name(name)) continue;
    const Json& details = member(entry, "details");
    listing.models.push_back(
        {.name = name,
         .elsewhere = elsewhere_of(entry, name),
         .bytes = positive(count_member(entry, "size")),
         .architecture = short_text(text_member(details, "family")),
         .quantization = short_text(text_member(details, "quantization_level")),
         .digest = short_text(text_member(entry, "digest"))});
  }
  return listing;
}

Result<std::string> parse_ollama_show(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return fail(Code::kCorrupt, "its description of a model is no object");
  return elsewhere_of(json, "");
}

}  // namespace hearth::hub
