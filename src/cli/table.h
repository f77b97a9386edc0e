#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/console.h"

namespace tidemill {

/// Columns that a terminal shows a text in: wide characters count two, combining ones none.
int DisplayWidth(std::string_view text);

/// Text made safe and short for one cell: control characters as escapes (\n, \t, \x1b), at most `columns_max`
/// wide, with a final "…" when cut.
std::string CellText(std::string_view text, int columns_max);

/// A table for people: a heading, a rule, aligned cells, two spaces between columns.
///
/// Column widths follow from the first 1,000 rows, so memory stays bounded; later rows that are wider push
/// their line out.
class TableWriter {
 public:
  struct Heading {
    std::string name;
    bool right = false;  ///< numbers
  };
  TableWriter(Console& console, std::vector<Heading> headings);

  /// One text a column. Cells are made safe with CellText; `dim` are shown faintly (nulls).
  Status Add(std::vector<std::string> cells, const std::vector<bool>& dim = {});
  /// Writes what is still held back.
  Status Finish();

 private:
  struct Row {
    std::vector<std::string> cells;
    std::vector<bool> dim;
  };
  Status WriteHead();
  Status WriteRow(const Row& row);

  Console& console_;
  std::vector<Heading> headings_;
  std::vector<int> widths_;
  std::vector<Row> held_;
  bool head_written_ = false;
};

/// "0.42 s", "2 min 05 s".
std::string FormatSeconds(double seconds);

}  // namespace tidemill
