#include "monitor/condition.h"

#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>

#include "base/text_distance.h"
#include "monitor/monitor.h"
#include "sql/statement.h"

namespace tidemill {
namespace {

constexpr std::string_view kAllowed = "a condition joins operands with and, or, not, comparisons and arithmetic";

bool IsWordCharacter(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.'; }

std::string Trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
  return std::string(text);
}

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

/// Where the next word (or other single character) outside of quotes begins and ends.
struct Token {
  size_t begin = 0;
  size_t end = 0;
};

/// Splits into words and single characters; a quoted text is one token. Spaces are left out.
std::vector<Token> Tokenize(std::string_view text) {
  std::vector<Token> tokens;
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    if (std::isspace(static_cast<unsigned char>(text[i])) != 0) {
      ++i;
      continue;
    }
    if (text[i] == '\'' || text[i] == '"') {
      const size_t close = text.find(text[i], i + 1);
      i = close == std::string_view::npos ? text.size() : close + 1;
    } else if (IsWordCharacter(text[i])) {
      while (i < text.size() && IsWordCharacter(text[i])) ++i;
    } else {
      ++i;
    }
    tokens.push_back({begin, i});
  }
  return tokens;
}

template <class T>
std::string SqlOptional(const std::optional<T>& value, std::string_view type) {
  return value ? fmt::format("{}::{}", *value, type) : fmt::format("NULL::{}", type);
}

/// The facts as a subquery with one row of three structs.
std::string FactsSql(const ConditionFacts& facts) {
  return fmt::format(
      "(SELECT {{'alert': {}, 'value': {}}} AS performance, {{'share': {}, 'columns': {}, 'alert': {}}} AS drift, {{'age_days': {}::DOUBLE}} AS model)",
      SqlOptional(facts.performance_alert, "BOOLEAN"), SqlOptional(facts.performance_value, "DOUBLE"), SqlOptional(facts.drift_share, "DOUBLE"),
      SqlOptional(facts.drift_columns, "BIGINT"), SqlOptional(facts.drift_alert, "BOOLEAN"), facts.model_age_days);
}

/// The line break ends a comment that the user may have put at the end.
std::string Parenthesized(std::string_view expression) { return fmt::format("({}\n)", expression); }

Result<std::vector<bool>> Evaluate(const std::vector<std::string>& expressions, const ConditionFacts& facts, Session& session) {
  std::string list;
  for (const std::string& expression : expressions) {
    list += fmt::format("{}coalesce({}, false) AS c{}", list.empty() ? "" : ", ", Parenthesized(expression), list.size());
  }
  TIDEMILL_ASSIGN_OR_RETURN(const Columns row, session.Query(fmt::format("SELECT {} FROM {}", list, FactsSql(facts))));
  std::vector<bool> holds;
  for (const Column& column : row.columns) holds.push_back(column.type == Type::kBool && !column.IsNull(0) && column.ints[0] != 0);
  return holds;
}

Place PlaceOf(std::string_view part, std::string_view condition, const Place& place) {
  const size_t offset = condition.find(part);
  if (offset == std::string_view::npos) return place;
  Place found = place;
  // The condition may be quoted or folded in its file: look for it in the line that the place shows.
  const size_t begin = place.column > 0 && static_cast<size_t>(place.column) <= place.excerpt.size() + 1 ? static_cast<size_t>(place.column) - 1 : 0;
  const size_t in_line = place.excerpt.find(part, begin);
  if (in_line == std::string::npos && !place.excerpt.empty()) return place;
  found.column = in_line == std::string::npos ? place.column + static_cast<int>(offset) : static_cast<int>(in_line) + 1;
  found.length = static_cast<int>(part.size());
  return found;
}

class Checker {
 public:
  Checker(std::string_view condition, const Place& place) : condition_(condition), place_(place) {}

  Status Check(const Json& node) const {
    if (node.is_array()) {
      for (const Json& child : node) TIDEMILL_RETURN_IF_ERROR(Check(child));
      return Ok();
    }
    if (!node.is_object()) return Ok();
    if (node.contains("class") && node.at("class").is_string()) TIDEMILL_RETURN_IF_ERROR(CheckNode(node));
    for (const auto& [key, child] : node.items()) TIDEMILL_RETURN_IF_ERROR(Check(child));
    return Ok();
  }

