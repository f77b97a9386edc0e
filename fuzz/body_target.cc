#include <string_view>

#include "base/value_json.h"
#include "feature/online/push_record.h"
#include "fuzz/rows.h"
#include "fuzz/targets.h"
#include "serve/push_door.h"

namespace tidemill::fuzz {
namespace {

ContractColumn ColumnOf(std::string name, Type type) {
  ContractColumn column;
  column.name = std::move(name);
  column.type = type;
  return column;
}

/// A column of each type, with every rule that a contract knows.
SourceAsset Taps() {
  SourceAsset source;
  source.name = "taps";
  source.pushed = true;
  source.known_at = "day";
  std::vector<ContractColumn>& columns = source.contract.columns;
  columns = {ColumnOf("card", Type::kText),   ColumnOf("amount", Type::kDouble),    ColumnOf("count", Type::kInt64),
             ColumnOf("manual", Type::kBool), ColumnOf("tapped", Type::kTimestamp), ColumnOf("day", Type::kDate)};
  columns[0].required = true;
  columns[0].length_max = 20;
  columns[0].pattern = "[a-z\u00e9]*[0-9]?";
  columns[1].min = -1e9;
  columns[1].max = 1e9;
  columns[2].allowed = {"1", "2", "-9223372036854775808"};
  return source;
}

std::unique_ptr<PushDoor> DoorOf(OnViolation on_violation, ExtraColumns extra_columns, std::string known_at) {
  SourceAsset source = Taps();
  source.contract.on_violation = on_violation;
  source.contract.extra_columns = extra_columns;
  source.known_at = std::move(known_at);
  auto door = PushDoor::Make({{source.name, source}});
  Require(door.ok());
  return std::move(door).value();
}

}  // namespace

int FuzzBody(const uint8_t* data, size_t size) {
  static const std::unique_ptr<PushDoor> doors[] = {DoorOf(OnViolation::kQuarantine, ExtraColumns::kRefuse, "day"),
                                                    DoorOf(OnViolation::kWarn, ExtraColumns::kIgnore, "tapped"),
                                                    DoorOf(OnViolation::kFail, ExtraColumns::kIgnore, "")};
  const auto body = ParseJson(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!body.ok()) return 0;
  for (const auto& door : doors) {
    const auto batch = door->Read("taps", *body);
    if (!batch.ok()) continue;
    Require(batch->known_at.size() == batch->rows.rows() && batch->record_of_row.size() == batch->rows.rows());
    Require(batch->records == static_cast<int64_t>(batch->rows.rows() + batch->refused.size()));
    const auto again = DecodePush(EncodePush(*batch));  // what was accepted can be logged and read again
    Require(again.ok() && PushDigest(*again) == PushDigest(*batch));
    (void)PushDoor::ToJson("taps", {}, *batch, {}).dump();
  }
  return 0;
}

}  // namespace tidemill::fuzz
