#include "text/pre_tokenizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/utf8.h"

namespace hearth::text {
namespace {

// What one stage does: its pattern, and the code that does the same where there is some.
struct StageSpec {
  const char* pattern = nullptr;
  WordMatcher matcher = nullptr;
};

constexpr std::size_t kStagesMax = 6;

// One pre-tokenizer.  `names` are those that GGUF files use, separated by spaces.
struct PreTokenizerSpec {
  std::string_view names;
  StageSpec stages[kStagesMax];
  bool ignores_merges = false;
  bool adds_bos = false;
};

// The patterns are those of the models' own tokenizer.json files, with two changes that alter no
// match: code points outside ASCII are escaped, and "$" is "\z" (PCRE2's "$" also matches before a
// last newline).
constexpr StageSpec kGpt2 = {
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    match_gpt2_word};
constexpr StageSpec kLlama3 = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)",
    match_llama3_word};
constexpr StageSpec kQwen2 = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)",
    match_qwen2_word};
constexpr StageSpec kQwen35 = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
    R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr StageSpec kSingleNumber = {R"(\p{N})", match_single_number};
constexpr StageSpec kThreeNumbers = {R"(\p{N}{1,3})"};
constexpr StageSpec kThreeDigits = {R"([0-9][0-9][0-9])"};
constexpr StageSpec kNewline = {R"([\r\n])"};
constexpr StageSpec kHan = {R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)"};

// DeepSeek LLM: letters with case, as ranges.
constexpr StageSpec kCasedLetters = {
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A})"
    R"(\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556})"
    R"(\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF})"
    R"(\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D})"
    R"(\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D})"
    R"(\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4})"
    R"(\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4})"
    R"(\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124})"
    R"(\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F})"
    R"(\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4})"
    R"(\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F})"
    R"(\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17})"
    R"(\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3})"
    R"(\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF})"
    R"(\x{1E900}-\x{1E943}]+)"};
constexpr StageSpec kDeepSeekMarks = {
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)"};
// \s+$, which would read a long run of spaces once per space; the look-behind reads it once.
constexpr StageSpec kTrailingSpaces = {R"((?<!\s)\s++\z)"};
constexpr StageSpec kNumbers = {R"(\p{N}+)"};

