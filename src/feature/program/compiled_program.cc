#include "feature/program/compiled_program.h"

#include <algorithm>
#include <cmath>

#include "feature/program/evaluator.h"

namespace tidemill {
namespace {

WindowPlan WindowOf(const Program& program, const Aggregate& aggregate) {
  WindowPlan window;
  window.delay = aggregate.delay.micros;
  if (aggregate.window) window.reach = aggregate.delay.micros + aggregate.window->micros;
  // A ttl includes both its ends: t - ttl <= event time.
  if (program.ttl) window.reach = std::min(window.reach, program.ttl->micros + 1);
  return window;
}

}  // namespace

Result<std::shared_ptr<const CompiledProgram>> CompiledProgram::Make(const Program& program) {
  auto compiled = std::make_shared<CompiledProgram>();
  for (const Field& field : program.columns) compiled->column_types_.push_back(field.type);
  std::vector<Type> aggregate_types;
  for (const Aggregate& aggregate : program.aggregates) {
    TIDEMILL_RETURN_IF_ERROR(compiled->AddAggregate(program, aggregate));
    aggregate_types.push_back(aggregate.type);
  }
  for (const Output& output : program.outputs) {
    TIDEMILL_ASSIGN_OR_RETURN(Node node, Prepare(output.expression, aggregate_types));
    if (!IsNull(output.default_value) && ToDatum(output.default_value, node.type).null) {
      return BadProgram("the default of '" + output.name + "' has another type");
    }
    compiled->outputs_.push_back({std::move(node), output.default_value});
  }
  return std::shared_ptr<const CompiledProgram>(std::move(compiled));
}

Status CompiledProgram::AddAggregate(const Program& program, const Aggregate& aggregate) {
  std::vector<Expression> arguments = aggregate.arguments;
  AggregatePlan plan;
  plan.function = aggregate.function;
  if (const AggregateParameter* parameter = ParameterOf(aggregate.function)) {
    if (arguments.empty()) return BadProgram("'" + aggregate.function + "' lacks its arguments");
    const Expression& last = arguments.back();
    const auto value = last.kind == Expression::Kind::kConstant ? parameter->Check(last.constant, last.type) : BadProgram("");
    if (!value.ok())
      return BadProgram("the last argument of '" + aggregate.function + "' is not " + std::string(parameter->what));
    plan.parameter = *value;
    arguments.pop_back();
  }
  std::vector<Type> types;
  for (const Expression& argument : arguments) types.push_back(argument.type);
  TIDEMILL_ASSIGN_OR_RETURN(const AggregateSignature signature, ResolveAggregate(aggregate.function, types));
  if (signature.result != aggregate.type) return BadProgram("'" + aggregate.function + "' gives another type");
  plan.skips_nulls = signature.skips_nulls;
  if (!arguments.empty()) {
    TIDEMILL_ASSIGN_OR_RETURN(plan.slot, SlotFor(arguments[0]));
    plan.argument = types[0];
  }
  if (arguments.size() > 1) {
    TIDEMILL_ASSIGN_OR_RETURN(plan.second_slot, SlotFor(arguments[1]));
    plan.second = types[1];
  }
  if (aggregate.filter) {
    if (aggregate.filter->type != Type::kBool) return BadProgram("a filter is not a condition");
    TIDEMILL_ASSIGN_OR_RETURN(plan.filter_slot, SlotFor(*aggregate.filter));
  }
  WindowPlan window = WindowOf(program, aggregate);
  auto at = std::find_if(windows_.begin(), windows_.end(),
                         [&](const WindowPlan& w) { return w.delay == window.delay && w.reach == window.reach; });
  if (at == windows_.end()) at = windows_.insert(windows_.end(), window);
  at->aggregates.push_back(aggregates_.size());
  aggregates_.push_back(std::move(plan));
  return Ok();
}

Result<int> CompiledProgram::SlotFor(const Expression& expression) {
  const std::string key = ExpressionToJson(expression).dump(-1, ' ', false, Json::error_handler_t::replace);
  const auto known = std::find(slot_keys_.begin(), slot_keys_.end(), key);
  if (known != slot_keys_.end()) return static_cast<int>(known - slot_keys_.begin());
  TIDEMILL_ASSIGN_OR_RETURN(Node node, Prepare(expression, column_types_));
  slot_keys_.push_back(key);
  slot_types_.push_back(expression.type);
  slots_.push_back(std::move(node));
  return static_cast<int>(slots_.size() - 1);
}

int64_t CompiledProgram::Reach() const {
  int64_t reach = 0;
  for (const WindowPlan& window : windows_) reach = std::max(reach, window.reach);
  return reach;
}

void CompiledProgram::FillSlots(std::span<const Datum> columns, TextPool& texts, std::span<Datum> slots) const {
  Evaluation evaluation{columns, texts};
  for (size_t i = 0; i < slots_.size(); ++i) slots[i] = Evaluate(slots_[i], evaluation);
}

void CompiledProgram::FillOutputs(std::span<const Datum> aggregates, TextPool& texts, std::span<Datum> outputs) const {
  Evaluation evaluation{aggregates, texts};
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const Type type = outputs_[i].node.type;
    outputs[i] = Evaluate(outputs_[i].node, evaluation);
    if (type == Type::kDouble && !outputs[i].null && std::isnan(outputs[i].number)) outputs[i] = Datum::Null();
    if (outputs[i].null) outputs[i] = ToDatum(outputs_[i].default_value, type);
  }
}

}  // namespace tidemill
