// What a person means by the name of a model that is to be pulled.
//
//   ORG/REPO, ORG/REPO:TAG, hf.co/ORG/REPO:TAG   Hugging Face; TAG is a file's name or a part of it
//                                                such as Q4_K_M
//   NAME, NAME:TAG, ollama:NS/NAME:TAG           Ollama's library
//   https://.../FILE.gguf                        one file
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::store {

enum class PullFrom : std::uint8_t { kHuggingFace, kOllama, kUrl };

struct PullName {
  PullFrom from = PullFrom::kUrl;
  std::string repository;  // "ORG/REPO", "library/qwen3"; of a URL the whole.
  std::string tag;         // Empty: the usual one.
};

// kInvalidArgument names what is wrong and the forms that there are.
Result<PullName> parse_pull_name(std::string_view name);

// Whether `part` can be a component of a path on this machine: no "..", no slash, no control
// characters, no leading dot, at most 255 bytes.
bool is_safe_path_part(std::string_view part);

}  // namespace hearth::store
