#include "text/answer/call_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace hearth::text {
namespace {

using Json = nlohmann::ordered_json;

bool allows_text(const Json& schema) {
  const auto type = schema.find("type");
  if (type == schema.end()) return false;
  if (type->is_string()) return *type == "string";
  return type->is_array() && std::ranges::find(*type, Json("string")) != type->end();
}

// The members of a function's parameters that are texts.
std::vector<std::string> text_keys_of(const std::string& parameters) {
  std::vector<std::string> keys;
  const Json schema = Json::parse(parameters, nullptr, false);
  if (!schema.is_object()) return keys;
  const auto properties = schema.find("properties");
  if (properties == schema.end() || !properties->is_object()) return keys;
  for (const auto& [key, property] : properties->items()) {
    if (property.is_object() && allows_text(property)) keys.push_back(key);
  }
  return keys;
}

}  // namespace

// ---- CallWriter --------------------------------------------------------------------------------

CallWriter::CallWriter(std::vector<OfferedTool> tools, bool parallel_calls)
    : parallel_calls_(parallel_calls) {
  for (OfferedTool& tool : tools) {
    tools_.push_back({std::move(tool.name), text_keys_of(tool.parameters)});
  }
}

bool CallWriter::is_offered(std::string_view name) const {
  return std::ranges::find(tools_, name, &Tool::name) != tools_.end();
}

bool CallWriter::is_text_argument(std::string_view key) const {
  return tool_ != nullptr && std::ranges::find(tool_->text_keys, key) != tool_->text_keys.end();
}

void CallWriter::start(std::string_view name) {
  tool_ = &*std::ranges::find(tools_, name, &Tool::name);
  ++n_calls_;
  is_in_call_ = true;
  add(AnswerEventKind::kCallStart, name);
}

void CallWriter::arguments(std::string_view json) { add(AnswerEventKind::kArguments, json); }

void CallWriter::end() {
  add(AnswerEventKind::kCallEnd, {});
  is_in_call_ = false;
}

void CallWriter::add(AnswerEventKind kind, std::string_view text) {
  const bool is_of_call = kind != AnswerEventKind::kText && kind != AnswerEventKind::kReasoning;
  if (is_of_call && n_calls_ > 1 && !parallel_calls_) return;
  const bool is_mark = kind == AnswerEventKind::kCallStart || kind == AnswerEventKind::kCallEnd;
  if (text.empty() && !is_mark) return;
  if (!is_mark && !events_->empty() && events_->back().kind == kind) {
    events_->back().text.append(text);
  } else {
    events_->push_back({kind, std::string(text)});
  }
}

// ---- Shared by the readers ---------------------------------------------------------------------

bool is_white_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::size_t skip_white_space(std::string_view text, std::size_t at) {
  while (at < text.size() && is_white_space(text[at])) ++at;
  return at;
}

std::size_t partial_suffix(std::string_view text, std::string_view literal) {
  if (literal.empty()) return 0;
  for (std::size_t n = std::min(text.size(), literal.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == literal.substr(0, n)) return n;
  }
  return 0;
}

std::string_view bare_function_name(std::string_view name) {
  const std::size_t start = skip_white_space(name);
  name.remove_prefix(start);
  while (!name.empty() && is_white_space(name.back())) name.remove_suffix(1);
  constexpr std::string_view kNamespace = "functions.";
  if (name.starts_with(kNamespace)) name.remove_prefix(kNamespace.size());
  return name.substr(0, name.find(':'));
}

bool may_be_function_name(std::string_view name, std::string_view end) {
  name.remove_suffix(partial_suffix(name, end));
  return name.size() <= kFunctionNameBytesMax && std::ranges::none_of(name, [](char c) {
           return c == '{' || c == '}' || c == '"' || c == '(' || c == ')';
         });
}

