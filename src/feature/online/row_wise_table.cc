#include "feature/online/row_wise_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "feature/compile.h"
#include "feature/expression_compiler.h"
#include "feature/expression_names.h"
#include "feature/program/evaluator.h"
#include "sql/select_tree.h"

namespace tidemill {
namespace {

/// Units of a decimal up to which every way of making a number of them gives the same bits: 2^53.
constexpr const char* kExactUnits = "9007199254740992";

/// Functions that differ from DuckDB's in the last bit, or in what no two libraries do alike.
const std::set<std::string, std::less<>>& OtherBits() {
  static const std::set<std::string, std::less<>> names = {"acos",
                                                           "acosh",
                                                           "asin",
                                                           "asinh",
                                                           "atan",
                                                           "atan2",
                                                           "atanh",
                                                           "cbrt",
                                                           "cos",
                                                           "cosh",
                                                           "cot",
                                                           "exp",
                                                           "hash_bucket",
                                                           "haversine",
                                                           "jaccard",
                                                           "jaro_similarity",
                                                           "jaro_winkler_similarity",
                                                           "list_avg",
                                                           "list_distinct",
                                                           "list_sum",
                                                           "list_unique",
                                                           "ln",
                                                           "log",
                                                           "log10",
                                                           "log2",
                                                           "pow",
                                                           "power",
                                                           "reverse",
                                                           "sin",
                                                           "sinh",
                                                           "tan",
                                                           "tanh"};
  return names;
}

Error NotRowWise(std::string reason) { return UserError("not_row_wise", std::move(reason)); }

bool IsNothing(const Json& node, const char* member) {
  const auto found = node.find(member);
  return found == node.end() || found->is_null() || (found->is_array() && found->empty());
}

bool SameName(std::string_view a, std::string_view b) { return LowerCase(a) == LowerCase(b); }

/// FROM one table, a list and a condition, nothing else.
Status CheckNode(const Json& node) {
  if (!IsType(node, "SELECT_NODE")) return NotRowWise("is more than one SELECT");
  if (!IsNothing(node, "modifiers")) return NotRowWise("has DISTINCT, ORDER BY or LIMIT");
  const bool groups = !IsNothing(node, "group_expressions") || !IsNothing(node, "group_sets") || !IsNothing(node, "having") ||
                      TreeText(node, "aggregate_handling") != "STANDARD_HANDLING";
  if (groups) return NotRowWise("groups rows");
  if (!IsNothing(node, "qualify")) return NotRowWise("has QUALIFY");
  if (!IsNothing(node.value("cte_map", Json::object()), "map")) return NotRowWise("has a WITH");
  const Json from = node.value("from_table", Json());
  if (IsType(from, "JOIN")) return NotRowWise("joins");
  const bool plain = IsType(from, "BASE_TABLE") && TreeText(from, "schema_name").empty() &&
                     TreeText(from, "catalog_name").empty() && IsNothing(from, "sample") && IsNothing(from, "at_clause") &&
                     IsNothing(from, "column_name_alias") && IsNothing(node, "sample");
  return plain ? Ok() : Status(NotRowWise("reads more than a table"));
}

Expression ColumnOf(int index, Type type) {
  Expression column;
  column.kind = Expression::Kind::kColumn;
  column.type = type;
  column.column = index;
  return column;
}

/// Columns of the input, and what was named before in the list, where no column has that name.
class TableRowScope : public ExpressionScope {
 public:
  TableRowScope(const std::vector<Field>& fields, std::string alias, RowWiseTable& table)
      : fields_(fields), alias_(std::move(alias)), table_(table) {}