 private:
  Status CheckNode(const Json& node) const {
    const auto node_class = node.at("class").get<std::string>();
    if (node_class == "COLUMN_REF") return CheckOperand(node.at("column_names").get<std::vector<std::string>>());
    constexpr std::array<std::string_view, 6> kClasses = {"CONJUNCTION", "COMPARISON", "BETWEEN", "CONSTANT", "OPERATOR", "CAST"};
    if (std::find(kClasses.begin(), kClasses.end(), node_class) != kClasses.end()) return Ok();
    if (node_class == "FUNCTION") {
      const std::string function = node.value("function_name", "");
      if (function.size() == 1 && std::string_view("+-*/").find(function[0]) != std::string_view::npos) return Ok();
      return UserErrorAt("condition_function", fmt::format("'{}' can't be used in a condition", function), PlaceOf(function, condition_, place_),
                         std::string(kAllowed));
    }
    return UserErrorAt("condition_form", fmt::format("this form of condition can't be used: {}", condition_), place_, std::string(kAllowed));
  }

  Status CheckOperand(const std::vector<std::string>& names) const {
    const std::string operand = fmt::format("{}", fmt::join(names, "."));
    for (const std::string& known : ConditionOperands()) {
      if (EqualIgnoringCase(known, operand)) return Ok();
    }
    return UserErrorAt("unknown_operand", fmt::format("unknown operand '{}' in a condition", operand), PlaceOf(operand, condition_, place_),
                       SuggestionHint(operand, ConditionOperands()));
  }

  std::string_view condition_;
  const Place& place_;
};

}  // namespace

const std::vector<std::string>& ConditionOperands() {
  static const std::vector<std::string> operands = {"performance.alert", "performance.value", "drift.share",
                                                    "drift.columns",     "drift.alert",       "model.age_days"};
  return operands;
}

std::vector<std::string> Alternatives(std::string_view condition) {
  std::vector<std::string> alternatives;
  int depth = 0;
  size_t begin = 0;
  for (const Token& token : Tokenize(condition)) {
    const std::string_view word = condition.substr(token.begin, token.end - token.begin);
    if (word == "(") ++depth;
    if (word == ")") --depth;
    if (depth == 0 && EqualIgnoringCase(word, "or")) {
      alternatives.push_back(Trimmed(condition.substr(begin, token.begin - begin)));
      begin = token.end;
    }
  }
  alternatives.push_back(Trimmed(condition.substr(begin)));
  return alternatives;
}

std::vector<std::string> OperandsIn(std::string_view condition) {
  std::vector<std::string> found;
  const std::vector<Token> tokens = Tokenize(condition);
  for (const std::string& operand : ConditionOperands()) {
    const bool used = std::any_of(tokens.begin(), tokens.end(), [&](const Token& token) {
      return EqualIgnoringCase(condition.substr(token.begin, token.end - token.begin), operand);
    });
    if (used) found.push_back(operand);
  }
  return found;
}

Result<std::vector<std::string>> AlternativesThatHold(std::string_view condition, const ConditionFacts& facts, Session& session) {
  const std::string whole = Trimmed(condition);
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<bool> whole_holds, Evaluate({whole}, facts, session));
  if (!whole_holds.front()) return std::vector<std::string>{};
  const std::vector<std::string> alternatives = Alternatives(condition);
  const auto each_holds = Evaluate(alternatives, facts, session);
  if (!each_holds.ok()) return std::vector<std::string>{whole};  // a form that the split by words does not know
  std::vector<std::string> held;
  for (size_t i = 0; i < alternatives.size(); ++i) {
    if ((*each_holds)[i]) held.push_back(alternatives[i]);
  }
  return held.empty() ? std::vector<std::string>{whole} : held;
}

Status CheckCondition(std::string_view condition, const Place& place, Session& session) {
  if (Trimmed(condition).empty()) return UserErrorAt("condition_empty", "the condition is empty", place, SuggestionHint("", ConditionOperands()));
  TIDEMILL_ASSIGN_OR_RETURN(const Json tree, ParseExpression(session, condition, place));
  TIDEMILL_RETURN_IF_ERROR(Checker(condition, place).Check(tree));
  const auto fields = session.Describe(fmt::format("SELECT {} AS holds FROM {}", Parenthesized(condition), FactsSql({})));
  if (!fields.ok()) return UserErrorAt("condition_type", fields.error().message, place, std::string(kAllowed));
  if (fields->size() != 1 || fields->front().type != Type::kBool) {
    return UserErrorAt("condition_type", fmt::format("the condition '{}' is not true or false", condition), place,
                       "compare the figure with a bound, for instance drift.share > 0.3");
  }
  return Ok();
}

}  // namespace tidemill
