// Values as text: Python's str() and repr(), and JSON as json.dumps writes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace hearth::text::jinja {

std::string integer_text(WideInt value);
// The shortest text that reads back as the same double, laid out as Python's repr does.
std::string float_text(double value);

// The exponent of a float in scientific form: -7 of "1.5e-07".
int exponent_of(std::string_view scientific);

// str(value) and repr(value).
void add_str(TextBuilder& out, const Value& value);
void add_repr(TextBuilder& out, const Value& value);
// repr() of a string; with `ascii_only`, ascii() of it.
void add_quoted(TextBuilder& out, std::string_view text, bool ascii_only = false);
// str(value) as a value: strings pass through, markup becomes plain.
Result<Value> to_str(Runtime& runtime, const Value& value);
// The same, but markup stays markup (Jinja's soft_str).
Result<Value> to_soft_str(Runtime& runtime, const Value& value);

// `text` with & < > ' " as HTML entities; markup passes through.
Result<Value> escape_html(Runtime& runtime, const Value& value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // One level; absent: everything on one line.
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// kInvalidArgument for what JSON has no form for (undefined, generators, macros, ...).
Result<Value> to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace hearth::text::jinja
