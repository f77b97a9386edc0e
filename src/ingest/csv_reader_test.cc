#include "ingest/csv_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

namespace tidemill {
namespace {

/// Gives a text in pieces of a size, as a slow disk or an unpacker would.
class TextStream : public ByteStream {
 public:
  TextStream(std::string text, size_t piece) : text_(std::move(text)), piece_(piece) {}
  Result<size_t> Read(char* bytes, size_t size) override {
    const size_t count = std::min({size, piece_, text_.size() - at_});
    std::memcpy(bytes, text_.data() + at_, count);
    at_ += count;
    return count;
  }

 private:
  std::string text_;
  size_t piece_;
  size_t at_ = 0;
};

struct Read {
  int64_t number, line;
  std::vector<std::string> cells;
  std::string raw, problem;
  bool operator==(const Read&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Read& read) {
  out << read.number << "@" << read.line << " [";
  for (const std::string& cell : read.cells) out << cell << "|";
  return out << "] raw '" << read.raw << "' " << read.problem;
}

std::vector<Read> ReadAll(const std::string& text, char delimiter = ',', size_t piece = 1 << 20,
                          size_t record_bytes_max = 1 << 20) {
  CsvReader reader(std::make_unique<TextStream>(text, piece), "x.csv", delimiter, record_bytes_max);
  const auto header = reader.ReadHeader();
  EXPECT_TRUE(header.ok()) << header.error().Format();
  std::vector<Read> all;
  CsvRecord record;
  while (header.ok()) {
    const auto more = reader.Next(&record);
    EXPECT_TRUE(more.ok());
    if (!more.ok() || !more.value()) break;
    all.push_back(
        {record.number, record.line, {record.cells.begin(), record.cells.end()}, std::string(record.raw), record.problem});
  }
  return all;
}

TEST(CsvReaderTest, SplitsWhateverThePiecesAre) {
  const std::string text =
      "\xEF\xBB\xBF"
      "a,b\r\n1,\"x,\"\"y\"\"\nz\"\r\n\r\n,\n2,\"\"\n\n\"3\",last";
  const std::vector<Read> expected{{1, 2, {"1", "x,\"y\"\nz"}, "1,\"x,\"\"y\"\"\nz\"", ""},
                                   {2, 5, {"", ""}, ",", ""},
                                   {3, 6, {"2", ""}, "2,\"\"", ""},
                                   {4, 8, {"3", "last"}, "\"3\",last", ""}};
  for (const size_t piece : {1, 2, 3, 5, 7, 1000}) {
    SCOPED_TRACE(piece);
    EXPECT_EQ(ReadAll(text, ',', piece), expected);
  }
}

TEST(CsvReaderTest, AnyBytesGiveTheSameRecordsWhateverThePiecesAre) {
  std::mt19937 random(11);
  const std::string alphabet = "a1,,\"\"\n\n\r\xE9 ";
  for (int round = 0; round < 300; ++round) {
    std::string text = "a,b\n";
    for (unsigned i = random() % 60; i > 0; --i) text += alphabet[random() % alphabet.size()];
    SCOPED_TRACE(text);
    const auto whole = ReadAll(text);
    for (const size_t piece : {1, 3}) EXPECT_EQ(ReadAll(text, ',', piece), whole);
    int64_t line = 1;
    for (const Read& read : whole) {
      EXPECT_GT(read.line, line - 1);
      EXPECT_TRUE(read.problem.empty() == (read.cells.size() == 2)) << read;
      EXPECT_NE(text.find(read.raw), std::string::npos);
      line = read.line;
    }
  }
}

TEST(CsvReaderTest, OtherDelimitersAndQuotesInsideOfWords) {
  EXPECT_EQ(ReadAll("a;b\n1,5;5\" pipe\n", ';'), (std::vector<Read>{{1, 2, {"1,5", "5\" pipe"}, "1,5;5\" pipe", ""}}));
  EXPECT_EQ(ReadAll("a\tb\n\t\n", '\t'), (std::vector<Read>{{1, 2, {"", ""}, "\t", ""}}));
}

TEST(CsvReaderTest, ABlankLineIsARecordOnlyWhereThereIsOneColumn) {
  EXPECT_EQ(ReadAll("a\n\nx\n").size(), 2u);
  EXPECT_EQ(ReadAll("a,b\n\n1,2\n\n").size(), 1u);
}

TEST(CsvReaderTest, HeaderOnlyHasNoRecords) {
  for (const char* text : {"a,b", "a,b\n", "a,b\r\n", "a,b\n\n\n"}) EXPECT_TRUE(ReadAll(text).empty()) << text;
}

TEST(CsvReaderTest, RecordsOfWrongLengthAreBadAloneAndCounted) {
  const auto all = ReadAll("a,b\n1\n1,2,3\n\"x\ny\",2\n4,5\n");
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].problem, "1 column, expected 2");
  EXPECT_EQ(all[0].raw, "1");
  EXPECT_EQ(all[1].problem, "3 columns, expected 2");
  EXPECT_EQ(all[1].line, 3);
  EXPECT_EQ(all[2].cells[0], "x\ny");
  EXPECT_EQ(all[3], (Read{4, 6, {"4", "5"}, "4,5", ""}));
}

TEST(CsvReaderTest, AStrayQuoteSpoilsItsOwnLineOnly) {
  for (const size_t piece : {1, 4, 1000}) {
    SCOPED_TRACE(piece);
    const auto never_closed = ReadAll("a,b\n1,\"x\n2,y\n3,z\n", ',', piece);
    ASSERT_EQ(never_closed.size(), 3u);
    EXPECT_EQ(never_closed[0].problem, "the quote opened in column 2 is never closed");
    EXPECT_EQ(never_closed[0].raw, "1,\"x");
    EXPECT_EQ(never_closed[0].line, 2);
    EXPECT_EQ(never_closed[1], (Read{2, 3, {"2", "y"}, "2,y", ""}));

    const auto closed_by_the_next = ReadAll("a,b\r\n1,\"x\r\n2,\"y\"\r\n3,z\r\n", ',', piece);
    ASSERT_EQ(closed_by_the_next.size(), 3u);
    EXPECT_EQ(closed_by_the_next[0].problem, "the quote opened in column 2 is never closed");
    EXPECT_EQ(closed_by_the_next[0].raw, "1,\"x");
    EXPECT_EQ(closed_by_the_next[1], (Read{2, 3, {"2", "y"}, "2,\"y\"", ""}));

    const auto wrong_count = ReadAll("a,b,c\n1,\"x,1\n2,y\",2\n3,z,3\n", ',', piece);
    EXPECT_EQ(wrong_count.size(), 2u);  // a legal record over two lines: the quotes match
    EXPECT_EQ(wrong_count[0].cells[1], "x,1\n2,y");
    const auto swallowing = ReadAll("a,b\n1,x,\"1\n2,y\n3,z\"\n4,w\n", ',', piece);
    ASSERT_EQ(swallowing.size(), 4u);
    EXPECT_EQ(swallowing[0].problem, "3 columns, expected 2");
    EXPECT_EQ(swallowing[2].cells[1], "z\"");
  }
}

TEST(CsvReaderTest, TextBehindAClosingQuoteIsBad) {
  const auto all = ReadAll("a,b\n\"1\"x,2\n3,4\n");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].problem, "text behind the closing quote of column 1");
  EXPECT_EQ(all[1].cells[0], "3");
}

