#include "privacy/tagger/tagger.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/utf8_bounds.h"
#include "privacy/chars.h"
#include "privacy/tagger/weights.h"

namespace hearth::privacy {
namespace {

constexpr std::size_t kNamesBytes = 320;
constexpr std::size_t kFeaturesMax = 128;
constexpr unsigned kBitsMax = 20;
constexpr int kReach = 3;  // Tokens to either side that features may look at.

// Stretches are tagged on their own: long enough for context, short enough for the cache.
constexpr std::size_t kStretchBytes = 4096;
constexpr std::size_t kStretchBytesMax = 6144;

// Numbers of a little-endian file, in order.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> take(std::size_t n) {
    if (n > bytes_.size()) {
      is_short_ = true;
      n = bytes_.size();
    }
    const auto taken = bytes_.first(n);
    bytes_ = bytes_.subspan(n);
    return taken;
  }
  std::uint32_t u32() {
    std::uint32_t value = 0;
    const auto taken = take(4);
    for (std::size_t i = taken.size(); i-- > 0;) value = value << 8 | std::to_integer<std::uint32_t>(taken[i]);
    return value;
  }
  bool is_short() const { return is_short_; }
  bool is_at_end() const { return bytes_.empty() && !is_short_; }

 private:
  std::span<const std::byte> bytes_;
  bool is_short_ = false;
};

std::int16_t i16_at(std::span<const std::byte> bytes, std::size_t i) {
  const unsigned value = std::to_integer<unsigned>(bytes[2 * i]) | std::to_integer<unsigned>(bytes[2 * i + 1]) << 8;
  return static_cast<std::int16_t>(value);
}

std::unexpected<Error> corrupt(std::string_view what) {
  return fail(Code::kCorrupt, fmt::format("the tagger's weights are damaged: {}", what));
}

// The types that spans carry are constants: a tag's name becomes one of these.
constexpr std::array<std::string_view, 9> kTypes = {
    "PERSON", "GPE", "ORGANIZATION", "STREET_ADDRESS", "NRP", "DATE_TIME", "TITLE", "AGE", "ZIP_CODE"};

std::string_view known_type(std::string_view name) {
  const auto found = std::ranges::find(kTypes, name);
  return found == kTypes.end() ? std::string_view() : *found;
}

// Where the stretch from `begin` ends: behind a line or a sentence if there is one.
std::size_t stretch_end(std::string_view text, std::size_t begin) {
  if (text.size() - begin <= kStretchBytesMax) return text.size();
  for (const std::string_view mark : {"\n", ". ", " "}) {
    const std::size_t found = text.substr(0, begin + kStretchBytesMax).find(mark, begin + kStretchBytes);
    if (found != text.npos) return found + mark.size();
  }
  return utf8_bound_from(text, begin + kStretchBytesMax);
}

// Brackets and quotes at the ends, and a full stop behind a name, are not part of a span.
void trim(std::string_view text, Span& span) {
  constexpr std::string_view kNever = ",;:!?\"'()[]{}<>/*-_#|";
  const bool keeps_stop = span.type != "PERSON" && span.type != "GPE" && span.type != "NRP";
  while (span.end > span.begin && (kNever.find(text[span.end - 1]) != kNever.npos || (text[span.end - 1] == '.' && !keeps_stop))) --span.end;
  while (span.begin < span.end && (kNever.find(text[span.begin]) != kNever.npos || text[span.begin] == '.')) ++span.begin;
}

std::uint32_t mix(std::uint32_t h) { return (h ^ (h >> 15)) * 0x2C1B3C6DU; }

}  // namespace

