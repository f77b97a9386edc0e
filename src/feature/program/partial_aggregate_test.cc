#include "feature/program/partial_aggregate.h"

#include <gtest/gtest.h>

#include <random>

#include "feature/program/decimal_sum.h"
#include "feature/program/testing.h"

namespace tidemill {
namespace {

constexpr Type kTypes[] = {Type::kDouble, Type::kInt64, Type::kText, Type::kBool};

RowStore RandomRows(std::mt19937_64& random, size_t count) {
  RowStore rows({kTypes, kTypes + 4});
  for (size_t i = 0; i < count; ++i) {
    double number = std::ldexp(static_cast<double>(static_cast<int64_t>(random())), static_cast<int>(random() % 200) - 100);
    if (random() % 30 == 0) number = random() % 2 == 0 ? std::numeric_limits<double>::infinity() : std::nan("");
    if (random() % 10 == 0) number = random() % 2 == 0 ? 0.0 : -0.0;
    const std::string text = random() % 2 == 0 ? std::string(random() % 40, static_cast<char>('a' + random() % 3))
                                               : DecimalKey(static_cast<__int128>(random()) * static_cast<int64_t>(random()) >> random() % 126);
    const auto integer = static_cast<int64_t>(random() % 2 == 0 ? random() : random() % 4);
    Datum slots[] = {Datum::Number(number), Datum::Integer(integer), Datum::Text(text), Datum::Bool(random() % 2 == 0)};
    for (Datum& slot : slots) slot.null = random() % 8 == 0;
    const auto time = static_cast<int64_t>(i);
    rows.Append(time, time + static_cast<int64_t>(random() % 3), time, slots);
  }
  return rows;
}

AggregatePlan RandomPlan(std::mt19937_64& random) {
  const std::vector<std::string> names = AggregateNames();
  while (true) {
    AggregatePlan plan;
    plan.function = names[random() % names.size()];
    const size_t slots[] = {random() % 4, random() % 4};
    for (size_t arguments = 0; arguments <= 2; ++arguments) {
      const Type types[] = {kTypes[slots[0]], kTypes[slots[1]]};
      const auto signature = ResolveAggregate(plan.function, std::span(types, arguments));
      if (!signature.ok()) continue;
      plan.skips_nulls = signature->skips_nulls;
      if (arguments > 0) plan.slot = static_cast<int>(slots[0]), plan.argument = types[0];
      if (arguments > 1) plan.second_slot = static_cast<int>(slots[1]), plan.second = types[1];
      if (plan.function == "lag") plan.parameter = static_cast<double>(random() % 3);
      if (plan.function.ends_with("quantile") || plan.function == "quantile_cont") plan.parameter = 0.25;
      if (plan.function.starts_with("decimal_sum") || plan.function.starts_with("decimal_avg"))
        plan.parameter = static_cast<double>(random() % 39);
      if (plan.function == "ewm_mean") plan.parameter = 20;
      if (plan.function == "list" || plan.function == "top_k") plan.parameter = static_cast<double>(1 + random() % 5);
      if (random() % 2 == 0) plan.max_events = 1 + random() % 20;
      if (random() % 3 == 0) plan.filter_slot = 3;
      return plan;
    }
  }
}

/// Cuts rows into runs and appends their partials, in any grouping, some of them by way of bytes.
std::unique_ptr<PartialAggregate> Fold(const AggregatePlan& plan, const RowStore& rows, size_t begin, size_t end,
                                       int64_t known_by, std::mt19937_64& random) {
  auto partial = MakePartialAggregate(plan);
  if (end - begin < 2 || random() % 4 == 0) {
    partial->Add(rows, begin, end, known_by);
    return partial;
  }
  const size_t middle = begin + random() % (end - begin);
  const auto earlier = Fold(plan, rows, begin, middle, known_by, random);
  const auto later = Fold(plan, rows, middle, end, known_by, random);
  for (const auto* part : {earlier.get(), later.get()}) {
    if (random() % 2 == 0) {
      std::string bytes;
      part->Save(bytes);
      EXPECT_TRUE(partial->AppendSaved(bytes));
    } else {
      partial->Append(*part);
    }
  }
  return partial;
}

TEST(PartialAggregate, HoweverRowsAreCutResultsAreThoseOfTheAggregator) {
  std::mt19937_64 random(41);
  for (int round = 0; round < 2000; ++round) {
    const RowStore rows = RandomRows(random, random() % 60);
    const AggregatePlan plan = RandomPlan(random);
    const auto known_by = static_cast<int64_t>(random() % 62);
    const auto aggregator = MakeAggregator(plan, rows);
    for (size_t row = 0; row < rows.size(); ++row) {
      if (rows.known(row) <= known_by && plan.Takes(rows, row)) aggregator->Add(static_cast<uint32_t>(row));
    }
    const auto partial = Fold(plan, rows, 0, rows.size(), known_by, random);
    const auto signature_type =
        ResolveAggregate(plan.function, std::vector<Type>(plan.second_slot >= 0 ? std::vector{plan.argument, plan.second}
                                                          : plan.slot >= 0      ? std::vector{plan.argument}
                                                                                : std::vector<Type>{}));
    const Type type = signature_type->result;
    ASSERT_TRUE(testing::SameBits(ToValue(partial->Result(), type), ToValue(aggregator->Result(), type)))
        << round << " " << plan.function << ": " << FormatValue(ToValue(partial->Result(), type)) << " instead of "
        << FormatValue(ToValue(aggregator->Result(), type));
    EXPECT_GE(partial->bytes(), sizeof(void*));
    partial->Clear();
    const auto empty = MakePartialAggregate(plan);
    ASSERT_TRUE(testing::SameBits(ToValue(partial->Result(), type), ToValue(empty->Result(), type)));
  }
}

TEST(PartialAggregate, OnePartialServesAllFunctionsThatFollowFromIt) {
  std::mt19937_64 random(47);
  const std::vector<std::vector<std::string>> families = {{"sum", "avg"},
                                                          {"var_samp", "var_pop", "stddev_samp", "stddev_pop"},
                                                          {"corr", "covar_samp", "covar_pop", "regr_slope"},
                                                          {"sum_distinct", "avg_distinct"},
                                                          {"var_samp_distinct", "stddev_pop_distinct"}};
  for (int round = 0; round < 500; ++round) {
    const RowStore rows = RandomRows(random, random() % 40);
    for (const auto& family : families) {
      AggregatePlan plan;
      plan.function = family[random() % family.size()];
      plan.slot = 0;
      if (family[0] == "corr") plan.second_slot = 0;
      const auto partial = Fold(plan, rows, 0, rows.size(), std::numeric_limits<int64_t>::max(), random);
      for (const std::string& function : family) {
        AggregatePlan other = plan;
        other.function = function;
        ASSERT_TRUE(SamePartial(plan, other));
        const auto aggregator = MakeAggregator(other, rows);
        for (size_t row = 0; row < rows.size(); ++row) {
          if (other.Takes(rows, row)) aggregator->Add(static_cast<uint32_t>(row));
        }
        ASSERT_TRUE(
            testing::SameBits(ToValue(partial->ResultFor(other), Type::kDouble), ToValue(aggregator->Result(), Type::kDouble)))
            << round << " " << plan.function << " as " << function;
      }
      AggregatePlan filtered = plan;
      filtered.filter_slot = 3;
      EXPECT_FALSE(SamePartial(plan, filtered));
    }
  }
}

TEST(PartialAggregate, DamagedBytesAreSurvived) {
  std::mt19937_64 random(43);
  for (int round = 0; round < 3000; ++round) {
    const RowStore rows = RandomRows(random, random() % 20);
    const AggregatePlan plan = RandomPlan(random);
    auto partial = MakePartialAggregate(plan);
    partial->Add(rows, 0, rows.size(), std::numeric_limits<int64_t>::max());
    std::string bytes;
    partial->Save(bytes);
    for (int damage = 0; damage < 3 && !bytes.empty(); ++damage) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 3 == 0) bytes.resize(random() % (bytes.size() + 1));
    if (partial->AppendSaved(bytes)) (void)partial->Result();
  }
}

}  // namespace
}  // namespace tidemill
