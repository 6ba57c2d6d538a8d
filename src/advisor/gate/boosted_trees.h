// Gradient-boosted regression trees, small enough to be fitted on a user's own machine in seconds.
//
// Each tree is grown best leaf first on the gradients of the loss (Friedman 2001), from histograms of
// at most kBinsMax quantile bins per feature (as LightGBM does, Ke et al. 2017).  With G and H the sums of
// first and second derivatives over a leaf's rows, a split gains
//
//     GL^2 / (HL + l2) + GR^2 / (HR + l2) - G^2 / (H + l2)
//
// and a leaf's value is -step G / (H + l2).  Each split looks at a random share of the features, which
// decorrelates the trees, and each tree may look at a share of the rows (Friedman 2002); several such sequences ("bags") are averaged.  The random numbers are a fixed
// sequence: the same rows in the same order give the same trees.
//
// Missing values: the caller picks a number outside of the feature's range.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

#include "base/result.h"

namespace hearth::advisor::gate {

// Features of many rows: [n_rows, n_features], row after row.
struct Table {
  std::size_t n_features = 0;
  std::vector<float> values;

  std::size_t n_rows() const { return n_features == 0 ? 0 : values.size() / n_features; }
  std::span<const float> row(std::size_t i) const { return {values.data() + i * n_features, n_features}; }
  // The first row decides how many features there are; all others have as many.
  void add(std::span<const float> row);
};

enum class Loss : std::uint8_t {
  kSquared,   // Predicts the mean.
  kLogistic,  // Targets in [0, 1]; predicts the log-odds.
};

struct TreeOptions {
  Loss loss = Loss::kSquared;
  std::uint32_t n_trees = 150;  // Of each bag.
  std::uint32_t n_bags = 1;
  std::uint32_t leaves_max = 6;
  std::uint32_t leaf_rows_min = 40;
  double step = 0.04;
  double l2 = 30;
  double feature_share = 0.25;  // Looked at for each split.
  double row_share = 1;         // Drawn for each tree.
};

// Threading: immutable once made.
class BoostedTrees {
 public:
  static constexpr std::size_t kBinsMax = 64;
  static constexpr std::size_t kNodesMax = 1 << 18;  // Of a stored model.

  BoostedTrees() = default;  // Predicts 0.

  // `targets` has one value per row; at least one row.  Cost: about n_rows * n_features *
  // feature_share * log2(leaves) per tree.
  static BoostedTrees fit(const Table& rows, std::span<const float> targets, const TreeOptions& options);

  // `row` has as many features as the rows that it was fitted on.
  double predict(std::span<const float> row) const;

  std::size_t n_features() const { return n_features_; }

  nlohmann::ordered_json to_json() const;
  // kCorrupt names what is wrong: a stored model is checked until walking it can't leave it.
  static Result<BoostedTrees> from_json(const nlohmann::ordered_json& json);

 private:
  friend class TreeGrower;
  // Inner: values up to `value` go to node `left`, others to the next one after it.  A leaf has left = 0.
  struct Node {
    std::uint32_t feature = 0;
    std::uint32_t left = 0;
    float value = 0;
  };

  std::size_t n_features_ = 0;
  double base_ = 0;
  std::vector<Node> nodes_;
  std::vector<std::uint32_t> roots_;
};

}  // namespace hearth::advisor::gate
