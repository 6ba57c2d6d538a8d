#include "compute/compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

namespace hearth::compute {
namespace {

double largest(ElementType type) {
  return type == ElementType::kF32 ? static_cast<double>(FLT_MAX) : DBL_MAX;
}

double units_off(ElementType type, double found, double expected, double condition) {
  if (std::isnan(expected) || std::isnan(found))
    return std::isnan(expected) && std::isnan(found) ? 0 : INFINITY;
  if (found == expected) return 0;
  // Beyond the type: infinity is right, and so is the largest number, beside which the oracle may
  // lie.
  if (std::abs(expected) >= largest(type))
    return std::abs(found) >= largest(type) * (1 - 0x1p-10) &&
                   std::signbit(found) == std::signbit(expected)
               ? 0
               : INFINITY;
  if (!std::isfinite(condition))
    return 0;  // The inputs' last bits decide whether there is a value at all.
  return std::abs(found - expected) / (ulp_of(type, expected) + condition);
}

double integer_off(const TensorData& found, const TensorData& expected, std::int64_t i) {
  const std::size_t bytes = type_info(found.type).bytes;
  const std::size_t at = static_cast<std::size_t>(i) * bytes;
  return std::memcmp(found.bytes.data() + at, expected.bytes.data() + at, bytes) == 0 ? 0
                                                                                      : INFINITY;
}

}  // namespace

void ErrorHistogram::add(double units) {
  const auto at = std::ranges::lower_bound(kErrorClasses, units) - kErrorClasses.begin();
  ++counts[static_cast<std::size_t>(at)];
  ++n_elements;
  max_units = std::max(max_units, units);
}

void ErrorHistogram::add(const ErrorHistogram& other) {
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  n_elements += other.n_elements;
  max_units = std::max(max_units, other.max_units);
}

double ulp_of(ElementType type, double value) {
  const bool is_f32 = type == ElementType::kF32;
  const double size =
      std::clamp(std::abs(value), is_f32 ? static_cast<double>(FLT_MIN) : DBL_MIN, largest(type));
  return std::ldexp(1.0, std::ilogb(size) - (is_f32 ? 23 : 52));
}

Comparison compare(std::span<const TensorData> found, const Reference& reference) {
  Comparison result;
  for (std::size_t output = 0; output < found.size(); ++output) {
    const TensorData& mine = found[output];
    const TensorData& its = reference.outputs[output];
    const bool is_float = type_info(mine.type).is_float;
    for (std::int64_t i = 0; i < mine.n_elements(); ++i) {
      const double units = is_float
                               ? units_off(mine.type, mine.number(i), its.number(i),
                                           reference.condition[output][static_cast<std::size_t>(i)])
                               : integer_off(mine, its, i);
      result.histogram.add(units);
      if (units > 0 && (!result.worst || units > result.worst->units)) {
        result.worst = Worst{.output = output,
                             .element = i,
                             .units = units,
                             .found = mine.number(i),
                             .expected = its.number(i)};
      }
    }
  }
  return result;
}

std::vector<TensorData> round_to(std::span<const TensorData> results,
                                 std::span<const ElementType> types) {
  std::vector<TensorData> out;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (types[i] == results[i].type) {
      out.push_back(results[i]);
      continue;
    }
    TensorData rounded = make_tensor(types[i], results[i].shape);
    for (std::int64_t k = 0; k < rounded.n_elements(); ++k)
      rounded.set_number(k, results[i].number(k));
    out.push_back(std::move(rounded));
  }
  return out;
}

std::string sentence_of(const Worst& worst, const Parameter& parameter, const TensorData& tensor,
                        std::int64_t allowed) {
  std::vector<std::int64_t> index(tensor.shape.size());
  std::int64_t rest = worst.element;
  for (std::size_t d = index.size(); d-- > 0;) {
    index[d] = rest % tensor.shape[d];
    rest /= tensor.shape[d];
  }
  const std::string where =
      fmt::format("{}[{}] is {:.9g} where the oracle says {:.9g}", parameter.name,
                  fmt::join(index, ", "), worst.found, worst.expected);
  if (!type_info(parameter.type).is_float) return where;
  if (!std::isfinite(worst.units))
    return where + (std::isnan(worst.found) ? " (never written, or not a number)" : "");
  return fmt::format("{}: {:.3g} units in the last place off, {} allowed", where, worst.units,
                     allowed);
}

}  // namespace hearth::compute
