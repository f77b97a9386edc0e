#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "feature/compile.h"
#include "feature/program/testing.h"
#include "sql/testing.h"

/// Tables of random rows, with late ones, and views over them. For *_test.cc only, which include GoogleTest before this.
namespace tidemill::testing {

constexpr int64_t kSecond = kMicrosPerSecond;

/// A session with tables k BIGINT, g VARCHAR, happened TIMESTAMP, x DOUBLE, i BIGINT, s VARCHAR, b BOOLEAN, _seq, _known_at.
class FeatureTest : public SessionTest {
 protected:
  static std::vector<Field> Fields() {
    return {{"k", Type::kInt64}, {"g", Type::kText}, {"happened", Type::kTimestamp}, {"x", Type::kDouble}, {"i", Type::kInt64},
            {"s", Type::kText},  {"b", Type::kBool}};
  }

  Program Compile(std::vector<std::string> entity, std::vector<FeatureDefinition> features, std::optional<Duration> ttl = {}) {
    FeatureViewAsset view;
    view.name = "v";
    view.entity = std::move(entity);
    view.from = "events";
    view.ttl = ttl;
    view.lookback = Duration{0};
    view.features = std::move(features);
    TableAsset table;
    table.name = "events";
    table.timestamp = "happened";
    auto program = CompileView(view, table, Fields(), *session_);
    EXPECT_TRUE(program.ok()) << program.error().Format();
    return std::move(program).value();
  }

  static FeatureDefinition Feature(std::string name, std::string value, std::vector<int64_t> windows_s = {},
                                   Value default_value = {}) {
    FeatureDefinition feature;
    feature.name = std::move(name);
    feature.value = std::move(value);
    for (const int64_t seconds : windows_s) feature.windows.push_back(Duration{seconds * kSecond});
    feature.default_value = std::move(default_value);
    return feature;
  }

  /// `count` rows over `span_s` seconds, some late, some with equal times, some with nulls.
  static Columns RandomRows(std::mt19937_64& random, int count, int64_t span_s) {
    Columns rows;
    for (const Field& field : Fields()) rows.columns.emplace_back(field.name, field.type);
    rows.columns.emplace_back("_seq", Type::kInt64);
    rows.columns.emplace_back("_known_at", Type::kTimestamp);
    for (int row = 0; row < count; ++row) {
      const int64_t at = static_cast<int64_t>(random() % static_cast<uint64_t>(span_s)) * kSecond;
      const int64_t late = random() % 3 == 0 ? static_cast<int64_t>(random() % 60) * kSecond : 0;
      std::vector<Value> values = {
          static_cast<int64_t>(random() % 5) + (random() % 2 == 0 ? 10 : 0),
          std::string(1 + random() % 2, static_cast<char>('a' + random() % 2)),
          Timestamp{at},
          std::ldexp(static_cast<double>(static_cast<int64_t>(random() >> 11)), -30 - static_cast<int>(random() % 30)),
          static_cast<int64_t>(random() % 9) - 4,
          std::string(random() % 3, 'x') + static_cast<char>('a' + random() % 3),
          random() % 2 == 0};
      for (size_t i = 0; i < values.size(); ++i) {
        if (random() % 12 == 0 && i != 2) values[i] = {};
      }
      values.emplace_back(int64_t{row + 1});
      values.emplace_back(Timestamp{at + late});
      for (size_t i = 0; i < values.size(); ++i) EXPECT_TRUE(rows.columns[i].Append(values[i]).ok());
    }
    return rows;
  }

  static Columns RandomSpine(std::mt19937_64& random, int count, int64_t span_s) {
    Columns spine;
    spine.columns = {Column("id", Type::kInt64), Column("k", Type::kInt64), Column("g", Type::kText),
                     Column("t", Type::kTimestamp)};
    for (int row = 0; row < count; ++row) {
      spine.columns[0].AppendInt(row);
      EXPECT_TRUE(spine.columns[1].Append(random() % 15 == 0 ? Value() : Value(static_cast<int64_t>(random() % 6))).ok());
      spine.columns[2].AppendText(std::string(1 + random() % 2, static_cast<char>('a' + random() % 2)));
      EXPECT_TRUE(
          spine.columns[3]
              .Append(random() % 40 == 0
                          ? Value()
                          : Value(Timestamp{static_cast<int64_t>(random() % static_cast<uint64_t>(span_s + 50)) * kSecond}))
              .ok());
    }
    return spine;
  }
};

inline void ExpectSameColumn(const Column& a, const Column& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(a.type, b.type);
  for (size_t row = 0; row < a.size(); ++row) {
    ASSERT_TRUE(SameBits(a.At(row), b.At(row)))
        << a.name << " row " << row << ": " << FormatValue(a.At(row)) << " and " << FormatValue(b.At(row));
  }
}

}  // namespace tidemill::testing
