#include "model/config_layers.h"

#include <algorithm>
#include <array>

#include "model/config.h"

namespace hearth::model {
namespace {

constexpr std::string_view kElsewhere = "run the model in llama-server and add it as an upstream";

class LayerReader {
 public:
  LayerReader(const ConfigReader& reader, const Architecture& architecture, ModelConfig& config)
      : reader_(reader), architecture_(architecture), config_(config) {}

  Result<> run() {
    config_.layers.resize(config_.n_layers);
    HEARTH_TRY_VOID(read_feed_forward());
    HEARTH_TRY_VOID(read_kv_heads());
    HEARTH_TRY_VOID(read_delta_nets());
    HEARTH_TRY_VOID(read_windows());
    HEARTH_TRY_VOID(read_head_dims());
    HEARTH_TRY_VOID(number_layers());
    return check_attention();
  }

 private:
  Result<> read_feed_forward() {
    constexpr std::string_view kKey = "feed_forward_length";
    std::optional<std::uint32_t> fallback;
    if (architecture_.experts == Presence::kRequired) {
      HEARTH_TRY(const std::uint32_t of_experts,
                 reader_.file().get_u32(reader_.key("expert_feed_forward_length"), 0U));
      if (of_experts > 0) fallback = of_experts;
    }
    HEARTH_TRY(const std::vector<std::uint32_t> lengths,
               reader_.count_per_layer(kKey, config_.n_layers, kWidthMax, fallback));
    for (std::uint32_t i = 0; i < config_.n_layers; ++i) {
      config_.layers[i].d_ff = lengths[i];
      config_.d_ff = std::max(config_.d_ff, lengths[i]);
      if (lengths[i] > 0 || architecture_.is_one_block_each) continue;
      return reader_.refuse(Code::kUnsupported,
                            fmt::format("key '{}' gives layer {} no feed-forward block, which a "
                                        "'{}' has: {}",
                                        reader_.key(kKey), i, architecture_.name, kElsewhere));
    }
    return {};
  }

  // 0 in a list says that the layer is of another kind.
  Result<> read_kv_heads() {
    constexpr std::string_view kKey = "attention.head_count_kv";
    HEARTH_TRY(const std::vector<std::uint32_t> heads,
               reader_.count_per_layer(kKey, config_.n_layers, kHeadsMax, config_.n_heads));
    for (std::uint32_t i = 0; i < config_.n_layers; ++i) {
      LayerPlan& plan = config_.layers[i];
      plan.n_kv_heads = heads[i];
      config_.n_kv_heads = std::max(config_.n_kv_heads, heads[i]);
      if (heads[i] == 0) {
        HEARTH_TRY(plan.kind, kind_without_heads(i));
      } else if (config_.n_heads % heads[i] != 0) {
        return reader_.refuse(Code::kCorrupt,
                              fmt::format("{} heads cannot share {} key-value heads evenly: convert "
                                          "the model again",
                                          config_.n_heads, heads[i]));
      } else if (architecture_.is_one_block_each && plan.d_ff > 0) {
        return reader_.refuse(Code::kUnsupported,
                              fmt::format("layer {} has attention and a feed-forward block, of which "
                                          "a '{}' has one: {}",
                                          i, architecture_.name, kElsewhere));
      }
    }
    return {};
  }

  Result<LayerKind> kind_without_heads(std::uint32_t i) const {
    if (architecture_.has_convolutions) return LayerKind::kConvolution;
    if (architecture_.is_one_block_each && config_.layers[i].d_ff > 0) return LayerKind::kNothing;
    if (architecture_.mamba != Presence::kNever) return LayerKind::kMamba;
    return reader_.refuse(
        Code::kUnsupported,
        fmt::format("key '{}' gives layer {} no key-value heads, which each of a '{}' has: {}",
                    reader_.key("attention.head_count_kv"), i, architecture_.name, kElsewhere));
  }

