#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

/// How well scores separate two classes. Labels are 0 or 1; scores and labels have the same length. Where a figure is not defined
/// (no rows, one class only, a score that is NaN) it is nullopt, never a number that looks like one. Sums go in a fixed order:
/// equal input, equal bits.
namespace tidemill {

/// The chance that a positive row scores higher than a negative one, ties counting half (the area under the ROC curve). Exact up
/// to 2^31 rows.
std::optional<double> AreaUnderRoc(std::span<const double> scores, std::span<const int> labels);

/// Sum over the distinct scores, from the highest down, of (recall gained) * precision: no interpolation (scikit-learn's
/// definition).
std::optional<double> AveragePrecision(std::span<const double> scores, std::span<const int> labels);

/// Mean of -ln(probability given to what happened), in nats; scores are kept 2^-52 away from 0 and 1. Defined for one class too.
std::optional<double> LogLoss(std::span<const double> scores, std::span<const int> labels);

/// Mean squared difference between score and label. Defined for one class too.
std::optional<double> BrierScore(std::span<const double> scores, std::span<const int> labels);

/// Share of rows where (score >= 0.5) equals the label. Defined for one class too.
std::optional<double> Accuracy(std::span<const double> scores, std::span<const int> labels);

/// Whose a row is, and in which period it lies.
struct PeriodEntity {
  int64_t period = 0;
  uint32_t entity = 0;
};

/// In each period in turn, the `k` entities with the highest scores (the best of an entity's rows; ties in the order of their
/// numbers) are looked into: the share of them that have a positive row in the period, averaged over the periods that have
/// rows. An entity that was found positive is not looked into again later. Where fewer than `k` are left, all of them are.
/// Undefined also where k = 0.
std::optional<double> PrecisionAtK(std::span<const double> scores, std::span<const int> labels,
                                   std::span<const PeriodEntity> rows, size_t k);

using CurvePoints = std::vector<std::pair<double, double>>;

/// (false positive rate, true positive rate) from (0, 0) to (1, 1), at most `points_max` (>= 3) points about equally far apart.
/// Empty when undefined.
CurvePoints RocCurve(std::span<const double> scores, std::span<const int> labels, size_t points_max);

/// (recall, precision) by falling score, at most `points_max` (>= 3) points about equally far apart in recall. Empty when
/// undefined.
CurvePoints PrecisionRecallCurve(std::span<const double> scores, std::span<const int> labels, size_t points_max);

/// (mean score, share of positives) of at most `bins` groups of about as many rows each, by rising score; equal scores stay
/// together.
CurvePoints CalibrationCurve(std::span<const double> scores, std::span<const int> labels, size_t bins);

}  // namespace tidemill