std::unique_ptr<CallReader> make_call_reader(const CallFormat& format, const ReadInput& input) {
  if (format.or_json) {
    const std::size_t at = skip_white_space(input.text);
    if (at == input.text.size() && !input.is_last) return nullptr;
    const bool is_json = at < input.text.size() && (input.text[at] == '[' || input.text[at] == '{');
    return is_json ? make_json_reader(format) : make_named_reader(format);
  }
  switch (format.syntax) {
    case CallSyntax::kNamed:
      return make_named_reader(format);
    case CallSyntax::kTagged:
      return make_tagged_reader(format);
    case CallSyntax::kGemma:
      return make_gemma_reader(format);
    case CallSyntax::kPython:
      return make_python_reader(format);
    case CallSyntax::kJson:
    case CallSyntax::kChannels:
      break;
  }
  return make_json_reader(format);
}

// ---- ArgumentStream ----------------------------------------------------------------------------

ReadResult ArgumentStream::read(const ReadInput& input, CallWriter& out) {
  if (!has_begun_) {
    const std::size_t at = skip_white_space(input.text);
    if (at == input.text.size()) {
      if (!input.is_last) return {Step::kNeedMore};
      return {Step::kEnded, at};
    }
    has_begun_ = true;
    is_object_ = input.text[at] == '{';
    return {Step::kMore, at};
  }
  if (is_broken_) return read_broken(input, out);
  return is_object_ ? read_object(input, out) : read_other(input, out);
}

ReadResult ArgumentStream::read_object(const ReadInput& input, CallWriter& out) {
  std::string json;
  std::size_t at = 0;
  auto verdict = JsonScanner::Verdict::kMore;
  while (at < input.text.size() && verdict == JsonScanner::Verdict::kMore) {
    const char byte = input.text[at];
    const bool was_in_string = scanner_.in_string();
    verdict = scanner_.feed(byte);
    if (verdict == JsonScanner::Verdict::kBad) break;
    ++at;
    const bool is_raw_control = was_in_string && static_cast<unsigned char>(byte) < 0x20;
    is_raw_control ? append_json_escaped(json, {&byte, 1}) : json.push_back(byte);
  }
  out.arguments(json);
  if (verdict == JsonScanner::Verdict::kEnds) return {Step::kEnded, at};
  if (verdict == JsonScanner::Verdict::kBad) {
    is_broken_ = true;
    return {Step::kMore, at};
  }
  return {input.is_last ? Step::kEnded : Step::kNeedMore, at};
}

// Not an object: null for no arguments, or a text that holds the object.
ReadResult ArgumentStream::read_other(const ReadInput& input, CallWriter& out) {
  auto verdict = JsonScanner::Verdict::kMore;
  while (n_scanned_ < input.text.size() && verdict == JsonScanner::Verdict::kMore) {
    verdict = scanner_.feed(input.text[n_scanned_++]);
  }
  if (verdict == JsonScanner::Verdict::kMore && !input.is_last) return {Step::kNeedMore};
  if (verdict == JsonScanner::Verdict::kEndedBefore) --n_scanned_;
  const std::string_view value = input.text.substr(0, n_scanned_);
  if (verdict == JsonScanner::Verdict::kBad || !is_json(value)) {
    is_broken_ = true;
    return {Step::kMore};
  }
  const Json parsed = Json::parse(value, nullptr, false);
  if (parsed.is_null()) {
    out.arguments("{}");
  } else if (parsed.is_string() && is_json(parsed.get_ref<const std::string&>())) {
    out.arguments(parsed.get_ref<const std::string&>());
  } else {
    out.arguments(value);
  }
  return {Step::kEnded, n_scanned_};
}

ReadResult ArgumentStream::read_broken(const ReadInput& input, CallWriter& out) const {
  const std::size_t end = close_.empty() ? std::string_view::npos : input.text.find(close_);
  if (end != std::string_view::npos) {
    out.arguments(input.text.substr(0, end));
    return {Step::kEnded, end};
  }
  const std::size_t held = input.is_last ? 0 : partial_suffix(input.text, close_);
  const std::size_t n = input.text.size() - held;
  out.arguments(input.text.substr(0, n));
  return {input.is_last ? Step::kEnded : Step::kNeedMore, n};
}

}  // namespace hearth::text
