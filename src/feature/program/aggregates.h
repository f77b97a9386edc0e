#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/result.h"
#include "feature/program/datum.h"
#include "feature/program/row_store.h"

/// The aggregates of the kernel. docs/features.md gives the formula of each.
namespace tidemill {

/// An aggregate bound to slots of a RowStore.
struct AggregatePlan {
  std::string function;
  int slot = -1;         ///< the argument; -1: none (count_rows)
  int second_slot = -1;  ///< arg_min, arg_max: what is compared
  int filter_slot = -1;  ///< only rows where this is true; -1: all
  bool skips_nulls = true;
  Type argument = Type::kDouble;
  Type second = Type::kDouble;
  double parameter = 0;  ///< lag: rows back; quantile_cont: the fraction

  bool Takes(const RowStore& rows, size_t row) const {
    if (filter_slot >= 0 && !rows.IsTrue(static_cast<size_t>(filter_slot), row)) return false;
    if (!skips_nulls) return true;
    if (second_slot >= 0 && rows.IsNull(static_cast<size_t>(second_slot), row)) return false;
    return slot < 0 || !rows.IsNull(static_cast<size_t>(slot), row);
  }
};

/// What an aggregate is called with and gives: checked and typed.
struct AggregateSignature {
  std::string_view function;
  std::vector<Type> arguments;  ///< arguments over the row; a constant parameter follows where `parameter` says so
  bool has_parameter = false;
  bool skips_nulls = true;
  Type result = Type::kDouble;
};

/// The signature for exactly these argument types (without the parameter). Codes: "unknown_aggregate", "argument_types".
Result<AggregateSignature> ResolveAggregate(std::string_view function, std::span<const Type> arguments);
std::vector<std::string> AggregateNames();

/// A running aggregate over rows of a store, by position. Rows are removed in order of position; added in any order.
/// Results depend only on the set of rows that are in, bit for bit.
class Aggregator {
 public:
  virtual ~Aggregator() = default;
  virtual void Add(uint32_t row) = 0;
  virtual void Remove(uint32_t row) = 0;
  virtual void Clear() = 0;
  /// Text refers to the store.
  virtual Datum Result() = 0;
};

/// `rows` must outlive it and hold still between Clear() calls (positions).
std::unique_ptr<Aggregator> MakeAggregator(const AggregatePlan& plan, const RowStore& rows);

}  // namespace tidemill
