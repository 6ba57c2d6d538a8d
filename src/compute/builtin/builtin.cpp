#include "compute/builtin/builtin.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "compute/builtin/rows.h"

namespace hearth::compute {
namespace {

// A row with its texts parsed: a mistake in them is a bug, which the first look at the table finds.
struct ParsedRow {
  Signature signature;
  Expression flops;
  Expression bytes;
};

template <class T>
T known_good(Result<T> parsed) {
  HEARTH_CHECK(parsed.has_value());
  return *std::move(parsed);
}

ParsedRow parse_row(const Builtin& row) {
  Signature signature = known_good(parse_signature(row.signature));
  Expression flops = known_good(Expression::parse(row.flops, signature.symbols));
  Expression bytes = known_good(Expression::parse(row.bytes, signature.symbols));
  return {std::move(signature), std::move(flops), std::move(bytes)};
}

const ParsedRow& parsed(const Builtin& builtin) {
  static const std::map<std::string_view, ParsedRow> kRows = [] {
    std::map<std::string_view, ParsedRow> rows;
    for (const Builtin& row : builtins()) rows.emplace(row.name, parse_row(row));
    return rows;
  }();
  return kRows.at(builtin.name);
}

}  // namespace

std::span<const Builtin> builtins() {
  static const std::vector<Builtin> kAll = [] {
    std::vector<Builtin> all;
    for (const auto family : {elementwise_rows(), reduce_rows(), linear_rows(), stencil_rows(),
                              library_rows()}) {
      all.insert(all.end(), family.begin(), family.end());
    }
    return all;
  }();
  return kAll;
}

const Builtin* find_builtin(std::string_view name) {
  const auto found = std::ranges::find(builtins(), name, &Builtin::name);
  return found == builtins().end() ? nullptr : &*found;
}

const Signature& signature_of(const Builtin& builtin) { return parsed(builtin).signature; }

Result<Cost> cost_of(const Builtin& builtin, const Bindings& arguments) {
  Cost cost;
  HEARTH_TRY(cost.flops, parsed(builtin).flops.value(arguments.symbols()));
  HEARTH_TRY(cost.bytes, parsed(builtin).bytes.value(arguments.symbols()));
  return cost;
}

Result<> run_builtin(const Builtin& builtin, std::span<const Argument> arguments,
                     const Workers& workers) {
  HEARTH_TRY(const Bindings bound, bind_arguments(signature_of(builtin), arguments));
  return run_builtin(builtin, bound, workers);
}

Result<> run_builtin(const Builtin& builtin, const Bindings& arguments, const Workers& workers) {
  HEARTH_TRY_VOID(builtin.run(arguments, workers));
  if (!workers.gave_up()) return {};
  return fail(Code::kCancelled, fmt::format("{} was given up for a newer run", builtin.name));
}

}  // namespace hearth::compute
