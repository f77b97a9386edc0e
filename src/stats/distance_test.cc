#include "stats/distance.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "stats/histogram.h"

namespace tidemill {
namespace {

using Numbers = std::vector<double>;

// The golden fixture of docs/monitoring.md; the expected figures come from NumPy and SciPy.
Numbers GoldenReference() {
  Numbers values;
  for (int i = 0; i < 500; ++i) values.push_back(i * i % 97);
  return values;
}
Numbers GoldenCurrent() {
  Numbers values;
  for (int i = 0; i < 400; ++i) values.push_back((i * i + 3 * i) % 101);
  return values;
}

Numbers Shares(const BinCounts& counts, bool with_outside) {
  Numbers shares;
  const auto total = static_cast<double>(counts.total());
  for (const int64_t c : counts.inside) shares.push_back(static_cast<double>(c) / total);
  if (with_outside) shares.push_back(static_cast<double>(counts.outside) / total);
  return shares;
}

TEST(Golden, DoaneEdgesAreNumPys) {
  const Numbers edges = DoaneEdges(GoldenReference());
  ASSERT_EQ(edges.size(), 12u);
  EXPECT_EQ(edges.front(), 0);
  EXPECT_DOUBLE_EQ(edges[1], 8.727272727272727);
  EXPECT_DOUBLE_EQ(edges[7], 61.09090909090909);
  EXPECT_EQ(edges.back(), 96);
}

TEST(Golden, NannyMlDistancesOverTheReferencesEdges) {
  const Numbers edges = DoaneEdges(GoldenReference());
  const Numbers r = Shares(CountInBins(GoldenReference(), edges), true);
  const Numbers c = Shares(CountInBins(GoldenCurrent(), edges), true);
  EXPECT_NEAR(c.back(), 0.035, 1e-12);  // 14 of 400 lie above 96
  EXPECT_NEAR(JensenShannonDistance(r, c), 0.20160404407571655, 1e-13);
  EXPECT_NEAR(HellingerDistance(r, c), 0.18348159431169092, 1e-13);
  EXPECT_DOUBLE_EQ(JensenShannonDistance(r, c), JensenShannonDistance(c, r));
}

TEST(Golden, EvidentlyDistancesOverBothTogether) {
  Numbers both = GoldenReference();
  for (const double v : GoldenCurrent()) both.push_back(v);
  const Numbers edges = SturgesEdges(both);
  ASSERT_EQ(edges.size(), 12u);
  const Numbers r = Shares(CountInBins(GoldenReference(), edges), false);
  const Numbers c = Shares(CountInBins(GoldenCurrent(), edges), false);
  EXPECT_NEAR(PopulationStabilityIndex(r, c, 0.0001), 0.17899411030096588, 1e-13);
  EXPECT_NEAR(JensenShannonDistanceNats(r, c), 0.1460980020774847, 1e-13);
  EXPECT_NEAR(KullbackLeiblerDivergence(r, c), 0.07840211024143466, 1e-13);
}

TEST(Golden, KolmogorovSmirnov) {
  EXPECT_NEAR(KolmogorovSmirnovStatistic(GoldenReference(), GoldenCurrent()), 0.111, 1e-12);
  EXPECT_EQ(KolmogorovSmirnovStatistic(GoldenReference(), GoldenReference()), 0);
  EXPECT_EQ(KolmogorovSmirnovStatistic(Numbers{1, 2}, Numbers{3, 4}), 1);
  EXPECT_EQ(KolmogorovSmirnovStatistic(Numbers{}, Numbers{3, 4}), 0);
}

TEST(Distance, EqualIsZeroAndDisjointIsOne) {
  const Numbers a{0.25, 0.75, 0};
  const Numbers b{0, 0, 1};
  EXPECT_EQ(JensenShannonDistance(a, a), 0);
  EXPECT_EQ(HellingerDistance(a, a), 0);
  EXPECT_DOUBLE_EQ(JensenShannonDistance(a, b), 1);
  EXPECT_DOUBLE_EQ(HellingerDistance(a, b), 1);
  EXPECT_TRUE(std::isinf(KullbackLeiblerDivergence(a, b)));
  EXPECT_GT(PopulationStabilityIndex(a, b, 0.0001), 1);
  EXPECT_TRUE(std::isfinite(PopulationStabilityIndex(a, b, 0.0001)));
}

TEST(Distance, LargestShareDifferenceIsTfdvsGoldenValue) {
  EXPECT_DOUBLE_EQ(LargestShareDifference(Numbers{0.1, 0.9}, Numbers{0.3, 0.7}), 0.2);
}

TEST(Histogram, FewOrOddValues) {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(DoaneEdges(Numbers{}), (Numbers{0, 1}));
  EXPECT_EQ(DoaneEdges(Numbers{nan, inf}), (Numbers{0, 1}));
  EXPECT_EQ(DoaneEdges(Numbers{5, 5, 5}), (Numbers{4.5, 5.5}));
  EXPECT_EQ(DoaneEdges(Numbers{1, 3}), (Numbers{1, 3}));
  EXPECT_EQ(DoaneEdges(Numbers{-1e308, 0, 1e308}), (Numbers{-1e308, 1e308}));  // the range itself overflows
  const BinCounts counts = CountInBins(Numbers{nan, -inf, inf, 0, 0.5, 1, 1.5}, Numbers{0, 0.5, 1});
  EXPECT_EQ(counts.inside, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(counts.outside, 3);
  EXPECT_EQ(counts.total(), 6);
}

// The quick bin arithmetic must agree with a plain search over the edges, also on the edges themselves.
TEST(Histogram, BinsAgreeWithASearch) {
  Numbers values;
  for (int i = 0; i < 1000; ++i) values.push_back(std::sin(i) * 3 + i * 0.001);
  const Numbers edges = DoaneEdges(values);
  for (const double e : edges) values.push_back(e);
  std::vector<int64_t> expected(edges.size() - 1, 0);
  for (const double v : values) {
    size_t bin = 0;
    while (bin + 2 < edges.size() && v >= edges[bin + 1]) ++bin;
    ++expected[bin];
  }
  EXPECT_EQ(CountInBins(values, edges).inside, expected);
}

}  // namespace
}  // namespace tidemill
