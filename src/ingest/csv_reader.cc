#include "ingest/csv_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"

namespace tidemill {
namespace {

constexpr size_t kBlockBytes = 1 << 18;
constexpr std::string_view kNeverClosed = "the quote opened in column {} is never closed";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

Status CsvReader::Fill() {
  buffer_.erase(0, start_);
  start_ = 0;
  const size_t old_size = buffer_.size();
  buffer_.resize(old_size + kBlockBytes);
  TIDEMILL_ASSIGN_OR_RETURN(const size_t count, stream_->Read(buffer_.data() + old_size, kBlockBytes));
  buffer_.resize(old_size + count);
  at_end_ = count == 0;
  return Ok();
}

bool CsvReader::AtLineEnd(size_t at) const {
  return at >= buffer_.size() || buffer_[at] == '\n' ||
         (buffer_[at] == '\r' && (at + 1 == buffer_.size() || buffer_[at + 1] == '\n'));
}

CsvReader::Parsed CsvReader::Fail(std::string problem) {
  problem_ = std::move(problem);
  return Parsed::kMalformed;
}

/// `at` is the end of the last cell: at a line's end or at the end of the file.
CsvReader::Parsed CsvReader::EndRecord(size_t at) {
  raw_end_ = at;
  while (at < buffer_.size() && buffer_[at] == '\r') ++at;
  next_ = std::min(at + 1, buffer_.size());
  return Parsed::kRecord;
}

/// A cell that begins with a quote at `*at`; afterwards `*at` is behind the closing one.
CsvReader::Parsed CsvReader::ParseQuoted(size_t* at) {
  const size_t begin = *at + 1;
  bool doubled = false;
  size_t end = begin;
  while (true) {
    end = buffer_.find('"', end);
    if (end == std::string::npos || (end + 1 == buffer_.size() && !at_end_)) {
      if (!at_end_) return Parsed::kMoreNeeded;
      return Fail(fmt::format(kNeverClosed, cells_.size() + 1));
    }
    if (end + 1 == buffer_.size() || buffer_[end + 1] != '"') break;
    doubled = true;
    end += 2;
  }
  *at = end + 1;
  if (!doubled) {
    cells_.push_back({begin, end, false});
    return Parsed::kRecord;
  }
  if (unquoted_used_ == unquoted_.size()) unquoted_.emplace_back();
  std::string& text = unquoted_[unquoted_used_];
  text.clear();
  for (size_t i = begin; i < end; ++i) {
    text += buffer_[i];
    if (buffer_[i] == '"') ++i;
  }
  cells_.push_back({unquoted_used_++, 0, true});
  return Parsed::kRecord;
}

CsvReader::Parsed CsvReader::Parse() {
  cells_.clear();
  unquoted_used_ = 0;
  problem_.clear();
  size_t at = start_;
  while (true) {
    if (at < buffer_.size() && buffer_[at] == '"') {
      const size_t opened = at;
      const Parsed quoted = ParseQuoted(&at);
      if (quoted != Parsed::kRecord) return quoted;
      if (at < buffer_.size() && buffer_[at] == '\r' && at + 1 == buffer_.size() && !at_end_) return Parsed::kMoreNeeded;
      if (at < buffer_.size() && buffer_[at] != delimiter_ && !AtLineEnd(at)) {
        // What seems to close it further down opens another cell: this one was left open on its line.
        const bool runs_on = std::string_view(buffer_).substr(opened, at - opened).find('\n') != std::string_view::npos;
        return Fail(runs_on ? fmt::format(kNeverClosed, cells_.size())
                            : fmt::format("text behind the closing quote of column {}", cells_.size()));
      }
    } else {
      const size_t begin = at;
      while (at < buffer_.size() && buffer_[at] != delimiter_ && buffer_[at] != '\n') ++at;
      const bool line_ends = at == buffer_.size() || buffer_[at] == '\n';
      if (line_ends && at > begin && buffer_[at - 1] == '\r') --at;
      cells_.push_back({begin, at, false});
    }
    if (at == buffer_.size() && !at_end_) return Parsed::kMoreNeeded;
    if (AtLineEnd(at)) {
      if (at + 1 >= buffer_.size() && !at_end_) return Parsed::kMoreNeeded;
      return EndRecord(at);
    }
    ++at;  // the delimiter
  }
}

/// The bad record is its first line; reading goes on behind it.
void CsvReader::CutAfterFirstLine() {
  size_t end = buffer_.find('\n', start_);
  in_long_line_ = end == std::string::npos && !at_end_;
  if (end == std::string::npos) end = buffer_.size();
  next_ = std::min(end + 1, buffer_.size());
  if (end > start_ && buffer_[end - 1] == '\r') --end;
  raw_end_ = end;
  cells_.clear();
}

/// Finds where the record at start_ ends. Reads on as needed.
Status CsvReader::FindRecord() {
  Parsed parsed = Parse();
  while (parsed == Parsed::kMoreNeeded && buffer_.size() - start_ <= record_bytes_max_) {
    TIDEMILL_RETURN_IF_ERROR(Fill());
    parsed = Parse();
  }
  if (parsed == Parsed::kMoreNeeded) {
    parsed = Fail(cells_.empty() || buffer_.find('\n', start_) != std::string::npos
                      ? fmt::format("the quote opened in column {} is never closed (looked for {} bytes)", cells_.size() + 1,
                                    record_bytes_max_)
                      : fmt::format("a record longer than {} bytes", record_bytes_max_));
  }
  if (parsed == Parsed::kRecord && expected_cells_ > 0 && cells_.size() != expected_cells_) {
    parsed = Fail(fmt::format("{} {}, expected {}", cells_.size(), cells_.size() == 1 ? "column" : "columns", expected_cells_));
  }
  if (parsed == Parsed::kMalformed) {
    while (buffer_.find('\n', start_) == std::string::npos && !at_end_ && buffer_.size() - start_ <= record_bytes_max_) {
      TIDEMILL_RETURN_IF_ERROR(Fill());
    }
    CutAfterFirstLine();
  }
  return Ok();
}

void CsvReader::SkipBlankLines() {
  while (start_ < buffer_.size()) {
    const size_t skip = buffer_[start_] == '\n' ? 1 : buffer_.compare(start_, 2, "\r\n") == 0 ? 2 : 0;
    // In a file of one column a blank line is a record without value.
    if (skip == 0 || expected_cells_ == 1) return;
    start_ += skip;
    ++line_;
  }
}

/// What is left of a line that was longer than the bound.
Status CsvReader::SkipLongLine() {
  while (in_long_line_) {
    const size_t end = buffer_.find('\n', start_);
    if (end != std::string::npos) ++line_;
    in_long_line_ = end == std::string::npos && !at_end_;
    start_ = end == std::string::npos ? buffer_.size() : end + 1;
    if (in_long_line_) TIDEMILL_RETURN_IF_ERROR(Fill());
  }
  return Ok();
}

Result<bool> CsvReader::Next(CsvRecord* record) {
  TIDEMILL_RETURN_IF_ERROR(SkipLongLine());
  do {
    SkipBlankLines();
    if (buffer_.size() - start_ < 2 && !at_end_) {
      TIDEMILL_RETURN_IF_ERROR(Fill());
      SkipBlankLines();
    }
  } while (buffer_.size() - start_ < 2 && !at_end_);
  if (start_ == buffer_.size()) return false;
  TIDEMILL_RETURN_IF_ERROR(FindRecord());

  record->number = ++number_;
  record->line = line_;
  record->raw = std::string_view(buffer_).substr(start_, raw_end_ - start_);
  record->problem = problem_;
  record->cells.clear();
  for (const Cell& cell : cells_) {
    record->cells.push_back(cell.copied ? std::string_view(unquoted_[cell.begin])
                                        : std::string_view(buffer_).substr(cell.begin, cell.end - cell.begin));
  }
  line_ += std::count(buffer_.begin() + static_cast<ptrdiff_t>(start_), buffer_.begin() + static_cast<ptrdiff_t>(next_), '\n');
  start_ = next_;
  return true;
}

Error CsvReader::HeaderError(std::string code, std::string message, std::string hint) const {
  return UserErrorAt(std::move(code), std::move(message), Place{.file = shown_, .line = 1, .excerpt = ""}, std::move(hint));
}

Result<std::vector<std::string>> CsvReader::ReadHeader() {
  TIDEMILL_RETURN_IF_ERROR(Fill());
  const std::string_view begin(buffer_);
  if (begin.substr(0, 2) == "\xFF\xFE" || begin.substr(0, 2) == "\xFE\xFF" ||
      begin.substr(0, 200).find('\0') != std::string_view::npos) {
    return HeaderError("not_utf8", "the file is not UTF-8, it looks like UTF-16",
                       "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW");
  }
  if (begin.substr(0, 3) == kByteOrderMark) start_ = 3;
  CsvRecord header;
  TIDEMILL_ASSIGN_OR_RETURN(const bool found, Next(&header));
  if (!found) return HeaderError("file_empty", "'" + shown_ + "' is empty", "the first line must name the columns");
  if (const size_t invalid = FindInvalidUtf8(header.raw); invalid != std::string_view::npos) {
    return HeaderError("not_utf8",
                       fmt::format("the header is not UTF-8: byte 0x{:02X}", static_cast<unsigned char>(header.raw[invalid])),
                       "convert the file: iconv -f ISO-8859-1 -t UTF-8 FILE > NEW");
  }
  if (!header.problem.empty()) return HeaderError("csv_header", "the header is broken: " + header.problem, "");
  if (header.raw.find('\r') != std::string_view::npos) {
    return HeaderError("csv_header", "the lines end with CR alone", "convert the file: tr '\\r' '\\n' < FILE > NEW");
  }
  number_ = 0;
  header_line_ = std::string(header.raw);
  expected_cells_ = header.cells.size();
  return std::vector<std::string>(header.cells.begin(), header.cells.end());
}

}  // namespace tidemill
