#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "sql/select_tree.h"
#include "sql/statement.h"

namespace tidemill {
namespace {

constexpr std::string_view kSeq = "_seq";
constexpr std::string_view kKnownAt = "_known_at";
/// Rows that come from no table count from here: below every number that a lake gives.
constexpr std::string_view kFirstSeqOfNoTable = "(-1000000000000000)::BIGINT";
constexpr std::string_view kKnownAlways = "TIMESTAMP '1970-01-01 00:00:00'";

/// A relation in FROM and the names of its two columns there.
struct Carrier {
  std::string alias;
  std::string seq;
  std::string known_at;
  bool from_lake = false;  ///< false: made from VALUES, range() and the like
};
using Carriers = std::vector<Carrier>;

bool IsReserved(std::string_view name) { return LowerCase(name) == kSeq || LowerCase(name) == kKnownAt; }

std::string AliasOf(const Json& relation) {
  const std::string_view alias = TreeText(relation, "alias");
  return std::string(alias.empty() ? TreeText(relation, "table_name") : alias);
}

bool HasOuterJoin(const Json& relation) {
  if (!IsType(relation, "JOIN")) return false;
  const std::string_view kind = TreeText(relation, "join_type");
  return kind == "RIGHT" || kind == "OUTER" || kind == "FULL" || HasOuterJoin(relation["left"]) ||
         HasOuterJoin(relation["right"]);
}

/// Aggregates of this SELECT itself, not of subqueries in it.
bool HasAggregate(const Json& tree) {
  if (!tree.is_structured() || tree.contains("cte_map")) return false;
  if (IsClass(tree, "FUNCTION") && IsAggregateFunction(TreeText(tree, "function_name"))) return true;
  return std::any_of(tree.begin(), tree.end(), [](const Json& child) { return HasAggregate(child); });
}

bool IsAggregation(const Json& node) {
  if (!node["group_sets"].empty() || TreeText(node, "aggregate_handling") == "FORCE_AGGREGATES") return true;
  return HasAggregate(node["select_list"]) || HasAggregate(node["having"]) || HasAggregate(node["qualify"]) ||
         HasAggregate(node["modifiers"]);
}

bool IsPlainDistinct(const Json& modifier) {
  return IsType(modifier, "DISTINCT_MODIFIER") && modifier["distinct_on_targets"].empty();
}

/// Equal but for where they were written and what they are called.
bool SameExpression(Json a, Json b) {
  a.erase("alias");
  b.erase("alias");
  return CanonicalText(a) == CanonicalText(b);
}

class LakeRewriter {
 public:
  LakeRewriter(Session& session, Timestamp now, const std::vector<std::string>& histories)
      : session_(session), now_(FormatSqlTimestamp(now)), histories_(histories) {}

  Result<std::string> Rewrite(Json node) {
    TIDEMILL_ASSIGN_OR_RETURN(const bool from_lake, CarryNode(&node, std::string(kSeq), std::string(kKnownAt)));
    (void)from_lake;
    return RenderNode(session_, node);
  }

 private:
  // ---- nodes whose result carries the two columns ----

  /// Adds the two columns, last and so named, to the result of a node. Returns whether a table of the lake is behind it.
  Result<bool> CarryNode(Json* node, const std::string& seq, const std::string& known_at) {
    const size_t mark = ctes_.Mark();
    TIDEMILL_RETURN_IF_ERROR(EnterCtes(&(*node)["cte_map"], /*carry=*/true));
    auto carried = IsType(*node, "SELECT_NODE")          ? CarrySelect(node, seq, known_at)
                   : IsType(*node, "SET_OPERATION_NODE") ? CarrySetOperation(node, seq, known_at)
                                                         : Refuse(*node, "this form of SELECT");
    ctes_.PopTo(mark);
    return carried;
  }

