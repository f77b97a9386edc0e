#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "monitor/monitor.h"

namespace tidemill {
namespace {

Columns OneColumn(Column column) {
  Columns columns;
  columns.columns.push_back(std::move(column));
  return columns;
}

Column Doubles(const std::vector<double>& values) {
  Column column("x", Type::kDouble);
  for (const double v : values) column.AppendDouble(v);
  return column;
}

Column Integers(const std::vector<int64_t>& values) {
  Column column("x", Type::kInt64);
  for (const int64_t v : values) column.AppendInt(v);
  return column;
}

Column Texts(const std::vector<std::string>& values) {
  Column column("x", Type::kText);
  for (const std::string& v : values) {
    if (v.empty()) {
      column.AppendNull();
    } else {
      column.AppendText(v);
    }
  }
  return column;
}

Json Profile(const Column& column, std::optional<double> threshold = std::nullopt) {
  return ProfileReference(OneColumn(column), {{"x", column.type}}, threshold);
}

ColumnDrift Measure(const Json& reference, const Column& column) {
  const auto drifts = MeasureDrift(reference, OneColumn(column));
  EXPECT_TRUE(drifts.ok()) << (drifts.ok() ? "" : drifts.error().Format());
  return drifts.ok() && drifts->size() == 1 ? drifts->front() : ColumnDrift{};
}

/// Numbers in [0, 1), the same for the same seed.
std::vector<double> Uniform(uint32_t seed, int count) {
  std::mt19937 random(seed);
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(random() / 4294967296.0);
  return values;
}

// The fixture of docs/monitoring.md, with reference values spread a little so that they do not count as categories.
TEST(Drift, ContinuousIsNannyMlsDistance) {
  std::vector<double> reference;
  std::vector<double> current;
  for (int i = 0; i < 500; ++i) reference.push_back(i * i % 97);
  for (int i = 0; i < 400; ++i) current.push_back((i * i + 3 * i) % 101);
  reference[1] += 1e-9, reference[2] += 1e-9;  // 51 different values: more than 50 are continuous, and no value changes its bin
  EXPECT_NEAR(Measure(Profile(Doubles(reference)), Doubles(current)).distance, 0.20160404407571655, 1e-9);
}

TEST(Drift, FewDifferentNumbersAreCategories) {
  std::vector<int64_t> reference;
  for (int i = 0; i < 500; ++i) reference.push_back(i * i % 97);
  std::vector<int64_t> current;
  for (int i = 0; i < 400; ++i) current.push_back((i * i + 3 * i) % 101);
  const Json profile = Profile(Integers(reference));
  EXPECT_EQ(profile["columns"]["x"]["categories"].size(), 49u);
  EXPECT_NEAR(Measure(profile, Integers(current)).distance, 0.6460391526301316, 1e-12);  // SciPy over the values
}

TEST(Drift, TheReferenceItselfHasNone) {
  const Column column = Doubles(Uniform(1, 5000));
  const ColumnDrift drift = Measure(Profile(column), column);
  EXPECT_EQ(drift.distance, 0);
  EXPECT_GT(drift.threshold, 0);
  EXPECT_FALSE(drift.drifted);
}

TEST(Drift, SameDistributionStaysBelowAutoThresholdAndAShiftDoesNot) {
  const Json profile = Profile(Doubles(Uniform(1, 5000)));
  EXPECT_FALSE(Measure(profile, Doubles(Uniform(2, 2000))).drifted);
  std::vector<double> shifted = Uniform(2, 2000);
  for (double& v : shifted) v += 0.2;
  EXPECT_TRUE(Measure(profile, Doubles(shifted)).drifted);
}

TEST(Drift, AutoThresholdIsMeanAndThreeStandardDeviationsOfTenChunks) {
  // Two values; the share of "b" differs by chunk of 100 rows, and the mean of the chunks is the whole.
  std::vector<std::string> values;
  for (int chunk = 0; chunk < 10; ++chunk) {
    for (int i = 0; i < 100; ++i) values.push_back(i < 30 + chunk ? "b" : "a");
  }
  const Json column = Profile(Texts(values))["columns"]["x"];
  const auto distances = column["chunk_distances"].get<std::vector<double>>();
  ASSERT_EQ(distances.size(), 10u);
  double mean = 0;
  for (const double d : distances) mean += d / 10;
  double variance = 0;
  for (const double d : distances) variance += (d - mean) * (d - mean) / 10;
  EXPECT_NEAR(column["threshold"].get<double>(), mean + 3 * std::sqrt(variance), 1e-12);
  EXPECT_EQ(Profile(Texts(values), 0.25)["columns"]["x"]["threshold"], 0.25);
}

TEST(Drift, NewCategoriesAndNullsCount) {
  std::vector<std::string> reference(1000, "a");
  for (int i = 0; i < 500; ++i) reference[static_cast<size_t>(i) * 2] = "b";
  const Json profile = Profile(Texts(reference));
  std::vector<std::string> half_new = reference;
  for (int i = 0; i < 500; ++i) half_new[static_cast<size_t>(i)] = "new";
  std::vector<std::string> half_null = reference;
  for (int i = 0; i < 500; ++i) half_null[static_cast<size_t>(i)] = "";
  // p = (.5, .5, 0), q = (.25, .25, .5): SciPy's jensenshannon(p, q, base=2)
  constexpr double kExpected = 0.5579230452841438;
  EXPECT_NEAR(Measure(profile, Texts(half_new)).distance, kExpected, 1e-12);
  EXPECT_NEAR(Measure(profile, Texts(half_null)).distance, kExpected, 1e-12);
  EXPECT_EQ(Measure(profile, Texts(std::vector<std::string>(10, "new"))).distance, 1);
}

TEST(Drift, OddColumns) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(MeasureDrift(Profile(Doubles({})), OneColumn(Doubles({1})))->empty()) << "nothing to compare with";
  EXPECT_EQ(Measure(Profile(Doubles({nan, nan})), Doubles({nan})).distance, 0);
  EXPECT_EQ(Measure(Profile(Doubles({nan, nan})), Doubles({1})).distance, 1);
  EXPECT_EQ(Measure(Profile(Doubles({1, 2, 3})), Doubles({inf, -inf})).distance, 1);
  EXPECT_EQ(Measure(Profile(Integers(std::vector<int64_t>(100, 7))), Doubles(std::vector<double>(5, 7.0))).distance, 0) << "7 is 7.0";
}

TEST(Drift, ManyCategoriesAreBounded) {
  std::vector<std::string> values;
  for (int i = 0; i < 5000; ++i) values.push_back("v" + std::to_string(i));
  const Json column = Profile(Texts(values))["columns"]["x"];
  EXPECT_EQ(column["categories"].size(), 1000u);
  EXPECT_EQ(column["outside"], 4000);
}

TEST(Drift, SurvivesJson) {
  const Json profile = Profile(Doubles(Uniform(1, 3000)));
  const Column now = Doubles(Uniform(2, 700));
  EXPECT_EQ(Measure(profile, now).distance, Measure(Json::parse(profile.dump()), now).distance);
}

TEST(Drift, Errors) {
  const Json profile = Profile(Doubles({1, 2, 3}));
  const auto missing = MeasureDrift(profile, OneColumn(Column("y", Type::kDouble)));
  EXPECT_TRUE(missing.ok()) << "no rows, nothing measured";
  Column other("y", Type::kDouble);
  other.AppendDouble(1);
  EXPECT_EQ(MeasureDrift(profile, OneColumn(other)).error().code, "drift_column_missing");
  EXPECT_EQ(MeasureDrift(profile, OneColumn(Texts({"a"}))).error().code, "drift_column_type");
  Json damaged = profile;
  damaged["columns"]["x"]["counts"] = Json::array({1});
  EXPECT_EQ(MeasureDrift(damaged, OneColumn(Doubles({1}))).error().kind, ErrorKind::kInternal);
  damaged["columns"]["x"].erase("counts");
  EXPECT_EQ(MeasureDrift(damaged, OneColumn(Doubles({1}))).error().kind, ErrorKind::kInternal);
  EXPECT_TRUE(MeasureDrift(Json(), OneColumn(Doubles({1}))).ok()) << "a version without a reference";
}

}  // namespace
}  // namespace tidemill