  Result<TypedExpression> Column(const std::string& name, const Json& tree) override {
    const Json names = tree.value("column_names", Json::array());
    if (names.size() > 2 || (names.size() == 2 && !SameName(names[0].get<std::string>(), alias_))) {
      return NotRowWise("reads fields of structs");
    }
    if (const Field* field = FindField(name)) return Read(*field);
    const auto named = named_.find(LowerCase(name));
    if (named != named_.end() && names.size() == 1) return named->second;
    return NotRowWise(fmt::format("reads '{}', which is no column of '{}'", name, table_.input));
  }

  std::optional<Result<TypedExpression>> Aggregate(const Json& tree) override {
    const std::string function(TreeText(tree, "function_name"));
    if (CanonicalFunction(function) == "now") return NotRowWise(fmt::format("reads {}()", function));
    if (!IsAggregateName(function) && !IsAggregateFunction(function)) return std::nullopt;
    return NotRowWise(fmt::format("aggregates ({})", function));
  }

  void Name(const std::string& name, const TypedExpression& value) { named_.try_emplace(LowerCase(name), value); }
  const std::vector<Field>& fields() const { return fields_; }
  const std::string& alias() const { return alias_; }

 private:
  const Field* FindField(const std::string& name) const {
    const auto found =
        std::find_if(fields_.begin(), fields_.end(), [&](const Field& field) { return SameName(field.name, name); });
    return found == fields_.end() ? nullptr : &*found;
  }

  Result<TypedExpression> Read(const Field& field) {
    const auto known = std::find(table_.read.begin(), table_.read.end(), field);
    const auto index = static_cast<int>(known - table_.read.begin());
    if (known == table_.read.end()) table_.read.push_back(field);
    return TypedExpression{ColumnOf(index, field.type)};
  }

  const std::vector<Field>& fields_;
  const std::string alias_;
  RowWiseTable& table_;
  std::map<std::string, TypedExpression> named_;
};

/// The seconds of a length of time, which DuckDB adds up otherwise.
bool IsEpochOfLength(const Json& function) {
  const Json arguments = function.value("children", Json::array());
  if (arguments.empty() || !IsClass(arguments.back(), "FUNCTION")) return false;
  const bool names_part =
      IsClass(arguments[0], "CONSTANT") && LowerCase(arguments[0].dump()).find("\"epoch\"") != std::string::npos;
  return SameName(TreeText(function, "function_name"), "epoch") || names_part;
}

/// What is written in an expression and has other bits in the kernel, also where it is a constant; "" for nothing.
std::string OtherBitsIn(const Json& tree) {
  if (!tree.is_structured()) return "";
  if (IsClass(tree, "FUNCTION")) {
    const std::string name(TreeText(tree, "function_name"));
    if (name == "**" || name == "^" || OtherBits().contains(CanonicalFunction(name))) return name;
    if (IsEpochOfLength(tree)) return "epoch() of a length of time";
  }
  if (IsType(tree, "OPERATOR_TRY")) return "TRY";
  if (IsClass(tree, "CAST") && TreeText(tree.value("cast_type", Json()), "id") == "FLOAT") return "FLOAT";
  for (const Json& child : tree) {
    if (std::string found = OtherBitsIn(child); !found.empty()) return found;
  }
  return "";
}

class RowWiseCompiler {
 public:
  RowWiseCompiler(const TableAsset& asset, const std::vector<Field>& input_fields, const std::vector<Field>& table_fields,
                  Session& session)
      : asset_(asset), table_fields_(table_fields), session_(session), zones_(session), input_fields_(input_fields) {}

