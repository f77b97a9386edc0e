#include "api/table_profile.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace tidemill {
namespace {

constexpr size_t kColumnsMax = 200;
constexpr int kBins = 20;
constexpr int64_t kRowsInFull = 2'000'000;

/// A column as a number that DuckDB can do arithmetic with; times count in microseconds.
std::string NumberSql(const Field& field) {
  const std::string name = QuoteIdentifier(field.name);
  switch (field.type) {
    case Type::kTimestamp: return fmt::format("epoch_us({})::DOUBLE", name);
    case Type::kDate: return fmt::format("epoch_us({}::TIMESTAMP)::DOUBLE", name);
    case Type::kDouble: return fmt::format("CASE WHEN isfinite({0}) THEN {0} END", name);
    default: return fmt::format("{}::DOUBLE", name);
  }
}

bool HasText(const Field& field) { return HoldsBytes(field.type) || field.type == Type::kBool; }

struct ColumnFigures {
  int64_t known = 0;
  int64_t distinct = 0;
  std::optional<double> min, max, mean;
};

struct TableFigures {
  int64_t rows = 0;
  std::vector<ColumnFigures> columns;
};

/// An estimate may be above what there can be.
int64_t AtMostPossible(const ColumnFigures& figures, Type type) {
  const int64_t distinct = std::min(figures.distinct, figures.known);
  if (type != Type::kInt64 || !figures.min || !figures.max) return distinct;
  const double between = *figures.max - *figures.min + 1;
  return between < static_cast<double>(distinct) ? static_cast<int64_t>(between) : distinct;
}

/// All columns in one pass.
Result<TableFigures> ReadFigures(Session& session, std::string_view relation, const std::vector<Field>& fields) {
  std::string list = "count(*)::BIGINT";
  for (const Field& field : fields) {
    const std::string name = QuoteIdentifier(field.name);
    list += fmt::format(", count({0})::BIGINT, least(approx_count_distinct({0}), count({0}))::BIGINT", name);
    list += HasText(field) ? std::string(", NULL::DOUBLE, NULL::DOUBLE, NULL::DOUBLE")
                           : fmt::format(", min({0}), max({0}), avg({0})", NumberSql(field));
  }
  TIDEMILL_ASSIGN_OR_RETURN(const Columns row, session.Query(fmt::format("SELECT {} FROM {}", list, relation)));
  const auto number = [&](size_t i) -> std::optional<double> {
    const Column& column = row.columns[i];
    if (column.IsNull(0) || column.type != Type::kDouble || !std::isfinite(column.doubles[0])) return std::nullopt;
    return column.doubles[0];
  };
  TableFigures figures;
  figures.rows = row.columns[0].ints[0];
  for (size_t i = 0; i < fields.size(); ++i) {
    const size_t at = 1 + i * 5;
    figures.columns.push_back({row.columns[at].ints[0], row.columns[at + 1].ints[0], number(at + 2), number(at + 3), number(at + 4)});
  }
  return figures;
}

/// (bin, rows) of a column between its minimum and maximum, or (value, rows) of its most frequent values.
std::string ShapeSql(const Field& field, const ColumnFigures& figures, std::string_view relation) {
  if (HasText(field)) {
    return fmt::format("SELECT left({0}::VARCHAR, 60) AS label, count(*)::BIGINT AS n FROM {1} WHERE {0} IS NOT NULL GROUP BY {0} ORDER BY n DESC, label LIMIT 5",
                       QuoteIdentifier(field.name), relation);
  }
  const double width = (*figures.max - *figures.min) / kBins;
  const std::string number = NumberSql(field);
  return fmt::format("SELECT least({0}, greatest(0, floor(({1} - ({2}::DOUBLE)) / {3}::DOUBLE)))::BIGINT AS bin, count(*)::BIGINT AS n FROM {4} WHERE {1} IS NOT NULL GROUP BY 1",
                     kBins - 1, number, *figures.min, width, relation);
}

Json BoundJson(const Field& field, const std::optional<double>& bound) {
  if (!bound) return Json();
  if (field.type == Type::kTimestamp) return FormatTimestamp(Timestamp{static_cast<int64_t>(*bound)});
  if (field.type == Type::kDate) return FormatDate(Date{static_cast<int32_t>(*bound / kMicrosPerDay)});
  return *bound;
}

Status AddShape(Session& session, const Field& field, const ColumnFigures& figures, std::string_view relation, Json& column) {
  if (figures.known == 0) return Ok();
  if (!HasText(field)) {
    if (!figures.min || !figures.max || !(*figures.max > *figures.min) || !std::isfinite(*figures.max - *figures.min)) return Ok();
  }
  TIDEMILL_ASSIGN_OR_RETURN(const Columns shape, session.Query(ShapeSql(field, figures, relation)));
  if (HasText(field)) {
    column["top"] = Json::array();
    for (size_t i = 0; i < shape.rows(); ++i) column["top"].push_back({FormatValue(shape.columns[0].At(i)), shape.columns[1].ints[i]});
    return Ok();
  }
  std::vector<int64_t> counts(kBins, 0);
  for (size_t i = 0; i < shape.rows(); ++i) {
    const int64_t bin = shape.columns[0].ints[i];
    if (!shape.columns[0].IsNull(i) && bin >= 0 && bin < kBins) counts[static_cast<size_t>(bin)] = shape.columns[1].ints[i];
  }
  column["histogram"] = counts;
  return Ok();
}

}  // namespace

Result<Json> ProfileTable(Session& session, std::string_view relation_sql, const std::vector<Field>& fields) {
  const std::vector<Field> shown(fields.begin(), fields.begin() + static_cast<ptrdiff_t>(std::min(fields.size(), kColumnsMax)));
  TIDEMILL_ASSIGN_OR_RETURN(const TableFigures figures, ReadFigures(session, relation_sql, shown));
  std::string relation(relation_sql);
  const int64_t step = (figures.rows + kRowsInFull - 1) / kRowsInFull;
  if (step > 1) relation = fmt::format("(SELECT * FROM {} WHERE _seq % {} = 0)", relation_sql, step);

  Json profile = {{"rows", figures.rows}, {"sampled", step > 1}, {"columns", Json::array()}};
  for (size_t i = 0; i < shown.size(); ++i) {
    const ColumnFigures& f = figures.columns[i];
    Json column = {{"name", shown[i].name}, {"type", TypeName(shown[i].type)}};
    column["null_share"] = figures.rows == 0 ? 0.0 : 1 - static_cast<double>(f.known) / static_cast<double>(figures.rows);
    column["distinct"] = AtMostPossible(f, shown[i].type);
    column["min"] = BoundJson(shown[i], f.min);
    column["max"] = BoundJson(shown[i], f.max);
    if ((shown[i].type == Type::kInt64 || shown[i].type == Type::kDouble) && f.mean) column["mean"] = *f.mean;
    TIDEMILL_RETURN_IF_ERROR(AddShape(session, shown[i], f, relation, column));
    profile["columns"].push_back(std::move(column));
  }
  return profile;
}

}  // namespace tidemill
