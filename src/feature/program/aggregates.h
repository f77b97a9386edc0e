#pragma once

#include <memory>
#include <optional>
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

/// Up to how many rows (distinct values for count_distinct) the aggregates that have a sketch are exact, unless a view says
/// otherwise; and the most that it may say.
constexpr size_t kMaxEventsDefault = 4096;
constexpr size_t kMaxEventsMost = 1'000'000;

/// An aggregate bound to slots of a RowStore.
struct AggregatePlan {
  std::string function;
  int slot = -1;         ///< the argument; -1: none (count_rows)
  int second_slot = -1;  ///< arg_min, arg_max: what is compared; corr and the like: y
  int filter_slot = -1;  ///< only rows where this is true; -1: all
  bool skips_nulls = true;
  Type argument = Type::kDouble;
  Type second = Type::kDouble;
  Type result = Type::kDouble;
  double parameter =
      0;  ///< lag: rows back; quantile_cont: the fraction; ewm_mean: the half-life in microseconds; list, top_k: how many
  size_t max_events = kMaxEventsDefault;  ///< up to how many it is exact, if it is one that has a sketch

  bool Takes(const RowStore& rows, size_t row) const {
    if (filter_slot >= 0 && !rows.IsTrue(static_cast<size_t>(filter_slot), row)) return false;
    if (!skips_nulls) return true;
    if (second_slot >= 0 && rows.IsNull(static_cast<size_t>(second_slot), row)) return false;
    return slot < 0 || !rows.IsNull(static_cast<size_t>(slot), row);
  }
};

/// The constant that follows an aggregate's arguments: how far back, which fraction.
struct AggregateParameter {
  Type type;
  double least;
  double most;
  std::string_view what;                 ///< "a fraction from 0 to 1"
  std::optional<int64_t> when_left_out;  ///< nullopt: it has to be given
  bool is_duration = false;              ///< written as a length of time, in microseconds

  /// Its value, if that is of the type and in range. Code "argument_types".
  Result<double> Check(const Value& value, Type value_type) const;
};
/// nullptr: the aggregate has none (or there is no such aggregate).
const AggregateParameter* ParameterOf(std::string_view function);
/// How many arguments over the row it has.
size_t RowArgumentsOf(std::string_view function);

/// What an aggregate is called with and gives: checked and typed.
struct AggregateSignature {
  std::string_view function;
  std::vector<Type> arguments;  ///< over the row; ParameterOf() tells what follows
  bool skips_nulls = true;
  Type result = Type::kDouble;
};

/// The signature for exactly these argument types (without the parameter). Codes: "unknown_aggregate", "argument_types".
Result<AggregateSignature> ResolveAggregate(std::string_view function, std::span<const Type> arguments);
std::vector<std::string> AggregateNames();
/// Whether it is exact up to max_events and a sketch above.
bool HasSketch(std::string_view function);

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

/// Appends a value of the elements' type.
void AppendToList(const Datum& datum, Type element, ListBuilder& list);

/// `rows` must outlive it and hold still between Clear() calls (positions).
std::unique_ptr<Aggregator> MakeAggregator(const AggregatePlan& plan, const RowStore& rows);

}  // namespace tidemill
