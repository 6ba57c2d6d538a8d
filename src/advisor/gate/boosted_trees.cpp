#include "advisor/gate/boosted_trees.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "advisor/gate/fixed_random.h"

namespace hearth::advisor::gate {
namespace {

using Json = nlohmann::ordered_json;

// Sums over the rows of a bin, or of a leaf.
struct Sums {
  double gradient = 0;
  double curvature = 0;
  std::uint32_t n_rows = 0;

  void add(const Sums& other) {
    gradient += other.gradient;
    curvature += other.curvature;
    n_rows += other.n_rows;
  }
  Sums without(const Sums& other) const {
    return {gradient - other.gradient, curvature - other.curvature, n_rows - other.n_rows};
  }
  double score(double l2) const { return gradient * gradient / (curvature + l2); }
};

// The borders between a feature's bins: midway between neighbouring values, as evenly filled as ties allow.
std::vector<float> find_borders(std::vector<float> values) {
  std::ranges::sort(values);
  const std::size_t n = values.size();
  std::vector<float> borders;
  std::size_t next = n / BoostedTrees::kBinsMax + 1;
  for (std::size_t i = 1; i < n && borders.size() + 1 < BoostedTrees::kBinsMax; ++i) {
    if (values[i] == values[i - 1] || i < next) continue;
    const float middle = values[i - 1] + (values[i] - values[i - 1]) / 2;
    borders.push_back(middle < values[i] ? middle : values[i - 1]);
    next = i + (n - i) / (BoostedTrees::kBinsMax - borders.size()) + 1;
  }
  return borders;
}

// Few distinct values (switches, letters) get a bin each, however unevenly they are filled.
std::vector<float> borders_of(std::vector<float> values) {
  std::vector<float> distinct = values;
  std::ranges::sort(distinct);
  const auto rest = std::ranges::unique(distinct);
  distinct.erase(rest.begin(), rest.end());
  return find_borders(distinct.size() <= BoostedTrees::kBinsMax ? std::move(distinct) : std::move(values));
}

}  // namespace

void Table::add(std::span<const float> row) {
  if (n_features == 0) n_features = row.size();
  HEARTH_CHECK(row.size() == n_features);
  values.insert(values.end(), row.begin(), row.end());
}

// Fits the trees of one model; it is gone afterwards.
class TreeGrower {
 public:
  TreeGrower(const Table& rows, std::span<const float> targets, const TreeOptions& options)
      : options_(options), n_rows_(rows.n_rows()), n_features_(rows.n_features), targets_(targets) {
    bin(rows);
    gradients_.resize(n_rows_);
    curvatures_.resize(n_rows_);
    scores_.resize(n_rows_);
    n_looked_at_ = std::max<std::size_t>(
        1, static_cast<std::size_t>(std::lround(options.feature_share * static_cast<double>(n_features_))));
  }

  BoostedTrees grow() {
    BoostedTrees made;
    made.n_features_ = n_features_;
    made.base_ = base();
    for (std::uint32_t bag = 0; bag < options_.n_bags; ++bag) {
      std::ranges::fill(scores_, made.base_);
      for (std::uint32_t tree = 0; tree < options_.n_trees; ++tree) {
        differentiate();
        grow_tree(made);
      }
    }
    // The bags' average: each tree counts with its share.
    for (BoostedTrees::Node& node : made.nodes_) {
      if (node.left == 0) node.value /= static_cast<float>(options_.n_bags);
    }
    return made;
  }

 private:
  struct Split {
    double gain = 0;
    std::size_t feature = 0;
    std::size_t bin = 0;  // The last one that goes left.
  };
  struct Leaf {
    std::uint32_t node = 0;
    std::size_t begin = 0, end = 0;  // In order_.
    Sums sums;
    Split best;
  };

  void bin(const Table& rows) {
    bins_.resize(n_features_ * n_rows_);
    borders_.resize(n_features_);
    std::vector<float> column(n_rows_);
    for (std::size_t f = 0; f < n_features_; ++f) {
      for (std::size_t i = 0; i < n_rows_; ++i) column[i] = rows.values[i * n_features_ + f];
      borders_[f] = borders_of(column);
      for (std::size_t i = 0; i < n_rows_; ++i) {
        const auto at = std::ranges::lower_bound(borders_[f], column[i]);
        bins_[f * n_rows_ + i] = static_cast<std::uint8_t>(at - borders_[f].begin());
      }
    }
  }

  double base() const {
    const double mean =
        std::accumulate(targets_.begin(), targets_.end(), 0.0) / static_cast<double>(n_rows_);
    if (options_.loss == Loss::kSquared) return mean;
    const double p = std::clamp(mean, 1e-3, 1 - 1e-3);
    return std::log(p / (1 - p));
  }

