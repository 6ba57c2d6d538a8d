// JSON as Python's json.dumps writes it (print.h), and the template's context from JSON.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "text/jinja/context.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace hearth::text::jinja {

namespace {

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style)
      : runtime_(runtime), style_(style), out_(runtime) {}

  Result<> add(const Value& value, unsigned level);
  Result<Value> finish() { return out_.finish(); }

 private:
  Result<> add_array(std::span<const Value> items, unsigned level);
  Result<> add_object(const Dict& dict, unsigned level);
  Result<> add_key(const Value& key);
  void add_string(std::string_view text);
  void add_escape(char32_t code_point);
  void add_float(double value);
  void add_break(unsigned level);

  Runtime& runtime_;
  const JsonStyle& style_;
  TextBuilder out_;
};

bool is_plain(unsigned char c) { return c >= 0x20 && c != '"' && c != '\\' && c < 0x7F; }

void JsonWriter::add_escape(char32_t code) {
  const auto number = static_cast<std::uint32_t>(code);
  switch (code) {
    case '"':
      return out_.add("\\\"");
    case '\\':
      return out_.add("\\\\");
    case '\n':
      return out_.add("\\n");
    case '\r':
      return out_.add("\\r");
    case '\t':
      return out_.add("\\t");
    case '\f':
      return out_.add("\\f");
    case '\b':
      return out_.add("\\b");
    default:
      break;
  }
  if (number <= 0xFFFF) return out_.add(fmt::format("\\u{:04x}", number));
  const std::uint32_t above = number - 0x10000;
  out_.add(fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (above >> 10), 0xDC00 + (above & 0x3FF)));
}

void JsonWriter::add_string(std::string_view text) {
  out_.add('"');
  for (std::size_t i = 0; i < text.size();) {
    std::size_t run = i;
    while (run < text.size() && is_plain(static_cast<unsigned char>(text[run]))) ++run;
    out_.add(text.substr(i, run - i));
    if (run == text.size()) break;
    const Utf8Char c = decode_utf8(text.substr(run));
    if (c.code_point >= 0x7F && !style_.ensure_ascii) {
      out_.add(text.substr(run, c.length));
    } else {
      add_escape(c.code_point);
    }
    i = run + c.length;
  }
  out_.add('"');
}

void JsonWriter::add_float(double value) {
  if (std::isnan(value)) return out_.add("NaN");
  if (std::isinf(value)) return out_.add(value < 0 ? "-Infinity" : "Infinity");
  out_.add(float_text(value));
}

void JsonWriter::add_break(unsigned level) {
  if (!style_.indent) return;
  out_.add('\n');
  out_.add_times(*style_.indent, level);
}

Result<> JsonWriter::add_array(std::span<const Value> items, unsigned level) {
  if (items.empty()) return out_.add("[]"), Result<>{};
  out_.add('[');
  for (std::size_t i = 0; i < items.size() && !out_.is_full(); ++i) {
    if (i > 0) out_.add(style_.item_separator);
    add_break(level + 1);
    HEARTH_TRY_VOID(add(items[i], level + 1));
  }
  add_break(level);
  out_.add(']');
  return {};
}

Result<> JsonWriter::add_key(const Value& key) {
  switch (key.kind()) {
    case Kind::kString:
      return add_string(key.text()), Result<>{};
    case Kind::kNone:
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kWideInt:
    case Kind::kFloat:
      out_.add('"');
      HEARTH_TRY_VOID(add(key, 0));
      out_.add('"');
      return {};
    default:
      return template_error(
          fmt::format("keys must be str, int, float, bool or None, not {}", type_name(key)));
  }
}

Result<> JsonWriter::add_object(const Dict& dict, unsigned level) {
  if (dict.size == 0) return out_.add("{}"), Result<>{};
  std::vector<DictEntry> entries(dict.span().begin(), dict.span().end());
  if (style_.sort_keys) {
    HEARTH_TRY_VOID(sort_by(runtime_, entries, [](const DictEntry& e) { return e.key; }));
  }
  out_.add('{');
  for (std::size_t i = 0; i < entries.size() && !out_.is_full(); ++i) {
    if (i > 0) out_.add(style_.item_separator);
    add_break(level + 1);
    HEARTH_TRY_VOID(add_key(entries[i].key));
    out_.add(style_.key_separator);
    HEARTH_TRY_VOID(add(entries[i].value, level + 1));
  }
  add_break(level);
  out_.add('}');
  return {};
}

