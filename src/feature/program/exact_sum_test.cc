#include "feature/program/exact_sum.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tidemill {
namespace {

__extension__ typedef __float128 Quad;  // NOLINT: no other spelling is accepted with -Wpedantic

/// Numbers of magnitudes within 60 bits of each other: a float128 sum of some is exact.
double SomeNumber(std::mt19937_64& random) {
  return std::ldexp(static_cast<double>(static_cast<int64_t>(random())), static_cast<int>(random() % 40) - 80);
}

TEST(ExactSum, KnownValues) {
  struct Case {
    std::vector<double> values;
    double sum;
  };
  const double infinity = std::numeric_limits<double>::infinity();
  const double tiny = std::numeric_limits<double>::denorm_min();
  const double largest = std::numeric_limits<double>::max();
  const std::vector<Case> cases = {{{}, 0.0},
                                   {{-0.0}, 0.0},
                                   {{1e100, 1.0, -1e100}, 1.0},
                                   {{0.1, 0.2, 0.3}, 0.6},
                                   {{1.0, 0x1p-53}, 1.0},                  // a tie goes to even
                                   {{1.0, 0x1p-53, tiny}, 1.0 + 0x1p-52},  // and the smallest bit breaks it
                                   {{-1.0, -0x1p-53, -tiny}, -1.0 - 0x1p-52},
                                   {{tiny, tiny}, 2 * tiny},
                                   {{0x1p-1022, -tiny}, 0x1p-1022 - tiny},
                                   {{largest, largest, -largest}, largest},  // passes through what no double holds
                                   {{largest, largest}, infinity},
                                   {{infinity, 1.0}, infinity},
                                   {{-infinity, 1.0}, -infinity}};
  for (const Case& c : cases) {
    ExactSum sum;
    for (const double value : c.values) sum.Add(value);
    EXPECT_EQ(sum.Round(), c.sum);
    EXPECT_FALSE(std::signbit(sum.Round()) && c.sum == 0);
  }
}

TEST(ExactSum, SpecialsCanBeSubtracted) {
  const double infinity = std::numeric_limits<double>::infinity();
  ExactSum sum;
  sum.Add(2.5);
  sum.Add(infinity);
  sum.Add(-infinity);
  EXPECT_TRUE(std::isnan(sum.Round()));
  sum.Subtract(-infinity);
  EXPECT_EQ(sum.Round(), infinity);
  sum.Add(std::nan(""));
  EXPECT_TRUE(std::isnan(sum.Round()));
  sum.Subtract(std::nan("7"));
  sum.Subtract(infinity);
  EXPECT_EQ(sum.Round(), 2.5);
}

TEST(ExactSum, AnyHistoryGivesTheRoundedSum) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 3000; ++round) {
    SCOPED_TRACE(round);
    std::vector<double> kept(1 + random() % 40);
    Quad expected = 0;
    for (double& value : kept) expected += value = SomeNumber(random);
    std::vector<double> passing(random() % 30);
    for (double& value : passing) value = std::bit_cast<double>(random());  // any bits: NaN, infinities, subnormals
    std::vector<std::pair<double, bool>> history;
    for (const double value : kept) history.emplace_back(value, false);
    for (const double value : passing) history.insert(history.end(), {{value, false}, {value, true}});
    std::shuffle(history.begin(), history.end(), random);
    ExactSum sum;
    for (const auto& [value, subtract] : history) subtract ? sum.Subtract(value) : sum.Add(value);
    ASSERT_EQ(std::bit_cast<uint64_t>(sum.Round()), std::bit_cast<uint64_t>(static_cast<double>(expected)));
  }
}

TEST(ExactSum, CarriesPropagateOverMillionsOfValues) {
  ExactSum sum;
  for (int i = 0; i < 1'000'000; ++i) sum.Add(-0x1.fffffffffffffp10);
  EXPECT_EQ(sum.Round(), static_cast<double>(Quad{-0x1.fffffffffffffp10} * 1'000'000));
  for (int i = 0; i < 1'000'000; ++i) sum.Subtract(-0x1.fffffffffffffp10);
  EXPECT_EQ(sum.Round(), 0.0);
}

}  // namespace
}  // namespace tidemill
