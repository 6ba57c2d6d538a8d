#include "compute/draw.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace hearth::compute {
namespace {

constexpr std::array<std::string_view, kSizeKinds> kSizeNames = {
    "mixed", "ones", "empty", "primes", "powers of two", "beside powers of two", "huge"};
constexpr std::array<std::int64_t, 14> kPrimes = {2,  3,  5,  7,   11,  13,  17,
                                                  31, 61, 67, 127, 131, 257, 1009};
constexpr int kAttemptsMax = 400;

std::int64_t draw_size(Sizes sizes, Dice& dice) {
  switch (sizes) {
    case Sizes::kOnes:
      return 1;
    case Sizes::kEmpty:
      return 0;
    case Sizes::kPrimes:
      return kPrimes[static_cast<std::size_t>(dice.between(0, kPrimes.size() - 1))];
    case Sizes::kPowers:
      return std::int64_t{1} << dice.between(0, 10);
    case Sizes::kBesidePowers:
      return (std::int64_t{1} << dice.between(2, 10)) + (dice.coin() ? 1 : -1);
    default:
      break;
  }
  // Small ones, and multiples of powers of two, which preconditions often ask for.
  const std::int64_t small = dice.between(1, 40);
  return dice.coin() ? small : small << dice.between(0, 7);
}

// Which symbols are sizes: those that an extent uses.
std::vector<bool> size_symbols(const Signature& signature) {
  std::vector<bool> are_sizes(signature.symbols.size(), false);
  for (const Parameter& parameter : signature.parameters) {
    for (const Expression& extent : parameter.extents) {
      for (const std::size_t symbol : extent.symbols_used()) are_sizes[symbol] = true;
    }
  }
  return are_sizes;
}

// Draws symbols that are no sizes, and those that have a range, from the sizes that there are.
Result<> draw_ranged(const Contract& contract, std::vector<std::int64_t>& symbols, Dice& dice) {
  const Signature& signature = contract.signature;
  const std::vector<bool> are_sizes = size_symbols(signature);
  for (std::size_t i = 0; i < signature.n_scalar_symbols; ++i) {
    const ValueRange* const range = contract.range_of(signature.symbols[i]);
    if (range == nullptr) {
      if (!are_sizes[i]) symbols[i] = dice.between(1, 16);
      continue;
    }
    HEARTH_TRY(const std::int64_t low, range->low_of->value(symbols));
    HEARTH_TRY(const std::int64_t high, range->high_of->value(symbols));
    if (low > high) return fail(Code::kNotFound, "an empty range");
    symbols[i] = are_sizes[i] ? std::clamp(symbols[i], low, high) : dice.between(low, high);
  }
  return {};
}

std::int64_t work_of(const Contract& contract, std::span<const std::int64_t> symbols,
                     const std::vector<bool>& are_sizes) {
  std::int64_t work = 1;
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    const bool is_over =
        are_sizes[i] && __builtin_mul_overflow(work, std::max<std::int64_t>(symbols[i], 1), &work);
    if (is_over) return INT64_MAX;
  }
  const auto flops = flops_of(contract, symbols);
  return flops ? std::max(work, *flops) : INT64_MAX;
}

Result<> check_sizes(const Contract& contract, std::span<const std::int64_t> symbols,
                     const DrawLimits& limits) {
  for (const Expression& precondition : contract.preconditions) {
    HEARTH_TRY(const std::int64_t holds, precondition.value(symbols));
    if (holds == 0)
      return fail(Code::kNotFound, fmt::format("'{}' does not hold", precondition.text()));
  }
  std::int64_t bytes = 0;
  for (const Parameter& parameter : contract.signature.parameters) {
    if (!parameter.is_tensor()) continue;
    HEARTH_TRY(const auto shape, shape_of(parameter, symbols));
    bytes += Tensor{.type = parameter.type, .shape = shape}.n_elements() *
             static_cast<std::int64_t>(type_info(parameter.type).bytes);
    if (bytes > limits.bytes_max) return fail(Code::kNotFound, "too many bytes");
  }
  if (work_of(contract, symbols, size_symbols(contract.signature)) > limits.work_max)
    return fail(Code::kNotFound, "too much work");
  return {};
}

