#pragma once

#include <memory>

#include "feature/program/aggregates.h"
#include "feature/program/partial_aggregate.h"

/// Aggregates that can neither take rows out nor be put together in little memory: quantiles, distinct values, most frequent
/// values. Up to plan.max_events they are exact, above that a sketch: a function of the set of rows alone, so that both
/// shapes switch at the same sets and give the same bits. docs/features.md states the errors.
namespace tidemill {

/// Of either shape: nullptr for other functions.
std::unique_ptr<Aggregator> MakeSketchedAggregator(const AggregatePlan& plan, const RowStore& rows);
std::unique_ptr<PartialAggregate> MakeSketchedPartial(const AggregatePlan& plan);

}  // namespace tidemill
