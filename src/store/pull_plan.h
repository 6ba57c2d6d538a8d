// Which files a pull will fetch, as a registry lists them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/pull_name.h"

namespace hearth::store {

struct PullOptions {
  // Where models go; each in a folder of its registry and repository.
  std::filesystem::path folder;
  std::string huggingface_url = "https://huggingface.co";  // Or a mirror's: $HF_ENDPOINT.
  std::string ollama_url = "https://registry.ollama.ai";
  std::string huggingface_token;  // Empty: none.
  bool is_offline = false;        // $HF_HUB_OFFLINE: only what is here already.
};

// $HF_ENDPOINT, $HF_TOKEN (else the file that `huggingface-cli login` wrote) and $HF_HUB_OFFLINE.
void take_environment(PullOptions& options);

struct PullFile {
  std::string url;
  std::string token;           // For the URL's host.
  std::filesystem::path path;  // Where it goes.
  std::uint64_t bytes = 0;     // 0: not known before.
  std::string sha256;          // Lower-case hexadecimal; empty: not known.
};

struct PullPlan {
  std::string name;  // For people: "ORG/REPO:FILE".
  std::vector<PullFile> files;
  // The model's weights are safetensors, which must be converted before they run.
  bool needs_conversion = false;
};

// Asks the registry.  kNotFound: no such repository or no file that fits the tag (names those that
// there are); kPermissionDenied: gated, says how to get a token; kUnavailable: no answer.
Result<PullPlan> plan_pull(const PullName& name, const PullOptions& options);

// The two registries' listings, without the network: for plan_pull and its tests.
Result<PullPlan> plan_huggingface(const PullName& name, const PullOptions& options,
                                  std::string_view listing);
Result<PullPlan> plan_ollama(const PullName& name, const PullOptions& options,
                             std::string_view manifest);

}  // namespace hearth::store
