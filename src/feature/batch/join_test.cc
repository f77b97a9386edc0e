#include "feature/batch/join.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "feature/batch/join_output.h"
#include "feature/batch/spine_block.h"
#include "feature/testing.h"

namespace tidemill {
namespace {

using testing::ExpectSameColumn;
using testing::kSecond;

constexpr Timestamp kNow{int64_t{1'000'000} * kSecond};

class JoinTest : public testing::FeatureTest {
 protected:
  Columns Query(const std::string& sql) {
    auto rows = session_->Query(sql);
    EXPECT_TRUE(rows.ok()) << rows.error().Format();
    return std::move(rows).value();
  }
  void Execute(const std::string& sql) {
    const auto status = session_->Execute(sql);
    ASSERT_TRUE(status.ok()) << status.error().Format();
  }
  /// Rows "(k, 'g', second, x, known second)", numbered in the order given.
  void MakeEvents(const std::string& rows) {
    Execute(
        "CREATE OR REPLACE TEMP TABLE events AS SELECT k::BIGINT AS k, g, make_timestamp(e * 1000000) AS happened, x::DOUBLE AS "
        "x, 0::BIGINT AS i, 's' AS s, true AS b, "
        "row_number() OVER ()::BIGINT AS _seq, make_timestamp(known * 1000000) AS _known_at FROM (VALUES " +
        rows + ") v(k, g, e, x, known)");
  }
  /// Rows "(k, 'g', second)".
  Columns Spine(const std::string& rows) {
    return Query("SELECT k::BIGINT AS k, g::VARCHAR AS g, make_timestamp(t * 1000000) AS t FROM (VALUES " + rows +
                 ") v(k, g, t)");
  }
  Result<Columns> TryJoin(const Program& program, Columns spine, std::vector<std::string> keys, Timestamp now = kNow,
                          int threads = 1) {
    ViewJoin view;
    view.program = &program;
    view.table_sql = "events";
    view.event_time = "happened";
    view.spine_keys = std::move(keys);
    view.prefix = "v";
    return JoinFeatures(*session_, std::move(spine), "t", {view}, now, threads);
  }
  Columns Join(const Program& program, Columns spine, std::vector<std::string> keys, Timestamp now = kNow, int threads = 1) {
    auto joined = TryJoin(program, std::move(spine), std::move(keys), now, threads);
    EXPECT_TRUE(joined.ok()) << joined.error().Format();
    return std::move(joined).value();
  }
  static std::vector<std::string> Texts(const Columns& columns, std::string_view name) {
    std::vector<std::string> texts;
    const Column* column = columns.Find(name);
    EXPECT_NE(column, nullptr) << name;
    for (size_t row = 0; column != nullptr && row < column->size(); ++row) texts.push_back(FormatValue(column->At(row)));
    return texts;
  }
};

TEST_F(JoinTest, KeysThatLookAlikeWhenJoinedAreApart) {
  MakeEvents("(1, '12', 10, 1, 10), (11, '2', 10, 2, 10)");
  const Program program = Compile({"k", "g"}, {Feature("x", "last(x)")});
  EXPECT_EQ(Texts(Join(program, Spine("(1, '12', 20), (11, '2', 20), (112, '', 20), (1, '1', 20)"), {"k", "g"}), "v__x"),
            (std::vector<std::string>{"1", "2", "", ""}));
}

TEST_F(JoinTest, EqualEventTimesNeitherMultiplyNorSurprise) {
  MakeEvents("(1, 'a', 10, 1, 10), (1, 'a', 10, 2, 10), (1, 'a', 10, 3, 15)");
  const Program program = Compile({"k"}, {Feature("x", "last(x)"), Feature("n", "count(*)")});
  const Columns joined = Join(program, Spine("(1, 'a', 12), (1, 'a', 15)"), {"k"});
  EXPECT_EQ(Texts(joined, "v__x"), (std::vector<std::string>{"2", "3"}));
  EXPECT_EQ(Texts(joined, "v__n"), (std::vector<std::string>{"2", "3"}));
}

TEST_F(JoinTest, EverySpineRowComesBackOnceInItsOwnOrder) {
  MakeEvents("(1, 'a', 10, 1, 10)");
  const Program program = Compile({"k"}, {Feature("x", "last(x)"), Feature("n", "count(*)"), Feature("z", "avg(x)", {}, -1.0)},
                                  Duration{5 * kSecond});
  const Columns joined =
      Join(program,
           Spine("(1, 'b', 100), (1, 'a', 12), (1, 'a', 12), (7, 'c', 12), (NULL, 'd', 12), (1, 'e', NULL), (1, 'f', 9)"), {"k"});
  EXPECT_EQ(Texts(joined, "g"), (std::vector<std::string>{"b", "a", "a", "c", "d", "e", "f"}));
  EXPECT_EQ(Texts(joined, "v__x"), (std::vector<std::string>{"", "1", "1", "", "", "", ""}));
  EXPECT_EQ(Texts(joined, "v__n"), (std::vector<std::string>{"0", "1", "1", "0", "0", "0", "0"}));
  EXPECT_EQ(Texts(joined, "v__z"), (std::vector<std::string>{"-1", "1", "1", "-1", "-1", "-1", "-1"}));
}

TEST_F(JoinTest, EmptySpineAndEmptyTable) {
  MakeEvents("(1, 'a', 10, 1, 10)");
  const Program program = Compile({"k"}, {Feature("n", "count(*)", {60})});
  Columns spine = Spine("(1, 'a', 12)");
  const Columns joined = Join(program, Query("SELECT 1::BIGINT AS k, TIMESTAMP '2013-01-01' AS t WHERE false"), {"k"});
  EXPECT_EQ(joined.rows(), 0U);
  EXPECT_NE(joined.Find("v__n_1m"), nullptr);
  Execute("DELETE FROM events");
  EXPECT_EQ(Texts(Join(program, std::move(spine), {"k"}), "v__n_1m"), (std::vector<std::string>{"0"}));
}

TEST_F(JoinTest, TtlIncludesBothEnds) {
  MakeEvents("(1, 'a', 100, 1, 100)");
  const Program program = Compile({"k"}, {Feature("x", "last(x)")}, Duration{10 * kSecond});
  EXPECT_EQ(Texts(Join(program, Spine("(1, 'a', 99), (1, 'a', 100), (1, 'a', 110), (1, 'a', 111)"), {"k"}), "v__x"),
            (std::vector<std::string>{"", "1", "1", ""}));
}

TEST_F(JoinTest, LateRowsAreNotSeenBeforeTheyWereKnown) {
  MakeEvents("(1, 'a', 10, 1, 10), (1, 'a', 20, 2, 50), (1, 'a', 30, 3, 30)");
  const Program program = Compile({"k"}, {Feature("sum", "sum(x)"), Feature("recent", "sum(x)", {15})});
  const Columns joined = Join(program, Spine("(1, 'a', 25), (1, 'a', 31), (1, 'a', 50)"), {"k"});
  EXPECT_EQ(Texts(joined, "v__sum"), (std::vector<std::string>{"1", "4", "6"}));
  EXPECT_EQ(Texts(joined, "v__recent_15s"), (std::vector<std::string>{"", "3", ""}));
  // What was not known at the project's clock does not exist, whatever the spine asks.
  EXPECT_EQ(Texts(Join(program, Spine("(1, 'a', 60)"), {"k"}, Timestamp{40 * kSecond}), "v__sum"),
            (std::vector<std::string>{"4"}));
}

TEST_F(JoinTest, FutureRowsOfAnUnionStayOutOfWindows) {
  MakeEvents("(1, 'a', 10, 1, 10)");
  Execute(
      "CREATE OR REPLACE TEMP TABLE both_sources AS SELECT * FROM events UNION ALL SELECT k, g, happened + INTERVAL 100 SECOND, "
      "5, i, s, b, _seq + 100, _known_at FROM events");
  const Program program = Compile({"k"}, {Feature("x", "sum(x)", {60})});
  ViewJoin view{&program, "both_sources", "happened", {"k"}, "v", {}};
  const auto joined = JoinFeatures(*session_, Spine("(1, 'a', 20), (1, 'a', 115)"), "t", {view}, kNow, 2);
  ASSERT_TRUE(joined.ok()) << joined.error().Format();
  EXPECT_EQ(Texts(*joined, "v__x_1m"), (std::vector<std::string>{"1", "5"}));
}

TEST_F(JoinTest, ColumnsWithAwkwardNamesSurvive) {
  MakeEvents("(1, 'a', 10, 1, 10)");
  Execute("ALTER TABLE events RENAME COLUMN x TO \"x\"\"_y\"");
  Columns spine = Spine("(1, 'a', 12)");
  spine.columns[1].name = "k_y";
  Program program = Compile({"k"}, {Feature("x_y", "last(x)")});
  program.columns[0].name = "x\"_y";
  const Columns joined = Join(program, std::move(spine), {"k"});
  EXPECT_EQ(Texts(joined, "v__x_y"), (std::vector<std::string>{"1"}));
  EXPECT_EQ(Texts(joined, "k_y"), (std::vector<std::string>{"a"}));
}

TEST_F(JoinTest, MistakesAreExplained) {
  MakeEvents("(1, 'a', 10, 1, 10)");
  const Program program = Compile({"k"}, {Feature("x", "last(x)")});
  EXPECT_EQ(TryJoin(program, Spine("(1, 'a', 12)"), {"kk"}).error().code, "unknown_column");
  EXPECT_EQ(TryJoin(program, Spine("(1, 'a', 12)"), {"g"}).error().code, "key_type");
  EXPECT_EQ(TryJoin(program, Spine("(1, 'a', 12)"), {"k", "g"}).error().code, "join_keys");
  EXPECT_EQ(TryJoin(program, Query("SELECT 1::BIGINT AS k, 5 AS t"), {"k"}).error().code, "time_type");
  EXPECT_EQ(TryJoin(program, Query("SELECT 1::BIGINT AS k, TIMESTAMP '2013-01-01' AS t, 1 AS v__x"), {"k"}).error().code,
            "duplicate_column");
  Execute("INSERT INTO events SELECT * FROM events");
  EXPECT_EQ(TryJoin(program, Spine("(1, 'a', 12)"), {"k"}).error().code, "duplicate_rows");
  ViewJoin view{&program, "events", "happened", {"k"}, "v", {"y"}};
  EXPECT_EQ(JoinFeatures(*session_, Spine("(1, 'a', 12)"), "t", {view}, kNow, 1).error().code, "unknown_feature");
}

std::vector<FeatureDefinition> ManyFeatures(
    const std::function<FeatureDefinition(std::string, std::string, std::vector<int64_t>, Value)>& feature) {
  return {feature("n", "count(*)", {20, 100}, {}),     feature("all", "count(*)", {}, {}),
          feature("nx", "count(x)", {50}, {}),         feature("distinct", "count(DISTINCT s)", {70}, {}),
          feature("low", "min(x)", {30}, {}),          feature("high", "max(s)", {}, {}),
          feature("isum", "sum(i)", {40}, int64_t{0}), feature("mean", "avg(x)", {15, 60}, {}),
          feature("spread", "stddev(x)", {60}, {}),    feature("share", "count(*) FILTER (WHERE b) / count(*)", {60}, {}),
          feature("latest", "last(s)", {}, {}),        feature("at_low", "arg_min(s, x)", {80}, {}),
          feature("mid", "median(x)", {60}, {})};
}

/// One aggregate as a correlated subquery over the rows that a spine row may see.
std::string Subquery(const std::string& value, int64_t window_s, const std::string& order = "") {
  std::string sql =
      "(SELECT " + value + " FROM (SELECT * FROM events e WHERE e.k = s.k AND e.happened <= s.t AND e._known_at <= s.t";
  if (window_s > 0) sql += " AND e.happened > s.t - to_seconds(" + std::to_string(window_s) + ")";
  return sql + (order.empty() ? "" : " ORDER BY " + order) + "))";
}

TEST_F(JoinTest, AgreesWithDuckDb) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE(round);
    ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 300, 400)).ok());
    const Columns spine = RandomSpine(random, 200, 400);
    ASSERT_TRUE(session_->LoadTemporary("spine", spine).ok());
    const Program program = Compile({"k"}, ManyFeatures(Feature));
    const Columns joined = Join(program, spine, {"k"}, kNow, 1 + round % 3);
    const Columns expected =
        Query("SELECT " + Subquery("count(*)", 20) + " v__n_20s, " + Subquery("count(*)", 100) + " v__n_100s, " +
              Subquery("count(*)", 0) + " v__all, " + Subquery("count(x)", 50) + " v__nx_50s, " +
              Subquery("count(DISTINCT s)", 70) + " v__distinct_70s, " + Subquery("min(x)", 30) + " v__low_30s, " +
              Subquery("max(s)", 0) + " v__high, " + Subquery("coalesce(sum(i), 0)::BIGINT", 40) + " v__isum_40s, " +
              Subquery("count(*) FILTER (WHERE b) / nullif(count(*), 0)", 60) + " v__share_1m, " +
              Subquery("last(s)", 0, "happened, _seq") + " v__latest, " + Subquery("arg_min(s, x)", 80) +
              " v__at_low_80s FROM spine s ORDER BY id");
    for (const Column& column : expected.columns) {
      SCOPED_TRACE(column.name);
      const Column* actual = joined.Find(column.name);
      ASSERT_NE(actual, nullptr);
      ExpectSameColumn(*actual, column);
    }
  }
}

