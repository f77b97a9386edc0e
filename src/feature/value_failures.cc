#include "feature/value_failures.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "base/columns.h"
#include "feature/program/evaluator.h"
#include "feature/view_rows.h"

namespace tidemill {
namespace {

bool IsNumber(const Expression& expression) { return expression.type == Type::kDouble; }

/// Of a cast to DECIMAL(width, scale): 19 digits before the point suffice.
bool HoldsAnyInteger(const Expression& cast) {
  const auto* width = std::get_if<int64_t>(&cast.arguments[1].constant);
  const auto* scale = std::get_if<int64_t>(&cast.arguments[2].constant);
  return width != nullptr && scale != nullptr && *width - *scale >= 19;
}

/// Functions that have a result for all arguments.
bool AlwaysComputes(const Expression& call) {
  static const std::set<std::string, std::less<>> kNames = {
      "=",          "<>",     "<",          "<=",          ">",           ">=",        "is_distinct",      "is_not_distinct", "and",
      "or",         "not",    "is_null",    "is_not_null", "coalesce",    "least",     "greatest",         "in",              "concat",
      "concat_ws",  "||",     "lower",      "upper",       "trim",        "ltrim",     "rtrim",            "length",          "strlen",
      "contains",   "like",   "ilike",      "starts_with", "ends_with",   "strpos",    "replace",          "substr",          "left",
      "right",      "year",   "quarter",    "month",       "week",        "day",       "dayofweek",        "isodow",          "dayofyear",
      "hour",       "minute", "second",     "sign",        "isnan",       "isinf",     "isfinite",         "try",             "failed",
      "list_value", "now",    "regexp_matches", "regexp_full_match", "regexp_extract",   "regexp_replace",     "decimal_to_number",
      "decimal_to_text", "decimal_of_units", "epoch", "floor", "ceil"};
  static const std::set<std::string, std::less<>> kOfNumbers = {"+", "-", "*", "/", "//", "%", "abs", "round", "trunc", "exp", "cbrt", "pow"};
  if (kNames.contains(call.function)) return true;
  const bool numbers = !call.arguments.empty() && IsNumber(call) && IsNumber(call.arguments[0]);
  if (numbers && kOfNumbers.contains(call.function)) return true;
  const bool decimal = !call.arguments.empty() && call.arguments[0].type == Type::kDecimal;
  if (decimal && (call.function == "abs" || (call.function == "-" && call.arguments.size() == 1))) return true;
  if (call.function == "decimal" && call.arguments[0].type == Type::kInt64) return HoldsAnyInteger(call);
  if (call.function != "cast") return false;
  const Type from = call.arguments[0].type;
  return call.type == Type::kText || from == Type::kBool || call.type == Type::kBool ? from != Type::kText
                                                                                      : from == Type::kInt64;
}

/// What a row has of the program's aggregates, by the outputs that use it.
struct Part {
  Node node;
  std::string feature;
};

void CollectAggregates(const Expression& expression, std::set<int>& used) {
  if (expression.kind == Expression::Kind::kColumn) used.insert(expression.column);
  for (const Expression& argument : expression.arguments) CollectAggregates(argument, used);
}

Result<std::vector<Part>> PartsThatCanFail(const Program& program) {
  std::vector<Type> types;
  for (const Field& field : program.columns) types.push_back(field.type);
  std::vector<Part> parts;
  std::set<std::string> seen;
  const auto add = [&](const Expression& expression, const std::string& feature) -> Status {
    if (!CanFail(expression) || !seen.insert(ExpressionToJson(expression).dump(-1, ' ', false, Json::error_handler_t::replace)).second)
      return Ok();
    TIDEMILL_ASSIGN_OR_RETURN(Node node, Prepare(expression, types));
    parts.push_back({std::move(node), feature});
    return Ok();
  };
  for (const Output& output : program.outputs) {
    std::set<int> used;
    CollectAggregates(output.expression, used);
    for (const int at : used) {
      const Aggregate& aggregate = program.aggregates.at(static_cast<size_t>(at));
      for (const Expression& argument : aggregate.arguments) TIDEMILL_RETURN_IF_ERROR(add(argument, output.name));
      if (aggregate.filter) TIDEMILL_RETURN_IF_ERROR(add(*aggregate.filter, output.name));
    }
  }
  return parts;
}

std::string WhereOf(const ViewRow& row, const Program& program) {
  std::string text = fmt::format("the row {} (", row.sequence);
  for (size_t i = 0; i < row.keys.size(); ++i)
    text += fmt::format("{} {}, ", program.keys[i].name, SqlLiteral(ToValue(row.keys[i], program.keys[i].type)));
  return text + FormatTimestamp({row.event}) + ")";
}

}  // namespace

bool CanFail(const Expression& expression) {
  if (expression.kind == Expression::Kind::kColumn || expression.kind == Expression::Kind::kConstant) return false;
  if (expression.kind == Expression::Kind::kCall && (expression.function == "try" || expression.function == "failed")) return false;
  if (expression.kind == Expression::Kind::kCall && !AlwaysComputes(expression)) return true;
  return std::any_of(expression.arguments.begin(), expression.arguments.end(), CanFail);
}

std::string ValueFailures::Sentence() const {
  return fmt::format("{} {} of {} '{}' could not be computed; the first is part of '{}', in {}", values,
                     values == 1 ? "value" : "values", kind, view, feature, where);
}

Json ValueFailures::ToJson() const { return {{kind, view}, {"values", values}, {"feature", feature}, {"where", where}}; }

ValueFailures ValueFailures::FromJson(const Json& json) {
  if (!json.is_object()) return {};
  const std::string kind = json.contains("model") ? "model" : "view";
  return {json.value(kind, ""), json.value("values", int64_t{0}), json.value("feature", ""), json.value("where", ""), kind};
}

Status AddFailures(const RowProgram& program, const Columns& rows, uint64_t failed, int64_t row, std::string_view kind,
                   std::string_view name, std::vector<ValueFailures>& failures) {
  if (failed == 0) return Ok();
  auto of = std::find_if(failures.begin(), failures.end(), [&](const ValueFailures& f) { return f.view == name && f.kind == kind; });
  if (of == failures.end()) {
    of = failures.insert(failures.end(), ValueFailures{});
    of->kind = kind;
    of->view = name;
  }
  of->values += static_cast<int64_t>(failed);
  for (size_t at = 0; of->feature.empty() && at < rows.rows(); ++at) {
    for (const Output& output : program.outputs) {
      uint64_t failed_here = 0;
      const RowProgram one{program.columns, {output}};
      TIDEMILL_RETURN_IF_ERROR(one.Evaluate(rows, at, at + 1, &failed_here));
      if (failed_here == 0) continue;
      of->feature = output.name;
      of->where = fmt::format("the spine's row {}", row + static_cast<int64_t>(at) + 1);
      break;
    }
  }
  return Ok();
}

Error FailedValues(const ValueFailures& failures) {
  Place place;
  place.file = "features/" + failures.view + ".yaml";
  place.excerpt = failures.feature;
  return UserErrorAt("values_failed", failures.Sentence(), std::move(place),
                   "correct the rows or the expression (TRY(...) gives null), or leave out 'on_error: fail': such values are null then");
}

Result<ValueFailures> FailuresInRows(Session& session, const Program& program, const std::string& table_sql,
                                     const std::string& event_time, const std::string& condition) {
  ValueFailures failures;
  failures.view = program.view;
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Part> parts, PartsThatCanFail(program));
  if (parts.empty()) return failures;
  int64_t first = std::numeric_limits<int64_t>::max();
  TextPool texts;
  TIDEMILL_RETURN_IF_ERROR(StreamViewRows(session, program, table_sql, event_time, condition, [&](const ViewRow& row) {
    Evaluation evaluation{row.columns, texts};
    for (const Part& part : parts) {
      texts.Reset();
      evaluation.failures = 0;
      Evaluate(part.node, evaluation);
      if (evaluation.failures == 0) continue;
      ++failures.values;
      if (row.sequence >= first) continue;
      first = row.sequence;
      failures.feature = part.feature;
      failures.where = WhereOf(row, program);
    }
    return Ok();
  }));
  return failures;
}

}  // namespace tidemill
