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
  /// Text refers to this partial, until it is changed.
  virtual Datum Result() = 0;
  /// Memory in use, in bytes.
  virtual size_t bytes() const = 0;

  /// Whether it has a short form of bytes.
  virtual bool Saves() const { return true; }
  /// Appends the short form, from which AppendSaved restores everything.
  virtual void Save(std::string& bytes) const = 0;
  /// Append of a partial that was saved. False for damaged bytes: then this partial is of no use before Clear().
  virtual bool AppendSaved(std::string_view later) = 0;
};

/// Empty.
std::unique_ptr<PartialAggregate> MakePartialAggregate(const AggregatePlan& plan);

/// Whether two plans have the same partial: everything but the window is equal.
bool SamePartial(const AggregatePlan& a, const AggregatePlan& b);

/// What an implementation derives from, so that loops over rows have no virtual calls. Derived has
/// `void AddRow(const RowStore&, size_t row)` for rows that the plan takes, and `void AppendPartial(const Derived& later)`.
template <class Derived>
class PartialOf : public PartialAggregate {
 public:
  explicit PartialOf(const AggregatePlan& plan) : plan_(plan) {}

  void Add(const RowStore& rows, size_t begin, size_t end, int64_t known_by) final {
    auto& self = static_cast<Derived&>(*this);
    for (size_t row = begin; row < end; ++row) {
      if (rows.known(row) <= known_by && plan_.Takes(rows, row)) self.AddRow(rows, row);
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
