#include "feature/program/sliding_sums.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "feature/program/testing.h"

namespace tidemill {
namespace {

AggregatePlan PlanOf(std::string function) {
  AggregatePlan plan;
  plan.function = std::move(function);
  plan.slot = 0;
  return plan;
}

RowStore RowsOf(const std::vector<double>& values) {
  RowStore rows({Type::kDouble});
  for (size_t i = 0; i < values.size(); ++i) {
    const Datum value = Datum::Number(values[i]);
    rows.Append(static_cast<int64_t>(i), 0, static_cast<int64_t>(i), {&value, 1});
  }
  return rows;
}

/// Whether it could be used; then every run's results are those of the aggregator.
bool MatchesAggregator(const std::vector<double>& values, std::mt19937_64& random) {
  const RowStore rows = RowsOf(values);
  SlidingSums sums(PlanOf("sum"));
  if (!sums.Build(rows)) return false;
  for (const char* function : {"sum", "avg"}) {
    const AggregatePlan plan = PlanOf(function);
    const auto aggregator = MakeAggregator(plan, rows);
    for (int run = 0; run < 20; ++run) {
      const auto begin = static_cast<uint32_t>(random() % (values.size() + 1));
      const auto end = static_cast<uint32_t>(random() % (values.size() + 1));
      ResultBuffer results({Type::kDouble});
      results.Resize(1);
      sums.Results(plan, {&begin, 1}, {&end, 1}, results.columns()[0]);
      const Datum result = results.columns()[0].Get(0, Type::kDouble);
      aggregator->Clear();
      for (uint32_t row = begin; row < end; ++row) aggregator->Add(row);
      EXPECT_TRUE(testing::SameBits(ToValue(result, Type::kDouble), ToValue(aggregator->Result(), Type::kDouble)));
    }
  }
  return true;
}

TEST(SlidingSums, EqualExactSumsToTheBit) {
  std::mt19937_64 random(17);
  int used = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<double> values(random() % 50);
    const int spread = 1 + static_cast<int>(random() % 80);
    const int middle = static_cast<int>(random() % 1800) - 900;
    for (double& value : values) {
      value = std::ldexp(static_cast<double>(static_cast<int64_t>(random())), middle + static_cast<int>(random() % spread));
      if (random() % 4 == 0) value = std::ldexp(std::rint(std::ldexp(value, -middle - 40)), middle);  // ties
      if (random() % 20 == 0) value = random() % 2 == 0 ? 0.0 : -0.0;
    }
    used += MatchesAggregator(values, random) ? 1 : 0;
  }
  EXPECT_GT(used, 500);
}

TEST(SlidingSums, RefuseWhatDoesNotFit) {
  std::mt19937_64 random(18);
  EXPECT_TRUE(MatchesAggregator({}, random));
  EXPECT_TRUE(MatchesAggregator({0.0, -0.0}, random));
  EXPECT_TRUE(MatchesAggregator({0.1, 0.2, -0.3, 1e9}, random));
  EXPECT_FALSE(MatchesAggregator({1.0, std::nan("")}, random));
  EXPECT_FALSE(MatchesAggregator({1.0, std::numeric_limits<double>::infinity()}, random));
  EXPECT_FALSE(MatchesAggregator({0.1, 1e30}, random));
  EXPECT_FALSE(MatchesAggregator({std::numeric_limits<double>::denorm_min()}, random));
  EXPECT_FALSE(MatchesAggregator({std::numeric_limits<double>::max()}, random));
}

}  // namespace
}  // namespace tidemill
