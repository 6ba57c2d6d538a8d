// Operations on text that filters and methods share.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace hearth::text::jinja {

// The first (last) place of `what` in `text`, or npos, in time linear in both: templates choose
// the two, and the usual search is quadratic at worst.
std::size_t find_text(std::string_view text, std::string_view what, std::size_t from = 0);
std::size_t find_last_text(std::string_view text, std::string_view what);

// Splits at line ends of every kind that Unicode knows, as str.splitlines.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends = false);

// str.split and str.rsplit: at white space without a separator; `splits_max` < 0 for no limit.
std::vector<std::string_view> split_space(std::string_view text, std::int64_t splits_max);
std::vector<std::string_view> split_space_from_right(std::string_view text,
                                                     std::int64_t splits_max);
// `separator` must not be empty.
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       std::int64_t splits_max);
std::vector<std::string_view> split_at_from_right(std::string_view text, std::string_view separator,
                                                  std::int64_t splits_max);

// str.replace; `count_max` < 0 for no limit.
Result<Value> replace_text(Runtime& runtime, std::string_view text, std::string_view from,
                           std::string_view to, std::int64_t count_max, bool is_markup = false);

// int(text, base) and float(text): absent where Python raises ValueError.  kInvalidArgument where
// the number outgrows 128 bits.
Result<std::optional<WideInt>> parse_integer(std::string_view text, unsigned base);
std::optional<double> parse_float(std::string_view text);

// A list of strings, markup if `is_markup`.
Result<Value> list_of_texts(Runtime& runtime, const std::vector<std::string_view>& texts,
                            bool is_markup = false);

}  // namespace hearth::text::jinja