  static Result<bool> Refuse(const Json& tree, std::string_view what) {
    return TreeError("sql_unsupported",
                     fmt::format("{} can't be used in a table: its rows lead back to no rows of its inputs", what), tree,
                     "use joins, GROUP BY, DISTINCT, UNION, windows, or EXISTS in place of it");
  }

  Status EnterCtes(Json* cte_map, bool carry) {
    for (Json& cte : (*cte_map)["map"]) {
      Json& node = cte["value"]["query"]["node"];
      const bool recursive = IsType(node, "RECURSIVE_CTE_NODE");
      if (recursive && carry && ReadsLake(node)) return Refuse(node, "a recursive WITH over tables").error();
      const bool carries = carry && !recursive;
      if (carries) {
        TIDEMILL_RETURN_IF_ERROR(Carried(CarryNode(&node, std::string(kSeq), std::string(kKnownAt))));
      } else {
        TIDEMILL_RETURN_IF_ERROR(Walk(&node, nullptr));
      }
      ctes_.Push(TreeText(cte, "key"), carries);
    }
    return Ok();
  }

  static Status Carried(const Result<bool>& carried) {
    if (!carried.ok()) return carried.error();
    return Ok();
  }

  bool ReadsLake(const Json& tree) const {
    if (!tree.is_structured()) return false;
    if (IsType(tree, "RECURSIVE_CTE_NODE") && tree.contains("cte_name")) {
      CteScopes own;
      own.Push(TreeText(tree, "cte_name"), false);
      return ReadsLakeBeyond(tree["left"], own) || ReadsLakeBeyond(tree["right"], own);
    }
    return ReadsLakeBeyond(tree, {});
  }

  bool ReadsLakeBeyond(const Json& tree, const CteScopes& own) const {
    if (!tree.is_structured()) return false;
    if (IsType(tree, "BASE_TABLE") && own.Find(tree) == nullptr) {
      const CteScopes::Cte* cte = ctes_.Find(tree);
      return cte == nullptr || cte->carries;
    }
    return std::any_of(tree.begin(), tree.end(), [&](const Json& child) { return ReadsLakeBeyond(child, own); });
  }

  Result<bool> CarrySelect(Json* node, const std::string& seq, const std::string& known_at) {
    TIDEMILL_RETURN_IF_ERROR(CheckNames((*node)["select_list"]));
    Carriers carriers;
    Json& from = (*node)["from_table"];
    const bool outer_join = HasOuterJoin(from);
    TIDEMILL_RETURN_IF_ERROR(CarryRelation(&from, &carriers));
    if (carriers.empty() && !IsType(from, "EMPTY")) TIDEMILL_RETURN_IF_ERROR(NumberRows(&from, &carriers));
    const bool from_lake =
        std::any_of(carriers.begin(), carriers.end(), [](const Carrier& carrier) { return carrier.from_lake; });
    TIDEMILL_RETURN_IF_ERROR(KeepNames(&(*node)["select_list"]));
    const std::string own_seq = SeqOf(carriers, outer_join);
    const std::string own_known_at = KnownAtOf(carriers);
    own_[&carriers] = {own_seq, own_known_at};
    const bool aggregation = IsAggregation(*node);
    TIDEMILL_RETURN_IF_ERROR(WalkSelect(node, &carriers));
    own_.erase(&carriers);

    Json& modifiers = (*node)["modifiers"];
    const bool distinct = std::any_of(modifiers.begin(), modifiers.end(), IsPlainDistinct);
    const std::string inner_seq = distinct ? NewName(kSeq) : seq;
    const std::string inner_known_at = distinct ? NewName(kKnownAt) : known_at;
    const bool grouped = !(*node)["group_sets"].empty() || TreeText(*node, "aggregate_handling") == "FORCE_AGGREGATES";
    TIDEMILL_RETURN_IF_ERROR(AddColumns(node, Aggregated(own_seq, "min", kFirstSeqOfNoTable, aggregation, grouped), inner_seq,
                                        Aggregated(own_known_at, "max", kKnownAlways, aggregation, grouped), inner_known_at));
    if (distinct) TIDEMILL_RETURN_IF_ERROR(GroupAll(node, inner_seq, inner_known_at, seq, known_at));
    return from_lake;
  }

