#include "convert/peft_adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <vector>

#include "base/digest.h"
#include "base/file.h"
#include "convert/hf_family.h"
#include "convert/json_reader.h"
#include "convert/safetensors.h"

namespace hearth::convert {
namespace {

namespace fs = std::filesystem;
using model::AdapterMatrix;
using model::AdapterSource;
using tensor::MatView;

constexpr std::string_view kConfigName = "adapter_config.json";
constexpr std::string_view kWeightsName = "adapter_model.safetensors";

struct Pattern {
  std::string module;
  double value = 0;
};

// What the configuration says about the strength of the matrices.
struct Strength {
  double alpha = 0;
  bool by_root = false;  // Over the root of the rank (rsLoRA).
  std::vector<Pattern> alphas;

  float of(std::string_view module, std::uint32_t rank) const;
};

// A pattern names the end of a module's name.
bool names_module(std::string_view pattern, std::string_view module) {
  if (pattern.starts_with('^')) return module == pattern.substr(1);
  if (!module.ends_with(pattern)) return false;
  return module.size() == pattern.size() || module[module.size() - pattern.size() - 1] == '.';
}

float Strength::of(std::string_view module, std::uint32_t rank) const {
  double value = alpha;
  for (const Pattern& pattern : alphas) {
    if (!names_module(pattern.module, module)) continue;
    value = pattern.value;
    break;
  }
  const double divisor = by_root ? std::sqrt(rank) : static_cast<double>(rank);
  return static_cast<float>(value / divisor);
}

// "MODULE.lora_A.weight" and its like.
struct TensorName {
  std::string module;
  bool is_a = false;
  bool is_embedding = false;
};

struct Kind {
  std::string_view part;
  bool is_a, is_embedding;
};
constexpr Kind kKinds[] = {
    {".lora_A", true, false},
    {".lora_B", false, false},
    {".lora_embedding_A", true, true},
    {".lora_embedding_B", false, true},
};
// After the kind; older files name the adapter, which is "default".
constexpr std::string_view kEndings[] = {"", ".weight", ".default", ".default.weight"};

std::optional<TensorName> parse_name(std::string_view name) {
  constexpr std::string_view kPrefix = "base_model.model.";
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  for (const Kind& kind : kKinds) {
    const std::size_t found = name.rfind(kind.part);
    if (found == name.npos) continue;
    const std::string_view rest = name.substr(found + kind.part.size());
    if (std::ranges::find(kEndings, rest) == std::end(kEndings)) continue;
    return TensorName{std::string(name.substr(0, found)), kind.is_a, kind.is_embedding};
  }
  return std::nullopt;
}

struct Halves {
  const Safetensor* a = nullptr;
  const Safetensor* b = nullptr;
  bool is_embedding = false;
};

class PeftReader {
 public:
  PeftReader(const std::string& name, const model::Model& base) : name_(name), base_(base) {}
  Result<AdapterSource> run(std::string_view config, std::span<const std::byte> weights);

 private:
  std::unexpected<Error> refuse(Code code, std::string_view what) const {
    return fail(code, fmt::format("adapter '{}': {}", name_, what));
  }
  Result<> read_config(std::string_view text);
  Result<> check_kind(const Json& config) const;
  Result<> read_alphas(const Json* patterns);
  Result<> read_invocation(const Json* tokens);
  Result<std::map<std::string, Halves>> pair(std::span<const Safetensor> tensors) const;
  Result<> add(const std::string& module, const Halves& halves);
  Result<MatView> as_matrix(const Safetensor& tensor) const;
  float* own(std::size_t n);
  MatView transposed(const MatView& w);
  MatView with_adjacent_pairs(const MatView& w);