// Doubles sizes, one after another, as far as the limits let it, then makes them odd where they may
// be.
std::vector<std::int64_t> grow(const Contract& contract, std::vector<std::int64_t> symbols,
                               const DrawLimits& limits, Dice& dice) {
  const std::vector<bool> are_sizes = size_symbols(contract.signature);
  const auto n = static_cast<std::int64_t>(symbols.size());
  for (int failed = 0; n > 0 && failed < 24;) {
    const auto i = static_cast<std::size_t>(dice.between(0, n - 1));
    std::vector<std::int64_t> larger = symbols;
    larger[i] = std::max<std::int64_t>(larger[i], 1) * 2;
    const bool fits = are_sizes[i] && larger[i] <= (std::int64_t{1} << 40) &&
                      check_sizes(contract, larger, limits);
    if (fits) symbols = larger;
    failed = fits ? 0 : failed + 1;
  }
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    std::vector<std::int64_t> odd = symbols;
    if (are_sizes[i] && odd[i] > 8) odd[i] -= 2 * dice.between(0, 2) + 1;
    if (check_sizes(contract, odd, limits)) symbols = odd;
  }
  return symbols;
}

// A float in [low, high] that its type can hold.
double draw_float(const ValueRange* range, ElementType type, Values values, Dice& dice) {
  const double low = range != nullptr ? range->low : -1, high = range != nullptr ? range->high : 1;
  double value = low + (high - low) * dice.unit();
  if (values == Values::kWide && range == nullptr) {
    value = std::ldexp(1 + dice.unit(), static_cast<int>(dice.between(-12, 12))) *
            (dice.coin() ? 1 : -1);
  }
  if (values == Values::kCorners && dice.between(0, 1) == 0) {
    const double corners[] = {low, high, std::clamp(0.0, low, high), std::clamp(-0.0, low, high),
                              std::clamp(1.0, low, high)};
    value = corners[dice.between(0, 4)];
  }
  if (type == ElementType::kF32) {
    value = static_cast<double>(static_cast<float>(value));
    if (value > high)
      value = static_cast<double>(std::nextafter(static_cast<float>(value), -INFINITY));
    if (value < low)
      value = static_cast<double>(std::nextafter(static_cast<float>(value), INFINITY));
  }
  return value;
}

struct IntegerRange {
  std::int64_t low, high;
};

Result<IntegerRange> integer_range(const ValueRange* range, ElementType type,
                                   std::span<const std::int64_t> symbols) {
  const bool is_signed = type_info(type).is_signed;
  if (range == nullptr) return IntegerRange{is_signed ? -100 : 0, 100};
  HEARTH_TRY(const std::int64_t low, range->low_of->value(symbols));
  HEARTH_TRY(const std::int64_t high, range->high_of->value(symbols));
  const auto bits = static_cast<int>(type_info(type).bytes * 8);
  const std::int64_t least =
      is_signed ? (bits == 64 ? INT64_MIN : -(std::int64_t{1} << (bits - 1))) : 0;
  const std::int64_t most = is_signed
                                ? (bits == 64 ? INT64_MAX : (std::int64_t{1} << (bits - 1)) - 1)
                                : (bits == 64 ? INT64_MAX : (std::int64_t{1} << bits) - 1);
  // 2^53: what passes through a double exactly.
  return IntegerRange{std::clamp(low, std::max(least, -(std::int64_t{1} << 53)), most),
                      std::clamp(high, least, std::min(most, std::int64_t{1} << 53))};
}

