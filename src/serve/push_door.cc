#include "serve/push_door.h"

#include <algorithm>
#include <limits>
#include <mutex>

#include <fmt/format.h>

#include "base/text_distance.h"
#include "base/value_json.h"
#include "ingest/row_checker.h"

namespace tidemill {
namespace {

constexpr size_t kRowsMax = 10'000;
constexpr size_t kIdBytesMax = 200;
constexpr size_t kRawBytesMax = 10'000;
constexpr size_t kReasonsShown = 10;
constexpr std::string_view kShape = R"(send {"rows": [{...}, ...]}, with "id" when the same push may come twice)";

struct PushBody {
  const Json* rows = nullptr;
  std::string id;
};

Result<PushBody> ReadBody(const Json& body) {
  if (!body.is_object())
    return UserError("bad_request", fmt::format("expected an object, came {}", ShortJson(body)), std::string(kShape));
  for (const auto& [name, value] : body.items()) {
    if (name != "rows" && name != "id")
      return UserError("unknown_field", fmt::format("unknown field '{}'", name), SuggestionHint(name, {"rows", "id"}));
  }
  PushBody read;
  if (body.contains("id")) {
    const Json& id = body["id"];
    if (!id.is_string() || id.get_ref<const std::string&>().empty() || id.get_ref<const std::string&>().size() > kIdBytesMax) {
      return UserError("bad_value", fmt::format("'id': expected a text of 1 to {} bytes, came {}", kIdBytesMax, ShortJson(id)));
    }
    read.id = id.get<std::string>();
  }
  if (!body.contains("rows")) return UserError("missing_field", "the request lacks 'rows'", std::string(kShape));
  read.rows = &body["rows"];
  if (!read.rows->is_array())
    return UserError("bad_request", fmt::format("'rows': expected a list, came {}", ShortJson(*read.rows)), std::string(kShape));
  if (read.rows->empty()) return UserError("empty_push", "'rows' is empty: there is nothing to store", std::string(kShape));
  if (read.rows->size() > kRowsMax) {
    return UserError("too_many_rows", fmt::format("a push has at most {} rows, this one has {}", kRowsMax, read.rows->size()),
                     "send several pushes");
  }
  return read;
}

std::string RawText(const Json& row) {
  std::string text = row.dump();
  if (text.size() > kRawBytesMax) text.resize(kRawBytesMax);
  return text;
}

}  // namespace

struct PushDoor::Source {
  SourceAsset asset;
  std::vector<std::string> names;
  size_t known_at = SIZE_MAX;  ///< its column
  RowChecker checker;
  std::mutex mutex;            ///< of the checker

  Source(const SourceAsset& source, RowChecker row_checker) : asset(source), checker(std::move(row_checker)) {
    for (const ContractColumn& column : asset.contract.columns) {
      if (column.name == asset.known_at) known_at = names.size();
      names.push_back(column.name);
    }
  }

  Result<std::vector<Value>> ReadRow(const Json& row) const {
    if (!row.is_object()) return UserError("bad_request", fmt::format("expected an object, came {}", ShortJson(row)));
    for (const auto& [name, value] : row.items()) {
      const bool known = std::find(names.begin(), names.end(), name) != names.end();
      if (known || asset.contract.extra_columns == ExtraColumns::kIgnore) continue;
      return UserError("unknown_column", fmt::format("the source '{}' has no column {}", asset.name, ShortJson(name)),
                       SuggestionHint(name, names));
    }
    std::vector<Value> values(names.size());
    for (size_t i = 0; i < names.size(); ++i) {
      const auto cell = row.find(names[i]);
      if (cell == row.end()) continue;
      auto value = ValueFromJson(*cell, asset.contract.columns[i].type);
      if (!value.ok()) return std::move(value).error().WithContext(fmt::format("column '{}'", names[i]));
      values[i] = std::move(value).value();
    }
    return values;
  }

