// Which pre-tokenizer of GGUF's a tokenizer.json describes.
//
// The description is a list of stages.  Each is written here as one line of text ("split REGEX",
// "digits", "bytes" or "bytes with words"), and the lines together are looked up.
#include <fmt/format.h>

#include "convert/hf_tokenizer.h"

namespace hearth::convert {
namespace {

#define HEARTH_LLAMA3_HEAD R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)"
#define HEARTH_TAIL R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define HEARTH_UPPER \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
#define HEARTH_LOWER \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
#define HEARTH_ENDINGS R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
#define HEARTH_SLASH_TAIL R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"

struct PreRow {
  std::string_view stages;
  bool ignores_merges;
  std::string_view name;
};

constexpr PreRow kRows[] = {
    {"bytes with words\n", false, "gpt-2"},
    {"digits\nbytes with words\n", false, "smollm"},
    {"split " HEARTH_LLAMA3_HEAD R"(\p{N}{1,3})" HEARTH_TAIL "\nbytes\n", true, "llama-bpe"},
    {"split " HEARTH_LLAMA3_HEAD R"(\p{N}{1,3})" HEARTH_TAIL "\nbytes\n", false, "dbrx"},
    {"split " HEARTH_LLAMA3_HEAD R"(\p{N})" HEARTH_TAIL "\nbytes\n", false, "qwen2"},
    {R"(split (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
     R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
     "\nbytes\n",
     false, "qwen35"},
    {"split " HEARTH_UPPER "|" HEARTH_LOWER R"(|\p{N})" HEARTH_SLASH_TAIL "\nbytes\n", true,
     "tekken"},
    {"split " HEARTH_UPPER HEARTH_ENDINGS "|" HEARTH_LOWER HEARTH_ENDINGS
     R"(|\p{N}{1,3})" HEARTH_SLASH_TAIL "\nbytes\n",
     false, "gpt-4o"},
};

#undef HEARTH_LLAMA3_HEAD
#undef HEARTH_TAIL
#undef HEARTH_UPPER
#undef HEARTH_LOWER
#undef HEARTH_ENDINGS
#undef HEARTH_SLASH_TAIL

// A stage as a line of text; nothing for one that does what no row does.
std::optional<std::string> describe_stage(const Json& stage) {
  const std::string type = as_text(member(stage, "type")).value_or("");
  if (type == "ByteLevel") {
    if (as_bool(member(stage, "add_prefix_space")).value_or(true)) return std::nullopt;
    return as_bool(member(stage, "use_regex")).value_or(true) ? "bytes with words\n" : "bytes\n";
  }
  if (type == "Digits" && as_bool(member(stage, "individual_digits")).value_or(false)) {
    return "digits\n";
  }
  if (type != "Split") return std::nullopt;
  const auto regex = as_text(member(member(stage, "pattern"), "Regex"));
  const std::string behavior = as_text(member(stage, "behavior")).value_or("");
  const bool inverted = as_bool(member(stage, "invert")).value_or(false);
  // Keeping the matches apart, and removing what is between matches that cover everything.
  const bool cuts = (behavior == "Isolated" && !inverted) || (behavior == "Removed" && inverted);
  if (!regex || !cuts) return std::nullopt;
  return fmt::format("split {}\n", *regex);
}

}  // namespace

Result<std::string> pre_tokenizer_name(const Json& tokenizer, const std::string& name) {
  const Json* const whole = member(tokenizer, "pre_tokenizer");
  const bool ignores_merges =
      as_bool(member(member(tokenizer, "model"), "ignore_merges")).value_or(false);
  std::string stages;
  bool known = whole != nullptr;
  const auto add = [&](const Json& stage) {
    const auto line = describe_stage(stage);
    known = known && line.has_value();
    stages += line.value_or("");
  };
  if (as_text(member(whole, "type")) == "Sequence") {
    for (const Json& stage : elements(member(whole, "pretokenizers"))) add(stage);
  } else if (whole != nullptr) {
    add(*whole);
  }
  for (const PreRow& row : kRows) {
    if (known && row.stages == stages && row.ignores_merges == ignores_merges) {
      return std::string(row.name);
    }
  }
  return fail(Code::kUnsupported,
              fmt::format("'{}' cuts text into words in a way that this build has no name for: "
                          "look for the model as GGUF",
                          name));
}

}  // namespace hearth::convert
