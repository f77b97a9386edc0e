#include "api/table_profile.h"

#include <gtest/gtest.h>

#include "sql/testing.h"

namespace tidemill {
namespace {

class TableProfile : public testing::SessionTest {
 protected:
  Json Profile(const std::string& select) {
    const auto fields = session_->Describe(select);
    EXPECT_TRUE(fields.ok()) << select;
    const auto profile = ProfileTable(*session_, "(" + select + ")", fields.ok() ? *fields : std::vector<Field>{});
    EXPECT_TRUE(profile.ok()) << (profile.ok() ? "" : profile.error().Format());
    return profile.ok() ? *profile : Json();
  }
};

TEST_F(TableProfile, FiguresOfEachType) {
  const Json profile = Profile(
      "SELECT i::BIGINT AS n, i / 2.0::DOUBLE AS x, CASE WHEN i % 4 > 0 THEN 'v' || (i % 4) END AS t, i % 2 = 0 AS b, "
      "TIMESTAMP '2013-01-01' + to_days(i::INTEGER) AS at, DATE '2013-01-01' + i::INTEGER AS d FROM range(100) r(i)");
  EXPECT_EQ(profile["rows"], 100);
  EXPECT_EQ(profile["sampled"], false);
  const Json& n = profile["columns"][0];
  EXPECT_EQ(n["type"], "integer");
  EXPECT_EQ(n["min"], 0);
  EXPECT_EQ(n["max"], 99);
  EXPECT_EQ(n["mean"], 49.5);
  EXPECT_EQ(n["histogram"], Json(std::vector<int64_t>(20, 5)));
  const Json& text = profile["columns"][2];
  EXPECT_EQ(text["null_share"], 0.25);
  EXPECT_EQ(text["top"], Json::parse(R"([["v1", 25], ["v2", 25], ["v3", 25]])"));
  EXPECT_FALSE(text.contains("histogram"));
  EXPECT_EQ(profile["columns"][3]["top"].size(), 2u);
  EXPECT_EQ(profile["columns"][4]["max"], "2013-04-10T00:00:00Z");
  EXPECT_EQ(profile["columns"][4]["histogram"].size(), 20u);
  EXPECT_EQ(profile["columns"][5]["min"], "2013-01-01");
}

TEST_F(TableProfile, OddColumns) {
  const Json empty = Profile("SELECT 1::BIGINT AS n, 'x' AS t WHERE false");
  EXPECT_EQ(empty["rows"], 0);
  EXPECT_EQ(empty["columns"][0]["null_share"], 0);
  const Json odd = Profile(
      "SELECT NULL::DOUBLE AS nothing, 7::BIGINT AS same, CASE i WHEN 0 THEN 'nan'::DOUBLE WHEN 1 THEN 'inf'::DOUBLE ELSE i END AS x, "
      "'it''s \"odd\"' AS \"a \"\"b\"\"\", CASE i WHEN 0 THEN -1e308 ELSE 1e308 END::DOUBLE AS wide FROM range(10) r(i)");
  EXPECT_EQ(odd["columns"][0]["null_share"], 1);
  EXPECT_TRUE(odd["columns"][0]["min"].is_null());
  EXPECT_FALSE(odd["columns"][1].contains("histogram")) << "one value has no shape";
  EXPECT_EQ(odd["columns"][2]["min"], 2) << "NaN and infinity are left out";
  EXPECT_EQ(odd["columns"][2]["max"], 9);
  EXPECT_EQ(odd["columns"][3]["top"][0][1], 10);
  EXPECT_FALSE(odd["columns"][4].contains("histogram"));
}

TEST_F(TableProfile, ThereAreNotMoreDifferentWholeNumbersThanFitBetweenTheirBounds) {
  for (int count = 100; count < 1000; count += 37) {
    const Json profile = Profile(fmt::format("SELECT (i % {})::BIGINT AS n FROM range(20000) r(i)", count));
    EXPECT_LE(profile["columns"][0]["distinct"], count);
    EXPECT_GT(profile["columns"][0]["distinct"], count / 2);
  }
}

TEST_F(TableProfile, LongTablesAreSampledByRowNumber) {
  const auto fields = session_->Describe("SELECT 1::BIGINT AS n");
  ASSERT_TRUE(fields.ok());
  const auto profile = ProfileTable(*session_, "(SELECT i AS _seq, i AS n FROM range(2500000) r(i))", *fields);
  ASSERT_TRUE(profile.ok()) << profile.error().Format();
  EXPECT_EQ((*profile)["rows"], 2'500'000);
  EXPECT_EQ((*profile)["sampled"], true);
  EXPECT_EQ((*profile)["columns"][0]["max"], 2'499'999) << "figures are exact, only shapes are sampled";
  int64_t shown = 0;
  for (const Json& count : (*profile)["columns"][0]["histogram"]) shown += count.get<int64_t>();
  EXPECT_EQ(shown, 1'250'000);
}

}  // namespace
}  // namespace tidemill
