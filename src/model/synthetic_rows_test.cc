#include "model/synthetic_rows.h"

#include <cmath>

#include <fmt/format.h>

namespace tidemill::synthetic {
namespace {

constexpr Timestamp kStart{1'577'836'800 * kMicrosPerSecond};  // 2020-01-01

}  // namespace

std::vector<Field> Inputs(int extra_numbers) {
  std::vector<Field> inputs{{"carrier", Type::kText}, {"delay", Type::kDouble},     {"seats", Type::kInt64},
                            {"weekend", Type::kBool}, {"dest", Type::kText},        {"planned", Type::kTimestamp},
                            {"built", Type::kDate},   {"constant", Type::kDouble},  {"nothing", Type::kDouble},
                            {"full", Type::kDouble},  {"nothing_text", Type::kText}};
  for (int i = 0; i < extra_numbers; ++i) inputs.push_back({fmt::format("number_{}", i), Type::kDouble});
  return inputs;
}

Columns Rows(size_t count, uint64_t seed, int extra_numbers) {
  Random random(seed);
  Columns rows;
  rows.columns = {Column("at", Type::kTimestamp), Column("label", Type::kBool), Column("label_known_at", Type::kTimestamp)};
  for (const Field& input : Inputs(extra_numbers)) rows.columns.emplace_back(input.name, input.type);
  const auto append = [&rows](const char* name, const Value& value) { (void)rows.Find(name)->Append(value); };
  const auto or_null = [&random](double share, Value value) { return random.Uniform() < share ? Value() : value; };
  for (size_t i = 0; i < count; ++i) {
    const Timestamp at = kStart + Duration{static_cast<int64_t>(i + 1) * kHour};
    const uint64_t carrier = random.Below(12);
    const uint64_t dest = random.Below(random.Uniform() < 0.02 ? 400 : 40);
    const double delay = 30 * (random.Uniform() + random.Uniform() - 1);
    const double full = random.Uniform();
    const bool weekend = i / 24 % 7 > 4;
    append("at", at);
    append("label_known_at", at + Duration{2 * kHour});
    append("carrier", or_null(0.03, fmt::format("C{}", carrier)));
    append("delay", or_null(0.1, delay));
    append("seats", or_null(0.05, static_cast<int64_t>(50 + random.Below(250))));
    append("weekend", or_null(0.01, weekend));
    append("dest", fmt::format("D{:03}", dest));
    append("planned", at + Duration{3 * kHour});
    append("built", Date{static_cast<int32_t>(10'000 + random.Below(8'000))});
    append("constant", 4.5);
    append("nothing", Value());
    append("full", full);
    append("nothing_text", Value());
    double noise = 0;
    for (int n = 0; n < extra_numbers; ++n) {
      const double number = std::floor(random.Uniform() * 1000) / 8;
      if (n % 5 == 0) noise += number / 125 - 0.5;
      append(fmt::format("number_{}", n).c_str(), or_null(n % 3 == 0 ? 0.2 : 0.0, number));
    }
    const double lean =
        delay / 15 + (carrier % 3 == 0 ? 1 : 0) + (dest < 8 ? 1.5 : 0) + (weekend ? -0.5 : 0) + (full - 0.5) * 2 + noise - 1.5;
    append("label", random.Uniform() < 1 / (1 + std::exp(-lean)));
  }
  return rows;
}

ModelAsset Model(size_t count) {
  ModelAsset model;
  model.name = "late";
  model.label = "late";
  model.timestamp = "at";
  const auto hours = static_cast<int64_t>(count);
  model.train = Duration{hours * 6 / 10 * kHour};
  model.validate = Duration{hours * 2 / 10 * kHour};
  model.test = Duration{hours * 2 / 10 * kHour};
  model.refit_all = true;
  model.place = Place{.file = "models/late.yaml", .line = 1, .column = 1, .length = 1, .excerpt = ""};
  model.algorithm = "lightgbm";
  model.parameters = {
      {"num_leaves", int64_t{15}}, {"rounds", int64_t{60}}, {"learning_rate", 0.1}, {"early_stopping", int64_t{10}}};
  const auto step = [](std::string kind, std::vector<std::string> columns, std::string with, int64_t other_below) {
    PrepareStep made;
    made.kind = std::move(kind);
    made.columns = std::move(columns);
    made.with = std::move(with);
    made.other_below = other_below;
    return made;
  };
  model.prepare = {step("impute", {"seats", "nothing"}, "median", 0), step("one_hot", {"carrier"}, "", 20),
                   step("ordinal", {"text"}, "", 20)};
  return model;
}

SplitTimes Split(const ModelAsset& model, size_t count) {
  return PlanSplit(model, kStart + Duration{kHour}, kStart + Duration{static_cast<int64_t>(count) * kHour}).value();
}

}  // namespace tidemill::synthetic
