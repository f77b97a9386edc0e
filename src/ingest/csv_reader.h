#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ingest/byte_stream.h"

namespace tidemill {

/// One record of a CSV, good or bad. The views hold until the next one is read.
struct CsvRecord {
  int64_t number = 0;                   ///< counts from 1, the header not counted
  int64_t line = 0;                     ///< of the file (unpacked), where it begins
  std::vector<std::string_view> cells;  ///< unquoted
  std::string_view raw;                 ///< as in the file, without the line's end
  std::string problem;                  ///< why it is not a record of this file; "" : it is
};

/// Splits a CSV into records: RFC 4180 with any one-byte delimiter, "\n" or "\r\n", quoted cells over several
/// lines. A byte order mark and blank lines are skipped. Not thread-safe; memory is bounded by
/// `record_bytes_max`.
///
/// A record that can't be right (cells too few or too many, text behind a closing quote, a quote never
/// closed, longer than the bound) is returned with its problem. When it spans several lines, only its first
/// line counts as bad and reading goes on with the second: one stray quote never swallows the rest of a file.
class CsvReader {
 public:
  static constexpr size_t kRecordBytesMax = 1 << 20;

  CsvReader(std::unique_ptr<ByteStream> stream, std::string shown, char delimiter, size_t record_bytes_max = kRecordBytesMax)
      : stream_(std::move(stream)), shown_(std::move(shown)), delimiter_(delimiter), record_bytes_max_(record_bytes_max) {}

  /// The first record. Codes: "file_empty", "not_utf8" (UTF-16 too), "csv_header".
  Result<std::vector<std::string>> ReadHeader();
  /// False at the end. Errors only when reading fails.
  Result<bool> Next(CsvRecord* record);

  const std::string& header_line() const { return header_line_; }

 private:
  struct Cell {
    size_t begin = 0;  ///< in the buffer, or the index in unquoted_
    size_t end = 0;
    bool copied = false;
  };
  enum class Parsed { kRecord, kMoreNeeded, kMalformed };

  Status Fill();
  Parsed Parse();
  Parsed ParseQuoted(size_t* at);
  Parsed EndRecord(size_t at);
  Parsed Fail(std::string problem);
  Status FindRecord();
  void CutAfterFirstLine();
  void SkipBlankLines();
  Status SkipLongLine();
  bool AtLineEnd(size_t at) const;
  Error HeaderError(std::string code, std::string message, std::string hint) const;

  std::unique_ptr<ByteStream> stream_;
  std::string shown_;
  char delimiter_;
  size_t record_bytes_max_;
  std::string buffer_;
  size_t start_ = 0;     ///< of the record in the buffer
  size_t raw_end_ = 0;   ///< of the record without its line's end
  size_t next_ = 0;      ///< where the next one starts
  bool at_end_ = false;  ///< nothing to come behind the buffer
  bool in_long_line_ = false;
  int64_t line_ = 1;
  int64_t number_ = 0;
  size_t expected_cells_ = 0;
  std::vector<Cell> cells_;
  std::deque<std::string> unquoted_;  ///< cells with doubled quotes, undoubled
  size_t unquoted_used_ = 0;
  std::string problem_;
  std::string header_line_;
};

}  // namespace tidemill
