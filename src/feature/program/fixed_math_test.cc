#include "feature/program/fixed_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace tidemill {
namespace {

int64_t Ulps(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
  return std::abs(std::bit_cast<int64_t>(a) - std::bit_cast<int64_t>(b));
}

/// Against the C library in long double, rounded: the exact result but for a rare case near the middle of two numbers.
template <class F, class G>
void ExpectClose(const char* name, F ours, G exact, double low, double high, int64_t ulps_max) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> numbers(low, high);
  int64_t worst = 0;
  for (int i = 0; i < 20'000; ++i) {
    const double x = numbers(random);
    worst = std::max(worst, Ulps(ours(x), static_cast<double>(exact(static_cast<long double>(x)))));
  }
  EXPECT_LE(worst, ulps_max) << name;
}
#define EXPECT_CLOSE(ours, exact, low, high, ulps) \
  ExpectClose(#ours, [](double x) { return fixed::ours(x); }, [](long double x) { return std::exact(x); }, low, high, ulps)

TEST(FixedMath, IsWithinAnUlpOfTheTruth) {
  EXPECT_CLOSE(Exp, exp, -700, 700, 1);
  EXPECT_CLOSE(Log, log, 0, 10, 1);
  EXPECT_CLOSE(Log2, log2, 0, 1e6, 1);
  EXPECT_CLOSE(Log10, log10, 0, 1e6, 1);
  EXPECT_CLOSE(Sin, sin, -10, 10, 1);
  EXPECT_CLOSE(Sin, sin, -1e9, 1e9, 1);
  EXPECT_CLOSE(Cos, cos, -1e6, 1e6, 1);
  EXPECT_CLOSE(Tan, tan, -10, 10, 1);
  EXPECT_CLOSE(Asin, asin, -1, 1, 1);
  EXPECT_CLOSE(Acos, acos, -1, 1, 1);
  EXPECT_CLOSE(Atan, atan, -10, 10, 1);
  EXPECT_CLOSE(Sinh, sinh, -10, 10, 2);
  EXPECT_CLOSE(Cosh, cosh, -10, 10, 2);
  EXPECT_CLOSE(Tanh, tanh, -3, 3, 2);
  EXPECT_CLOSE(Asinh, asinh, -10, 10, 2);
  EXPECT_CLOSE(Acosh, acosh, 1, 10, 2);
  for (const double x : {0.999, 0.0, -1.0, -1.3e7, -1e300}) EXPECT_TRUE(std::isnan(fixed::Acosh(x))) << x;
  EXPECT_CLOSE(Atanh, atanh, -1, 1, 2);
  EXPECT_CLOSE(Cbrt, cbrt, -1000, 1000, 1);
}

/// Bits that may never change: those of another machine, or of another day, are these.
TEST(FixedMath, HasTheseBits) {
  uint64_t mixed = 0;
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> numbers(0.001, 0.999);
  for (int i = 0; i < 5'000; ++i) {
    const double x = numbers(random);
    const double y = numbers(random);
    for (const double value : {fixed::Exp(x), fixed::Log(x), fixed::Log2(x), fixed::Log10(x), fixed::Sin(x), fixed::Cos(x), fixed::Tan(x),
                               fixed::Asin(x), fixed::Acos(x), fixed::Atan(x), fixed::Sinh(x), fixed::Cosh(x), fixed::Tanh(x),
                               fixed::Asinh(x), fixed::Acosh(x + 1), fixed::Atanh(x), fixed::Cbrt(x), fixed::Pow(x, y), fixed::Atan2(x, y)}) {
      mixed = mixed * 0x9E3779B97F4A7C15ULL + std::bit_cast<uint64_t>(value);
    }
  }
  EXPECT_EQ(mixed, 4836024252738254462ULL);
}

TEST(FixedMath, SpecialValuesAreThoseOfTheStandard) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(fixed::Exp(-kInfinity), 0);
  EXPECT_EQ(fixed::Exp(1000), kInfinity);
  EXPECT_EQ(fixed::Log(0), -kInfinity);
  EXPECT_TRUE(std::isnan(fixed::Log(-1)));
  EXPECT_EQ(fixed::Pow(0, 0), 1);
  EXPECT_EQ(fixed::Pow(0, -1), kInfinity);
  EXPECT_EQ(fixed::Pow(10, 22), 1e22);
  EXPECT_EQ(fixed::Cbrt(27), 3);
  EXPECT_TRUE(std::isnan(fixed::Sin(kInfinity)));
}

}  // namespace
}  // namespace tidemill
