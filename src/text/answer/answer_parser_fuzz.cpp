// Fuzzes the answer parsers.  The first byte picks the family, the second switches, the third how
// many bytes come at once; the rest is the answer.
//
// Whatever comes: the same events for any cut, calls of offered functions only, each with an
// end, and no text lost where nothing was taken for a mark.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "text/answer/answers_for_test.h"

namespace {

using namespace hearth::text;

constexpr std::size_t kInputBytesMax = std::size_t{1} << 14;

void require(bool holds) {
  if (!holds) std::abort();
}

std::string without_space(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; });
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3 || size > kInputBytesMax) return 0;
  const auto rows = call_formats();
  const bool with_tools = (data[1] & 1) != 0, thinks = (data[1] & 2) != 0, is_cut = (data[1] & 4) != 0;
  static const auto tokenizer = empty_tokenizer();
  AnswerFormat format = detect_answer_format(thinks ? "</think>" : "", *tokenizer);
  format.calls = rows[data[0] % rows.size()];
  AnswerParserOptions options{.parallel_calls = (data[1] & 8) == 0};
  if (with_tools) {
    options.tools = {{"f", R"({"properties":{"s":{"type":"string"},"n":{"type":"integer"}}})"},
                     {"g", ""}};
  }
  if ((data[1] & 16) != 0) options.prompt_tail = "<think>\n";
  if ((data[1] & 32) != 0) options.prompt_tail = ">>>";

  const std::string text(reinterpret_cast<const char*>(data) + 3, size - 3);
  const auto whole = parse_whole(format, options, text, is_cut);
  const std::size_t n_at_once = std::max<std::size_t>(data[2], 1);
  std::vector<std::string> pieces;
  for (std::size_t at = 0; at < text.size(); at += n_at_once) pieces.push_back(text.substr(at, n_at_once));
  require(parse_pieces(format, options, pieces, is_cut) == whole);

  const Collected got = collect(whole);
  require(got.n_ended == static_cast<int>(got.calls.size()));
  for (const auto& [name, arguments] : got.calls) require(name == "f" || name == "g");
  require(with_tools || got.calls.empty());
  const bool has_marks = thinks || !options.prompt_tail.empty() || format.has_channels();
  const bool may_name_text = !format.calls->text_name.empty();
  if (got.calls.empty() && !has_marks && !may_name_text) {
    require(without_space(got.text) == without_space(text));
  }
  return 0;
}
