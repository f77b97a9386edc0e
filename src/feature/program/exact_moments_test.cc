#include "feature/program/exact_moments.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>
#include <vector>

#include "base/time.h"

namespace tidemill {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(ExactMoments, VarianceOfShiftedNumbers) {
  // Three numbers far from zero: the textbook formula in doubles gives 0 or worse.
  ExactMoments moments;
  for (const double value : {1e9 + 1, 1e9 + 2, 1e9 + 3}) moments.Add(value);
  EXPECT_EQ(moments.Variance(1), 1.0);
  EXPECT_EQ(moments.Variance(0), 2.0 / 3.0);
}

TEST(ExactMoments, AgreeWithLongRationalsInAnyHistory) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 1000; ++round) {
    SCOPED_TRACE(round);
    ExactMoments moments;
    __extension__ typedef __int128 Wide;
    Wide sum = 0;
    Wide squares = 0;
    const int count = 2 + static_cast<int>(random() % 50);
    for (int i = 0; i < count; ++i) {
      const auto value = static_cast<int64_t>(random() % 2'000'000'000) - 1'000'000'000;
      const double passing = std::bit_cast<double>(random());
      moments.Add(passing);
      moments.Add(static_cast<double>(value) * 0x1p-20);
      moments.Subtract(passing);
      sum += value;
      squares += Wide{value} * value;
    }
    const double numerator = static_cast<double>(squares * count - sum * sum);
    EXPECT_EQ(moments.Variance(1), std::ldexp(numerator / (double(count) * (count - 1)), -40));
  }
}

TEST(ExactMoments, ExtremesDoNotOverflow) {
  ExactMoments moments;
  const double largest = std::numeric_limits<double>::max();
  moments.Add(largest);
  moments.Add(-largest);
  EXPECT_EQ(moments.Variance(0), std::numeric_limits<double>::infinity());
  moments.Subtract(largest);
  moments.Add(-largest);
  EXPECT_EQ(moments.Variance(0), 0.0);
}