/// Formulas that DuckDB computes in another order are near its results; lists and distinct sums are equal.
TEST_F(JoinTest, StatisticsAgreeWithDuckDb) {
  std::mt19937_64 random(8);
  const auto valid = [](const std::string& value) { return "CASE WHEN isfinite(" + value + ") THEN " + value + " END"; };
  const std::string weight = "pow(2, epoch(happened) / 25)";
  for (int round = 0; round < 4; ++round) {
    SCOPED_TRACE(round);
    ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 400, 400)).ok());
    const Columns spine = RandomSpine(random, 200, 400);
    ASSERT_TRUE(session_->LoadTemporary("spine", spine).ok());
    const Program program = Compile(
        {"k"},
        {Feature("skew", "skewness(i)", {200}), Feature("together", "corr(i, minute(happened) * 60 + second(happened))", {200}),
         Feature("covar", "covar_samp(i, length(s))", {200}), Feature("covar_pop", "covar_pop(i, length(s))", {200}),
         Feature("rise", "regr_slope(i, length(s))", {200}), Feature("trend", "slope(i)", {200}),
         Feature("recent", "ewm_mean(i, INTERVAL 25 SECONDS)", {200}), Feature("once", "sum(DISTINCT i)", {100}),
         Feature("kinds", "approx_count_distinct(s)", {100}), Feature("lasts", "list(s, 3)", {100})});
    const Columns joined = Join(program, spine, {"k"}, kNow, 1);
    const Columns near = Query("SELECT " + Subquery(valid("skewness(i)"), 200) + " v__skew_200s, " +
                               Subquery(valid("corr(i, epoch(happened))"), 200) + " v__together_200s, " +
                               Subquery(valid("covar_samp(i, length(s))"), 200) + " v__covar_200s, " +
                               Subquery(valid("covar_pop(i, length(s))"), 200) + " v__covar_pop_200s, " +
                               Subquery(valid("regr_slope(i, length(s))"), 200) + " v__rise_200s, " +
                               Subquery(valid("86400 * regr_slope(i, epoch(happened))"), 200) + " v__trend_200s, " +
                               Subquery("sum(i * " + weight + ") / (sum(" + weight + ") FILTER (WHERE i IS NOT NULL))", 200) +
                               " v__recent_200s FROM spine s ORDER BY id");
    for (const Column& column : near.columns) {
      SCOPED_TRACE(column.name);
      const Column* actual = joined.Find(column.name);
      ASSERT_NE(actual, nullptr);
      size_t values = 0;
      for (size_t row = 0; row < column.size(); ++row) {
        ASSERT_EQ(actual->IsNull(row), column.IsNull(row)) << row;
        if (column.IsNull(row)) continue;
        ++values;
        ASSERT_NEAR(actual->doubles[row], column.doubles[row], 1e-6 * std::max(1.0, std::fabs(column.doubles[row]))) << row;
      }
      EXPECT_GT(values, 20U);
    }
    const Columns equal = Query(
        "SELECT " + Subquery("sum(DISTINCT i)::BIGINT", 100) + " v__once_100s, " + Subquery("count(DISTINCT s)", 100) +
        " v__kinds_100s, " + Subquery("list(s ORDER BY happened, _seq)[-3:]", 100) + " v__lasts_100s FROM spine s ORDER BY id");
    for (const Column& column : equal.columns) {
      SCOPED_TRACE(column.name);
      ASSERT_NE(joined.Find(column.name), nullptr);
      ExpectSameColumn(*joined.Find(column.name), column);
    }
  }
}