  void differentiate() {
    for (std::size_t i = 0; i < n_rows_; ++i) {
      if (options_.loss == Loss::kSquared) {
        gradients_[i] = static_cast<float>(scores_[i] - static_cast<double>(targets_[i]));
        curvatures_[i] = 1;
        continue;
      }
      const double p = 1 / (1 + std::exp(-scores_[i]));
      gradients_[i] = static_cast<float>(p - static_cast<double>(targets_[i]));
      curvatures_[i] = static_cast<float>(std::max(p * (1 - p), 1e-6));
    }
  }

  void grow_tree(BoostedTrees& made) {
    draw_rows();
    const auto root = static_cast<std::uint32_t>(made.nodes_.size());
    made.roots_.push_back(root);
    std::vector<Leaf> leaves = {make_leaf(made, 0, order_.size())};
    while (leaves.size() < options_.leaves_max) {
      const auto best = std::ranges::max_element(leaves, {}, [](const Leaf& leaf) { return leaf.best.gain; });
      if (best->best.gain <= 0) break;
      const Leaf parent = *best;
      const std::size_t middle = part(parent);
      BoostedTrees::Node& node = made.nodes_[parent.node];
      node.feature = static_cast<std::uint32_t>(parent.best.feature);
      node.value = borders_[parent.best.feature][parent.best.bin];
      node.left = static_cast<std::uint32_t>(made.nodes_.size());
      last_bins_[parent.node - root] = static_cast<std::uint8_t>(parent.best.bin);
      *best = make_leaf(made, parent.begin, middle);
      leaves.push_back(make_leaf(made, middle, parent.end));
    }
    for (const Leaf& leaf : leaves) {
      const double value = -options_.step * leaf.sums.gradient / (leaf.sums.curvature + options_.l2);
      made.nodes_[leaf.node].value = static_cast<float>(value);
    }
    add_to_scores(made, root);
  }

  void draw_rows() {
    order_.clear();
    const auto limit = static_cast<std::size_t>(options_.row_share * 1024);
    for (std::size_t i = 0; i < n_rows_; ++i) {
      if (limit >= 1024 || random_.below(1024) < limit) order_.push_back(static_cast<std::uint32_t>(i));
    }
    last_bins_.assign(2 * std::size_t{options_.leaves_max}, 0);
  }

  // The new tree's values, also of the rows that it did not look at.
  void add_to_scores(const BoostedTrees& made, std::uint32_t root) {
    for (std::size_t i = 0; i < n_rows_; ++i) {
      std::size_t at = root;
      while (made.nodes_[at].left != 0) {
        const BoostedTrees::Node& node = made.nodes_[at];
        at = node.left + (bins_[node.feature * n_rows_ + i] <= last_bins_[at - root] ? 0 : 1);
      }
      scores_[i] += static_cast<double>(made.nodes_[at].value);
    }
  }

  // Children are made one after the other: the right one is the node behind the left one.
  Leaf make_leaf(BoostedTrees& made, std::size_t begin, std::size_t end) {
    Leaf leaf{.node = static_cast<std::uint32_t>(made.nodes_.size()), .begin = begin, .end = end};
    made.nodes_.emplace_back();
    for (std::size_t k = begin; k < end; ++k) {
      const std::uint32_t i = order_[k];
      leaf.sums.add({static_cast<double>(gradients_[i]), static_cast<double>(curvatures_[i]), 1});
    }
    leaf.best = find_split(leaf);
    return leaf;
  }

  Split find_split(const Leaf& leaf) {
    Split best;
    if (leaf.end - leaf.begin < 2 * std::size_t{options_.leaf_rows_min}) return best;
    candidates_.resize(n_features_);
    std::iota(candidates_.begin(), candidates_.end(), std::size_t{0});
    for (std::size_t k = 0; k < n_looked_at_; ++k) {
      std::swap(candidates_[k], candidates_[k + random_.below(n_features_ - k)]);
      look_at(leaf, candidates_[k], best);
    }
    return best;
  }

  void look_at(const Leaf& leaf, std::size_t feature, Split& best) const {
    const std::size_t n_borders = borders_[feature].size();
    if (n_borders == 0) return;
    // Rows in turn go to one of two histograms, so that equal bins do not wait for one another.
    std::array<std::array<Sums, BoostedTrees::kBinsMax>, 2> histograms{};
    const std::uint8_t* const bins = bins_.data() + feature * n_rows_;
    for (std::size_t k = leaf.begin; k < leaf.end; ++k) {
      const std::uint32_t i = order_[k];
      Sums& sums = histograms[k % 2][bins[i]];
      sums.gradient += static_cast<double>(gradients_[i]);
      sums.curvature += static_cast<double>(curvatures_[i]);
      ++sums.n_rows;
    }
    const double whole = leaf.sums.score(options_.l2);
    Sums left;
    for (std::size_t b = 0; b < n_borders; ++b) {
      left.add(histograms[0][b]);
      left.add(histograms[1][b]);
      const Sums right = leaf.sums.without(left);
      if (left.n_rows < options_.leaf_rows_min || right.n_rows < options_.leaf_rows_min) continue;
      const double gain = left.score(options_.l2) + right.score(options_.l2) - whole;
      if (gain > best.gain) best = {gain, feature, b};
    }
  }

