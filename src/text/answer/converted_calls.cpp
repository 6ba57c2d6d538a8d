// Calls in a notation of their own, turned into JSON once they are complete.
//
//   Gemma 4   call:get_weather{city:<|"|>Oslo<|"|>,days:[1,2]}
//   LFM 2     [get_weather(city="Oslo", days=[1, 2]), ...]
//
// One reader walks both with a recursive descent; what it can't read is no call, and stays text.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "text/answer/call_reader.h"

namespace hearth::text {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kHeldCallBytesMax = std::size_t{1} << 20;
constexpr unsigned kDepthMax = 64;
constexpr std::string_view kGemmaQuote = "<|\"|>";

// Reads values of both notations: their numbers, lists and mappings are alike.
class Notation {
 public:
  explicit Notation(std::string_view text) : text_(text) {}

  std::size_t at() const { return at_; }
  bool take(std::string_view literal) {
    skip();
    if (!text_.substr(at_).starts_with(literal)) return false;
    at_ += literal.size();
    return true;
  }

  // A name: of a function, an argument, or a key without quotes.
  std::optional<std::string> word(std::string_view stop) {
    skip();
    const std::size_t end = text_.find_first_of(stop, at_);
    if (end == std::string_view::npos || end == at_) return {};
    std::string found(text_.substr(at_, end - at_));
    at_ = end;
    while (!found.empty() && is_white_space(found.back())) found.pop_back();
    return found;
  }

  std::optional<Json> value(unsigned depth = 0) {
    if (depth > kDepthMax) return {};
    skip();
    if (at_ == text_.size()) return {};
    if (take(kGemmaQuote)) return gemma_text();
    const char c = text_[at_];
    if (c == '"' || c == '\'') return python_text(c);
    if (c == '[' || c == '(') return list(c == '[' ? "]" : ")", depth);
    if (c == '{') return mapping(depth);
    return scalar();
  }

  // KEY SEPARATOR VALUE, ... up to `close`, the opening bracket consumed.
  std::optional<Json> members(std::string_view separator, std::string_view close, unsigned depth) {
    Json object = Json::object();
    if (take(close)) return object;
    do {
      if (take(close)) return object;  // A comma before the end.
      const auto key = member_key(separator);
      if (!key || !take(separator)) return {};
      auto item = value(depth + 1);
      if (!item) return {};
      object[*key] = *std::move(item);
    } while (take(","));
    if (!take(close)) return {};
    return object;
  }

 private:
  void skip() { at_ = skip_white_space(text_, at_); }

  std::optional<std::string> member_key(std::string_view separator) {
    skip();
    const bool is_quoted = at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'' ||
                                                  text_.substr(at_).starts_with(kGemmaQuote));
    if (!is_quoted) return word(separator);
    const auto key = value(kDepthMax);
    if (!key || !key->is_string()) return {};
    return key->get<std::string>();
  }

  std::optional<Json> gemma_text() {
    const std::size_t end = text_.find(kGemmaQuote, at_);
    if (end == std::string_view::npos) return {};
    Json found = std::string(text_.substr(at_, end - at_));
    at_ = end + kGemmaQuote.size();
    return found;
  }

  std::optional<Json> python_text(char quote) {
    std::string found;
    for (++at_; at_ < text_.size(); ++at_) {
      char c = text_[at_];
      if (c == quote) {
        ++at_;
        return Json(found);
      }
      if (c == '\\' && at_ + 1 < text_.size()) {
        c = text_[++at_];
        if (c == 'u' && append_escaped_unit(found)) continue;
        const std::size_t known = std::string_view("nrt").find(c);
        if (known != std::string_view::npos) c = "\n\r\t"[known];
      }
      found.push_back(c);
    }
    return {};
  }

  // \uXXXX, or a pair of them; `at_` is at the u, and is left at the last digit.
  bool append_escaped_unit(std::string& out) {
    for (const std::size_t length : {std::size_t{11}, std::size_t{5}}) {
      const std::string json = "\"\\" + std::string(text_.substr(at_, length)) + "\"";
      const Json parsed = Json::parse(json, nullptr, false);
      if (!parsed.is_string() || (length == 11 && json.find("\\u", 3) != 7)) continue;
      out += parsed.get<std::string>();
      at_ += length - 1;
      return true;
    }
    return false;
  }

