#include "text/grammar/json_number.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/grammar/grammar.h"

namespace hearth::text::grammar {
namespace {

constexpr std::uint64_t kOpenMax = 999'999'999'999'999;         // kOpenDigitsMax nines.
constexpr std::uint64_t kIntegerMax = 999'999'999'999'999'999;  // What int64 holds in any case.
static_assert(kOpenDigitsMax == 15);

NodeId digits(Rules& rules, char first, char last) {
  return rules.chars({{static_cast<char32_t>(first), static_cast<char32_t>(last)}});
}

// ---- Whole numbers ----

// Digit strings of one length from `low` to `high`.
NodeId same_length(Rules& rules, std::string_view low, std::string_view high) {
  const auto n_digits = static_cast<std::uint32_t>(low.size());
  const bool is_all = low.find_first_not_of('0') == std::string_view::npos &&
                      high.find_first_not_of('9') == std::string_view::npos;
  if (is_all) return rules.repeat(digits(rules, '0', '9'), n_digits, n_digits);
  const std::string_view low_rest = low.substr(1), high_rest = high.substr(1);
  if (low[0] == high[0]) {
    return rules.sequence({rules.bytes(low.substr(0, 1)), same_length(rules, low_rest, high_rest)});
  }
  const std::string nines(n_digits - 1, '9'), zeros(n_digits - 1, '0');
  std::vector<NodeId> choices = {
      rules.sequence({rules.bytes(low.substr(0, 1)), same_length(rules, low_rest, nines)}),
      rules.sequence({rules.bytes(high.substr(0, 1)), same_length(rules, zeros, high_rest)})};
  if (low[0] + 1 < high[0]) {
    choices.push_back(rules.sequence(
        {digits(rules, static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1)),
         rules.repeat(digits(rules, '0', '9'), n_digits - 1, n_digits - 1)}));
  }
  return rules.choice(std::move(choices));
}

// Numbers without sign or leading zero.
NodeId whole_range(Rules& rules, std::uint64_t low, std::uint64_t high) {
  std::vector<NodeId> choices;
  while (low <= high) {
    const std::string text = std::to_string(low);
    std::uint64_t last_of_length = 9;
    for (std::size_t i = 1; i < text.size(); ++i) last_of_length = last_of_length * 10 + 9;
    last_of_length = std::min(last_of_length, high);
    choices.push_back(same_length(rules, text, std::to_string(last_of_length)));
    low = last_of_length + 1;
  }
  return rules.choice(std::move(choices));
}

NodeId negated(Rules& rules, NodeId number) { return rules.sequence({rules.bytes("-"), number}); }

std::unexpected<Error> nothing_between(const Bounds& bounds) {
  const auto text = [](const std::optional<Bound>& bound) {
    return bound ? fmt::format("{}", static_cast<double>(bound->value)) : std::string("no bound");
  };
  return fail(Code::kInvalidArgument,
              fmt::format("no number that every reader keeps exactly lies between minimum {} and "
                          "maximum {}",
                          text(bounds.low), text(bounds.high)));
}

// ---- Fractions ----

// What may stand behind a whole part: digits behind a point, or also nothing.
struct Fraction {
  bool may_be_empty;
  NodeId digits;
};

class Fractions {
 public:
  Fractions(Rules& rules, std::size_t n_digits_max) : rules_(rules), n_max_(n_digits_max) {}

  Fraction any(std::size_t n_used = 0) const { return {true, some('0', '9', n_used)}; }

  // From `low` on; `low` has no trailing zeros.
  Fraction from(std::string_view low, bool is_exclusive, std::size_t n_used = 0) const {
    if (low.empty()) {
      return is_exclusive ? Fraction{false, not_all_zero(n_used)} : any(n_used);
    }
    std::vector<NodeId> choices = {then(low[0], from(low.substr(1), is_exclusive, n_used + 1))};
    if (low[0] < '9') {
      choices.push_back(then_class(static_cast<char>(low[0] + 1), '9', any(n_used + 1)));
    }
    return {false, rules_.choice(std::move(choices))};
  }

  Fraction to(std::string_view high, bool is_exclusive, std::size_t n_used = 0) const {
    if (high.empty()) {
      if (is_exclusive) return {false, rules_.never()};
      return {true, some('0', '0', n_used)};
    }
    std::vector<NodeId> choices = {then(high[0], to(high.substr(1), is_exclusive, n_used + 1))};
    if (high[0] > '0') {
      choices.push_back(then_class('0', static_cast<char>(high[0] - 1), any(n_used + 1)));
    }
    return {true, rules_.choice(std::move(choices))};
  }

