#include "feature/derived_feature.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text_distance.h"
#include "feature/compile.h"
#include "feature/expression_compiler.h"
#include "feature/expression_names.h"
#include "feature/program/datum.h"
#include "sql/statement.h"

namespace tidemill {
namespace {

bool SameName(std::string_view a, std::string_view b) {
  const auto fold = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return fold(x) == fold(y); });
}

const Field* FindNamed(const std::vector<Field>& fields, std::string_view name) {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const Field& field) { return SameName(field.name, name); });
  return found == fields.end() ? nullptr : &*found;
}

std::vector<std::string> Names(const std::vector<Field>& fields) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  return names;
}

class DerivedFeatureScope : public ExpressionScope {
 public:
  DerivedFeatureScope(const DerivedNames& names, const ExpressionText& text, std::vector<DerivedInput>& inputs)
      : names_(names), text_(text), inputs_(inputs) {}

  Result<TypedExpression> Column(const std::string& name, const Json& tree) override {
    const Json written = tree.value("column_names", Json::array());
    return written.size() > 1 ? Qualified(written.front().get<std::string>(), name, tree) : Plain(name, tree);
  }

  std::optional<Result<TypedExpression>> Aggregate(const Json& tree) override {
    const std::string function = tree.value("function_name", "");
    if (CanonicalFunction(function) == "now") {
      return UserErrorAt("unsupported_expression", fmt::format("{}() is the time asked, which is no part of a request", function),
                         text_.PlaceOf(tree), "let the request bring the time as a field: {asked_at: timestamp}");
    }
    if (!IsAggregateName(function)) return std::nullopt;
    return UserErrorAt("unsupported_expression",
                       fmt::format("'{}' is an aggregate: there are no rows to aggregate here", function), text_.PlaceOf(tree),
                       "aggregates belong in a feature view over a table; name its feature here");
  }

 private:
  Result<TypedExpression> Plain(const std::string& name, const Json& tree) {
    if (const Field* above = FindNamed(names_.above, name)) return Read({DerivedInput::From::kAbove, "", *above});
    if (const Field* field = FindNamed(names_.fields, name)) return Read({DerivedInput::From::kField, "", *field});
    for (const DerivedNames::View& view : names_.views) {
      if (const Field* feature = FindNamed(view.features, name)) {
        return UserErrorAt("unknown_column", fmt::format("{} has no '{}'", names_.owner, name), text_.PlaceOf(tree),
                           fmt::format("the feature of '{}' is written {}.{}", view.name, view.name, feature->name));
      }
    }
    std::vector<std::string> known = Names(names_.fields);
    for (const Field& above : names_.above) known.push_back(above.name);
    return UserErrorAt("unknown_column", fmt::format("{} has no '{}'", names_.owner, name), text_.PlaceOf(tree),
                       SuggestionHint(name, known));
  }

  Result<TypedExpression> Qualified(const std::string& qualifier, const std::string& name, const Json& tree) {
    const auto view = std::find_if(names_.views.begin(), names_.views.end(),
                                   [&](const DerivedNames::View& candidate) { return SameName(candidate.name, qualifier); });
    if (view == names_.views.end()) {
      std::vector<std::string> known;
      for (const DerivedNames::View& candidate : names_.views) known.push_back(candidate.name);
      return UserErrorAt("unknown_view", fmt::format("no view is used here under the name '{}'", qualifier), text_.PlaceOf(tree),
                         known.empty() ? fmt::format("name it under 'uses': [{}]", qualifier) : SuggestionHint(qualifier, known));
    }
    const Field* feature = FindNamed(view->features, name);
    if (feature != nullptr) return Read({DerivedInput::From::kView, view->name, *feature});
    return UserErrorAt("unknown_feature", fmt::format("the view '{}' has no feature '{}'", view->name, name), text_.PlaceOf(tree),
                       SuggestionHint(name, Names(view->features)));
  }

  Result<TypedExpression> Read(DerivedInput input) {
    const auto known = std::find_if(inputs_.begin(), inputs_.end(), [&](const DerivedInput& other) {
      return other.from == input.from && other.view == input.view && other.field.name == input.field.name;
    });
    Expression column;
    column.kind = Expression::Kind::kColumn;
    column.type = input.field.type;
    column.column = static_cast<int>(known - inputs_.begin());
    if (known == inputs_.end()) inputs_.push_back(std::move(input));
    return TypedExpression{std::move(column)};
  }

  const DerivedNames& names_;
  const ExpressionText& text_;
  std::vector<DerivedInput>& inputs_;
};

}  // namespace

Result<DerivedFeature> CompileDerivedFeature(const FeatureDefinition& feature, const DerivedNames& names, Session& session) {
  const ExpressionText text{feature.value, feature.place};
  TIDEMILL_ASSIGN_OR_RETURN(const Json tree, ParseExpression(session, feature.value, feature.place));
  DerivedFeature compiled;
  DerivedFeatureScope scope(names, text, compiled.inputs);
  compiled.output.name = feature.name;
  TIDEMILL_ASSIGN_OR_RETURN(compiled.output.expression, ExpressionCompiler(text, scope).CompileResult(tree));
  TIDEMILL_RETURN_IF_ERROR(SetDefault(feature, compiled.output));
  return compiled;
}

Result<Columns> EvaluateDerived(const RowProgram& program, const Columns& rows, uint64_t* failures) {
  TIDEMILL_ASSIGN_OR_RETURN(Columns features, program.Evaluate(rows, failures));
  for (size_t i = 0; i < features.columns.size(); ++i) {
    Column& column = features.columns[i];
    const auto is_nan = [&column](size_t row) { return !column.IsNull(row) && std::isnan(column.doubles[row]); };
    size_t row = 0;
    if (column.type == Type::kDouble) {
      while (row < column.size() && !is_nan(row)) ++row;
    }
    if (column.type != Type::kDouble || row == column.size()) continue;
    Column cleaned(column.name, column.type);
    cleaned.Reserve(column.size());
    for (row = 0; row < column.size(); ++row) {
      AppendDatum(is_nan(row) ? ToDatum(program.outputs[i].default_value, column.type) : ColumnDatum(column, row), cleaned);
    }
    column = std::move(cleaned);
  }
  return features;
}

}  // namespace tidemill
