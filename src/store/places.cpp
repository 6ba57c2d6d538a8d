#include "store/places.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/ascii.h"
#include "base/file.h"
#include "base/utf8.h"
#include "gguf/manifest.h"
#include "store/adapters.h"
#include "store/catalogue.h"
#include "store/delta_base.h"
#include "store/environment.h"
#include "store/file_name.h"
#include "store/folder_walk.h"
#include "store/pulled.h"
#include "store/store_lock.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kSuffix = ".gguf";

// The chosen folder, else the environment's, else those that the program uses by itself.
std::vector<fs::path> folders_of(const std::optional<fs::path>& chosen,
                                 const fs::path& from_environment, std::vector<fs::path> defaults) {
  if (chosen) return {*chosen};
  if (!from_environment.empty()) return {from_environment};
  std::erase_if(defaults, [](const fs::path& folder) { return !folder.is_absolute(); });
  return defaults;
}

std::vector<fs::path> ollama_folders(const CatalogueOptions& options) {
  // The second is where the service of Ollama's own installer keeps them.
  return folders_of(options.ollama, environment("OLLAMA_MODELS"),
                    {home(".ollama/models"), "/usr/share/ollama/.ollama/models"});
}

std::vector<fs::path> lm_studio_folders(const CatalogueOptions& options) {
  return folders_of(options.lm_studio, {},
                    {home(".lmstudio/models"), home(".cache/lm-studio/models")});
}

std::vector<fs::path> llama_cpp_folders(const CatalogueOptions& options) {
  return folders_of(options.llama_cpp, environment("LLAMA_CACHE"), {cache("llama.cpp")});
}

std::vector<fs::path> huggingface_folders(const CatalogueOptions& options) {
  fs::path hub = environment("HF_HUB_CACHE");
  if (hub.empty() && !environment("HF_HOME").empty()) hub = huggingface_home() / "hub";
  return folders_of(options.huggingface, hub, {cache("huggingface/hub")});
}

// A name that is safe to print and to send: valid UTF-8 without control characters.
std::string clean_name(std::string_view text) {
  std::string name = sanitize_utf8(text);
  std::ranges::replace_if(
      name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '_');
  return name;
}

// Collects candidates up to a limit.
class Finder {
 public:
  explicit Finder(const CatalogueOptions& options) : options_(options), walk_(found_.notes) {}

  FoundFiles run();

 private:
  void add(Candidate candidate);
  void add_file(const fs::path& path, std::string_view source);
  void add_folder(const fs::path& folder, std::string_view source);
  void add_store(const gguf::StorePaths& store);
  void add_store_adapters(const gguf::StorePaths& store);
  void add_peft(const fs::path& folder, std::string_view source);
  void add_huggingface(const fs::path& hub);
  void add_ollama(const fs::path& models);
  void add_manifest(const fs::path& models, const fs::path& manifest);

  const CatalogueOptions& options_;
  FoundFiles found_;
  FolderWalk walk_;
  std::map<fs::path, std::size_t> splits_;  // Index of the candidate that stands for all parts.
  std::size_t n_left_out_ = 0;
};

FoundFiles Finder::run() {
  if (options_.embedded) add_file(*options_.embedded, "embedded");
  if (options_.store) add_store({*options_.store});
  if (options_.store) add_store_adapters({*options_.store});
  for (const auto& folder : options_.folders) add_folder(folder, "config");
  if (options_.pulled) add_folder(*options_.pulled, kPulledSource);
  for (const auto& folder : options_.adapter_folders) add_folder(folder, "config");
  if (options_.scan_other_programs) {
    for (const auto& folder : ollama_folders(options_)) add_ollama(folder);
    for (const auto& folder : lm_studio_folders(options_)) add_folder(folder, "lm-studio");
    for (const auto& folder : llama_cpp_folders(options_)) add_folder(folder, "llama.cpp");
    for (const auto& folder : huggingface_folders(options_)) add_huggingface(folder);
  }
  if (n_left_out_ > 0) {
    found_.notes.push_back(fmt::format("{} model files were left out: at most {} are listed",
                                       n_left_out_, options_.files_max));
  }
  return std::move(found_);
}

void Finder::add(Candidate candidate) {
  if (found_.candidates.size() < options_.files_max) {
    found_.candidates.push_back(std::move(candidate));
  } else {
    ++n_left_out_;
  }
}

void Finder::add_file(const fs::path& path, std::string_view source) {
  const std::string stem = path.stem().string();
  const auto part = split_part(stem);
  const bool is_pulled = source == kPulledSource;
  const std::string name = is_pulled ? pulled_model_name(path.lexically_relative(*options_.pulled))
                                     : part ? part->stem : stem;
  if (!part) return add({clean_name(name), path, std::string(source), {}, 0});

  // All parts of a split model are one candidate, at the place of its first.
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  const std::uint64_t bytes = error ? 0 : size;
  const auto [known, is_new] =
      splits_.emplace(path.parent_path() / part->stem, found_.candidates.size());
  if (!is_new) {
    if (known->second < found_.candidates.size()) found_.candidates[known->second].bytes += bytes;
    return;
  }
  const std::string first = fmt::format("{}-00001-of-{}.gguf", part->stem, part->count);
  add({clean_name(name), path.parent_path() / first, std::string(source), {}, bytes});
}

