#include "feature/program/entity_state.h"

#include <bit>

#include "feature/program/state_reader.h"
#include "feature/program/state_tree.h"
#include "feature/program/varint.h"

namespace tidemill {
namespace {

/// The first format: all rows, each field as it is.
class FirstFormat {
 public:
  static constexpr std::string_view kMagic = "TMS1";

  static Status Load(std::string_view bytes, RowStore& rows) {
    VarintReader reader(bytes.substr(kMagic.size()));
    if (reader.Unsigned() != rows.slots()) return BadState("it belongs to another program");
    for (size_t slot = 0; slot < rows.slots(); ++slot) {
      if (reader.Bytes(1) != std::string_view(std::string(1, static_cast<char>(rows.slot_type(slot)))))
        return BadState("it belongs to another program");
    }
    const uint64_t count = reader.Unsigned();
    std::vector<Datum> slots(rows.slots());
    int64_t event = 0;
    int64_t sequence = 0;
    for (uint64_t row = 0; row < count && reader.ok(); ++row) {
      event = Sum(event, reader.Signed());
      const int64_t known = Sum(event, reader.Signed());
      sequence = Sum(sequence, reader.Signed());
      for (size_t slot = 0; slot < slots.size(); ++slot) slots[slot] = LoadSlot(rows.slot_type(slot), reader);
      rows.Append(event, known, sequence, slots);
    }
    if (!reader.ok() || !reader.AtEnd()) return BadState("it is cut short or damaged");
    return Ok();
  }

 private:
  /// Wraps around, so that any times survive.
  static int64_t Sum(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }

  static Datum LoadSlot(Type type, VarintReader& reader) {
    if (reader.Bytes(1) != std::string_view("\1", 1)) return Datum::Null();
    if (HoldsBytes(type)) return Datum::Text(reader.Bytes(reader.Unsigned()));
    if (type != Type::kDouble) return Datum::Integer(reader.Signed());
    uint64_t bits = 0;
    const std::string_view raw = reader.Bytes(8);
    for (size_t i = raw.size(); i-- > 0;) bits = bits << 8 | static_cast<uint8_t>(raw[i]);
    return Datum::Number(std::bit_cast<double>(bits));
  }
};

class KernelState : public EntityState {
 public:
  KernelState(const Program& program, std::shared_ptr<const CompiledProgram> compiled)
      : compiled_(std::move(compiled)), columns_(program.columns.size()), tree_(compiled_) {}

  Status Update(const FeatureEvent& event) override {
    TIDEMILL_RETURN_IF_ERROR(CheckColumns(event.values.size()));
    std::vector<Datum> values(columns_);
    for (size_t i = 0; i < columns_; ++i) values[i] = ToDatum(event.values[i], compiled_->column_types()[i]);
    return Update(event.event_time, event.known_at, event.seq, values);
  }

  Status Update(Timestamp event_time, Timestamp known_at, int64_t seq, std::span<const Datum> values) override {
    TIDEMILL_RETURN_IF_ERROR(CheckColumns(values.size()));
    if (compiled_->TooLate(event_time.micros, known_at.micros)) {
      ++late_rows_;
      return Ok();
    }
    Incoming& incoming = GetIncoming();
    incoming.texts.Reset();
    compiled_->FillSlots(values, incoming.texts, incoming.slots);
    incoming.row.Clear();
    incoming.row.Append(event_time.micros, known_at.micros, seq, incoming.slots);
    const Result<bool> inserted = tree_.Insert(incoming.row, 0);
    return inserted.ok() ? Ok() : Status(inserted.error());
  }

  std::vector<Value> Query(Timestamp time) override {
    std::vector<Datum> outputs(compiled_->outputs());
    if (!scratch_) scratch_ = std::make_unique<StateScratch>(compiled_);
    if (!Read(time, *scratch_, outputs).ok()) outputs.assign(outputs.size(), Datum::Null());
    std::vector<Value> values;
    for (size_t i = 0; i < outputs.size(); ++i) values.push_back(ToValue(outputs[i], compiled_->output_type(i)));
    return values;
  }

  Status Read(Timestamp time, StateScratch& scratch, std::span<Datum> outputs) override {
    return StateReader(tree_, scratch).Query(time.micros, outputs);
  }

  Status Merge(const EntityState& other) override {
    const auto* state = dynamic_cast<const KernelState*>(&other);
    if (state == nullptr || state->compiled_->slot_types() != compiled_->slot_types())
      return InternalError("states of different programs can't be merged");
    if (!state->tree_.folded().empty()) {
      if (rows() == 0) return Load(state->Save());
      return UserError("folded_state", "rows of the state have been folded, so it can't be merged",
                       "merge states before they are folded");
    }
    return state->tree_.ForEachTile([this](const RowStore& rows) { return InsertAll(tree_, rows); });
  }

