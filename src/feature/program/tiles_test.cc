#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "feature/program/entity_state.h"
#include "feature/program/testing.h"

namespace tidemill {
namespace {

using testing::Col;
using testing::SameBits;

/// The least and the largest value can't be taken out of a total: partial results of earlier rows must not count once the
/// window has left them, however many tiles it spans.
TEST(Tiles, ExtremesAreThoseOfTheWindowBeyondOneTile) {
  constexpr int64_t kRows = 6000;
  Program program;
  program.view = "v";
  program.columns = {{"x", Type::kDouble}};
  for (const int64_t window : {50, 700, 3000}) {
    for (const std::string function : {"min", "max"}) {
      Aggregate aggregate;
      aggregate.function = function;
      aggregate.arguments = {Col(0, Type::kDouble)};
      aggregate.window = Duration{window};
      program.outputs.push_back(
          {function + std::to_string(window), Col(static_cast<int>(program.aggregates.size()), Type::kDouble), {}});
      program.aggregates.push_back(std::move(aggregate));
    }
  }
  auto state = EntityState::Make(program);
  ASSERT_NE(state, nullptr);
  std::mt19937_64 random(17);
  std::vector<double> values;
  for (int64_t time = 0; time < kRows; ++time) {
    // Extremes early, so that what should have left would win.
    values.push_back(static_cast<double>(random() % 1000) * (time < kRows / 2 ? 10 : 1) - (time < kRows / 2 ? 5000 : 0));
    ASSERT_TRUE(state->Update({{time}, {time}, time, {values.back()}}).ok());
  }
  for (int reload = 0; reload < 2; ++reload) {
    for (int query = 0; query < 300; ++query) {
      const auto time = static_cast<int64_t>(random() % (kRows + 3000));
      const std::vector<Value> actual = state->Query({time});
      for (size_t i = 0; i < program.aggregates.size(); ++i) {
        const int64_t from = std::max<int64_t>(time - program.aggregates[i].window->micros + 1, 0);
        const int64_t until = std::min(time + 1, kRows);
        Value expected;
        if (from < until) {
          const auto [least, most] = std::minmax_element(values.begin() + from, values.begin() + until);
          expected = program.aggregates[i].function == "min" ? *least : *most;
        }
        ASSERT_TRUE(SameBits(actual[i], expected)) << program.outputs[i].name << " at " << time;
      }
    }
    const std::string saved = state->Save();
    state = EntityState::Make(program);
    ASSERT_TRUE(state->Load(saved).ok());
  }
}

}  // namespace
}  // namespace tidemill
