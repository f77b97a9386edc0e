#include "feature/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text_distance.h"
#include "feature/expression_compiler.h"
#include "feature/expression_names.h"
#include "feature/program/compiled_program.h"
#include "feature/program/decimals.h"
#include "feature/program/evaluator.h"
#include "sql/statement.h"

namespace tidemill {
namespace {

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::vector<std::string> NamesOf(const std::vector<Field>& fields) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  return names;
}

std::string FunctionName(const Json& tree) { return tree.value("function_name", ""); }

/// Written in another way: count(*), sum(DISTINCT x).
bool IsInternalAggregate(const std::string& name) {
  return name == "count_rows" || name.starts_with("decimal_") || (name.ends_with("_distinct") && name != "approx_count_distinct");
}

/// The kernel's aggregate for a function of DuckDB, or "".
std::string CanonicalAggregate(const std::string& name) {
  static const std::map<std::string, std::string> kAliases = {
      {"count_star", "count_rows"}, {"count_if", "count_rows"}, {"countif", "count_rows"}, {"mean", "avg"},
      {"stddev", "stddev_samp"},    {"variance", "var_samp"},   {"any_value", "first"},    {"arbitrary", "first"},
      {"argmin", "arg_min"},        {"min_by", "arg_min"},      {"argmax", "arg_max"},     {"max_by", "arg_max"},
      {"approx_top_k", "top_k"},    {"array_agg", "list"}};
  if (const auto alias = kAliases.find(name); alias != kAliases.end()) return alias->second;
  const std::vector<std::string> names = AggregateNames();
  return !IsInternalAggregate(name) && std::find(names.begin(), names.end(), name) != names.end() ? name : "";
}

/// Aggregates of DuckDB that the kernel lacks: to tell them from misspelled functions.
bool IsOtherAggregate(const std::string& name) {
  static const std::vector<std::string> kNames = {
      "approx_quantile", "bit_and",   "bit_or",   "bit_xor", "entropy", "favg",     "fsum",          "geomean",
      "group_concat",    "histogram", "kurtosis", "mad",     "product", "quantile", "quantile_disc", "reservoir_quantile",
      "string_agg",      "sumkahan",  "kahan_sum"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

/// The columns of a row. Only those that are used get into the program, in order of first use.
class RowScope : public ExpressionScope {
 public:
  RowScope(const std::vector<Field>& fields, std::vector<Field>& used, std::string what, const ExpressionText& text)
      : fields_(fields), used_(used), what_(std::move(what)), text_(text) {}

  Result<TypedExpression> Column(const std::string& name, const Json& tree) override {
    const std::vector<std::string> names = tree.value("column_names", std::vector<std::string>());
    if (names.size() > 1 && IsStruct(names[0])) {
      TIDEMILL_ASSIGN_OR_RETURN(TypedExpression value, Column(names[0], Json::object()));
      for (size_t i = 1; i < names.size(); ++i) value = FieldOfStruct(std::move(value), names[i]);
      return value;
    }
    const auto field =
        std::find_if(fields_.begin(), fields_.end(), [&](const Field& f) { return LowerCase(f.name) == LowerCase(name); });
    if (field == fields_.end()) {
      return UserErrorAt("unknown_column", fmt::format("{} has no column '{}'", what_, name), text_.PlaceOf(tree),
                         SuggestionHint(name, NamesOf(fields_)));
    }
    const auto known = std::find(used_.begin(), used_.end(), *field);
    Expression column;
    column.kind = Expression::Kind::kColumn;
    column.type = field->type;
    column.column = static_cast<int>(known - used_.begin());
    if (known == used_.end()) used_.push_back(*field);
    return TypedExpression{std::move(column)};
  }

  std::optional<Result<TypedExpression>> Aggregate(const Json& tree) override {
    const std::string name = FunctionName(tree);
    if (CanonicalFunction(name) == "now") {
      return UserErrorAt("unsupported_expression", fmt::format("{}() is the time asked, which single rows do not know", name),
                         text_.PlaceOf(tree),
                         "in a feature view it may stand outside of aggregates: epoch(now() - max(paid_at))");
    }
    if (CanonicalAggregate(name).empty() && !IsOtherAggregate(name)) return std::nullopt;
    return UserErrorAt("unsupported_expression", fmt::format("'{}' is an aggregate: it can't be used on single rows", name),
                       text_.PlaceOf(tree), "aggregates belong in a feature view, once and not inside each other");
  }

 private:
  /// Whether a column may hold structs: they are stored as JSON.
  bool IsStruct(const std::string& name) const {
    return std::any_of(fields_.begin(), fields_.end(),
                       [&](const Field& f) { return f.type == Type::kText && LowerCase(f.name) == LowerCase(name); });
  }

  const std::vector<Field>& fields_;
  std::vector<Field>& used_;
  std::string what_;
  const ExpressionText& text_;
};

/// Where outputs are written: aggregates over the table's rows, and features defined above.
class AggregateScope : public ExpressionScope {
 public:
  AggregateScope(Program& program, const std::vector<Field>& fields, const std::string& table, const ExpressionText& text,
                 const FeatureDefinition& feature, std::optional<Duration> window)
      : program_(program),
        fields_(fields),
        text_(text),
        feature_(feature),
        window_(window),
        rows_(fields, program.columns, "table '" + table + "'", text) {}

  Result<TypedExpression> Column(const std::string& name, const Json& tree) override {
    std::vector<std::string> names;
    for (const Output& output : program_.outputs) {
      names.push_back(output.name);
      const bool same_window = window_ && output.name == name + "_" + FormatDuration(*window_);
      if (output.name == name || same_window) return Reference(output);
    }
    const std::vector<std::string> columns = NamesOf(fields_);
    if (std::find(columns.begin(), columns.end(), name) != columns.end()) {
      return UserErrorAt("column_outside_aggregate",
                         fmt::format("column '{}' has many rows: an aggregate has to say which value is meant", name),
                         text_.PlaceOf(tree), fmt::format("for instance last({}) or avg({})", name, name));
    }
    names.insert(names.end(), columns.begin(), columns.end());
    return UserErrorAt("unknown_column", fmt::format("there is no feature above and no column named '{}'", name),
                       text_.PlaceOf(tree), SuggestionHint(name, names));
  }

  std::optional<Result<TypedExpression>> Aggregate(const Json& tree) override {
    const std::string written = FunctionName(tree);
    const std::string name = CanonicalAggregate(written);
    if (name.empty() && !IsOtherAggregate(written)) return std::nullopt;
    if (name.empty()) {
      return UserErrorAt("unknown_aggregate", fmt::format("the kernel has no aggregate '{}'", written), text_.PlaceOf(tree),
                         SuggestionHint(written, AggregateNames()));
    }
    return Compile(tree, written, name);
  }

  std::vector<std::string> AggregateNames() const override {
    std::vector<std::string> names = tidemill::AggregateNames();
    std::erase_if(names, IsInternalAggregate);
    return names;
  }

 private:
  static TypedExpression Reference(const Output& output) {
    if (IsNull(output.default_value)) return TypedExpression{output.expression};
    Expression value;
    value.type = output.expression.type;
    value.constant = output.default_value;
    Expression call;
    call.kind = Expression::Kind::kCall;
    call.function = "coalesce";
    call.type = value.type;
    call.arguments = {output.expression, std::move(value)};
    return TypedExpression{std::move(call)};
  }

  Result<TypedExpression> Compile(const Json& tree, const std::string& written, const std::string& name) {
    ExpressionCompiler compiler(text_, rows_);
    if (!tree["order_bys"].value("orders", Json::array()).empty()) {
      return compiler.ErrorAt(tree, "unsupported_expression", "the order of rows is that of their event time",
                              "leave out ORDER BY");
    }
    tidemill::Aggregate aggregate;
    aggregate.function = name;
    aggregate.window = window_;
    aggregate.delay = feature_.delay;
    aggregate.hop = feature_.hop;
    aggregate.session = feature_.session;
    std::vector<TypedExpression> arguments;
    for (const Json& child : tree.value("children", Json::array())) {
      TIDEMILL_ASSIGN_OR_RETURN(TypedExpression argument, compiler.Compile(child));
      arguments.push_back(std::move(argument));
    }
    std::vector<Expression> conditions;
    if (const Json filter = tree.value("filter", Json()); !filter.is_null()) {
      TIDEMILL_ASSIGN_OR_RETURN(TypedExpression condition, compiler.Compile(filter));
      conditions.push_back(std::move(condition.expression));
    }
    TIDEMILL_RETURN_IF_ERROR(Adapt(tree, written, compiler, aggregate, arguments, conditions));
    if (HasSketch(aggregate.function)) aggregate.max_events = feature_.max_events;
    TIDEMILL_RETURN_IF_ERROR(SetFilter(tree, compiler, aggregate, std::move(conditions)));
    const bool units = !arguments.empty() && arguments[0].decimal && TakesUnits(aggregate.function);
    const DecimalShape shape = units ? *arguments[0].decimal : DecimalShape{};
    TIDEMILL_RETURN_IF_ERROR(SetArguments(tree, written, compiler, aggregate, std::move(arguments)));
    const std::string function = aggregate.function;
    TypedExpression result = Add(std::move(aggregate));
    return units ? FromUnits(function, std::move(result), shape) : std::move(result);
  }

  /// What DuckDB writes as several functions is one aggregate here: count(DISTINCT x), count_if(x), any_value(x).
  static Status Adapt(const Json& tree, const std::string& written, const ExpressionCompiler& compiler,
                      tidemill::Aggregate& aggregate, std::vector<TypedExpression>& arguments,
                      std::vector<Expression>& conditions) {
    if (tree.value("distinct", false)) {
      static const std::vector<std::string> kUnchanged = {"min", "max", "bool_and", "bool_or", "approx_count_distinct"};
      const std::string& function = aggregate.function;
      const std::vector<std::string> known = tidemill::AggregateNames();
      if (std::find(known.begin(), known.end(), function + "_distinct") != known.end()) {
        aggregate.function = function + "_distinct";
      } else if (std::find(kUnchanged.begin(), kUnchanged.end(), function) == kUnchanged.end()) {
        return compiler.ErrorAt(tree, "unsupported_expression", fmt::format("DISTINCT is not for '{}'", written),
                                "it is for count, sum, avg, var_samp, var_pop, stddev_samp, stddev_pop and skewness");
      }
    }
    if (written.starts_with("count") && aggregate.function == "count_rows" && arguments.size() == 1) {
      conditions.push_back(std::move(arguments[0].expression));
      arguments.clear();
    }
    if (written == "any_value" && arguments.size() == 1) {
      Expression present;
      present.kind = Expression::Kind::kCall;
      present.function = "is_not_null";
      present.type = Type::kBool;
      present.arguments = {arguments[0].expression};
      conditions.push_back(std::move(present));
    }
    return Ok();
  }

  static Status SetFilter(const Json& tree, const ExpressionCompiler& compiler, tidemill::Aggregate& aggregate,
                          std::vector<Expression> conditions) {
    for (const Expression& condition : conditions) {
      if (condition.type != Type::kBool)
        return compiler.ErrorAt(tree, "argument_types", "a filter has to be a condition, true or false");
    }
    if (conditions.size() == 1) aggregate.filter = std::move(conditions[0]);
    if (conditions.size() > 1) {
      aggregate.filter.emplace();
      aggregate.filter->kind = Expression::Kind::kCall;
      aggregate.filter->function = "and";
      aggregate.filter->type = Type::kBool;
      aggregate.filter->arguments = std::move(conditions);
    }
    return Ok();
  }

  /// Brings the arguments to what the aggregate takes: integers to numbers where it wants numbers, conditions to 0 and 1 for
  /// sums.
  static Status SetArguments(const Json& tree, const std::string& written, const ExpressionCompiler& compiler,
                             tidemill::Aggregate& aggregate, std::vector<TypedExpression> arguments) {
    const AggregateParameter* wanted = ParameterOf(aggregate.function);
    Expression parameter;
    if (wanted != nullptr) {
      TIDEMILL_ASSIGN_OR_RETURN(parameter, TakeParameter(tree, written, compiler, aggregate.function, arguments));
    }
    if (!arguments.empty() && arguments[0].decimal) {
      wanted = SetDecimalFunction(aggregate.function, arguments[0].decimal->scale, wanted, parameter);
    }
    std::vector<Type> types;
    for (TypedExpression& argument : arguments) {
      TIDEMILL_ASSIGN_OR_RETURN(argument, AsUnits(tree, compiler, aggregate.function, std::move(argument)));
      if (argument.is_interval) {
        return compiler.ErrorAt(tree, "argument_types", fmt::format("'{}' does not take a length of time", written),
                                "epoch(...) gives its seconds");
      }
      types.push_back(argument.expression.type);
    }
    auto signature = ResolveAggregate(aggregate.function, types);
    if (!signature.ok()) signature = Widen(aggregate.function, arguments, std::move(signature));
    if (!signature.ok()) return compiler.ErrorAt(tree, signature.error().code, signature.error().message, signature.error().hint);
    aggregate.type = signature->result;
    for (TypedExpression& argument : arguments) aggregate.arguments.push_back(std::move(argument.expression));
    if (wanted != nullptr) aggregate.arguments.push_back(std::move(parameter));
    return Ok();
  }

  /// What adds up decimals, or finds what lies between them, has a function of its own; its parameter.
  static const AggregateParameter* SetDecimalFunction(std::string& function, int64_t scale, const AggregateParameter* wanted,
                                                      Expression& parameter) {
    if (function.starts_with("sum") || function.starts_with("avg")) {
      function = "decimal_" + function;
      parameter = ConstantOf(scale, Type::kInt64);
    } else if (function == "median" || function == "quantile_cont") {
      if (function == "median") parameter = ConstantOf(0.5, Type::kDouble);
      function = "decimal_quantile";
    } else {
      return wanted;
    }
    return ParameterOf(function);
  }

  /// Where the result is as exact, aggregates take decimals as integers of their last digit's unit, or as keys where 64 bits
  /// don't hold these; else as numbers.
  static bool TakesUnits(const std::string& function) {
    static const std::vector<std::string> kNames = {"count",   "count_distinct", "approx_count_distinct", "sum",    "sum_distinct",
                                                    "avg",     "avg_distinct",   "min",                   "max",    "first",
                                                    "last",    "lag",            "arg_min",               "arg_max", "mode",
                                                    "median",  "quantile_cont"};
    return function.starts_with("decimal_") || std::find(kNames.begin(), kNames.end(), function) != kNames.end();
  }

  static Result<TypedExpression> AsUnits(const Json& tree, const ExpressionCompiler& compiler, const std::string& function,
                                         TypedExpression value) {
    if (!value.decimal || !TakesUnits(function)) return compiler.AsColumnType(tree, std::move(value));
    if (value.decimal->width > kShortDigits)
      return TypedExpression{CallOf("decimal_key", Type::kText, {std::move(value.expression)})};
    return TypedExpression{CallOf("decimal_units", Type::kInt64, {std::move(value.expression)})};
  }

  /// What an aggregate over units stands for.
  static TypedExpression FromUnits(const std::string& function, TypedExpression result, DecimalShape shape) {
    if (function.find("count") != std::string::npos) return result;
    if (function.starts_with("decimal_avg")) return result;
    if (function.starts_with("decimal_sum")) shape.width = kDecimalDigitsMax;
    const bool key = result.expression.type == Type::kText;
    TypedExpression decimal{CallOf(key ? "decimal_of_key" : "decimal_of_units", Type::kDecimal, {std::move(result.expression)})};
    decimal.decimal = shape;
    return decimal;
  }

  /// Takes the constant that follows the arguments over the row off `arguments`.
  static Result<Expression> TakeParameter(const Json& tree, const std::string& written, const ExpressionCompiler& compiler,
                                          const std::string& function, std::vector<TypedExpression>& arguments) {
    const AggregateParameter& wanted = *ParameterOf(function);
    const size_t before = RowArgumentsOf(function);
    const Error error = compiler.ErrorAt(
        tree, "argument_types", fmt::format("the last argument of '{}' has to be {}, and constant", written, wanted.what));
    if (arguments.size() == before && wanted.when_left_out) {
      Expression value;
      value.type = wanted.type;
      value.constant = *wanted.when_left_out;
      return value;
    }
    if (arguments.size() != before + 1) return error;
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression last, compiler.AsColumnType(tree, std::move(arguments.back())));
    arguments.pop_back();
    if (last.is_interval != wanted.is_duration || last.is_months) return error;
    last.is_interval = false;
    if (last.expression.kind != Expression::Kind::kConstant || !CoercesTo(last, wanted.type)) return error;
    Expression value = Coerced(std::move(last), wanted.type);
    return wanted.Check(value.constant, value.type).ok() ? Result<Expression>(std::move(value)) : error;
  }

  /// Integers become numbers where those are wanted, conditions 0 and 1 in sums. `refused` when that does not help.
  static Result<AggregateSignature> Widen(const std::string& function, std::vector<TypedExpression>& arguments,
                                          Result<AggregateSignature> refused) {
    std::vector<Type> types;
    for (const TypedExpression& argument : arguments) {
      const Type type = argument.expression.type;
      const bool counted = type == Type::kBool && function == "sum";
      types.push_back(counted ? Type::kInt64 : type == Type::kInt64 ? Type::kDouble : type);
    }
    auto signature = ResolveAggregate(function, types);
    if (!signature.ok()) return refused;
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (arguments[i].expression.type == types[i]) continue;
      Expression cast;
      cast.kind = Expression::Kind::kCall;
      cast.function = "cast";
      cast.type = types[i];
      cast.arguments = {std::move(arguments[i].expression)};
      arguments[i].expression = std::move(cast);
    }
    return signature;
  }

  TypedExpression Add(tidemill::Aggregate aggregate) {
    const Json json = AggregateToJson(aggregate);
    auto& all = program_.aggregates;
    const auto same =
        std::find_if(all.begin(), all.end(), [&](const tidemill::Aggregate& other) { return AggregateToJson(other) == json; });
    Expression column;
    column.kind = Expression::Kind::kColumn;
    column.type = aggregate.type;
    column.column = static_cast<int>(same - all.begin());
    if (same == all.end()) all.push_back(std::move(aggregate));
    return TypedExpression{std::move(column)};
  }

  Program& program_;
  const std::vector<Field>& fields_;
  const ExpressionText& text_;
  const FeatureDefinition& feature_;
  std::optional<Duration> window_;
  RowScope rows_;
};

Result<std::vector<Field>> KeyFields(const FeatureViewAsset& view, const std::vector<Field>& fields) {
  std::vector<Field> keys;
  for (const std::string& name : view.entity) {
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.name == name; });
    if (field == fields.end()) {
      return UserErrorAt("unknown_column", fmt::format("table '{}' has no column '{}' to be an entity key", view.from, name),
                         view.place, SuggestionHint(name, NamesOf(fields)));
    }
    if (IsList(field->type)) {
      return UserErrorAt("wrong_type", fmt::format("'{}' of table '{}' is a list: it can't be an entity key", name, view.from),
                         view.place, "make a row for each element in the table's SQL: unnest(" + name + ")");
    }
    keys.push_back(*field);
  }
  return keys;
}

