// map, select, reject, selectattr, rejectattr: filters that apply other filters and tests.
//
// In Python they are generators and run as their result is walked; here they run at once, and
// the result can still be walked only once.
#include <fmt/format.h>

#include "text/jinja/filters.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace hearth::text::jinja {

namespace {

// A filter or test by the name that a template computed, with the arguments behind the name.
struct Chosen {
  const NativeFunction* function = nullptr;  // Null: truth itself.
  CallArguments arguments;

  Result<Value> apply(Runtime& runtime, const Value& item) const {
    HEARTH_TRY_VOID(runtime.charge(1));
    if (!function) return Value::boolean(truth(item));
    return invoke(runtime, *function, item, arguments);
  }
};

Result<Chosen> choose(const FunctionTable& table, std::string_view what,
                      const CallArguments& arguments, std::size_t at) {
  const Value& name = arguments.positional[at];
  const NativeFunction* function = name.is_string() ? table.find(name.text()) : nullptr;
  if (!function) {
    return template_error(
        fmt::format("no {} named '{}'", what, name.is_string() ? name.text() : type_name(name)));
  }
  return Chosen{function, {arguments.positional.subspan(at + 1), arguments.named}};
}

Result<Value> map_attribute(Runtime& runtime, const std::vector<Value>& items,
                            const CallArguments& arguments) {
  Value attribute, fallback;
  for (const NamedArgument& named : arguments.named) {
    if (named.name == "attribute") {
      attribute = named.value;
    } else if (named.name == "default") {
      fallback = named.value;
    } else {
      return template_error(fmt::format("Unexpected keyword argument '{}'", named.name));
    }
  }
  if (attribute.is_missing()) return template_error("map requires a filter argument");
  const AttributePath path = AttributePath::parse(attribute);
  std::vector<Value> mapped;
  for (const Value& item : items) {
    HEARTH_TRY(const Value value, path.get(runtime, item, fallback));
    mapped.push_back(value);
  }
  return runtime.iterator("generator", mapped);
}

Result<Value> map(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  if (!truth(self)) return runtime.iterator("generator", {});
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, self));
  if (arguments.positional.empty()) return map_attribute(runtime, items, arguments);
  HEARTH_TRY(const Chosen filter, choose(filter_table(), "filter", arguments, 0));
  std::vector<Value> mapped;
  for (const Value& item : items) {
    HEARTH_TRY(const Value value, filter.apply(runtime, item));
    mapped.push_back(value);
  }
  return runtime.iterator("generator", mapped);
}

// Keeps the items for which the test says `kKeep`; with kByAttribute it looks at an attribute.
template <bool kKeep, bool kByAttribute>
Result<Value> select(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  if (!truth(self)) return runtime.iterator("generator", {});
  AttributePath path;
  constexpr std::size_t kTestAt = kByAttribute ? 1 : 0;
  if constexpr (kByAttribute) {
    if (arguments.positional.empty()) {
      return template_error("Missing parameter for attribute name");
    }
    path = AttributePath::parse(arguments.positional.front());
  }
  Chosen test;
  if (arguments.positional.size() > kTestAt) {
    HEARTH_TRY(test, choose(test_table(), "test", arguments, kTestAt));
  }
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, self));
  std::vector<Value> kept;
  for (const Value& item : items) {
    HEARTH_TRY(const Value subject, path.get(runtime, item));
    HEARTH_TRY(const Value verdict, test.apply(runtime, subject));
    if (truth(verdict) == kKeep) kept.push_back(item);
  }
  return runtime.iterator("generator", kept);
}

constexpr FreeFunctionSpec kFreeSequenceFilters[] = {
    {"map", map},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
};

}  // namespace

std::span<const FreeFunctionSpec> free_sequence_filters() { return kFreeSequenceFilters; }

}  // namespace hearth::text::jinja