/// Late rows, any cut: what became known after T must not change anything at or before T.
/// Sums of decimals are exact: no bit differs, as it would between sums of doubles.
TEST_F(JoinTest, DecimalsAgreeWithDuckDb) {
  std::mt19937_64 random(9);
  const std::string price = "x::DECIMAL(18, 2)";
  for (int round = 0; round < 4; ++round) {
    SCOPED_TRACE(round);
    ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 400, 400)).ok());
    const Columns spine = RandomSpine(random, 200, 400);
    ASSERT_TRUE(session_->LoadTemporary("spine", spine).ok());
    const std::vector<std::pair<std::string, std::string>> features = {{"total", "sum(" + price + ")"},
                                                                       {"taxed", "sum(" + price + " * 1.19) + 0.05"},
                                                                       {"halves", "sum(i * 0.5)"},
                                                                       {"low", "min(" + price + ")"},
                                                                       {"high", "max(" + price + ") - 0.01"},
                                                                       {"kinds", "count(DISTINCT round(" + price + ", -4))"},
                                                                       {"present", "count(" + price + ")"},
                                                                       {"once", "sum(DISTINCT i * 0.1)"},
                                                                       {"wide", "sum(x::DECIMAL(38, 20) * 1000)"},
                                                                       {"wide_low", "min(x::DECIMAL(38, 20))"},
                                                                       {"wide_high", "max(x * 1000000000000::DECIMAL(24, 3))"},
                                                                       {"wide_once", "sum(DISTINCT (i * 0.1)::DECIMAL(38, 24))"},
                                                                       {"wide_kinds", "count(DISTINCT (i * 0.1)::DECIMAL(38, 24))"},
                                                                       {"wide_best", "arg_max(x::DECIMAL(38, 20), -x::DECIMAL(38, 20))"},
                                                                       {"beyond", "sum((i % 3)::DECIMAL(18, 17) * 9999999999999999999.5)"},
                                                                       {"middle", "median(x::DECIMAL(18, 2))"},
                                                                       {"middle_wide", "median(x::DECIMAL(38, 2))"},
                                                                       {"tenth", "quantile_cont(x::DECIMAL(18, 2), 0.1)"},
                                                                       {"tenth_wide", "quantile_cont(-x::DECIMAL(38, 2), 0.1)"},
                                                                       {"mean_wide", "avg(x::DECIMAL(38, 20))"},
                                                                       {"mean_once", "avg(DISTINCT i::DECIMAL(30, 2))"},
                                                                       {"dear", "count(*) FILTER (WHERE " + price + " > 12345.67)"},
                                                                       {"mean", "avg(" + price + ")"}};
    std::vector<FeatureDefinition> defined;
    std::string sql;
    for (const auto& [name, value] : features) {
      defined.push_back(Feature(name, value, {200}));
      sql += (sql.empty() ? "SELECT " : ", ") + Subquery(value, 200) + " AS v__" + name + "_200s";
    }
    const Columns joined = Join(Compile({"k"}, defined), spine, {"k"}, kNow, 1);
    const Columns expected = Query(sql + " FROM spine s ORDER BY id");
    for (const Column& column : expected.columns) {
      SCOPED_TRACE(column.name);
      const Column* actual = joined.Find(column.name);
      ASSERT_NE(actual, nullptr);
      if (column.name.find("mean") == std::string::npos) {
        ExpectSameColumn(*actual, column);
        continue;
      }
      for (size_t row = 0; row < column.size(); ++row) {
        ASSERT_EQ(actual->IsNull(row), column.IsNull(row)) << row;
        ASSERT_DOUBLE_EQ(actual->doubles[row], column.doubles[row]) << row;
      }
    }
  }
}