Status CompileFeature(const FeatureDefinition& feature, const std::string& table, const std::vector<Field>& fields,
                      Session& session, ZoneReader& zones, Program& program) {
  const ExpressionText text{feature.value, feature.place, &zones};
  TIDEMILL_ASSIGN_OR_RETURN(const Json tree, ParseExpression(session, feature.value, feature.place));
  std::vector<std::optional<Duration>> windows(feature.windows.begin(), feature.windows.end());
  if (windows.empty()) windows.emplace_back();
  for (const std::optional<Duration>& window : windows) {
    AggregateScope scope(program, fields, table, text, feature, window);
    Output output;
    output.name = window ? feature.name + "_" + FormatDuration(*window) : feature.name;
    TIDEMILL_ASSIGN_OR_RETURN(output.expression, ExpressionCompiler(text, scope).CompileResult(tree));
    TIDEMILL_RETURN_IF_ERROR(SetDefault(feature, output));
    const bool taken = std::any_of(program.outputs.begin(), program.outputs.end(),
                                   [&](const Output& other) { return other.name == output.name; });
    if (taken)
      return UserErrorAt("duplicate_feature", fmt::format("two features would be named '{}'", output.name), feature.place,
                         "rename one of them");
    program.outputs.push_back(std::move(output));
  }
  return Ok();
}

