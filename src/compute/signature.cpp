#include "compute/signature.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>

namespace hearth::compute {
namespace {

constexpr std::array<ElementTypeInfo, kElementTypes> kTypes = {{
    {"f32", 4, true, true},
    {"f64", 8, true, true},
    {"i8", 1, false, true},
    {"i16", 2, false, true},
    {"i32", 4, false, true},
    {"i64", 8, false, true},
    {"u8", 1, false, false},
    {"u16", 2, false, false},
    {"u32", 4, false, false},
    {"u64", 8, false, false},
}};

// What a parameter may not be called, since C++ or the prelude calls something else so.
constexpr std::string_view kTakenNames[] = {"alignas",
                                            "alignof",
                                            "and",
                                            "and_eq",
                                            "asm",
                                            "auto",
                                            "bitand",
                                            "bitor",
                                            "bool",
                                            "break",
                                            "case",
                                            "catch",
                                            "char",
                                            "char8_t",
                                            "char16_t",
                                            "char32_t",
                                            "class",
                                            "compl",
                                            "concept",
                                            "const",
                                            "consteval",
                                            "constexpr",
                                            "constinit",
                                            "const_cast",
                                            "continue",
                                            "co_await",
                                            "co_return",
                                            "co_yield",
                                            "decltype",
                                            "default",
                                            "delete",
                                            "do",
                                            "double",
                                            "dynamic_cast",
                                            "else",
                                            "enum",
                                            "explicit",
                                            "export",
                                            "extern",
                                            "false",
                                            "float",
                                            "for",
                                            "friend",
                                            "goto",
                                            "if",
                                            "inline",
                                            "int",
                                            "long",
                                            "mutable",
                                            "namespace",
                                            "new",
                                            "noexcept",
                                            "not",
                                            "not_eq",
                                            "nullptr",
                                            "operator",
                                            "or",
                                            "or_eq",
                                            "private",
                                            "protected",
                                            "public",
                                            "register",
                                            "reinterpret_cast",
                                            "requires",
                                            "restrict",
                                            "return",
                                            "short",
                                            "signed",
                                            "sizeof",
                                            "static",
                                            "static_assert",
                                            "static_cast",
                                            "struct",
                                            "switch",
                                            "template",
                                            "this",
                                            "thread_local",
                                            "throw",
                                            "true",
                                            "try",
                                            "typedef",
                                            "typeid",
                                            "typename",
                                            "union",
                                            "unsigned",
                                            "using",
                                            "virtual",
                                            "void",
                                            "volatile",
                                            "wchar_t",
                                            "while",
                                            "xor",
                                            "xor_eq",
                                            "strided",
                                            "kernel"};

std::unexpected<Error> wrong(std::string message) {
  return fail(Code::kInvalidArgument, std::move(message));
}

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// Cuts at commas outside of brackets and parentheses.
std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[' || text[i] == '(') ++depth;
    if (text[i] == ']' || text[i] == ')') --depth;
    if (text[i] != ',' || depth != 0) continue;
    parts.push_back(trimmed(text.substr(begin, i - begin)));
    begin = i + 1;
  }
  parts.push_back(trimmed(text.substr(begin)));
  return parts;
}

Direction direction_of(std::string_view name) {
  if (name.starts_with("inout")) return Direction::kInOut;
  return name == "out" || name.starts_with("out_") ? Direction::kOut : Direction::kIn;
}

// NAME, TYPE, what stands in brackets, and whether "strided" follows.
struct Pieces {
  std::string_view name, type, extents;
  bool has_brackets = false, is_strided = false;
};

Result<Pieces> take_apart(std::string_view text) {
  const std::string form =
      fmt::format("'{}' is no parameter: NAME TYPE[EXTENT, ...] or NAME TYPE is expected", text);
  const std::size_t space = text.find_first_of(" \t\n\r");
  if (space == std::string_view::npos) return wrong(form);
  Pieces pieces{.name = text.substr(0, space)};
  std::string_view rest = trimmed(text.substr(space));
  const std::size_t open = rest.find('[');
  if (open == std::string_view::npos) {
    pieces.type = rest;
    return pieces;
  }
  const std::size_t close = rest.rfind(']');
  if (close == std::string_view::npos || close < open) return wrong(form);
  pieces.has_brackets = true;
  pieces.type = trimmed(rest.substr(0, open));
  pieces.extents = trimmed(rest.substr(open + 1, close - open - 1));
  const std::string_view after = trimmed(rest.substr(close + 1));
  if (!after.empty() && after != "strided") return wrong(form);
  pieces.is_strided = after == "strided";
  return pieces;
}

Result<Parameter> read_parameter(const Pieces& pieces) {
  const std::string name(pieces.name);
  if (!is_identifier(name) || name.starts_with("__") || name.starts_with("hearth")) {
    return wrong(
        fmt::format("'{}' is no name of a parameter: a letter, then letters, digits and "
                    "underscores, at most {}",
                    name, kSymbolBytesMax));
  }
  if (std::ranges::find(kTakenNames, name) != std::end(kTakenNames) || type_from_name(name)) {
    return wrong(fmt::format(
        "'{}' is a word of C++ or of the prelude: call the parameter something else", name));
  }
  const auto type = type_from_name(pieces.type);
  if (!type)
    return wrong(
        fmt::format("'{}' has the type '{}'; there are f32 f64 i8 i16 i32 i64 u8 u16 u32 u64", name,
                    pieces.type));
  Parameter parameter{.name = name,
                      .type = *type,
                      .direction = direction_of(name),
                      .is_scalar = !pieces.has_brackets,
                      .is_strided = pieces.is_strided};
  if (!parameter.is_scalar) return parameter;
  if (parameter.is_written())
    return wrong(
        fmt::format("'{}' is written by its name, so it must be a tensor: {}[1] for one number",
                    name, pieces.type));
  const bool fits =
      type_info(*type).is_float || *type == ElementType::kI32 || *type == ElementType::kI64;
  if (!fits)
    return wrong(
        fmt::format("the scalar '{}' is {}; scalars are i32, i64, f32 or f64", name, pieces.type));
  return parameter;
}

Result<> read_extents(std::string_view text, Parameter& parameter, Symbols& symbols) {
  if (text.empty())
    return wrong(fmt::format("'{}' has no extent: write [1] for a single number", parameter.name));
  for (const std::string_view part : split(text)) {
    HEARTH_TRY(Expression extent, Expression::parse(part, symbols, Expression::Names::kAdd));
    parameter.extents.push_back(std::move(extent));
  }
  if (parameter.extents.size() > kRankMax) {
    return wrong(fmt::format("'{}' has {} extents, at most {} are possible", parameter.name,
                             parameter.extents.size(), kRankMax));
  }
  return {};
}

// Every symbol that is no scalar must stand alone somewhere, or no shape could tell it.
Result<> check_bound(const Signature& signature) {
  for (std::size_t symbol = signature.n_scalar_symbols; symbol < signature.symbols.size();
       ++symbol) {
    bool is_bound = false;
    for (const Parameter& parameter : signature.parameters) {
      for (const Expression& extent : parameter.extents)
        is_bound |= extent.bare_symbol() == static_cast<int>(symbol);
    }
    const std::string& name = signature.symbols[symbol];
    if (!is_bound)
      return wrong(
          fmt::format("nothing says what '{}' is: add the scalar '{} i64', or a tensor with the "
                      "extent {} alone",
                      name, name, name));
    for (const Parameter& parameter : signature.parameters) {
      if (parameter.name == name)
        return wrong(fmt::format(
            "'{}' is a parameter and an extent, so it must be an i32 or i64 scalar", name));
    }
  }
  return {};
}

Result<> check_limits(const Signature& signature) {
  std::size_t n_integers = signature.symbols.size();
  bool is_any_written = false;
  for (std::size_t i = 0; i < signature.parameters.size(); ++i) {
    const Parameter& parameter = signature.parameters[i];
    if (parameter.is_strided) n_integers += parameter.extents.size();
    is_any_written |= parameter.is_written();
    for (std::size_t j = 0; j < i; ++j) {
      if (signature.parameters[j].name == parameter.name)
        return wrong(fmt::format("two parameters are called '{}'", parameter.name));
    }
  }
  if (!is_any_written)
    return wrong("the signature writes nothing: name a tensor 'out', 'out_...' or 'inout...'");
  if (signature.n_tensors() > kTensorsMax)
    return wrong(fmt::format("the signature has {} tensors, at most {} are possible",
                             signature.n_tensors(), kTensorsMax));
  if (signature.n_reals() > kRealsMax)
    return wrong(fmt::format("the signature has {} real scalars, at most {} are possible",
                             signature.n_reals(), kRealsMax));
  if (n_integers > kIntegersMax)
    return wrong(
        fmt::format("the signature has {} symbols and strides together, at most {} are possible",
                    n_integers, kIntegersMax));
  return {};
}

}  // namespace

const ElementTypeInfo& type_info(ElementType type) {
  return kTypes[static_cast<std::size_t>(type)];
}

std::optional<ElementType> type_from_name(std::string_view name) {
  const auto found = std::ranges::find(kTypes, name, &ElementTypeInfo::name);
  if (found == kTypes.end()) return std::nullopt;
  return static_cast<ElementType>(found - kTypes.begin());
}

std::size_t Signature::n_tensors() const {
  return static_cast<std::size_t>(std::ranges::count_if(parameters, &Parameter::is_tensor));
}

std::size_t Signature::n_reals() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      parameters, [](const Parameter& p) { return p.is_scalar && type_info(p.type).is_float; }));
}

