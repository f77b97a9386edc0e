#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "feature/program/aggregates.h"

namespace tidemill {

/// The value of an aggregate over a run of rows: what trees of partial results are made of.
///
/// Unlike an Aggregator it does not refer to rows, and nothing is removed from it. Rows come in order of (event time, seq);
/// Append puts a later run behind this one. However a run is cut into partials, Result is the same, bit for bit, and the same as
/// that of the Aggregator over these rows. Partials are appended only to partials of the same plan.
class PartialAggregate {
 public:
  virtual ~PartialAggregate() = default;
  /// Adds those of the rows in [begin, end) that are known by `known_by` and that the plan takes; they come after all others.
  virtual void Add(const RowStore& rows, size_t begin, size_t end, int64_t known_by) = 0;
  virtual void Append(const PartialAggregate& later) = 0;
  /// Back to no rows; keeps its memory.
  virtual void Clear() = 0;
  /// The result for its plan. Text refers to this partial, until it is changed.
  virtual Datum Result() = 0;
  /// The result for another plan with the same partial (SamePartial).
  virtual Datum ResultFor(const AggregatePlan&) { return Result(); }
  /// Memory in use, in bytes.
  virtual size_t bytes() const = 0;

  /// Appends a short form, from which AppendSaved restores everything.
  virtual void Save(std::string& bytes) const = 0;
  /// Append of a partial that was saved. False for damaged bytes: then this partial is of no use before Clear().
  virtual bool AppendSaved(std::string_view later) = 0;
};

/// Empty.
std::unique_ptr<PartialAggregate> MakePartialAggregate(const AggregatePlan& plan);

/// Whether two plans have the same partial: they are equal but for their windows, or both results follow from it, as sum and avg
/// do.
bool SamePartial(const AggregatePlan& a, const AggregatePlan& b);

/// Which rows of a store a plan takes, with what has to be looked at laid ready.
class TakenRows {
 public:
  TakenRows(const AggregatePlan& plan, const RowStore& rows) {
    if (plan.filter_slot >= 0) {
      filter_valid_ = rows.Valid(static_cast<size_t>(plan.filter_slot)).data();
      filter_ = rows.Bits(static_cast<size_t>(plan.filter_slot)).data();
    }
    if (!plan.skips_nulls) return;
    if (plan.slot >= 0) valid_ = rows.Valid(static_cast<size_t>(plan.slot)).data();
    if (plan.second_slot >= 0) second_valid_ = rows.Valid(static_cast<size_t>(plan.second_slot)).data();
  }
  bool Has(size_t row) const {
    return (filter_ == nullptr || (filter_valid_[row] != 0 && filter_[row] != 0)) && (valid_ == nullptr || valid_[row] != 0) &&
           (second_valid_ == nullptr || second_valid_[row] != 0);
  }

 private:
  const uint8_t* filter_valid_ = nullptr;
  const int64_t* filter_ = nullptr;
  const uint8_t* valid_ = nullptr;
  const uint8_t* second_valid_ = nullptr;
};

/// What an implementation derives from, so that loops over rows have no virtual calls. Derived has
/// `void AddRow(const RowStore&, size_t row)` for rows that the plan takes, and `void AppendPartial(const Derived& later)`.
template <class Derived>
class PartialOf : public PartialAggregate {
 public:
  explicit PartialOf(const AggregatePlan& plan) : plan_(plan) {}

  void Add(const RowStore& rows, size_t begin, size_t end, int64_t known_by) final {
    auto& self = static_cast<Derived&>(*this);
    const TakenRows taken(plan_, rows);
    const int64_t* const known = rows.known_times().data();
    for (size_t row = begin; row < end; ++row) {
      if (known[row] <= known_by && taken.Has(row)) self.AddRow(rows, row);
    }
  }
  void Append(const PartialAggregate& later) final {
    static_cast<Derived&>(*this).AppendPartial(static_cast<const Derived&>(later));
  }

 protected:
  size_t slot() const { return static_cast<size_t>(plan_.slot); }
  size_t second_slot() const { return static_cast<size_t>(plan_.second_slot); }

  const AggregatePlan plan_;
};

}  // namespace tidemill