  Result<bool> CarrySetOperation(Json* node, const std::string& seq, const std::string& known_at) {
    const std::string_view kind = TreeText(*node, "setop_type");
    const bool by_name = kind == "UNION_BY_NAME";
    if (kind != "UNION" && !by_name) return Refuse(*node, kind);
    const bool all = node->value("setop_all", false);
    const std::string inner_seq = by_name || !all ? NewName(kSeq) : seq;
    const std::string inner_known_at = by_name || !all ? NewName(kKnownAt) : known_at;
    bool from_lake = false;
    for (const char* side : {"left", "right"}) {
      TIDEMILL_ASSIGN_OR_RETURN(const bool side_from_lake, CarryNode(&(*node)[side], inner_seq, inner_known_at));
      from_lake = from_lake || side_from_lake;
    }
    TIDEMILL_RETURN_IF_ERROR(Walk(&(*node)["modifiers"], nullptr));
    (*node)["setop_all"] = true;
    if (!all) {
      TIDEMILL_RETURN_IF_ERROR(GroupAll(node, inner_seq, inner_known_at, seq, known_at));
    } else if (by_name) {
      TIDEMILL_RETURN_IF_ERROR(MoveColumnsLast(node, inner_seq, inner_known_at, seq, known_at));
    }
    return from_lake;
  }

  /// The two columns belong to Tidemill: a result that has them already can't be stored.
  static Status CheckNames(const Json& select_list) {
    for (const Json& item : select_list) {
      const std::string_view alias = TreeText(item, "alias");
      const bool bare =
          alias.empty() && IsClass(item, "COLUMN_REF") && IsReserved(item["column_names"].back().get<std::string>());
      if (bare || IsReserved(alias)) {
        return TreeError("reserved_name", "_seq and _known_at are carried along with every row by themselves", item,
                         "give the column another name: _seq AS arrival_number");
      }
    }
    return Ok();
  }

  /// now() is replaced by a value, but its column keeps its name.
  Status KeepNames(Json* select_list) {
    for (Json& item : *select_list) {
      if (!TreeText(item, "alias").empty() || IsClass(item, "STAR") || !ReadsClock(item)) continue;
      TIDEMILL_ASSIGN_OR_RETURN(Json named, ParseNode(session_, "SELECT 1"));
      named["select_list"][0] = item;
      TIDEMILL_ASSIGN_OR_RETURN(const std::string text, RenderNode(session_, named));
      item["alias"] = text.substr(std::string_view("SELECT ").size());
    }
    return Ok();
  }

  static std::string SeqOf(const Carriers& carriers, bool outer_join) {
    std::vector<std::string> names;
    for (const bool from_lake : {true, false}) {
      for (const Carrier& carrier : carriers) {
        if (carrier.from_lake == from_lake) names.push_back(carrier.seq);
      }
    }
    if (names.empty()) return std::string(kFirstSeqOfNoTable);
    if (!outer_join || names.size() == 1) return names.front();
    return fmt::format("coalesce({})", fmt::join(names, ", "));
  }

  static std::string KnownAtOf(const Carriers& carriers) {
    std::vector<std::string> names;
    for (const Carrier& carrier : carriers) names.push_back(carrier.known_at);
    if (names.empty()) return std::string(kKnownAlways);
    return names.size() == 1 ? names.front() : fmt::format("greatest({})", fmt::join(names, ", "));
  }

  /// An aggregate over no rows at all (only possible without groups) is known always.
  static std::string Aggregated(const std::string& value, std::string_view function, std::string_view of_nothing,
                                bool aggregation, bool grouped) {
    if (!aggregation) return value;
    const std::string aggregate = fmt::format("{}({})", function, value);
    return grouped ? aggregate : fmt::format("coalesce({}, {})", aggregate, of_nothing);
  }