  // Between two fractions of equal length, `low` <= `high`.
  Fraction between(std::string_view low, bool low_exclusive, std::string_view high,
                   bool high_exclusive, std::size_t n_used = 0) const {
    const bool is_low_spent = low.find_first_not_of('0') == std::string_view::npos;
    if (is_low_spent && !low_exclusive) return to(trimmed(high), high_exclusive, n_used);
    if (high.empty()) return {false, rules_.never()};  // Equal, and one of them exclusive.
    if (low[0] == high[0]) {
      return {false, then(low[0], between(low.substr(1), low_exclusive, high.substr(1),
                                          high_exclusive, n_used + 1))};
    }
    std::vector<NodeId> choices = {
        then(low[0], from(trimmed(low.substr(1)), low_exclusive, n_used + 1)),
        then(high[0], to(trimmed(high.substr(1)), high_exclusive, n_used + 1))};
    if (low[0] + 1 < high[0]) {
      choices.push_back(then_class(static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1),
                                   any(n_used + 1)));
    }
    return {false, rules_.choice(std::move(choices))};
  }

  NodeId join(NodeId whole, const Fraction& fraction) const {
    const NodeId with_point = rules_.sequence({rules_.bytes("."), fraction.digits});
    return rules_.sequence(
        {whole, fraction.may_be_empty ? rules_.optional(with_point) : with_point});
  }

  static std::string_view trimmed(std::string_view fraction) {
    const std::size_t last = fraction.find_last_not_of('0');
    return fraction.substr(0, last == std::string_view::npos ? 0 : last + 1);
  }

 private:
  // One to as many digits as are left.
  NodeId some(char first, char last, std::size_t n_used) const {
    if (n_used >= n_max_) return rules_.never();
    return rules_.repeat(digits(rules_, first, last), 1,
                         static_cast<std::uint32_t>(n_max_ - n_used));
  }

  NodeId not_all_zero(std::size_t n_used) const {
    NodeId node = rules_.never();
    for (std::size_t i = n_max_; i-- > n_used;) {  // From the last place back.
      node = rules_.choice({then_class('1', '9', any(i + 1)), then('0', {false, node})});
    }
    return node;
  }

  NodeId then(char digit, const Fraction& rest) const { return then_class(digit, digit, rest); }

  NodeId then_class(char first, char last, const Fraction& rest) const {
    const NodeId tail = rest.may_be_empty ? rules_.optional(rest.digits) : rest.digits;
    return rules_.sequence({digits(rules_, first, last), tail});
  }

  Rules& rules_;
  const std::size_t n_max_;
};

struct Decimal {
  std::uint64_t whole;
  std::string fraction;  // n_fraction digits.
  bool is_exclusive;
};

// A bound that is not negative, rounded into the range where it has more digits than there may be.
Decimal decimal_of(const Bound& bound, std::size_t n_fraction, bool is_low) {
  const double value = static_cast<double>(bound.value);
  std::string text = fmt::format("{:.{}f}", value, n_fraction);
  const double rounded = std::strtod(text.c_str(), nullptr);
  bool is_exclusive = bound.is_exclusive;
  if (rounded != value) {
    // Rounded inwards it lies within, rounded outwards it is what may just not be reached.
    is_exclusive = is_low ? rounded < value : rounded > value;
  }
  const std::size_t point = std::min(text.find('.'), text.size());
  Decimal decimal{std::strtoull(text.c_str(), nullptr, 10), {}, is_exclusive};
  if (point < text.size()) decimal.fraction = text.substr(point + 1);
  return decimal;
}

// Numbers of no sign between two bounds.
NodeId decimal_range(Rules& rules, const Fractions& fractions, const Decimal& low,
                     const Decimal& high) {
  const bool is_empty =
      low.whole > high.whole || (low.whole == high.whole && low.fraction > high.fraction);
  if (is_empty) return rules.never();
  const NodeId low_whole = rules.bytes(std::to_string(low.whole));
  if (low.whole == high.whole) {
    return fractions.join(low_whole, fractions.between(low.fraction, low.is_exclusive,
                                                       high.fraction, high.is_exclusive));
  }
  std::vector<NodeId> choices = {
      fractions.join(low_whole, fractions.from(Fractions::trimmed(low.fraction), low.is_exclusive)),
      fractions.join(rules.bytes(std::to_string(high.whole)),
                     fractions.to(Fractions::trimmed(high.fraction), high.is_exclusive))};
  if (low.whole + 1 < high.whole) {
    choices.push_back(
        fractions.join(whole_range(rules, low.whole + 1, high.whole - 1), fractions.any()));
  }
  return rules.choice(std::move(choices));
}