  // As the file lists them, or all but the last of each interval.
  Result<> read_delta_nets() {
    if (architecture_.delta_nets == Presence::kNever) return {};
    constexpr std::string_view kList = "attention.recurrent_layers";
    if (reader_.file().find(reader_.key(kList)) != nullptr) {
      HEARTH_TRY(const std::vector<bool> recurrent, flags(kList));
      for (std::uint32_t i = 0; i < config_.n_layers; ++i) {
        if (recurrent[i]) config_.layers[i].kind = LayerKind::kDeltaNet;
      }
      return {};
    }
    HEARTH_TRY(const std::uint32_t interval,
               reader_.count("full_attention_interval", kLayersMax, 4));
    for (std::uint32_t i = 0; i < config_.n_layers; ++i) {
      if ((i + 1) % interval != 0) config_.layers[i].kind = LayerKind::kDeltaNet;
    }
    return {};
  }

  // A list of one yes or no for each layer.
  Result<std::vector<bool>> flags(std::string_view suffix) const {
    const gguf::Value* const listed = reader_.file().find(reader_.key(suffix));
    if (!listed->is_array() || listed->count() < config_.n_layers) {
      return reader_.refuse(
          Code::kCorrupt, fmt::format("key '{}' lists {} layers of {}: convert the model again",
                                      reader_.key(suffix), listed->is_array() ? listed->count() : 0,
                                      config_.n_layers));
    }
    const bool is_bools = listed->element_type() == gguf::ValueType::kBool;
    std::vector<bool> found(config_.n_layers);
    for (std::uint32_t i = 0; i < config_.n_layers; ++i) {
      found[i] =
          is_bools ? listed->payload()[i] != std::byte{0} : listed->u64_at(i).value_or(0) != 0;
    }
    return found;
  }

  // Which layers look back over the file's window only: as it lists them, or all but the last of
  // each period.
  Result<> read_windows() {
    constexpr std::string_view kPattern = "attention.sliding_window_pattern";
    sliding_.assign(config_.n_layers, false);
    if (architecture_.sliding_period == 0) return {};
    HEARTH_TRY(const std::uint32_t window,
               reader_.file().get_u32(reader_.key("attention.sliding_window"), 0U));
    if (window == 0) return {};
    const gguf::Value* const listed = reader_.file().find(reader_.key(kPattern));
    if (listed != nullptr && listed->is_array()) {
      HEARTH_TRY(sliding_, flags(kPattern));
    } else {
      HEARTH_TRY(const std::uint32_t period,
                 reader_.count(kPattern, kLayersMax, architecture_.sliding_period));
      for (std::uint32_t i = 0; i < config_.n_layers; ++i) {
        sliding_[i] = period == 1 || (i + 1) % period != 0;
      }
    }
    for (std::uint32_t i = 0; i < config_.n_layers; ++i) {
      if (sliding_[i]) config_.layers[i].window = window;
    }
    return {};
  }

  // Of heads, keys and values alike; `suffix` is that of sliding layers, or empty.
  Result<std::uint32_t> head_dim(std::string_view suffix, std::optional<std::uint32_t> fallback) {
    HEARTH_TRY(const std::uint32_t dim, reader_.count(fmt::format("attention.key_length{}", suffix),
                                                      kWidthMax, fallback));
    HEARTH_TRY(const std::uint32_t value_dim,
               reader_.count(fmt::format("attention.value_length{}", suffix), kWidthMax, dim));
    if (value_dim != dim) {
      return reader_.refuse(Code::kUnsupported,
                            fmt::format("keys have {} elements and values {}; this build runs "
                                        "models where they are equal: {}",
                                        dim, value_dim, kElsewhere));
    }
    if (dim <= kHeadDimMax && dim % kHeadDimMultiple == 0) return dim;
    return reader_.refuse(Code::kUnsupported,
                          fmt::format("heads have {} elements, multiples of {} up to {} are run: {}",
                                      dim, kHeadDimMultiple, kHeadDimMax, kElsewhere));
  }

  Result<> read_head_dims() {
    const std::uint32_t even_share = config_.d_model / config_.n_heads;
    HEARTH_TRY(const std::uint32_t full,
               head_dim("", even_share > 0 ? std::optional(even_share) : std::nullopt));
    HEARTH_TRY(const std::uint32_t sliding, head_dim("_swa", full));
    config_.head_dim = full;
    for (std::uint32_t i = 0; i < config_.n_layers; ++i) {
      config_.layers[i].head_dim = sliding_[i] ? sliding : full;
      config_.head_dim = std::max(config_.head_dim, config_.layers[i].head_dim);
    }
    return {};
  }

