#include <fmt/format.h>

#include <algorithm>

#include "base/text_distance.h"
#include "sql/select_tree.h"
#include "sql/statement.h"
#include "transform/table_query.h"
#include "transform/transform.h"

namespace tidemill {
namespace {

using FieldsByTable = std::map<std::string, std::vector<Field>>;

std::vector<std::string> NamesOf(const std::vector<Field>& fields) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  return names;
}

const Field* FindField(const std::vector<Field>& fields, std::string_view name) {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const Field& field) { return field.name == name; });
  return found == fields.end() ? nullptr : &*found;
}

/// The first part of a statement whose result for old rows changes when rows arrive, or nullptr.
const Json* FindNotAppendable(const Json& tree) {
  if (!tree.is_structured()) return nullptr;
  if (tree.is_object()) {
    const std::string type = tree.contains("type") && tree["type"].is_string() ? tree["type"].get<std::string>() : "";
    const bool distinct = type == "DISTINCT_MODIFIER" || (type == "SET_OPERATION_NODE" && !tree.value("setop_all", false));
    const bool grouped =
        type == "SELECT_NODE" && (!tree["group_sets"].empty() || tree["aggregate_handling"] == "FORCE_AGGREGATES");
    const bool aggregates = tree.contains("function_name") && tree["class"] == "FUNCTION" &&
                            IsAggregateFunction(tree["function_name"].get<std::string>());
    if (distinct || grouped || aggregates || type == "LIMIT_MODIFIER" || type == "LIMIT_PERCENT_MODIFIER") return &tree;
  }
  for (const Json& child : tree) {
    if (const Json* found = FindNotAppendable(child)) return found;
  }
  return nullptr;
}

/// Empty temporary tables in the place of the lake's; gone at the end.
class EmptyTables {
 public:
  explicit EmptyTables(Session& session) : session_(session) {}
  EmptyTables(const EmptyTables&) = delete;
  EmptyTables& operator=(const EmptyTables&) = delete;
  ~EmptyTables() {
    for (const std::string& name : names_) (void)session_.Execute("DROP TABLE IF EXISTS temp." + QuoteIdentifier(name));
  }

  Status Make(const std::string& name, const std::vector<Field>& fields) {
    names_.push_back(name);
    Columns columns;
    for (const Field& field : fields) columns.columns.emplace_back(field.name, field.type);
    return session_.LoadTemporary(name, columns);
  }

  Status AddRowIdentity() {
    for (const std::string& name : names_) {
      TIDEMILL_RETURN_IF_ERROR(
          session_.Execute(fmt::format("ALTER TABLE temp.{0} ADD COLUMN _seq BIGINT; ALTER TABLE temp.{0} ADD COLUMN "
                                       "_known_at TIMESTAMP",
                                       QuoteIdentifier(name))));
    }
    return Ok();
  }

 private:
  Session& session_;
  std::vector<std::string> names_;
};

class TableBinder {
 public:
  TableBinder(const Project& project, const FieldsByTable& source_fields, Session& session)
      : project_(project), session_(session), tables_(session), fields_(source_fields) {}

  Result<FieldsByTable> Bind() {
    for (const auto& [name, fields] : fields_) TIDEMILL_RETURN_IF_ERROR(tables_.Make(name, fields));
    FieldsByTable bound;
    for (const AssetNode& node : project_.graph) {
      if (node.kind != AssetKind::kTable || !InputsBound(node)) continue;
      const TableAsset& table = project_.tables.at(node.name);
      auto fields = BindTable(table);
      if (!fields.ok()) {
        errors_.push_back(std::move(fields).error());
        continue;
      }
      TIDEMILL_RETURN_IF_ERROR(tables_.Make(table.name, *fields));
      bound[table.name] = fields_[table.name] = std::move(fields).value();
    }
    TIDEMILL_RETURN_IF_ERROR(tables_.AddRowIdentity());
    for (const auto& [name, fields] : bound) {
      if (project_.tables.at(name).python) continue;
      Status carries = CheckCarries(project_.tables.at(name), fields);
      if (!carries.ok()) errors_.push_back(std::move(carries).error());
    }
    if (errors_.empty()) return bound;
    Error first = std::move(errors_.front());
    first.others.insert(first.others.end(), std::make_move_iterator(errors_.begin() + 1), std::make_move_iterator(errors_.end()));
    return first;
  }

 private:
  bool InputsBound(const AssetNode& node) const {
    return std::all_of(node.inputs.begin(), node.inputs.end(),
                       [this](const std::string& input) { return fields_.contains(input); });
  }

