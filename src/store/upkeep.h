// Looking after a store: checking all of it, dropping models, freeing what no model names.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/manifest.h"

namespace hearth::store {

struct UpkeepProgress {
  std::uint64_t done = 0, total = 0;  // Bytes.
  std::string_view what;
};
using UpkeepWatch = std::function<bool(const UpkeepProgress&)>;  // False stops the work.

struct VerifyReport {
  std::uint64_t n_models = 0, n_packs = 0, n_objects = 0;
  std::uint64_t bytes = 0;              // Whose hashes were computed.
  std::vector<std::string> problems;    // A sentence each; none: the store is good.
  std::vector<std::string> bad_models;  // The names of those that a problem touches.
};

// Reads everything: each manifest's sum, each name's target, each object's and vocabulary's hash.
// Errors are those of reading folders and kCancelled; what is wrong inside is in the report.
Result<VerifyReport> verify_store(const gguf::StorePaths& store, const UpkeepWatch& watch = {});

struct FreeReport {
  std::uint64_t n_files = 0;
  std::uint64_t bytes = 0;  // Of the disk.
};

// Removes packs and vocabularies that no model names, and writes packs anew of which a quarter or
// more is unnamed.  Models that run keep what they have mapped.
Result<FreeReport> collect_garbage(const gguf::StorePaths& store, const UpkeepWatch& watch = {});

// Drops a model, or an adapter that the store made, and frees what only it had.  kNotFound if there is
// none of that name, kInvalidArgument naming them while others are kept as differences of it.
Result<FreeReport> remove_model(const gguf::StorePaths& store, std::string_view name);

}  // namespace hearth::store