  Status AddColumns(Json* node, const std::string& seq, const std::string& seq_name, const std::string& known_at,
                    const std::string& known_at_name) {
    TIDEMILL_ASSIGN_OR_RETURN(
        const Json added, ParseNode(session_, fmt::format("SELECT {} AS {}, {} AS {}", seq, QuoteIdentifier(seq_name), known_at,
                                                          QuoteIdentifier(known_at_name))));
    for (const Json& item : added["select_list"]) (*node)["select_list"].push_back(item);
    return Ok();
  }

  /// DISTINCT with the two columns beside it: groups of equal rows. ORDER BY and LIMIT move to the groups.
  Status GroupAll(Json* node, const std::string& inner_seq, const std::string& inner_known_at, const std::string& seq,
                  const std::string& known_at) {
    TIDEMILL_ASSIGN_OR_RETURN(
        Json outer,
        ParseNode(session_,
                  fmt::format("SELECT * EXCLUDE ({0}, {1}), min({0}) AS {2}, max({1}) AS {3} FROM (SELECT 1) GROUP BY ALL",
                              QuoteIdentifier(inner_seq), QuoteIdentifier(inner_known_at), QuoteIdentifier(seq),
                              QuoteIdentifier(known_at))));
    for (Json& modifier : (*node)["modifiers"]) {
      if (IsPlainDistinct(modifier)) continue;
      if (IsType(modifier, "ORDER_MODIFIER") && node->contains("select_list")) OrderByPosition((*node)["select_list"], &modifier);
      outer["modifiers"].push_back(modifier);
    }
    (*node)["modifiers"] = Json::array();
    outer["from_table"]["subquery"]["node"] = std::move(*node);
    *node = std::move(outer);
    return Ok();
  }

  /// Outside of the SELECT its tables are out of sight: what is both sorted by and selected is named by its position.
  static void OrderByPosition(const Json& select_list, Json* modifier) {
    const bool countable =
        std::none_of(select_list.begin(), select_list.end(), [](const Json& item) { return IsClass(item, "STAR"); });
    for (Json& order : (*modifier)["orders"]) {
      Json& expression = order["expression"];
      if (IsClass(expression, "COLUMN_REF") && !countable) expression["column_names"] = {expression["column_names"].back()};
      if (!countable || IsClass(expression, "CONSTANT") || IsClass(expression, "STAR")) continue;
      const auto same = std::find_if(select_list.begin(), select_list.end(),
                                     [&](const Json& item) { return SameExpression(item, expression); });
      if (same == select_list.end()) continue;
      expression = {{"class", "CONSTANT"},
                    {"type", "VALUE_CONSTANT"},
                    {"alias", ""},
                    {"value",
                     {{"type", {{"id", "INTEGER"}, {"type_info", nullptr}}},
                      {"is_null", false},
                      {"value", same - select_list.begin() + 1}}}};
    }
  }

  Status MoveColumnsLast(Json* node, const std::string& inner_seq, const std::string& inner_known_at, const std::string& seq,
                         const std::string& known_at) {
    TIDEMILL_ASSIGN_OR_RETURN(
        Json outer, ParseNode(session_, fmt::format("SELECT * EXCLUDE ({0}, {1}), {0} AS {2}, {1} AS {3} FROM (SELECT 1)",
                                                    QuoteIdentifier(inner_seq), QuoteIdentifier(inner_known_at),
                                                    QuoteIdentifier(seq), QuoteIdentifier(known_at))));
    outer["from_table"]["subquery"]["node"] = std::move(*node);
    *node = std::move(outer);
    return Ok();
  }

  // ---- relations in FROM ----

  std::string NewName(std::string_view name) { return fmt::format("_{}_{}", name, ++names_); }

  Carrier NewCarrier(std::string alias, bool from_lake) {
    ++names_;
    return {std::move(alias), fmt::format("_{}_{}", kSeq, names_), fmt::format("_{}_{}", kKnownAt, names_), from_lake};
  }