  // Gives each layer its place among those of its kind; the last ones may borrow an earlier one's.
  Result<> number_layers() {
    HEARTH_TRY(const std::uint32_t n_borrowing,
               reader_.file().get_u32(reader_.key("attention.shared_kv_layers"), 0U));
    const std::uint32_t n_own = config_.n_layers - std::min(n_borrowing, config_.n_layers);
    std::array<std::uint32_t, 5> n_of_kind = {};
    std::uint32_t n_main = 0;  // Attention whose heads are as those of the first such layer.
    const LayerPlan* first = nullptr;
    for (std::uint32_t i = 0; i < n_own; ++i) {
      LayerPlan& plan = config_.layers[i];
      if (plan.kind == LayerKind::kAttention) {
        if (first == nullptr) first = &plan;
        n_main += has_heads_of(plan, *first) ? 1 : 0;
      } else {
        plan.kv_index = n_of_kind[static_cast<std::size_t>(plan.kind)]++;
      }
      if (plan.kind != LayerKind::kNothing) config_.last_storing_layer = i;
    }
    std::uint32_t next_main = 0;
    std::uint32_t next_other = n_main;
    for (std::uint32_t i = 0; i < n_own; ++i) {
      LayerPlan& plan = config_.layers[i];
      if (plan.kind != LayerKind::kAttention) continue;
      plan.kv_index = has_heads_of(plan, *first) ? next_main++ : next_other++;
    }
    for (std::uint32_t i = n_own; i < config_.n_layers; ++i) HEARTH_TRY_VOID(borrow(i, n_own));
    return {};
  }

  static bool has_heads_of(const LayerPlan& a, const LayerPlan& b) {
    return a.n_kv_heads == b.n_kv_heads && a.head_dim == b.head_dim;
  }

  // Layer i reads what the last of those that have their own and look back alike keeps.
  Result<> borrow(std::uint32_t i, std::uint32_t n_own) {
    LayerPlan& plan = config_.layers[i];
    for (std::uint32_t from = n_own; from-- > 0;) {
      const LayerPlan& owner = config_.layers[from];
      if (owner.kind != plan.kind || sliding_[from] != sliding_[i]) continue;
      if (plan.kind != LayerKind::kAttention || !has_heads_of(owner, plan)) break;
      plan.kv_index = owner.kv_index;
      plan.borrows_kv = true;
      return {};
    }
    return reader_.refuse(
        Code::kUnsupported,
        fmt::format("key '{}' lets layer {} read the keys of an earlier one, and none is like it: "
                    "{}",
                    reader_.key("attention.shared_kv_layers"), i, kElsewhere));
  }

  // Some layer has attention, and their heads are of two kinds at most: kv_layout.h has no more.
  Result<> check_attention() const {
    std::vector<const LayerPlan*> kinds;
    for (const LayerPlan& plan : config_.layers) {
      const auto is_same = [&](const LayerPlan* known) { return has_heads_of(*known, plan); };
      if (plan.kind != LayerKind::kAttention || std::ranges::any_of(kinds, is_same)) continue;
      kinds.push_back(&plan);
    }
    if (kinds.empty()) {
      return reader_.refuse(Code::kUnsupported,
                            fmt::format("none of its {} layers has attention: {}", config_.n_layers,
                                        kElsewhere));
    }
    if (kinds.size() <= 2) return {};
    return reader_.refuse(
        Code::kUnsupported,
        fmt::format("key '{}' differs between layers in more than two ways, which this build does "
                    "not run: {}",
                    reader_.key("attention.head_count_kv"), kElsewhere));
  }

  const ConfigReader& reader_;
  const Architecture& architecture_;
  ModelConfig& config_;
  std::vector<bool> sliding_;
};

}  // namespace

Result<> read_layers(const ConfigReader& reader, const Architecture& architecture,
                     ModelConfig& config) {
  return LayerReader(reader, architecture, config).run();
}

}  // namespace hearth::model