  Result<RowWiseTable> Compile() {
    if (asset_.python) return NotRowWise("is made in Python");
    if (!asset_.known_at.empty()) return NotRowWise("declares a known_at of its own");
    if (asset_.inputs.size() != 1) return NotRowWise("joins");
    const Json statements = asset_.tree.value("statements", Json::array());
    const Json statement = statements.empty() ? asset_.tree : statements[0];
    Json node = statement.value("node", statement);
    if (!node.is_object()) return NotRowWise("is no SELECT");
    TIDEMILL_RETURN_IF_ERROR(CheckNode(node));
    table_.name = asset_.name;
    table_.input = asset_.inputs[0];
    const Json& from = node["from_table"];
    const std::string alias(TreeText(from, TreeText(from, "alias").empty() ? "table_name" : "alias"));
    TableRowScope scope(input_fields_, alias, table_);
    Json list = Json::array();
    for (const Json& entry : node.value("select_list", Json::array())) {
      if (IsClass(entry, "STAR")) {
        TIDEMILL_RETURN_IF_ERROR(AddStar(entry, scope, list));
      } else {
        TIDEMILL_RETURN_IF_ERROR(AddColumn(entry, scope, list));
      }
    }
    if (list.size() != table_fields_.size()) return NotRowWise("has columns that are not known here");
    if (!IsNothing(node, "where_clause")) TIDEMILL_RETURN_IF_ERROR(AddCondition(node["where_clause"], scope));
    node["select_list"] = std::move(list);
    TIDEMILL_RETURN_IF_ERROR(WriteSql(std::move(node)));
    return std::move(table_);
  }

 private:
  Result<TypedExpression> CompileTree(const Json& tree, TableRowScope& scope) {
    if (const std::string other = OtherBitsIn(tree); !other.empty()) {
      return NotRowWise(fmt::format("uses {}, which the kernel does not compute to DuckDB's last bit", other));
    }
    const ExpressionText text{asset_.sql, asset_.place, &zones_};
    ExpressionCompiler compiler(text, scope);
    auto value = compiler.Compile(tree);
    if (value.ok() && value->is_interval) return NotRowWise("has a length of time as a column");
    if (value.ok()) value = compiler.AsColumnType(tree, std::move(value).value());
    if (!value.ok())
      return value.error().code == "not_row_wise"
                 ? value.error()
                 : NotRowWise(fmt::format("has what the kernel lacks ({})", value.error().message));
    AddExact(value->expression);
    return value;
  }

  void AddExact(const Expression& expression) {
    if (expression.kind == Expression::Kind::kCall && expression.function == "decimal_to_number") {
      Expression units = CallOf("abs", Type::kDecimal, {expression.arguments[0]});
      table_.exact.push_back(CallOf("<=", Type::kBool, {std::move(units), ConstantOf(std::string(kExactUnits), Type::kDecimal)}));
    }
    for (const Expression& argument : expression.arguments) AddExact(argument);
  }

  Status AddColumn(Json entry, TableRowScope& scope, Json& list) {
    const size_t index = table_.columns.size();
    if (index >= table_fields_.size()) return NotRowWise("has columns that are not known here");
    const Field& field = table_fields_[index];
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression value, CompileTree(entry, scope));
    if (value.expression.type != field.type) {
      return NotRowWise(fmt::format("has a column '{}' that is {} in the kernel and {} in the lake", field.name,
                                    TypeName(value.expression.type), TypeName(field.type)));
    }
    if (!TreeText(entry, "alias").empty()) scope.Name(field.name, value);
    table_.columns.push_back({field.name, std::move(value.expression), {}});
    entry["alias"] = field.name;
    list.push_back(std::move(entry));
    return Ok();
  }

  Status AddStar(const Json& star, TableRowScope& scope, Json& list) {
    const std::string_view relation = TreeText(star, "relation_name");
    const bool plain = IsNothing(star, "replace_list") && IsNothing(star, "qualified_exclude_list") &&
                       IsNothing(star, "rename_list") && IsNothing(star, "expr") && !star.value("columns", false) &&
                       (relation.empty() || SameName(relation, scope.alias()));
    if (!plain) return NotRowWise("has a star with more than EXCLUDE");
    const Json excluded = star.value("exclude_list", Json::array());
    for (const Field& field : scope.fields()) {
      const bool left_out = std::any_of(excluded.begin(), excluded.end(), [&](const Json& name) {
        return name.is_string() && SameName(name.get<std::string>(), field.name);
      });
      if (left_out) continue;
      TIDEMILL_ASSIGN_OR_RETURN(const Json reference, Reference(field.name));
      TIDEMILL_RETURN_IF_ERROR(AddColumn(reference, scope, list));
    }
    return Ok();
  }

