#include "feature/typed_expression.h"

namespace tidemill {

Expression ConstantOf(Value value, Type type) {
  Expression expression;
  expression.type = type;
  expression.constant = std::move(value);
  return expression;
}

bool IsNullLiteral(const TypedExpression& value) {
  return value.is_literal && value.expression.kind == Expression::Kind::kConstant && IsNull(value.expression.constant);
}
bool IsTextLiteral(const TypedExpression& value) { return value.is_literal && value.expression.type == Type::kText; }

Expression CallOf(std::string function, Type type, std::vector<Expression> arguments) {
  Expression expression;
  expression.kind = Expression::Kind::kCall;
  expression.function = std::move(function);
  expression.type = type;
  expression.arguments = std::move(arguments);
  return expression;
}

TypedExpression FieldOfStruct(TypedExpression value, const std::string& field) {
  std::string path = "$.\"";
  for (const char c : field) path.append(c == '"' || c == '\\' ? 1 : 0, '\\').push_back(c);
  return {CallOf("json_extract_string", Type::kText, {std::move(value.expression), ConstantOf(path + "\"", Type::kText)})};
}

std::string TypesText(const std::vector<const TypedExpression*>& values) {
  std::string text;
  for (const TypedExpression* value : values) {
    text += text.empty() ? "" : ", ";
    text += value->is_interval ? "interval" : TypeName(value->expression.type);
  }
  return text;
}

bool CoercesTo(const TypedExpression& value, Type type) {
  const Type from = value.expression.type;
  if (IsNullLiteral(value)) return true;
  if (value.is_interval) return false;
  if (from == type || (from == Type::kInt64 && type == Type::kDouble) || (from == Type::kDate && type == Type::kTimestamp))
    return true;
  return IsTextLiteral(value) && (type == Type::kTimestamp || type == Type::kDate);
}

Expression Coerced(TypedExpression value, Type type) {
  if (IsNullLiteral(value)) return ConstantOf({}, type);
  if (value.expression.type == type) return std::move(value.expression);
  if (value.expression.kind == Expression::Kind::kConstant && type == Type::kDouble) {
    return ConstantOf(static_cast<double>(std::get<int64_t>(value.expression.constant)), type);
  }
  return CallOf("cast", type, {std::move(value.expression)});
}

}  // namespace tidemill