void Finder::add_folder(const fs::path& folder, std::string_view source) {
  walk_.files(folder, "", [&](const fs::path& file) {
    if (ends_with_ignoring_case(file.native(), kSuffix)) return add_file(file, source);
    if (file.filename() == kPeftConfig) add_peft(file.parent_path(), source);
  });
}

// Named after its folder, in Hugging Face's cache after the repository.
void Finder::add_peft(const fs::path& folder, std::string_view source) {
  constexpr std::string_view kRepository = "models--";
  std::string name = folder.filename().string();
  for (fs::path above = folder; above.has_relative_path(); above = above.parent_path()) {
    const std::string part = above.filename().string();
    if (part.starts_with(kRepository)) {
      name = part.substr(part.rfind("--") + 2);
      break;
    }
  }
  add({clean_name(name), folder, std::string(source), {}, 0, true});
}

void Finder::add_store(const gguf::StorePaths& store) {
  walk_.files(store.models(), gguf::kManifestSuffix, [&](const fs::path& path) {
    if (path.filename().native().starts_with(kTemporaryPrefix)) return;
    Candidate candidate{path.stem().string(), path, "store", {}, 0};
    const auto manifest = gguf::Manifest::open(path);
    if (manifest) {
      candidate.name = clean_name(manifest->name());
      candidate.bytes = manifest->head().n_weight_bytes;
      const gguf::SourceFile& from = manifest->head().source;
      found_.imported.insert({from.device, from.inode, from.bytes, from.changed_ns});
    } else {
      candidate.problem = manifest.error().message;
    }
    add(std::move(candidate));
  });
}

void Finder::add_store_adapters(const gguf::StorePaths& store) {
  for (const fs::path& path : stored_adapters(store)) {
    add({clean_name(path.stem().string()), path, "store", {}, 0});
  }
}

void Finder::add_huggingface(const fs::path& hub) {
  std::error_code error;
  std::vector<fs::path> models;
  for (fs::directory_iterator it(hub, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().native().starts_with("models--")) models.push_back(it->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    found_.notes.push_back(fmt::format("'{}' can't be read: {}", hub.string(), error.message()));
  }
  std::ranges::sort(models);
  for (const auto& model : models) add_folder(model / "snapshots", "huggingface");
}

void Finder::add_ollama(const fs::path& models) {
  walk_.files(models / "manifests", "",
              [&](const fs::path& manifest) { add_manifest(models, manifest); });
}

// "qwen3:0.6b" for HOST/library/qwen3/0.6b of Ollama's own registry; others keep more of the path.
// Empty for a file that lies at another depth.
std::string ollama_name(const fs::path& relative) {
  std::vector<std::string> parts;
  for (const auto& part : relative) parts.push_back(part.string());
  if (parts.size() != 4) return {};
  std::string name;
  if (parts[0] != "registry.ollama.ai") name += parts[0] + "/";
  if (parts[1] != "library" || !name.empty()) name += parts[1] + "/";
  return clean_name(name + parts[2] + ":" + parts[3]);
}

// The blob that a digest names.  Anything but "sha256:" and 64 hexadecimal digits is refused, so
// that a manifest can't lead out of the folder.
std::optional<fs::path> blob_path(const fs::path& models, std::string_view digest) {
  constexpr std::string_view kPrefix = "sha256:";
  if (!digest.starts_with(kPrefix) || digest.size() != kPrefix.size() + 64) return std::nullopt;
  const std::string_view hex = digest.substr(kPrefix.size());
  if (hex.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
  return models / "blobs" / fmt::format("sha256-{}", hex);
}

// The digests of a manifest's layers of one kind.
std::vector<std::string> layer_digests(const json& manifest, std::string_view kind) {
  std::vector<std::string> digests;
  const auto layers = manifest.find("layers");
  if (layers == manifest.end() || !layers->is_array()) return digests;
  for (const auto& layer : *layers) {
    if (!layer.is_object()) continue;
    const auto type = layer.find("mediaType"), digest = layer.find("digest");
    if (type == layer.end() || digest == layer.end() || !digest->is_string()) continue;
    if (*type == fmt::format("application/vnd.ollama.image.{}", kind)) {
      digests.push_back(digest->get<std::string>());
    }
  }
  return digests;
}

void Finder::add_manifest(const fs::path& models, const fs::path& manifest) {
  Candidate candidate{
      ollama_name(manifest.lexically_relative(models / "manifests")), manifest, "ollama", {}, 0};
  if (candidate.name.empty()) return;
  const auto refuse = [&](std::string why) {
    candidate.problem = fmt::format("Ollama's manifest '{}' {}", manifest.string(), why);
    add(std::move(candidate));
  };

  const auto text = read_file(manifest, kManifestBytesMax);
  if (!text) return refuse(fmt::format("can't be used: {}", text.error().message));
  const json parsed = json::parse(*text, nullptr, false);
  if (!parsed.is_object()) return refuse("is no JSON object: pull the model again");

  const auto digests = layer_digests(parsed, "model");
  if (digests.empty()) return refuse("names no model file: the model runs on a remote server");
  if (digests.size() > 1) return refuse("names several model files; only one is supported");
  const auto blob = blob_path(models, digests.front());
  if (!blob) return refuse("names a model file by something other than a SHA-256 digest");
  candidate.path = *blob;
  if (!layer_digests(parsed, "adapter").empty()) {
    return refuse("adds an adapter to its model, which is not supported yet");
  }
  add(std::move(candidate));
}

}  // namespace

FoundFiles find_files(const CatalogueOptions& options) { return Finder(options).run(); }

}  // namespace hearth::store