std::string Signature::text() const {
  std::vector<std::string> parts;
  for (const Parameter& parameter : parameters) {
    std::string part = fmt::format("{} {}", parameter.name, type_info(parameter.type).name);
    std::vector<std::string> extents;
    for (const Expression& extent : parameter.extents) extents.push_back(extent.text());
    if (parameter.is_tensor()) part += fmt::format("[{}]", fmt::join(extents, ", "));
    if (parameter.is_strided) part += " strided";
    parts.push_back(std::move(part));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

Result<Signature> parse_signature(std::string_view text) {
  if (text.size() > kSignatureBytesMax)
    return wrong(fmt::format("the signature has {} bytes, at most {} are read", text.size(),
                             kSignatureBytesMax));
  Signature signature;
  std::vector<std::string_view> extents;
  for (const std::string_view part : split(trimmed(text))) {
    HEARTH_TRY(const Pieces pieces, take_apart(part));
    HEARTH_TRY(Parameter parameter, read_parameter(pieces));
    if (parameter.is_scalar && !type_info(parameter.type).is_float)
      signature.symbols.push_back(parameter.name);
    signature.parameters.push_back(std::move(parameter));
    extents.push_back(pieces.extents);
  }
  signature.n_scalar_symbols = signature.symbols.size();
  for (std::size_t i = 0; i < extents.size(); ++i) {
    Parameter& parameter = signature.parameters[i];
    if (parameter.is_tensor())
      HEARTH_TRY_VOID(read_extents(extents[i], parameter, signature.symbols));
  }
  HEARTH_TRY_VOID(check_limits(signature));
  HEARTH_TRY_VOID(check_bound(signature));
  return signature;
}

std::int64_t Tensor::n_elements() const {
  std::int64_t n = 1;
  for (const std::int64_t extent : shape) n *= extent;
  return n;
}

std::vector<std::int64_t> contiguous_strides(std::span<const std::int64_t> shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<std::int64_t>(shape[i], 1);
  }
  return strides;
}

Reach reach_of(const Tensor& tensor) {
  const auto bytes = static_cast<std::int64_t>(type_info(tensor.type).bytes);
  if (tensor.n_elements() == 0) return {};
  const std::vector<std::int64_t> strides =
      tensor.strides.empty() ? contiguous_strides(tensor.shape) : tensor.strides;
  Reach reach{.before = 0, .after = bytes};
  for (std::size_t i = 0; i < strides.size(); ++i) {
    const std::int64_t span = (tensor.shape[i] - 1) * strides[i] * bytes;
    (span < 0 ? reach.before : reach.after) += std::abs(span);
  }
  return reach;
}

std::string describe(ElementType type, std::span<const std::int64_t> shape) {
  return fmt::format("{}[{}]", type_info(type).name, fmt::join(shape, ", "));
}

Result<std::vector<std::int64_t>> shape_of(const Parameter& parameter,
                                           std::span<const std::int64_t> symbols) {
  std::vector<std::int64_t> shape;
  std::int64_t bytes = static_cast<std::int64_t>(type_info(parameter.type).bytes);
  for (const Expression& extent : parameter.extents) {
    HEARTH_TRY(const std::int64_t value, extent.value(symbols));
    if (value < 0)
      return wrong(fmt::format("the extent {} of '{}' is {}: it can't be below 0", extent.text(),
                               parameter.name, value));
    const bool is_over = __builtin_mul_overflow(bytes, std::max<std::int64_t>(value, 1), &bytes) ||
                         bytes > kTensorBytesMax;
    if (is_over)
      return wrong(
          fmt::format("'{}' would have more than {} bytes", parameter.name, kTensorBytesMax));
    shape.push_back(value);
  }
  return shape;
}

}  // namespace hearth::compute
