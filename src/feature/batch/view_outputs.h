#pragma once

#include <memory>
#include <span>
#include <vector>

#include "feature/batch/feature_records.h"
#include "feature/program/compiled_program.h"
#include "feature/program/row_store.h"

namespace tidemill {

/// The types of some outputs of a program.
std::vector<Type> OutputTypes(const CompiledProgram& program, const std::vector<size_t>& outputs);

/// The features of a program that are wanted, one row of them at a time.
class FeatureRow {
 public:
  FeatureRow(const CompiledProgram& program, const std::vector<size_t>& outputs)
      : outputs_(outputs), all_(program.outputs()), wanted_(outputs.size()) {}
  std::span<Datum> all() { return all_; }
  std::span<const Datum> wanted();

 private:
  const std::vector<size_t>& outputs_;
  std::vector<Datum> all_;
  std::vector<Datum> wanted_;
};

/// What a program gives where nothing matches: one record.
class DefaultOutputs {
 public:
  DefaultOutputs(const std::shared_ptr<const CompiledProgram>& program, const std::vector<size_t>& outputs);
  const FeatureRecords* records() const { return &records_; }

 private:
  FeatureRecords records_;
  TextArena texts_;
};

/// Whether a program's answer at a time is a function of one row, the latest that is seen then: all of its aggregates are `last`
/// over one window.
bool AnsweredByLatestRow(const CompiledProgram& program);

/// For such a program: writes the features of rows [begin, end) of a store, where each is the latest, into records of the same
/// positions. Different ranges may be filled from different threads, each with an arena of its own.
void FillLatestRecords(const CompiledProgram& program, const std::vector<size_t>& outputs, const RowStore& rows, size_t begin,
                       size_t end, FeatureRecords& records, TextArena& arena);

}  // namespace tidemill
