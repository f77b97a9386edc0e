#include "feature/batch/view_outputs.h"

#include <algorithm>

#include "feature/program/entity_kernel.h"

namespace tidemill {
namespace {

constexpr size_t kRowsAtOnce = 4096;

}  // namespace

std::vector<Type> OutputTypes(const CompiledProgram& program, const std::vector<size_t>& outputs) {
  std::vector<Type> types;
  for (const size_t output : outputs) types.push_back(program.output_type(output));
  return types;
}

std::span<const Datum> FeatureRow::wanted() {
  for (size_t i = 0; i < outputs_.size(); ++i) wanted_[i] = all_[outputs_[i]];
  return wanted_;
}

DefaultOutputs::DefaultOutputs(const std::shared_ptr<const CompiledProgram>& program, const std::vector<size_t>& outputs)
    : records_(OutputTypes(*program, outputs)) {
  EntityKernel kernel(program);
  FeatureRow row(*program, outputs);
  kernel.Query(kNoTime, row.all());
  records_.Resize(1);
  records_.Set(0, row.wanted(), texts_);
}

bool AnsweredByLatestRow(const CompiledProgram& program) {
  const auto& aggregates = program.aggregates();
  if (program.windows().size() != 1 || program.limits_lateness() || program.uses_time()) return false;
  const WindowPlan& window = program.windows()[0];
  const bool plain = window.hop == 0 && window.session == 0 && window.limit == WindowPlan::kForever;
  return plain && std::all_of(aggregates.begin(), aggregates.end(), [](const AggregatePlan& plan) {
           return plan.function == "last" && plan.filter_slot < 0 && !plan.skips_nulls;
         });
}

void FillLatestRecords(const CompiledProgram& program, const std::vector<size_t>& outputs, const RowStore& rows, size_t begin,
                       size_t end, FeatureRecords& records, TextArena& arena) {
  ResultBuffer latest(program.result_types());
  ResultBuffer features(program.output_types());
  TextPool texts;
  records.ClearNulls(begin, end);
  const std::vector<int64_t> times(std::min(end - begin, kRowsAtOnce), kNoTime);
  for (size_t first = begin; first < end; first += kRowsAtOnce) {
    const size_t count = std::min(end - first, kRowsAtOnce);
    latest.Resize(count);
    features.Resize(count);
    for (size_t i = 0; i < latest.columns().size(); ++i) {
      ResultColumn column = latest.columns()[i];
      const auto slot = static_cast<size_t>(program.aggregates()[i].slot);
      if (HoldsBytes(latest.types()[i])) {
        for (size_t row = 0; row < count; ++row) column.Set(row, rows.Slot(slot, first + row), latest.types()[i]);
      } else {
        const int64_t* bits = rows.Bits(slot).data() + first;
        const uint8_t* valid = rows.Valid(slot).data() + first;
        std::copy_n(valid, count, column.valid);
        for (size_t row = 0; row < count; ++row) column.bits[row] = valid[row] != 0 ? bits[row] : 0;
      }
    }
    texts.Reset();
    program.FillManyOutputs(std::span(times).first(count), latest.columns(), texts, features.columns());
    for (size_t i = 0; i < outputs.size(); ++i) records.SetMany(first, count, i, features.columns()[outputs[i]], arena);
  }
}

}  // namespace tidemill
