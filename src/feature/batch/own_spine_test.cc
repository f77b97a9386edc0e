#include "feature/batch/own_spine.h"

#include <gtest/gtest.h>

#include <map>

#include "feature/batch/join.h"
#include "feature/testing.h"

namespace tidemill {
namespace {

using testing::kSecond;

constexpr Timestamp kNow{int64_t{1'000'000} * kSecond};

class OwnSpineTest : public testing::FeatureTest {
 protected:
  Columns Query(const std::string& sql) {
    auto rows = session_->Query(sql);
    EXPECT_TRUE(rows.ok()) << rows.error().Format();
    return std::move(rows).value();
  }
  static ViewJoin View(const Program& program) { return {&program, "events", "happened", {"g"}, "v", {}}; }

  /// Hops, sessions, delays and a lateness.
  static void Vary(std::mt19937_64& random, Program& program) {
    const auto seconds = [&](uint64_t most) { return Duration{static_cast<int64_t>(1 + random() % most) * kSecond}; };
    for (Aggregate& aggregate : program.aggregates) {
      if (random() % 3 == 0) aggregate.delay = seconds(10);
      if (aggregate.window && random() % 2 == 0) {
        aggregate.hop = seconds(15);
      } else if (random() % 2 == 0) {
        aggregate.session = seconds(6);
      }
    }
    if (random() % 2 == 0) program.lateness = seconds(30);
  }

  void ExpectAnswersOfTheLatestChange(std::mt19937_64& random, const Program& program, const Columns& changes) {
    std::map<std::string, std::map<int64_t, size_t>> by_entity;
    for (size_t row = 0; row < changes.rows(); ++row)
      by_entity[std::string(changes.columns[0].Text(row))][changes.columns[1].ints[row]] = row;
    ASSERT_GE(by_entity.size(), 2U);
    Columns asked;
    asked.columns = {Column("g", Type::kText), Column(std::string(kOwnSpineTime), Type::kTimestamp)};
    for (const auto& [entity, times] : by_entity) {
      for (int64_t second = 0; second < 600; ++second) {
        asked.columns[0].AppendText(entity);
        asked.columns[1].AppendInt(second * kSecond + static_cast<int64_t>(random() % 2));
      }
    }
    const Columns answers = Answers(program, asked);
    for (size_t row = 0; row < answers.rows(); ++row) {
      const auto& times = by_entity[std::string(answers.columns[0].Text(row))];
      const auto after = times.upper_bound(answers.columns[1].ints[row]);
      if (after == times.begin()) continue;
      for (size_t i = 2; i < answers.columns.size(); ++i) {
        ASSERT_TRUE(testing::SameBits(answers.columns[i].At(row), changes.columns[i].At(std::prev(after)->second)))
            << answers.columns[i].name << " of " << answers.columns[0].Text(row) << " at " << answers.columns[1].ints[row] << ": "
            << FormatValue(answers.columns[i].At(row)) << ", at its latest change (" << std::prev(after)->first << ") "
            << FormatValue(changes.columns[i].At(std::prev(after)->second)) << " " << program.ToJson();
      }
    }
  }

  Columns Answers(const Program& program, Columns spine) {
    auto joined = JoinFeatures(*session_, std::move(spine), std::string(kOwnSpineTime), {View(program)}, kNow, 1);
    EXPECT_TRUE(joined.ok()) << joined.error().Format();
    return std::move(joined).value();
  }
};

/// At any time an entity's answer is that of its latest change, or that of no rows before its first.
TEST_F(OwnSpineTest, BetweenChangesAnswersStayAsTheyAre) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 16; ++round) {
    SCOPED_TRACE(round);
    ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 150, 400)).ok());
    Program program = Compile(
        {"g"},
        {Feature("n", "count(*)", {20, 50}), Feature("s", "last(s)"), Feature("x", "sum(x)", {35}), Feature("all", "count(*)")},
        round % 2 == 0 ? std::optional<Duration>(Duration{45 * kSecond}) : std::nullopt);
    if (round % 4 > 1) program.aggregates[0].delay = Duration{5 * kSecond};
    if (round >= 4) Vary(random, program);
    const auto sql = ChangesBetween({View(program)}, Timestamp{-kSecond}, Timestamp{700 * kSecond});
    ASSERT_TRUE(sql.ok()) << sql.error().Format();
    ExpectAnswersOfTheLatestChange(random, program, Answers(program, Query(*sql)));
    if (HasFatalFailure()) return;
  }
}

TEST_F(OwnSpineTest, EntitiesAreThoseKnownByThen) {
  std::mt19937_64 random(17);
  ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 30, 400)).ok());
  const Program program = Compile({"k", "g"}, {Feature("n", "count(*)")});
  const auto sql = EntitiesAt({View(program)}, Timestamp{200 * kSecond});
  ASSERT_TRUE(sql.ok()) << sql.error().Format();
  const Columns entities = Query(*sql);
  const Columns expected = Query(
      "SELECT DISTINCT k, g, make_timestamp(200000000) AS asked_at FROM events WHERE happened <= make_timestamp(200000000) AND "
      "_known_at <= make_timestamp(200000000) AND k IS NOT NULL AND g IS NOT NULL ORDER BY k, g");
  ASSERT_EQ(entities.columns.size(), expected.columns.size());
  EXPECT_GT(expected.rows(), 3U);
  for (size_t i = 0; i < expected.columns.size(); ++i) testing::ExpectSameColumn(entities.columns[i], expected.columns[i]);
}

TEST_F(OwnSpineTest, ViewsMustBeOfTheSameEntities) {
  const Program one = Compile({"k"}, {Feature("n", "count(*)")});
  const Program other = Compile({"g"}, {Feature("n", "count(*)")});
  EXPECT_EQ(EntitiesAt({View(one), View(other)}, kNow).error().code, "join_keys");
  EXPECT_EQ(ChangesBetween({View(one), View(other)}, Timestamp{0}, kNow).error().code, "join_keys");
  EXPECT_EQ(EntitiesAt({}, kNow).error().code, "join_keys");
}

}  // namespace
}  // namespace tidemill