Result<double> draw_element(const Contract& contract, const Parameter& parameter,
                            std::span<const std::int64_t> symbols, Values values, Dice& dice) {
  const ValueRange* const range = contract.range_of(parameter.name);
  if (type_info(parameter.type).is_float) return draw_float(range, parameter.type, values, dice);
  HEARTH_TRY(const IntegerRange bounds, integer_range(range, parameter.type, symbols));
  if (bounds.low > bounds.high)
    return fail(Code::kInvalidArgument,
                fmt::format("the range of '{}' is empty at these sizes", parameter.name));
  if (values == Values::kCorners && dice.coin())
    return static_cast<double>(dice.coin() ? bounds.low : bounds.high);
  return static_cast<double>(dice.between(bounds.low, bounds.high));
}

// Rows with a gap behind them, or columns one after another.
std::vector<std::int64_t> draw_strides(const std::vector<std::int64_t>& shape, Dice& dice) {
  std::vector<std::int64_t> strides = contiguous_strides(shape);
  if (dice.coin()) {
    std::int64_t stride = dice.coin() ? 1 : 2;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      strides[i] = stride;
      stride *= std::max<std::int64_t>(shape[i], 1);
    }
    return strides;
  }
  const std::int64_t gap = dice.between(0, 3);
  for (std::size_t i = 0; i + 1 < shape.size(); ++i)
    strides[i] +=
        gap * std::max<std::int64_t>(strides[i] / std::max<std::int64_t>(shape.back(), 1), 1);
  return strides;
}

}  // namespace

Dice::Dice(std::uint64_t seed) {
  for (std::uint64_t& word : state_) {
    std::uint64_t z = (seed += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    word = z ^ (z >> 31);
  }
}

std::uint64_t Dice::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::int64_t Dice::between(std::int64_t low, std::int64_t high) {
  const std::uint64_t span = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
  const std::uint64_t offset =
      span == 0 ? next() : next() % span;  // The bias does not matter for tests.
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + offset);
}

double Dice::unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

std::string_view sizes_name(Sizes sizes) { return kSizeNames[static_cast<std::size_t>(sizes)]; }

Result<std::vector<std::int64_t>> draw_sizes(const Contract& contract, Sizes sizes,
                                             const DrawLimits& limits, Dice& dice) {
  const std::vector<bool> are_sizes = size_symbols(contract.signature);
  Error last{Code::kNotFound, "nothing was tried"};
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    std::vector<std::int64_t> symbols(contract.signature.symbols.size(), 0);
    for (std::size_t i = 0; i < symbols.size(); ++i) {
      if (are_sizes[i]) symbols[i] = draw_size(sizes, dice);
    }
    Result<> fits = draw_ranged(contract, symbols, dice);
    if (fits) fits = check_sizes(contract, symbols, limits);
    if (!fits) {
      last = fits.error();
      continue;
    }
    if (sizes == Sizes::kHuge) symbols = grow(contract, std::move(symbols), limits, dice);
    return symbols;
  }
  return fail(Code::kNotFound,
              fmt::format("no sizes of the kind '{}' were found that keep the contract: {}",
                          sizes_name(sizes), last.message));
}

Result<TensorData> draw_tensor(const Contract& contract, const Parameter& parameter,
                               std::span<const std::int64_t> symbols, Values values, Dice& dice) {
  HEARTH_TRY(std::vector<std::int64_t> shape, shape_of(parameter, symbols));
  TensorData tensor = make_tensor(parameter.type, std::move(shape));
  const std::int64_t n = parameter.is_read() ? tensor.n_elements() : 0;
  for (std::int64_t i = 0; i < n; ++i) {
    HEARTH_TRY(const double value, draw_element(contract, parameter, symbols, values, dice));
    tensor.set_number(i, value);
  }
  return tensor;
}

Result<double> draw_scalar(const Contract& contract, const Parameter& parameter,
                           std::span<const std::int64_t> symbols, Values values, Dice& dice) {
  return draw_element(contract, parameter, symbols, values, dice);
}

