#include <fmt/format.h>

#include "base/text_distance.h"
#include "feature/program/evaluator.h"
#include "feature/program/program.h"

namespace tidemill {
namespace {

Result<const Column*> FindInput(const Columns& rows, const Field& field) {
  const Column* column = rows.Find(field.name);
  if (column == nullptr) {
    std::vector<std::string> names;
    for (const Column& candidate : rows.columns) names.push_back(candidate.name);
    return UserError("unknown_column", "there is no column '" + field.name + "'", SuggestionHint(field.name, names));
  }
  const bool widens = column->type == Type::kInt64 && field.type == Type::kDouble;
  if (column->type != field.type && !widens) {
    return UserError("column_type",
                     fmt::format("column '{}' is {}, not {}", field.name, TypeName(column->type), TypeName(field.type)));
  }
  return column;
}

Datum Input(const Column& column, Type type, size_t row) {
  const Datum datum = ColumnDatum(column, row);
  return column.type != type && !datum.null ? Datum::Number(static_cast<double>(datum.integer)) : datum;
}

}  // namespace

Result<Columns> RowProgram::Evaluate(const Columns& rows, size_t begin, size_t end, uint64_t* failures) const {
  std::vector<const Column*> inputs;
  std::vector<Type> types;
  for (const Field& field : columns) {
    TIDEMILL_ASSIGN_OR_RETURN(const Column* input, FindInput(rows, field));
    inputs.push_back(input);
    types.push_back(field.type);
  }
  std::vector<Node> nodes;
  std::vector<Datum> defaults;
  Columns result;
  for (const Output& output : outputs) {
    TIDEMILL_ASSIGN_OR_RETURN(Node node, Prepare(output.expression, types));
    nodes.push_back(std::move(node));
    defaults.push_back(ToDatum(output.default_value, output.expression.type));
    result.columns.emplace_back(output.name, output.expression.type).Reserve(end - begin);
  }
  std::vector<Datum> row(inputs.size());
  TextPool texts;
  Evaluation evaluation{row, texts};
  for (size_t at = begin; at < end; ++at) {
    texts.Reset();
    for (size_t i = 0; i < inputs.size(); ++i) row[i] = Input(*inputs[i], types[i], at);
    for (size_t i = 0; i < nodes.size(); ++i) {
      const Datum value = tidemill::Evaluate(nodes[i], evaluation);
      AppendDatum(value.null ? defaults[i] : value, result.columns[i]);
    }
  }
  if (failures != nullptr) *failures = evaluation.failures;
  return result;
}

}  // namespace tidemill