  std::optional<Json> list(std::string_view close, unsigned depth) {
    ++at_;
    Json items = Json::array();
    if (take(close)) return items;
    do {
      if (take(close)) return items;
      auto item = value(depth + 1);
      if (!item) return {};
      items.push_back(*std::move(item));
    } while (take(","));
    if (!take(close)) return {};
    return items;
  }

  std::optional<Json> mapping(unsigned depth) {
    ++at_;
    return members(":", "}", depth);
  }

  std::optional<Json> scalar() {
    const std::size_t end = std::min(text_.find_first_of(",]})", at_), text_.size());
    std::string_view found = text_.substr(at_, end - at_);
    while (!found.empty() && is_white_space(found.back())) found.remove_suffix(1);
    at_ = end;
    if (found == "True") return Json(true);
    if (found == "False") return Json(false);
    if (found == "None") return Json(nullptr);
    Json parsed = Json::parse(found, nullptr, false);
    if (parsed.is_discarded()) return {};
    return parsed;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

struct ConvertedCall {
  std::string name;
  Json arguments;
};

std::optional<ConvertedCall> read_gemma_call(Notation& notation) {
  const auto name = notation.word("{");
  if (!name || !notation.take("{")) return {};
  auto arguments = notation.members(":", "}", 0);
  if (!arguments) return {};
  return ConvertedCall{*name, *std::move(arguments)};
}

std::optional<ConvertedCall> read_python_call(Notation& notation) {
  const auto name = notation.word("(");
  if (!name || !notation.take("(")) return {};
  auto arguments = notation.members("=", ")", 0);
  if (!arguments) return {};
  return ConvertedCall{*name, *std::move(arguments)};
}

using ReadCall = std::optional<ConvertedCall> (*)(Notation&);

// Holds a call, or a list of calls, up to its closing mark, and gives them out together.
class HeldReader final : public CallReader {
 public:
  HeldReader(const CallFormat& format, ReadCall read_call) : format_(format), read_call_(read_call) {}

  ReadResult read(const ReadInput& input, CallWriter& out) override {
    const std::size_t end = input.text.find(format_.close, searched_);
    if (end == std::string_view::npos && !input.is_last) {
      const std::size_t overlap = std::min(input.text.size(), format_.close.size());
      searched_ = input.text.size() - overlap;
      return {input.text.size() > kHeldCallBytesMax ? Step::kRejected : Step::kNeedMore};
    }
    Notation notation(input.text.substr(0, end));
    const auto calls = read_all(notation, out);
    if (!calls) return {Step::kRejected};
    for (const ConvertedCall& call : *calls) {
      out.start(call.name);
      out.arguments(call.arguments.dump(-1, ' ', false, Json::error_handler_t::replace));
      out.end();
    }
    return {Step::kEnded, notation.at()};
  }

 private:
  std::optional<std::vector<ConvertedCall>> read_all(Notation& notation, const CallWriter& out) const {
    const bool is_list = notation.take("[");
    std::vector<ConvertedCall> calls;
    do {
      auto call = read_call_(notation);
      if (!call) return {};
      call->name = bare_function_name(call->name);
      if (!out.is_offered(call->name)) return {};
      calls.push_back(*std::move(call));
    } while (is_list && notation.take(","));
    if (is_list && !notation.take("]")) return {};
    return calls;
  }

  const CallFormat& format_;
  const ReadCall read_call_;
  std::size_t searched_ = 0;  // The closing mark does not begin before this.
};

}  // namespace

std::unique_ptr<CallReader> make_gemma_reader(const CallFormat& format) {
  return std::make_unique<HeldReader>(format, read_gemma_call);
}

std::unique_ptr<CallReader> make_python_reader(const CallFormat& format) {
  return std::make_unique<HeldReader>(format, read_python_call);
}

}  // namespace hearth::text