constexpr StageSpec kCjkAndKana = {R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)"};
constexpr StageSpec kDeepSeek3 = {
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr StageSpec kTekken = {
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr StageSpec kGpt4o = {
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr StageSpec kSeedCoder = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr StageSpec kBloom = {
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)"};

// Order does not matter; no two rows may share a name (pre_tokenizer_test.cpp).
constexpr PreTokenizerSpec kPreTokenizers[] = {
    {.names = "gpt-2 phi-2 gigachat a.x-4.0 mellum mpt olmo jais trillion granite-docling exaone4",
     .stages = {kGpt2}},
    {.names = "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2",
     .stages = {kLlama3},
     .ignores_merges = true,
     .adds_bos = true},
    {.names = "dbrx smaug-bpe glm4 chatglm-bpe", .stages = {kLlama3}},
    {.names = "qwen2 deepseek-r1-qwen kormo stablelm2 megrez hunyuan solar-open grok-2",
     .stages = {kQwen2}},
    {.names = "qwen35", .stages = {kQwen35}},
    {.names = "starcoder refact command-r smollm codeshell exaone minerva-7b mellum2",
     .stages = {kSingleNumber, kGpt2}},
    {.names = "deepseek-llm",
     .stages = {kNewline, kCasedLetters, kDeepSeekMarks, kTrailingSpaces, kHan, kNumbers}},
    {.names = "deepseek-coder",
     .stages = {kNewline, {R"(\s?\p{L}+)"}, {R"(\s?\p{P}+)"}, kHan, kSingleNumber}},
    {.names = "deepseek-v3 hunyuan-dense joyai-llm",
     .stages = {kThreeNumbers, kCjkAndKana, kDeepSeek3}},
    {.names = "falcon", .stages = {{R"([\p{P}$+<=>^~|`]+)"}, kGpt2, kThreeDigits}},
    {.names = "tekken", .stages = {kTekken}, .ignores_merges = true, .adds_bos = true},
    {.names = "gpt-4o llama4 kanana2 minimax-m2", .stages = {kGpt4o}},
    {.names = "seed-coder", .stages = {kSeedCoder}},
    {.names = "bloom gpt3-finnish poro-chat", .stages = {kBloom}},
    {.names = "viking", .stages = {kBloom, kSingleNumber}},
    // For files that name none: what the ecosystem has settled on for them.
    {.names = "default", .stages = {{R"([\p{P}$+<=>^~|]+)"}, kGpt2, kNumbers, kThreeDigits}},
};

// Calls visit(name) for each name of a row, until it returns true.
template <class Visit>
bool any_name(std::string_view names, Visit&& visit) {
  while (!names.empty()) {
    const std::size_t space = std::min(names.find(' '), names.size());
    if (visit(names.substr(0, space))) return true;
    names.remove_prefix(std::min(space + 1, names.size()));
  }
  return false;
}

const PreTokenizerSpec* find_spec(std::string_view name) {
  for (const auto& spec : kPreTokenizers) {
    if (any_name(spec.names, [&](std::string_view known) { return known == name; })) return &spec;
  }
  return nullptr;
}

// Cuts each word of `text` with a hand-written matcher.
void split_words(WordMatcher matcher, std::string_view text, std::span<const std::size_t> ends,
                 std::vector<std::size_t>& out) {
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    const std::string_view word = text.substr(0, end);
    while (begin < end) out.push_back(begin = matcher(word, begin));
  }
}

// A copy of the same length in which each byte of invalid UTF-8 is a SUBSTITUTE control character.
std::string mask_invalid_utf8(std::string_view text) {
  std::string masked(text);
  for (std::size_t pos = 0; pos < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(pos));
    if (!c.valid) masked[pos] = '\x1A';
    pos += c.length;
  }
  return masked;
}

}  // namespace

std::vector<std::string_view> known_pre_tokenizers() {
  std::vector<std::string_view> known;
  for (const auto& spec : kPreTokenizers) {
    any_name(spec.names, [&](std::string_view name) {
      known.push_back(name);
      return false;
    });
  }
  std::ranges::sort(known);
  return known;
}

Result<PreTokenizer> PreTokenizer::create(std::string_view name, SplitterKind kind) {
  const PreTokenizerSpec* const spec = find_spec(name.empty() ? "default" : name);
  if (spec == nullptr) {
    return fail(Code::kUnsupported, fmt::format("pre-tokenizer '{}' is not known; known are {}",
                                                name, fmt::join(known_pre_tokenizers(), ", ")));
  }
  PreTokenizer made;
  made.ignores_merges_ = spec->ignores_merges;
  made.adds_bos_ = spec->adds_bos;
  for (const auto& stage : spec->stages) {
    if (stage.pattern == nullptr) break;
    if (stage.matcher != nullptr && kind == SplitterKind::kFastest) {
      made.stages_.emplace_back(stage.matcher);
      continue;
    }
    HEARTH_TRY(RegexSplitter splitter, RegexSplitter::compile(stage.pattern));
    made.stages_.emplace_back(std::move(splitter));
    made.needs_valid_utf8_ = true;
  }
  return made;
}

void PreTokenizer::split(std::string_view text, std::vector<std::size_t>& ends) const {
  ends.clear();
  if (text.empty()) return;
  std::string masked;
  if (needs_valid_utf8_ && !is_valid_utf8(text)) text = masked = mask_invalid_utf8(text);

  ends.push_back(text.size());
  std::vector<std::size_t> next;
  for (const auto& stage : stages_) {
    next.clear();
    if (const auto* const matcher = std::get_if<WordMatcher>(&stage)) {
      split_words(*matcher, text, ends, next);
    } else {
      std::get<RegexSplitter>(stage).split(text, ends, next);
    }
    std::swap(ends, next);
  }
}

}  // namespace hearth::text
