// How a family of models writes what is not plain text in its answers: thinking and tool
// calls.
//
// There is no standard: each family was trained on marks of its own.  A format is a row of
// literals and the syntax between them; what a row says, AnswerParser reads.  Which rows a model
// uses is read from its chat template and its vocabulary, never from its name, because fine-tunes
// keep the template and change the name.
//
// A new family is a new row in answer_format.cpp, as long as its syntax is one of these.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace hearth::text {

enum class CallSyntax : std::uint8_t {
  kJson,      // {"name": NAME, "arguments": {...}}, one, or several in a list
  kNamed,     // NAME name_end {...}
  kTagged,    // NAME name_end, then key_open KEY key_end VALUE value_close for each argument
  kGemma,     // NAME{key:<|"|>text<|"|>,other:12}
  kPython,    // [NAME(key="text", other=12), ...]
  kChannels,  // gpt-oss's messages: channel and recipient in a header, arguments as the body
};

// All literals may be empty, which means that there is none.
struct CallFormat {
  std::string_view family;  // The first model known for it.
  CallSyntax syntax = CallSyntax::kJson;
  std::string_view section_open, section_close;  // Around all calls of an answer.
  std::string_view open, close;                  // Around each call, or around a list of them.
  std::string_view name_end;
  std::string_view text_name;  // Stands for a function's name in front of plain text.
  std::string_view key_open, key_end, value_open, value_close;
  std::string_view name_key = "name", arguments_key = "arguments";  // kJson: as the family writes them.
  bool is_list = false;      // kJson: this family writes a list even for one call.
  bool or_json = false;      // Behind `open` there may be JSON instead; older models wrote that.
  bool may_be_bare = false;  // An answer may begin with a call without `open`.
  // A template that holds all of these texts belongs to this family; or a vocabulary with `token`.
  std::array<std::string_view, 2> marks = {};
  std::string_view token;
};

struct ThinkingFormat {
  std::string_view open, close;
  bool is_anywhere = false;  // May open in the middle of an answer: its marks are control tokens.
  std::string_view mark;     // In the template.
};

// What one model uses.  Points into static tables.
struct AnswerFormat {
  const CallFormat* calls = nullptr;        // Never null once detected.
  const ThinkingFormat* thinking = nullptr; // Null: none, or that of kChannels.
  std::vector<std::string_view> dropped;    // Marks around the plain answer, which nobody wants to see.
  // The model's own template or vocabulary has this format; else it is asked for in words.
  bool is_native = false;

  bool has_channels() const { return calls->syntax == CallSyntax::kChannels; }
};

std::vector<const CallFormat*> call_formats();  // For tests: every row.

AnswerFormat detect_answer_format(std::string_view template_source, const Tokenizer& tokenizer);

// Control tokens whose text belongs to one of the format's marks: an answer's text must keep it, while
// it drops those of all others.  Sorted.  Without `with_calls` the marks of calls are left out.
std::vector<TokenId> spoken_control_tokens(const AnswerFormat& format, const Tokenizer& tokenizer,
                                           bool with_calls);

// `{"city": "Oslo"}` for "get_weather" as a model of this format would write it; for models that are
// told in words, and for conversations that are replayed to a template without tool calls.
std::string write_call(const CallFormat& format, std::string_view name, std::string_view arguments);

}  // namespace hearth::text
