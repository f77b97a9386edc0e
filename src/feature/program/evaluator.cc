#include "feature/program/evaluator.h"

#include <fmt/format.h>

#include <utility>

namespace tidemill {
namespace {

Datum EvaluateColumn(const Node& node, Evaluation& evaluation) { return evaluation.inputs[static_cast<size_t>(node.column)]; }
Datum EvaluateConstant(const Node& node, Evaluation&) {
  // The text is taken from the node itself, which may have been moved since it was made.
  return HoldsBytes(node.type) && !node.constant.null ? Datum::Text(node.constant_text) : node.constant;
}
Datum EvaluateCase(const Node& node, Evaluation& evaluation) {
  size_t at = 0;
  for (; at + 1 < node.arguments.size(); at += 2) {
    if (Evaluate(node.arguments[at], evaluation).IsTrue()) return Evaluate(node.arguments[at + 1], evaluation);
  }
  return Evaluate(node.arguments[at], evaluation);
}

class Preparer {
 public:
  explicit Preparer(std::span<const Type> inputs) : inputs_(inputs) {}

  Result<Node> Prepare(const Expression& expression, int depth) {
    if (depth > kExpressionDepthMax || ++nodes_ > kExpressionNodesMax)
      return BadProgram("an expression is too deep or too large");
    Node node;
    node.type = expression.type;
    for (const Expression& argument : expression.arguments) {
      TIDEMILL_ASSIGN_OR_RETURN(Node prepared, Prepare(argument, depth + 1));
      node.arguments.push_back(std::move(prepared));
    }
    TIDEMILL_RETURN_IF_ERROR(Fill(expression, node));
    return node;
  }

 private:
  Status Fill(const Expression& expression, Node& node) const {
    switch (expression.kind) {
      case Expression::Kind::kColumn:
        return FillColumn(expression, node);
      case Expression::Kind::kConstant:
        return FillConstant(expression, node);
      case Expression::Kind::kCall:
        return FillCall(expression, node);
      case Expression::Kind::kCase:
        return FillCase(node);
    }
    return BadProgram("an expression is of an unknown kind");
  }

  Status FillColumn(const Expression& expression, Node& node) const {
    if (expression.column < 0 || static_cast<size_t>(expression.column) >= inputs_.size()) {
      return BadProgram(fmt::format("there is no input {}", expression.column));
    }
    if (inputs_[static_cast<size_t>(expression.column)] != expression.type) {
      return BadProgram(fmt::format("input {} has another type", expression.column));
    }
    node.column = expression.column;
    node.evaluate = EvaluateColumn;
    return Ok();
  }

  static Status FillConstant(const Expression& expression, Node& node) {
    node.constant = ToDatum(expression.constant, expression.type);
    if (node.constant.null && !IsNull(expression.constant)) return BadProgram("a constant has another type than it says");
    if (HoldsBytes(node.type)) node.constant_text = std::string(std::exchange(node.constant.text, {}));
    node.evaluate = EvaluateConstant;
    node.is_constant = true;
    return Ok();
  }

  static Status FillCall(const Expression& expression, Node& node) {
    std::vector<Type> types;
    for (const Node& argument : node.arguments) types.push_back(argument.type);
    TIDEMILL_ASSIGN_OR_RETURN(const ScalarFunction function, ResolveFunction(expression.function, types, expression.type));
    if (function.result != expression.type) return BadProgram(fmt::format("'{}' gives another type", expression.function));
    node.evaluate = function.evaluate;
    return function.prepare == nullptr ? Ok() : function.prepare(node);
  }

  static Status FillCase(Node& node) {
    const size_t count = node.arguments.size();
    if (count < 3 || count % 2 == 0) return BadProgram("a case lacks a branch");
    for (size_t i = 0; i < count; ++i) {
      const bool is_condition = i % 2 == 0 && i + 1 < count;
      if (node.arguments[i].type != (is_condition ? Type::kBool : node.type))
        return BadProgram("a branch of a case has another type");
    }
    node.evaluate = EvaluateCase;
    return Ok();
  }

  std::span<const Type> inputs_;
  int nodes_ = 0;
};

}  // namespace

Error BadProgram(std::string message) {
  return UserError("bad_program", "this is not a feature program: " + std::move(message),
                   "compile the view again with this version");
}

Result<Node> Prepare(const Expression& expression, std::span<const Type> inputs) {
  return Preparer(inputs).Prepare(expression, 1);
}

}  // namespace tidemill