  Status AddCondition(const Json& tree, TableRowScope& scope) {
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression value, CompileTree(tree, scope));
    if (value.expression.type != Type::kBool) return NotRowWise("has a condition that is neither true nor false");
    table_.chosen.push_back(std::move(value.expression));
    return Ok();
  }

  Result<Json> Reference(const std::string& column) {
    TIDEMILL_ASSIGN_OR_RETURN(const Json node, ParseNode(session_, fmt::format("SELECT {}", QuoteIdentifier(column))));
    return node.at("select_list").at(0);
  }

  Status WriteSql(Json node) {
    std::string casts;
    for (const Field& field : table_fields_) {
      const std::string name = QuoteIdentifier(field.name);
      casts += fmt::format("CAST({} AS {}) AS {}, ", name, SqlTypeName(field.type), name);
    }
    for (const char* carried : {"_seq", "_known_at"}) {
      TIDEMILL_ASSIGN_OR_RETURN(Json reference, Reference(carried));
      node["select_list"].push_back(std::move(reference));
    }
    TIDEMILL_ASSIGN_OR_RETURN(const std::string rendered, RenderNode(session_, node));
    table_.sql = fmt::format("SELECT {}_seq, _known_at FROM ({})", casts, rendered);
    return Ok();
  }

  const TableAsset& asset_;
  const std::vector<Field>& table_fields_;
  Session& session_;
  ZoneReader zones_;
  const std::vector<Field>& input_fields_;
  RowWiseTable table_;
};

}  // namespace

bool RowWiseTable::only_names() const {
  return chosen.empty() && std::all_of(columns.begin(), columns.end(),
                                       [](const Output& column) { return column.expression.kind == Expression::Kind::kColumn; });
}

RowWiseTable TableOfColumns(const std::string& name, const std::string& input,
                            const std::map<std::string, std::string>& columns) {
  RowWiseTable table;
  table.name = name;
  table.input = input;
  for (const auto& [of_table, of_input] : columns) {
    table.sql += fmt::format("{} AS {}, ", QuoteIdentifier(of_input), QuoteIdentifier(of_table));
    table.columns.push_back({of_table, ColumnOf(static_cast<int>(table.read.size()), Type::kInt64), {}});
    table.read.push_back({of_input, Type::kInt64});
  }
  table.sql = fmt::format("SELECT {}_seq, _known_at FROM {}", table.sql, QuoteIdentifier(input));
  return table;
}

Result<RowWiseTable> CompileRowWise(const TableAsset& table, const std::vector<Field>& input_fields,
                                    const std::vector<Field>& table_fields, Session& session) {
  return RowWiseCompiler(table, input_fields, table_fields, session).Compile();
}

std::string RowsOfTables(const std::vector<RowWiseTable>& tables) {
  if (tables.empty()) return "";
  std::string rows = fmt::format("SELECT * FROM lake.main.{}", QuoteIdentifier(tables.front().input));
  for (const RowWiseTable& table : tables)
    rows = fmt::format("WITH {} AS NOT MATERIALIZED ({}) {}", QuoteIdentifier(table.input), rows, table.sql);
  return "(" + rows + ")";
}

struct RowWiseTables::Step {
  RowWiseTable table;
  std::vector<Type> types;
  std::vector<Node> columns, chosen, exact;