TEST_F(JoinTest, NothingLeaksFromTheFuture) {
  std::mt19937_64 random(17);
  for (int round = 0; round < 15; ++round) {
    SCOPED_TRACE(round);
    ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 400, 400)).ok());
    const Columns spine = RandomSpine(random, 300, 400);
    const Program program = Compile({"k", "g"}, ManyFeatures(Feature),
                                    round % 2 == 0 ? std::optional<Duration>(Duration{90 * kSecond}) : std::nullopt);
    const Columns all = Join(program, spine, {"k", "g"}, kNow, 2);
    const int64_t cut = static_cast<int64_t>(random() % 450) * kSecond;
    Execute("DELETE FROM events WHERE _known_at > make_timestamp(" + std::to_string(cut) + ")");
    const Columns before = Join(program, spine, {"k", "g"}, kNow, 1);
    const Column& times = spine.columns[3];
    for (size_t i = spine.columns.size(); i < all.columns.size(); ++i) {
      for (size_t row = 0; row < times.size(); ++row) {
        if (times.IsNull(row) || times.ints[row] > cut) continue;
        ASSERT_TRUE(testing::SameBits(all.columns[i].At(row), before.columns[i].At(row)))
            << all.columns[i].name << " row " << row << " cut " << cut / kSecond;
      }
    }
  }
}

