#include "sql/column_lineage.h"

#include <algorithm>
#include <optional>
#include <set>

#include "sql/select_tree.h"

namespace tidemill {
namespace {

using Origins = std::map<ColumnOrigin, bool>;

void Add(const Origins& more, bool direct, Origins* origins) {
  for (const auto& [origin, is_direct] : more) {
    bool& known = origins->try_emplace(origin, false).first->second;
    known = known || (direct && is_direct);
  }
}

bool SameName(std::string_view a, std::string_view b) { return LowerCase(a) == LowerCase(b); }

const Json& Member(const Json& tree, const char* name) {
  static const Json kNone;
  if (!tree.is_object()) return kNone;
  const auto found = tree.find(name);
  return found == tree.end() ? kNone : *found;
}

/// What FROM offers under one name.
struct Relation {
  std::string alias;
  std::vector<ColumnLineage> columns;
  std::optional<Origins> open;  ///< its columns' names are not known: any name may be one, and depends on these

  const ColumnLineage* Find(std::string_view name) const {
    const auto found = std::find_if(columns.begin(), columns.end(), [&](const auto& c) { return SameName(c.column, name); });
    return found == columns.end() ? nullptr : &*found;
  }
  Origins All() const {
    Origins all;
    for (const ColumnLineage& column : columns) Add(column.origins, true, &all);
    if (open) Add(*open, true, &all);
    return all;
  }
};

/// The names that an expression can use; those of the SELECTs around it come after its own.
struct Scope {
  std::vector<Relation> relations;
  std::vector<ColumnLineage> aliases;  ///< of the select list so far
  std::set<std::string> merged;        ///< by USING: `*` shows them once
  const Scope* outer = nullptr;
};

class ColumnTracer {
 public:
  explicit ColumnTracer(const std::map<std::string, std::vector<Field>>& tables) : tables_(tables) {}

  std::vector<ColumnLineage> TraceNode(const Json& node, const Scope* outer) {
    const size_t mark = ctes_.size();
    for (const Json& cte : Member(Member(node, "cte_map"), "map")) EnterCte(cte, outer);
    std::vector<ColumnLineage> columns;
    if (IsType(node, "SELECT_NODE")) columns = TraceSelect(node, outer);
    if (IsType(node, "SET_OPERATION_NODE")) columns = TraceSetOperation(node, outer);
    if (IsType(node, "RECURSIVE_CTE_NODE")) columns = TraceRecursion(node, outer);
    ctes_.resize(mark);
    return columns;
  }

 private:
  struct Cte {
    std::string name;
    std::vector<ColumnLineage> columns;
  };

  static void Rename(const Json& names, std::vector<ColumnLineage>* columns) {
    for (size_t i = 0; names.is_array() && i < names.size() && i < columns->size(); ++i)
      (*columns)[i].column = names[i].get<std::string>();
  }

  void EnterCte(const Json& cte, const Scope* outer) {
    const Json& value = Member(cte, "value");
    std::vector<ColumnLineage> columns = TraceNode(Member(Member(value, "query"), "node"), outer);
    Rename(Member(value, "aliases"), &columns);
    ctes_.push_back({LowerCase(TreeText(cte, "key")), std::move(columns)});
  }

  // ---- results ----

  std::vector<ColumnLineage> TraceSelect(const Json& node, const Scope* outer) {
    Scope scope;
    scope.outer = outer;
    Origins deciding;
    EnterRelation(Member(node, "from_table"), &scope, &deciding);
    std::vector<ColumnLineage> columns;
    for (const Json& item : Member(node, "select_list")) SelectItem(item, &scope, &columns);
    for (const char* part : {"where_clause", "having", "qualify", "sample"})
      Add(ReadsOf(Member(node, part), scope), false, &deciding);
    for (const Json& group : Member(node, "group_expressions")) Add(OfItem(group, scope, columns), false, &deciding);
    if (TreeText(node, "aggregate_handling") == "FORCE_AGGREGATES") GroupByAll(node, scope, &deciding);
    AddModifiers(node, scope, columns, &deciding);
    for (ColumnLineage& column : columns) Add(deciding, false, &column.origins);
    return columns;
  }

  /// An expression of GROUP BY or ORDER BY; a whole number names a column of the result.
  Origins OfItem(const Json& item, const Scope& scope, const std::vector<ColumnLineage>& columns) {
    const Json& constant = Member(Member(item, "value"), "value");
    if (IsClass(item, "CONSTANT") && constant.is_number_integer()) {
      const auto position = constant.get<int64_t>();
      if (position >= 1 && position <= static_cast<int64_t>(columns.size()))
        return columns[static_cast<size_t>(position - 1)].origins;
    }
    if (IsClass(item, "STAR")) return AllOf(columns);
    return ReadsOf(item, scope);
  }