  void Expire(Timestamp time) override {
    // A part that can't be read stays: it is seen by no query, and the next call tries again.
    (void)tree_.DropUntil(compiled_->Horizon(time.micros));
  }

  void Fold(Timestamp time) override {
    if (!compiled_->FoldHorizon(time.micros)) return;
    StateScratch scratch(compiled_);
    // As with Expire: what can't be read stays as it is.
    (void)StateReader(tree_, scratch).FoldRows(time.micros);
  }

  std::string Save() const override {
    (void)Prepare();  // without it the first query after Load takes longer
    auto saved = tree_.Save();
    return saved.ok() ? std::move(saved).value() : "";
  }

  Status Load(std::string_view bytes) override { return Open(bytes, nullptr); }

  Status Open(std::string_view head, Fetch fetch) override {
    if (!head.starts_with(FirstFormat::kMagic)) return tree_.Load(head, std::move(fetch));
    RowStore rows(compiled_->slot_types());
    TIDEMILL_RETURN_IF_ERROR(FirstFormat::Load(head, rows));
    StateTree tree(compiled_);
    TIDEMILL_RETURN_IF_ERROR(InsertAll(tree, rows));
    tree_ = std::move(tree);
    return Ok();
  }

  StateChanges TakeChanges() override {
    (void)Prepare();
    StateChanges changes;
    for (StateTree::Record& record : tree_.TakeRecords(changes.removed))
      changes.written.push_back({record.id, std::move(record.bytes)});
    return changes;
  }

  bool changed() const override { return tree_.changed(); }
  void Release() override {
    tree_.Release();
    scratch_.reset();
    incoming_.reset();
  }

  size_t rows() const override { return tree_.Summarize().rows; }
  size_t folded_rows() const override {
    size_t rows = 0;
    for (const FoldedRows& folded : tree_.folded()) rows += folded.summary.rows;
    return rows;
  }
  size_t rows_behind() const override { return tree_.rows_behind(); }
  size_t memory_bytes() const override { return sizeof(*this) - sizeof(tree_) + tree_.memory_bytes(); }
  std::optional<Timestamp> oldest() const override {
    const StateSummary summary = tree_.Summarize();
    return summary.rows == 0 ? std::nullopt : std::optional(Timestamp{summary.first_event});
  }
  size_t late_rows() const override { return late_rows_; }

  std::vector<int64_t> VisibleRows(Timestamp time) const override {
    StateScratch scratch(compiled_);
    auto sequences = StateReader(tree_, scratch).VisibleRows(time.micros);
    return sequences.ok() ? std::move(sequences).value() : std::vector<int64_t>();
  }

 private:
  Status Prepare() const {
    if (tree_.root().level == 1 && tree_.root().children.size() <= 1) return Ok();  // most states are small
    if (scratch_) return StateReader(tree_, *scratch_).Prepare();
    StateScratch scratch(compiled_);
    return StateReader(tree_, scratch).Prepare();
  }

  /// A row on its way into the tree.
  struct Incoming {
    explicit Incoming(const CompiledProgram& program) : row(program.slot_types()), slots(program.slot_types().size()) {}
    RowStore row;
    std::vector<Datum> slots;
    TextPool texts;
  };

  Incoming& GetIncoming() {
    if (!incoming_) incoming_ = std::make_unique<Incoming>(*compiled_);
    return *incoming_;
  }

  Status CheckColumns(size_t values) const {
    if (values == columns_) return Ok();
    return InternalError("a row has " + std::to_string(values) + " values for " + std::to_string(columns_) + " columns");
  }

  static Status InsertAll(StateTree& tree, const RowStore& rows) {
    for (size_t row = 0; row < rows.size(); ++row) {
      if (tree.program().TooLate(rows.event(row), rows.known(row))) continue;
      const Result<bool> inserted = tree.Insert(rows, row);
      if (!inserted.ok()) return inserted.error();
    }
    return Ok();
  }

  std::shared_ptr<const CompiledProgram> compiled_;
  size_t columns_;
  mutable StateTree tree_;  ///< reading may fetch parts of it, and keeps partial results
  std::unique_ptr<Incoming> incoming_;
  mutable std::unique_ptr<StateScratch> scratch_;  ///< for calls without one
  size_t late_rows_ = 0;
};

}  // namespace

std::unique_ptr<EntityState> EntityState::Make(const Program& program) {
  auto compiled = CompiledProgram::Make(program);
  if (!compiled.ok()) return nullptr;
  return std::make_unique<KernelState>(program, std::move(compiled).value());
}

std::unique_ptr<EntityState> EntityState::Make(const Program& program, std::shared_ptr<const CompiledProgram> compiled) {
  return std::make_unique<KernelState>(program, std::move(compiled));
}

}  // namespace tidemill