  /// Renames the two columns of each relation apart (so that NATURAL JOIN and names without a table keep their meaning) and
  /// lists the relations that have them.
  Status CarryRelation(Json* relation, Carriers* carriers) {
    const std::string_view type = TreeText(*relation, "type");
    if (type == "BASE_TABLE") return CarryBaseTable(relation, carriers);
    if (type == "SUBQUERY") {
      Carrier carrier = NewCarrier(AliasOf(*relation), true);
      TIDEMILL_ASSIGN_OR_RETURN(carrier.from_lake, CarryNode(&(*relation)["subquery"]["node"], carrier.seq, carrier.known_at));
      carriers->push_back(std::move(carrier));
      return Ok();
    }
    if (type == "JOIN") return CarryJoin(relation, carriers);
    if (type == "PIVOT") return CarryUnpivot(relation, carriers);
    if (type == "TABLE_FUNCTION") return Walk(&(*relation)["function"], nullptr);
    if (type == "EXPRESSION_LIST") return Walk(&(*relation)["values"], nullptr);
    if (type == "EMPTY") return Ok();
    return Refuse(*relation, LowerCase(type)).error();
  }

  Status CarryBaseTable(Json* relation, Carriers* carriers) {
    const CteScopes::Cte* cte = ctes_.Find(*relation);
    if (cte != nullptr && !cte->carries) return Ok();
    const Carrier carrier = NewCarrier(AliasOf(*relation), true);
    const std::string filter = cte != nullptr ? "" : KnownFilter(*relation);
    const std::string text = fmt::format("SELECT * RENAME ({} AS {}, {} AS {}) FROM x{}", kSeq, QuoteIdentifier(carrier.seq),
                                         kKnownAt, QuoteIdentifier(carrier.known_at), filter);
    TIDEMILL_RETURN_IF_ERROR(WrapRelation(relation, text, carrier.alias, /*moves_column_names=*/true));
    carriers->push_back(carrier);
    return Ok();
  }

  std::string KnownFilter(const Json& base_table) const {
    const std::string_view table = TreeText(base_table, "table_name");
    if (std::find(histories_.begin(), histories_.end(), table) != histories_.end()) return "";
    return fmt::format(" WHERE {} <= TIMESTAMP '{}'", kKnownAt, now_);
  }

  Status CarryJoin(Json* relation, Carriers* carriers) {
    const size_t first = carriers->size();
    const std::string_view kind = TreeText(*relation, "join_type");
    TIDEMILL_RETURN_IF_ERROR(CarryRelation(&(*relation)["left"], carriers));
    if (kind == "SEMI" || kind == "ANTI") {  // its right side only decides, like EXISTS
      TIDEMILL_RETURN_IF_ERROR(Walk(&(*relation)["right"], nullptr));
    } else {
      TIDEMILL_RETURN_IF_ERROR(CarryRelation(&(*relation)["right"], carriers));
    }
    RenameCarriers(*relation, first, carriers);
    return Ok();
  }

  Status CarryUnpivot(Json* relation, Carriers* carriers) {
    if (!(*relation)["aggregates"].empty()) {
      return TreeError("sql_unsupported", "PIVOT can't be used in a table", *relation,
                       "write it as aggregates with FILTER and GROUP BY");
    }
    const size_t first = carriers->size();
    TIDEMILL_RETURN_IF_ERROR(CarryRelation(&(*relation)["source"], carriers));
    RenameCarriers(*relation, first, carriers);
    return Ok();
  }

  /// What stands inside `( ... ) AS alias` is only seen as alias.
  static void RenameCarriers(const Json& relation, size_t first, Carriers* carriers) {
    const std::string_view alias = TreeText(relation, "alias");
    for (size_t i = first; i < carriers->size() && !alias.empty(); ++i) (*carriers)[i].alias = alias;
  }

