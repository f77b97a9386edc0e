#include "base/list.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/columns.h"

namespace tidemill {
namespace {

TEST(List, KeepsEveryElementOfEveryType) {
  const std::vector<std::pair<Type, std::vector<Value>>> cases = {
      {Type::kInt64, {}},
      {Type::kInt64, {INT64_MIN, Value(), INT64_MAX, int64_t{0}}},
      {Type::kDouble, {0.5, Value(), -0.0, std::numeric_limits<double>::infinity()}},
      {Type::kText, {std::string("a"), std::string(), Value(), std::string("日本\0語", 10)}},
      {Type::kBool, {true, false, Value(), true, true, true, true, true, true, Value()}},
      {Type::kTimestamp, {Timestamp{-1}, Value(), Timestamp{1367402400000001}}},
      {Type::kDate, {Date{-1}, Date{15000}, Value()}}};
  for (const auto& [element, values] : cases) {
    const List list = MakeList(element, values);
    EXPECT_EQ(ListElements(list), values) << TypeName(ListType(element));
    EXPECT_EQ(ElementType(ListType(element)), element);
    Column column("l", ListType(element));
    ASSERT_TRUE(column.Append(Value(list)).ok());
    column.AppendNull();
    EXPECT_EQ(column.At(0), Value(list));
    EXPECT_TRUE(IsNull(column.At(1)));
    EXPECT_EQ(ParseType(TypeName(ListType(element))).value(), ListType(element));
  }
}

TEST(List, BuilderIsUsedAgain) {
  ListBuilder builder(Type::kText);
  builder.AppendText("ab");
  const std::string first = builder.Finish();
  const ListView view(first, Type::kText);
  builder.AppendNull();
  builder.AppendFrom(view, 0);
  EXPECT_EQ(ListElements({Type::kText, builder.Finish()}), (std::vector<Value>{Value(), std::string("ab")}));
  EXPECT_EQ(ListElements({Type::kText, builder.Finish()}), std::vector<Value>{});
}

TEST(List, DamagedBytesAreNeverReadPastTheirEnd) {
  for (const Type element : {Type::kInt64, Type::kDouble, Type::kText}) {
    std::string bytes = MakeList(element, std::vector<Value>(9)).bytes;
    for (size_t length = 0; length < bytes.size(); ++length) {
      const std::string cut(bytes, 0, length);
      EXPECT_EQ(ListView(cut, element).size(), 0U);
    }
    for (size_t at = 0; at < bytes.size(); ++at) {
      std::string changed = bytes;
      changed[at] = '\xff';
      EXPECT_LE(ListElements({element, changed}).size(), 9U);
    }
  }
}

TEST(List, IsWrittenForPeopleAndForSql) {
  const Value numbers = MakeList(Type::kDouble, {1.5, Value(), std::nan("")});
  EXPECT_EQ(FormatValue(numbers), "[1.5, null, nan]");
  EXPECT_EQ(SqlLiteral(numbers), "['1.5'::DOUBLE, NULL, 'nan'::DOUBLE]::DOUBLE[]");
  const Value texts = MakeList(Type::kText, {std::string("a, \"b\""), std::string("it's")});
  EXPECT_EQ(FormatValue(texts), R"(["a, \"b\"", "it's"])");
  EXPECT_EQ(SqlLiteral(texts), R"(['a, "b"', 'it''s']::VARCHAR[])");
  EXPECT_EQ(SqlLiteral(MakeList(Type::kInt64, {})), "[]::BIGINT[]");
}

TEST(List, AColumnTakesOnlyItsOwnLists) {
  Column column("l", Type::kInt64List);
  EXPECT_FALSE(column.Append(MakeList(Type::kText, {})).ok());
  EXPECT_FALSE(column.Append(int64_t{1}).ok());
  EXPECT_EQ(column.size(), 0U);
}

}  // namespace
}  // namespace tidemill