/// Statistics of small samples, computed offline from their formulas over rationals (Python's fractions): sums exact, rounded to
/// 53 bits where docs/features.md says so. Numbers near each other, far from zero, of all exponents and subnormal.
struct Sample {
  std::vector<double> x;
  std::vector<double> y;
  std::vector<int64_t> micros;
  int64_t half_life_us;
  std::vector<double> statistics;  ///< skewness, corr, covar_samp, covar_pop, regr_slope, slope, ewm_mean
};
// clang-format off
const std::vector<Sample> kSamples = {
    {{0x1.d680000000000p+6, -0x1.5a00000000000p+6, -0x1.8000000000000p+4, 0x1.4d00000000000p+5, -0x1.c300000000000p+6},
     {-0x1.aa00000000000p+6, 0x1.5480000000000p+6, 0x1.8400000000000p+3, -0x1.9400000000000p+6, -0x1.f800000000000p+4},
     {-499057222742283, -499621881835304, -498159891503270, -498943138018417, -497577248835623},
     12345,
     {0x1.f37c7bdb7b031p-2, -0x1.7e3cfdc4b7796p-1, -0x1.61e119999999ap+12, -0x1.1b1a7ae147ae1p+12, -0x1.bf8b077a943afp-1, -0x1.d7418aa46b108p+1, -0x1.c300000000000p+6}},
    {{0x1.dcd650069d64ap+29, 0x1.dcd65000fd8bep+29, 0x1.dcd65001c9318p+29},
     {0x1.dcd6500504fbbp+29, 0x1.dcd6500794e87p+29, 0x1.dcd650049de82p+29},
     {1357202813002128, 1358271882301101, 1357633160380994},
     86400000000,
     {0x1.999310d5227fap+0, -0x1.0273a03972759p-1, -0x1.3c44b393eeaabp-5, -0x1.a5b0ef6fe8e39p-6, -0x1.e9288a67c4ddap-1, -0x1.b639b8c6fb594p-5, 0x1.dcd65000ff054p+29}},
    {{0x1.33e8944d2ea27p-8, 0x1.42b8efc58ae66p-6, 0x1.8fe24e7b5944ep+1, 0x1.4cbd5d6402625p+0, 0x1.d7c1ff3a6e0c6p-5, 0x1.440b515c0a09fp+2, 0x1.9767676c93b9cp-4, 0x1.6af0b94ca6b69p-1, 0x1.32dfcbf2f00f9p+7},
     {0x1.730196c0d1826p-5, 0x1.699d6b2e0d5f9p+1, 0x1.500bcdb97f4e6p+2, 0x1.693a2378562f6p-3, 0x1.ec606c298c8a4p-6, 0x1.843d9fc7d88f7p+4, 0x1.0b55c1c5f4e8cp+4, 0x1.7d4ff05f59890p+3, 0x1.10a568ad0cc15p+1},
     {1189468348118, 3064347918889, 286320353562, 3212896110603, 1364517518134, 2541105069185, 2997857519883, 1962035227045, 3149433356463},
     12345,
     {0x1.7f23f93c18e45p+1, -0x1.88bd6287f5b2dp-3, -0x1.52442fa709f55p+6, -0x1.2cae633f254bep+6, -0x1.1ea518b0d583cp+0, 0x1.654738941914fp+0, 0x1.4cbd5d6402625p+0}},
    {{0x1.1a992f0ce5835p+568, 0x1.9fd789c653938p-844, -0x1.aeac137dc76fbp-225, 0x1.3af83bd0561e6p-309, -0x1.582b0eab477d2p+198, 0x1.df2022a96fb1ap+516, -0x1.571594720771fp+247, -0x1.e16096e36aab0p+167, 0x1.69acd45a9437dp-1},
     {0x1.5d8de078969d8p-1, 0x1.2c0bd3b1287ffp-705, 0x1.1867626bb7dbdp-373, 0x1.8b4847c268440p-7, 0x1.75702e43435ccp-3, 0x1.013ef254b0c4ep+393, 0x1.383955e43eef4p-1, -0x1.4312d20203626p-543, 0x1.e683c0e786a3bp-1},
     {-496745805499685, -497994018375067, -497006946756461, -497539851867741, -498250263055965, -498267414578684, -497882136434644, -498236339155701, -499162214024920},
     86400000000,
     {0x1.7ffffffffffffp+1, -0x1.fffffffffffe7p-4, -0x1.f8d796d4b0b87p+954, -0x1.c0bfa2842b4eap+954, -0x1.193acdcaa3c53p+172, 0x1.a983916fe572dp+562, 0x1.f66b2a93c0751p+567}},
    {{0x0.0000000000007p-1022, 0x0.0000000000002p-1022, 0x0.000000000000ap-1022},
     {0x0.0000000000002p-1022, 0x0.0000000000009p-1022, 0x0.0000000000009p-1022},
     {1357114305131168, 1359698132611868, 1357654450921802},
     604800000000,
     {-0x1.71b839730fefep-1, -0x1.2492492492492p-3, -0x0.0p+0, -0x0.0p+0, -0x1.2492492492492p-3, -0x0.0p+0, 0x0.0000000000003p-1022}},
    {{0x1.d200000000000p+4, -0x1.fe00000000000p+4, -0x1.d000000000000p+1, -0x1.7680000000000p+6, -0x1.7e00000000000p+6},
     {0x1.dcd65006ca9f7p+29, 0x1.dcd65007f1dfdp+29, 0x1.dcd65003ba58bp+29, 0x1.dcd65003dee4bp+29, 0x1.dcd65000afe45p+29},
     {1506458378581, 1167115921509, 711641965046, 101001887682, 2323371238669},
     604800000000,
     {0x1.af648f6e86317p-5, 0x1.48760ba526152p-1, 0x1.9332f6d8ccccdp+3, 0x1.428f2be0a3d71p+3, 0x1.8bda882e6b9b5p+6, -0x1.696a16cdad538p-9, -0x1.a8575172ad8acp+5}},
    {{0x1.dcd6500585422p+29, 0x1.dcd65007502bbp+29, 0x1.dcd6500610ad4p+29},
     {0x1.be3811daa00dep-5, 0x1.6744dd2e81b29p+1, 0x1.89d34316dc86fp-2},
     {-497789040794592, -497202560389950, -497306097548734},
     3600000000,
     {0x1.12c7da5dba7c9p+0, 0x1.f6b68da81a050p-1, 0x1.5b2998900e1a4p-3, 0x1.cee220c012cdbp-4, 0x1.336be36de6698p-4, 0x1.b27a6f024a024p-6, 0x1.dcd65007502bcp+29}},
    {{0x1.0fca9531f0cdap+9, 0x1.bbc95619550f6p-5, 0x1.dc3e086cb6a1cp-2},
     {0x1.4b98d4787f93bp+611, -0x1.a6429b1491e24p-893, 0x1.c9f60d677f150p-2},
     {-498462453084180, -499646246582523, -499552376522752},
     3600000000,
     {0x1.bb67766d28c04p+0, 0x1.fffff8cd90823p-1, 0x1.d52d86beb257cp+618, 0x1.38c9047f218fdp+618, 0x1.a375023aa4cb2p-603, 0x1.48aba83346e00p+5, 0x1.0fca9531f0cdap+9}},
    {{0x1.f2ab53451d013p+653, 0x1.ccf536e70e88fp-1, 0x1.eafb14f460a3ap-2, 0x1.996ae7a92917bp-1, 0x1.20109a91c2439p-832},
     {0x0.000000000000fp-1022, 0x0.000000000000dp-1022, 0x0.000000000000cp-1022, 0x0.0000000000008p-1022, 0x0.0000000000003p-1022},
     {-499620614727431, -496821845931983, -497962485388290, -496729805944498, -499626566350355},
     3600000000,
     {0x1.1e3779b97f4a8p+1, 0x1.205a2a46050afp-1, 0x1.2b33985cab00bp-420, 0x1.deb8f3c778012p-421, kInfinity, -0x1.f03f1101b7ff8p+647, 0x1.996ae7ba8f565p-1}},
    {{0x0.0000000000010p-1022, 0x0.0p+0, 0x0.0000000000009p-1022},
     {-0x1.7800000000000p+2, 0x1.4580000000000p+6, 0x1.5700000000000p+5},
     {2892550337709, 1541624684266, 2410146291823},
     3600000000,
     {-0x1.7c5ba0b9b419dp-2, -0x1.fb01dc27719aep-1, -0x0.000000000015bp-1022, -0x0.00000000000e8p-1022, -0x0.0p+0, 0x0.0000000000001p-1022, 0x0.0000000000010p-1022}},
    {{-0x1.e580000000000p+6, 0x1.3e80000000000p+6, 0x1.ee00000000000p+6},
     {0x1.d4f4de5d450b7p+1, 0x1.1c7b46df53796p+2, 0x1.a71b056c5d1cdp-5},
     {-498860433553150, -498155121052690, -499420891542092},
     86400000000,
     {-0x1.83bf0b232039dp+0, -0x1.0099ef377b722p-1, -0x1.32bdd16bb9abap+7, -0x1.98fd173a4ce4dp+6, -0x1.beb88d55f6fc4p+4, -0x1.d36dfa26cb28dp+0, 0x1.3bb653f4c4ac3p+6}},
    {{0x1.dcd65002d48cbp+29, 0x1.dcd65003aa505p+29, 0x1.dcd65004aab2cp+29, 0x1.dcd650073bfffp+29, 0x1.dcd650035d726p+29, 0x1.dcd65007577e2p+29, 0x1.dcd6500403608p+29, 0x1.dcd65004412d7p+29, 0x1.dcd6500430244p+29},
     {-0x1.91b9270ac06acp-191, -0x1.a7d550101b811p-193, 0x1.60f750243d354p-3, 0x1.e615db9a6442ep-831, 0x1.4dce43d756a24p-2, 0x1.1c62e09ee1113p-1, 0x1.b29fc9c4366f8p-4, 0x1.fcea9730f9704p-3, 0x1.5d591c5b2e75ap-923},
     {-497528451723988, -496658395761214, -498054107647819, -497305657005501, -497775321357511, -497746833795392, -496954011756893, -498010239639116, -497652765342321},
     12345,
     {0x1.22ac61441494ep+0, 0x1.8ca3aca3f50f2p-2, 0x1.eae69b579773ep-7, 0x1.b45b34bfa311bp-7, 0x1.9d135778fd481p-2, -0x1.0e8b25265530cp-8, 0x1.dcd65003aa505p+29}},
    {{0x1.edbef3bccf28fp-5, 0x1.e8a91adefa2b5p-4, 0x1.7358154c59116p-1, 0x1.e52a8c775a2aep-3, 0x1.c52612e233721p+5, 0x1.66a19e179b6adp+3, 0x1.a69e13d1b72b9p+4, 0x1.7f9b06f3e983cp+5, 0x1.94d8ec704afabp-10},
     {0x0.000000000000dp-1022, 0x0.0000000000003p-1022, 0x0.0000000000007p-1022, 0x0.0000000000008p-1022, 0x0.0000000000005p-1022, 0x0.0000000000003p-1022, 0x0.0000000000005p-1022, 0x0.000000000000cp-1022, 0x0.0p+0},
     {-498060999773559, -499919670576507, -498542355339334, -497257588503668, -497748168171167, -499716700629779, -499536674423277, -498835702822397, -499827033418660},
     3600000000,
     {0x1.286d42180d55cp+0, 0x1.76a5af32db6adp-3, 0x0.0000000000012p-1022, 0x0.0000000000010p-1022, kInfinity, 0x1.716094a7b6ff8p-2, 0x1.e52a8c775a2afp-3}},
    {{0x1.a3b9d89b06366p-1, 0x1.5a1937746a26cp-1, 0x1.9fb0c9931e7d2p-2, 0x1.0791966484a09p-1, 0x1.6fec353b97377p-957},
     {-0x1.ad00000000000p+5, -0x1.b980000000000p+6, 0x1.3e80000000000p+6, 0x1.9900000000000p+5, -0x1.3880000000000p+6},
     {1357321672800608, 1359787506066804, 1357366191282005, 1357293013011179, 1358993387426474},
     86400000000,
     {-0x1.db579217e993ap-1, -0x1.e0f7e241cae43p-5, -0x1.8689e7164cb4fp+0, -0x1.386e52783d5d9p+0, -0x1.cf14d21c1eb2ap-13, -0x1.5fbfb6ec060d5p-8, 0x1.5981e77ca3765p-1}},
    {{0x0.0000000000010p-1022, 0x0.0000000000007p-1022, 0x0.000000000000fp-1022, 0x0.000000000000ap-1022, 0x0.0000000000001p-1022},
     {0x1.dcd65005ad219p+29, 0x1.dcd6500781483p+29, 0x1.dcd65007c0f2ap+29, 0x1.dcd65002185c9p+29, 0x1.dcd6500172fcbp+29},
     {1358342729918170, 1360339470585309, 1358272194531168, 1359200937466111, 1357784570941075},
     604800000000,
     {-0x1.2b0b2e8f32a71p-1, 0x1.27dba507154b1p-1, 0x0.0000000000001p-1022, 0x0.0000000000001p-1022, 0x0.000000000000ap-1022, -0x0.0p+0, 0x0.0000000000008p-1022}},
};
// clang-format on