Result<std::unique_ptr<Tagger>> Tagger::create(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  const auto magic = reader.take(4);
  if (magic.size() != 4 || std::memcmp(magic.data(), "HTAG", 4) != 0) return corrupt("they don't begin with HTAG");
  if (const std::uint32_t version = reader.u32(); version != 1) return corrupt(fmt::format("version {} is not known", version));
  const std::uint32_t bits = reader.u32(), n_tags = reader.u32(), n_features = reader.u32(), n_slots = reader.u32();
  reader.u32();  // The scale: only how the integers were made.
  const bool fits = bits <= kBitsMax && bits >= 8 && n_tags >= 2 && n_tags <= kTagsMax && n_features <= kFeaturesMax &&
                    n_slots >= 2 && n_slots <= 1U << 24 && (n_slots & (n_slots - 1)) == 0;
  if (!fits) return corrupt("a size is out of its limits");
  const auto names = reader.take(kNamesBytes);
  const auto features = reader.take(std::size_t{6} * n_features);
  const auto transitions = reader.take(std::size_t{2} * (n_tags + 1) * n_tags);
  const auto fingerprints = reader.take(std::size_t{2} * n_slots);
  const auto classes = reader.take(n_slots);
  const auto weights = reader.take((std::size_t{1} << bits) * n_tags);
  if (!reader.is_at_end()) return corrupt("the file is longer or shorter than it says");
  if (std::ranges::find(classes, std::byte{0}) == classes.end()) return corrupt("the gazetteer is full");

  auto tagger = std::unique_ptr<Tagger>(new Tagger(Gazetteer(
      fingerprints.data(), {reinterpret_cast<const std::uint8_t*>(classes.data()), classes.size()})));
  tagger->bits_ = bits;
  tagger->n_tags_ = n_tags;
  std::string_view list(reinterpret_cast<const char*>(names.data()), names.size());
  list = list.substr(0, list.find('\0'));
  while (!list.empty()) {
    const std::size_t line = std::min(list.find('\n'), list.size());
    const std::string_view name = list.substr(0, line);
    const std::string_view type = name.size() > 2 ? known_type(name.substr(2)) : "";
    if (name != "O" && type.empty()) return corrupt("a tag has an unknown name");
    tagger->types_.push_back(type);
    tagger->is_begin_.push_back(name.starts_with("B-"));
    list.remove_prefix(std::min(line + 1, list.size()));
  }
  if (tagger->types_.size() != n_tags) return corrupt("there are not as many names as tags");
  for (std::size_t f = 0; f < n_features; ++f) {
    Feature feature;
    for (std::size_t k = 0; k < 3; ++k) {
      feature.parts[k].attribute = static_cast<std::int8_t>(features[6 * f + 2 * k]);
      feature.parts[k].offset = static_cast<std::int8_t>(features[6 * f + 2 * k + 1]);
      const Part& part = feature.parts[k];
      if (part.attribute >= static_cast<int>(kAttributes) || part.offset < -kReach || part.offset > kReach) return corrupt("a feature looks too far");
    }
    tagger->features_.push_back(feature);
  }
  tagger->transitions_.resize((n_tags + 1) * kTagsMax, -1'000'000);
  for (std::size_t i = 0; i <= n_tags; ++i) {
    for (std::size_t j = 0; j < n_tags; ++j) tagger->transitions_[i * kTagsMax + j] = i16_at(transitions, i * n_tags + j);
  }
  tagger->weights_.resize((std::size_t{1} << bits) * kTagsMax);
  for (std::size_t row = 0; row < std::size_t{1} << bits; ++row) {
    std::memcpy(&tagger->weights_[row * kTagsMax], &weights[row * n_tags], n_tags);
  }
  return tagger;
}

const Tagger& Tagger::built_in() {
  static const std::unique_ptr<Tagger> tagger = [] {
    auto made = create(built_in_weights());
    HEARTH_CHECK(made.has_value());
    return *std::move(made);
  }();
  return *tagger;
}

void Tagger::tag(std::string_view text, Spans& spans) const {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = stretch_end(text, begin);
    tag_stretch(text, begin, end, spans);
    begin = end;
  }
}