  std::size_t part(const Leaf& leaf) {
    const std::uint8_t* const bins = bins_.data() + leaf.best.feature * n_rows_;
    const auto begin = order_.begin();
    const auto middle = std::stable_partition(
        begin + static_cast<std::ptrdiff_t>(leaf.begin), begin + static_cast<std::ptrdiff_t>(leaf.end),
        [&](std::uint32_t i) { return bins[i] <= leaf.best.bin; });
    return static_cast<std::size_t>(middle - begin);
  }

  const TreeOptions options_;
  const std::size_t n_rows_, n_features_;
  const std::span<const float> targets_;
  std::size_t n_looked_at_ = 0;
  std::vector<std::uint8_t> bins_;           // [n_features, n_rows]
  std::vector<std::vector<float>> borders_;  // Of each feature, ascending.
  std::vector<float> gradients_, curvatures_;
  std::vector<double> scores_;
  std::vector<std::uint32_t> order_;  // Rows, those of a leaf side by side.
  std::vector<std::size_t> candidates_;
  std::vector<std::uint8_t> last_bins_;  // Of the tree's inner nodes, from its root: what goes left.
  FixedRandom random_;
};

BoostedTrees BoostedTrees::fit(const Table& rows, std::span<const float> targets,
                               const TreeOptions& options) {
  HEARTH_CHECK(rows.n_rows() > 0 && rows.n_rows() == targets.size());
  return TreeGrower(rows, targets, options).grow();
}

double BoostedTrees::predict(std::span<const float> row) const {
  HEARTH_CHECK(row.size() == n_features_ || roots_.empty());
  double sum = base_;
  for (const std::uint32_t root : roots_) {
    const Node* node = &nodes_[root];
    while (node->left != 0) node = &nodes_[node->left + (row[node->feature] <= node->value ? 0 : 1)];
    sum += static_cast<double>(node->value);
  }
  return sum;
}

Json BoostedTrees::to_json() const {
  Json features = Json::array(), lefts = Json::array(), values = Json::array();
  for (const Node& node : nodes_) {
    features.push_back(node.feature);
    lefts.push_back(node.left);
    values.push_back(node.value);
  }
  return {{"n_features", n_features_}, {"base", base_},   {"roots", roots_},
          {"features", features},      {"lefts", lefts}, {"values", values}};
}

Result<BoostedTrees> BoostedTrees::from_json(const Json& json) {
  BoostedTrees made;
  std::vector<std::uint32_t> features, lefts;
  std::vector<float> values;
  try {
    made.n_features_ = json.at("n_features").get<std::size_t>();
    made.base_ = json.at("base").get<double>();
    made.roots_ = json.at("roots").get<std::vector<std::uint32_t>>();
    features = json.at("features").get<std::vector<std::uint32_t>>();
    lefts = json.at("lefts").get<std::vector<std::uint32_t>>();
    values = json.at("values").get<std::vector<float>>();
  } catch (const Json::exception& error) {
    return fail(Code::kCorrupt, std::string("stored trees: ") + error.what());
  }
  const std::size_t n = features.size();
  if (lefts.size() != n || values.size() != n || n > kNodesMax || made.roots_.size() > n) {
    return fail(Code::kCorrupt, fmt::format("stored trees: {} features, {} lefts, {} values and {} roots, at most {} expected",
                                            n, lefts.size(), values.size(), made.roots_.size(), kNodesMax));
  }
  for (std::size_t i = 0; i < n; ++i) {
    // Children lie behind their parent, so every walk ends.
    const bool is_leaf = lefts[i] == 0;
    const bool is_inner = lefts[i] > i && lefts[i] + std::size_t{1} < n && features[i] < made.n_features_;
    if (!is_leaf && !is_inner) return fail(Code::kCorrupt, fmt::format("stored trees: node {} leads nowhere", i));
    made.nodes_.push_back({features[i], lefts[i], values[i]});
  }
  if (std::ranges::any_of(made.roots_, [n](std::uint32_t root) { return root >= n; })) {
    return fail(Code::kCorrupt, fmt::format("stored trees: a root is not among the {} nodes", n));
  }
  return made;
}

}  // namespace hearth::advisor::gate
