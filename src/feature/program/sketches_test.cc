#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "feature/program/hyperloglog.h"
#include "feature/program/log_buckets.h"
#include "feature/program/value_keys.h"

namespace tidemill {
namespace {

TEST(HyperLogLog, EstimatesAreNearAtEverySize) {
  HyperLogLog sketch;
  EXPECT_EQ(sketch.Estimate(), 0);
  int64_t next = 1;
  for (int64_t value = 0; value < 1'000'000; ++value) {
    sketch.Add(KeyHash(value));
    if (value + 1 != next) continue;
    const double error = static_cast<double>(sketch.Estimate()) / static_cast<double>(next) - 1;
    EXPECT_LE(std::fabs(error), next <= 30 ? 0.04 : 3 * 0.0163) << next;
    next = next * 3 / 2 + 1;
  }
}

TEST(HyperLogLog, DependsOnTheSetAloneAndSurvivesItsBytes) {
  std::mt19937_64 random(1);
  for (const int count : {0, 1, 50, 3000, 40'000}) {
    HyperLogLog whole;
    HyperLogLog parts[2];
    SlidingHyperLogLog sliding;
    for (int i = 0; i < count; ++i) {
      const uint64_t hash = random();
      const uint64_t passing = random();
      whole.Add(hash);
      parts[random() % 2].Add(hash);
      sliding.Add(passing);
      sliding.Add(hash);
      sliding.Remove(passing);
    }
    std::string bytes;
    parts[1].Save(bytes);
    VarintReader reader(bytes);
    ASSERT_TRUE(parts[0].AddSaved(reader));
    EXPECT_TRUE(reader.AtEnd());
    EXPECT_EQ(parts[0].Estimate(), whole.Estimate());
    EXPECT_EQ(sliding.Estimate(), whole.Estimate());
  }
}

TEST(LogBuckets, NumbersAreOffByAtMostOne256thAndKeepTheirOrder) {
  std::mt19937_64 random(2);
  std::vector<double> numbers = {0.0,
                                 std::numeric_limits<double>::infinity(),
                                 -std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::max(),
                                 -1.0,
                                 1.0};
  while (numbers.size() < 5000) {
    const double number = std::bit_cast<double>(random());
    if (std::isnormal(number)) numbers.push_back(number);
  }
  LogBuckets buckets;
  for (const double number : numbers) buckets.Add(NumberKey(number));
  buckets.Add(NumberKey(std::nan("")));
  std::sort(numbers.begin(), numbers.end());
  for (size_t rank = 0; rank < numbers.size(); ++rank) {
    const double middle = buckets.AtRank(static_cast<int64_t>(rank));
    if (std::isinf(numbers[rank]) || numbers[rank] == 0) {
      EXPECT_EQ(middle, numbers[rank]);
    } else {
      EXPECT_LE(std::fabs(middle / 4 - numbers[rank] / 4), std::fabs(numbers[rank]) / 1024);
    }
  }
  EXPECT_TRUE(std::isnan(buckets.AtRank(static_cast<int64_t>(numbers.size()))));
}

TEST(ValueKeys, AreInTheOrderOfNumbers) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> numbers = {-infinity, -1e300, -1.0, -5e-324, 0.0, 5e-324, 1.0, 1e300, infinity, std::nan("")};
  for (size_t i = 1; i < numbers.size(); ++i) EXPECT_LT(NumberKey(numbers[i - 1]), NumberKey(numbers[i]));
  for (const double number : numbers) {
    if (!std::isnan(number)) {
      EXPECT_EQ(KeyNumber(NumberKey(number)), number);
    }
  }
  EXPECT_EQ(NumberKey(-0.0), NumberKey(0.0));
  EXPECT_EQ(NumberKey(std::nan("1")), NumberKey(-std::nan("2")));
}

TEST(ValueKeys, HashesAreFixedForEver) {
  EXPECT_EQ(KeyHash(int64_t{42}), 15839032910123150311U);
  EXPECT_EQ(KeyHash(std::string_view("tidemill")), 7731511645108515720U);
}

}  // namespace
}  // namespace tidemill