TEST_F(JoinTest, ThreadsAndOrderOfRowsChangeNoBit) {
  std::mt19937_64 random(27);
  const Columns rows = RandomRows(random, 2000, 1000);
  const Columns spine = RandomSpine(random, 1000, 1000);
  const Program program = Compile({"g"}, ManyFeatures(Feature));
  ASSERT_TRUE(session_->LoadTemporary("events", rows).ok());
  const Columns expected = Join(program, spine, {"g"});
  Execute("CREATE OR REPLACE TEMP TABLE events AS SELECT * FROM events ORDER BY hash(_seq)");
  const Columns actual = Join(program, spine, {"g"}, kNow, 3);
  ASSERT_EQ(actual.columns.size(), expected.columns.size());
  for (size_t i = 0; i < actual.columns.size(); ++i) ExpectSameColumn(actual.columns[i], expected.columns[i]);
}

TEST_F(JoinTest, BlocksChangeNoBit) {
  std::mt19937_64 random(37);
  ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 800, 1000)).ok());
  const Columns spine = RandomSpine(random, 7000, 1000);
  const Program many = Compile({"k"}, ManyFeatures(Feature));
  const Program latest =
      Compile({"k", "g"}, {Feature("s", "last(s)"), Feature("x", "last(x) - last(i)", {}, -1.0)}, Duration{90 * kSecond});
  const std::vector<ViewJoin> views = {{&many, "events", "happened", {"k"}, "a", {}},
                                       {&latest, "events", "happened", {"k", "g"}, "b", {}},
                                       {&many, "events", "happened", {"k"}, "c", {"latest", "n_20s"}}};
  const auto expected = JoinFeatures(*session_, spine, "t", views, kNow, 2);
  ASSERT_TRUE(expected.ok()) << expected.error().Format();
  ASSERT_TRUE(session_->LoadTemporary("spine", spine).ok());
  FeatureJoinRequest request{"SELECT * FROM spine", "t", views, kNow, {2, 1}};
  auto join = FeatureJoin::Start(*session_, request);
  ASSERT_TRUE(join.ok()) << join.error().Format();
  EXPECT_EQ((*join)->spine_rows(), 7000);
  size_t at = 0;
  size_t batches = 0;
  for (auto batch = (*join)->Next();; batch = (*join)->Next()) {
    ASSERT_TRUE(batch.ok()) << batch.error().Format();
    if (!*batch) break;
    ++batches;
    ASSERT_EQ((*batch)->columns.size(), expected->columns.size());
    for (size_t i = 0; i < expected->columns.size(); ++i) {
      const Column& column = (*batch)->columns[i];
      ASSERT_EQ(column.name, expected->columns[i].name);
      for (size_t row = 0; row < column.size(); ++row) {
        ASSERT_TRUE(testing::SameBits(column.At(row), expected->columns[i].At(at + row))) << column.name << " row " << at + row;
      }
    }
    at += (*batch)->rows();
  }
  EXPECT_EQ(at, spine.rows());
  EXPECT_GT(batches, 2U);
}