std::size_t n_whole_digits(const std::optional<Bound>& bound) {
  if (!bound) return 1;
  return std::to_string(static_cast<std::uint64_t>(std::fabs(bound->value))).size();
}

// `bounds` without those that lie beyond all numbers that are written here.
Result<Bounds> within_open_numbers(const Bounds& bounds) {
  Bounds near = bounds;
  const auto limit = static_cast<long double>(kOpenMax);
  if (near.low && near.low->value > limit) return nothing_between(bounds);
  if (near.high && near.high->value < -limit) return nothing_between(bounds);
  if (near.low && near.low->value < -limit) near.low.reset();
  if (near.high && near.high->value > limit) near.high.reset();
  const bool is_empty =
      near.low && near.high &&
      (near.low->value > near.high->value || (near.low->value == near.high->value &&
                                              (near.low->is_exclusive || near.high->is_exclusive)));
  if (is_empty) return nothing_between(bounds);
  return near;
}

}  // namespace

NodeId json_number(Rules& rules) {
  const NodeId digit = digits(rules, '0', '9');
  const NodeId whole = rules.choice(
      {rules.bytes("0"),
       rules.sequence({digits(rules, '1', '9'), rules.repeat(digit, 0, kOpenDigitsMax - 1)})});
  const NodeId fraction =
      rules.sequence({rules.bytes("."), rules.repeat(digit, 1, kOpenDigitsMax)});
  const NodeId exponent = rules.sequence({rules.chars({{'e', 'e'}, {'E', 'E'}}),
                                          rules.optional(rules.chars({{'+', '+'}, {'-', '-'}})),
                                          rules.repeat(digit, 1, 2)});
  return rules.named(
      "number", rules.sequence({rules.optional(rules.bytes("-")), whole, rules.optional(fraction),
                                rules.optional(exponent)}));
}

namespace {

struct WholeRange {
  std::int64_t low, high;
};

// What lies within the bounds, and within what every reader keeps exactly.
Result<WholeRange> whole_numbers_between(const Bounds& bounds) {
  const auto limit = static_cast<long double>(kIntegerMax);
  const auto open = static_cast<long double>(kOpenMax);
  long double low = bounds.low ? std::ceil(bounds.low->value) : -open;
  long double high = bounds.high ? std::floor(bounds.high->value) : open;
  if (bounds.low && bounds.low->is_exclusive && low == bounds.low->value) low += 1;
  if (bounds.high && bounds.high->is_exclusive && high == bounds.high->value) high -= 1;
  if (!bounds.high && low > open) high = limit;
  if (!bounds.low && high < -open) low = -limit;
  low = std::max(low, -limit);
  high = std::min(high, limit);
  if (low > high) return nothing_between(bounds);
  return WholeRange{static_cast<std::int64_t>(low), static_cast<std::int64_t>(high)};
}

// A choice of range(low, high) over what lies within, numbers below 0 behind a sign.
template <class Range>
NodeId signed_range(Rules& rules, const WholeRange& within, Range&& range) {
  const auto unsigned_of = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
  std::vector<NodeId> choices;
  if (within.high >= 0) {
    choices.push_back(
        range(unsigned_of(std::max<std::int64_t>(within.low, 0)), unsigned_of(within.high)));
  }
  if (within.low < 0) {
    choices.push_back(negated(rules, range(unsigned_of(std::max<std::int64_t>(-within.high, 1)),
                                           unsigned_of(-within.low))));
  }
  return rules.choice(std::move(choices));
}

// Digit strings whose number, behind digits that leave a remainder, is a multiple.  Nothing where
// there is none.
class Multiples {
 public:
  Multiples(Rules& rules, std::uint64_t divisor) : rules_(rules), divisor_(divisor) {}

  NodeId range(std::uint64_t low, std::uint64_t high) {
    std::vector<NodeId> choices;
    while (low <= high) {
      const std::string text = std::to_string(low);
      const std::uint64_t last = std::min(std::stoull(std::string(text.size(), '9')),
                                          static_cast<unsigned long long>(high));
      if (const auto made = between(text, std::to_string(last), 0)) choices.push_back(*made);
      low = last + 1;
    }
    return rules_.choice(std::move(choices));
  }

 private:
  using Made = std::optional<NodeId>;

  std::uint64_t then(std::uint64_t remainder, char digit) const {
    return (remainder * 10 + static_cast<std::uint64_t>(digit - '0')) % divisor_;
  }