  static Origins AllOf(const std::vector<ColumnLineage>& columns) {
    Origins all;
    for (const ColumnLineage& column : columns) Add(column.origins, true, &all);
    return all;
  }

  static bool HasAggregate(const Json& tree) {
    if (!tree.is_structured() || tree.contains("cte_map")) return false;
    if (IsClass(tree, "FUNCTION") && IsAggregateFunction(TreeText(tree, "function_name"))) return true;
    return std::any_of(tree.begin(), tree.end(), [](const Json& child) { return HasAggregate(child); });
  }

  void GroupByAll(const Json& node, const Scope& scope, Origins* deciding) {
    for (const Json& item : Member(node, "select_list")) {
      if (!HasAggregate(item)) Add(ReadsOf(item, scope), false, deciding);
    }
  }

  void AddModifiers(const Json& node, const Scope& scope, const std::vector<ColumnLineage>& columns, Origins* deciding) {
    for (const Json& modifier : Member(node, "modifiers")) {
      if (IsType(modifier, "ORDER_MODIFIER")) {
        for (const Json& order : Member(modifier, "orders"))
          Add(OfItem(Member(order, "expression"), scope, columns), false, deciding);
      } else if (IsType(modifier, "DISTINCT_MODIFIER") && Member(modifier, "distinct_on_targets").empty()) {
        Add(AllOf(columns), false, deciding);
      } else {
        Add(ReadsOf(modifier, scope), false, deciding);
      }
    }
  }

  std::vector<ColumnLineage> TraceSetOperation(const Json& node, const Scope* outer) {
    std::vector<ColumnLineage> columns = TraceNode(Member(node, "left"), outer);
    const std::vector<ColumnLineage> right = TraceNode(Member(node, "right"), outer);
    const std::string_view kind = TreeText(node, "setop_type");
    const bool all = Member(node, "setop_all").is_boolean() && Member(node, "setop_all").get<bool>();
    Origins deciding;
    if (!all || kind == "EXCEPT" || kind == "INTERSECT") {
      Add(AllOf(columns), false, &deciding);
      Add(AllOf(right), false, &deciding);
    }
    MergeRows(right, kind == "UNION_BY_NAME", &columns);
    Scope scope;
    scope.aliases = columns;
    AddModifiers(node, scope, columns, &deciding);
    for (ColumnLineage& column : columns) Add(deciding, false, &column.origins);
    return columns;
  }

  static void MergeRows(const std::vector<ColumnLineage>& more, bool by_name, std::vector<ColumnLineage>* columns) {
    for (size_t i = 0; i < more.size(); ++i) {
      auto target = by_name ? std::find_if(columns->begin(), columns->end(),
                                           [&](const auto& c) { return SameName(c.column, more[i].column); })
                            : columns->begin() + static_cast<ptrdiff_t>(std::min(i, columns->size()));
      if (target != columns->end()) {
        Add(more[i].origins, true, &target->origins);
      } else if (by_name) {
        columns->push_back(more[i]);
      }
    }
  }

  /// Each round carries what one column takes over from another a step further.
  std::vector<ColumnLineage> TraceRecursion(const Json& node, const Scope* outer) {
    std::vector<ColumnLineage> columns = TraceNode(Member(node, "left"), outer);
    for (size_t round = 0; round <= columns.size(); ++round) {
      ctes_.push_back({LowerCase(TreeText(node, "cte_name")), columns});
      const std::vector<ColumnLineage> right = TraceNode(Member(node, "right"), outer);
      ctes_.pop_back();
      MergeRows(right, /*by_name=*/false, &columns);
    }
    return columns;
  }

  // ---- the select list ----

  void SelectItem(const Json& item, Scope* scope, std::vector<ColumnLineage>* columns) {
    if (IsClass(item, "STAR")) {
      ExpandStar(item, *scope, columns);
      return;
    }
    ColumnLineage column{std::string(TreeText(item, "alias")), ReadsOf(item, *scope)};
    if (column.column.empty() && IsClass(item, "COLUMN_REF")) column.column = item["column_names"].back().get<std::string>();
    if (!TreeText(item, "alias").empty()) scope->aliases.push_back(column);
    columns->push_back(std::move(column));
  }

  void ExpandStar(const Json& star, const Scope& scope, std::vector<ColumnLineage>* columns) {
    const std::string_view wanted = TreeText(star, "relation_name");
    std::set<std::string> shown;
    for (const Relation& relation : scope.relations) {
      if (!wanted.empty() && !SameName(relation.alias, wanted)) continue;
      for (const ColumnLineage& column : relation.columns) {
        const std::string name = LowerCase(column.column);
        if (IsExcluded(star, relation.alias, name)) continue;
        if (scope.merged.contains(name) && !shown.insert(name).second) continue;
        columns->push_back(InStar(star, column, scope));
      }
      if (relation.open) columns->push_back({"", *relation.open});
    }
  }