  /// For a FROM without any table: its first relation gets numbers of its own.
  Status NumberRows(Json* relation, Carriers* carriers) {
    if (IsType(*relation, "JOIN")) return NumberRows(&(*relation)["left"], carriers);
    if (IsType(*relation, "PIVOT")) return NumberRows(&(*relation)["source"], carriers);
    std::string alias = AliasOf(*relation);
    if (alias.empty() && relation->contains("function")) alias = TreeText((*relation)["function"], "function_name");
    const Carrier carrier = NewCarrier(alias, false);
    const std::string text = fmt::format("SELECT *, {} + row_number() OVER () AS {}, {} AS {} FROM x", kFirstSeqOfNoTable,
                                         QuoteIdentifier(carrier.seq), kKnownAlways, QuoteIdentifier(carrier.known_at));
    TIDEMILL_RETURN_IF_ERROR(WrapRelation(relation, text, alias, /*moves_column_names=*/false));
    carriers->push_back(carrier);
    return Ok();
  }

  /// Puts `(select_from_x) AS alias` in place of a relation, which takes the place of x.
  Status WrapRelation(Json* relation, const std::string& select_from_x, const std::string& alias, bool moves_column_names) {
    TIDEMILL_ASSIGN_OR_RETURN(Json wrapper, ParseNode(session_, "SELECT * FROM (SELECT 1) AS t"));
    TIDEMILL_ASSIGN_OR_RETURN(Json inner, ParseNode(session_, select_from_x));
    Json wrapped = std::move(wrapper["from_table"]);
    wrapped["alias"] = alias;
    wrapped["query_location"] = relation->value("query_location", Json());
    if (wrapped["query_location"].is_null()) wrapped.erase("query_location");
    if (moves_column_names) std::swap(wrapped["column_name_alias"], (*relation)["column_name_alias"]);
    if (moves_column_names) (*relation)["alias"] = "";
    inner["from_table"] = std::move(*relation);
    wrapped["subquery"]["node"] = std::move(inner);
    *relation = std::move(wrapped);
    return Ok();
  }

  // ---- expressions, and subqueries in them ----

  /// The expressions of a SELECT whose FROM carries already.
  Status WalkSelect(Json* node, const Carriers* carriers) {
    TIDEMILL_RETURN_IF_ERROR(WalkRelation(&(*node)["from_table"], carriers));
    for (auto& [member, child] : node->items()) {
      if (member == "from_table" || member == "cte_map") continue;
      if (member == "modifiers") {
        TIDEMILL_RETURN_IF_ERROR(WalkModifiers(&child, carriers));
      } else {
        TIDEMILL_RETURN_IF_ERROR(Walk(&child, carriers));
      }
    }
    return Ok();
  }

  /// ORDER BY ALL is a star as well, which must stay as it is.
  Status WalkModifiers(Json* modifiers, const Carriers* carriers) {
    for (Json& modifier : *modifiers) {
      if (!IsType(modifier, "ORDER_MODIFIER")) {
        TIDEMILL_RETURN_IF_ERROR(Walk(&modifier, carriers));
        continue;
      }
      for (Json& order : modifier["orders"]) {
        if (!IsClass(order["expression"], "STAR")) TIDEMILL_RETURN_IF_ERROR(Walk(&order["expression"], carriers));
      }
    }
    return Ok();
  }

  /// Join conditions; the relations themselves are done.
  Status WalkRelation(Json* relation, const Carriers* carriers) {
    const std::string_view type = TreeText(*relation, "type");
    if (type == "JOIN") {
      TIDEMILL_RETURN_IF_ERROR(WalkRelation(&(*relation)["left"], carriers));
      const std::string_view kind = TreeText(*relation, "join_type");
      if (kind != "SEMI" && kind != "ANTI") TIDEMILL_RETURN_IF_ERROR(WalkRelation(&(*relation)["right"], carriers));
      return Walk(&(*relation)["condition"], carriers);
    }
    if (type == "PIVOT") {
      TIDEMILL_RETURN_IF_ERROR(WalkRelation(&(*relation)["source"], carriers));
      return Walk(&(*relation)["pivots"], carriers);
    }
    return Ok();
  }

