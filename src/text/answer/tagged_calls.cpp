// Calls that write each argument between marks, and its value as bare text:
// "<function=get_weather><parameter=city>Oslo</parameter></function>".
//
// The marks say nothing of types, so the function's schema does: what it calls a string is
// one, and goes out escaped as it comes.  Any other value is JSON if it reads as JSON, or the
// way Python prints it (True, None), and otherwise a string after all.  Arguments are written
// out as one JSON object.
#include <algorithm>

#include "text/answer/call_reader.h"

namespace hearth::text {
namespace {

// DeepSeek V4 says in the key's mark whether the value is a text.
constexpr std::string_view kTypeMark = "\" string=\"";

std::string_view python_constant(std::string_view value) {
  if (value == "True") return "true";
  if (value == "False") return "false";
  if (value == "None") return "null";
  return {};
}

std::string_view without_line_ends(std::string_view value) {
  if (value.starts_with('\n')) value.remove_prefix(1);
  if (value.ends_with('\n')) value.remove_suffix(1);
  return value;
}

class TaggedReader final : public CallReader {
 public:
  explicit TaggedReader(const CallFormat& format) : format_(format) {}

  ReadResult read(const ReadInput& input, CallWriter& out) override {
    switch (stage_) {
      case Stage::kName:
        return read_name(input, out);
      case Stage::kBetween:
        return read_between(input, out);
      case Stage::kKey:
        return read_key(input, out);
      case Stage::kValueOpen:
        return skip_mark(input, format_.value_open, Stage::kValue);
      case Stage::kValue:
        return is_text_ ? read_text(input, out) : read_other(input, out);
    }
    return {Step::kRejected};
  }

 private:
  enum class Stage : std::uint8_t { kName, kBetween, kKey, kValueOpen, kValue };

  // The name ends at its mark, or, where there is none, at the first key or the end of the call.
  ReadResult read_name(const ReadInput& input, CallWriter& out) {
    std::size_t end = std::string_view::npos, mark_size = 0;
    if (!format_.name_end.empty()) {
      end = input.text.find(format_.name_end);
      mark_size = format_.name_end.size();
    } else {
      end = std::min({input.text.find('\n'), input.text.find(format_.key_open),
                      input.text.find(format_.close)});
    }
    if (end == std::string_view::npos) {
      const bool is_hopeless = input.is_last || !may_be_function_name(input.text, format_.name_end);
      return {is_hopeless ? Step::kRejected : Step::kNeedMore};
    }
    const std::string_view name = bare_function_name(input.text.substr(0, end));
    if (!may_be_function_name(input.text.substr(0, end), {}) || !out.is_offered(name)) return {Step::kRejected};
    out.start(name);
    out.arguments("{");
    stage_ = Stage::kBetween;
    return {Step::kMore, end + mark_size};
  }

  ReadResult read_between(const ReadInput& input, CallWriter& out) {
    const std::size_t at = skip_white_space(input.text);
    const std::string_view rest = input.text.substr(at);
    if (rest.starts_with(format_.key_open)) {
      stage_ = Stage::kKey;
      return {Step::kMore, at + format_.key_open.size()};
    }
    const bool is_closed = rest.starts_with(format_.close);
    const bool may_go_on = format_.key_open.starts_with(rest) || format_.close.starts_with(rest);
    if (!is_closed && may_go_on && !input.is_last) return {Step::kNeedMore};
    if (!input.is_cut || is_closed) out.arguments("}");
    out.end();
    if (!is_closed && may_go_on) return {Step::kEnded, input.text.size()};  // A mark cut short.
    return {Step::kEnded, is_closed ? at + format_.close.size() : at};
  }

