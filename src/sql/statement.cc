#include "sql/statement.h"

#include <fmt/format.h>

#include <algorithm>

#include "sql/select_tree.h"

namespace tidemill {
namespace {

/// Collects the tables that a tree reads, and refuses what can't be part of a project.
class StatementReader {
 public:
  Status Read(const Json& tree) {
    if (tree.is_array()) {
      for (const Json& child : tree) TIDEMILL_RETURN_IF_ERROR(Read(child));
      return Ok();
    }
    if (!tree.is_object()) return Ok();
    TIDEMILL_RETURN_IF_ERROR(Check(tree));
    if (IsType(tree, "BASE_TABLE") && ctes_.Find(tree) == nullptr) AddTable(tree);
    const size_t mark = ctes_.Mark();
    if (tree.contains("cte_map")) TIDEMILL_RETURN_IF_ERROR(ReadCtes(tree["cte_map"]));
    if (IsType(tree, "RECURSIVE_CTE_NODE")) ctes_.Push(TreeText(tree, "cte_name"), false);
    for (const auto& [member, child] : tree.items()) {
      if (member != "cte_map") TIDEMILL_RETURN_IF_ERROR(Read(child));
    }
    ctes_.PopTo(mark);
    return Ok();
  }

  struct Found {
    std::string name;
    size_t offset = 0;
    size_t length = 1;
  };
  const std::vector<Found>& tables() const { return tables_; }

 private:
  Status ReadCtes(const Json& cte_map) {
    for (const Json& cte : cte_map["map"]) {
      TIDEMILL_RETURN_IF_ERROR(Read(cte["value"]));
      ctes_.Push(TreeText(cte, "key"), false);
    }
    return Ok();
  }

  static Status Check(const Json& tree) {
    const std::string_view type = TreeText(tree, "type");
    const std::string_view function = TreeText(tree, "function_name");
    if (IsVolatileFunction(function)) {
      return TreeError("sql_volatile", fmt::format("{}() gives another value at each run", function), tree,
                       "a result must be computable again: hash(...) of a key gives stable pseudo-random numbers");
    }
    if (tree.contains("sample") && !tree["sample"].is_null()) {
      return TreeError("sql_volatile", "a sample differs at each run", tree, "keep a stable share with WHERE hash(key) % 10 = 0");
    }
    if (type == "TABLE_FUNCTION" && !IsComputingTableFunction(TreeText(tree["function"], "function_name"))) {
      return TreeError("sql_unsupported", fmt::format("{}() can't be read here", TreeText(tree["function"], "function_name")),
                       tree, "files come in through a source: describe it in sources/ and read it by its name");
    }
    if (type == "SHOW_REF")
      return TreeError("sql_unsupported", "SHOW, DESCRIBE and SUMMARIZE can't be used here", tree, "write a SELECT");
    if (type == "VALUE_PARAMETER") return TreeError("sql_unsupported", "a statement here has no parameters", tree, "");
    return Ok();
  }

  void AddTable(const Json& tree) {
    const std::string_view schema = TreeText(tree, "schema_name");
    Found found;
    found.name = fmt::format("{}{}{}", schema, schema.empty() ? "" : ".", TreeText(tree, "table_name"));
    found.offset = TreeOffset(tree).value_or(0);
    found.length = found.name.size();
    const bool known = std::any_of(tables_.begin(), tables_.end(), [&](const Found& other) { return other.name == found.name; });
    if (!known) tables_.push_back(std::move(found));
  }

