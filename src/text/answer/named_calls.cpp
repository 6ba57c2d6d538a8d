// Calls that write the name between marks, and the arguments as one JSON object behind it:
// "<function=get_weather>{"city": "Oslo"}</function>".
#include "text/answer/call_reader.h"

namespace hearth::text {
namespace {

// Mistral's newer models put an id of their own behind the name; ours replaces it.
constexpr std::string_view kIdMark = "[CALL_ID]";

class NamedReader final : public CallReader {
 public:
  explicit NamedReader(const CallFormat& format) : format_(format), arguments_(format.close) {}

  ReadResult read(const ReadInput& input, CallWriter& out) override {
    if (!is_started_) return read_name(input, out);
    const bool has_none = !has_arguments_ && is_closed(input);
    if (!has_none) {
      const bool is_blank = skip_white_space(input.text) == input.text.size();
      const ReadResult result = arguments_.read(input, out);
      if (result.step == Step::kEnded) {
        if (!has_arguments_ && is_blank && !input.is_cut) out.arguments("{}");
        out.end();
      }
      has_arguments_ = has_arguments_ || !is_blank;
      return result;
    }
    if (may_become_close(input)) return {Step::kNeedMore};
    out.arguments("{}");
    out.end();
    return {Step::kEnded};
  }

 private:
  ReadResult read_name(const ReadInput& input, CallWriter& out) {
    const std::size_t end = input.text.find(format_.name_end);
    if (end == std::string_view::npos) {
      const bool is_hopeless = input.is_last || !may_be_function_name(input.text, format_.name_end);
      return {is_hopeless ? Step::kRejected : Step::kNeedMore};
    }
    std::string_view name = input.text.substr(0, end);
    if (!may_be_function_name(name, {})) return {Step::kRejected};
    name = bare_function_name(name.substr(0, name.find(kIdMark)));
    if (!format_.text_name.empty() && name == format_.text_name) {
      return {Step::kPlainText, end + format_.name_end.size()};
    }
    if (!out.is_offered(name)) return {Step::kRejected};
    out.start(name);
    is_started_ = true;
    return {Step::kMore, end + format_.name_end.size()};
  }

  // Whether, instead of arguments, the closing mark or its beginning stands there.
  bool is_closed(const ReadInput& input) const {
    if (format_.close.empty()) return false;
    const std::string_view rest = input.text.substr(skip_white_space(input.text));
    return !rest.empty() && (rest.starts_with(format_.close) || may_become_close(input));
  }
  bool may_become_close(const ReadInput& input) const {
    const std::string_view rest = input.text.substr(skip_white_space(input.text));
    return !input.is_last && rest.size() < format_.close.size() && format_.close.starts_with(rest);
  }

  const CallFormat& format_;
  ArgumentStream arguments_;
  bool is_started_ = false;
  bool has_arguments_ = false;
};

}  // namespace

std::unique_ptr<CallReader> make_named_reader(const CallFormat& format) {
  return std::make_unique<NamedReader>(format);
}

}  // namespace hearth::text
