#include "engine/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/float4.h"
#include "engine/random.h"

namespace hearth::engine {
namespace {

using Candidate = SamplerScratch::Candidate;

constexpr std::size_t kBlock = 512;  // Summed in float, then added to a double.

float max_of(std::span<const float> values) {
  Float4 best = splat(kNegativeInfinity);
  for_each_float4(values.data(), values.size(),
                  [&](std::size_t, Float4 v) { best = max(best, v); });
  return max_lane(best);
}

struct ExpSums {
  double weight = 0;          // Sum of e^x.
  double weighted_shift = 0;  // Sum of x e^x.
};

// Over x = (logit - max); what underflows counts as e^-87, which is nothing.
ExpSums sum_exp(std::span<const float> logits, float max_logit) {
  ExpSums sums;
  for (std::size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const std::size_t n = std::min(kBlock, logits.size() - begin);
    Float4 weights{};
    Float4 shifts{};
    for_each_float4(logits.data() + begin, n, [&](std::size_t, Float4 logit) {
      const Float4 x = max(logit - max_logit, splat(kExpArgumentMin));
      const Float4 w = exp_nonpositive(x);
      weights += w;
      shifts += x * w;
    });
    sums.weight += sum_lanes(weights);
    sums.weighted_shift += sum_lanes(shifts);
  }
  return sums;
}

// weights[i] = e^((logits[i] - max) / temperature), 0 where that underflows; returns their sum.
double temper(std::span<const float> logits, float max_logit, float temperature,
              std::span<float> weights) {
  const float scale = 1.0F / temperature;
  double total = 0;
  for (std::size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const std::size_t n = std::min(kBlock, logits.size() - begin);
    Float4 sum{};
    for_each_float4(logits.data() + begin, n, [&](std::size_t i, Float4 logit) {
      const Float4 x = (logit - max_logit) * scale;
      const Float4 w =
          x < kExpArgumentMin ? Float4{} : exp_nonpositive(max(x, splat(kExpArgumentMin)));
      store(w, weights.data() + begin + i, n - i);
      sum += w;
    });
    total += sum_lanes(sum);
  }
  return total;
}

bool ranks_before(const Candidate& a, const Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.id < b.id;
}

double mass(std::span<const Candidate> candidates) {
  double total = 0;
  for (const Candidate& c : candidates) total += static_cast<double>(c.weight);
  return total;
}

// Keeps the shortest run of best-ranked candidates whose mass reaches `target`, at least one; the
// others are dropped, and the order of ids stays.
void keep_mass(double target, SamplerScratch& scratch) {
  std::vector<Candidate>& ranked = scratch.ranked;
  ranked.assign(scratch.candidates.begin(), scratch.candidates.end());

  // [0, lo) is kept and weighs `kept` < target; the last one to keep is in [lo, hi).
  std::size_t lo = 0;
  std::size_t hi = ranked.size();
  double kept = 0;
  while (hi - lo > 1) {
    const std::size_t mid = lo + (hi - lo) / 2;
    const auto at = [&](std::size_t i) { return ranked.begin() + static_cast<std::ptrdiff_t>(i); };
    std::nth_element(at(lo), at(mid), at(hi), ranks_before);
    const double upper = mass(std::span(ranked).subspan(lo, mid - lo));
    if (kept + upper >= target) {
      hi = mid;
    } else {
      kept += upper;
      lo = mid;
    }
  }
  const Candidate last = ranked[lo];
  std::erase_if(scratch.candidates, [&](const Candidate& c) { return ranks_before(last, c); });
}

// Locally typical sampling (Meister et al., 2022): keeps the tokens whose surprise is nearest to the
// expected surprise, the entropy.
void keep_typical(float typical_p, double total, SamplerScratch& scratch) {
  double mean_log_weight = 0;  // The candidates' ranks are the logs of their weights.
  for (const Candidate& c : scratch.candidates) {
    mean_log_weight += static_cast<double>(c.weight) / total * static_cast<double>(c.rank);
  }
  // surprise - entropy = (log total - log weight) - (log total - mean log weight).
  const auto mean = static_cast<float>(mean_log_weight);
  for (Candidate& c : scratch.candidates) c.rank = -std::abs(mean - c.rank);
  keep_mass(static_cast<double>(typical_p) * total, scratch);
}

void keep_top_p(float top_p, double total, SamplerScratch& scratch) {
  for (Candidate& c : scratch.candidates) c.rank = c.weight;
  keep_mass(static_cast<double>(top_p) * total, scratch);
}

void keep_min_p(float min_p, SamplerScratch& scratch) {
  float max = 0;
  for (const Candidate& c : scratch.candidates) max = std::max(max, c.weight);
  std::erase_if(scratch.candidates, [&](const Candidate& c) { return c.weight < min_p * max; });
}

// The candidates that top-k leaves; returns their mass.
double gather_top_k(std::span<const float> logits, const SamplingOptions& options,
                    SamplerScratch& scratch) {
  select_top(logits, options.top_k, scratch.top);
  const float max = scratch.top.front().logit;
  std::sort(scratch.top.begin(), scratch.top.end(),
            [](const ScoredToken& a, const ScoredToken& b) { return a.id < b.id; });
  scratch.candidates.clear();
  for (const ScoredToken& t : scratch.top) {
    const float x = (t.logit - max) / options.temperature;
    if (x >= kExpArgumentMin) scratch.candidates.push_back({t.id, std::exp(x), x});
  }
  return mass(scratch.candidates);
}

// All tokens that top-p and min-p could keep; with typical, which may drop even the best token, all
// that have any weight.  `total` is the mass of scratch.weights, all tokens.
void gather_likely(std::span<const float> logits, float max_logit, const SamplingOptions& options,
                   double total, SamplerScratch& scratch) {
  const std::vector<float>& weights = scratch.weights;
  float line = std::numeric_limits<float>::min();
  if (options.typical_p >= 1.0F) {
    // The largest weight is 1.  The factor 0.99 stays clear of rounding.
    const double top_p_line =
        (1.0 - static_cast<double>(options.top_p)) * total / static_cast<double>(weights.size());
    line = std::max({line, 0.99F * options.min_p, static_cast<float>(0.99 * top_p_line)});
  }
  scratch.candidates.clear();
  for_each_float4(weights.data(), weights.size(), [&](std::size_t begin, Float4 four) {
    if (max_lane(four) < line) return;
    for (std::size_t i = begin; i < std::min(begin + 4, weights.size()); ++i) {
      if (weights[i] < line) continue;
      const float log_weight = (logits[i] - max_logit) / options.temperature;
      scratch.candidates.push_back({static_cast<TokenId>(i), weights[i], log_weight});
    }
  });
}

// The token in whose stretch of [0, total) the point `u` * total lies.
TokenId pick(std::span<const Candidate> candidates, double u) {
  double left = u * mass(candidates);
  for (const Candidate& c : candidates) {
    left -= static_cast<double>(c.weight);
    if (left < 0) return c.id;
  }
  return candidates.back().id;  // Rounding; candidates all have weight.
}

// The same over all tokens: whole blocks are skipped first, then one is walked.
TokenId pick(std::span<const float> weights, double total, double u) {
  double left = u * total;
  std::size_t begin = 0;
  for (; begin + kBlock < weights.size(); begin += kBlock) {
    Float4 sum{};
    for (std::size_t i = begin; i < begin + kBlock; i += 4) sum += load(weights.data() + i);
    const double block = sum_lanes(sum);
    if (left < block) break;
    left -= block;
  }
  std::size_t last = 0;
  for (std::size_t i = begin; i < weights.size(); ++i) {
    if (weights[i] == 0.0F) continue;
    left -= static_cast<double>(weights[i]);
    last = i;
    if (left < 0) break;
  }
  return static_cast<TokenId>(last);
}

// Of equal logits the lower id.
TokenId argmax(std::span<const float> logits) {
  const auto best = std::find(logits.begin(), logits.end(), max_of(logits));
  return static_cast<TokenId>(best - logits.begin());
}

}  // namespace

Result<LogitStats> measure_logits(std::span<const float> logits) {
  LogitStats stats;
  stats.max = max_of(logits);
  const ExpSums sums = sum_exp(logits, stats.max);
  const double log_weight = std::log(sums.weight);
  if (!std::isfinite(stats.max) || !std::isfinite(log_weight)) {
    return fail(Code::kInternal,
                fmt::format("the model's {} logits are not numbers (largest {}): its weights or a "
                            "kernel are broken; check the file",
                            logits.size(), stats.max));
  }
  stats.log_z = stats.max + static_cast<float>(log_weight);
  stats.entropy =
      std::max(0.0F, static_cast<float>(log_weight - sums.weighted_shift / sums.weight));
  return stats;
}

namespace {

// For each byte of a mask, which bits of eight floats stay.
using LaneMasks = std::array<std::uint32_t, 8>;
constexpr auto kLaneMasks = [] {
  std::array<LaneMasks, 256> table{};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    for (std::size_t lane = 0; lane < 8; ++lane) {
      table[byte][lane] = (byte >> lane & 1) != 0 ? 0xFFFF'FFFFU : 0;
    }
  }
  return table;
}();

void mask_eight(const float* logits, std::uint8_t byte, float* out) {
  constexpr auto kInfinityBits = std::bit_cast<std::uint32_t>(kNegativeInfinity);
  LaneMasks lanes;
  std::memcpy(lanes.data(), logits, sizeof lanes);
  const LaneMasks& keep = kLaneMasks[byte];
  for (std::size_t i = 0; i < 8; ++i) lanes[i] = (lanes[i] & keep[i]) | (kInfinityBits & ~keep[i]);
  std::memcpy(out, lanes.data(), sizeof lanes);
}

}  // namespace