  /// Over tables as users see them, so that DuckDB's offsets are those of the file.
  Result<std::vector<Field>> BindTable(const TableAsset& table) {
    if (table.python) return BindPython(table);
    auto fields = session_.Describe(table.sql);
    if (!fields.ok()) return PlaceInStatement(std::move(fields).error(), table.sql, table.file);
    TIDEMILL_RETURN_IF_ERROR(CheckDistinctNames(*fields, table));
    TIDEMILL_RETURN_IF_ERROR(CheckDeclared(table, *fields));
    if (table.update == TableUpdate::kAppend) TIDEMILL_RETURN_IF_ERROR(CheckAppendable(table));
    TIDEMILL_ASSIGN_OR_RETURN(rewritten_[table.name], RewriteTable(project_, table, session_, Timestamp{}));
    return fields;
  }

  /// What it returns is known when it runs; then it must be what it declares.
  static Result<std::vector<Field>> BindPython(const TableAsset& table) {
    TIDEMILL_RETURN_IF_ERROR(CheckDeclared(table, table.python->columns));
    if (table.update == TableUpdate::kReplace) return table.python->columns;
    return InTableFile(UserError("append_unsupported",
                                 fmt::format("table '{}' can't be appended to: what a Python function makes of its old rows may "
                                             "change when new ones arrive",
                                             table.name),
                                 "remove 'update: append': the table is then computed anew when its inputs change"),
                       table);
  }

  static Status CheckDeclared(const TableAsset& table, const std::vector<Field>& fields) {
    for (const std::string& column : table.key) TIDEMILL_RETURN_IF_ERROR(CheckColumn(table, "key", column, fields));
    for (const auto& [property, column] : {std::pair("timestamp", table.timestamp), std::pair("known_at", table.known_at)}) {
      if (column.empty()) continue;
      TIDEMILL_RETURN_IF_ERROR(CheckColumn(table, property, column, fields));
      const Type type = FindField(fields, column)->type;
      if (type == Type::kTimestamp || type == Type::kDate) continue;
      return UserErrorAt("wrong_type",
                         fmt::format("'{}' of table '{}' is column '{}', which is a {}, not a time", property, table.name, column,
                                     TypeName(type)),
                         table.place,
                         table.python ? fmt::format("declare it in 'columns' as a timestamp: {}", column)
                                      : fmt::format("cast it in {}: {}::TIMESTAMP AS {}", table.file, column, column));
    }
    return Ok();
  }

  static Status CheckColumn(const TableAsset& table, std::string_view property, const std::string& column,
                            const std::vector<Field>& fields) {
    if (FindField(fields, column) != nullptr) return Ok();
    return UserErrorAt("unknown_column",
                       fmt::format("'{}' of table '{}' names the column '{}', which its {} doesn't give", property, table.name,
                                   column, table.python ? "function" : "SQL"),
                       table.place, SuggestionHint(column, NamesOf(fields)));
  }

  static Status CheckAppendable(const TableAsset& table) {
    const Json* part = FindNotAppendable(table.tree);
    if (part == nullptr) return Ok();
    return InTableFile(UserError("append_unsupported",
                                 fmt::format("table '{}' can't be appended to: with aggregates, DISTINCT or LIMIT its "
                                             "old rows change when new ones arrive",
                                             table.name),
                                 "remove 'update: append': the table is then computed anew when its inputs change"),
                       table);
  }

  /// The statement as it will run over the lake must give what the written one gives.
  Status CheckCarries(const TableAsset& table, const std::vector<Field>& fields) {
    auto carried = session_.Describe(rewritten_.at(table.name));
    if (!carried.ok()) return InTableFile(std::move(carried).error(), table);
    carried->resize(carried->size() - 2);  // without _seq and _known_at
    if (*carried == fields) return Ok();
    return InTableFile(
        UserError("sql_unsupported", fmt::format("table '{}' would get other columns in the lake than its SQL gives", table.name),
                  "name its columns one by one"),
        table);
  }

  const Project& project_;
  Session& session_;
  EmptyTables tables_;
  FieldsByTable fields_;
  std::map<std::string, std::string> rewritten_;
  std::vector<Error> errors_;
};

}  // namespace

Result<FieldsByTable> BindTables(const Project& project, const FieldsByTable& source_fields, Session& session) {
  return TableBinder(project, source_fields, session).Bind();
}

}  // namespace tidemill