  ReadResult read_key(const ReadInput& input, CallWriter& out) {
    const std::size_t end = input.text.find(format_.key_end);
    if (end == std::string_view::npos) {
      if (!input.is_last && input.text.size() <= kCallHeaderBytesMax) return {Step::kNeedMore};
      stage_ = Stage::kBetween;  // A key that never ends: the call ends before it.
      return {Step::kMore, input.text.size()};
    }
    std::string_view key = input.text.substr(0, end);
    const std::size_t type_at = key.find(kTypeMark);
    const std::string_view type =
        type_at == std::string_view::npos ? "" : key.substr(type_at + kTypeMark.size());
    key = key.substr(0, type_at);
    is_text_ = type == "true" || (type.empty() && out.is_text_argument(key));
    is_exact_ = !type.empty();

    std::string json = n_arguments_++ > 0 ? ", \"" : "\"";
    append_json_escaped(json, key);
    out.arguments(json + (is_text_ ? "\": \"" : "\": "));
    is_at_value_start_ = true;
    stage_ = format_.value_open.empty() ? Stage::kValue : Stage::kValueOpen;
    return {Step::kMore, end + format_.key_end.size()};
  }

  ReadResult skip_mark(const ReadInput& input, std::string_view mark, Stage next) {
    const std::size_t at = skip_white_space(input.text);
    const std::string_view rest = input.text.substr(at);
    const bool is_there = rest.starts_with(mark);
    if (!is_there && !input.is_last && mark.starts_with(rest)) return {Step::kNeedMore};
    stage_ = next;  // A mark that is missing is not missed.
    return {Step::kMore, is_there ? at + mark.size() : 0};
  }

  // A string's text goes out as it comes, but for one line end at either side.
  ReadResult read_text(const ReadInput& input, CallWriter& out) {
    std::string_view text = input.text;
    std::size_t skipped = 0;
    if (is_at_value_start_ && !is_exact_) {
      if (text.empty() && !input.is_last) return {Step::kNeedMore};
      if (text.starts_with('\n')) skipped = 1;
      text.remove_prefix(skipped);
    }
    is_at_value_start_ = false;
    const std::size_t end = text.find(format_.value_close);
    const bool is_closed = end != std::string_view::npos;
    std::string_view value = text.substr(0, end);
    if (!is_closed && !input.is_last) {
      value.remove_suffix(partial_suffix(value, format_.value_close));
      if (!is_exact_ && value.ends_with('\n')) value.remove_suffix(1);
    }
    const std::size_t shown = value.size();
    if (is_closed && !is_exact_ && value.ends_with('\n')) value.remove_suffix(1);
    std::string json;
    append_json_escaped(json, value);
    if (is_closed || (input.is_last && !input.is_cut)) json.push_back('"');
    out.arguments(json);
    if (is_closed) {
      stage_ = Stage::kBetween;
      return {Step::kMore, skipped + end + format_.value_close.size()};
    }
    if (!input.is_last) return {Step::kNeedMore, skipped + shown};
    if (!input.is_cut) out.arguments("}");
    out.end();
    return {Step::kEnded, input.text.size()};
  }

  ReadResult read_other(const ReadInput& input, CallWriter& out) {
    const std::size_t end = input.text.find(format_.value_close, searched_);
    const bool is_closed = end != std::string_view::npos;
    if (!is_closed && !input.is_last) {
      const std::size_t overlap = std::min(input.text.size(), format_.value_close.size());
      searched_ = input.text.size() - overlap;
      return {Step::kNeedMore};
    }
    searched_ = 0;
    const std::string_view value = without_line_ends(input.text.substr(0, end));
    std::string json;
    if (is_json(value)) {
      json = value;
    } else if (const auto constant = python_constant(value); !constant.empty()) {
      json = constant;
    } else {
      json = "\"";
      append_json_escaped(json, value);
      if (is_closed || !input.is_cut) json.push_back('"');
    }
    out.arguments(json);
    if (is_closed) {
      stage_ = Stage::kBetween;
      return {Step::kMore, end + format_.value_close.size()};
    }
    if (!input.is_cut) out.arguments("}");
    out.end();
    return {Step::kEnded, input.text.size()};
  }

  const CallFormat& format_;
  Stage stage_ = Stage::kName;
  std::size_t n_arguments_ = 0;
  std::size_t searched_ = 0;  // Of a value: no closing mark begins before this.
  bool is_text_ = false;
  bool is_exact_ = false;  // The value has no line ends of its own around it.
  bool is_at_value_start_ = false;
};

}  // namespace

std::unique_ptr<CallReader> make_tagged_reader(const CallFormat& format) {
  return std::make_unique<TaggedReader>(format);
}

}  // namespace hearth::text
