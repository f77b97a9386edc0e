#include "feature/program/decimal_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "feature/program/decimals.h"

namespace tidemill {
namespace {

/// Of every size up to 38 digits, and near the edges.
__int128 RandomWhole(std::mt19937_64& random) {
  if (random() % 20 == 0) return random() % 2 == 0 ? kWholeMax : -kWholeMax;
  if (random() % 10 == 0) return static_cast<__int128>(random() % 5) - 2;
  auto value = static_cast<__int128>(static_cast<unsigned __int128>(random()) << 64 | random()) >> (random() % 127);
  return value > kWholeMax || value < -kWholeMax ? value / 10 : value;
}

TEST(DecimalKeys, AreInTheOrderOfTheirNumbersAndLeadBack) {
  std::mt19937_64 random(3);
  std::vector<__int128> values = {0, -1, 1, 63, 64, -64, -65, kWholeMax, -kWholeMax};
  for (int i = 0; i < 3000; ++i) values.push_back(RandomWhole(random));
  for (const __int128 value : values) {
    const std::string key = DecimalKey(value);
    ASSERT_TRUE(DecimalOfKey(key).has_value()) << FormatWhole(value);
    EXPECT_EQ(FormatWhole(*DecimalOfKey(key)), FormatWhole(value));
    EXPECT_TRUE(std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 127; }));
    const __int128 other = values[random() % values.size()];
    EXPECT_EQ(key < DecimalKey(other), value < other) << FormatWhole(value) << " " << FormatWhole(other);
  }
}

TEST(DecimalKeys, OtherTextsAreNone) {
  for (const std::string key : {"", "a0", "b", "b00", "x0000000000000000000000", "w", "hello", "12", "b\x7f", "é", "w2oooooooooooooooooooooo"})
    EXPECT_FALSE(DecimalOfKey(key).has_value()) << key;
}

TEST(DecimalSum, OverflowsOnWayAreNoneInTheEnd) {
  DecimalSum sum;
  for (int i = 0; i < 1000; ++i) sum.Add(kWholeMax);
  EXPECT_FALSE(sum.Value().has_value());
  EXPECT_EQ(sum.Mean(1000, 38), static_cast<double>(kWholeMax) / 1e38);
  for (int i = 0; i < 1001; ++i) sum.Add(-kWholeMax);
  EXPECT_EQ(FormatWhole(*sum.Value()), FormatWhole(-kWholeMax));
  EXPECT_FALSE(sum.Value(1).has_value());
  sum.Add(-kWholeMax / 2);
  EXPECT_TRUE(sum.Value().has_value());
  sum.Add(-kWholeMax / 2);
  EXPECT_FALSE(sum.Value().has_value());
  sum.Clear();
  sum.Add(-3);
  EXPECT_EQ(FormatWhole(*sum.Value(2)), "-12");
}

TEST(DecimalSum, HoweverItIsCutItIsTheSame) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 300; ++round) {
    DecimalSum whole;
    DecimalSum parts;
    for (uint64_t part = random() % 5; part > 0; --part) {
      DecimalSum sum;
      for (uint64_t i = random() % 8; i > 0; --i) {
        const __int128 value = RandomWhole(random);
        whole.Add(value);
        sum.Add(value);
      }
      if (random() % 2 == 0) {
        parts.Add(sum);
        continue;
      }
      std::string bytes;
      sum.Save(bytes);
      VarintReader reader(bytes);
      ASSERT_TRUE(parts.AddSaved(reader) && reader.AtEnd());
    }
    ASSERT_EQ(whole.Value().has_value(), parts.Value().has_value());
    EXPECT_EQ(whole.Value() == parts.Value(), true);
    EXPECT_EQ(whole.Mean(7, 3), parts.Mean(7, 3));
  }
}

/// m * 2^e is the double nearest to n / d exactly when |2 n - 2 m 2^e d| <= 2^e d: here with numbers that 128 bits hold.
TEST(DecimalSum, MeansAreRoundedOnce) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20000; ++round) {
    const auto units = static_cast<__int128>(random() >> (random() % 60)) * static_cast<__int128>(1 + random() % 1000);
    const auto count = static_cast<int64_t>(1 + (random() >> (33 + random() % 30)));
    DecimalSum sum;
    sum.Add(round % 2 == 0 ? units : -units);
    const double mean = std::fabs(sum.Mean(count, 2));
    if (units == 0) {
      EXPECT_EQ(mean, 0);
      continue;
    }
    int exponent = 0;
    const auto mantissa = static_cast<__int128>(std::ldexp(std::frexp(mean, &exponent), 53));
    exponent -= 53;
    const __int128 divisor = static_cast<__int128>(count) * 100;
    if (exponent > 8 || exponent < -40 || units >> 80 != 0) continue;
    const __int128 up = exponent < 0 ? __int128{1} << -exponent : 1;
    const __int128 down = exponent > 0 ? __int128{1} << exponent : 1;
    __int128 left = 0;
    __int128 right = 0;
    if (__builtin_mul_overflow(units * 2, up, &left) || __builtin_mul_overflow(mantissa * down * 2, divisor, &right)) continue;
    const __int128 distance = left > right ? left - right : right - left;
    EXPECT_LE(distance, divisor * down) << FormatWhole(units) << " / " << count << " is not " << mean;
  }
  DecimalSum tie;  // 2^53 + 1 lies in the middle: to the even one
  tie.Add((__int128{1} << 53) + 1);
  EXPECT_EQ(tie.Mean(1, 0), 0x1p53);
  tie.Add(2);
  EXPECT_EQ(tie.Mean(1, 0), 0x1p53 + 4);
}

}  // namespace
}  // namespace tidemill
