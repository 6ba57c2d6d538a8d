#include "convert/low_rank.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace hearth::convert {
namespace {

constexpr std::uint32_t kOversampling = 8;
constexpr int kPowerSweeps = 3;
// Rows are summed in so many runs, in their order, whoever sums them.
constexpr std::uint32_t kRuns = 16;
// Directions that are smaller than this beside what they were are rounding.
constexpr double kNothing = 1e-5;

class Factorizer {
 public:
  Factorizer(const RowSource& source, std::uint32_t rank, std::uint64_t seed, ThreadPool& pool)
      : source_(source),
        rank_(std::min({rank, source.rows, source.cols})),
        width_(std::min({rank + kOversampling, source.rows, source.cols})),
        pool_(pool) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    basis_.resize(std::size_t{source_.cols} * width_);
    for (float& v : basis_) v = normal(random);
  }

  LowRankFactors run() {
    for (int i = 0; i < kPowerSweeps; ++i) {
      turn_basis();
      orthonormalize();
    }
    project();
    return factors();
  }

 private:
  // Calls take(run, row index, row) for all rows.
  template <class Take>
  void sweep(Take&& take) {
    pool_.run(kRuns, [&](std::uint32_t run) {
      std::vector<float> row(source_.cols);
      const auto begin = static_cast<std::uint32_t>(std::uint64_t{source_.rows} * run / kRuns);
      const auto end = static_cast<std::uint32_t>(std::uint64_t{source_.rows} * (run + 1) / kRuns);
      for (std::uint32_t r = begin; r < end; ++r) {
        source_.row(r, row.data());
        take(run, r, row.data());
      }
    });
  }

  // y [width] = row · basis.
  void times_basis(const float* row, float* y) const {
    std::fill_n(y, width_, 0.0F);
    for (std::uint32_t c = 0; c < source_.cols; ++c) {
      const float* const b = basis_.data() + std::size_t{c} * width_;
      const float d = row[c];
      for (std::uint32_t k = 0; k < width_; ++k) y[k] += d * b[k];
    }
  }

  // basis = D^T D basis.
  void turn_basis() {
    std::vector<std::vector<float>> sums(kRuns);
    for (auto& sum : sums) sum.resize(basis_.size());
    sweep([&](std::uint32_t run, std::uint32_t, const float* row) {
      std::vector<float> y(width_);
      times_basis(row, y.data());
      float* const sum = sums[run].data();
      for (std::uint32_t c = 0; c < source_.cols; ++c) {
        const float d = row[c];
        float* const s = sum + std::size_t{c} * width_;
        for (std::uint32_t k = 0; k < width_; ++k) s[k] += d * y[k];
      }
    });
    std::ranges::fill(basis_, 0.0F);
    for (const auto& sum : sums) {
      for (std::size_t i = 0; i < basis_.size(); ++i) basis_[i] += sum[i];
    }
  }

  // Gram and Schmidt, twice; what depends on earlier columns becomes 0.
  void orthonormalize() {
    const std::uint32_t n = source_.cols;
    std::vector<std::vector<double>> columns(width_, std::vector<double>(n));
    for (std::uint32_t c = 0; c < n; ++c) {
      for (std::uint32_t k = 0; k < width_; ++k) columns[k][c] = static_cast<double>(basis_[std::size_t{c} * width_ + k]);
    }
    const auto dot = [](const std::vector<double>& x, const std::vector<double>& y) {
      return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
    };
    for (std::uint32_t k = 0; k < width_; ++k) {
      std::vector<double>& column = columns[k];
      const double before = std::sqrt(dot(column, column));
      for (int round = 0; round < 2; ++round) {
        for (std::uint32_t j = 0; j < k; ++j) {
          const double along = dot(columns[j], column);
          for (std::uint32_t c = 0; c < n; ++c) column[c] -= along * columns[j][c];
        }
      }
      const double after = std::sqrt(dot(column, column));
      const double scale = after > kNothing * before && before > 0 ? 1 / after : 0.0;
      for (double& v : column) v *= scale;
    }
    for (std::uint32_t c = 0; c < n; ++c) {
      for (std::uint32_t k = 0; k < width_; ++k) basis_[std::size_t{c} * width_ + k] = static_cast<float>(columns[k][c]);
    }
  }

  // projected [rows, width] = D basis, with D's norm and the products of its columns.
  void project() {
    projected_.resize(std::size_t{source_.rows} * width_);
    std::vector<double> squares(kRuns);
    std::vector<std::vector<double>> grams(kRuns, std::vector<double>(std::size_t{width_} * width_));
    sweep([&](std::uint32_t run, std::uint32_t index, const float* row) {
      float* const y = projected_.data() + std::size_t{index} * width_;
      times_basis(row, y);
      for (std::uint32_t c = 0; c < source_.cols; ++c) {
        squares[run] += static_cast<double>(row[c]) * static_cast<double>(row[c]);
      }
      double* const gram = grams[run].data();
      for (std::uint32_t i = 0; i < width_; ++i) {
        for (std::uint32_t j = 0; j < width_; ++j) {
          gram[i * width_ + j] += static_cast<double>(y[i]) * static_cast<double>(y[j]);
        }
      }
    });
    gram_.assign(std::size_t{width_} * width_, 0);
    for (std::uint32_t run = 0; run < kRuns; ++run) {
      squares_ += squares[run];
      for (std::size_t i = 0; i < gram_.size(); ++i) gram_[i] += grams[run][i];
    }
  }

