#include "sql/statement_text.h"

#include <cctype>

namespace tidemill {
namespace {

size_t EndOf(std::string_view sql, std::string_view closing, size_t from) {
  const size_t found = sql.find(closing, from);
  return found == std::string_view::npos ? sql.size() : found + closing.size();
}

/// The end of a comment that begins at `at`, or `at` when none does.
size_t SkipComment(std::string_view sql, size_t at) {
  if (sql.substr(at, 2) == "--") return EndOf(sql, "\n", at);
  if (sql.substr(at, 2) == "/*") return EndOf(sql, "*/", at + 2);
  return at;
}

/// The end of a `$tag$...$tag$` that begins at `at`, or `at` when none does.
size_t SkipDollarQuote(std::string_view sql, size_t at) {
  if (sql[at] != '$') return at;
  size_t end = at + 1;
  while (end < sql.size() && (std::isalnum(static_cast<unsigned char>(sql[end])) || sql[end] == '_')) ++end;
  const bool numbered = end > at + 1 && std::isdigit(static_cast<unsigned char>(sql[at + 1]));
  if (end >= sql.size() || sql[end] != '$' || numbered) return at;
  const std::string_view tag = sql.substr(at, end + 1 - at);
  return EndOf(sql, tag, end + 1);
}

}  // namespace

std::string_view WithoutStatementEnd(std::string_view sql) {
  size_t end = 0;
  for (size_t at = 0; at < sql.size();) {
    const char c = sql[at];
    if (const size_t after = SkipComment(sql, at); after != at) {
      at = after;
      continue;
    }
    if (std::isspace(static_cast<unsigned char>(c)) || c == ';') {
      ++at;
      continue;
    }
    const size_t dollar = SkipDollarQuote(sql, at);
    at = dollar != at ? dollar : c == '\'' || c == '"' ? EndOf(sql, sql.substr(at, 1), at + 1) : at + 1;
    end = at;
  }
  return sql.substr(0, end);
}

}  // namespace tidemill
