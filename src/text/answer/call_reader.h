// The readers of the call syntaxes, one class each; the parser's inside.
//
// A reader is given all text behind a call's opening mark that is not consumed yet, again and
// again until it has seen enough.  It consumes nothing until the function's name is known and
// offered: so a rejected call leaves the text as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/answer/answer_parser.h"
#include "text/answer/json_scanner.h"

namespace hearth::text {

enum class Step : std::uint8_t {
  kNeedMore,  // Nothing can be said before more text comes.
  kMore,      // Something was consumed; call again.
  kEnded,     // The call is complete.
  kRejected,  // This is no call; nothing was consumed.
  kPlainText, // What follows is text for the user, by the format's own word.
};

struct ReadResult {
  Step step;
  std::size_t consumed = 0;
};

// What is there to read: `is_last` says that nothing more will come, `is_cut` also that a limit, not the
// model, ended it.
struct ReadInput {
  std::string_view text;
  bool is_last = false;
  bool is_cut = false;
};

// Where readers write calls; knows which functions there are.
class CallWriter {
 public:
  CallWriter(std::vector<OfferedTool> tools, bool parallel_calls);

  // The events of one push or finish go to `events`, which must live until the next call.
  void set_target(std::vector<AnswerEvent>& events) { events_ = &events; }

  bool has_tools() const { return !tools_.empty(); }
  bool is_offered(std::string_view name) const;
  // Whether the schema of the started function says that argument `key` is a text.
  bool is_text_argument(std::string_view key) const;

  void text(std::string_view text) { add(AnswerEventKind::kText, text); }
  void reasoning(std::string_view text) { add(AnswerEventKind::kReasoning, text); }
  void start(std::string_view name);
  void arguments(std::string_view json);
  void end();
  bool is_in_call() const { return is_in_call_; }

 private:
  struct Tool {
    std::string name;
    std::vector<std::string> text_keys;  // Arguments that are texts by the schema.
  };
  void add(AnswerEventKind kind, std::string_view text);

  std::vector<Tool> tools_;
  bool parallel_calls_;
  std::vector<AnswerEvent>* events_ = nullptr;
  const Tool* tool_ = nullptr;  // Of the started call.
  std::size_t n_calls_ = 0;
  bool is_in_call_ = false;
};

class CallReader {
 public:
  virtual ~CallReader() = default;
  virtual ReadResult read(const ReadInput& input, CallWriter& out) = 0;
  // Behind an ended call: kMore if another follows in the same marks (what was between them is
  // consumed), kEnded if not.
  virtual ReadResult resume(const ReadInput&) { return {Step::kEnded}; }
};

std::unique_ptr<CallReader> make_json_reader(const CallFormat& format);
std::unique_ptr<CallReader> make_named_reader(const CallFormat& format);
std::unique_ptr<CallReader> make_tagged_reader(const CallFormat& format);
std::unique_ptr<CallReader> make_gemma_reader(const CallFormat& format);
std::unique_ptr<CallReader> make_python_reader(const CallFormat& format);

// The reader of `format`, for a call whose text begins with `text`; null if more is needed to know.
std::unique_ptr<CallReader> make_call_reader(const CallFormat& format, const ReadInput& input);

// ---- Shared by the readers ----

bool is_white_space(char c);
std::size_t skip_white_space(std::string_view text, std::size_t at = 0);
// How many bytes at the end of `text` could begin `literal`; 0 for an empty literal.
std::size_t partial_suffix(std::string_view text, std::string_view literal);
// "functions.get_weather:0", " get_weather " -> "get_weather"
std::string_view bare_function_name(std::string_view name);
// Whether a name, or its beginning, stands there, perhaps with the beginning of `end` behind it.
bool may_be_function_name(std::string_view name, std::string_view end);

// Streams one JSON value of arguments to a writer; what breaks JSON, up to `close`, goes along.  An
// object is passed on as it comes; a text that holds JSON, which some models write, is unpacked.
class ArgumentStream {
 public:
  explicit ArgumentStream(std::string_view close) : close_(close) {}
  // kEnded once the value is complete.  The call itself is not ended.
  ReadResult read(const ReadInput& input, CallWriter& out);

 private:
  ReadResult read_object(const ReadInput& input, CallWriter& out);
  ReadResult read_other(const ReadInput& input, CallWriter& out);
  ReadResult read_broken(const ReadInput& input, CallWriter& out) const;

  std::string_view close_;
  JsonScanner scanner_;
  std::size_t n_scanned_ = 0;  // Of what is not consumed yet.
  bool has_begun_ = false, is_object_ = false, is_broken_ = false;
};

}  // namespace hearth::text
