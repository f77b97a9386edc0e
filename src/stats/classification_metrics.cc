#include "stats/classification_metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

namespace tidemill {
namespace {

bool HasNan(std::span<const double> scores) {
  return std::any_of(scores.begin(), scores.end(), [](double score) { return std::isnan(score); });
}

bool IsUsable(std::span<const double> scores, std::span<const int> labels) {
  return !scores.empty() && scores.size() == labels.size() && !HasNan(scores);
}

/// Rows at or above one distinct score.
struct Cut {
  uint64_t positives = 0;
  uint64_t negatives = 0;
};

/// One cut for each distinct score, from the highest down; empty unless both classes occur.
std::vector<Cut> MakeCuts(std::span<const double> scores, std::span<const int> labels) {
  if (!IsUsable(scores, labels)) return {};
  std::vector<std::pair<double, int>> ranked(scores.size());
  for (size_t i = 0; i < scores.size(); ++i) ranked[i] = {scores[i], labels[i]};
  std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Cut> cuts;
  Cut cut;
  for (size_t i = 0; i < ranked.size(); ++i) {
    ++(ranked[i].second != 0 ? cut.positives : cut.negatives);
    if (i + 1 == ranked.size() || ranked[i + 1].first != ranked[i].first) cuts.push_back(cut);
  }
  if (cut.positives == 0 || cut.negatives == 0) return {};
  return cuts;
}

/// Keeps the first and last point and, between them, each that is at least one `points_max`-th of the way beyond the one kept
/// before.
template <class Distance>
CurvePoints ThinOut(const CurvePoints& points, size_t points_max, double whole_way, Distance distance) {
  if (points.size() <= points_max) return points;
  const double step = whole_way / static_cast<double>(points_max - 2);
  CurvePoints kept{points.front()};
  for (size_t i = 1; i + 1 < points.size() && kept.size() + 1 < points_max; ++i) {
    if (distance(kept.back(), points[i]) >= step) kept.push_back(points[i]);
  }
  kept.push_back(points.back());
  return kept;
}

template <class Term>
std::optional<double> MeanOf(std::span<const double> scores, std::span<const int> labels, Term term) {
  if (!IsUsable(scores, labels)) return std::nullopt;
  double sum = 0;
  for (size_t i = 0; i < scores.size(); ++i) sum += term(scores[i], labels[i] != 0);
  return sum / static_cast<double>(scores.size());
}

}  // namespace

std::optional<double> AreaUnderRoc(std::span<const double> scores, std::span<const int> labels) {
  const std::vector<Cut> cuts = MakeCuts(scores, labels);
  if (cuts.empty()) return std::nullopt;
  uint64_t doubled_area = 0;  // whole numbers: exact, whatever the order
  Cut before;
  for (const Cut& cut : cuts) {
    doubled_area += (cut.negatives - before.negatives) * (cut.positives + before.positives);
    before = cut;
  }
  return static_cast<double>(doubled_area) / 2.0 /
         (static_cast<double>(before.positives) * static_cast<double>(before.negatives));
}

std::optional<double> AveragePrecision(std::span<const double> scores, std::span<const int> labels) {
  const std::vector<Cut> cuts = MakeCuts(scores, labels);
  if (cuts.empty()) return std::nullopt;
  double sum = 0;
  uint64_t positives_before = 0;
  for (const Cut& cut : cuts) {
    const double precision = static_cast<double>(cut.positives) / static_cast<double>(cut.positives + cut.negatives);
    sum += static_cast<double>(cut.positives - positives_before) * precision;
    positives_before = cut.positives;
  }
  return sum / static_cast<double>(positives_before);
}

std::optional<double> LogLoss(std::span<const double> scores, std::span<const int> labels) {
  static constexpr double kMargin = 0x1p-52;
  return MeanOf(scores, labels, [](double score, bool positive) {
    const double probability = std::clamp(score, kMargin, 1.0 - kMargin);
    return -std::log(positive ? probability : 1.0 - probability);
  });
}

std::optional<double> BrierScore(std::span<const double> scores, std::span<const int> labels) {
  return MeanOf(scores, labels, [](double score, bool positive) {
    const double difference = score - (positive ? 1.0 : 0.0);
    return difference * difference;
  });
}

std::optional<double> Accuracy(std::span<const double> scores, std::span<const int> labels) {
  return MeanOf(scores, labels, [](double score, bool positive) { return (score >= 0.5) == positive ? 1.0 : 0.0; });
}

namespace {

/// An entity in a period: its highest score, and whether one of its rows is positive.
struct Candidate {
  uint32_t entity = 0;
  double score = 0;
  bool positive = false;
};

std::map<int64_t, std::vector<Candidate>> CandidatesByPeriod(std::span<const double> scores, std::span<const int> labels,
                                                             std::span<const PeriodEntity> rows) {
  std::vector<size_t> order(rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::tie(rows[a].period, rows[a].entity) < std::tie(rows[b].period, rows[b].entity);
  });
  std::map<int64_t, std::vector<Candidate>> periods;
  for (const size_t row : order) {
    std::vector<Candidate>& candidates = periods[rows[row].period];
    if (candidates.empty() || candidates.back().entity != rows[row].entity)
      candidates.push_back({.entity = rows[row].entity, .score = scores[row]});
    candidates.back().score = std::max(candidates.back().score, scores[row]);
    candidates.back().positive = candidates.back().positive || labels[row] != 0;
  }
  return periods;
}

}  // namespace