  static bool IsExcluded(const Json& star, std::string_view relation, const std::string& name) {
    for (const Json& excluded : Member(star, "exclude_list")) {
      if (excluded.is_string() && SameName(excluded.get<std::string>(), name)) return true;
    }
    for (const Json& excluded : Member(star, "qualified_exclude_list")) {
      const std::string_view table = TreeText(excluded, "table");
      if (SameName(TreeText(excluded, "column"), name) && (table.empty() || SameName(table, relation))) return true;
    }
    return false;
  }

  ColumnLineage InStar(const Json& star, ColumnLineage column, const Scope& scope) {
    for (const Json& replaced : Member(star, "replace_list")) {
      if (SameName(TreeText(replaced, "key"), column.column)) column.origins = ReadsOf(Member(replaced, "value"), scope);
    }
    for (const Json& renamed : Member(star, "rename_list")) {
      if (!SameName(TreeText(Member(renamed, "key"), "column"), column.column)) continue;
      column.column = TreeText(renamed, "value");
      break;
    }
    return column;
  }

  // ---- FROM ----

  void EnterRelation(const Json& relation, Scope* scope, Origins* deciding) {
    if (IsType(relation, "BASE_TABLE")) {
      AddRelation(relation, TableColumns(relation), scope);
    } else if (IsType(relation, "SUBQUERY")) {
      AddRelation(relation, TraceNode(Member(Member(relation, "subquery"), "node"), scope), scope);
    } else if (IsType(relation, "JOIN")) {
      EnterJoin(relation, scope, deciding);
    } else if (IsType(relation, "PIVOT")) {
      EnterPivot(relation, scope, deciding);
    } else if (IsType(relation, "TABLE_FUNCTION")) {
      AddOpen(relation, ReadsOf(Member(relation, "function"), *scope), scope);
    } else if (IsType(relation, "EXPRESSION_LIST")) {
      AddOpen(relation, ReadsOf(Member(relation, "values"), *scope), scope);
    }
  }

  std::vector<ColumnLineage> TableColumns(const Json& relation) const {
    const std::string name(TreeText(relation, "table_name"));
    if (TreeText(relation, "schema_name").empty()) {
      const auto cte = std::find_if(ctes_.rbegin(), ctes_.rend(), [&](const Cte& c) { return c.name == LowerCase(name); });
      if (cte != ctes_.rend()) return cte->columns;
    }
    std::vector<ColumnLineage> columns;
    const auto table = std::find_if(tables_.begin(), tables_.end(), [&](const auto& t) { return SameName(t.first, name); });
    if (table == tables_.end()) return columns;
    for (const Field& field : table->second) columns.push_back({field.name, {{{table->first, field.name}, true}}});
    return columns;
  }

  static std::string AliasOf(const Json& relation) {
    const std::string_view alias = TreeText(relation, "alias");
    return std::string(alias.empty() ? TreeText(relation, "table_name") : alias);
  }

  static void AddRelation(const Json& relation, std::vector<ColumnLineage> columns, Scope* scope) {
    Rename(Member(relation, "column_name_alias"), &columns);
    scope->relations.push_back({AliasOf(relation), std::move(columns), std::nullopt});
  }

  static void AddOpen(const Json& relation, Origins origins, Scope* scope) {
    Relation added{AliasOf(relation), {}, std::nullopt};
    for (const Json& name : Member(relation, "column_name_alias")) added.columns.push_back({name.get<std::string>(), origins});
    if (added.columns.empty()) added.open = std::move(origins);
    scope->relations.push_back(std::move(added));
  }

  void EnterJoin(const Json& join, Scope* scope, Origins* deciding) {
    const size_t first = scope->relations.size();
    EnterRelation(Member(join, "left"), scope, deciding);
    const size_t second = scope->relations.size();
    EnterRelation(Member(join, "right"), scope, deciding);
    Add(ReadsOf(Member(join, "condition"), *scope), false, deciding);
    std::set<std::string> names;
    for (const Json& name : Member(join, "using_columns")) names.insert(LowerCase(name.get<std::string>()));
    if (TreeText(join, "ref_type") == "NATURAL") names = CommonNames(*scope, first, second);
    for (size_t i = first; i < scope->relations.size(); ++i) {
      for (const ColumnLineage& column : scope->relations[i].columns) {
        if (names.contains(LowerCase(column.column))) Add(column.origins, false, deciding);
      }
    }
    scope->merged.insert(names.begin(), names.end());
    const std::string_view kind = TreeText(join, "join_type");
    if (kind == "SEMI" || kind == "ANTI") scope->relations.resize(second);
    RenameRelations(join, first, scope);
  }