  /// The time that a row declares, or the least number.
  int64_t DeclaredKnown(const Columns& rows, size_t row) const {
    if (known_at == SIZE_MAX || rows.columns[known_at].IsNull(row)) return std::numeric_limits<int64_t>::min();
    const Column& column = rows.columns[known_at];
    return column.type == Type::kDate ? column.ints[row] * kMicrosPerDay : column.ints[row];
  }

  /// Appends one record: as a row, or as one that was refused.
  Status Append(const Json& json, PushedBatch& batch) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Value> values, ReadRow(json));
    std::vector<Violation> violations;
    const size_t row = batch.rows.rows();
    checker.AppendValues(values, &batch.rows, &violations);
    if (!violations.empty() && asset.contract.on_violation == OnViolation::kFail) {
      return UserError("contract_violation", violations.front().reason, fmt::format("the contract of '{}' refuses such pushes whole", asset.name));
    }
    if (!violations.empty() && asset.contract.on_violation == OnViolation::kQuarantine) {
      Truncate(row, &batch.rows);
      std::string reason;
      for (const Violation& violation : violations) reason += (reason.empty() ? "" : "; ") + violation.reason;
      batch.refused.push_back({batch.records, std::move(reason), RawText(json)});
      return Ok();
    }
    batch.record_of_row.push_back(batch.records);
    batch.known_at.push_back(DeclaredKnown(batch.rows, row));
    return Ok();
  }
};

PushDoor::PushDoor() = default;
PushDoor::~PushDoor() = default;

Result<std::unique_ptr<PushDoor>> PushDoor::Make(const std::map<std::string, SourceAsset>& sources) {
  std::unique_ptr<PushDoor> door(new PushDoor());
  for (const auto& [name, source] : sources) {
    if (!source.pushed) continue;
    TIDEMILL_ASSIGN_OR_RETURN(RowChecker checker, RowChecker::Make(source.contract.columns, {}));
    door->sources_[name] = std::make_unique<Source>(source, std::move(checker));
  }
  return door;
}

Result<PushedBatch> PushDoor::Read(const std::string& source, const Json& body) const {
  const auto found = sources_.find(source);
  if (found == sources_.end()) {
    std::vector<std::string> names;
    for (const auto& [name, unused] : sources_) names.push_back(name);
    std::string hint = SuggestionHint(source, names);
    if (names.empty()) hint = "a source takes pushes when its file says 'from: push'";
    return UserError("unknown_source", fmt::format("there is no pushed source {}", ShortJson(source)), hint);
  }
  TIDEMILL_ASSIGN_OR_RETURN(const PushBody read, ReadBody(body));
  PushedBatch batch;
  batch.source = source;
  batch.id = read.id;
  const std::lock_guard<std::mutex> lock(found->second->mutex);
  batch.rows = found->second->checker.MakeBatch();
  for (const Json& row : *read.rows) {
    ++batch.records;
    Status appended = found->second->Append(row, batch);
    if (!appended.ok()) return std::move(appended).error().WithContext(fmt::format("row {}", batch.records));
  }
  return batch;
}

Json PushDoor::ToJson(const std::string& source, const PushReceipt& receipt, const PushedBatch& batch,
                      const std::vector<LaterView>& later) {
  Json json = {{"source", source},
               {"rows", receipt.rows},
               {"quarantined", receipt.refused},
               {"arrived_at", FormatTimestamp(receipt.arrived_at)},
               {"repeated", receipt.repeated}};
  if (!batch.id.empty()) json["id"] = batch.id;
  if (!batch.refused.empty()) {
    json["reasons"] = Json::array();
    for (size_t i = 0; i < std::min(batch.refused.size(), kReasonsShown); ++i) {
      json["reasons"].push_back({{"row", batch.refused[i].record}, {"reason", batch.refused[i].reason}});
    }
  }
  for (const UncomputedPushRow& row : receipt.uncomputed) {
    json["left_out"].push_back({{"row", row.record}, {"table", row.table}});
    if (!row.column.empty()) json["left_out"].back()["column"] = row.column;
  }
  for (const LaterView& view : later) {
    if (view.sources.contains(source)) json["next_run"].push_back({{"view", view.view}, {"reason", view.reason}});
  }
  return json;
}

}  // namespace tidemill