std::optional<double> PrecisionAtK(std::span<const double> scores, std::span<const int> labels,
                                   std::span<const PeriodEntity> rows, size_t k) {
  if (!IsUsable(scores, labels) || rows.size() != scores.size() || k == 0) return std::nullopt;
  std::set<uint32_t> found;
  double sum = 0;
  auto periods = CandidatesByPeriod(scores, labels, rows);
  for (auto& [period, candidates] : periods) {
    std::erase_if(candidates, [&](const Candidate& candidate) { return found.contains(candidate.entity); });
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    candidates.resize(std::min(k, candidates.size()));
    const size_t found_before = found.size();
    for (const Candidate& candidate : candidates) {
      if (candidate.positive) found.insert(candidate.entity);
    }
    if (!candidates.empty()) sum += static_cast<double>(found.size() - found_before) / static_cast<double>(candidates.size());
  }
  return sum / static_cast<double>(periods.size());
}

CurvePoints RocCurve(std::span<const double> scores, std::span<const int> labels, size_t points_max) {
  const std::vector<Cut> cuts = MakeCuts(scores, labels);
  if (cuts.empty()) return {};
  const Cut all = cuts.back();
  CurvePoints points{{0.0, 0.0}};
  for (const Cut& cut : cuts) {
    points.emplace_back(static_cast<double>(cut.negatives) / static_cast<double>(all.negatives),
                        static_cast<double>(cut.positives) / static_cast<double>(all.positives));
  }
  return ThinOut(points, points_max, 2.0,
                 [](const auto& a, const auto& b) { return (b.first - a.first) + (b.second - a.second); });
}

CurvePoints PrecisionRecallCurve(std::span<const double> scores, std::span<const int> labels, size_t points_max) {
  const std::vector<Cut> cuts = MakeCuts(scores, labels);
  if (cuts.empty()) return {};
  const Cut all = cuts.back();
  CurvePoints points;
  for (const Cut& cut : cuts) {
    points.emplace_back(static_cast<double>(cut.positives) / static_cast<double>(all.positives),
                        static_cast<double>(cut.positives) / static_cast<double>(cut.positives + cut.negatives));
  }
  return ThinOut(points, points_max, 1.0, [](const auto& a, const auto& b) { return b.first - a.first; });
}

CurvePoints CalibrationCurve(std::span<const double> scores, std::span<const int> labels, size_t bins) {
  if (!IsUsable(scores, labels) || bins == 0) return {};
  std::vector<std::pair<double, int>> ranked(scores.size());
  for (size_t i = 0; i < scores.size(); ++i) ranked[i] = {scores[i], labels[i] != 0 ? 1 : 0};
  std::sort(ranked.begin(), ranked.end());
  CurvePoints points;
  size_t begin = 0;
  for (size_t bin = 1; bin <= bins && begin < ranked.size(); ++bin) {
    size_t end = std::max(begin + 1, ranked.size() * bin / bins);
    while (end < ranked.size() && ranked[end].first == ranked[end - 1].first) ++end;
    double sum = 0;
    int64_t positives = 0;
    for (size_t i = begin; i < end; ++i) {
      sum += ranked[i].first;
      positives += ranked[i].second;
    }
    const double rows = static_cast<double>(end - begin);
    points.emplace_back(sum / rows, static_cast<double>(positives) / rows);
    begin = end;
  }
  return points;
}

}  // namespace tidemill
