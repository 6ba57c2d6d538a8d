// Calls as JSON objects: {"name": "get_weather", "arguments": {"city": "Oslo"}}.
//
// Families differ in how they name the members and in what else they put there; models differ
// from their own family.  So all names are known for all of them, and a member that none of
// them has says that this is some other JSON.  Where the name comes before the arguments,
// which is nearly always, arguments are streamed.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "text/answer/call_reader.h"

namespace hearth::text {
namespace {

constexpr auto kNameKeys = std::to_array<std::string_view>({"name", "tool_name", "function"});
constexpr auto kArgumentKeys = std::to_array<std::string_view>({"arguments", "parameters", "args"});
constexpr auto kOtherKeys = std::to_array<std::string_view>({"id", "type", "tool_call_id", "call_id"});

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& keys, std::string_view key) {
  return std::ranges::find(keys, key) != keys.end();
}

enum class Seen : std::uint8_t { kTooLittle, kNoCall, kHeader, kWhole };

// A call's object as far as it is there.
struct Envelope {
  Seen seen = Seen::kTooLittle;
  std::string name;
  std::size_t arguments_at = 0;      // kHeader: where the value begins.
  std::string_view arguments;        // kWhole: the value; empty for none.
  std::size_t size = 0;              // kWhole: of the object.
};

// Walks over a JSON object's members; `at` is behind the opening bracket at first.
class Members {
 public:
  explicit Members(std::string_view text) : text_(text) {}

  // The next member's key, or nothing: see `is_bad`, `is_over`, else there is too little text.
  std::optional<std::string> next_key() {
    skip();
    if (at_ == text_.size()) return {};
    if (text_[at_] == '}') {
      is_over = true;
      ++at_;
      return {};
    }
    if (!is_first_ && !take(',')) return {};
    is_first_ = false;
    skip();
    if (at_ == text_.size()) return {};
    if (text_[at_] != '"') return bad();
    const auto key = value();
    if (!key) return {};
    skip();
    if (at_ == text_.size()) return {};
    if (!take(':')) return {};
    skip();
    return parse_text(*key);
  }

  // The value here, once it is complete.
  std::optional<std::string_view> value() {
    const std::size_t length = json_value_length(text_.substr(at_), is_bad);
    if (length == std::string_view::npos) return {};
    const std::string_view found = text_.substr(at_, length);
    at_ += length;
    return found;
  }

  std::optional<std::string> parse_text(std::string_view json) {
    const auto parsed = nlohmann::ordered_json::parse(json, nullptr, false);
    if (!parsed.is_string()) return bad();
    return parsed.get<std::string>();
  }

  std::size_t at() const { return at_; }
  bool is_at_end() const { return at_ == text_.size(); }

  bool is_bad = false;
  bool is_over = false;

 private:
  void skip() { at_ = skip_white_space(text_, at_); }
  bool take(char c) {
    if (text_[at_] == c) ++at_;
    else is_bad = true;
    return !is_bad;
  }
  std::nullopt_t bad() {
    is_bad = true;
    return std::nullopt;
  }

  std::string_view text_;
  std::size_t at_ = 1;
  bool is_first_ = true;
};

Envelope look_at_envelope(std::string_view text) {
  Envelope envelope;
  Members members(text);
  while (const auto key = members.next_key()) {
    const bool is_name = is_one_of(kNameKeys, *key);
    const bool is_arguments = is_one_of(kArgumentKeys, *key);
    if (!is_name && !is_arguments && !is_one_of(kOtherKeys, *key)) {
      envelope.seen = Seen::kNoCall;
      return envelope;
    }
    if (is_arguments && !envelope.name.empty() && !members.is_at_end()) {
      envelope.seen = Seen::kHeader;
      envelope.arguments_at = members.at();
      return envelope;
    }
    const auto value = members.value();
    if (!value) break;
    if (is_arguments) envelope.arguments = *value;
    if (is_name) {
      const auto name = members.parse_text(*value);
      if (!name) break;
      envelope.name = *name;
    }
  }
  envelope.size = members.at();
  if (members.is_over) envelope.seen = envelope.name.empty() ? Seen::kNoCall : Seen::kWhole;
  if (members.is_bad) envelope.seen = Seen::kNoCall;
  return envelope;
}

class JsonReader final : public CallReader {
 public:
  explicit JsonReader(const CallFormat& format) : format_(format), arguments_(format.close) {}