/// Adds and takes away again at random, other values among them, and adds up two parts.
template <class Sums, class Change>
Sums AnyHistory(const Sums& empty, size_t count, std::mt19937_64& random, Change change) {
  Sums parts[2] = {empty, empty};
  for (const size_t half : {0, 1}) {
    std::vector<std::pair<size_t, bool>> steps;  // which value; whether it is one that passes through
    for (size_t i = 0; i < count; ++i) {
      if (i % 2 == half) steps.emplace_back(i, false);
      steps.insert(steps.end(), {{i, true}, {i, true}});
    }
    std::shuffle(steps.begin(), steps.end(), random);
    std::vector<bool> inside(count, false);
    for (const auto& [at, passing] : steps) {
      change(parts[half], at, passing, passing && inside[at]);
      if (passing) inside[at] = true;
    }
  }
  parts[0].Add(parts[1]);
  return parts[0];
}

TEST(ExactStatistics, AgreeWithRationalsInAnyHistory) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 40; ++round) {
    for (size_t at = 0; at < kSamples.size(); ++at) {
      SCOPED_TRACE(at);
      const Sample& s = kSamples[at];
      const double passing = std::bit_cast<double>(random());  // any bits: NaN, infinities, subnormals
      const int64_t when = s.micros[0] + static_cast<int64_t>(random() % 1'000'000'000);
      const auto x = [&](size_t i, bool other) { return other ? passing : s.x[i]; };
      const auto thirds = AnyHistory(ExactThirdMoments(), s.x.size(), random, [&](auto& sums, size_t i, bool other, bool minus) {
        minus ? sums.Subtract(x(i, other)) : sums.Add(x(i, other));
      });
      const auto pairs = AnyHistory(ExactPairs(), s.x.size(), random, [&](auto& sums, size_t i, bool other, bool minus) {
        minus ? sums.Subtract(x(i, other), s.y[i]) : sums.Add(x(i, other), s.y[i]);
      });
      const auto over_time = [&](auto& sums, size_t i, bool other, bool minus) {
        const int64_t t = other ? when : s.micros[i];
        minus ? sums.Subtract(t, x(i, other)) : sums.Add(t, x(i, other));
      };
      const auto trend = AnyHistory(ExactTrend(), s.x.size(), random, over_time);
      const auto mean = AnyHistory(ExactDecayedMean(s.half_life_us), s.x.size(), random, over_time);
      const std::vector<double> actual = {thirds.Skewness(),  pairs.Correlation(), pairs.Covariance(1), pairs.Covariance(0),
                                          pairs.SlopeOverY(), trend.SlopeADay(),   mean.Mean()};
      for (size_t i = 0; i < actual.size(); ++i) {
        EXPECT_EQ(std::bit_cast<uint64_t>(actual[i]), std::bit_cast<uint64_t>(s.statistics[i]))
            << "statistic " << i << ": " << actual[i] << " instead of " << s.statistics[i];
      }
    }
  }
}

