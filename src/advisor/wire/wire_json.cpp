// What several wires need to write JSON: objects out of texts, names of caches, and words for ends.
#include <algorithm>
#include <array>

#include "advisor/wire/formats.h"
#include "base/digest.h"

namespace hearth::advisor {
namespace {

// OpenAI caches prompts from 1'024 tokens on; at four bytes a token.
constexpr std::size_t kCachedBytesMin = 4'096;
constexpr std::size_t kCacheKeyBytes = 12;

}  // namespace

std::string dump(const Body& body) { return body.dump(-1, ' ', false, Body::error_handler_t::replace); }

// Deep nesting is a client's own; the API that took the request has bounded it.
Body parse_object(const std::string& text) {
  if (parse_json(text).is_discarded()) return Body::object();
  Body parsed = Body::parse(text, nullptr, false);
  return parsed.is_object() ? parsed : Body::object();
}

Body schema_of(const std::string& text) {
  Body schema = parse_object(text);
  if (schema.empty()) schema = {{"type", "object"}, {"properties", Body::object()}};
  return schema;
}

std::size_t prefix_bytes(const WireRequest& request) {
  std::size_t n = request.system.size();
  for (const WireTool& tool : request.tools) n += tool.name.size() + tool.description.size() + tool.parameters.size();
  return n;
}

std::string prompt_cache_key(const WireRequest& request) {
  if (prefix_bytes(request) < kCachedBytesMin) return "";
  Sha256Stream digest;
  const auto add = [&](const std::string& text) {
    digest.update(text);
    digest.update(std::string_view("\0", 1));
  };
  add(request.model);
  add(request.system);
  for (const WireTool& tool : request.tools) add(tool.name + "\n" + tool.description + "\n" + tool.parameters);
  const Sha256 sum = digest.finish();
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string key = "hearth-";
  for (std::size_t i = 0; i < kCacheKeyBytes; ++i) {
    const auto byte = static_cast<unsigned>(sum[i]);
    key += kDigits[byte >> 4 & 15U];
    key += kDigits[byte & 15U];
  }
  return key;
}

std::string_view finish_word(std::span<const FinishWord> words, std::string_view theirs) {
  const auto found = std::ranges::find(words, theirs, &FinishWord::theirs);
  return found == words.end() ? theirs : found->ours;
}

}  // namespace hearth::advisor