  ReadResult read(const ReadInput& input, CallWriter& out) override {
    switch (stage_) {
      case Stage::kHeader:
        return read_header(input, out);
      case Stage::kArguments: {
        const ReadResult result = arguments_.read(input, out);
        if (result.step != Step::kEnded) return result;
        out.end();
        stage_ = Stage::kRest;
        return {Step::kMore, result.consumed};
      }
      case Stage::kRest:
        return read_rest(input);
    }
    return {Step::kRejected};
  }

  ReadResult resume(const ReadInput& input) override {
    std::size_t at = skip_white_space(input.text);
    if (at == input.text.size()) return {input.is_last ? Step::kEnded : Step::kNeedMore};
    const char c = input.text[at];
    if (c == ']' && is_in_list_) {
      is_in_list_ = false;
      return {Step::kEnded, at + 1};
    }
    const bool is_separator = (c == ',' && is_in_list_) || (c == ';' && format_.may_be_bare);
    if (is_separator) at = skip_white_space(input.text, at + 1);
    if (at == input.text.size()) return {input.is_last ? Step::kEnded : Step::kNeedMore};
    if (input.text[at] != '{') return {Step::kEnded};
    stage_ = Stage::kHeader;
    arguments_ = ArgumentStream(format_.close);
    return {Step::kMore, at};
  }

 private:
  enum class Stage : std::uint8_t { kHeader, kArguments, kRest };

  ReadResult read_header(const ReadInput& input, CallWriter& out) {
    std::size_t at = skip_white_space(input.text);
    const bool is_list = at < input.text.size() && input.text[at] == '[' && !is_in_list_;
    if (is_list) at = skip_white_space(input.text, at + 1);
    if (at == input.text.size()) return {input.is_last ? Step::kRejected : Step::kNeedMore};
    if (input.text[at] != '{') return {Step::kRejected};

    const Envelope envelope = look_at_envelope(input.text.substr(at));
    if (envelope.seen == Seen::kTooLittle) {
      const bool is_hopeless = input.is_last || input.text.size() > kCallHeaderBytesMax;
      return {is_hopeless ? Step::kRejected : Step::kNeedMore};
    }
    const std::string_view name = bare_function_name(envelope.name);
    if (envelope.seen == Seen::kNoCall || !out.is_offered(name)) return {Step::kRejected};
    is_in_list_ = is_in_list_ || is_list;
    out.start(name);
    if (envelope.seen == Seen::kHeader) {
      stage_ = Stage::kArguments;
      return {Step::kMore, at + envelope.arguments_at};
    }
    ArgumentStream whole(format_.close);
    ReadInput rest{.text = envelope.arguments.empty() ? std::string_view("{}") : envelope.arguments,
                   .is_last = true};
    for (ReadResult r{Step::kMore}; r.step == Step::kMore; rest.text.remove_prefix(r.consumed)) {
      r = whole.read(rest, out);
    }
    out.end();
    return {Step::kEnded, at + envelope.size};
  }

  // The object's members behind the arguments, and its end.
  ReadResult read_rest(const ReadInput& input) {
    JsonScanner rest(/*in_object=*/true);
    for (std::size_t i = 0; i < input.text.size(); ++i) {
      const auto verdict = rest.feed(input.text[i]);
      if (verdict == JsonScanner::Verdict::kEnds) return {Step::kEnded, i + 1};
      if (verdict == JsonScanner::Verdict::kBad) return {Step::kEnded, i};
    }
    if (input.is_last) return {Step::kEnded, input.text.size()};
    if (input.text.size() > kCallHeaderBytesMax) return {Step::kEnded};
    return {Step::kNeedMore};
  }

  const CallFormat& format_;
  ArgumentStream arguments_;
  Stage stage_ = Stage::kHeader;
  bool is_in_list_ = false;
};

}  // namespace

std::unique_ptr<CallReader> make_json_reader(const CallFormat& format) {
  return std::make_unique<JsonReader>(format);
}

}  // namespace hearth::text