  /// Any other tree: the clock becomes `now`, tables show only what was known and never the two columns, except to the
  /// SELECT that `carriers` belong to (nullptr inside of subqueries).
  Status Walk(Json* tree, const Carriers* carriers) {
    if (!tree->is_structured()) return Ok();
    if (tree->is_object()) {
      if (IsType(*tree, "BASE_TABLE")) return HideColumns(tree);
      if (tree->contains("cte_map")) return WalkSubquery(tree);
      TIDEMILL_ASSIGN_OR_RETURN(const bool replaced, ReplaceClock(tree));
      if (replaced) return Ok();
      if (carriers != nullptr && IsClass(*tree, "STAR")) TIDEMILL_RETURN_IF_ERROR(HideFromStar(tree, *carriers));
      if (carriers != nullptr && IsClass(*tree, "COLUMN_REF")) return ReplaceReserved(tree, *carriers);
    }
    for (Json& child : *tree) TIDEMILL_RETURN_IF_ERROR(Walk(&child, carriers));
    return Ok();
  }

  Status WalkSubquery(Json* node) {
    const size_t mark = ctes_.Mark();
    TIDEMILL_RETURN_IF_ERROR(EnterCtes(&(*node)["cte_map"], /*carry=*/false));
    if (IsType(*node, "RECURSIVE_CTE_NODE")) ctes_.Push(TreeText(*node, "cte_name"), false);
    for (auto& [member, child] : node->items()) {
      if (member != "cte_map") TIDEMILL_RETURN_IF_ERROR(Walk(&child, nullptr));
    }
    ctes_.PopTo(mark);
    return Ok();
  }

  Status HideColumns(Json* relation) {
    const CteScopes::Cte* cte = ctes_.Find(*relation);
    if (cte != nullptr && !cte->carries) return Ok();
    const std::string filter = cte != nullptr ? "" : KnownFilter(*relation);
    return WrapRelation(relation, fmt::format("SELECT * EXCLUDE ({}, {}) FROM x{}", kSeq, kKnownAt, filter), AliasOf(*relation),
                        /*moves_column_names=*/true);
  }

  Status HideFromStar(Json* star, const Carriers& carriers) {
    Json& expression = (*star)["expr"];
    if (!expression.is_null()) {
      // COLUMNS('pattern') can't exclude; as a condition on names it can (its own star is walked after this).
      if (!IsClass(expression, "CONSTANT") || carriers.empty()) return Ok();
      if (TreeText(*star, "alias").find('\\') != std::string_view::npos) {
        return TreeError("sql_unsupported", "COLUMNS with a pattern can't rename columns here", *star,
                         "name the columns one by one");
      }
      const std::string pattern(TreeText(expression["value"], "value"));
      TIDEMILL_ASSIGN_OR_RETURN(
          const Json node,
          ParseNode(session_, fmt::format("SELECT COLUMNS(lambda c: regexp_matches(c, {}))", QuoteText(pattern))));
      expression = node["select_list"][0]["expr"];
      return Ok();
    }
    const std::string relation = LowerCase(TreeText(*star, "relation_name"));
    for (const Carrier& carrier : carriers) {
      if (!relation.empty() && LowerCase(carrier.alias) != relation) continue;
      (*star)["exclude_list"].push_back(carrier.seq);
      (*star)["exclude_list"].push_back(carrier.known_at);
    }
    return Ok();
  }

