#include "worker/arrow_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace tidemill {
namespace {

const std::vector<Field> kFields = {{"flag", Type::kBool}, {"whole", Type::kInt64},  {"number", Type::kDouble},
                                    {"text", Type::kText}, {"at", Type::kTimestamp}, {"day", Type::kDate}};

Columns Empty() {
  Columns rows;
  for (const Field& field : kFields) rows.columns.emplace_back(field.name, field.type);
  return rows;
}

/// Rows of all types with nulls, ends of ranges, NaN, empty and long texts.
Columns RandomRows(size_t count, uint32_t seed) {
  std::mt19937_64 random(seed);
  Columns rows = Empty();
  const double doubles[] = {0.0, -0.0, std::nan(""), std::numeric_limits<double>::infinity(), 1e308, 5e-324};
  for (size_t row = 0; row < count; ++row) {
    for (Column& column : rows.columns) {
      if (random() % 5 == 0) {
        column.AppendNull();
        continue;
      }
      switch (column.type) {
        case Type::kBool:
          column.AppendInt(static_cast<int64_t>(random() % 2));
          break;
        case Type::kDouble:
          column.AppendDouble(doubles[random() % 6]);
          break;
        case Type::kText:
          column.AppendText(std::string(random() % 4 * (random() % 9), 'x') + "\xC3\xA4");
          break;
        case Type::kDate:
          column.AppendInt(static_cast<int32_t>(random()));
          break;
        default:
          column.AppendInt(static_cast<int64_t>(random()));
          break;
      }
    }
  }
  return rows;
}

std::string Written(const std::vector<Columns>& batches) {
  std::string bytes;
  auto writer = ArrowWriter::Make(kFields, [&](std::string_view part) {
    bytes += part;
    return Ok();
  });
  EXPECT_TRUE(writer.ok());
  for (const Columns& batch : batches) EXPECT_TRUE((*writer)->Write(batch).ok());
  EXPECT_TRUE((*writer)->Finish().ok());
  return bytes;
}

ArrowReader::Source From(const std::string& bytes, size_t at_most) {
  return [&bytes, at_most, at = size_t{0}](uint8_t* to, size_t size) mutable -> Result<size_t> {
    const size_t count = std::min({size, at_most, bytes.size() - at});
    std::memcpy(to, bytes.data() + at, count);
    at += count;
    return count;
  };
}

void ExpectEqual(const Columns& got, const Columns& wanted) {
  ASSERT_EQ(got.rows(), wanted.rows());
  for (size_t i = 0; i < kFields.size(); ++i) {
    EXPECT_EQ(got.columns[i].valid, wanted.columns[i].valid) << kFields[i].name;
    EXPECT_EQ(got.columns[i].ints, wanted.columns[i].ints) << kFields[i].name;
    EXPECT_EQ(got.columns[i].chars, wanted.columns[i].chars) << kFields[i].name;
    EXPECT_EQ(got.columns[i].offsets, wanted.columns[i].offsets) << kFields[i].name;
    const auto& a = got.columns[i].doubles;
    const auto& b = wanted.columns[i].doubles;
    ASSERT_EQ(a.size(), b.size());
    EXPECT_TRUE(a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
  }
}

TEST(ArrowStream, GivesBackWhatWasWritten) {
  for (const uint32_t seed : {1U, 2U, 3U}) {
    const Columns rows = RandomRows(1000 * seed + 7, seed);
    const std::string bytes = Written({rows});
    const auto reader = ArrowReader::Open(kFields, From(bytes, 1 + seed * 13));
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    const auto read = (*reader)->Next();
    ASSERT_TRUE(read.ok()) << read.error().message;
    ExpectEqual(*read, rows);
    EXPECT_EQ((*reader)->Next()->rows(), 0U);
  }
}

TEST(ArrowStream, GathersSmallBatchesAndSplitsLargeOnes) {
  const Columns small = RandomRows(10, 4);
  const std::string gathered = Written({small, small, Empty(), small});
  const auto one = ArrowReader::Open(kFields, From(gathered, 1 << 20));
  EXPECT_EQ((*one)->Next()->rows(), 30U);
  EXPECT_EQ((*one)->Next()->rows(), 0U);

  const std::string split = Written({RandomRows(40'000, 5)});
  const auto two = ArrowReader::Open(kFields, From(split, 1 << 20));
  EXPECT_EQ((*two)->Next()->rows(), 32'768U);
  EXPECT_EQ((*two)->Next()->rows(), 40'000U - 32'768U);
}

TEST(ArrowStream, HoldsNoRows) {
  const std::string bytes = Written({});
  const auto reader = ArrowReader::Open(kFields, From(bytes, 1 << 20));
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->Next()->rows(), 0U);
}

TEST(ArrowStream, RefusesOtherColumnsAndTypes) {
  const std::string bytes = Written({});
  std::vector<Field> fields = kFields;
  fields[1].type = Type::kDouble;
  EXPECT_EQ(ArrowReader::Open(fields, From(bytes, 1 << 20)).error().code, "arrow_stream");
  fields = kFields;
  fields[2].name = "other";
  EXPECT_EQ(ArrowReader::Open(fields, From(bytes, 1 << 20)).error().code, "arrow_stream");
  fields.pop_back();
  EXPECT_EQ(ArrowReader::Open(fields, From(bytes, 1 << 20)).error().code, "arrow_stream");
}

TEST(ArrowStream, SurvivesDamagedAndShortenedBytes) {
  const std::string good = Written({RandomRows(50, 6)});
  std::mt19937 random(7);
  size_t refused = 0;
  for (int attempt = 0; attempt < 500; ++attempt) {
    std::string bytes = good;
    if (attempt % 2 == 0) {
      bytes.resize(random() % bytes.size());
    } else {
      for (int i = 0; i < 8; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const auto reader = ArrowReader::Open(kFields, From(bytes, 1 << 20));
    if (!reader.ok()) {
      ++refused;
      continue;
    }
    for (auto batch = (*reader)->Next(); batch.ok() && batch->rows() > 0; batch = (*reader)->Next()) {
    }
  }
  EXPECT_GT(refused, 100U);
}

/// What a verifier of flatbuffers lets through has to be survived too.
TEST(ArrowStream, SurvivesEachFlippedBit) {
  const std::string good = Written({RandomRows(3, 6)});
  size_t refused = 0;
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    const auto reader = ArrowReader::Open(kFields, From(bytes, 1 << 20));
    if (!reader.ok() || !(*reader)->Next().ok()) ++refused;
  }
  EXPECT_GT(refused, good.size());
}

TEST(ArrowStream, PassesErrorsOfTheOtherSideOn) {
  const auto writer = ArrowWriter::Make(kFields, [](std::string_view) -> Status { return UserError("full", "no room"); });
  ASSERT_FALSE(writer.ok());
  EXPECT_EQ(writer.error().code, "full");
  const auto reader = ArrowReader::Open(kFields, [](uint8_t*, size_t) -> Result<size_t> { return UserError("gone", "no more"); });
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.error().code, "gone");
}

}  // namespace
}  // namespace tidemill