TEST_F(JoinTest, AJoinMayBeLeftInTheMiddle) {
  std::mt19937_64 random(47);
  ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 800, 1000)).ok());
  ASSERT_TRUE(session_->LoadTemporary("spine", RandomSpine(random, 20000, 1000)).ok());
  const Program program = Compile({"k"}, ManyFeatures(Feature));
  for (int round = 0; round < 3; ++round) {
    auto join = FeatureJoin::Start(
        *session_, {"SELECT * FROM spine", "t", {{&program, "events", "happened", {"k"}, "a", {}}}, kNow, {2, 1}});
    ASSERT_TRUE(join.ok()) << join.error().Format();
    for (int i = 0; i < round; ++i) ASSERT_TRUE((*join)->Next().ok());
  }
  EXPECT_FALSE(session_->Query("SELECT * FROM temp.main.tidemill_spine").ok());
}

/// The ways without the kernel, for few rows that ask and for many, give what the kernel gives.
TEST_F(JoinTest, LatestValuesAreThoseOfTheKernel) {
  std::mt19937_64 random(57);
  for (int round = 0; round < 24; ++round) {
    SCOPED_TRACE(round);
    ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 400, 400)).ok());
    // Rows that only their values tell apart.
    if (round % 4 == 3) Execute("INSERT INTO events SELECT k, g, happened, x + 1, coalesce(i, 0) + 1000, s, b, _seq, _known_at FROM events");
    const Columns spine = RandomSpine(random, round % 2 == 0 ? 400 : 2400, 400);
    const std::optional<Duration> ttl =
        round % 2 == 0 ? std::optional<Duration>(Duration{(round + 1) * 7 * kSecond}) : std::nullopt;
    const std::vector<int64_t> windows = round % 3 == 0 ? std::vector<int64_t>{40} : std::vector<int64_t>{};
    std::vector<FeatureDefinition> features = {Feature("s", "last(s)", windows), Feature("x", "last(x)", windows, -1.0),
                                               Feature("both", "last(i) + last(x)", windows)};
    const Program latest = Compile({"g"}, features, ttl);
    features.push_back(Feature("n", "count(*)"));
    const Program kernel = Compile({"g"}, features, ttl);
    const Columns expected = Join(kernel, spine, {"g"});
    const Columns actual = Join(latest, spine, {"g"});
    for (const Column& column : actual.columns) {
      SCOPED_TRACE(column.name);
      ASSERT_NE(expected.Find(column.name), nullptr);
      ExpectSameColumn(column, *expected.Find(column.name));
    }
  }
}

