#include "cli/table.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace tidemill {
namespace {

constexpr size_t kRowsHeldMax = 1000;
constexpr int kCellColumnsMax = 100;

/// Decodes the character at `*at` and moves on; a byte that is not UTF-8 counts as itself.
char32_t NextCharacter(std::string_view text, size_t* at) {
  const auto byte = static_cast<unsigned char>(text[*at]);
  const int length = byte < 0x80 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
  char32_t character = length == 1 ? byte : byte & (0xFF >> (length + 1));
  ++*at;
  for (int i = 1; i < length && *at < text.size() && (text[*at] & 0xC0) == 0x80; ++i) {
    character = (character << 6) | (static_cast<unsigned char>(text[(*at)++]) & 0x3F);
  }
  return character;
}

int CharacterWidth(char32_t c) {
  const bool combining = (c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F) || (c >= 0xFE00 && c <= 0xFE0F);
  if (combining) return 0;
  const bool wide = (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) || (c >= 0xAC00 && c <= 0xD7A3) ||
                    (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
                    (c >= 0x1F300 && c <= 0x1FAFF) || (c >= 0x20000 && c <= 0x3FFFD);
  return wide ? 2 : 1;
}

std::string SafeCharacter(std::string_view bytes, char32_t character) {
  if (character == '\n') return "\\n";
  if (character == '\t') return "\\t";
  if (character == '\r') return "\\r";
  // Below a space, DEL and the C1 block: what a terminal would obey.
  if (character < 0x20 || (character >= 0x7F && character < 0xA0))
    return fmt::format("\\x{:02x}", static_cast<unsigned>(character));
  return std::string(bytes);
}

std::string Padded(std::string_view text, int width, bool right) {
  const std::string spaces(static_cast<size_t>(std::max(0, width - DisplayWidth(text))), ' ');
  return right ? spaces + std::string(text) : std::string(text) + spaces;
}

void TrimRight(std::string* line) { line->erase(line->find_last_not_of(' ') + 1); }

}  // namespace

int DisplayWidth(std::string_view text) {
  int width = 0;
  for (size_t at = 0; at < text.size();) width += CharacterWidth(NextCharacter(text, &at));
  return width;
}

std::string CellText(std::string_view text, int columns_max) {
  std::string out;
  int width = 0;
  size_t fits_until = 0;  // where to cut if one column is needed for the ellipsis
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t character = NextCharacter(text, &at);
    const std::string piece = SafeCharacter(text.substr(begin, at - begin), character);
    width += piece.size() > 1 && piece[0] == '\\' ? static_cast<int>(piece.size()) : CharacterWidth(character);
    if (width > columns_max) return out.substr(0, fits_until) + "…";
    out += piece;
    if (width < columns_max) fits_until = out.size();
  }
  return out;
}

TableWriter::TableWriter(Console& console, std::vector<Heading> headings) : console_(console), headings_(std::move(headings)) {
  for (Heading& heading : headings_) {
    heading.name = CellText(heading.name, kCellColumnsMax);
    widths_.push_back(DisplayWidth(heading.name));
  }
}

Status TableWriter::Add(std::vector<std::string> cells, const std::vector<bool>& dim) {
  Row row{std::move(cells), dim};
  row.cells.resize(headings_.size());
  row.dim.resize(headings_.size());
  for (std::string& cell : row.cells) cell = CellText(cell, kCellColumnsMax);
  if (head_written_) return WriteRow(row);
  for (size_t i = 0; i < widths_.size(); ++i) widths_[i] = std::max(widths_[i], DisplayWidth(row.cells[i]));
  held_.push_back(std::move(row));
  return held_.size() < kRowsHeldMax ? Ok() : WriteHead();
}

Status TableWriter::Finish() { return head_written_ ? Ok() : WriteHead(); }

Status TableWriter::WriteHead() {
  head_written_ = true;
  std::string names;
  std::string rule;
  for (size_t i = 0; i < headings_.size(); ++i) {
    names += Padded(headings_[i].name, widths_[i], headings_[i].right) + "  ";
    rule += std::string(static_cast<size_t>(widths_[i]), '-') + "  ";
  }
  TrimRight(&names);
  TrimRight(&rule);
  TIDEMILL_RETURN_IF_ERROR(
      console_.Write(console_.OutStyle(Style::kBold, names) + "\n" + console_.OutStyle(Style::kDim, rule) + "\n"));
  for (const Row& row : held_) TIDEMILL_RETURN_IF_ERROR(WriteRow(row));
  held_.clear();
  return Ok();
}

Status TableWriter::WriteRow(const Row& row) {
  std::string line;
  for (size_t i = 0; i < row.cells.size(); ++i) {
    const std::string cell = Padded(row.cells[i], widths_[i], headings_[i].right);
    line += row.dim[i] ? console_.OutStyle(Style::kDim, cell) : cell;
    if (i + 1 < row.cells.size()) line += "  ";
  }
  TrimRight(&line);
  return console_.Write(line + "\n");
}

std::string FormatSeconds(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) seconds = 0;
  if (seconds < 59.995) return fmt::format("{:.2f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

}  // namespace tidemill
