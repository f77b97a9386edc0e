#include "feature/program/partition_join.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <unordered_map>

#include "feature/program/entity_kernel.h"
#include "feature/program/varint.h"

namespace tidemill {
namespace {

/// Keys as bytes that are equal exactly when the keys are; "" when one of them is null. 0.0 and -0.0 are one key, and so are all
/// NaN.
class EntityKeys {
 public:
  explicit EntityKeys(const std::vector<Column>& keys) : keys_(keys) {}

  bool Read(size_t row, std::string& bytes) const {
    bytes.clear();
    for (const Column& key : keys_) {
      if (key.IsNull(row)) return false;
      if (HoldsBytes(key.type)) {
        AppendVarint(key.Text(row).size(), bytes);
        bytes += key.Text(row);
      } else if (key.type == Type::kDouble) {
        AppendVarint(std::bit_cast<uint64_t>(OneForm(key.doubles[row])), bytes);
      } else {
        AppendSigned(key.ints[row], bytes);
      }
    }
    return true;
  }

 private:
  static double OneForm(double value) { return value != value ? std::numeric_limits<double>::quiet_NaN() : value + 0.0; }

  const std::vector<Column>& keys_;
};

struct RowRange {
  size_t begin = 0;
  size_t end = 0;
};
using EntityRows = std::unordered_map<std::string, RowRange>;

Result<EntityRows> FindEntities(const PartitionRows& rows) {
  const EntityKeys keys(rows.keys);
  EntityRows entities;
  std::string key;
  for (size_t row = 0; row < rows.size(); ++row) {
    if (!keys.Read(row, key)) continue;
    const auto [entity, is_new] = entities.try_emplace(key, RowRange{row, row});
    if (!is_new && entity->second.end != row)
      return UserError("not_grouped",
                       fmt::format("the rows of an entity do not lie together: row {} belongs to one that ended", row),
                       "sort the rows by their keys");
    entity->second.end = row + 1;
  }
  return entities;
}

/// Spine rows with a time by entity, within it by time. Those with a null in their key belong to an entity without rows.
struct SpineGroup {
  std::optional<std::string> entity;
  std::vector<size_t> members;
};

std::vector<SpineGroup> GroupSpine(const PartitionSpine& spine) {
  const EntityKeys keys(spine.keys);
  std::unordered_map<std::string, size_t> group_of;
  std::vector<SpineGroup> groups = {{std::nullopt, {}}};
  std::string key;
  for (size_t row = 0; row < spine.size(); ++row) {
    if (spine.time.IsNull(row)) continue;
    if (!keys.Read(row, key)) {
      groups.front().members.push_back(row);
      continue;
    }
    const auto [group, is_new] = group_of.try_emplace(key, groups.size());
    if (is_new) groups.push_back({key, {}});
    groups[group->second].members.push_back(row);
  }
  for (SpineGroup& group : groups) {
    std::stable_sort(group.members.begin(), group.members.end(),
                     [&](size_t a, size_t b) { return spine.time.ints[a] < spine.time.ints[b]; });
  }
  return groups;
}

class PartitionJoin {
 public:
  PartitionJoin(const Program& program, std::shared_ptr<const CompiledProgram> compiled, const PartitionRows& rows,
                const PartitionSpine& spine)
      : program_(program), compiled_(std::move(compiled)), rows_(rows), spine_(spine), kernel_(compiled_), answers_(compiled_->output_types()) {}

  Result<Columns> Run() {
    TIDEMILL_ASSIGN_OR_RETURN(const EntityRows entities, FindEntities(rows_));
    const size_t outputs = compiled_->outputs();
    Columns found;  // in the order of entities
    for (const Output& output : program_.outputs) found.columns.emplace_back(output.name, output.expression.type);
    constexpr size_t kNowhere = SIZE_MAX;
    std::vector<size_t> place(spine_.size(), kNowhere);
    size_t next = 0;
    for (const SpineGroup& group : GroupSpine(spine_)) {
      if (group.members.empty()) continue;
      const auto entity = group.entity ? entities.find(*group.entity) : entities.end();
      Answer(entity == entities.end() ? RowRange{} : entity->second, group.members, found);
      for (const size_t member : group.members) place[member] = next++;
    }
    if (next < spine_.size()) {  // without a time: one answer for all
      Answer({}, {}, found);
      std::replace(place.begin(), place.end(), kNowhere, next);
    }
    Columns result;
    for (size_t output = 0; output < outputs; ++output) {
      Column& column = result.columns.emplace_back(found.columns[output].name, found.columns[output].type);
      column.Reserve(spine_.size());
      for (const size_t at : place) AppendDatum(ColumnDatum(found.columns[output], at), column);
    }
    return result;
  }

 private:
  /// Appends the features at each member's time; of none, those at no time.
  void Answer(RowRange range, const std::vector<size_t>& members, Columns& found) {
    kernel_.Clear();
    std::vector<Datum> values(rows_.columns.size());
    std::vector<Datum> slots(compiled_->slot_types().size());
    for (size_t row = range.begin; row < range.end; ++row) {
      for (size_t i = 0; i < values.size(); ++i) values[i] = ColumnDatum(rows_.columns[i], row);
      texts_.Reset();
      compiled_->FillSlots(values, texts_, slots);
      kernel_.Add(rows_.event.ints[row], rows_.known.ints[row], rows_.sequence.ints[row], slots);
    }
    times_.clear();
    for (const size_t member : members) times_.push_back(spine_.time.ints[member]);
    if (members.empty()) times_.push_back(kNoTime);
    answers_.Resize(times_.size());
    kernel_.QueryMany(times_, answers_.columns());
    for (size_t output = 0; output < found.columns.size(); ++output) {
      const ResultColumn& answers = answers_.columns()[output];
      Column& column = found.columns[output];
      for (size_t i = 0; i < times_.size(); ++i) AppendDatum(answers.Get(i, column.type), column);
    }
  }

  const Program& program_;
  std::shared_ptr<const CompiledProgram> compiled_;
  const PartitionRows& rows_;
  const PartitionSpine& spine_;
  EntityKernel kernel_;
  TextPool texts_;
  std::vector<int64_t> times_;
  ResultBuffer answers_;
};

}  // namespace

Result<Columns> JoinPartition(const Program& program, std::shared_ptr<const CompiledProgram> compiled, const PartitionRows& rows,
                              const PartitionSpine& spine) {
  return PartitionJoin(program, std::move(compiled), rows, spine).Run();
}

}  // namespace tidemill
