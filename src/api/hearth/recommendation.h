// Hearth's own API: what this machine is, and which well-known models it can run at what speed.
//
//   GET  /hearth/v1/roofs           {"roofs": {"cpu", "at_unix_s", "n_threads", "read_gb_s", ...} or null}
//   POST /hearth/v1/roofs           measures them (2 s of all cores), and says the same
//   GET  /hearth/v1/recommendation  {"as_of", "how", "context_tokens", "memory": {...}, "roofs": ... or null,
//                                    "models": [{"name", "params", "active_params", "type", "bytes", "needs_bytes",
//                                    "fits", "decode_tokens_per_s", "prompt_tokens_per_s", "pull", "here", "best"}]}
//
// All of it is an estimate, and says so: a token is written when all weights that it needs were read once, and the
// shares of the roofs that this engine reaches were measured on other machines (docs/design/0029-more-of-the-page.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "device/cpu.h"
#include "device/kept_roofs.h"
#include "hub/hub.h"

namespace hearth::api::hearth {

// A model that many people know, as one file of one registry.
struct KnownModel {
  std::string_view name;  // The file's stem, under which the catalogue has it once it was pulled.
  std::string_view pull;  // For `hearth models pull` and POST /api/pull.
  std::string_view type;
  double params = 0;         // 10^9.
  double active_params = 0;  // Of these, for one token.
  double gigabytes = 0;      // Of the file.
  std::uint32_t kv_bytes_per_token = 0;  // In 16 bits, all layers.
};

std::span<const KnownModel> known_models();

enum class Fits : std::uint8_t { kNow, kIfFreed, kNo };

struct Estimate {
  Fits fits = Fits::kNo;
  std::uint64_t needs_bytes = 0;   // Weights, keys and values of kEstimateContext tokens, and some room to compute.
  double decode_tokens_per_s = 0;  // 0: the roofs are not known.
  double prompt_tokens_per_s = 0;
};

inline constexpr std::uint32_t kEstimateContext = 8192;

Estimate estimate(const KnownModel& model, const device::MemoryInfo& memory, const std::optional<device::KeptRoofs>& roofs);

// The largest that fits now and writes as fast as people read; null: none, or the roofs are not known.
const KnownModel* best_known_model(const device::MemoryInfo& memory, const std::optional<device::KeptRoofs>& roofs);

std::string render_roofs(const std::optional<device::KeptRoofs>& roofs);
std::string render_recommendation(const device::MemoryInfo& memory, const std::optional<device::KeptRoofs>& roofs,
                                  std::span<const hub::ModelEntry> here);

}  // namespace hearth::api::hearth