bool apply_mask(std::span<const float> logits, std::span<const std::uint64_t> mask,
                std::span<float> out) {
  const auto byte_at = [&](std::size_t i) {
    const std::size_t word = i / 64;
    return static_cast<std::uint8_t>(word < mask.size() ? mask[word] >> (i % 64) : 0);
  };
  const std::size_t n_whole = logits.size() / 8 * 8;
  for (std::size_t i = 0; i < n_whole; i += 8) mask_eight(&logits[i], byte_at(i), &out[i]);
  for (std::size_t i = n_whole; i < logits.size(); ++i) {
    out[i] = (byte_at(n_whole) >> (i - n_whole) & 1) != 0 ? logits[i] : kNegativeInfinity;
  }
  return std::ranges::any_of(out, [](float logit) { return logit > kNegativeInfinity; });
}

void select_top(std::span<const float> logits, std::uint32_t k, std::vector<ScoredToken>& out) {
  const std::size_t n = std::min<std::size_t>(k, logits.size());
  const auto better = [](const ScoredToken& a, const ScoredToken& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  out.clear();
  if (n == 0) return;
  // A heap with the worst of the best n on top; ids ascend, so an equal logit comes too late.
  for (std::size_t i = 0; i < n; ++i) out.push_back({static_cast<TokenId>(i), logits[i]});
  std::make_heap(out.begin(), out.end(), better);
  for (std::size_t i = n; i < logits.size(); ++i) {
    if (!(logits[i] > out.front().logit)) continue;
    std::pop_heap(out.begin(), out.end(), better);
    out.back() = {static_cast<TokenId>(i), logits[i]};
    std::push_heap(out.begin(), out.end(), better);
  }
  std::sort_heap(out.begin(), out.end(), better);
}

Sampler::Sampler(const SamplingOptions& options) : options_(options) {
  if (!has_penalties()) return;
  window_.reserve(options_.penalty_window_tokens);
  seen_.reserve(options_.penalty_window_tokens + 1);
}

bool Sampler::has_penalties() const {
  return options_.penalty_window_tokens > 0 &&
         (options_.repetition_penalty != 1.0F || options_.frequency_penalty != 0.0F ||
          options_.presence_penalty != 0.0F);
}

TokenId Sampler::choose(std::span<float> logits, std::uint64_t index,
                        SamplerScratch& scratch) const {
  adjust(logits, scratch);
  const TokenId id = options_.temperature == 0.0F ? argmax(logits) : draw(logits, index, scratch);
  // Undo backwards: a token may have been changed twice.
  for (auto saved = scratch.saved.rbegin(); saved != scratch.saved.rend(); ++saved) {
    logits[static_cast<std::size_t>(saved->first)] = saved->second;
  }
  return id;
}

void Sampler::adjust(std::span<float> logits, SamplerScratch& scratch) const {
  scratch.saved.clear();
  for (const auto& [id, bias] : options_.logit_bias) {
    float& logit = logits[static_cast<std::size_t>(id)];
    scratch.saved.emplace_back(id, logit);
    logit += bias;
  }
  for (const Seen& seen : seen_) {
    float& logit = logits[static_cast<std::size_t>(seen.id)];
    scratch.saved.emplace_back(seen.id, logit);
    const float r = options_.repetition_penalty;
    logit = logit > 0 ? logit / r : logit * r;
    logit -= options_.frequency_penalty * static_cast<float>(seen.count);
    logit -= options_.presence_penalty;
  }
}

TokenId Sampler::draw(std::span<const float> logits, std::uint64_t index,
                      SamplerScratch& scratch) const {
  const double u = uniform01(options_.seed, index);
  const bool has_top_k = options_.top_k > 0 && options_.top_k < logits.size();
  const bool has_mass_stage =
      options_.typical_p < 1.0F || options_.top_p < 1.0F || options_.min_p > 0.0F;
  double total = 0;
  if (has_top_k) {
    total = gather_top_k(logits, options_, scratch);
  } else {
    scratch.weights.resize(logits.size());
    const float max_logit = max_of(logits);
    total = temper(logits, max_logit, options_.temperature, scratch.weights);
    if (!has_mass_stage) return pick(scratch.weights, total, u);
    gather_likely(logits, max_logit, options_, total, scratch);
  }
  if (options_.typical_p < 1.0F) {
    keep_typical(options_.typical_p, total, scratch);
    total = mass(scratch.candidates);
  }
  if (options_.top_p < 1.0F) keep_top_p(options_.top_p, total, scratch);
  if (options_.min_p > 0.0F) keep_min_p(options_.min_p, scratch);
  return pick(scratch.candidates, u);
}

void Sampler::accept(TokenId id) {
  if (!has_penalties()) return;
  const auto find = [&](TokenId wanted) {
    return std::lower_bound(seen_.begin(), seen_.end(), wanted,
                            [](const Seen& seen, TokenId value) { return seen.id < value; });
  };
  const auto here = find(id);
  if (here != seen_.end() && here->id == id) {
    ++here->count;
  } else {
    seen_.insert(here, {id, 1});
  }
  if (window_.size() < options_.penalty_window_tokens) {
    window_.push_back(id);
    return;
  }
  const auto gone = find(window_[window_next_]);
  if (--gone->count == 0) seen_.erase(gone);
  window_[window_next_] = id;
  window_next_ = (window_next_ + 1) % window_.size();
}

namespace {

// One row per number of SamplingOptions: its name and its limits, both allowed.
struct Range {
  const char* name;
  float SamplingOptions::* field;
  float min;
  float max;
};
constexpr Range kRanges[] = {
    {"repetition_penalty", &SamplingOptions::repetition_penalty, 0.01F, 100.0F},
    {"frequency_penalty", &SamplingOptions::frequency_penalty, -100.0F, 100.0F},
    {"presence_penalty", &SamplingOptions::presence_penalty, -100.0F, 100.0F},
    {"temperature", &SamplingOptions::temperature, 0.0F, 100.0F},
    {"typical_p", &SamplingOptions::typical_p, 0.0F, 1.0F},
    {"top_p", &SamplingOptions::top_p, 0.0F, 1.0F},
    {"min_p", &SamplingOptions::min_p, 0.0F, 1.0F},
};
constexpr float kBiasMax = 1000.0F;

}  // namespace

Result<> SamplingOptions::validate() const {
  for (const Range& range : kRanges) {
    const float value = this->*range.field;
    if (value >= range.min && value <= range.max) continue;  // False for NaN.
    return fail(Code::kInvalidArgument, fmt::format("{} is {}: a number from {} to {} expected",
                                                    range.name, value, range.min, range.max));
  }
  if (penalty_window_tokens > kPenaltyWindowTokensMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("penalty_window_tokens is {}: at most {} are looked back on",
                            penalty_window_tokens, kPenaltyWindowTokensMax));
  }
  if (logit_bias.size() > kLogitBiasMax) {
    return fail(Code::kInvalidArgument, fmt::format("logit_bias has {} entries, at most {} fit",
                                                    logit_bias.size(), kLogitBiasMax));
  }
  for (const auto& [id, bias] : logit_bias) {
    if (bias >= -kBiasMax && bias <= kBiasMax && id >= 0) continue;
    return fail(Code::kInvalidArgument,
                fmt::format("logit_bias of token {} is {}: a token id and a number from {} to {} "
                            "expected",
                            id, bias, -kBiasMax, kBiasMax));
  }
  return {};
}

}  // namespace hearth::engine
