#include "store/pull_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "base/ascii.h"
#include "base/file.h"
#include "net/http_get.h"
#include "store/environment.h"
#include "store/file_name.h"
#include "store/pulled.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kListingBytesMax = std::size_t{32} << 20;
constexpr std::size_t kFilesMax = 1000;      // Of one model.
constexpr std::size_t kNamesInMessage = 12;  // Files that an error lists.
// Tags that are tried in turn where none is asked for.
constexpr std::string_view kUsualTags[] = {"Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0"};

std::string without_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

// Percent-encodes what may not stand in a URL's path.
std::string encoded(std::string_view path) {
  std::string out;
  for (const unsigned char c : path) {
    if (std::isalnum(c) != 0 || std::string_view("-._~/").contains(static_cast<char>(c))) {
      out += static_cast<char>(c);
    } else {
      out += fmt::format("%{:02X}", c);
    }
  }
  return out;
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// A member of an object, or null.
const json& at(const json& object, const char* key) {
  static const json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::string text_of(const json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::uint64_t size_of(const json& value) {
  return value.is_number_unsigned() ? value.get<std::uint64_t>() : 0;
}

// A file of a repository.
struct Listed {
  std::string name;  // May hold slashes.
  std::uint64_t bytes = 0;
  std::string sha256;
};

bool is_safe_path(std::string_view path) {
  while (true) {
    const std::size_t slash = path.find('/');
    if (!is_safe_path_part(path.substr(0, slash))) return false;
    if (slash == path.npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::vector<Listed> files_of(const json& listing) {
  std::vector<Listed> files;
  const json& siblings = at(listing, "siblings");
  if (!siblings.is_array()) return files;
  for (const json& sibling : siblings) {
    Listed file{.name = text_of(at(sibling, "rfilename")), .bytes = size_of(at(sibling, "size")), .sha256 = {}};
    const std::string digest = text_of(at(at(sibling, "lfs"), "sha256"));
    if (is_sha256(digest)) file.sha256 = digest;
    if (is_safe_path(file.name)) files.push_back(std::move(file));
  }
  return files;
}

// The model that a file belongs to, alone or with others that are its parts.
std::string model_of(const std::string& file) {
  const std::string stem = fs::path(file).replace_extension().string();
  const auto part = split_part(stem);
  return part ? part->stem + "-of-" + part->count : stem;
}

// The files of the one model that fits `tag`; empty if there is none or more than one.
std::vector<Listed> fitting(const std::vector<Listed>& files, std::string_view tag) {
  std::vector<Listed> chosen;
  const std::string wanted = lower(tag);
  for (const Listed& file : files) {
    const std::string name = lower(file.name);
    if (name == wanted) return {file};
    // A projector for images is no model.
    if (name.find(wanted) == name.npos || name.find("mmproj") != name.npos) continue;
    if (!chosen.empty() && model_of(chosen.front().name) != model_of(file.name)) return {};
    chosen.push_back(file);
  }
  return chosen;
}

std::vector<Listed> usual(const std::vector<Listed>& files) {
  if (auto all = fitting(files, ".gguf"); !all.empty()) return all;  // There is just one.
  for (const std::string_view tag : kUsualTags) {
    if (auto chosen = fitting(files, tag); !chosen.empty()) return chosen;
  }
  return {};
}

std::unexpected<Error> no_file(const PullName& name, const std::vector<Listed>& files) {
  std::vector<std::string> names;
  for (const Listed& file : files) {
    if (names.size() < kNamesInMessage) names.push_back(file.name);
  }
  return fail(Code::kNotFound,
              fmt::format("'{}' has no one model '{}'; name one of its files: {}{}", name.repository,
                          name.tag.empty() ? "of a usual type" : name.tag, fmt::join(names, ", "),
                          files.size() > names.size() ? ", ..." : ""));
}

// The files of a model as it comes from its makers.
std::vector<Listed> safetensors_files(const std::vector<Listed>& files) {
  std::vector<Listed> chosen;
  for (const Listed& file : files) {
    const bool is_top = file.name.find('/') == std::string::npos;
    const bool is_kept = file.name.ends_with(".safetensors") || file.name.ends_with(".json") ||
                         file.name.ends_with(".jinja") || file.name == "vocab.txt" ||
                         file.name == "merges.txt";
    if (is_kept && (is_top || file.name == "1_Pooling/config.json")) chosen.push_back(file);
  }
  const bool has_weights = std::ranges::any_of(
      chosen, [](const Listed& file) { return file.name.ends_with(".safetensors"); });
  return has_weights ? chosen : std::vector<Listed>();
}

Error with_hint(Error error, const PullName& name, const PullOptions& options) {
  if (error.code == Code::kPermissionDenied) {
    error.message = fmt::format(
        "'{}' is gated, private or not there: {} on its page, and set HF_TOKEN to a token that may read it",
        name.repository, options.huggingface_token.empty() ? "ask for access" : "check that this token has access");
  } else if (error.code == Code::kNotFound) {
    error.message = fmt::format("there is no '{}{}{}' in the registry", name.repository,
                                name.tag.empty() ? "" : ":", name.tag);
  }
  return error;
}

}  // namespace

void take_environment(PullOptions& options) {
  if (const std::string url = environment("HF_ENDPOINT"); !url.empty()) options.huggingface_url = url;
  if (const std::string url = environment("HEARTH_OLLAMA_REGISTRY"); !url.empty()) options.ollama_url = url;
  const std::string offline = lower(environment("HF_HUB_OFFLINE"));
  options.is_offline = offline == "1" || offline == "true" || offline == "yes" || offline == "on";
  options.huggingface_token = environment("HF_TOKEN");
  if (!options.huggingface_token.empty()) return;
  std::string token = read_file(huggingface_home() / "token", 4096).value_or("");
  while (!token.empty() && std::isspace(static_cast<unsigned char>(token.back())) != 0) token.pop_back();
  options.huggingface_token = token;
}

Result<PullPlan> plan_huggingface(const PullName& name, const PullOptions& options,
                                  std::string_view listing) {
  const json document = json::parse(listing, nullptr, /*allow_exceptions=*/false);
  const std::vector<Listed> files = files_of(document);
  std::vector<Listed> ggufs;
  std::ranges::copy_if(files, std::back_inserter(ggufs),
                       [](const Listed& file) { return file.name.ends_with(".gguf"); });
  PullPlan plan;
  std::vector<Listed> chosen;
  if (!ggufs.empty()) {
    chosen = name.tag.empty() ? usual(ggufs) : fitting(ggufs, name.tag);
    if (chosen.empty()) return no_file(name, ggufs);
  } else {
    chosen = safetensors_files(files);
    plan.needs_conversion = true;
    if (chosen.empty()) {
      return fail(Code::kNotFound, fmt::format("'{}' holds neither GGUF nor safetensors files", name.repository));
    }
  }
  if (chosen.size() > kFilesMax) {
    return fail(Code::kUnsupported, fmt::format("'{}' has {} files; at most {} are pulled", name.repository,
                                                chosen.size(), kFilesMax));
  }
  const std::string commit = text_of(at(document, "sha"));
  const std::string revision = is_safe_path_part(commit) ? commit : "main";
  const std::string base = without_slash(options.huggingface_url);
  for (const Listed& file : chosen) {
    plan.files.push_back({.url = fmt::format("{}/{}/resolve/{}/{}", base, encoded(name.repository),
                                             encoded(revision), encoded(file.name)),
                          .token = options.huggingface_token,
                          .path = options.folder / "huggingface" / name.repository / file.name,
                          .bytes = file.bytes,
                          .sha256 = file.sha256});
  }
  plan.name = fmt::format("{}:{}", name.repository,
                          plan.needs_conversion ? "safetensors" : chosen.front().name);
  return plan;
}

Result<PullPlan> plan_ollama(const PullName& name, const PullOptions& options,
                             std::string_view manifest) {
  const json document = json::parse(manifest, nullptr, /*allow_exceptions=*/false);
  const std::string tag = name.tag.empty() ? "latest" : name.tag;
  const json& layers = at(document, "layers");
  for (const json& layer : layers.is_array() ? layers : json::array()) {
    const std::string digest = text_of(at(layer, "digest"));
    if (text_of(at(layer, "mediaType")) != "application/vnd.ollama.image.model" ||
        !digest.starts_with("sha256:") || !is_sha256(digest.substr(7))) {
      continue;
    }
    PullPlan plan{.name = fmt::format("{}:{}", name.repository, tag), .files = {}};
    plan.files.push_back({.url = fmt::format("{}/v2/{}/blobs/{}", without_slash(options.ollama_url),
                                             encoded(name.repository), digest),
                          .token = {},
                          .path = options.folder / ollama_file(name),
                          .bytes = size_of(at(layer, "size")),
                          .sha256 = digest.substr(7)});
    return plan;
  }
  return fail(Code::kNotFound, fmt::format("'{}:{}' names no model file; cloud models of Ollama can't be pulled",
                                           name.repository, tag));
}

Result<PullPlan> plan_pull(const PullName& name, const PullOptions& options) {
  if (options.is_offline) {
    return fail(Code::kUnavailable, fmt::format("'{}' is not asked for: HF_HUB_OFFLINE is set", name.repository));
  }
  if (name.from == PullFrom::kUrl) {
    const std::string path = name.repository.substr(0, name.repository.find_first_of("?#"));
    const std::string file = path.substr(path.rfind('/') + 1);
    PullPlan plan{.name = file, .files = {}};
    plan.files.push_back({.url = name.repository, .token = {}, .path = options.folder / "url" / file, .sha256 = {}});
    return plan;
  }
  const bool is_hf = name.from == PullFrom::kHuggingFace;
  net::HttpGet request;
  if (is_hf) {
    request.url = fmt::format("{}/api/models/{}/revision/main?blobs=true",
                              without_slash(options.huggingface_url), encoded(name.repository));
    request.bearer_token = options.huggingface_token;
  } else {
    request.url = fmt::format("{}/v2/{}/manifests/{}", without_slash(options.ollama_url),
                              encoded(name.repository), encoded(name.tag.empty() ? "latest" : name.tag));
    request.accept = "application/vnd.docker.distribution.manifest.v2+json";
  }
  const auto listing = net::http_get_text(request, kListingBytesMax);
  if (!listing) return std::unexpected(with_hint(listing.error(), name, options));
  return is_hf ? plan_huggingface(name, options, *listing) : plan_ollama(name, options, *listing);
}

}  // namespace hearth::store
