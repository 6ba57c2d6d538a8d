// Filters on lists, dicts and other things that can be walked.
#include <algorithm>

#include <fmt/format.h>

#include "text/jinja/filters.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace hearth::text::jinja {

namespace {

using Args = std::span<const Value>;

Result<Value> count(Runtime& runtime, Args args) {
  if (args[0].is_string()) HEARTH_TRY_VOID(runtime.charge_text(args[0].text().size()));
  HEARTH_TRY(const std::int64_t size, length(args[0]));
  return Value::integer(size);
}

Result<Value> first(Runtime& runtime, Args args) {
  HEARTH_TRY(Iteration iteration, Iteration::over(args[0]));
  Value item;
  if (iteration.next(runtime, item)) return item;
  return Value::undefined(UndefinedBecause::kHint, "No first item, sequence was empty.");
}

std::unexpected<Error> not_reversible(const Value& value) {
  return template_error(fmt::format("'{}' object is not reversible", type_name(value)));
}

Result<Value> last(Runtime& runtime, Args args) {
  if (args[0].is(Kind::kIterator)) return not_reversible(args[0]);
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, args[0]));
  if (!items.empty()) return items.back();
  return Value::undefined(UndefinedBecause::kHint, "No last item, sequence was empty.");
}

Result<Value> reverse(Runtime& runtime, Args args) {
  if (args[0].is_string()) {
    const Value step = Value::integer(-1);
    return get_slice(runtime, args[0], Value::none(), Value::none(), step);
  }
  HEARTH_TRY(std::vector<Value> items, collect(runtime, args[0]));
  std::reverse(items.begin(), items.end());
  if (args[0].is(Kind::kIterator)) return runtime.list(items);
  return runtime.iterator("list_reverseiterator", items);
}

Result<Value> to_list(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, args[0]));
  return runtime.list(items);
}

Result<Value> items(Runtime& runtime, Args args) {
  if (args[0].is_undefined()) return runtime.iterator("generator", {});
  if (!args[0].is(Kind::kDict)) return template_error("Can only get item pairs from a mapping.");
  const Value view = Value::view(runtime.arena.make<DictView>(&args[0].dict(), ViewOf::kItems));
  HEARTH_TRY(const std::vector<Value> pairs, collect(runtime, view));
  return runtime.iterator("generator", pairs);
}

Result<Value> join(Runtime& runtime, Args args) {
  Value separator = Value::string("");
  if (!args[1].is_missing()) {
    HEARTH_TRY(separator, to_str(runtime, args[1]));
  }
  const AttributePath path = AttributePath::parse(args[2]);
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, args[0]));
  TextBuilder out(runtime);
  for (std::size_t i = 0; i < items.size() && !out.is_full(); ++i) {
    if (i > 0) out.add(separator.text());
    HEARTH_TRY(const Value item, path.get(runtime, items[i]));
    add_str(out, item);
  }
  return out.finish();
}

Result<Value> sum(Runtime& runtime, Args args) {
  const AttributePath path = AttributePath::parse(args[1]);
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, args[0]));
  Value total = args[2].is_missing() ? Value::integer(0) : args[2];
  if (total.is_string()) return template_error("sum() can't sum strings [use ''.join(seq)]");
  for (const Value& item : items) {
    HEARTH_TRY(const Value value, path.get(runtime, item));
    HEARTH_TRY(total, binary(runtime, BinaryOp::kAdd, total, value));
  }
  return total;
}

// Lists of `linecount` items each, the last one filled up.
Result<Value> batch(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::int64_t width, to_index(args[1], "batch()'s size"));
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, args[0]));
  std::vector<Value> batches;
  if (width == 0 && !items.empty()) {
    // Jinja finds its first list full before anything is in it, and never again.
    HEARTH_TRY(const Value empty, runtime.list({}));
    batches.push_back(empty);
  }
  const auto step = static_cast<std::size_t>(width > 0 ? width : INT64_MAX);
  for (std::size_t i = 0; i < items.size(); i += std::min(step, items.size())) {
    const std::size_t size = std::min(step, items.size() - i);
    std::vector<Value> line(items.begin() + static_cast<std::ptrdiff_t>(i),
                            items.begin() + static_cast<std::ptrdiff_t>(i + size));
    if (is_given(args[2]) && width > 0) {
      HEARTH_TRY_VOID(runtime.reserve_items(step));
      line.resize(step, args[2]);
    }
    HEARTH_TRY(const Value list, runtime.list(line));
    batches.push_back(list);
  }
  return runtime.iterator("generator", batches);
}

// `slices` lists of nearly equal size, the earlier ones longer.
Result<Value> slice(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::int64_t n_slices, to_index(args[1], "slice()'s count"));
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, args[0]));
  if (n_slices == 0) return template_error("division by zero");
  if (n_slices < 0) return runtime.iterator("generator", {});
  const auto count = static_cast<std::size_t>(n_slices);
  HEARTH_TRY_VOID(runtime.reserve_items(count));
  HEARTH_TRY_VOID(runtime.charge(count));
  const std::size_t base = items.size() / count, n_longer = items.size() % count;
  std::vector<Value> slices;
  std::size_t start = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t size = base + (i < n_longer ? 1 : 0);
    std::vector<Value> part(items.begin() + static_cast<std::ptrdiff_t>(start),
                            items.begin() + static_cast<std::ptrdiff_t>(start + size));
    if (is_given(args[2]) && i >= n_longer) part.push_back(args[2]);
    HEARTH_TRY(const Value list, runtime.list(part));
    slices.push_back(list);
    start += size;
  }
  return runtime.iterator("generator", slices);
}

constexpr FunctionSpec kSequenceFilters[] = {
    {"batch", "linecount [fill_with]", batch},
    {"count", "", count},
    {"first", "", first},
    {"items", "", items},
    {"join", "[d] [attribute]", join},
    {"last", "", last},
    {"length", "", count},
    {"list", "", to_list},
    {"reverse", "", reverse},
    {"slice", "slices [fill_with]", slice},
    {"sum", "[attribute] [start]", sum},
};

}  // namespace

std::span<const FunctionSpec> sequence_filters() { return kSequenceFilters; }

}  // namespace hearth::text::jinja
