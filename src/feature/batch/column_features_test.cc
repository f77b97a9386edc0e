#include <gtest/gtest.h>

#include "feature/batch/column_features.h"
#include "feature/batch/join.h"
#include "feature/testing.h"

namespace tidemill {
namespace {

using testing::ExpectSameColumn;

class ColumnFeaturesTest : public testing::FeatureTest {
 protected:
  static ColumnRows RowsOf(const Columns& rows, const Program& program) {
    ColumnRows in{.event = rows.Find("happened"), .known = rows.Find("_known_at"), .sequence = rows.Find("_seq")};
    for (const Field& field : program.keys) in.keys.push_back(rows.Find(field.name));
    for (const Field& field : program.columns) in.columns.push_back(rows.Find(field.name));
    return in;
  }

  /// The join through DuckDB is the oracle.
  void Compare(const std::vector<std::string>& entity, uint64_t seed, int threads) {
    std::mt19937_64 random(seed);
    const Columns rows = RandomRows(random, 400, 300);
    const Columns spine = RandomSpine(random, 150, 300);
    const Program program =
        Compile(entity, {Feature("sum", "sum(x)", {20, 100}), Feature("rows", "count(*)", {50}, Value(int64_t{-1})),
                         Feature("last", "last(s)"), Feature("late", "count(*) FILTER (WHERE b)", {30})});
    ASSERT_TRUE(session_->LoadTemporary("events", rows).ok());
    const auto joined =
        JoinFeatures(*session_, spine, "t", {{&program, "events", "happened", entity, "v", {}}}, Timestamp{INT64_MAX / 2}, 1);
    ASSERT_TRUE(joined.ok()) << joined.error().Format();
    ColumnQueries queries{.time = spine.Find("t")};
    for (const std::string& key : entity) queries.keys.push_back(spine.Find(key));
    const auto computed = ComputeFeatures(program, RowsOf(rows, program), queries, threads);
    ASSERT_TRUE(computed.ok()) << computed.error().Format();
    ASSERT_EQ(computed->columns.size(), program.outputs.size());
    for (const Column& column : computed->columns) {
      const Column* expected = joined->Find("v__" + column.name);
      ASSERT_NE(expected, nullptr);
      ExpectSameColumn(column, *expected);
    }
  }
};

TEST_F(ColumnFeaturesTest, EqualTheJoinThroughTheEngine) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Compare({"k"}, seed, 1);
    Compare({"k"}, seed, 2);
    Compare({"g"}, seed, 2);
    Compare({"k", "g"}, seed, 2);
  }
}

TEST_F(ColumnFeaturesTest, NumbersFarApartAreEntitiesToo) {
  Columns rows;
  rows.columns = {Column("k", Type::kInt64), Column("happened", Type::kTimestamp)};
  for (const int64_t key : {INT64_MIN, INT64_MAX, int64_t{0}, INT64_MAX}) {
    rows.columns[0].AppendInt(key);
    rows.columns[1].AppendInt(1000);
  }
  const Program program = Compile({"k"}, {Feature("rows", "count(*)")});
  const ColumnRows in{.keys = {&rows.columns[0]}, .event = &rows.columns[1]};
  const auto computed = ComputeFeatures(program, in, {.keys = in.keys, .time = in.event}, 2);
  ASSERT_TRUE(computed.ok()) << computed.error().Format();
  EXPECT_EQ(computed->columns[0].ints, (std::vector<int64_t>{1, 2, 1, 2}));
}

TEST_F(ColumnFeaturesTest, NoRowsAndNoQueries) {
  Columns rows;
  rows.columns = {Column("k", Type::kInt64), Column("happened", Type::kTimestamp)};
  Columns spine = rows;
  const Program program = Compile({"k"}, {Feature("rows", "count(*)")});
  const ColumnRows in{.keys = {&rows.columns[0]}, .event = &rows.columns[1]};
  auto computed = ComputeFeatures(program, in, {.keys = in.keys, .time = in.event}, 2);
  ASSERT_TRUE(computed.ok()) << computed.error().Format();
  EXPECT_EQ(computed->rows(), 0U);
  spine.columns[0].AppendInt(7);
  spine.columns[1].AppendInt(0);
  computed = ComputeFeatures(program, in, {.keys = {&spine.columns[0]}, .time = &spine.columns[1]}, 2);
  ASSERT_TRUE(computed.ok()) << computed.error().Format();
  EXPECT_EQ(computed->columns[0].ints, std::vector<int64_t>{0});
}

TEST_F(ColumnFeaturesTest, RowsThatCannotBeToldApartAreRefused) {
  Columns rows;
  rows.columns = {Column("k", Type::kInt64), Column("happened", Type::kTimestamp), Column("_seq", Type::kInt64)};
  for (int i = 0; i < 2; ++i) {
    for (Column& column : rows.columns) column.AppendInt(1);
  }
  const Program program = Compile({"k"}, {Feature("rows", "count(*)")});
  const ColumnRows in{.keys = {&rows.columns[0]}, .event = &rows.columns[1], .sequence = &rows.columns[2]};
  const auto computed = ComputeFeatures(program, in, {.keys = in.keys, .time = in.event}, 1);
  ASSERT_FALSE(computed.ok());
  EXPECT_EQ(computed.error().code, "duplicate_rows");
}

}  // namespace
}  // namespace tidemill
