#include "serve/spine_rows.h"

#include <fmt/format.h>

#include "base/value_json.h"

namespace tidemill {
namespace {

constexpr std::string_view kRecordKey = "generation";
constexpr size_t kWritesMax = 2048;

std::string RecordSpace(const std::string& model) { return "spine:" + model; }
std::string GenerationSpace(const std::string& model, bool second) { return RecordSpace(model) + (second ? ":b" : ":a"); }

/// What is known of the live generation.
struct Generation {
  std::string space;
  std::vector<Field> key;
};

Result<std::optional<Generation>> ReadGeneration(OnlineStore& store, const std::string& model) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::optional<std::string> bytes, store.Get(RecordSpace(model), kRecordKey));
  if (!bytes) return std::optional<Generation>();
  TIDEMILL_ASSIGN_OR_RETURN(const Json json, ParseJson(*bytes));
  Generation generation{json.value("space", ""), {}};
  for (const Json& field : json.value("key", Json::array())) {
    TIDEMILL_ASSIGN_OR_RETURN(const Type type, ParseType(field.value("type", "")));
    generation.key.push_back({field.value("name", ""), type});
  }
  return std::optional<Generation>(std::move(generation));
}

std::string GenerationText(const std::string& space, const Columns& rows, size_t key_size) {
  Json key = Json::array();
  for (size_t i = 0; i < key_size; ++i) {
    key.push_back({{"name", rows.columns[i].name}, {"type", std::string(TypeName(rows.columns[i].type))}});
  }
  return Json{{"space", space}, {"key", std::move(key)}}.dump();
}

/// The key columns first, then the prediction time as `_at`, then the request fields.
std::string SelectRows(const FeaturePlan& plan, const std::string& table_sql, Timestamp from, Timestamp now) {
  std::string columns;
  for (const std::string& name : plan.spine_key) columns += QuoteIdentifier(name) + ", ";
  const std::string time = QuoteIdentifier(plan.timestamp);
  columns += time + " AS _at";
  for (const Field& field : plan.request_fields) columns += ", " + QuoteIdentifier(field.name);
  return fmt::format("SELECT {} FROM {} WHERE _known_at <= {} AND {} > {} ORDER BY {}, _seq", columns,
                     table_sql, SqlLiteral(now), time, SqlLiteral(from), time);
}

std::string RowText(const FeaturePlan& plan, const Columns& rows, size_t row) {
  const size_t key_size = plan.spine_key.size();
  Json json = {{"_at", ValueToJson(rows.columns[key_size].At(row))}};
  for (size_t i = 0; i < plan.request_fields.size(); ++i) {
    json[plan.request_fields[i].name] = ValueToJson(rows.columns[key_size + 1 + i].At(row));
  }
  return json.dump();
}

std::string RowKey(const Columns& rows, size_t row, size_t key_size) {
  std::vector<Value> values;
  for (size_t i = 0; i < key_size; ++i) values.push_back(rows.columns[i].At(row));
  return EncodeKey(values);
}

Status PutRows(OnlineStore& store, const FeaturePlan& plan, const std::string& space, const Columns& rows) {
  std::vector<OnlineStore::Write> writes;
  for (size_t row = 0; row < rows.rows(); ++row) {
    writes.push_back({space, RowKey(rows, row, plan.spine_key.size()), RowText(plan, rows, row)});
    if (writes.size() < kWritesMax) continue;
    TIDEMILL_RETURN_IF_ERROR(store.Put(writes));
    writes.clear();
  }
  return writes.empty() ? Ok() : store.Put(writes);
}

}  // namespace

Status MaterializeSpine(OnlineStore& store, const FeaturePlan& plan, Session& session, const std::string& table_sql,
                        Timestamp from, Timestamp now) {
  if (plan.spine_key.empty()) return Ok();
  TIDEMILL_ASSIGN_OR_RETURN(const std::optional<Generation> before, ReadGeneration(store, plan.model));
  const std::string space = GenerationSpace(plan.model, before && before->space == GenerationSpace(plan.model, false));
  TIDEMILL_RETURN_IF_ERROR(store.Clear(space));

  const std::string sql = SelectRows(plan, table_sql, from, now);
  Columns first;  // types of the key, from the first batch or from the statement
  TIDEMILL_RETURN_IF_ERROR(session.Stream(sql, [&](const Columns& batch) -> Status {
    if (first.columns.empty()) {
      for (const Column& column : batch.columns) first.columns.emplace_back(column.name, column.type);
    }
    return PutRows(store, plan, space, batch);
  }));
  if (first.columns.empty()) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Field> fields, session.Describe(sql));
    for (const Field& field : fields) first.columns.emplace_back(field.name, field.type);
  }
  return store.Put({{RecordSpace(plan.model), std::string(kRecordKey), GenerationText(space, first, plan.spine_key.size())}});
}

Result<SpineRows> SpineRows::Open(OnlineStore& store, const FeaturePlan& plan) {
  SpineRows rows;
  rows.store_ = &store;
  TIDEMILL_ASSIGN_OR_RETURN(std::optional<Generation> generation, ReadGeneration(store, plan.model));
  if (generation) {
    rows.space_ = std::move(generation->space);
    rows.key_ = std::move(generation->key);
  }
  return rows;
}

Result<std::optional<SpineRow>> SpineRows::Find(const Json& request) const {
  if (space_.empty()) return std::optional<SpineRow>();
  std::vector<Value> key;
  for (const Field& field : key_) {
    const auto found = request.find(field.name);
    if (found == request.end()) return std::optional<SpineRow>();
    auto value = ValueFromJson(*found, field.type);
    if (!value.ok()) return std::move(value).error().WithContext(fmt::format("field '{}'", field.name));
    key.push_back(std::move(value).value());
  }
  TIDEMILL_ASSIGN_OR_RETURN(const std::optional<std::string> bytes, store_->Get(space_, EncodeKey(key)));
  if (!bytes) return std::optional<SpineRow>();
  TIDEMILL_ASSIGN_OR_RETURN(Json fields, ParseJson(*bytes));
  TIDEMILL_ASSIGN_OR_RETURN(const Timestamp at, ParseTimestamp(fields.value("_at", "")));
  fields.erase("_at");
  return std::optional<SpineRow>(SpineRow{at, std::move(fields)});
}

}  // namespace tidemill