  /// `_seq` and `_known_at` in an expression mean those that the row will carry, or with a table's name that table's.
  Status ReplaceReserved(Json* reference, const Carriers& carriers) {
    const Json& names = (*reference)["column_names"];
    if (!IsReserved(names.back().get<std::string>()) || names.size() > 2) return Ok();
    const bool seq = LowerCase(names.back().get<std::string>()) == kSeq;
    std::string text = seq ? own_.at(&carriers).first : own_.at(&carriers).second;
    if (names.size() == 2) {
      const std::string table = LowerCase(names[0].get<std::string>());
      const auto meant =
          std::find_if(carriers.begin(), carriers.end(), [&](const Carrier& c) { return LowerCase(c.alias) == table; });
      if (meant == carriers.end()) return Ok();
      text = seq ? meant->seq : meant->known_at;
    }
    return ReplaceExpression(reference, text);
  }

  Status ReplaceExpression(Json* expression, std::string_view text) {
    TIDEMILL_ASSIGN_OR_RETURN(Json node, ParseNode(session_, fmt::format("SELECT {}", text)));
    Json replacement = std::move(node["select_list"][0]);
    replacement["alias"] = TreeText(*expression, "alias");
    *expression = std::move(replacement);
    return Ok();
  }

  // ---- the project clock ----

  /// The value, as SQL, of a function or word that reads the clock; "" for others.
  std::string ClockValue(const Json& tree) const {
    std::string name;
    if (IsClass(tree, "FUNCTION") && tree["children"].empty()) name = TreeText(tree, "function_name");
    if (IsClass(tree, "COLUMN_REF") && tree["column_names"].size() == 1)
      name = LowerCase(tree["column_names"][0].get<std::string>());
    const std::string date = now_.substr(0, 10);
    const std::string time = now_.substr(11);
    if (name == "now" || name == "current_timestamp" || name == "get_current_timestamp" || name == "transaction_timestamp") {
      if (name == "now" && IsClass(tree, "COLUMN_REF")) return "";
      return fmt::format("CAST('{}+00' AS TIMESTAMP WITH TIME ZONE)", now_);
    }
    if (name == "localtimestamp" || name == "current_localtimestamp") return fmt::format("TIMESTAMP '{}'", now_);
    if (name == "current_date" || (name == "today" && IsClass(tree, "FUNCTION"))) return fmt::format("DATE '{}'", date);
    if (name == "current_time" || name == "get_current_time") return fmt::format("CAST('{}+00' AS TIME WITH TIME ZONE)", time);
    if (name == "localtime" || name == "current_localtime") return fmt::format("TIME '{}'", time);
    return "";
  }

  static bool IsAgeOfNow(const Json& tree) {
    return IsClass(tree, "FUNCTION") && TreeText(tree, "function_name") == "age" && tree["children"].size() == 1;
  }

  bool ReadsClock(const Json& tree) const {
    if (!tree.is_structured()) return false;
    if (tree.is_object() && (IsAgeOfNow(tree) || !ClockValue(tree).empty())) return true;
    return std::any_of(tree.begin(), tree.end(), [&](const Json& child) { return ReadsClock(child); });
  }

  /// True when the tree was replaced as a whole.
  Result<bool> ReplaceClock(Json* tree) {
    if (const std::string value = ClockValue(*tree); !value.empty()) {
      TIDEMILL_RETURN_IF_ERROR(ReplaceExpression(tree, value));
      return true;
    }
    if (!IsAgeOfNow(*tree)) return false;
    TIDEMILL_ASSIGN_OR_RETURN(const Json today,
                              ParseNode(session_, fmt::format("SELECT TIMESTAMP '{} 00:00:00'", now_.substr(0, 10))));
    (*tree)["children"].insert((*tree)["children"].begin(), today["select_list"][0]);
    return false;
  }

  Session& session_;
  const std::string now_;
  const std::vector<std::string>& histories_;
  CteScopes ctes_;
  std::map<const Carriers*, std::pair<std::string, std::string>> own_;  ///< what a SELECT under way carries, as SQL
  int names_ = 0;
};

}  // namespace

Result<std::string> RewriteForLake(Session& session, const SelectStatement& statement, Timestamp now,
                                   const std::vector<std::string>& histories) {
  return LakeRewriter(session, now, histories).Rewrite(statement.tree);
}

}  // namespace tidemill
