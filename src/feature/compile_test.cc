#include "feature/compile.h"

#include <gtest/gtest.h>

#include <random>

#include "feature/program/testing.h"
#include "sql/testing.h"

namespace tidemill {
namespace {

using testing::SameBits;

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
                                   {"mode(d)", "unknown_aggregate", 3, "avg"},
                                   {"d / 2", "column_outside_aggregate", 3, "last(d)"},
                                   {"avg(s)", "argument_types", 3, ""},
                                   {"sum(avg(d))", "unsupported_expression", 7, "once"},
                                   {"avg(d) OVER ()", "unsupported_expression", 3, "windows"},
                                   {"sum(DISTINCT d)", "unsupported_expression", 3, ""},
                                   {"last(d ORDER BY e)", "unsupported_expression", 3, "leave out"},
                                   {"count(*) FILTER (WHERE d)", "argument_types", 3, ""},
                                   {"last(t) - first(t)", "unsupported_expression", 0, "epoch"},
                                   {"quantile_cont(d, 2)", "argument_types", 3, ""},
                                   {"lag(d, -1)", "argument_types", 3, ""},
                                   {"lag(d, i)", "argument_types", 3, ""},
                                   {"corr(d)", "argument_types", 3, ""},
                                   {"corr(d, s)", "argument_types", 3, ""},
                                   {"ewm_mean(d)", "argument_types", 3, ""},
                                   {"ewm_mean(d, 7)", "argument_types", 3, ""},
                                   {"ewm_mean(d, INTERVAL 0 DAYS)", "argument_types", 3, ""},
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
  EXPECT_EQ(CompileOne("d::DECIMAL(9,2)").error().code, "unsupported_expression");
  EXPECT_EQ(CompileOne("b = t").error().code, "argument_types");
  EXPECT_EQ(CompileOne("(SELECT 1)").error().code, "unsupported_expression");
}

/// Expressions written at random, typed so that DuckDB accepts nearly all of them.
class Writer {
 public:
  explicit Writer(uint64_t seed) : random_(seed) {}
  std::string Any(int depth) {
    switch (random_() % 6) {
      case 0:
        return Integer(depth);
      case 1:
        return Number(depth);
      case 2:
        return Condition(depth);
      case 3:
        return Words(depth);
      case 4:
        return Time(depth);
      default:
        return Day(depth);
    }
  }

 private:
  std::string One(std::initializer_list<std::string> choices) { return std::data(choices)[random_() % choices.size()]; }