Result<Case> draw_case(const Contract& contract, const std::vector<std::int64_t>& symbols,
                       Values values, Dice& dice) {
  Case out{.what = {}, .symbols = symbols, .tensors = {}, .strides = {}, .reals = {}};
  for (const Parameter& parameter : contract.signature.parameters) {
    if (parameter.is_scalar) {
      if (!type_info(parameter.type).is_float) continue;
      HEARTH_TRY(const double real, draw_scalar(contract, parameter, symbols, values, dice));
      out.reals.push_back(real);
      continue;
    }
    HEARTH_TRY(TensorData tensor, draw_tensor(contract, parameter, symbols, values, dice));
    out.strides.push_back(parameter.is_strided ? draw_strides(tensor.shape, dice)
                                               : std::vector<std::int64_t>{});
    out.tensors.push_back(std::move(tensor));
  }
  return out;
}

Result<std::vector<std::int64_t>> bench_sizes(const Contract& contract, std::int64_t bytes) {
  Dice dice(1);
  const DrawLimits limits{.bytes_max = bytes, .work_max = 100'000'000};
  std::vector<std::int64_t> symbols(contract.signature.symbols.size(), 1);
  if (contract.bench.empty()) {
    HEARTH_TRY(symbols, draw_sizes(contract, Sizes::kHuge, limits, dice));
    return symbols;
  }
  for (const auto& [name, value] : contract.bench) {
    symbols[static_cast<std::size_t>(std::ranges::find(contract.signature.symbols, name) -
                                     contract.signature.symbols.begin())] = value;
  }
  const DrawLimits wide{.bytes_max = std::int64_t{1} << 30, .work_max = std::int64_t{1} << 40};
  if (const auto fits = check_sizes(contract, symbols, wide); !fits) {
    return fail(
        Code::kInvalidArgument,
        fmt::format("the contract's bench does not keep the contract: {}", fits.error().message));
  }
  return symbols;
}

void nudge(const Case& native, Case& oracle, const Signature& signature, bool all_up, Dice& dice) {
  std::size_t at = 0, real = 0;
  for (const Parameter& parameter : signature.parameters) {
    const bool is_float = type_info(parameter.type).is_float;
    const double half_ulp = parameter.type == ElementType::kF32 ? 0x1p-24 : 0x1p-53;
    const auto factor = [&] { return 1 + (all_up || dice.coin() ? half_ulp : -half_ulp); };
    if (parameter.is_scalar) {
      if (is_float) oracle.reals[real++] *= factor();
      continue;
    }
    TensorData& tensor = oracle.tensors[at];
    const std::int64_t n = native.tensors[at++].n_elements();
    for (std::int64_t i = 0; is_float && parameter.is_read() && i < n; ++i) {
      const double value = tensor.number(i);
      double moved = value * factor();
      if (parameter.type == ElementType::kF64)
        moved = std::nextafter(value, all_up || dice.coin() ? INFINITY : -INFINITY);
      tensor.set_number(i, moved);
    }
  }
}

bool change_one_element(const Contract& contract, Case& of, Dice& dice) {
  std::vector<std::pair<const Parameter*, std::size_t>> candidates;
  std::size_t at = 0;
  for (const Parameter& parameter : contract.signature.parameters) {
    if (!parameter.is_tensor()) continue;
    if (parameter.is_read() && of.tensors[at].n_elements() > 0)
      candidates.emplace_back(&parameter, at);
    ++at;
  }
  if (candidates.empty()) return false;
  const auto& [parameter, index] = candidates[static_cast<std::size_t>(
      dice.between(0, static_cast<std::int64_t>(candidates.size()) - 1))];
  TensorData& tensor = of.tensors[index];
  const std::int64_t element = dice.between(0, tensor.n_elements() - 1);
  const double before = tensor.number(element);
  for (int attempt = 0; attempt < 16; ++attempt) {
    const auto drawn = draw_element(contract, *parameter, of.symbols, Values::kEven, dice);
    if (!drawn || *drawn == before) continue;
    tensor.set_number(element, *drawn);
    return true;
  }
  return false;
}

}  // namespace hearth::compute