/// One error with all others that were found beside it.
Status Gather(std::vector<Error> errors) {
  if (errors.empty()) return Ok();
  Error first = std::move(errors.front());
  first.others.insert(first.others.end(), std::make_move_iterator(errors.begin() + 1), std::make_move_iterator(errors.end()));
  return first;
}

}  // namespace

bool IsAggregateName(const std::string& function) { return !CanonicalAggregate(function).empty() || IsOtherAggregate(function); }

Status SetDefault(const FeatureDefinition& feature, Output& output) {
  const Type type = output.expression.type;
  const Datum value = ToDatum(feature.default_value, type);
  if (value.null && !IsNull(feature.default_value)) {
    return UserErrorAt("default_type",
                       fmt::format("the default of '{}' is not {}, which the feature is", feature.name, TypeName(type)),
                       feature.place);
  }
  output.default_value = ToValue(value, type);
  return Ok();
}

Result<Program> CompileView(const FeatureViewAsset& view, const TableAsset& table, const std::vector<Field>& table_fields,
                            Session& session) {
  if (table.timestamp.empty()) {
    return UserErrorAt("no_timestamp",
                       fmt::format("table '{}' does not say when its rows happened, so no feature can be made of it", table.name),
                       view.place, fmt::format("add 'timestamp: COLUMN' to tables/{}.yaml", table.name));
  }
  Program program;
  program.view = view.name;
  program.ttl = view.ttl;
  program.lookback = view.lookback;
  program.lateness = view.lateness;
  program.fails_on_error = view.fails_on_error;
  TIDEMILL_ASSIGN_OR_RETURN(program.keys, KeyFields(view, table_fields));
  std::vector<Error> errors;
  ZoneReader zones(session);
  for (const FeatureDefinition& feature : view.features) {
    Status status = CompileFeature(feature, view.from, table_fields, session, zones, program);
    if (!status.ok()) errors.push_back(std::move(status).error());
  }
  TIDEMILL_RETURN_IF_ERROR(Gather(std::move(errors)));
  const auto compiled = CompiledProgram::Make(program);
  if (!compiled.ok()) {
    Error error = compiled.error();
    error.place = view.place;
    return error;
  }
  return program;
}

Result<RowProgram> CompileExpressions(const std::vector<NamedExpression>& expressions, const std::vector<Field>& fields,
                                      Session& session) {
  RowProgram program;
  std::vector<Error> errors;
  ZoneReader zones(session);
  for (const NamedExpression& named : expressions) {
    const ExpressionText text{named.expression, named.place, &zones};
    const auto tree = ParseExpression(session, named.expression, named.place);
    if (!tree.ok()) {
      errors.push_back(tree.error());
      continue;
    }
    RowScope scope(fields, program.columns, "the spine", text);
    auto expression = ExpressionCompiler(text, scope).CompileResult(*tree);
    if (!expression.ok()) {
      errors.push_back(std::move(expression).error());
      continue;
    }
    program.outputs.push_back({named.name, std::move(expression).value(), {}});
  }
  TIDEMILL_RETURN_IF_ERROR(Gather(std::move(errors)));
  return program;
}

}  // namespace tidemill