  std::string Integer(int depth) {
    if (depth <= 0) return One({"i", "j", "i", "j", "0", "1", "7", "(-3)", "NULL::BIGINT", "12345678901"});
    const int n = depth - 1;
    switch (random_() % 14) {
      case 0:
        return "(" + Integer(n) + One({" + ", " - ", " * ", " // ", " % "}) + Integer(n) + ")";
      case 1:
        return "abs(" + Integer(n) + ")";
      case 2:
        return One({"year", "month", "day", "hour", "minute", "second", "dayofweek", "isodow", "dayofyear", "week", "quarter"}) +
               "(" + One({Time(n), Day(n)}) + ")";
      case 3:
        return "date_diff('" + One({"year", "quarter", "month", "week", "day", "hour", "minute", "second"}) + "', " + Time(n) +
               ", " + Time(n) + ")";
      case 4:
        return "length(" + Words(n) + ")";
      case 5:
        return "(CASE WHEN " + Condition(n) + " THEN " + Integer(n) + " ELSE " + Integer(n) + " END)";
      case 6:
        return "coalesce(" + Integer(n) + ", " + Integer(n) + ")";
      case 7:
        return "nullif(" + Integer(n) + ", " + One({Integer(n), Number(n)}) + ")";
      case 8:
        return "CAST(" + One({Condition(n), Number(n), "i", "'12'"}) + " AS BIGINT)";
      case 9:
        return One({"least", "greatest"}) + "(" + Integer(n) + ", " + Integer(n) + ", 3)";
      case 10:
        return "strpos(" + Words(n) + ", " + Words(n) + ")";
      case 11:
        return "round(" + Integer(n) + ", " + One({"0", "-1", "-2", "2"}) + ")";
      case 12:
        return "date_part('" + One({"hour", "dow", "doy", "month"}) + "', " + Time(n) + ")";
      default:
        return "(" + Day(n) + " - " + Day(n) + ")";
    }
  }
  std::string Number(int depth) {
    if (depth <= 0) return One({"d", "e", "d", "e", "0.5e0", "(-2.5e0)", "1e10", "NULL::DOUBLE", "0e0", "'nan'::DOUBLE"});
    const int n = depth - 1;
    switch (random_() % 12) {
      case 0:
        return "(" + Number(n) + One({" + ", " - ", " * ", " / ", " // ", " % "}) + One({Number(n), Integer(n)}) + ")";
      case 1:
        return "(" + Integer(n) + " / " + Integer(n) + ")";
      case 2:
        return One({"abs", "floor", "ceil", "round", "trunc"}) + "(" + Number(n) + ")";
      case 3:
        return One({"ln", "log10", "log2", "exp", "sqrt"}) + "(abs(" + Number(n) + ") + 1)";
      case 4:
        return "pow(" + Number(n) + ", " + One({"2", "0.5e0", "3"}) + ")";
      case 5:
        return "round(" + Number(n) + ", " + One({"1", "2", "-1", "0"}) + ")";
      case 6:
        return One({"least", "greatest", "coalesce"}) + "(" + Number(n) + ", " + One({Number(n), Integer(n)}) + ")";
      case 7:
        return "(CASE " + Integer(n) + " WHEN 1 THEN " + Number(n) + " WHEN " + Integer(n) + " THEN " + Integer(n) + " END)";
      case 8:
        return "CAST(" + One({Integer(n), Condition(n), "'1.5e3'"}) + " AS DOUBLE)";
      case 9:
        return "epoch(" + One({Time(n), Day(n), Time(n) + " - " + Time(n)}) + ")";
      case 10:
        return "nullif(" + Number(n) + ", " + Number(n) + ")";
      default:
        return "(-" + Number(n) + ")";
    }
  }
  std::string Condition(int depth) {
    if (depth <= 0) return One({"b", "b", "true", "false", "NULL::BOOLEAN"});
    const int n = depth - 1;
    const std::string compare =
        One({" = ", " <> ", " < ", " <= ", " > ", " >= ", " IS DISTINCT FROM ", " IS NOT DISTINCT FROM "});
    switch (random_() % 12) {
      case 0:
        return "(" + Number(n) + compare + One({Number(n), Integer(n)}) + ")";
      case 1:
        return "(" + Words(n) + compare + Words(n) + ")";
      case 2:
        return "(" + Time(n) + compare + One({Time(n), Day(n)}) + ")";
      case 3:
        return "(" + Condition(n) + One({" AND ", " OR "}) + Condition(n) + One({" AND ", " OR "}) + Condition(n) + ")";
      case 4:
        return "(NOT " + Condition(n) + ")";
      case 5:
        return "(" + Any(n) + One({" IS NULL", " IS NOT NULL"}) + ")";
      case 6:
        return "(" + Integer(n) + One({" IN (", " NOT IN ("}) + Integer(n) + ", 1, " + Integer(n) + "))";
      case 7:
        return "(" + Words(n) + One({" IN (", " NOT IN ("}) + "'ab', 'é', " + Words(n) + "))";
      case 8:
        return "(" + Number(n) + One({" BETWEEN ", " NOT BETWEEN "}) + Number(n) + " AND " + Number(n) + ")";
      case 9:
        return "(" + Words(n) + One({" LIKE ", " NOT LIKE ", " ILIKE "}) +
               One({"'a%'", "'%b'", "'_b%'", "'%a%b%'", "'é_'", "'%'", "''"}) + ")";
      case 10:
        return One({"contains", "starts_with", "ends_with"}) + "(" + Words(n) + ", " + Words(n) + ")";
      default:
        return "CAST(" + One({Integer(n), Number(n)}) + " AS BOOLEAN)";
    }
  }
  std::string Words(int depth) {
    if (depth <= 0) return One({"s", "s", "'ab'", "'é b'", "''", "' a '", "NULL::VARCHAR"});
    const int n = depth - 1;
    switch (random_() % 10) {
      case 0:
        return "(" + Words(n) + " || " + One({Words(n), Integer(n)}) + ")";
      case 1:
        return One({"lower", "upper", "trim", "ltrim", "rtrim"}) + "(" + Words(n) + ")";
      case 2:
        return "substr(" + Words(n) + ", " + One({"1", "2", "-1", "-2", "0", "-9", "9"}) + ")";
      case 3:
        return "substr(" + Words(n) + ", " + One({"1", "2", "-1", "-2", "0", "-9"}) + ", " +
               One({"0", "1", "2", "-1", "-2", "100"}) + ")";
      case 4:
        return "concat(" + Words(n) + ", " + Any(n) + ", 'x')";
      case 5:
        return "CAST(" + One({Integer(n), Number(n), Condition(n), Time(n), Day(n)}) + " AS VARCHAR)";
      case 6:
        return "replace(" + Words(n) + ", 'a', " + Words(n) + ")";
      case 7:
        return One({"left", "right"}) + "(" + Words(n) + ", " + One({"0", "1", "2", "-1", "-5", "10"}) + ")";
      case 8:
        return "(CASE WHEN " + Condition(n) + " THEN " + Words(n) + " END)";
      default:
        return One({"least", "greatest", "coalesce"}) + "(" + Words(n) + ", " + Words(n) + ")";
    }
  }
  std::string Time(int depth) {
    if (depth <= 0) return One({"t", "u", "t", "u", "TIMESTAMP '2013-03-10 12:34:56.789'", "NULL::TIMESTAMP"});
    const int n = depth - 1;
    switch (random_() % 5) {
      case 0:
        return "date_trunc('" + One({"year", "quarter", "month", "week", "day", "hour", "minute", "second"}) + "', " +
               One({Time(n), Day(n)}) + ")";
      case 1:
        return "(" + Time(n) + One({" + ", " - "}) + "to_" + One({"days", "hours", "minutes", "seconds"}) + "((" + Integer(0) +
               " % 1000)::INTEGER))";
      case 2:
        return "CAST(" + One({Day(n), Time(n)}) + " AS TIMESTAMP)";
      case 3:
        return "(" + Time(n) + One({" + INTERVAL 90 MINUTE", " - INTERVAL 3 DAY"}) + ")";
      default:
        return One({"least", "greatest", "coalesce"}) + "(" + Time(n) + ", " + Time(n) + ")";
    }
  }
  std::string Day(int depth) {
    if (depth <= 0) return One({"a", "a", "DATE '2012-02-29'", "NULL::DATE"});
    const int n = depth - 1;
    switch (random_() % 3) {
      case 0:
        return "CAST(" + Time(n) + " AS DATE)";
      case 1:
        return "(" + Day(n) + One({" + ", " - "}) + One({"1", "400", "7"}) + ")";
      default:
        return "coalesce(" + Day(n) + ", " + Day(n) + ")";
    }
  }

