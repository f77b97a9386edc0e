#include "cli/read_only_sql.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/text_distance.h"

namespace tidemill {
namespace {

/// A piece of SQL that matters here: a word (upper case), a quoted name, or one other character; texts and
/// comments are passed over.
struct Token {
  std::string text;
  size_t begin = 0;
  size_t end = 0;
  bool quoted = false;
};

bool IsWordCharacter(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80) != 0; }

/// The end of what opens at `at` and closes with `quote`, doubled quotes inside.
size_t EndOfQuoted(std::string_view sql, size_t at, char quote) {
  for (++at; at < sql.size(); ++at) {
    if (sql[at] != quote) continue;
    if (at + 1 < sql.size() && sql[at + 1] == quote) {
      ++at;
    } else {
      return at + 1;
    }
  }
  return sql.size();
}

/// The end of a text between $tag$ and $tag$, or nullopt when none opens here.
std::optional<size_t> EndOfDollarQuoted(std::string_view sql, size_t at) {
  size_t open = at + 1;
  while (open < sql.size() && IsWordCharacter(sql[open])) ++open;
  if (open >= sql.size() || sql[open] != '$' || (open > at + 1 && std::isdigit(static_cast<unsigned char>(sql[at + 1]))))
    return std::nullopt;
  const std::string_view tag = sql.substr(at, open + 1 - at);
  const size_t close = sql.find(tag, open + 1);
  return close == std::string_view::npos ? sql.size() : close + tag.size();
}

size_t EndOfBlockComment(std::string_view sql, size_t at) {
  int depth = 0;  // DuckDB's comments nest
  while (at < sql.size()) {
    if (sql.substr(at, 2) == "/*") {
      ++depth;
      at += 2;
    } else if (sql.substr(at, 2) == "*/") {
      at += 2;
      if (--depth == 0) return at;
    } else {
      ++at;
    }
  }
  return at;
}

std::vector<Token> Tokens(std::string_view sql) {
  std::vector<Token> tokens;
  for (size_t at = 0; at < sql.size();) {
    const char c = sql[at];
    const size_t begin = at;
    if (std::isspace(static_cast<unsigned char>(c))) {
      ++at;
    } else if (sql.substr(at, 2) == "--") {
      at = std::min(sql.find('\n', at), sql.size());
    } else if (sql.substr(at, 2) == "/*") {
      at = EndOfBlockComment(sql, at);
    } else if (c == '\'') {
      at = EndOfQuoted(sql, at, '\'');
      tokens.push_back({"'", begin, at, true});
    } else if (c == '"') {
      at = EndOfQuoted(sql, at, '"');
      tokens.push_back({std::string(sql.substr(begin + 1, std::max<size_t>(at - begin, 2) - 2)), begin, at, true});
    } else if (const auto dollar_end = c == '$' ? EndOfDollarQuoted(sql, at) : std::nullopt) {
      at = *dollar_end;
      tokens.push_back({"$", begin, at, true});
    } else if (IsWordCharacter(c)) {
      while (at < sql.size() && IsWordCharacter(sql[at])) ++at;
      tokens.push_back({std::string(sql.substr(begin, at - begin)), begin, at, false});
    } else {
      tokens.push_back({std::string(1, c), begin, ++at, false});
    }
  }
  return tokens;
}

std::string Upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

const std::vector<std::string>& ReadingKeywords() {
  static const std::vector<std::string> keywords = {"SELECT",   "FROM", "WITH",      "VALUES", "TABLE",
                                                    "DESCRIBE", "SHOW", "SUMMARIZE", "EXPLAIN"};
  return keywords;
}

/// The first word of the statement that would run: parentheses, and EXPLAIN with its options, are passed
/// over.
std::string LeadingKeyword(const std::vector<Token>& tokens) {
  size_t at = 0;
  while (at < tokens.size() && tokens[at].text == "(" && !tokens[at].quoted) ++at;
  if (at == tokens.size()) return "";
  if (Upper(tokens[at].text) != "EXPLAIN") return Upper(tokens[at].text);
  ++at;
  while (at < tokens.size() && Upper(tokens[at].text) == "ANALYZE") ++at;
  return at < tokens.size() ? Upper(tokens[at].text) : "EXPLAIN";
}

}  // namespace

Result<std::string> CheckReadOnly(std::string_view sql) {
  std::vector<Token> tokens = Tokens(sql);
  while (!tokens.empty() && tokens.back().text == ";" && !tokens.back().quoted) tokens.pop_back();
  if (tokens.empty()) return UserError("empty_query", "there is no statement", "for instance: tidemill query \"SELECT 1\"");
  for (const Token& token : tokens) {
    if (token.text == ";" && !token.quoted) {
      return UserError("several_statements", "there is more than one statement", "run them one by one");
    }
  }
  const std::string keyword = LeadingKeyword(tokens);
  const std::vector<std::string>& reading = ReadingKeywords();
  if (std::find(reading.begin(), reading.end(), keyword) == reading.end()) {
    const std::string meant = ClosestName(keyword, reading);
    return UserError("not_read_only", fmt::format("'{}' is not a statement that only reads", keyword),
                     fmt::format("{}tables are changed by 'tidemill run'; here these can stand: {}",
                                 meant.empty() ? "" : fmt::format("did you mean {}? ", meant), fmt::join(reading, ", ")));
  }
  return std::string(sql.substr(tokens.front().begin, tokens.back().end - tokens.front().begin));
}

bool MentionsName(std::string_view sql, std::string_view name) {
  const std::string wanted = Upper(std::string(name));
  const std::vector<Token> tokens = Tokens(sql);
  return std::any_of(tokens.begin(), tokens.end(), [&](const Token& token) { return Upper(token.text) == wanted; });
}

}  // namespace tidemill
