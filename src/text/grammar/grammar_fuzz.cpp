// Fuzzes the front ends and what they make: the first byte chooses one (s: JSON schema, r: regular
// expression, g: GBNF), the rest is its source.
//
// Whatever comes in, the answer is a grammar or an error.  A grammar is walked at random over a
// vocabulary with all bytes: there must be no dead end, a complete answer must be one of its texts,
// and one to a schema must be JSON.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/utf8.h"
#include "text/grammar/constraint.h"

namespace {

using namespace hearth::text::grammar;

constexpr std::size_t kInputBytesMax = 4096;
constexpr int kStepsMax = 48;
constexpr hearth::text::TokenId kEnd = 0;

const std::shared_ptr<const Lexicon>& lexicon() {
  static const std::shared_ptr<const Lexicon> made = [] {
    std::vector<std::string> pieces = {""};
    for (int byte = 0; byte < 256; ++byte) pieces.emplace_back(1, static_cast<char>(byte));
    for (const char* word : {"{\"", "\":", "\",\"", "\"}", "true", "null", "aa", "123", "\\u00",
                             "é", "😀", "]]", " {"}) {
      pieces.emplace_back(word);
    }
    return Lexicon::create(std::move(pieces), {kEnd});
  }();
  return made;
}

void check(bool is_so) {
  if (!is_so) std::abort();
}

void walk(const GrammarPtr& grammar, bool is_json, std::uint64_t seed) {
  Matcher matcher(std::make_shared<Constraint>(grammar, lexicon()));
  std::vector<std::uint64_t> mask(matcher.mask_words());
  std::string text;
  for (int step = 0; step < kStepsMax && !matcher.is_complete(); ++step) {
    const auto filled = matcher.fill_mask(mask);
    if (!filled) {  // Too ambiguous; every byte is a token, so it can't be a dead end.
      check(filled.error().message.find("ambiguous") != std::string::npos);
      return;
    }
    std::vector<hearth::text::TokenId> allowed;
    for (std::uint32_t i = 0; i < lexicon()->n_vocab(); ++i) {
      if ((mask[i / 64] >> (i % 64) & 1) != 0)
        allowed.push_back(static_cast<hearth::text::TokenId>(i));
    }
    seed = hearth::hash64(std::as_bytes(std::span(&seed, 1)));
    const auto id = allowed[seed % allowed.size()];
    if (id == kEnd) break;
    if (const auto accepted = matcher.accept(id); !accepted) {
      check(accepted.error().code == hearth::Code::kInvalidArgument);
      return;
    }
    text += lexicon()->piece(id);
  }
  if (!matcher.can_end()) return;
  check(hearth::is_valid_utf8(text));
  check(matches(*grammar, text));
  if (is_json) check(nlohmann::json::accept(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > kInputBytesMax) return 0;
  const std::string_view source(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto compiled = data[0] == 's'   ? compile_json_schema(source)
                        : data[0] == 'r' ? compile_regex(source)
                                         : compile_gbnf(source);
  if (!compiled) {
    check(compiled.error().code == hearth::Code::kInvalidArgument);
    check(!compiled.error().message.empty());
    return 0;
  }
  for (std::uint64_t seed = 0; seed < 3; ++seed) walk(*compiled, data[0] == 's', seed);
  return 0;
}
