#include "convert/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>

namespace hearth::convert {
namespace {

using tensor::DType;

// The tensors that rules tell apart.
enum class Part : std::uint8_t { kOther, kOutput, kEmbedding, kValue, kDown, kAttentionOutput };

// In which layers a rule holds, of n.
enum class Where : std::uint8_t {
  kEverywhere,
  kFirstTwo,
  kFirstFour,
  kFirstSixteenth,
  kFirstEighth,
  kSensitive,  // The first and last eighth, and every third between.
};

struct Rule {
  Part part = Part::kOther;
  Where where = Where::kEverywhere;
  DType type = DType::kF32;
};

constexpr std::size_t kRulesMax = 6;

}  // namespace

// The first rule that fits decides; without one, `output` for the output matrix and `common` for
// the rest.
struct Recipe {
  std::string_view name;
  std::uint32_t file_type;
  DType common;
  DType output;
  std::array<Rule, kRulesMax> rules{};
};

namespace {

constexpr Rule kValueSensitive6 = {Part::kValue, Where::kSensitive, DType::kQ6_K};
constexpr Rule kDownSensitive6 = {Part::kDown, Where::kSensitive, DType::kQ6_K};

constexpr Recipe kRecipes[] = {
    {"F32", 0, DType::kF32, DType::kF32},
    {"F16", 1, DType::kF16, DType::kF16},
    {"BF16", 32, DType::kBF16, DType::kBF16},
    {"Q8_0", 7, DType::kQ8_0, DType::kQ8_0},
    {"Q6_K", 18, DType::kQ6_K, DType::kQ6_K},
    {"Q5_K_M", 17, DType::kQ5_K, DType::kQ6_K, {{kValueSensitive6, kDownSensitive6}}},
    {"Q5_K_S", 16, DType::kQ5_K, DType::kQ6_K},
    {"Q4_K_M", 15, DType::kQ4_K, DType::kQ6_K, {{kValueSensitive6, kDownSensitive6}}},
    {"Q4_K_S",
     14,
     DType::kQ4_K,
     DType::kQ6_K,
     {{{Part::kValue, Where::kFirstFour, DType::kQ5_K},
       {Part::kDown, Where::kFirstEighth, DType::kQ5_K}}}},
    {"Q3_K_M",
     12,
     DType::kQ3_K,
     DType::kQ6_K,
     {{{Part::kValue, Where::kFirstTwo, DType::kQ5_K},
       {Part::kValue, Where::kEverywhere, DType::kQ4_K},
       {Part::kDown, Where::kFirstSixteenth, DType::kQ5_K},
       {Part::kDown, Where::kEverywhere, DType::kQ4_K},
       {Part::kAttentionOutput, Where::kEverywhere, DType::kQ4_K}}}},
    {"Q2_K",
     10,
     DType::kQ2_K,
     DType::kQ6_K,
     {{{Part::kValue, Where::kEverywhere, DType::kQ4_K},
       {Part::kDown, Where::kEverywhere, DType::kQ3_K},
       {Part::kAttentionOutput, Where::kEverywhere, DType::kQ3_K}}}},
    {"IQ4_NL",
     25,
     DType::kIQ4_NL,
     DType::kQ6_K,
     {{{Part::kValue, Where::kEverywhere, DType::kQ5_K},
       {Part::kDown, Where::kFirstEighth, DType::kQ5_K}}}},
    {"Q5_0", 8, DType::kQ5_0, DType::kQ6_K},
    {"Q4_1", 3, DType::kQ4_1, DType::kQ6_K},
    {"Q4_0", 2, DType::kQ4_0, DType::kQ6_K},
};

// Ends of names, after "blk.N." where the tensor belongs to a layer.
struct PartName {
  std::string_view suffix;
  Part part;
};
constexpr PartName kPartNames[] = {
    {"attn_v.weight", Part::kValue},        {"attn_qkv.weight", Part::kValue},
    {"ffn_down.weight", Part::kDown},       {"ffn_down_exps.weight", Part::kDown},
    {"ffn_down_shexp.weight", Part::kDown}, {"attn_output.weight", Part::kAttentionOutput},
};

Part part_of(std::string_view name) {
  if (name == "output.weight") return Part::kOutput;
  if (name == "token_embd.weight") return Part::kEmbedding;
  for (const PartName& row : kPartNames) {
    if (name.ends_with(row.suffix)) return row.part;
  }
  return Part::kOther;
}

// 12 of "blk.12.attn_v.weight".
std::optional<std::uint32_t> layer_of(std::string_view name) {
  if (!name.starts_with("blk.")) return std::nullopt;
  std::uint32_t layer = 0;
  const auto read = std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  if (read.ec != std::errc{} || read.ptr == name.data() + name.size() || *read.ptr != '.') {
    return std::nullopt;
  }
  return layer;
}

bool holds(Where where, std::uint32_t layer, std::uint32_t n) {
  switch (where) {
    case Where::kEverywhere:
      return true;
    case Where::kFirstTwo:
      return layer < 2;
    case Where::kFirstFour:
      return layer < 4;
    case Where::kFirstSixteenth:
      return layer < n / 16;
    case Where::kFirstEighth:
      return layer < n / 8;
    case Where::kSensitive:
      return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
  }
  return false;
}

// Vectors, norms and the small matrices that route tokens to experts stay exact: they are a
// thousandth of a model.
bool stays_exact(const SourceTensor& tensor) {
  const std::string_view name = tensor.name;
  return tensor.dims.size() < 2 || !name.ends_with("weight") || name.ends_with("_norm.weight") ||
         name.ends_with("ffn_gate_inp.weight") || name.ends_with("ssm_conv1d.weight") ||
         name.ends_with("shortconv.conv.weight") ||
         name == "position_embd.weight" || name == "token_types.weight";
}

bool is_float(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

// The type to use where rows don't divide into blocks of 256: the next larger one with blocks
// of 32.
struct Fallback {
  DType from, to;
};
constexpr Fallback kFallbacks[] = {
    {DType::kQ2_K, DType::kQ4_0}, {DType::kQ3_K, DType::kQ4_0}, {DType::kQ4_K, DType::kQ5_0},
    {DType::kQ5_K, DType::kQ5_1}, {DType::kQ6_K, DType::kQ8_0},
};

DType fitting(DType wanted, std::uint64_t cols) {
  const auto fits = [cols](DType type) {
    return cols % tensor::dtype_info(type).block_elements == 0;
  };
  if (fits(wanted)) return wanted;
  for (const Fallback& row : kFallbacks) {
    if (row.from == wanted && fits(row.to)) return row.to;
  }
  return DType::kF16;
}

}  // namespace

const Recipe* find_recipe(std::string_view name) {
  const auto same = [](char a, char b) {
    return std::toupper(static_cast<unsigned char>(a)) ==
           std::toupper(static_cast<unsigned char>(b));
  };
  for (const Recipe& recipe : kRecipes) {
    if (std::ranges::equal(recipe.name, name, same)) return &recipe;
  }
  return nullptr;
}

Result<const Recipe*> need_recipe(std::string_view name) {
  if (const Recipe* const recipe = find_recipe(name)) return recipe;
  std::string names;
  for (const Recipe& recipe : kRecipes) {
    if (!names.empty()) names += ", ";
    names += recipe.name;
  }
  return fail(Code::kInvalidArgument, fmt::format("'{}' is no type that is written: choose one of {}", name, names));
}

std::string_view recipe_name(const Recipe& recipe) { return recipe.name; }

std::uint32_t recipe_file_type(const Recipe& recipe) { return recipe.file_type; }

Choice choose_type(const Recipe& recipe, const SourceTensor& tensor, std::uint32_t n_layers,
                   bool tied) {
  // Tables of integers are no weights, whatever they are called.
  if (stays_exact(tensor) || !tensor::dtype_info(tensor.type).computable) {
    const DType type = is_float(tensor.type) ? DType::kF32 : tensor.type;
    return {type, type};
  }
  const Part part = part_of(tensor.name);
  const bool is_output = part == Part::kOutput || (tied && part == Part::kEmbedding);
  DType wanted = is_output ? recipe.output : recipe.common;
  const std::uint32_t layer = layer_of(tensor.name).value_or(0);
  for (const Rule& rule : recipe.rules) {
    if (rule.part == Part::kOther || rule.part != part || !holds(rule.where, layer, n_layers)) {
      continue;
    }
    wanted = rule.type;
    break;
  }
  return {fitting(wanted, tensor.dims[0]), wanted};
}

}  // namespace hearth::convert