void Tagger::tag_stretch(std::string_view text, std::size_t begin, std::size_t end, Spans& spans) const {
  thread_local std::vector<Token> tokens;
  thread_local std::vector<std::int32_t> scores;
  tokenize(text.substr(begin, end - begin), gazetteer_, tokens);
  if (tokens.empty()) return;
  score(tokens, scores);
  const std::vector<std::uint8_t> path = best_path(scores, tokens.size());
  const std::size_t n_before = spans.size();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view type = types_[path[i]];
    if (type.empty()) continue;
    const bool goes_on = !is_begin_[path[i]] && spans.size() > n_before;
    if (goes_on) {
      spans.back().end = begin + tokens[i].end;
    } else {
      spans.push_back({begin + tokens[i].begin, begin + tokens[i].end, type, "tagger", Rank::kTagger});
    }
  }
  for (std::size_t i = n_before; i < spans.size(); ++i) trim(text, spans[i]);
  std::erase_if(spans, [](const Span& span) { return span.begin == span.end; });
}

void Tagger::score(std::span<const Token> tokens, std::vector<std::int32_t>& scores) const {
  constexpr std::uint32_t kFactors[3] = {0x9E3779B1U, 0x85EBCA77U, 0xC2B2AE3DU};
  const auto n = static_cast<std::ptrdiff_t>(tokens.size());
  scores.resize(tokens.size() * kTagsMax);
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    std::int16_t sums[kTagsMax] = {};
    for (std::size_t f = 0; f < features_.size(); ++f) {
      std::uint32_t h = static_cast<std::uint32_t>(f + 1) * 0x27D4EB2FU;
      for (std::size_t k = 0; k < 3 && features_[f].parts[k].attribute >= 0; ++k) {
        const Part part = features_[f].parts[k];
        const std::ptrdiff_t at = i + part.offset;
        const std::uint32_t value = at < 0 || at >= n ? kPadAttribute : tokens[static_cast<std::size_t>(at)].attributes[static_cast<std::size_t>(part.attribute)];
        h = mix(h + value * kFactors[k]);
      }
      h = (h ^ (h >> 13)) * 0x9E3779B1U;
      const std::int8_t* const row = &weights_[(h >> (32 - bits_)) * kTagsMax];
      for (std::size_t t = 0; t < kTagsMax; ++t) sums[t] = static_cast<std::int16_t>(sums[t] + row[t]);
    }
    for (std::size_t t = 0; t < kTagsMax; ++t) scores[static_cast<std::size_t>(i) * kTagsMax + t] = sums[t];
  }
}

// Viterbi: the best score of a path that ends in each tag, and where it came from.
std::vector<std::uint8_t> Tagger::best_path(std::span<const std::int32_t> scores, std::size_t n) const {
  thread_local std::vector<std::uint8_t> from;  // [n, kTagsMax].
  from.resize(n * kTagsMax);
  std::int32_t best[kTagsMax];
  for (std::size_t j = 0; j < kTagsMax; ++j) best[j] = scores[j] + transitions_[n_tags_ * kTagsMax + j];
  for (std::size_t i = 1; i < n; ++i) {
    std::int32_t next[kTagsMax];
    std::int32_t source[kTagsMax] = {};
    for (std::size_t j = 0; j < kTagsMax; ++j) next[j] = best[0] + transitions_[j];
    for (std::size_t tag = 1; tag < n_tags_; ++tag) {
      const std::int32_t* const row = &transitions_[tag * kTagsMax];
      for (std::size_t j = 0; j < kTagsMax; ++j) {
        const std::int32_t sum = best[tag] + row[j];
        source[j] = sum > next[j] ? static_cast<std::int32_t>(tag) : source[j];
        next[j] = std::max(sum, next[j]);
      }
    }
    for (std::size_t j = 0; j < kTagsMax; ++j) {
      best[j] = next[j] + scores[i * kTagsMax + j];
      from[i * kTagsMax + j] = static_cast<std::uint8_t>(source[j]);
    }
  }
  std::vector<std::uint8_t> path(n);
  path[n - 1] = static_cast<std::uint8_t>(std::max_element(best, best + n_tags_) - best);
  for (std::size_t i = n - 1; i > 0; --i) path[i - 1] = from[i * kTagsMax + path[i]];
  return path;
}

}  // namespace hearth::privacy
