#include "sql/select_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>

namespace tidemill {
namespace {

// DuckDB 1.5; a test compares these lists with duckdb_functions(). Aggregates include the macros that aggregate.
constexpr std::array<std::string_view, 82> kAggregates = {
    "any_value", "approx_count_distinct", "approx_quantile", "approx_top_k", "arbitrary", "arg_max", "arg_max_null",
    "arg_max_nulls_last", "arg_min", "arg_min_null", "arg_min_nulls_last", "argmax", "argmin", "array_agg", "avg", "bit_and",
    "bit_or", "bit_xor", "bitstring_agg", "bool_and", "bool_or", "corr", "count", "count_if", "count_star", "countif",
    "covar_pop", "covar_samp", "entropy", "favg", "first", "fsum", "geomean", "geometric_mean", "group_concat", "histogram",
    "histogram_exact", "json_group_array", "json_group_object", "json_group_structure", "kahan_sum", "kurtosis",
    "kurtosis_pop", "last", "list", "listagg", "mad", "max", "max_by", "mean", "median", "min", "min_by", "mode", "product",
    "quantile", "quantile_cont", "quantile_disc", "regr_avgx", "regr_avgy", "regr_count", "regr_intercept", "regr_r2",
    "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", "reservoir_quantile", "sem", "skewness", "stddev", "stddev_pop",
    "stddev_samp", "string_agg", "sum", "sum_no_overflow", "sumkahan", "var_pop", "var_samp", "variance", "wavg",
    "weighted_avg"};

constexpr std::array<std::string_view, 17> kVolatiles = {
    "currval", "current_connection_id", "current_query", "current_query_id", "current_transaction_id", "gen_random_uuid",
    "nextval", "random", "reservoir_quantile", "setseed", "sleep_ms", "stats", "txid_current", "uuid", "uuidv4", "uuidv7",
    "write_log"};

constexpr std::array<std::string_view, 6> kComputingTableFunctions = {"range", "generate_series", "unnest", "repeat",
                                                                       "json_each", "json_tree"};

template <size_t kCount>
bool IsIn(const std::array<std::string_view, kCount>& names, std::string_view name) {
  return !name.empty() && std::find(names.begin(), names.end(), name) != names.end();
}

/// The token that a parser error complains about: what follows the last `near "` in its message.
int ComplainedLength(std::string_view message) {
  constexpr std::string_view kNear = "near \"";
  const size_t begin = message.rfind(kNear);
  if (begin == std::string_view::npos || message.back() != '"') return 1;
  return static_cast<int>(std::max<size_t>(1, message.size() - 1 - begin - kNear.size()));
}

Error SerializationError(const Json& answer) {
  const std::string message(TreeText(answer, "error_message"));
  if (TreeText(answer, "error_type") == "not implemented") {
    return UserError("sql_unsupported", "only a SELECT can be used here, and not every form of it can be analysed",
                     "write PIVOT as aggregates with FILTER and GROUP BY");
  }
  Error error = UserError("sql_syntax", message);
  if (const std::string_view position = TreeText(answer, "position"); !position.empty()) {
    error.place = Place{};
    error.place->column = std::atoi(std::string(position).c_str()) + 1;
    error.place->length = ComplainedLength(message);
  }
  return error;
}

}  // namespace

Result<Json> ParseStatements(Session& session, std::string_view sql) {
  if (const size_t nul = sql.find('\0'); nul != std::string_view::npos) {
    Error error = UserError("sql_syntax", "the text holds a NUL byte");
    error.place = Place{};
    error.place->column = static_cast<int>(nul) + 1;
    return error;
  }
  auto result = session.Query(fmt::format("SELECT json_serialize_sql({})", QuoteText(sql)));
  if (!result.ok()) {
    Error error = std::move(result).error();
    error.place.reset();  // it would point into our own statement
    return error;
  }
  Json answer = Json::parse(result->columns[0].Text(0), nullptr, false);
  if (answer.is_discarded()) return InternalError("DuckDB wrote a parse tree that is not JSON");
  if (answer.value("error", false)) return SerializationError(answer);
  return std::move(answer["statements"]);
}

Result<Json> ParseNode(Session& session, std::string_view sql) {
  TIDEMILL_ASSIGN_OR_RETURN(Json statements, ParseStatements(session, sql));
  return std::move(statements.at(0)["node"]);
}

Result<std::string> RenderNode(Session& session, const Json& node) {
  const Json statement = {{"error", false}, {"statements", {{{"node", node}, {"named_param_map", Json::array()}}}}};
  TIDEMILL_ASSIGN_OR_RETURN(const Columns result,
                            session.Query(fmt::format("SELECT json_deserialize_sql({})", QuoteText(statement.dump()))));
  return std::string(result.columns[0].Text(0));
}

std::string_view TreeText(const Json& tree, const char* member) {
  if (!tree.is_object()) return "";
  const auto found = tree.find(member);
  return found != tree.end() && found->is_string() ? std::string_view(found->get_ref<const std::string&>()) : "";
}

bool IsClass(const Json& tree, std::string_view name) { return TreeText(tree, "class") == name; }
bool IsType(const Json& tree, std::string_view name) { return TreeText(tree, "type") == name; }

std::optional<size_t> TreeOffset(const Json& tree) {
  if (!tree.is_structured()) return std::nullopt;
  if (tree.is_object()) {
    const auto own = tree.find("query_location");
    if (own != tree.end() && own->is_number_unsigned() && own->get<uint64_t>() < std::numeric_limits<int32_t>::max()) {
      return own->get<size_t>();
    }
  }
  for (const Json& child : tree) {
    if (const auto offset = TreeOffset(child)) return offset;
  }
  return std::nullopt;
}

Error TreeError(std::string code, std::string message, const Json& tree, std::string hint) {
  Error error = UserError(std::move(code), std::move(message), std::move(hint));
  if (const auto offset = TreeOffset(tree)) {
    error.place = Place{};
    error.place->column = static_cast<int>(*offset) + 1;
  }
  return error;
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

const CteScopes::Cte* CteScopes::Find(const Json& base_table) const {
  if (!TreeText(base_table, "schema_name").empty() || !TreeText(base_table, "catalog_name").empty()) return nullptr;
  const std::string name = LowerCase(TreeText(base_table, "table_name"));
  const auto found = std::find_if(ctes_.rbegin(), ctes_.rend(), [&](const Cte& cte) { return cte.name == name; });
  return found == ctes_.rend() ? nullptr : &*found;
}

bool IsAggregateFunction(std::string_view name) { return IsIn(kAggregates, name); }
bool IsVolatileFunction(std::string_view name) { return IsIn(kVolatiles, name); }
bool IsComputingTableFunction(std::string_view name) { return IsIn(kComputingTableFunctions, name); }

}  // namespace tidemill