  // Jacobi's rotations: gram_ becomes diagonal; returns the eigenvectors as columns [width, width].
  std::vector<double> diagonalize() {
    const std::uint32_t n = width_;
    std::vector<double> vectors(std::size_t{n} * n);
    for (std::uint32_t i = 0; i < n; ++i) vectors[i * n + i] = 1;
    const auto at = [&](std::uint32_t i, std::uint32_t j) -> double& { return gram_[i * n + j]; };
    constexpr int kSweepsMax = 30;
    for (int round = 0; round < kSweepsMax; ++round) {
      double off = 0, diagonal = 0;
      for (std::uint32_t i = 0; i < n; ++i) {
        diagonal += at(i, i) * at(i, i);
        for (std::uint32_t j = i + 1; j < n; ++j) off += at(i, j) * at(i, j);
      }
      if (off <= 1e-26 * diagonal) break;
      for (std::uint32_t p = 0; p < n; ++p) {
        for (std::uint32_t q = p + 1; q < n; ++q) rotate(p, q, vectors);
      }
    }
    return vectors;
  }

  void rotate(std::uint32_t p, std::uint32_t q, std::vector<double>& vectors) {
    const std::uint32_t n = width_;
    const double pq = gram_[p * n + q];
    if (pq == 0) return;
    const double theta = (gram_[q * n + q] - gram_[p * n + p]) / (2 * pq);
    const double t = (theta >= 0 ? 1.0 : -1.0) / (std::abs(theta) + std::sqrt(theta * theta + 1));
    const double c = 1 / std::sqrt(t * t + 1), s = t * c;
    const auto turn = [c, s](double& x, double& y) {
      const double old = x;
      x = c * old - s * y;
      y = s * old + c * y;
    };
    for (std::uint32_t k = 0; k < n; ++k) turn(gram_[k * n + p], gram_[k * n + q]);
    for (std::uint32_t k = 0; k < n; ++k) turn(gram_[p * n + k], gram_[q * n + k]);
    for (std::uint32_t k = 0; k < n; ++k) turn(vectors[k * n + p], vectors[k * n + q]);
  }

  // D = (projected V) (basis V)^T; each side takes the root of a singular value.
  LowRankFactors factors() {
    const std::vector<double> vectors = diagonalize();
    std::vector<std::uint32_t> order(width_);
    std::iota(order.begin(), order.end(), 0U);
    const auto eigenvalue = [&](std::uint32_t i) { return std::max(0.0, gram_[i * width_ + i]); };
    std::ranges::stable_sort(order, std::ranges::greater{}, eigenvalue);

    LowRankFactors made{.rank = rank_, .norm = std::sqrt(squares_)};
    made.a.resize(std::size_t{rank_} * source_.cols);
    made.b.resize(std::size_t{source_.rows} * rank_);
    double kept = 0;
    for (std::uint32_t k = 0; k < rank_; ++k) {
      const double singular = std::sqrt(eigenvalue(order[k]));
      if (singular <= kNothing * made.norm) continue;
      kept += eigenvalue(order[k]);
      const auto along = [&](const float* row) {
        double sum = 0;
        for (std::uint32_t i = 0; i < width_; ++i) sum += static_cast<double>(row[i]) * vectors[i * width_ + order[k]];
        return sum;
      };
      const double root = std::sqrt(singular);
      for (std::uint32_t c = 0; c < source_.cols; ++c) {
        made.a[std::size_t{k} * source_.cols + c] =
            static_cast<float>(root * along(basis_.data() + std::size_t{c} * width_));
      }
      for (std::uint32_t r = 0; r < source_.rows; ++r) {
        made.b[std::size_t{r} * rank_ + k] =
            static_cast<float>(along(projected_.data() + std::size_t{r} * width_) / root);
      }
    }
    made.error = std::sqrt(std::max(0.0, squares_ - kept));
    return made;
  }

  const RowSource& source_;
  const std::uint32_t rank_, width_;
  ThreadPool& pool_;
  std::vector<float> basis_;      // [cols, width]
  std::vector<float> projected_;  // [rows, width]
  std::vector<double> gram_;      // [width, width]
  double squares_ = 0;
};

}  // namespace

LowRankFactors factorize(const RowSource& source, std::uint32_t rank, std::uint64_t seed,
                         ThreadPool& pool) {
  return Factorizer(source, rank, seed, pool).run();
}

}  // namespace hearth::convert
