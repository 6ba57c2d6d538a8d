// Global functions: range, dict, namespace, cycler, joiner, and what transformers adds,
// raise_exception and strftime_now.
#include <ctime>

#include <fmt/format.h>

#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/runtime.h"

namespace hearth::text::jinja {

namespace {

using Args = std::span<const Value>;

// Jinja's sandbox has the same limit.
constexpr std::int64_t kRangeMax = 100'000;

Result<Value> range(Runtime& runtime, Args args) {
  std::int64_t bounds[3] = {0, 0, 1};
  const bool only_stop = args[2].is_missing();
  for (std::size_t i = 0; i < 3; ++i) {
    if (args[i + 1].is_missing()) continue;
    HEARTH_TRY(bounds[only_stop ? 1 : i], to_index(args[i + 1], "range()"));
  }
  const auto [start, stop, step] = bounds;
  if (step == 0) return template_error("range() arg 3 must not be zero");
  const WideInt distance = step > 0 ? WideInt{stop} - start : WideInt{start} - stop;
  const WideInt width = step > 0 ? WideInt{step} : -WideInt{step};
  const WideInt size = distance <= 0 ? 0 : (distance + width - 1) / width;
  if (size > kRangeMax) {
    return template_error(fmt::format("a range of more than {} numbers", kRangeMax));
  }
  return Value::range(
      runtime.arena.make<Range>(start, stop, step, static_cast<std::int64_t>(size)));
}

// dict(...): from a dict or from pairs, and keywords on top.
Result<Dict*> make_dict(Runtime& runtime, const CallArguments& arguments) {
  if (arguments.positional.size() > 1) return template_error("dict() takes at most 1 argument");
  auto* dict = runtime.arena.make<Dict>();
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional.front();
    if (source.is(Kind::kDict)) {
      for (const DictEntry& entry : source.dict().span()) {
        dict->set(runtime.arena, entry.key, entry.value);
      }
    } else {
      HEARTH_TRY(const std::vector<Value> pairs, collect(runtime, source));
      for (const Value& pair : pairs) {
        HEARTH_TRY(const std::vector<Value> items, collect(runtime, pair));
        if (items.size() != 2) return template_error("dict() takes pairs of a key and a value");
        if (!hashable(items[0])) {
          return template_error(fmt::format("unhashable type: '{}'", type_name(items[0])));
        }
        dict->set(runtime.arena, items[0], items[1]);
      }
    }
  }
  for (const NamedArgument& named : arguments.named) {
    dict->set(runtime.arena, Value::string(named.name), named.value);
  }
  return dict;
}

Result<Value> dict(Runtime& runtime, const Value&, const CallArguments& arguments) {
  HEARTH_TRY(const Dict* made, make_dict(runtime, arguments));
  return runtime.dict(made);
}

Result<Value> name_space(Runtime& runtime, const Value&, const CallArguments& arguments) {
  HEARTH_TRY(const Dict* attributes, make_dict(runtime, arguments));
  return Value::name_space(runtime.arena.make<Namespace>(*attributes));
}

Result<Value> cycler(Runtime& runtime, const Value&, const CallArguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty()) {
    return template_error("cycler() takes one item or more");
  }
  HEARTH_TRY(const Sequence* items, runtime.sequence(arguments.positional));
  return Value::cycler(runtime.arena.make<Cycler>(items, 0u));
}

Result<Value> joiner(Runtime& runtime, Args args) {
  const Value separator = args[1].is_missing() ? Value::string(", ") : args[1];
  return Value::joiner(runtime.arena.make<Joiner>(separator, false));
}

Result<Value> raise_exception(Runtime& runtime, Args args) {
  HEARTH_TRY(const Value message, to_str(runtime, args[1]));
  Error error{Code::kInvalidArgument, std::string(message.text())};
  runtime.set_raised();
  return std::unexpected(std::move(error));
}

// One directive of a strftime format, such as %d or %-I.
std::string_view take_directive(std::string_view& format) {
  std::size_t end = 1;
  while (end < format.size() && std::string_view("_-0^#EO").find(format[end]) < 7) ++end;
  if (end < format.size()) ++end;
  const std::string_view directive = format.substr(0, end);
  format.remove_prefix(end);
  return directive;
}

Result<Value> strftime_now(Runtime& runtime, Args args) {
  HEARTH_TRY(const Value format, to_soft_str(runtime, args[1]));
  const std::time_t now = runtime.now_unix();
  std::tm utc{};
  if (!gmtime_r(&now, &utc)) return template_error("the time is out of range");
  TextBuilder out(runtime);
  std::string_view rest = format.text();
  while (!rest.empty()) {
    const std::size_t percent = std::min(rest.find('%'), rest.size());
    out.add(rest.substr(0, percent));
    rest.remove_prefix(percent);
    if (rest.empty()) break;
    const std::string_view directive = take_directive(rest);
    // The clock is in whole seconds and, as in transformers, knows no time zone.
    if (directive == "%f") {
      out.add("000000");
    } else if (directive != "%z" && directive != "%Z") {
      char buffer[256];
      const std::string pattern(directive);
      out.add(
          std::string_view(buffer, std::strftime(buffer, sizeof buffer, pattern.c_str(), &utc)));
    }
  }
  return out.finish();
}

constexpr FunctionSpec kGlobals[] = {
    {"range", "start [stop] [step] /", range},
    {"joiner", "[sep]", joiner},
    {"raise_exception", "message", raise_exception},
    {"strftime_now", "format", strftime_now},
};
constexpr FreeFunctionSpec kFreeGlobals[] = {
    {"dict", dict}, {"namespace", name_space}, {"cycler", cycler}};

}  // namespace

const FunctionTable& global_table() {
  static const FunctionTable table({kGlobals}, {kFreeGlobals});
  return table;
}

}  // namespace hearth::text::jinja
