// The rows of the filter table, by topic, and what filters share.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace hearth::text::jinja {

std::span<const FunctionSpec> text_filters();               // filters_text.cpp
std::span<const FreeFunctionSpec> free_text_filters();      // filters_text.cpp
std::span<const FunctionSpec> number_filters();             // filters_number.cpp
std::span<const FunctionSpec> sequence_filters();           // filters_sequence.cpp
std::span<const FunctionSpec> order_filters();              // filters_order.cpp
std::span<const FreeFunctionSpec> free_sequence_filters();  // filters_select.cpp

// Whether an argument was given and is not none: most defaults of filters are none.
inline bool is_given(const Value& value) { return !value.is_missing() && !value.is_none(); }

// The `attribute` argument of filters: "name", "a.b.0", or an integer; none for the item itself.
class AttributePath {
 public:
  static AttributePath parse(const Value& attribute);

  // Follows the path; an undefined step becomes `fallback` where that is given.
  Result<Value> get(Runtime& runtime, const Value& item,
                    const Value& fallback = Value::missing()) const;

 private:
  std::vector<Value> steps_;
};

// Text in lower case, anything else as it is: what comparisons without case use.
Result<Value> ignore_case(Runtime& runtime, const Value& value);

}  // namespace hearth::text::jinja
