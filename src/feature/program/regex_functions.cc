#include <fmt/format.h>
#include <re2/re2.h>

#include <array>
#include <memory>

#include "feature/program/functions.h"
#include "feature/program/utf8_text.h"

/// Regular expressions in DuckDB's dialect, RE2. Patterns, groups and options are constants, compiled once for a program;
/// matching takes time linear in the text whatever the pattern.
namespace tidemill::functions {
namespace {

constexpr int kGroupsMax = 9;

struct Pattern {
  Pattern(std::string_view text, const re2::RE2::Options& options) : expression(re2::StringPiece(text.data(), text.size()), options) {}
  re2::RE2 expression;
  bool everywhere = false;  ///< replaces each match, not the first only
  int group = 0;
};

const Pattern& PatternOf(const Node& node) { return *static_cast<const Pattern*>(node.prepared.get()); }

re2::StringPiece Piece(std::string_view text) { return {text.data(), text.size()}; }
std::string_view View(const re2::StringPiece& piece) { return {piece.data(), piece.size()}; }

Error NotConstant(std::string_view what) {
  return UserError("argument_types", "the " + std::string(what) + " of a regular expression has to be a constant",
                   "write it in quotes; for patterns that come from rows there are contains, starts_with and LIKE");
}

/// DuckDB's letters: c and i for case, l literal, m, n, p and s for what a dot matches, g everywhere.
Result<re2::RE2::Options> ReadOptions(std::string_view letters, bool* everywhere) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  for (const char letter : letters) {
    switch (letter) {
      case 'c': options.set_case_sensitive(true); break;
      case 'i': options.set_case_sensitive(false); break;
      case 'l': options.set_literal(true); break;
      case 'm':
      case 'n':
      case 'p': options.set_dot_nl(false); break;
      case 's': options.set_dot_nl(true); break;
      case 'g':
        if (everywhere != nullptr) {
          *everywhere = true;
          break;
        }
        [[fallthrough]];
      case ' ':
      case '\t':
      case '\n':
        if (letter != 'g') break;
        return UserError("bad_literal", "the option 'g' is for regexp_replace", "leave it out, or take regexp_extract_all");
      default:
        return UserError("bad_literal", fmt::format("there is no option '{}' of regular expressions", letter),
                         "i: either case, l: the pattern as plain text, s: a dot matches line ends, g: replace everywhere");
    }
  }
  return options;
}

/// `options` and `group` are positions among the arguments, 0: there is none.
Status MakePattern(Node& node, size_t options_at, size_t group_at, bool replaces) {
  if (!node.arguments[1].is_constant) return NotConstant("pattern");
  bool everywhere = false;
  std::string_view letters;
  if (options_at != 0) {
    if (!node.arguments[options_at].is_constant) return NotConstant("options");
    if (node.arguments[options_at].constant.null) return UserError("bad_literal", "the options of a regular expression can't be null");
    letters = node.arguments[options_at].constant_text;
  }
  TIDEMILL_ASSIGN_OR_RETURN(const re2::RE2::Options options, ReadOptions(letters, replaces ? &everywhere : nullptr));
  auto pattern = std::make_shared<Pattern>(node.arguments[1].constant_text, options);
  if (!pattern->expression.ok()) {
    return UserError("bad_literal", "this is not a regular expression: " + pattern->expression.error(),
                     "the syntax is RE2's, DuckDB's own: no look-ahead, no references back");
  }
  pattern->everywhere = everywhere;
  if (group_at != 0) {
    const Node& group = node.arguments[group_at];
    if (!group.is_constant) return NotConstant("group");
    if (!group.constant.null && (group.constant.integer < 0 || group.constant.integer > kGroupsMax))
      return UserError("bad_literal", "there is no such group", "a group is a number from 0 (the whole match) to 9");
    pattern->group = group.constant.null ? 0 : static_cast<int>(group.constant.integer);
  }
  node.prepared = std::move(pattern);
  return Ok();
}
Status Plain(Node& node) { return MakePattern(node, 0, 0, false); }
Status WithOptions(Node& node) { return MakePattern(node, 2, 0, false); }
Status WithGroup(Node& node) { return MakePattern(node, 0, 2, false); }
Status WithGroupAndOptions(Node& node) { return MakePattern(node, 3, 2, false); }
/// regexp_extract gives "" for a group that the pattern doesn't have; regexp_extract_all refuses it, as in DuckDB.
Status HasGroup(const Node& node) {
  const Pattern& pattern = PatternOf(node);
  if (pattern.group <= pattern.expression.NumberOfCapturingGroups()) return Ok();
  return UserError("bad_literal", "the pattern has no group " + std::to_string(pattern.group), "0 is the whole match");
}
Status AllWithGroup(Node& node) {
  TIDEMILL_RETURN_IF_ERROR(WithGroup(node));
  return HasGroup(node);
}
Status AllWithGroupAndOptions(Node& node) {
  TIDEMILL_RETURN_IF_ERROR(WithGroupAndOptions(node));
  return HasGroup(node);
}
Status Replacing(Node& node) { return MakePattern(node, 0, 0, true); }
Status ReplacingWithOptions(Node& node) { return MakePattern(node, 3, 0, true); }

/// The first argument, unless it or the pattern is null.
bool TextOf(const Node& node, Evaluation& evaluation, std::string_view* text) {
  if (node.arguments[1].constant.null) return false;
  const Datum value = Evaluate(node.arguments[0], evaluation);
  if (value.null) return false;
  *text = value.text;
  return true;
}

Datum Matches(const Node& node, Evaluation& evaluation) {
  std::string_view text;
  if (!TextOf(node, evaluation, &text)) return Datum::Null();
  return Datum::Bool(re2::RE2::PartialMatch(Piece(text), PatternOf(node).expression));
}
Datum FullyMatches(const Node& node, Evaluation& evaluation) {
  std::string_view text;
  if (!TextOf(node, evaluation, &text)) return Datum::Null();
  return Datum::Bool(re2::RE2::FullMatch(Piece(text), PatternOf(node).expression));
}

/// The group of the first match; "" where there is none.
Datum Extract(const Node& node, Evaluation& evaluation) {
  std::string_view text;
  if (!TextOf(node, evaluation, &text)) return Datum::Null();
  const Pattern& pattern = PatternOf(node);
  if (node.arguments.size() > 2 && node.arguments[2].constant.null) return Datum::Text({});
  std::array<re2::StringPiece, kGroupsMax + 1> groups;
  const bool exists = pattern.group <= pattern.expression.NumberOfCapturingGroups();
  if (!exists || !pattern.expression.Match(Piece(text), 0, text.size(), re2::RE2::UNANCHORED, groups.data(), pattern.group + 1))
    return Datum::Text({});
  return Datum::Text(View(groups[static_cast<size_t>(pattern.group)]));
}

/// Calls take(groups) for each match, from left to right; after an empty one the search goes on a character further.
template <class Take>
void ForEachMatch(const Pattern& pattern, std::string_view text, Take take) {
  std::array<re2::StringPiece, kGroupsMax + 1> groups;
  size_t at = 0;
  while (at <= text.size() &&
         pattern.expression.Match(Piece(text), at, text.size(), re2::RE2::UNANCHORED, groups.data(), pattern.group + 1)) {
    take(groups);
    const size_t end = static_cast<size_t>(groups[0].data() - text.data()) + groups[0].size();
    at = groups[0].empty() ? (end < text.size() ? NextCharacter(text, end) : end + 1) : end;
  }
}

Datum ExtractAll(const Node& node, Evaluation& evaluation) {
  std::string_view text;
  if (!TextOf(node, evaluation, &text)) return Datum::Null();
  const Pattern& pattern = PatternOf(node);
  ListBuilder list(Type::kText);
  ForEachMatch(pattern, text, [&](const auto& groups) { list.AppendText(View(groups[static_cast<size_t>(pattern.group)])); });
  std::string& bytes = evaluation.texts.Add();
  list.Finish(bytes);
  return Datum::Text(bytes);
}

Datum ReplaceMatches(const Node& node, Evaluation& evaluation) {
  std::string_view text;
  if (!TextOf(node, evaluation, &text)) return Datum::Null();
  const Datum by = Evaluate(node.arguments[2], evaluation);
  if (by.null) return by;
  const Pattern& pattern = PatternOf(node);
  std::string& result = evaluation.texts.Add();
  result.assign(text);
  if (pattern.everywhere) {
    re2::RE2::GlobalReplace(&result, pattern.expression, Piece(by.text));
  } else {
    re2::RE2::Replace(&result, pattern.expression, Piece(by.text));
  }
  return Datum::Text(result);
}

}  // namespace