TEST(ExactStatistics, WithoutSpreadThereIsNone) {
  ExactThirdMoments moments;
  ExactPairs pairs;
  ExactTrend trend;
  EXPECT_TRUE(std::isnan(moments.Skewness()));
  EXPECT_TRUE(std::isnan(pairs.Correlation()));
  EXPECT_TRUE(std::isnan(pairs.Covariance(0)));
  EXPECT_TRUE(std::isnan(trend.SlopeADay()));
  for (int i = 0; i < 5; ++i) {
    moments.Add(0.1);
    pairs.Add(0.1, i);
    trend.Add(77, i);
  }
  EXPECT_TRUE(std::isnan(moments.Skewness()));
  EXPECT_TRUE(std::isnan(pairs.Correlation()));
  EXPECT_EQ(pairs.SlopeOverY(), 0.0);
  EXPECT_TRUE(std::isnan(trend.SlopeADay()));
}

TEST(ExactStatistics, OfALineAreThoseOfTheLine) {
  ExactPairs pairs;
  ExactPairs falling;
  ExactTrend trend;
  for (int i = 0; i < 20; ++i) {
    pairs.Add(3.0 * i + 1, i);
    falling.Add(i, -0.25 * i);
    trend.Add(i * (kMicrosPerDay / 2), 3.0 * i + 1);
  }
  EXPECT_EQ(pairs.SlopeOverY(), 3.0);
  EXPECT_EQ(pairs.Correlation(), 1.0);
  EXPECT_EQ(falling.Correlation(), -1.0);
  EXPECT_EQ(trend.SlopeADay(), 6.0);
}