/// More rows than one thread reads, in an order that makes each of them the latest so far.
TEST_F(JoinTest, LatestValuesOfALargeTableAreThoseOfDuckDb) {
  Execute(
      "CREATE OR REPLACE TEMP TABLE events AS SELECT r // 1000 AS k, 'g' AS g, make_timestamp(r % 1000 * 1000000) AS happened, "
      "hash(r) % 1000 / 8.0 AS x, (hash(r + 1) % 1000)::BIGINT AS i, 's' || hash(r) % 50 AS s, true AS b, r AS _seq, "
      "make_timestamp((r % 1000 + (hash(r) % 20)::BIGINT) * 1000000) AS _known_at FROM range(400000) t(r)");
  const Columns spine = Query(
      "SELECT (hash(r) % 420)::BIGINT AS k, 'g' AS g, make_timestamp((hash(r + 7) % 1100 * 1000000)::BIGINT) AS t FROM range(3000) t(r)");
  ASSERT_TRUE(session_->LoadTemporary("spine", spine).ok());
  const Columns expected = Query(
      "SELECT v.x, v.s FROM (SELECT *, rowid AS place FROM spine) spine LEFT JOIN LATERAL (SELECT arg_max(x, happened) AS x, arg_max(s, happened) AS s "
      "FROM events WHERE events.k = spine.k AND _known_at <= spine.t AND happened <= spine.t) v ON true ORDER BY place");
  for (const char* features : {"x", "xs"}) {
    std::vector<FeatureDefinition> wanted = {Feature("x", "last(x)")};
    if (features == std::string_view("xs")) wanted.push_back(Feature("s", "last(s)"));
    const Columns actual = Join(Compile({"k"}, wanted), spine, {"k"}, kNow, 2);
    ExpectSameColumn(*actual.Find("v__x"), expected.columns[0]);
    if (wanted.size() > 1) ExpectSameColumn(*actual.Find("v__s"), expected.columns[1]);
  }
}

/// One view is held, of the same entities and others, and the next is read for the spine.
TEST_F(JoinTest, ViewsThatAreHeldAndViewsThatAreReadStandSideBySide) {
  std::mt19937_64 random(87);
  ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 900, 1000)).ok());
  const Columns spine = RandomSpine(random, 700, 1000);
  const Program many = Compile({"k"}, ManyFeatures(Feature));
  const Program latest = Compile({"k"}, {Feature("s", "last(s)"), Feature("x", "last(x)", {}, -1.0)});
  const Program other = Compile({"g"}, {Feature("i", "last(i)")}, Duration{90 * kSecond});
  const std::vector<ViewJoin> views = {{&latest, "(SELECT * FROM events WHERE k % 3 = 0)", "happened", {"k"}, "a", {}},
                                       {&many, "events", "happened", {"k"}, "b", {}},
                                       {&other, "events", "happened", {"g"}, "c", {}},
                                       {&latest, "events", "happened", {"k"}, "d", {}}};
  const auto together = JoinFeatures(*session_, spine, "t", views, kNow, 2);
  ASSERT_TRUE(together.ok()) << together.error().Format();
  for (const ViewJoin& join : views) {
    const auto alone = JoinFeatures(*session_, spine, "t", {join}, kNow, 2);
    ASSERT_TRUE(alone.ok()) << alone.error().Format();
    for (const Column& column : alone->columns) ExpectSameColumn(column, *together->Find(column.name));
  }
}

Columns Collect(FeatureJoin& join) {
  Columns all;
  for (const Field& field : join.fields()) all.columns.emplace_back(field.name, field.type);
  while (true) {
    auto batch = join.Next();
    EXPECT_TRUE(batch.ok()) << batch.error().Format();
    if (!batch.ok() || !*batch) return all;
    for (size_t i = 0; i < all.columns.size(); ++i) AppendRows((*batch)->columns[i], 0, (*batch)->rows(), all.columns[i]);
  }
}