const std::vector<ScalarFunction>& Patterns() {
  constexpr Type kT = Type::kText;
  constexpr Type kI = Type::kInt64;
  constexpr Type kB = Type::kBool;
  constexpr Type kL = Type::kTextList;
  static const std::vector<ScalarFunction> kFunctions = {
      {"regexp_matches", {kT, kT}, kB, Matches, Plain},
      {"regexp_matches", {kT, kT, kT}, kB, Matches, WithOptions},
      {"regexp_full_match", {kT, kT}, kB, FullyMatches, Plain},
      {"regexp_full_match", {kT, kT, kT}, kB, FullyMatches, WithOptions},
      {"regexp_extract", {kT, kT}, kT, Extract, Plain},
      {"regexp_extract", {kT, kT, kI}, kT, Extract, WithGroup},
      {"regexp_extract", {kT, kT, kI, kT}, kT, Extract, WithGroupAndOptions},
      {"regexp_extract_all", {kT, kT}, kL, ExtractAll, Plain},
      {"regexp_extract_all", {kT, kT, kI}, kL, ExtractAll, AllWithGroup},
      {"regexp_extract_all", {kT, kT, kI, kT}, kL, ExtractAll, AllWithGroupAndOptions},
      {"regexp_replace", {kT, kT, kT}, kT, ReplaceMatches, Replacing},
      {"regexp_replace", {kT, kT, kT, kT}, kT, ReplaceMatches, ReplacingWithOptions},
  };
  return kFunctions;
}

}  // namespace tidemill::functions