TEST(ExactStatistics, PowersOfTwoAreThoseOfTheRealNumbers) {
  EXPECT_EQ(PowerOfTwo(0), 1.0);
  EXPECT_EQ(PowerOfTwo(uint64_t{1} << 63), std::sqrt(2.0));
  EXPECT_LE(PowerOfTwo(~uint64_t{0}), 2.0);
  std::mt19937_64 random(4);
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t fraction = random() & ~uint64_t{0x7ff};  // 53 bits, so that it is a double
    const double expected = std::exp2(std::ldexp(static_cast<double>(fraction), -64));
    ASSERT_NEAR(PowerOfTwo(fraction), expected, 0x1p-52);
  }
}

TEST(ExactDecayedMean, HalvesByAgeAndForgetsWhatIsOld) {
  ExactDecayedMean mean(kMicrosPerDay);
  mean.Add(0, 6.0);
  EXPECT_EQ(mean.Mean(), 6.0);
  mean.Add(kMicrosPerDay, 0.0);
  EXPECT_EQ(mean.Mean(), 2.0);
  mean.Add(-1000 * kMicrosPerDay, std::nan(""));  // a thousand half-lives before
  EXPECT_EQ(mean.Mean(), 2.0);
  mean.Add(2 * kMicrosPerDay, kInfinity);
  EXPECT_EQ(mean.Mean(), kInfinity);
  mean.Subtract(2 * kMicrosPerDay, kInfinity);
  mean.Add(-40 * kMicrosPerDay, std::nan(""));  // in the block before 1970
  EXPECT_TRUE(std::isnan(mean.Mean()));
}

}  // namespace
}  // namespace tidemill