  CteScopes ctes_;
  std::vector<Found> tables_;
};

Place PlaceAt(size_t offset, size_t length, std::string_view sql, const std::string& file, int first_line) {
  Error error;
  error.place = Place{};
  error.place->column = static_cast<int>(offset) + 1;
  error.place->length = static_cast<int>(length);
  return *PlaceInStatement(std::move(error), sql, file, first_line).place;
}

Result<SelectStatement> ParseUnplaced(Session& session, std::string_view sql, const std::string& file, int first_line) {
  TIDEMILL_ASSIGN_OR_RETURN(Json statements, ParseStatements(session, sql));
  if (statements.empty()) return UserError("sql_syntax", "there is no statement here", "write a SELECT");
  if (statements.size() > 1)
    return TreeError("sql_unsupported", "one SELECT is expected, here begins another", statements[1], "remove it");
  SelectStatement statement;
  statement.tree = std::move(statements[0]["node"]);
  StatementReader reader;
  TIDEMILL_RETURN_IF_ERROR(reader.Read(statement.tree));
  for (const auto& found : reader.tables()) {
    statement.tables.push_back({found.name, PlaceAt(found.offset, found.length, sql, file, first_line)});
  }
  // DuckDB lists a node's members in its own order, not as written.
  std::stable_sort(statement.tables.begin(), statement.tables.end(), [](const TableReference& a, const TableReference& b) {
    return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
  });
  return statement;
}

constexpr std::string_view kExpressionPrefix = "SELECT ";

/// Whether a SELECT consists of one expression without a name and nothing else.
bool IsOneExpression(const Json& node) {
  return IsType(node, "SELECT_NODE") && node["select_list"].size() == 1 && TreeText(node["select_list"][0], "alias").empty() &&
         IsType(node["from_table"], "EMPTY") && node["where_clause"].is_null() && node["having"].is_null() &&
         node["qualify"].is_null() && node["modifiers"].empty() && node["group_expressions"].empty() &&
         TreeText(node, "aggregate_handling") == "STANDARD_HANDLING";
}

Result<Json> ParseExpressionUnplaced(Session& session, std::string_view expression) {
  TIDEMILL_ASSIGN_OR_RETURN(Json statements, ParseStatements(session, fmt::format("{}{}", kExpressionPrefix, expression)));
  if (statements.size() != 1 || !IsOneExpression(statements[0]["node"])) {
    return UserError("sql_syntax", fmt::format("'{}' is not one expression", expression),
                     "write one expression without AS, FROM or commas outside of parentheses");
  }
  StatementReader reader;
  TIDEMILL_RETURN_IF_ERROR(reader.Read(statements[0]["node"]));
  return std::move(statements[0]["node"]["select_list"][0]);
}

void RemoveLayout(Json* tree) {
  if (tree->is_object()) {
    tree->erase("query_location");
    tree->erase("named_param_map");
  }
  if (!tree->is_structured()) return;
  for (Json& child : *tree) RemoveLayout(&child);
}

}  // namespace

Result<SelectStatement> ParseSelect(Session& session, std::string_view sql, const std::string& file, int first_line) {
  auto statement = ParseUnplaced(session, sql, file, first_line);
  if (!statement.ok()) return PlaceInStatement(std::move(statement).error(), sql, file, first_line);
  return statement;
}

Result<Json> ParseExpression(Session& session, std::string_view expression, const Place& place) {
  auto tree = ParseExpressionUnplaced(session, expression);
  if (tree.ok()) return tree;
  Error error = std::move(tree).error();
  Place placed = place;
  const int offset = error.place ? error.place->column - 1 - static_cast<int>(kExpressionPrefix.size()) : -1;
  const bool inside = offset >= 0 && offset < static_cast<int>(expression.size());
  // A text of one line stands in its file as it is; the column of a quoted or folded one is only near.
  if (inside && place.column > 0 && expression.find('\n') == std::string_view::npos) {
    const bool quoted = static_cast<size_t>(place.column) <= place.excerpt.size() &&
                        (place.excerpt[place.column - 1] == '"' || place.excerpt[place.column - 1] == '\'');
    placed.column += offset + (quoted ? 1 : 0);
    placed.length = error.place->length;
  }
  error.place = placed;
  return error;
}

std::string CanonicalText(const Json& tree) {
  Json canonical = tree;
  RemoveLayout(&canonical);
  return canonical.dump();
}

Result<std::string> RenderSelect(Session& session, const Json& tree) { return RenderNode(session, tree); }

}  // namespace tidemill
