#include "store/pull_name.h"

#include <fmt/format.h>

#include <algorithm>

namespace hearth::store {
namespace {

constexpr std::size_t kPartBytesMax = 255;

std::unexpected<Error> bad_name(std::string_view name) {
  return fail(Code::kInvalidArgument,
              fmt::format("'{}' is no name of a model to pull: say ORG/REPO or ORG/REPO:Q4_K_M (Hugging "
                          "Face), NAME or NAME:TAG (Ollama's library), or the URL of a .gguf file",
                          name));
}

bool take_prefix(std::string_view& text, std::initializer_list<std::string_view> prefixes) {
  for (const std::string_view prefix : prefixes) {
    if (!text.starts_with(prefix)) continue;
    text.remove_prefix(prefix.size());
    return true;
  }
  return false;
}

Result<PullName> parse_url(std::string_view url) {
  const std::string_view path = url.substr(0, url.find_first_of("?#"));
  const std::string_view file = path.substr(path.rfind('/') + 1);
  if (!file.ends_with(".gguf") || !is_safe_path_part(file)) return bad_name(url);
  return PullName{PullFrom::kUrl, std::string(url), ""};
}

}  // namespace

bool is_safe_path_part(std::string_view part) {
  if (part.empty() || part.size() > kPartBytesMax || part.front() == '.') return false;
  return std::ranges::none_of(part, [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '/' || c == '\\';
  });
}

Result<PullName> parse_pull_name(std::string_view name) {
  std::string_view rest = name;
  if (rest.starts_with("https://huggingface.co/") && !rest.ends_with(".gguf")) {
    rest.remove_prefix(std::string_view("https://huggingface.co/").size());
    rest = rest.substr(0, rest.find("/tree/"));
  } else if (rest.starts_with("http://") || rest.starts_with("https://")) {
    return parse_url(name);
  }
  const bool is_hf = take_prefix(rest, {"hf.co/", "hf:", "huggingface.co/"});
  const bool is_ollama = !is_hf && take_prefix(rest, {"ollama:", "ollama.com/library/", "registry.ollama.ai/"});
  PullName pull;
  const std::size_t colon = rest.find(':');
  const std::string_view repository = rest.substr(0, colon);
  if (colon != rest.npos) {
    pull.tag = rest.substr(colon + 1);
    if (!is_safe_path_part(pull.tag)) return bad_name(name);
  }
  const std::size_t slash = repository.find('/');
  const bool has_owner = slash != repository.npos;
  if (!is_safe_path_part(repository.substr(0, slash)) ||
      (has_owner && !is_safe_path_part(repository.substr(slash + 1))) || (is_hf && !has_owner)) {
    return bad_name(name);
  }
  pull.from = is_hf || (has_owner && !is_ollama) ? PullFrom::kHuggingFace : PullFrom::kOllama;
  pull.repository = has_owner ? std::string(repository) : "library/" + std::string(repository);
  return pull;
}

}  // namespace hearth::store
