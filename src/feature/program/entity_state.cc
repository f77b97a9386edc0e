#include "feature/program/entity_state.h"

#include <bit>
#include <cstring>

#include "feature/program/entity_kernel.h"
#include "feature/program/varint.h"

namespace tidemill {
namespace {

constexpr std::string_view kMagic = "TMS1";

Error BadState(std::string_view why) {
  return UserError("bad_state", "this is not a saved entity state: " + std::string(why), "materialize the view again");
}

class KernelState : public EntityState {
 public:
  KernelState(const Program& program, std::shared_ptr<const CompiledProgram> compiled)
      : compiled_(std::move(compiled)),
        columns_(program.columns.size()),
        slots_(compiled_->slot_types().size()),
        kernel_(compiled_) {}

  Status Update(const FeatureEvent& event) override {
    if (event.values.size() != columns_.size()) {
      return InternalError("a row has " + std::to_string(event.values.size()) + " values for " + std::to_string(columns_.size()) +
                           " columns");
    }
    for (size_t i = 0; i < columns_.size(); ++i) columns_[i] = ToDatum(event.values[i], compiled_->column_types()[i]);
    texts_.Reset();
    compiled_->FillSlots(columns_, texts_, slots_);
    kernel_.Add(event.event_time.micros, event.known_at.micros, event.seq, slots_);
    return Ok();
  }

  std::vector<Value> Query(Timestamp time) override {
    std::vector<Datum> outputs(compiled_->outputs());
    kernel_.Query(time.micros, outputs);
    std::vector<Value> values;
    for (size_t i = 0; i < outputs.size(); ++i) values.push_back(ToValue(outputs[i], compiled_->output_type(i)));
    return values;
  }

  Status Merge(const EntityState& other) override {
    const auto* state = dynamic_cast<const KernelState*>(&other);
    if (state == nullptr || state->compiled_->slot_types() != compiled_->slot_types()) {
      return InternalError("states of different programs can't be merged");
    }
    const RowStore& rows = state->kernel_.rows();
    for (size_t row = 0; row < rows.size(); ++row) kernel_.AddFrom(rows, row);
    return Ok();
  }

  void Expire(Timestamp time) override { kernel_.Expire(time.micros); }

  std::string Save() const override {
    kernel_.Settle();
    return SaveRows(kernel_.rows());
  }

  Status Load(std::string_view bytes) override {
    RowStore rows(compiled_->slot_types());
    TIDEMILL_RETURN_IF_ERROR(LoadRows(bytes, rows));
    kernel_.Clear();
    for (size_t row = 0; row < rows.size(); ++row) kernel_.AddFrom(rows, row);
    return Ok();
  }

  size_t rows() const override {
    kernel_.Settle();
    return kernel_.rows().size();
  }

  std::vector<int64_t> VisibleRows(Timestamp time) const override {
    std::vector<int64_t> sequences;
    for (const size_t row : kernel_.VisibleRows(time.micros)) sequences.push_back(kernel_.rows().sequence(row));
    return sequences;
  }

 private:
  static std::string SaveRows(const RowStore& rows) {
    std::string bytes(kMagic);
    AppendVarint(rows.slots(), bytes);
    for (size_t slot = 0; slot < rows.slots(); ++slot) bytes += static_cast<char>(rows.slot_type(slot));
    AppendVarint(rows.size(), bytes);
    int64_t event = 0;
    int64_t sequence = 0;
    for (size_t row = 0; row < rows.size(); ++row) {
      AppendSigned(Difference(rows.event(row), event), bytes);
      AppendSigned(Difference(rows.known(row), rows.event(row)), bytes);
      AppendSigned(Difference(rows.sequence(row), sequence), bytes);
      event = rows.event(row);
      sequence = rows.sequence(row);
      for (size_t slot = 0; slot < rows.slots(); ++slot) SaveSlot(rows.Slot(slot, row), rows.slot_type(slot), bytes);
    }
    return bytes;
  }

  static void SaveSlot(const Datum& datum, Type type, std::string& bytes) {
    bytes += static_cast<char>(datum.null ? 0 : 1);
    if (datum.null) return;
    if (type == Type::kDouble) {
      const auto bits = std::bit_cast<uint64_t>(datum.number);
      for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>(bits >> shift);
    } else if (HoldsBytes(type)) {
      AppendVarint(datum.text.size(), bytes);
      bytes += datum.text;
    } else {
      AppendSigned(datum.integer, bytes);
    }
  }

  Status LoadRows(std::string_view bytes, RowStore& rows) const {
    if (!bytes.starts_with(kMagic)) return BadState("it begins with something else");
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

  /// Sums and differences that wrap around, so that any times survive Save and Load.
  static int64_t Sum(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }
  static int64_t Difference(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
  }

  static Datum LoadSlot(Type type, VarintReader& reader) {
    if (reader.Bytes(1) != std::string_view("\1", 1)) return Datum::Null();
    if (HoldsBytes(type)) return Datum::Text(reader.Bytes(reader.Unsigned()));
    if (type != Type::kDouble) return Datum::Integer(reader.Signed());
    uint64_t bits = 0;
    const std::string_view raw = reader.Bytes(8);
    for (size_t i = raw.size(); i-- > 0;) bits = bits << 8 | static_cast<uint8_t>(raw[i]);
    return Datum::Number(std::bit_cast<double>(bits));
  }

  std::shared_ptr<const CompiledProgram> compiled_;
  std::vector<Datum> columns_;
  std::vector<Datum> slots_;
  TextPool texts_;
  mutable EntityKernel kernel_;  ///< reading may put its rows in order
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