Result<> JsonWriter::add(const Value& value, unsigned level) {
  switch (value.kind()) {
    case Kind::kNone:
      return out_.add("null"), Result<>{};
    case Kind::kBool:
      return out_.add(value.as_bool() ? "true" : "false"), Result<>{};
    case Kind::kInt:
    case Kind::kWideInt:
      return out_.add(integer_text(value.as_wide())), Result<>{};
    case Kind::kFloat:
      return add_float(value.as_float()), Result<>{};
    case Kind::kString:
      return add_string(value.text()), Result<>{};
    case Kind::kList:
    case Kind::kTuple:
      return add_array(value.sequence().span(), level);
    case Kind::kDict:
      return add_object(value.dict(), level);
    default:
      return template_error(
          fmt::format("Object of type {} is not JSON serializable", type_name(value)));
  }
}

}  // namespace

Result<Value> to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  JsonWriter writer(runtime, style);
  HEARTH_TRY_VOID(writer.add(value, 0));
  return writer.finish();
}

// --- The context ---------------------------------------------------------------------------

namespace {

using Json = nlohmann::ordered_json;

Result<Value> string_from_json(Runtime& runtime, const std::string& text) {
  if (text.size() > runtime.limits().memory_bytes_max) {
    return fail(Code::kOutOfBudget,
                fmt::format("a text of {} bytes in the context: the limit is {}", text.size(),
                            runtime.limits().memory_bytes_max));
  }
  if (is_ascii(text) || is_valid_utf8(text)) return Value::string(text);
  return runtime.string(sanitize_utf8(text));
}

Result<Value> value_from_json(Runtime& runtime, const Json& json, std::uint32_t depth);

Result<Value> list_from_json(Runtime& runtime, const Json& json, std::uint32_t depth) {
  std::vector<Value> items;
  items.reserve(json.size());
  for (const Json& element : json) {
    HEARTH_TRY(const Value item, value_from_json(runtime, element, depth + 1));
    items.push_back(item);
  }
  return runtime.list(items);
}

Result<Value> dict_from_json(Runtime& runtime, const Json& json, std::uint32_t depth) {
  auto* dict = runtime.arena.make<Dict>();
  for (const auto& member : json.items()) {
    HEARTH_TRY(const Value key, string_from_json(runtime, member.key()));
    HEARTH_TRY(const Value value, value_from_json(runtime, member.value(), depth + 1));
    dict->set(runtime.arena, key, value);
  }
  return runtime.dict(dict);
}

Result<Value> value_from_json(Runtime& runtime, const Json& json, std::uint32_t depth) {
  if (depth > kNestingMax) {
    return template_error(fmt::format("the context nests deeper than {} levels", kNestingMax));
  }
  HEARTH_TRY_VOID(runtime.charge(1));
  switch (json.type()) {
    case Json::value_t::null:
      return Value::none();
    case Json::value_t::boolean:
      return Value::boolean(json.get<bool>());
    case Json::value_t::number_integer:
      return Value::integer(json.get<std::int64_t>());
    case Json::value_t::number_unsigned:
      return Value::wide(runtime.arena, json.get<std::uint64_t>());
    case Json::value_t::number_float:
      return Value::real(json.get<double>());
    case Json::value_t::string:
      return string_from_json(runtime, json.get_ref<const std::string&>());
    case Json::value_t::array:
      return list_from_json(runtime, json, depth);
    case Json::value_t::object:
      return dict_from_json(runtime, json, depth);
    case Json::value_t::binary:
    case Json::value_t::discarded:
      break;
  }
  return template_error("the context holds a value that JSON has no text form for");
}

}  // namespace

Result<Value> from_json(Runtime& runtime, const Json& json) {
  return value_from_json(runtime, json, 1);
}

}  // namespace hearth::text::jinja