TEST(CsvReaderTest, MemoryIsBoundedByTheLongestRecordAllowed) {
  const std::string long_line(5'000'000, 'x');
  for (const char* column : {"a", "a,b"}) {
    const auto all =
        ReadAll(std::string(column) + "\n" + long_line + "\n" + (column[1] == 0 ? "1" : "1,2") + "\n", ',', 1 << 16, 1000);
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].problem, "a record longer than 1000 bytes");
    EXPECT_LT(all[0].raw.size(), 600'000u);
    EXPECT_EQ(all[1].line, 3);
    EXPECT_EQ(all[1].problem, "");
  }
  const auto quoted =
      ReadAll("a,b\n1,\"" + std::string(600'000, 'x') + "\n2,3\n" + std::string(900'000, '\n'), ',', 1 << 16, 1000);
  ASSERT_GE(quoted.size(), 2u);
  EXPECT_NE(quoted[0].problem, "");
  EXPECT_EQ(quoted[1].cells[1], "3");
  EXPECT_EQ(quoted[1].line, 3);
}

TEST(CsvReaderTest, RefusesFilesThatAreNoCsv) {
  const auto code = [](const std::string& text) {
    CsvReader reader(std::make_unique<TextStream>(text, 1000), "x.csv", ',');
    const auto header = reader.ReadHeader();
    return header.ok() ? "ok" : header.error().code;
  };
  EXPECT_EQ(code(""), "file_empty");
  EXPECT_EQ(code("\n\n"), "file_empty");
  EXPECT_EQ(code("\xEF\xBB\xBF"), "file_empty");
  EXPECT_EQ(code(std::string("\xFF\xFE"
                             "a\0,\0",
                             6)),
            "not_utf8");
  EXPECT_EQ(code(std::string("a\0,\0b\0", 6)), "not_utf8");
  EXPECT_EQ(code("caf\xE9,b\n1,2\n"), "not_utf8");
  EXPECT_EQ(code("a,\"b\n1,2\n"), "csv_header");
  EXPECT_EQ(code("a,b\r1,2\r3,4"), "csv_header");
  EXPECT_EQ(code("a,b\n"), "ok");
}

}  // namespace
}  // namespace tidemill