  /// One row; nullopt: it is in the table, and its computed values are in `values`.
  struct Outcome {
    bool present = true;
    std::optional<std::string> uncomputed;  ///< the column
  };
  Outcome Compute(Evaluation& evaluation, std::vector<Datum>& values) const {
    for (const Node& condition : chosen) {
      const Datum kept = Evaluate(condition, evaluation);
      if (evaluation.failures > 0) return {false, ""};
      if (kept.null || kept.integer == 0) return {false, std::nullopt};
    }
    for (size_t i = 0; i < columns.size(); ++i) {
      values[i] = Evaluate(columns[i], evaluation);
      if (evaluation.failures > 0) return {false, table.columns[i].name};
    }
    for (const Node& one : exact) {
      const Datum is_exact = Evaluate(one, evaluation);
      if (!is_exact.null && is_exact.integer == 0) return {false, std::nullopt};
    }
    return {};
  }
};

Result<RowWiseTables> RowWiseTables::Make(const std::vector<RowWiseTable>& tables) {
  RowWiseTables ready;
  for (const RowWiseTable& table : tables) {
    auto step = std::make_shared<Step>();
    step->table = table;
    for (const Field& field : table.read) step->types.push_back(field.type);
    const auto prepare = [&](const Expression& expression, std::vector<Node>& nodes) -> Status {
      TIDEMILL_ASSIGN_OR_RETURN(Node node, Prepare(expression, step->types));
      nodes.push_back(std::move(node));
      return Ok();
    };
    if (!table.only_names()) {
      for (const Output& column : table.columns) TIDEMILL_RETURN_IF_ERROR(prepare(column.expression, step->columns));
    }
    for (const Expression& expression : table.chosen) TIDEMILL_RETURN_IF_ERROR(prepare(expression, step->chosen));
    for (const Expression& expression : table.exact) TIDEMILL_RETURN_IF_ERROR(prepare(expression, step->exact));
    ready.steps_.push_back(std::move(step));
  }
  return ready;
}

Result<RowsOfTable> RowWiseTables::Apply(const Columns& source) const {
  RowsOfTable rows;
  for (const Column& column : source.columns) rows.columns[column.name] = &column;
  const size_t count = source.rows();
  for (const auto& step : steps_) {
    std::vector<const Column*> inputs;
    for (const Field& field : step->table.read) {
      const auto found = rows.columns.find(field.name);
      if (found == rows.columns.end()) {
        return UserError("unknown_column", fmt::format("'{}' has no column '{}' for the table '{}'", step->table.input,
                                                       field.name, step->table.name));
      }
      inputs.push_back(found->second);
    }
    std::map<std::string, const Column*> made;
    std::vector<Column*> computed(step->table.columns.size());
    for (size_t i = 0; i < computed.size(); ++i) {
      const Output& column = step->table.columns[i];
      if (column.expression.kind == Expression::Kind::kColumn) {
        made[column.name] = inputs[static_cast<size_t>(column.expression.column)];
      } else {
        computed[i] = &rows.made_.emplace_back(column.name, column.expression.type);
        made[column.name] = computed[i];
      }
    }
    if (!step->table.only_names()) {
      if (rows.present.empty()) rows.present.assign(count, 1);
      std::vector<Datum> row(inputs.size());
      std::vector<Datum> values(computed.size());
      TextPool texts;
      for (size_t at = 0; at < count; ++at) {
        texts.Reset();
        Evaluation evaluation{row, texts};
        if (rows.present[at] != 0) {
          for (size_t i = 0; i < inputs.size(); ++i) row[i] = ColumnDatum(*inputs[i], at);
          const Step::Outcome outcome = step->Compute(evaluation, values);
          rows.present[at] = outcome.present ? 1 : 0;
          if (outcome.uncomputed) rows.uncomputed.push_back({at, step->table.name, *outcome.uncomputed});
        }
        for (size_t i = 0; i < computed.size(); ++i) {
          if (computed[i] != nullptr) AppendDatum(rows.present[at] != 0 ? values[i] : Datum{}, *computed[i]);
        }
      }
    }
    rows.columns = std::move(made);
  }
  return rows;
}

}  // namespace tidemill