  const std::string& name_;
  const model::Model& base_;
  const HfFamily* family_ = nullptr;
  Strength strength_;
  AdapterSource source_;
};

Result<> PeftReader::check_kind(const Json& config) const {
  const std::string type = as_text(member(config, "peft_type")).value_or("");
  if (type != "LORA") {
    return refuse(Code::kUnsupported, fmt::format("its type is '{}', only LoRA can be run", type));
  }
  if (as_bool(member(config, "use_dora")).value_or(false)) {
    return refuse(Code::kUnsupported,
                  "it uses DoRA, which can't be run unmerged: merge it into its model");
  }
  return {};
}

Result<> PeftReader::read_alphas(const Json* patterns) {
  if (patterns == nullptr) return {};
  if (!patterns->is_object()) return refuse(Code::kCorrupt, "its 'alpha_pattern' is no object");
  for (const auto& [module, value] : patterns->items()) {
    const auto alpha = as_number(&value);
    const bool is_plain =
        module.substr(module.starts_with('^') ? 1 : 0).find_first_of("*+?()[]{}|\\^$") ==
        std::string::npos;
    if (!alpha || !is_plain) {
      return refuse(Code::kUnsupported,
                    fmt::format("its 'alpha_pattern' holds '{}', only the ends of modules' names "
                                "with numbers are read",
                                module.substr(0, 200)));
    }
    strength_.alphas.push_back({module, *alpha});
  }
  return {};
}

Result<> PeftReader::read_invocation(const Json* tokens) {
  if (tokens == nullptr) return {};
  const auto& list = elements(tokens);
  for (const Json& token : list) {
    const auto id = as_count(&token);
    if (!id || *id > INT32_MAX || list.size() > model::kInvocationTokensMax) break;
    source_.invocation_tokens.push_back(static_cast<text::TokenId>(*id));
  }
  if (!list.empty() && source_.invocation_tokens.size() == list.size()) return {};
  return refuse(Code::kCorrupt, fmt::format("its 'alora_invocation_tokens' must list 1 to {} ids",
                                            model::kInvocationTokensMax));
}

Result<> PeftReader::read_config(std::string_view text) {
  const Json config = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) {
    return refuse(Code::kCorrupt, fmt::format("its {} is no JSON object", kConfigName));
  }
  HEARTH_TRY_VOID(check_kind(config));
  const auto alpha = as_number(member(config, "lora_alpha"));
  if (!alpha) return refuse(Code::kCorrupt, "its configuration lacks the number 'lora_alpha'");
  strength_.alpha = *alpha;
  strength_.by_root = as_bool(member(config, "use_rslora")).value_or(false);
  HEARTH_TRY_VOID(read_alphas(member(config, "alpha_pattern")));
  return read_invocation(member(config, "alora_invocation_tokens"));
}

// By the module that they change.
Result<std::map<std::string, Halves>> PeftReader::pair(std::span<const Safetensor> tensors) const {
  std::map<std::string, Halves> pairs;
  for (const Safetensor& tensor : tensors) {
    const auto parsed = parse_name(tensor.name);
    if (!parsed) {
      return refuse(Code::kUnsupported,
                    fmt::format("tensor '{}' is no part of a LoRA as this build runs it, and "
                                "without it the answers would be wrong: merge the adapter into "
                                "its model",
                                tensor.name.substr(0, 200)));
    }
    Halves& halves = pairs[parsed->module];
    halves.is_embedding = parsed->is_embedding;
    const Safetensor*& half = parsed->is_a ? halves.a : halves.b;
    if (half != nullptr) {
      return refuse(Code::kCorrupt,
                    fmt::format("module '{}' is there twice", parsed->module.substr(0, 200)));
    }
    half = &tensor;
  }
  if (pairs.empty()) return refuse(Code::kCorrupt, "it holds no tensors");
  return pairs;
}

Result<MatView> PeftReader::as_matrix(const Safetensor& tensor) const {
  const auto type = float_type(tensor);
  if (!type) {
    return refuse(Code::kUnsupported, fmt::format("tensor '{}' has the type {}, F32, F16 and BF16 "
                                                  "are read",
                                                  tensor.name.substr(0, 200), tensor.dtype));
  }
  constexpr std::uint64_t kExtentMax = 1U << 24;
  const auto is_extent = [](std::uint64_t n) { return n >= 1 && n <= kExtentMax; };
  if (tensor.shape.size() != 2 || !std::ranges::all_of(tensor.shape, is_extent)) {
    return refuse(Code::kCorrupt, fmt::format("tensor '{}' is no matrix of at most {} rows and "
                                              "columns",
                                              tensor.name.substr(0, 200), kExtentMax));
  }
  return MatView{*type, static_cast<std::uint32_t>(tensor.shape[0]),
                 static_cast<std::uint32_t>(tensor.shape[1]), tensor.data.data()};
}

// Floats that live as long as the source.
float* PeftReader::own(std::size_t n) {
  auto floats = std::make_shared<std::vector<float>>(n);
  float* const at = floats->data();
  source_.owners.push_back(std::move(floats));
  return at;
}

MatView PeftReader::transposed(const MatView& w) {
  float* const out = own(std::size_t{w.rows} * w.cols);
  std::vector<float> row(w.cols);
  for (std::uint32_t r = 0; r < w.rows; ++r) {
    tensor::dequantize_row(w, r, row.data());
    for (std::uint32_t c = 0; c < w.cols; ++c) out[std::size_t{c} * w.rows + r] = row[c];
  }
  return {tensor::DType::kF32, w.cols, w.rows, reinterpret_cast<const std::byte*>(out)};
}

// Each head's rows come as two halves; GGUF's llama has one of each in turn.
MatView PeftReader::with_adjacent_pairs(const MatView& w) {
  const std::uint32_t head = base_.config().head_dim;
  if (w.rows % head != 0) return w;  // Refused for its shape later.
  float* const out = own(std::size_t{w.rows} * w.cols);
  for (std::uint32_t r = 0; r < w.rows; ++r) {
    const std::uint32_t in_head = r % head;
    const std::uint32_t from = r - in_head + in_head / 2 + in_head % 2 * (head / 2);
    tensor::dequantize_row(w, from, out + std::size_t{r} * w.cols);
  }
  return {tensor::DType::kF32, w.rows, w.cols, reinterpret_cast<const std::byte*>(out)};
}

Result<> PeftReader::add(const std::string& module, const Halves& halves) {
  if (halves.a == nullptr || halves.b == nullptr) {
    return refuse(Code::kCorrupt, fmt::format("of module '{}' one matrix is missing",
                                              module.substr(0, 200)));
  }
  auto mapped = map_name(*family_, module + ".weight");
  if (!mapped) return refuse(mapped.error().code, mapped.error().message);
  if (!*mapped) {
    return refuse(Code::kUnsupported, fmt::format("module '{}' is no part of the text model",
                                                  module.substr(0, 200)));
  }
  AdapterMatrix matrix{.target = (*mapped)->name};
  HEARTH_TRY(matrix.a, as_matrix(*halves.a));
  HEARTH_TRY(matrix.b, as_matrix(*halves.b));
  matrix.scale = strength_.of(module, matrix.b.cols);
  if (halves.is_embedding) matrix.a = transposed(matrix.a);
  const bool is_turned = (*mapped)->is_query || (*mapped)->is_key;
  if (family_->pairs_become_adjacent && is_turned) matrix.b = with_adjacent_pairs(matrix.b);
  source_.matrices.push_back(std::move(matrix));
  return {};
}

Result<AdapterSource> PeftReader::run(std::string_view config, std::span<const std::byte> weights) {
  family_ = find_family_of(base_.config().architecture);
  if (family_ == nullptr) {
    return refuse(Code::kUnsupported,
                  fmt::format("folders in PEFT's layout are not read for the architecture '{}': "
                              "convert it with llama.cpp's convert_lora_to_gguf.py",
                              base_.config().architecture));
  }
  source_.file = name_;
  source_.name = fs::path(name_).filename().string();
  HEARTH_TRY_VOID(read_config(config));
  HEARTH_TRY(const std::vector<Safetensor> tensors, parse_safetensors(weights, name_));
  HEARTH_TRY(const auto pairs, pair(tensors));
  for (const auto& [module, halves] : pairs) HEARTH_TRY_VOID(add(module, halves));
  source_.identity = hash64(weights, hash64(config));
  return std::move(source_);
}

// The folder that `path` names, itself or by one of its files; empty if it names none.
fs::path folder_of(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return path;
  const fs::path file = path.filename();
  if (file != kConfigName && file != kWeightsName) return {};
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

Result<AdapterSource> read_peft_adapter(std::string_view config, std::span<const std::byte> weights,
                                        const std::string& name, const model::Model& base) {
  return PeftReader(name, base).run(config, weights);
}

Result<std::shared_ptr<const model::Adapter>> load_adapter(const fs::path& path,
                                                           const model::Model& base) {
  const fs::path folder = folder_of(path);
  if (folder.empty()) return model::Adapter::load(path, base);
  HEARTH_TRY(const std::string config, read_file(folder / kConfigName, kPeftConfigBytesMax));
  std::error_code ignored;
  if (!fs::exists(folder / kWeightsName, ignored)) {
    return fail(Code::kNotFound, fmt::format("adapter '{}' has no {}: save it again in the "
                                             "safetensors format",
                                             folder.string(), kWeightsName));
  }
  HEARTH_TRY(const MappedFile weights, MappedFile::open(folder / kWeightsName));
  HEARTH_TRY(const AdapterSource source,
             read_peft_adapter(config, weights.bytes(), folder.string(), base));
  return model::Adapter::bind(source, base);
}

}  // namespace hearth::convert
