#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "feature/program/entity_state.h"

namespace tidemill::fuzz {

/// Ends the process when a promise is broken: what fuzzers look for.
inline void Require(bool kept) {
  if (!kept) std::abort();
}

/// A value of each type, which differs from row to row; every fourth is null.
inline Value RowValue(Type type, int64_t row) {
  if (row % 4 == 3) return {};
  switch (type) {
    case Type::kBool:
      return row % 2 == 0;
    case Type::kInt64:
      return row * 37 - 50;
    case Type::kDouble:
      return static_cast<double>(row) * 0.1 - 1e10 * static_cast<double>(row % 2);
    case Type::kText:
      return std::string(static_cast<size_t>(row % 5), 'a') + "\u00e9 2013-01-0" + std::to_string(row);
    case Type::kTimestamp:
      return Timestamp{row * 86'400'000'001};
    case Type::kDate:
      return Date{static_cast<int32_t>(row * 40)};
    default:
      return MakeList(ElementType(type), {RowValue(ElementType(type), row), Value(), RowValue(ElementType(type), row + 1)});
  }
}

inline FeatureEvent RowOf(const Program& program, int64_t row) {
  FeatureEvent event;
  event.event_time = {(row * 7 % 5) * 1'000'000};
  event.known_at = {event.event_time.micros + (row % 3) * 1'000'000};
  event.seq = row;
  for (const Field& field : program.columns) event.values.push_back(RowValue(field.type, row));
  return event;
}

}  // namespace tidemill::fuzz
