#include "feature/compile.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "sql/testing.h"

namespace tidemill {
namespace {

class CompileTest : public testing::SessionTest {
 protected:
  Result<RowProgram> CompileOne(const std::string& expression) {
    Place place;
    place.file = "models/m.yaml";
    place.line = 3;
    place.column = 5;
    place.excerpt = "    " + expression;
    return CompileExpressions({{"x", expression, place}}, kFields, *session_);
  }

  FeatureViewAsset View(std::vector<FeatureDefinition> features) {
    FeatureViewAsset view;
    view.name = "v";
    view.entity = {"s"};
    view.from = "t";
    view.features = std::move(features);
    for (FeatureDefinition& feature : view.features) {
      feature.place.file = "features/v.yaml";
      feature.place.line = 4;
      feature.place.column = 3;
      feature.place.excerpt = "  " + feature.value;
    }
    return view;
  }
  Result<Program> Compile(std::vector<FeatureDefinition> features) {
    TableAsset table;
    table.name = "t";
    table.timestamp = "t";
    return CompileView(View(std::move(features)), table, kFields, *session_);
  }

  const std::vector<Field> kFields = {{"i", Type::kInt64},     {"j", Type::kInt64},     {"d", Type::kDouble},
                                      {"e", Type::kDouble},    {"b", Type::kBool},      {"s", Type::kText},
                                      {"t", Type::kTimestamp}, {"u", Type::kTimestamp}, {"a", Type::kDate}};
};

FeatureDefinition Feature(std::string name, std::string value, std::vector<Duration> windows = {}, Value default_value = {}) {
  FeatureDefinition feature;
  feature.name = std::move(name);
  feature.value = std::move(value);
  feature.windows = std::move(windows);
  feature.default_value = std::move(default_value);
  return feature;
}

TEST_F(CompileTest, WindowsMultiplyOutputsAndEqualAggregatesAreShared) {
  const Duration hours{2 * 3600 * kMicrosPerSecond};
  const Duration day{kMicrosPerDay};
  const auto program = Compile(
      {Feature("mean", "avg(d)", {hours, day}), Feature("share", "count(*) FILTER (WHERE i >= 15) / count(*)", {day}, int64_t{0}),
       Feature("rows", "count(*)", {day}), Feature("ratio", "rows_1d / (mean_2h + 1)"), Feature("latest", "last(s)")});
  ASSERT_TRUE(program.ok()) << program.error().Format();
  std::vector<std::string> names;
  for (const Field& field : program->OutputFields()) names.push_back(field.name + ":" + std::string(TypeName(field.type)));
  EXPECT_EQ(names, (std::vector<std::string>{"mean_2h:number", "mean_1d:number", "share_1d:number", "rows_1d:integer",
                                             "ratio:number", "latest:text"}));
  EXPECT_EQ(program->aggregates.size(), 5U);
  EXPECT_EQ(program->outputs[2].default_value, Value(0.0));
  EXPECT_EQ(program->Reach(), std::nullopt);
  EXPECT_EQ(program->columns, (std::vector<Field>{{"d", Type::kDouble}, {"i", Type::kInt64}, {"s", Type::kText}}));
  const auto read = Program::FromJson(program->ToJson());
  ASSERT_TRUE(read.ok()) << read.error().Format();
}

TEST_F(CompileTest, MistakesInViewsHavePlacesAndHints) {
  struct Case {
    std::string value;
    std::string code;
    int column;
    std::string hint;
  };
  const std::vector<Case> cases = {{"avg(dd)", "unknown_column", 7, ""},
                                   {"avg(d) + meen(d)", "unknown_function", 12, ""},
                                   {"kurtosis(d)", "unknown_aggregate", 3, ""},
                                   {"d / 2", "column_outside_aggregate", 3, "last(d)"},
                                   {"avg(s)", "argument_types", 3, ""},
                                   {"sum(avg(d))", "unsupported_expression", 7, "once"},
                                   {"avg(d) OVER ()", "unsupported_expression", 3, "windows"},
                                   {"slope(DISTINCT d)", "unsupported_expression", 3, "skewness"},
                                   {"last(d ORDER BY e)", "unsupported_expression", 3, "leave out"},
                                   {"count(*) FILTER (WHERE d)", "argument_types", 3, ""},
                                   {"last(t) - first(t)", "unsupported_expression", 0, "epoch"},
                                   {"quantile_cont(d, 2)", "argument_types", 3, ""},
                                   {"lag(d, -1)", "argument_types", 3, ""},
                                   {"lag(d, i)", "argument_types", 3, ""},
                                   {"list(d)", "argument_types", 3, ""},
                                   {"list(d, 0)", "argument_types", 3, ""},
                                   {"top_k(s, 1001)", "argument_types", 3, ""},
                                   {"count(*) FILTER (WHERE t < now())", "unsupported_expression", 30, "outside"},
                                   {"corr(d)", "argument_types", 3, ""},
                                   {"corr(d, s)", "argument_types", 3, ""},
                                   {"ewm_mean(d)", "argument_types", 3, ""},
                                   {"ewm_mean(d, 7)", "argument_types", 3, ""},
                                   {"ewm_mean(d, INTERVAL 0 DAYS)", "argument_types", 3, ""},
                                   {"ewm_mean(d, INTERVAL 1 MONTH)", "argument_types", 3, ""},
                                   {"ewm_mean(d, t - u)", "argument_types", 3, ""}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.value);
    const auto program = Compile({Feature("f", c.value)});
    ASSERT_FALSE(program.ok());
    EXPECT_EQ(program.error().code, c.code) << program.error().Format();
    ASSERT_TRUE(program.error().place.has_value());
    if (c.column > 0) {
      EXPECT_EQ(program.error().place->column, c.column) << program.error().Format();
    }
    EXPECT_NE(program.error().hint.find(c.hint), std::string::npos) << program.error().Format();
  }
}

TEST_F(CompileTest, IntegersAndLengthsOfTimeBecomeWhatAggregatesTake) {
  const auto program = Compile({Feature("a", "corr(i, d)"), Feature("b", "ewm_mean(i, INTERVAL 12 HOURS)"),
                                Feature("c", "slope(epoch(t - u))"), Feature("d", "skewness(j) FILTER (WHERE b)")});
  ASSERT_TRUE(program.ok()) << program.error().Format();
  for (const Aggregate& aggregate : program->aggregates) {
    EXPECT_EQ(aggregate.type, Type::kDouble);
    EXPECT_EQ(aggregate.arguments[0].type, Type::kDouble);
  }
  EXPECT_EQ(program->aggregates[1].arguments[1].constant, Value(12 * 3600 * kMicrosPerSecond));
  const auto read = Program::FromJson(program->ToJson());
  ASSERT_TRUE(read.ok()) << read.error().Format();
}

TEST_F(CompileTest, EveryAggregateCanBeWritten) {
  const std::vector<std::pair<std::string, std::string>> written = {{"mode(s)", "mode:text"},
                                                                    {"list(i, 3)", "list:integer[]"},
                                                                    {"array_agg(t, 2)", "list:timestamp[]"},
                                                                    {"approx_top_k(s, 2)", "top_k:text[]"},
                                                                    {"top_k(b, 1)", "top_k:boolean[]"},
                                                                    {"approx_count_distinct(s)", "approx_count_distinct:integer"},
                                                                    {"count(DISTINCT s)", "count_distinct:integer"},
                                                                    {"sum(DISTINCT i)", "sum_distinct:integer"},
                                                                    {"avg(DISTINCT d)", "avg_distinct:number"},
                                                                    {"stddev(DISTINCT i)", "stddev_samp_distinct:number"},
                                                                    {"variance(DISTINCT d)", "var_samp_distinct:number"},
                                                                    {"skewness(DISTINCT d)", "skewness_distinct:number"},
                                                                    {"max(DISTINCT d)", "max:number"},
                                                                    {"bool_or(DISTINCT b)", "bool_or:boolean"},
                                                                    {"covar_samp(d, i)", "covar_samp:number"},
                                                                    {"covar_pop(d, e)", "covar_pop:number"},
                                                                    {"regr_slope(d, e)", "regr_slope:number"}};
  for (const auto& [value, expected] : written) {
    SCOPED_TRACE(value);
    const auto program = Compile({Feature("f", value)});
    ASSERT_TRUE(program.ok()) << program.error().Format();
    const Aggregate& aggregate = program->aggregates.at(0);
    EXPECT_EQ(aggregate.function + ":" + std::string(TypeName(aggregate.type)), expected);
    const auto read = Program::FromJson(Json::parse(program->ToJson().dump()));
    ASSERT_TRUE(read.ok()) << read.error().Format();
    EXPECT_EQ(read->ToJson(), program->ToJson());
  }
}

/// Aggregates add up whole cents; lists and the like hold numbers.
TEST_F(CompileTest, AggregatesOfDecimals) {
  const auto program = Compile({Feature("total", "sum(d::DECIMAL(18, 2))"), Feature("low", "min(d::DECIMAL(18, 2)) * 1.5"),
                                Feature("mean", "avg(i * 0.5)"), Feature("kinds", "count(DISTINCT i * 0.5)"),
                                Feature("some", "list(i * 0.5, 3)"), Feature("middle", "quantile_cont(i * 0.5, 0.9)"),
                                Feature("spread", "stddev(i * 0.5)")});
  ASSERT_TRUE(program.ok()) << program.error().Format();
  std::string types;
  for (const Aggregate& aggregate : program->aggregates)
    types += fmt::format("{}({}) ", aggregate.function, TypeName(aggregate.arguments[0].type));
  EXPECT_EQ(types,
            "decimal_sum(integer) min(integer) decimal_avg(text) count_distinct(text) list(number) decimal_quantile(text) "
            "stddev_samp(number) ");
  types.clear();
  for (const Field& field : program->OutputFields()) types += fmt::format("{} ", TypeName(field.type));
  EXPECT_EQ(types, "number number number integer number[] number number ");
  const auto read = Program::FromJson(Json::parse(program->ToJson().dump()));
  ASSERT_TRUE(read.ok()) << read.error().Format();
  EXPECT_EQ(read->ToJson(), program->ToJson());
}

TEST_F(CompileTest, AFeatureSaysHowItsWindowsEndAndWhereSketchesBegin) {
  FeatureDefinition feature = Feature("f", "median(d) - avg(d)", {Duration{kMicrosPerDay}});
  feature.delay = Duration{kMicrosPerDay / 24};
  feature.max_events = 100;
  const auto program = Compile({feature});
  ASSERT_TRUE(program.ok()) << program.error().Format();
  EXPECT_EQ(program->OutputFields()[0].name, "f_1d");  // the delay is not part of the name
  EXPECT_EQ(program->aggregates[0].delay, feature.delay);
  EXPECT_EQ(program->aggregates[0].max_events, 100);
  EXPECT_EQ(program->aggregates[1].max_events, std::nullopt);
  EXPECT_EQ(program->Reach(), Duration{kMicrosPerDay / 24 * 25});
  feature.hop = Duration{kMicrosPerDay / 24};
  EXPECT_EQ(Compile({feature})->aggregates[0].hop, feature.hop);
  EXPECT_EQ(Compile({feature})->Reach(), Duration{kMicrosPerDay / 24 * 26});
  feature.hop.reset();
  feature.session = Duration{60 * kMicrosPerSecond};
  EXPECT_EQ(Compile({feature})->aggregates[0].session, feature.session);
}

TEST_F(CompileTest, AllMistakesOfAViewAreReported) {
  const auto program = Compile({Feature("f", "avg(x1)"), Feature("g", "avg(d)"), Feature("h", "avg(x2)")});
  ASSERT_FALSE(program.ok());
  EXPECT_EQ(program.error().others.size(), 1U);
}

TEST_F(CompileTest, MistakesInExpressions) {
  EXPECT_EQ(CompileOne("scheduled").error().code, "unknown_column");
  EXPECT_EQ(CompileOne("avg(d)").error().code, "unsupported_expression");
  EXPECT_EQ(CompileOne("DATE '2013-99-01' > a").error().code, "bad_literal");
  EXPECT_EQ(CompileOne("t - u").error().code, "unsupported_expression");
  EXPECT_EQ(CompileOne("date_trunc('fortnight', t)").error().code, "bad_literal");
  EXPECT_EQ(CompileOne("d::DECIMAL(38,20) * e::DECIMAL(38,19)").error().code, "argument_types");
  EXPECT_EQ(CompileOne("decimal_units(1.5)").error().code, "unknown_function");
  EXPECT_EQ(Compile({Feature("f", "decimal_sum(i, 2)")}).error().code, "unknown_function");
  EXPECT_EQ(CompileOne("b = t").error().code, "argument_types");
  EXPECT_EQ(CompileOne("(SELECT 1)").error().code, "unsupported_expression");
}

TEST_F(CompileTest, CaseOfEveryCharacterAgreesWithDuckDb) {
  const auto rows = session_->Query(
      "SELECT chr(i::INTEGER) AS s, upper(s) AS u, lower(s) AS l FROM range(1, 1114112) t(i) WHERE i NOT BETWEEN 55296 AND "
      "57343");
  ASSERT_TRUE(rows.ok()) << rows.error().Format();
  const auto program = CompileExpressions({{"u", "upper(s)", {}}, {"l", "lower(s)", {}}}, {{"s", Type::kText}}, *session_);
  ASSERT_TRUE(program.ok()) << program.error().Format();
  const auto cases = program->Evaluate(*rows);
  ASSERT_TRUE(cases.ok()) << cases.error().Format();
  EXPECT_EQ(cases->columns[0].chars, rows->columns[1].chars);
  EXPECT_EQ(cases->columns[1].chars, rows->columns[2].chars);
}

}  // namespace
}  // namespace tidemill
