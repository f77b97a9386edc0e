#pragma once

#include <span>

#include "base/result.h"
#include "model/algorithm.h"

namespace tidemill {

/// Columns at most: the second derivatives are a matrix of this size squared.
inline constexpr size_t kLogisticColumnsMax = 2000;

/// Minimises sum_i c_i ln(1 + exp(-y_i z_i)) + l2 / 2 |w|^2, z = w x + b, y = -1 or 1, by Newton's method with halved steps, in
/// one thread and in the order of the rows: same input, same bits. The intercept b has no penalty. c_i is 1, or with `balanced` n
/// / (2 n_class). `sample` are rows whose raw scores are wanted. All numbers must be finite. Code: "not_converged" after
/// `max_iterations`.
Result<FittedFunction> FitLogisticRegression(const AlgorithmSettings& settings, const FittingRows& train,
                                             std::span<const double> sample);

/// "3.4.0"
std::string EigenVersion();

}  // namespace tidemill
