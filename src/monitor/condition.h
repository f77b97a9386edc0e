#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sql/database.h"

namespace tidemill {

/// What a `retrain.when` condition may ask. Nothing (nullopt) means that it could not be measured.
struct ConditionFacts {
  std::optional<bool> performance_alert;
  std::optional<double> performance_value;
  std::optional<double> drift_share;
  std::optional<int64_t> drift_columns;
  std::optional<bool> drift_alert;
  double model_age_days = 0;
};

/// The alternatives of a condition: what its outermost `or`s join, each as it was written. One when there is no `or`.
std::vector<std::string> Alternatives(std::string_view condition);

/// The alternatives that hold; none when the condition is false. Three-valued logic: a comparison with something that could
/// not be measured is unknown, and an unknown condition does not hold. `condition` has passed CheckCondition.
Result<std::vector<std::string>> AlternativesThatHold(std::string_view condition, const ConditionFacts& facts, Session& session);

/// The operands written in a condition or a part of it, each once, in the order of ConditionOperands().
std::vector<std::string> OperandsIn(std::string_view condition);

/// "performance.alert", "performance.value", "drift.share", ...
const std::vector<std::string>& ConditionOperands();

}  // namespace tidemill
