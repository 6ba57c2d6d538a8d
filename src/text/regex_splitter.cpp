#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex_splitter.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <utility>

namespace hearth::text {
namespace {

// Backtracking steps of one match, before PCRE2 gives up.  The patterns in use need a few per
// character of a word; a megabyte-long word is the longest that should still be found.
constexpr std::uint32_t kMatchStepsMax = 10'000'000;

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};

}  // namespace

struct RegexSplitter::Program {
  std::unique_ptr<pcre2_code, FreeCode> code;
  std::unique_ptr<pcre2_match_context, FreeContext> context;
};

RegexSplitter::RegexSplitter(std::unique_ptr<Program> program) : program_(std::move(program)) {}
RegexSplitter::RegexSplitter(RegexSplitter&&) noexcept = default;
RegexSplitter& RegexSplitter::operator=(RegexSplitter&&) noexcept = default;
RegexSplitter::~RegexSplitter() = default;

Result<RegexSplitter> RegexSplitter::compile(std::string_view pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto program = std::make_unique<Program>();
  program->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error,
                                    &offset, nullptr));
  if (!program->code) {
    PCRE2_UCHAR words[256];
    pcre2_get_error_message(error, words, sizeof words);
    return fail(Code::kInvalidArgument, fmt::format("pattern '{}': {} at offset {}", pattern,
                                                    reinterpret_cast<const char*>(words), offset));
  }
  // Without JIT (a kernel that forbids writable code pages) matching is slower, not different.
  (void)pcre2_jit_compile(program->code.get(), PCRE2_JIT_COMPLETE);
  program->context.reset(pcre2_match_context_create(nullptr));
  HEARTH_CHECK(program->context != nullptr);
  pcre2_set_match_limit(program->context.get(), kMatchStepsMax);
  return RegexSplitter(std::move(program));
}

void RegexSplitter::split(std::string_view text, std::span<const std::size_t> ends,
                          std::vector<std::size_t>& out) const {
  const std::unique_ptr<pcre2_match_data, FreeMatch> match(
      pcre2_match_data_create_from_pattern(program_->code.get(), nullptr));
  HEARTH_CHECK(match != nullptr);
  const PCRE2_SIZE* const span = pcre2_get_ovector_pointer(match.get());

  // Each word is a subject of its own: look-arounds and anchors see its borders, not its
  // neighbours.
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    const std::string_view word = text.substr(begin, end - begin);
    std::size_t pos = 0;
    while (pos < word.size()) {
      const int found = pcre2_match(program_->code.get(), reinterpret_cast<PCRE2_SPTR>(word.data()),
                                    word.size(), pos, PCRE2_NOTEMPTY | PCRE2_NO_UTF_CHECK,
                                    match.get(), program_->context.get());
      if (found < 0) break;
      if (span[0] > pos) out.push_back(begin + span[0]);
      out.push_back(begin + span[1]);
      pos = span[1];
    }
    if (pos < word.size()) out.push_back(end);
    begin = end;
  }
}

}  // namespace hearth::text