  // Strings of one length from `low` to `high`.
  Made between(std::string_view low, std::string_view high, std::uint64_t remainder) {
    const bool is_all = low.find_first_not_of('0') == std::string_view::npos &&
                        high.find_first_not_of('9') == std::string_view::npos;
    if (is_all) return any(low.size(), remainder);
    const std::string zeros(low.size() - 1, '0'), nines(low.size() - 1, '9');
    std::vector<NodeId> choices;
    for (char digit = low[0]; digit <= high[0]; ++digit) {
      const Made rest = between(digit == low[0] ? low.substr(1) : std::string_view(zeros),
                                digit == high[0] ? high.substr(1) : std::string_view(nines),
                                then(remainder, digit));
      if (rest) choices.push_back(rules_.sequence({digits(rules_, digit, digit), *rest}));
    }
    if (choices.empty()) return std::nullopt;
    return rules_.choice(std::move(choices));
  }

  // All strings of `n` digits; each kind is one rule.
  Made any(std::size_t n, std::uint64_t remainder) {
    if (n == 0) return remainder == 0 ? Made(rules_.empty()) : std::nullopt;
    const auto [known, is_new] = made_.try_emplace({n, remainder});
    if (!is_new) return known->second;
    std::map<std::uint64_t, CodePoints> by_remainder;
    for (char digit = '0'; digit <= '9'; ++digit) {
      const auto point = static_cast<char32_t>(digit);
      by_remainder[then(remainder, digit)].add(point, point);
    }
    std::vector<NodeId> choices;
    for (const auto& [next, set] : by_remainder) {
      if (const Made rest = any(n - 1, next)) {
        choices.push_back(rules_.sequence({rules_.chars(set), *rest}));
      }
    }
    if (choices.empty()) return std::nullopt;
    const NodeId made = rules_.named(fmt::format("multiple-{}-{}", n, remainder),
                                     rules_.choice(std::move(choices)));
    made_.insert_or_assign({n, remainder}, made);
    return made;
  }

  Rules& rules_;
  const std::uint64_t divisor_;
  std::map<std::pair<std::size_t, std::uint64_t>, Made> made_;
};

}  // namespace

Result<NodeId> json_integer(Rules& rules, const Bounds& bounds) {
  HEARTH_TRY(const WholeRange within, whole_numbers_between(bounds));
  return rules.named("integer", signed_range(rules, within, [&](auto low, auto high) {
                       return whole_range(rules, low, high);
                     }));
}

Result<NodeId> json_multiple(Rules& rules, const Bounds& bounds, std::uint64_t multiple) {
  HEARTH_TRY(const WholeRange within, whole_numbers_between(bounds));
  const auto divisor = static_cast<std::int64_t>(multiple);
  const std::int64_t first = within.low >= 0 ? (within.low + divisor - 1) / divisor * divisor
                                             : -(-within.low / divisor * divisor);
  if (first > within.high) return nothing_between(bounds);
  const std::size_t n_digits = std::to_string(std::max(within.high, -within.low)).size();
  if (n_digits * multiple > kMultipleRulesMax) {
    return fail(
        Code::kInvalidArgument,
        fmt::format("'multipleOf' is {} for numbers of {} digits; {} times {} may be at most "
                    "{}: give a 'minimum' and a 'maximum' nearer to 0",
                    multiple, n_digits, multiple, n_digits, kMultipleRulesMax));
  }
  Multiples multiples(rules, multiple);
  return signed_range(rules, within,
                      [&](auto low, auto high) { return multiples.range(low, high); });
}

Result<NodeId> json_number(Rules& rules, const Bounds& bounds) {
  HEARTH_TRY(const Bounds near, within_open_numbers(bounds));
  if (!near.low && !near.high) return json_number(rules);
  const std::size_t n_whole = std::max(n_whole_digits(near.low), n_whole_digits(near.high));
  const std::size_t n_fraction = kOpenDigitsMax - std::min<std::size_t>(n_whole, kOpenDigitsMax);
  const Fractions fractions(rules, n_fraction);

  const Bound open_high{static_cast<long double>(kOpenMax)}, open_low{-open_high.value};
  const Bound low = near.low.value_or(open_low), high = near.high.value_or(open_high);
  const auto side = [&](Bound least, Bound most) {
    return decimal_range(rules, fractions, decimal_of(least, n_fraction, true),
                         decimal_of(most, n_fraction, false));
  };
  std::vector<NodeId> choices;
  if (high.value >= 0) choices.push_back(side(low.value >= 0 ? low : Bound{}, high));
  if (low.value < 0) {
    // Below zero, mirrored; zero itself has no sign.
    const Bound least = high.value < 0 ? Bound{-high.value, high.is_exclusive} : Bound{0, true};
    choices.push_back(negated(rules, side(least, Bound{-low.value, low.is_exclusive})));
  }
  return rules.named("number", rules.choice(std::move(choices)));
}

}  // namespace hearth::text::grammar