  static std::set<std::string> CommonNames(const Scope& scope, size_t first, size_t second) {
    std::set<std::string> left, common;
    for (size_t i = first; i < scope.relations.size(); ++i) {
      for (const ColumnLineage& column : scope.relations[i].columns) {
        const std::string name = LowerCase(column.column);
        if (i < second) left.insert(name);
        if (i >= second && left.contains(name)) common.insert(name);
      }
    }
    return common;
  }

  static void RenameRelations(const Json& relation, size_t first, Scope* scope) {
    const std::string_view alias = TreeText(relation, "alias");
    for (size_t i = first; i < scope->relations.size() && !alias.empty(); ++i) scope->relations[i].alias = alias;
  }

  /// The new columns come from any of the source's.
  void EnterPivot(const Json& pivot, Scope* scope, Origins* deciding) {
    const size_t first = scope->relations.size();
    EnterRelation(Member(pivot, "source"), scope, deciding);
    Origins all;
    for (size_t i = first; i < scope->relations.size(); ++i) Add(scope->relations[i].All(), true, &all);
    scope->relations.push_back({"", {}, std::move(all)});
    RenameRelations(pivot, first, scope);
  }

  // ---- expressions ----

  /// Everything that an expression reads; what its subqueries only decide by counts as deciding.
  Origins ReadsOf(const Json& tree, const Scope& scope) {
    Origins origins;
    Collect(tree, scope, &origins);
    return origins;
  }

  void Collect(const Json& tree, const Scope& scope, Origins* origins) {
    if (!tree.is_structured()) return;
    if (tree.is_object()) {
      if (tree.contains("cte_map")) {
        for (const ColumnLineage& column : TraceNode(tree, &scope)) Add(column.origins, true, origins);
        return;
      }
      if (IsClass(tree, "COLUMN_REF")) {
        Resolve(Member(tree, "column_names"), scope, origins);
        return;
      }
      if (IsClass(tree, "STAR")) {
        std::vector<ColumnLineage> columns;
        ExpandStar(tree, scope, &columns);
        Add(AllOf(columns), true, origins);
        return;
      }
    }
    for (const Json& child : tree) Collect(child, scope, origins);
  }

  void Resolve(const Json& names, const Scope& scope, Origins* origins) {
    for (const Scope* around = &scope; around != nullptr; around = around->outer) {
      if (ResolveIn(names, *around, origins)) return;
    }
  }

  /// A name of a table's column first, then an alias of the select list, a table as a whole, at last a column of unknown name.
  static bool ResolveIn(const Json& names, const Scope& scope, Origins* origins) {
    const std::string first = names.front().get<std::string>();
    if (names.size() > 1) {
      for (const Relation& relation : scope.relations) {
        if (!SameName(relation.alias, first)) continue;
        const ColumnLineage* column = relation.Find(names[1].get<std::string>());
        if (column != nullptr) Add(column->origins, true, origins);
        if (column == nullptr && relation.open) Add(*relation.open, true, origins);
        if (column != nullptr || relation.open) return true;
      }
    }
    bool found = false;
    for (const Relation& relation : scope.relations) {
      const ColumnLineage* column = relation.Find(first);
      if (column == nullptr) continue;
      Add(column->origins, true, origins);
      found = true;
      if (!scope.merged.contains(LowerCase(first))) return true;
    }
    if (found) return true;
    for (const ColumnLineage& alias : scope.aliases) {
      if (!SameName(alias.column, first)) continue;
      Add(alias.origins, true, origins);
      return true;
    }
    for (const Relation& relation : scope.relations) {
      if (!SameName(relation.alias, first)) continue;
      Add(relation.All(), true, origins);
      return true;
    }
    for (const Relation& relation : scope.relations) {
      if (!relation.open) continue;
      Add(*relation.open, true, origins);
      found = true;
    }
    return found;
  }

  const std::map<std::string, std::vector<Field>>& tables_;
  std::vector<Cte> ctes_;
};

/// The topmost SELECT of a parse tree: a `node` itself, or the statement around it.
const Json& NodeOf(const Json& tree) {
  if (tree.is_object() && tree.contains("node")) return tree["node"];
  return tree;
}

}  // namespace

std::vector<ColumnLineage> TraceColumns(const Json& tree, const std::map<std::string, std::vector<Field>>& tables) {
  return ColumnTracer(tables).TraceNode(NodeOf(tree), nullptr);
}

}  // namespace tidemill