/// More rows than memory: most belong to one entity, so that parts are cut along time too.
TEST_F(JoinTest, RowsThatDoNotFitIntoMemoryAreAnsweredFromDisk) {
  std::mt19937_64 random(67);
  const auto folder = TemporaryFolder::Make(std::filesystem::temp_directory_path(), "join");
  ASSERT_TRUE(folder.ok());
  ASSERT_TRUE(session_->LoadTemporary("few", RandomRows(random, 3000, 40'000)).ok());
  Execute(
      "CREATE OR REPLACE TEMP TABLE events AS SELECT * FROM few UNION ALL SELECT 3 AS k, g, happened + to_seconds(r * 7), x + r, i, s, b, "
      "_seq + 10000 * r, _known_at + to_seconds(r * 7) FROM few, range(1, 9) t(r) WHERE k IS NOT NULL");
  ASSERT_TRUE(session_->LoadTemporary("spine", RandomSpine(random, 5000, 40'000)).ok());
  const Program windows =
      Compile({"k"}, {Feature("n", "count(*)", {100, 900}), Feature("mean", "avg(x)", {900}), Feature("s", "max(s)", {300})});
  const Program latest =
      Compile({"k", "g"}, {Feature("s", "last(s)"), Feature("x", "last(x)", {}, -1.0)}, Duration{900 * kSecond});
  FeatureJoinRequest request{
      "SELECT * FROM spine",
      "t",
      {{&windows, "events", "happened", {"k"}, "a", {}}, {&latest, "events", "happened", {"k", "g"}, "b", {}}},
      kNow,
      {2, 512, folder->path()}};
  auto held = FeatureJoin::Start(*session_, request);
  ASSERT_TRUE(held.ok()) << held.error().Format();
  const Columns expected = Collect(**held);
  held->reset();
  request.resources.memory_mb = 1;
  auto spilled = FeatureJoin::Start(*session_, request);
  ASSERT_TRUE(spilled.ok()) << spilled.error().Format();
  EXPECT_FALSE(std::filesystem::is_empty(folder->path()));
  const Columns actual = Collect(**spilled);
  ASSERT_EQ(actual.columns.size(), expected.columns.size());
  for (size_t i = 0; i < actual.columns.size(); ++i) {
    SCOPED_TRACE(actual.columns[i].name);
    ExpectSameColumn(actual.columns[i], expected.columns[i]);
  }
  spilled->reset();
  EXPECT_TRUE(std::filesystem::is_empty(folder->path()));
  // Without a reach an entity can't be cut.
  const Program all = Compile({"k"}, {Feature("n", "count(*)")});
  request.views = {{&all, "events", "happened", {"k"}, "a", {}}};
  Execute("INSERT INTO events SELECT k, g, happened, x, i, s, b, _seq + 1000000 * r, _known_at FROM events, range(1, 6) t(r)");
  const auto refused = FeatureJoin::Start(*session_, request);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "out_of_memory");
  EXPECT_TRUE(std::filesystem::is_empty(folder->path()));
}

TEST_F(JoinTest, AFileAppearsWhenItIsWhole) {
  std::mt19937_64 random(77);
  const auto folder = TemporaryFolder::Make(std::filesystem::temp_directory_path(), "join");
  ASSERT_TRUE(folder.ok());
  const std::filesystem::path path = folder->path() / "it's.parquet";
  ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 800, 1000)).ok());
  const Columns spine = RandomSpine(random, 5000, 1000);
  ASSERT_TRUE(session_->LoadTemporary("spine", spine).ok());
  const Program program = Compile({"k"}, ManyFeatures(Feature));
  const std::vector<ViewJoin> views = {{&program, "events", "happened", {"k"}, "v", {}}};
  FeatureJoinRequest request{"SELECT * FROM spine", "t", views, kNow, {2, 1, folder->path()}};
  const auto writing = database_->Connect();
  ASSERT_TRUE(writing.ok());
  std::vector<int64_t> done;
  const auto rows = WriteJoin(*session_, **writing, request, path, [&](int64_t so_far, int64_t total) {
    EXPECT_EQ(total, 5000);
    done.push_back(so_far);
  });
  ASSERT_TRUE(rows.ok()) << rows.error().Format();
  EXPECT_EQ(rows->rows, 5000);
  EXPECT_TRUE(rows->failures.empty());
  EXPECT_GT(done.size(), 1U);
  EXPECT_EQ(done.back(), 5000);
  const auto expected = JoinFeatures(*session_, spine, "t", views, kNow, 1);
  ASSERT_TRUE(expected.ok());
  const Columns actual = Query("SELECT * FROM read_parquet(" + QuoteText(path.string()) + ")");
  ASSERT_EQ(actual.columns.size(), expected->columns.size());
  for (size_t i = 0; i < actual.columns.size(); ++i) ExpectSameColumn(actual.columns[i], expected->columns[i]);
  request.spine_sql = "SELECT k, g, t, 1 // (id - id) AS bad FROM spine WHERE error('stop') IS NULL";
  EXPECT_FALSE(WriteJoin(*session_, **writing, request, folder->path() / "other.parquet", {}).ok());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder->path()), {}), 1);
}

}  // namespace
}  // namespace tidemill
