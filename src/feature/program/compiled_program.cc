#include "feature/program/compiled_program.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "base/hash.h"
#include "feature/program/evaluator.h"
#include "feature/program/partial_aggregate.h"

namespace tidemill {
namespace {

bool UsesTime(const Expression& expression) {
  return (expression.kind == Expression::Kind::kCall && expression.function == "now") ||
         std::any_of(expression.arguments.begin(), expression.arguments.end(), UsesTime);
}

WindowPlan WindowOf(const Program& program, const Aggregate& aggregate) {
  WindowPlan window;
  window.delay = aggregate.delay.micros;
  if (aggregate.window) window.reach = aggregate.delay.micros + aggregate.window->micros;
  if (aggregate.hop) window.hop = aggregate.hop->micros;
  if (aggregate.session) window.session = aggregate.session->micros;
  // A ttl includes both its ends: t - ttl <= event time.
  if (program.ttl) window.limit = program.ttl->micros + 1;
  if (window.hop == 0) window.reach = std::min(window.reach, std::exchange(window.limit, WindowPlan::kForever));
  return window;
}

Status CheckWindow(const Aggregate& aggregate) {
  if (aggregate.hop && !aggregate.window) return BadProgram("a hop needs a window");
  if (aggregate.hop && aggregate.session) return BadProgram("a session has no hop");
  if ((aggregate.hop && aggregate.hop->micros <= 0) || (aggregate.session && aggregate.session->micros <= 0))
    return BadProgram("a hop or a session has no length");
  return Ok();
}

/// The slots' expressions need not be in it: a state is thrown away when its program changes.
uint64_t FingerprintOf(const std::vector<AggregatePlan>& partials, const std::vector<Type>& slot_types) {
  constexpr int kSavedForm = 3;  // of partial results
  std::string text = fmt::format("{} {}", KernelVersion(), kSavedForm);
  for (const Type type : slot_types) text += fmt::format(" {}", TypeName(type));
  for (const AggregatePlan& plan : partials) {
    text += fmt::format(";{},{},{},{},{},{},{}", plan.function, plan.slot, plan.second_slot, plan.filter_slot, plan.skips_nulls,
                        std::bit_cast<uint64_t>(plan.parameter), plan.max_events);
  }
  return Hash64(text);
}

}  // namespace

Result<std::shared_ptr<const CompiledProgram>> CompiledProgram::Make(const Program& program) {
  auto compiled = std::make_shared<CompiledProgram>();
  if (program.lateness) compiled->lateness_ = program.lateness->micros;
  for (const Field& field : program.columns) compiled->column_types_.push_back(field.type);
  std::vector<Type> aggregate_types;
  for (const Aggregate& aggregate : program.aggregates) {
    TIDEMILL_RETURN_IF_ERROR(compiled->AddAggregate(program, aggregate));
    aggregate_types.push_back(aggregate.type);
  }
  compiled->partials_fingerprint_ = FingerprintOf(compiled->partials_, compiled->slot_types_);
  for (const Output& output : program.outputs) {
    TIDEMILL_ASSIGN_OR_RETURN(Node node, Prepare(output.expression, aggregate_types));
    if (node.type == Type::kDecimal) return BadProgram("the output '" + output.name + "' is a decimal");
    if (!IsNull(output.default_value) && ToDatum(output.default_value, node.type).null) {
      return BadProgram("the default of '" + output.name + "' has another type");
    }
    compiled->uses_time_ = compiled->uses_time_ || UsesTime(output.expression);
    const bool as_it_is = output.expression.kind == Expression::Kind::kColumn;
    compiled->outputs_.push_back({std::move(node), output.default_value, as_it_is ? output.expression.column : -1});
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
  plan.result = signature.result;
  if (!arguments.empty()) {
    TIDEMILL_ASSIGN_OR_RETURN(plan.slot, SlotFor(arguments[0]));
    plan.argument = types[0];
  }
  if (arguments.size() > 1) {
    TIDEMILL_ASSIGN_OR_RETURN(plan.second_slot, SlotFor(arguments[1]));
    plan.second = types[1];
  }
  if (aggregate.max_events) {
    const int64_t most = *aggregate.max_events;
    if (most < 1 || most > static_cast<int64_t>(kMaxEventsMost)) return BadProgram("'max_events' is out of range");
    if (!HasSketch(aggregate.function)) return BadProgram("'" + aggregate.function + "' has no sketch for 'max_events'");
    plan.max_events = static_cast<size_t>(most);
  }
  if (aggregate.filter) {
    if (aggregate.filter->type != Type::kBool) return BadProgram("a filter is not a condition");
    TIDEMILL_ASSIGN_OR_RETURN(plan.filter_slot, SlotFor(*aggregate.filter));
  }
  TIDEMILL_RETURN_IF_ERROR(CheckWindow(aggregate));
  const WindowPlan window = WindowOf(program, aggregate);
  auto at = std::find_if(windows_.begin(), windows_.end(), [&](const WindowPlan& w) { return w.SameRows(window); });
  if (at == windows_.end()) at = windows_.insert(windows_.end(), window);
  at->aggregates.push_back(aggregates_.size());
  AddPartial(plan);
  aggregates_.push_back(std::move(plan));
  return Ok();
}

void CompiledProgram::AddPartial(const AggregatePlan& plan) {
  const auto at = std::find_if(partials_.begin(), partials_.end(), [&](const AggregatePlan& p) { return SamePartial(p, plan); });
  partial_of_.push_back(static_cast<size_t>(at - partials_.begin()));
  if (at == partials_.end()) partials_.push_back(plan);
}

Result<int> CompiledProgram::SlotFor(const Expression& expression) {
  const std::string key = ExpressionToJson(expression).dump(-1, ' ', false, Json::error_handler_t::replace);
  const auto known = std::find(slot_keys_.begin(), slot_keys_.end(), key);
  if (known != slot_keys_.end()) return static_cast<int>(known - slot_keys_.begin());
  TIDEMILL_ASSIGN_OR_RETURN(Node node, Prepare(expression, column_types_));
  slot_keys_.push_back(key);
  slot_types_.push_back(expression.type);
  slots_.push_back(std::move(node));
  slot_columns_.push_back(expression.kind == Expression::Kind::kColumn ? expression.column : -1);
  return static_cast<int>(slots_.size() - 1);
}

int64_t CompiledProgram::Horizon(int64_t t) const {
  int64_t horizon = t;
  for (const WindowPlan& window : windows_) horizon = std::min(horizon, window.Start(t));
  return horizon;
}

namespace {

/// A window whose start moves in steps, so that rows between two steps stay together.
bool Steps(const WindowPlan& window) { return window.hop > 0 && window.limit == WindowPlan::kForever; }

/// Of the steps at or after `event`, the first one that the window's start can be at t or later.
int64_t StepAfter(const WindowPlan& window, int64_t event, int64_t t) {
  const int64_t steps = event / window.hop + (event % window.hop > 0 ? 1 : 0);
  int64_t step = 0;
  if (__builtin_mul_overflow(steps, window.hop, &step)) step = std::numeric_limits<int64_t>::max();
  return std::max(step, window.Start(t));
}

}  // namespace

std::optional<int64_t> CompiledProgram::FoldHorizon(int64_t t) const {
  if (!lateness_) return std::nullopt;
  int64_t longest = *lateness_;
  for (const WindowPlan& window : windows_) longest = std::max(longest, window.delay);
  // One microsecond less: what becomes known at t may still come.
  int64_t horizon = AddTimes(AddTimes(t, -longest), -1);
  bool gains = false;
  for (const WindowPlan& window : windows_) {
    if (window.session > 0 && window.forever()) return std::nullopt;
    const bool together = window.forever() || Steps(window);
    gains = gains || together;
    if (!together) horizon = std::min(horizon, window.Start(t));
  }
  return gains ? std::optional(horizon) : std::nullopt;
}

bool CompiledProgram::SameFold(int64_t a, int64_t b, int64_t t) const {
  return std::all_of(windows_.begin(), windows_.end(), [&](const WindowPlan& window) {
    return !Steps(window) || StepAfter(window, a, t) == StepAfter(window, b, t);
  });
}

uint64_t CompiledProgram::FoldsBetween(int64_t a, int64_t b, int64_t t) const {
  uint64_t folds = 1;
  for (const WindowPlan& window : windows_) {
    if (!Steps(window)) continue;
    const uint64_t distance = static_cast<uint64_t>(StepAfter(window, b, t)) - static_cast<uint64_t>(StepAfter(window, a, t));
    folds += distance / static_cast<uint64_t>(window.hop);
  }
  return folds;
}

bool CompiledProgram::PartialReaches(size_t partial, int64_t event, int64_t t) const {
  return std::any_of(windows_.begin(), windows_.end(), [&](const WindowPlan& window) {
    return window.Start(t) < event && std::any_of(window.aggregates.begin(), window.aggregates.end(),
                                                  [&](size_t aggregate) { return partial_of_[aggregate] == partial; });
  });
}

uint64_t CompiledProgram::FillSlots(std::span<const Datum> columns, TextPool& texts, std::span<Datum> slots) const {
  Evaluation evaluation{columns, texts};
  for (size_t i = 0; i < slots_.size(); ++i) slots[i] = Evaluate(slots_[i], evaluation);
  return evaluation.failures;
}

/// NaN is missing; defaults take the place of what is missing.
Datum CompiledProgram::OutputPlan::Finish(Datum result) const {
  if (node.type == Type::kDouble && !result.null && std::isnan(result.number)) result = Datum::Null();
  return result.null ? ToDatum(default_value, node.type) : result;
}

void CompiledProgram::FillOutputs(std::span<const Datum> aggregates, int64_t time, TextPool& texts,
                                  std::span<Datum> outputs) const {
  Evaluation evaluation{aggregates, texts, time};
  for (size_t i = 0; i < outputs_.size(); ++i) outputs[i] = outputs_[i].Finish(Evaluate(outputs_[i].node, evaluation));
}

/// The same for a whole column.
void CompiledProgram::OutputPlan::FinishMany(const ResultColumn& results, size_t count, ResultColumn output) const {
  const bool is_number = node.type == Type::kDouble;
  const Datum missing = ToDatum(default_value, node.type);
  for (size_t i = 0; i < count; ++i) {
    if (results.IsNull(i) || (is_number && std::isnan(results.Number(i)))) {
      output.Set(i, missing, node.type);
    } else if (output.texts == nullptr) {
      output.SetInteger(i, results.bits[i]);
    } else {
      output.Set(i, results.Get(i, node.type), node.type);
    }
  }
}

void CompiledProgram::FillManyOutputs(std::span<const int64_t> times, std::span<const ResultColumn> aggregates, TextPool& texts,
                                      std::span<const ResultColumn> outputs) const {
  bool evaluates = false;
  for (size_t o = 0; o < outputs_.size(); ++o) {
    const OutputPlan& output = outputs_[o];
    evaluates = evaluates || output.aggregate < 0;
    if (output.aggregate >= 0) output.FinishMany(aggregates[static_cast<size_t>(output.aggregate)], times.size(), outputs[o]);
  }
  if (!evaluates) return;
  std::vector<Datum> row(aggregates_.size());
  Evaluation evaluation{row, texts};
  for (size_t i = 0; i < times.size(); ++i) {
    evaluation.time = times[i];
    for (size_t at = 0; at < row.size(); ++at) row[at] = aggregates[at].Get(i, aggregates_[at].result);
    for (size_t o = 0; o < outputs_.size(); ++o) {
      if (outputs_[o].aggregate >= 0) continue;
      ResultColumn column = outputs[o];
      column.Set(i, outputs_[o].Finish(Evaluate(outputs_[o].node, evaluation)), output_type(o));
    }
  }
}

}  // namespace tidemill
