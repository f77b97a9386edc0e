#include "model/logistic_regression.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <Eigen/Cholesky>

namespace tidemill {
namespace {

constexpr double kDecrementMax = 1e-13;  ///< of the loss: where the next step would gain less than its share, it is over
constexpr int kHalvingsMax = 40;

/// ln(1 + exp(x)) without overflow.
double Softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

double Logistic(double x) {
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const double e = std::exp(x);
  return e / (1 + e);
}

/// The penalised loss of one set of rows, with its derivatives. The last parameter is the intercept.
class LogisticLoss {
 public:
  LogisticLoss(const FittingRows& rows, double l2, bool balanced) : rows_(rows), l2_(l2) {
    const auto positives = static_cast<double>(std::count(rows.labels.begin(), rows.labels.end(), 1.0F));
    const auto count = static_cast<double>(rows.labels.size());
    if (balanced) {
      positive_weight_ = count / (2 * positives);
      negative_weight_ = count / (2 * (count - positives));
    }
  }

  Eigen::Index size() const { return static_cast<Eigen::Index>(rows_.width) + 1; }

  double Value(const Eigen::VectorXd& at) const {
    double loss = 0;
    for (size_t row = 0; row < rows_.labels.size(); ++row) {
      const double z = Score(at, row);
      loss += IsPositive(row) ? positive_weight_ * Softplus(-z) : negative_weight_ * Softplus(z);
    }
    double squares = 0;
    for (Eigen::Index i = 0; i + 1 < size(); ++i) squares += at[i] * at[i];
    return loss + l2_ / 2 * squares;
  }

  /// Of the second derivatives only the lower triangle. Both sums go by rows, each entry in their order: no blocks whose size
  /// depends on the machine's caches.
  void Derive(const Eigen::VectorXd& at, Eigen::VectorXd& first, Eigen::MatrixXd& second) const {
    first.setZero(size());
    second.setZero(size(), size());
    Eigen::VectorXd x = Eigen::VectorXd::Ones(size());
    for (size_t row = 0; row < rows_.labels.size(); ++row) {
      const double p = Logistic(Score(at, row));
      const double weight = IsPositive(row) ? positive_weight_ : negative_weight_;
      const double slope = weight * (p - (IsPositive(row) ? 1.0 : 0.0));
      const double curve = weight * p * (1 - p);
      std::copy_n(RowAt(row), rows_.width, x.data());
      first += slope * x;
      for (Eigen::Index j = 0; j < size(); ++j) {
        if (x[j] != 0) second.col(j).tail(size() - j) += (curve * x[j]) * x.tail(size() - j);
      }
    }
    for (Eigen::Index i = 0; i + 1 < size(); ++i) {
      first[i] += l2_ * at[i];
      second(i, i) += l2_;
    }
  }

 private:
  const double* RowAt(size_t row) const { return rows_.matrix.data() + row * rows_.width; }
  bool IsPositive(size_t row) const { return rows_.labels[row] == 1.0F; }
  double Score(const Eigen::VectorXd& at, size_t row) const {
    const double* x = RowAt(row);
    double z = at[size() - 1];
    for (size_t i = 0; i < rows_.width; ++i) z += at[static_cast<Eigen::Index>(i)] * x[i];
    return z;
  }

  const FittingRows& rows_;
  double l2_;
  double positive_weight_ = 1;
  double negative_weight_ = 1;
};

/// The parameters with the smallest loss.
Result<Eigen::VectorXd> Minimise(const LogisticLoss& loss, int iterations_max) {
  Eigen::VectorXd at = Eigen::VectorXd::Zero(loss.size());
  double value = loss.Value(at);
  Eigen::VectorXd first;
  Eigen::MatrixXd second;
  for (int iteration = 0; iteration < iterations_max; ++iteration) {
    loss.Derive(at, first, second);
    const Eigen::LDLT<Eigen::MatrixXd, Eigen::Lower> factors(second);
    const Eigen::VectorXd step = factors.solve(first);
    const double decrement = first.dot(step);
    if (factors.info() != Eigen::Success || !std::isfinite(decrement)) break;
    if (decrement <= kDecrementMax * std::max(value, 1.0)) return Eigen::VectorXd(at - step);
    double length = 1;
    double next = loss.Value(at - step);
    for (int halving = 0; halving < kHalvingsMax && !(next < value); ++halving) {
      length /= 2;
      next = loss.Value(at - length * step);
    }
    if (!(next < value)) return at;  // nothing that numbers can tell is gained any more
    at -= length * step;
    value = next;
  }
  return UserError("not_converged", fmt::format("the logistic regression has not converged within {} steps", iterations_max),
                   "raise l2 or max_iterations, and standardize the numbers");
}

/// |weight| times the column's standard deviation: what a usual change of the column does to the score.
std::vector<double> ColumnWeights(const LinearFunction& function, const FittingRows& rows) {
  std::vector<double> weights(rows.width, 0.0);
  const auto count = static_cast<double>(rows.labels.size());
  for (size_t column = 0; column < rows.width; ++column) {
    double sum = 0;
    for (size_t row = 0; row < rows.labels.size(); ++row) sum += rows.matrix[row * rows.width + column];
    const double mean = sum / count;
    double squares = 0;
    for (size_t row = 0; row < rows.labels.size(); ++row) {
      const double difference = rows.matrix[row * rows.width + column] - mean;
      squares += difference * difference;
    }
    weights[column] = std::abs(function.weights[column]) * std::sqrt(squares / count);
  }
  return weights;
}

}  // namespace

Result<FittedFunction> FitLogisticRegression(const AlgorithmSettings& settings, const FittingRows& train,
                                             std::span<const double> sample) {
  const LogisticLoss loss(train, settings.parameters["l2"].get<double>(), settings.parameters["balanced"].get<bool>());
  TIDEMILL_ASSIGN_OR_RETURN(const Eigen::VectorXd best, Minimise(loss, settings.parameters["max_iterations"].get<int>()));
  LinearFunction function{.weights = {best.data(), best.data() + train.width}, .intercept = best[loss.size() - 1]};
  FittedFunction fitted;
  fitted.column_weight = ColumnWeights(function, train);
  for (size_t begin = 0; begin < sample.size(); begin += train.width) {
    fitted.raw_sample.push_back(Evaluate(function, sample.data() + begin));
  }
  fitted.function = std::move(function);
  return fitted;
}

std::string EigenVersion() { return fmt::format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION); }

}  // namespace tidemill