  std::mt19937_64 random_;
};

Columns RowsOfEverything(const std::vector<Field>& fields) {
  std::mt19937_64 random(99);
  Columns rows;
  for (const Field& field : fields) rows.columns.emplace_back(field.name, field.type);
  const std::vector<Value> integers = {int64_t{0},   int64_t{1}, int64_t{-1},    int64_t{15},
                                       int64_t{-25}, int64_t{5}, int64_t{123456}};
  const std::vector<Value> numbers = {
      0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-7, 123456.789, 1e15, 1e16, 3.0, std::numeric_limits<double>::infinity(), std::nan("")};
  const std::vector<Value> texts = {std::string(),     std::string("a"),     std::string("ab"),    std::string("aXb"),
                                    std::string("é_"), std::string(" b a "), std::string("日本語")};
  for (int row = 0; row < 60; ++row) {
    for (Column& column : rows.columns) {
      Value value;
      if (random() % 7 != 0) {
        switch (column.type) {
          case Type::kInt64:
            value = integers[random() % integers.size()];
            break;
          case Type::kDouble:
            value = numbers[random() % numbers.size()];
            break;
          case Type::kBool:
            value = random() % 2 == 0;
            break;
          case Type::kText:
            value = texts[random() % texts.size()];
            break;
          case Type::kTimestamp:
            value = Timestamp{static_cast<int64_t>(random() % 3'000'000'000) * 1'000'007 - 1'000'000'000'000'000};
            break;
          case Type::kDate:
            value = Date{static_cast<int32_t>(random() % 30000) - 8000};
            break;
          default:
            value = MakeList(ElementType(column.type), {});
            break;
        }
      }
      EXPECT_TRUE(column.Append(value).ok());
    }
  }
  return rows;
}

TEST_F(CompileTest, ExpressionsAgreeWithDuckDb) {
  const Columns rows = RowsOfEverything(kFields);
  ASSERT_TRUE(session_->LoadTemporary("everything", rows).ok());
  Writer writer(20130501);
  int compared = 0;
  int refused_by_duckdb = 0;
  constexpr int kExpressions = 1000;
  for (int round = 0; round < kExpressions; ++round) {
    const std::string sql = writer.Any(1 + round % 3);
    SCOPED_TRACE(sql);
    const auto expected = session_->Query("SELECT " + sql + " AS x FROM everything");
    if (!expected.ok()) {
      ++refused_by_duckdb;
      continue;
    }
    const auto program = CompileOne(sql);
    ASSERT_TRUE(program.ok()) << program.error().Format();
    const auto actual = program->Evaluate(rows);
    ASSERT_TRUE(actual.ok()) << actual.error().Format();
    const std::vector<uint8_t>& valid = expected->columns[0].valid;
    if (std::find(valid.begin(), valid.end(), 1) != valid.end()) {  // DuckDB calls the type of some constant nulls INTEGER
      ASSERT_EQ(actual->columns[0].type, expected->columns[0].type);
    }
    for (size_t row = 0; row < rows.rows(); ++row) {
      const Value a = actual->columns[0].At(row);
      const Value b = expected->columns[0].At(row);
      ASSERT_TRUE(SameBits(a, b) || a == b) << "row " << row << ": " << FormatValue(a) << " instead of " << FormatValue(b);
    }
    ++compared;
  }
  EXPECT_GT(compared, kExpressions * 3 / 4) << refused_by_duckdb;
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
