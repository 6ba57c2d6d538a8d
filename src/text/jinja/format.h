// Python's two ways to format text: `"%s" % value` and `"{}".format(value)`.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace hearth::text::jinja {

// Widths and precisions larger than this are refused.
inline constexpr int kFormatWidthMax = 1'000'000;
inline constexpr int kFormatPrecisionMax = 1'000;

// `format % arguments`: a tuple gives one argument each, a dict gives them by name, anything
// else is the only one.
Result<Value> percent_format(Runtime& runtime, const Value& format, const Value& arguments);

// `format.format(...)`; fields reach attributes and items as templates do.
Result<Value> brace_format(Runtime& runtime, const Value& format, const CallArguments& arguments);

// format(value, spec), the mini-language behind the colon of a brace field.
Result<std::string> format_value(Runtime& runtime, const Value& value, std::string_view spec);

// Pads `text` to `width` code points; `align` is one of < > ^.
std::string pad(std::string_view text, std::int64_t width, char align, std::string_view fill = " ");

// A float in printf's style: `type` is one of e E f F g G.
std::string float_digits(double value, char type, int precision, bool alternate);

// Digits of a magnitude in base 2, 8, 10 or 16.
std::string integer_digits(unsigned __int128 magnitude, unsigned base);

}  // namespace hearth::text::jinja
