#include "feature/online/pushed_views.h"

#include <algorithm>

#include "sql/select_tree.h"

namespace tidemill {
namespace {

/// The source that a table reads, when it is the only one and pushed.
const SourceAsset* OnlyPushedSource(const Project& project, const TableAsset& table) {
  if (table.inputs.size() != 1 || !table.known_at.empty()) return nullptr;
  const auto source = project.sources.find(table.inputs[0]);
  return source == project.sources.end() || !source->second.pushed ? nullptr : &source->second;
}

bool IsNothing(const Json& node, const char* member) {
  const auto found = node.find(member);
  return found == node.end() || found->is_null() || (found->is_array() && found->empty());
}

/// FROM one table and a list, nothing else.
bool OnlySelects(const Json& node) {
  for (const char* member : {"modifiers", "where_clause", "group_expressions", "group_sets", "having", "sample", "qualify"}) {
    if (!IsNothing(node, member)) return false;
  }
  const Json from = node.value("from_table", Json());
  const Json ctes = node.value("cte_map", Json::object());
  return IsType(node, "SELECT_NODE") && IsType(from, "BASE_TABLE") && IsNothing(from, "sample") && IsNothing(from, "at_clause") &&
         IsNothing(from, "column_name_alias") && IsNothing(ctes, "map");
}

std::string Named(const SourceAsset& source, const std::string& written) {
  for (const ContractColumn& column : source.contract.columns) {
    if (LowerCase(column.name) == LowerCase(written)) return column.name;
  }
  return "";
}

/// Adds what one entry of the list selects; false when it is more than columns.
bool AddSelected(const SourceAsset& source, const Json& entry, std::map<std::string, std::string>& columns) {
  if (IsClass(entry, "STAR")) {
    for (const char* member : {"exclude_list", "replace_list", "qualified_exclude_list", "rename_list", "expr"}) {
      if (!IsNothing(entry, member)) return false;
    }
    if (entry.value("columns", false)) return false;
    for (const ContractColumn& column : source.contract.columns) columns[column.name] = column.name;
    return true;
  }
  if (!IsClass(entry, "COLUMN_REF")) return false;
  const Json names = entry.value("column_names", Json::array());
  if (names.empty() || !names.back().is_string()) return false;
  const std::string name = Named(source, names.back().get<std::string>());
  if (name.empty()) return false;
  const std::string alias(TreeText(entry, "alias"));
  columns[alias.empty() ? name : alias] = name;
  return true;
}

}  // namespace

std::map<std::string, std::string> ColumnsOfPushedSource(const Project& project, const TableAsset& table) {
  const SourceAsset* source = OnlyPushedSource(project, table);
  if (source == nullptr) return {};
  const Json statements = table.tree.value("statements", Json::array());
  const Json statement = statements.empty() ? table.tree : statements[0];
  const Json node = statement.value("node", statement);
  if (!node.is_object() || !OnlySelects(node)) return {};
  std::map<std::string, std::string> columns;
  for (const Json& entry : node.value("select_list", Json::array())) {
    if (!AddSelected(*source, entry, columns)) return {};
  }
  return columns;
}

std::vector<PushedView> FindPushedViews(const Project& project, const std::map<std::string, Program>& programs) {
  std::vector<PushedView> views;
  for (const auto& [name, program] : programs) {
    const auto view = project.views.find(name);
    if (view == project.views.end()) continue;
    const auto table = project.tables.find(view->second.from);
    if (table == project.tables.end()) continue;
    std::map<std::string, std::string> columns = ColumnsOfPushedSource(project, table->second);
    if (!columns.empty()) {
      views.push_back({program, table->second.inputs[0], table->first, table->second.timestamp, std::move(columns)});
    }
  }
  return views;
}

}  // namespace tidemill
