#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "feature/program/compiled_program.h"
#include "feature/program/entity_state.h"
#include "feature/program/state_reader.h"
#include "feature/program/testing.h"

namespace tidemill {
namespace {

using testing::Col;
using testing::SameBits;

constexpr int64_t kLateness = 60;

Aggregate Of(const std::string& function, std::vector<Expression> arguments, Type type) {
  Aggregate aggregate;
  aggregate.function = function;
  aggregate.arguments = std::move(arguments);
  aggregate.type = type;
  return aggregate;
}

/// Aggregates over columns x (number), i (integer), s (text) and b (bool).
std::vector<Aggregate> Kinds() {
  const Expression x = Col(0, Type::kDouble);
  const Expression i = Col(1, Type::kInt64);
  const Expression s = Col(2, Type::kText);
  const Expression b = Col(3, Type::kBool);
  const auto number = [](int64_t value) { return testing::Const(value, Type::kInt64); };
  std::vector<Aggregate> kinds = {
      Of("count_rows", {}, Type::kInt64), Of("sum", {x}, Type::kDouble),         Of("avg", {x}, Type::kDouble),
      Of("sum", {i}, Type::kInt64),       Of("stddev_samp", {x}, Type::kDouble), Of("min", {x}, Type::kDouble),
      Of("max", {s}, Type::kText),        Of("first", {s}, Type::kText),         Of("last", {x}, Type::kDouble),
      Of("arg_max", {s, x}, Type::kText), Of("bool_or", {b}, Type::kBool),       Of("count_distinct", {i}, Type::kInt64),
      Of("mode", {s}, Type::kText),       Of("slope", {x}, Type::kDouble),       Of("lag", {i, number(2)}, Type::kInt64),
      Of("median", {x}, Type::kDouble),   Of("skewness", {x}, Type::kDouble),    Of("corr", {x, x}, Type::kDouble)};
  for (size_t at = 0; at < 4; ++at) {
    Aggregate filtered = kinds[at];
    filtered.filter = b;
    kinds.push_back(filtered);
  }
  return kinds;
}

Program EmptyProgram() {
  Program program;
  program.view = "v";
  program.columns = {{"x", Type::kDouble}, {"i", Type::kInt64}, {"s", Type::kText}, {"b", Type::kBool}};
  program.lateness = Duration{kLateness};
  return program;
}

void Add(Program& program, Aggregate aggregate) {
  const auto at = static_cast<int>(program.aggregates.size());
  program.outputs.push_back({"f" + std::to_string(at), Col(at, aggregate.type), {}});
  program.aggregates.push_back(std::move(aggregate));
}

Program RandomProgram(std::mt19937_64& random) {
  Program program = EmptyProgram();
  const std::vector<Aggregate> kinds = Kinds();
  // At least one window without a start or with a hop.
  for (size_t count = 1 + random() % 5, at = 0; at < count; ++at) {
    Aggregate aggregate = kinds[random() % kinds.size()];
    const uint64_t shape = at == 0 ? random() % 2 : random() % 4;
    if (shape == 1) aggregate.hop = Duration{static_cast<int64_t>(100 + random() % 900)};
    if (shape >= 1) aggregate.window = Duration{static_cast<int64_t>(1 + random() % 3000)};
    if (random() % 3 == 0) aggregate.delay = Duration{static_cast<int64_t>(random() % 150)};
    if (aggregate.function == "mode" && random() % 2 == 0) aggregate.max_events = 20;
    Add(program, std::move(aggregate));
  }
  return program;
}

FeatureEvent RandomRow(std::mt19937_64& random, int64_t number, int64_t known) {
  FeatureEvent row{{known - static_cast<int64_t>(random() % (kLateness + 1))}, {known}, number, {}};
  row.values = {std::ldexp(static_cast<double>(random() % 1'000'000), static_cast<int>(random() % 60) - 30),
                static_cast<int64_t>(random() % 50), std::string(1, static_cast<char>('a' + random() % 6)), random() % 2 == 0};
  if (random() % 10 == 0) row.values[random() % 4] = Value();
  return row;
}

/// A state, sometimes kept in records and read from them again.
class Kept {
 public:
  explicit Kept(const Program& program) : program_(program), state_(EntityState::Make(program)) {}
  EntityState& operator*() { return *state_; }
  EntityState* operator->() { return state_.get(); }
  void Reopen() {
    StateChanges changes = state_->TakeChanges();
    written_ = 0;
    for (StateRecord& record : changes.written) {
      written_ += record.bytes.size();
      records_[record.id] = std::move(record.bytes);
    }
    for (const uint64_t id : changes.removed) records_.erase(id);
    state_ = EntityState::Make(program_);
    ASSERT_TRUE(state_
                    ->Open(records_[0],
                           [this](uint64_t id) -> Result<std::string> {
                             if (!records_.contains(id)) return InternalError("a record is missing");
                             return records_[id];
                           })
                    .ok());
  }
  void Copy() {
    const std::string saved = state_->Save();
    state_ = EntityState::Make(program_);
    ASSERT_TRUE(state_->Load(saved).ok());
    records_.clear();
  }
  size_t written_bytes() const { return written_; }  ///< by the last Reopen()
  size_t largest_record() const {
    size_t largest = 0;
    for (const auto& [id, record] : records_) largest = std::max(largest, record.size());
    return largest;
  }
  std::string head() const { return records_.at(0); }
  size_t stored_bytes() const {
    size_t bytes = 0;
    for (const auto& [id, record] : records_) bytes += record.size();
    return bytes;
  }

 private:
  const Program& program_;
  std::unique_ptr<EntityState> state_;
  std::map<uint64_t, std::string> records_;
  size_t written_ = 0;
};

TEST(Folding, ChangesNoAnswer) {
  size_t folded = 0;
  for (uint64_t seed = 0; seed < 120; ++seed) {
    std::mt19937_64 random(seed);
    const Program program = RandomProgram(random);
    const auto whole = EntityState::Make(program);
    ASSERT_NE(whole, nullptr);
    Kept state(program);
    int64_t known = 0;
    int64_t oldest = std::numeric_limits<int64_t>::min();
    std::vector<FeatureEvent> last;
    const int64_t rows = 200 + static_cast<int64_t>(random() % 2500);
    for (int64_t number = 0; number < rows; ++number) {
      known += static_cast<int64_t>(random() % 4);
      last.push_back(RandomRow(random, number, known));
      if (number % 200 < 199) continue;
      // Those that become known at the same time come in any order.
      std::shuffle(last.begin(), last.end(), random);
      for (const FeatureEvent& row : last) {
        ASSERT_TRUE(whole->Update(row).ok());
        ASSERT_TRUE(state->Update(row).ok());
      }
      last.clear();
      oldest = known - static_cast<int64_t>(random() % 100);
      if (random() % 2 == 0) state->Expire({oldest});
      state->Fold({oldest});
      if (random() % 3 == 0) state.Reopen();
      if (random() % 5 == 0) state.Copy();
      for (int query = 0; query < 20; ++query) {
        const Timestamp time{oldest + static_cast<int64_t>(random() % (query < 10 ? 200 : 4000))};
        const std::vector<Value> expected = whole->Query(time);
        const std::vector<Value> actual = state->Query(time);
        for (size_t output = 0; output < expected.size(); ++output) {
          ASSERT_TRUE(SameBits(actual[output], expected[output]))
              << "seed " << seed << ", " << program.aggregates[output].function << " at " << time.micros << ": "
              << FormatValue(actual[output]) << " instead of " << FormatValue(expected[output]);
        }
      }
    }
    EXPECT_EQ(state->rows_behind(), 0U);
    folded += state->folded_rows();
  }
  EXPECT_GT(folded, 20'000U) << "too little was folded to prove anything";
}

/// A row a microsecond.
void Fill(EntityState& state, int64_t begin, int64_t end) {
  for (int64_t number = begin; number < end; ++number) {
    const FeatureEvent row{{number}, {number + number % 3}, number, {1.25, number % 7, std::string("s"), true}};
    ASSERT_TRUE(state.Update(row).ok());
  }
}

TEST(Folding, ALifetimeWindowIsBoundedHoweverManyRowsThereWere) {
  Program program = EmptyProgram();
  Add(program, Of("sum", {Col(0, Type::kDouble)}, Type::kDouble));
  Add(program, Of("last", {Col(1, Type::kInt64)}, Type::kInt64));
  Kept state(program);
  size_t most_memory = 0;
  size_t most_stored = 0;
  for (int64_t now = 1000; now <= 60'000; now += 1000) {
    Fill(*state, now - 1000, now);
    state->Fold({now});
    state.Reopen();
    most_memory = std::max(most_memory, state->memory_bytes());
    most_stored = std::max(most_stored, state.stored_bytes());
  }
  EXPECT_EQ(state->rows(), 60'000U);
  EXPECT_GT(state->folded_rows(), 59'000U);
  EXPECT_LT(most_memory, 12'000U);
  EXPECT_LT(most_stored, 3'000U);
  EXPECT_EQ(state->Query({70'000})[0], Value(75'000.0));
  EXPECT_EQ(state->oldest(), std::optional(Timestamp{0}));
}

TEST(Folding, AHopKeepsAFoldForEachStep) {
  Program program = EmptyProgram();
  Aggregate sum = Of("sum", {Col(0, Type::kDouble)}, Type::kDouble);
  sum.window = Duration{30'000};
  sum.hop = Duration{1000};
  Add(program, sum);
  Kept state(program);
  Kept whole(program);
  for (int64_t now = 1000; now <= 100'000; now += 1000) {
    Fill(*state, now - 1000, now);
    Fill(*whole, now - 1000, now);
    state->Expire({now});
    whole->Expire({now});
    state->Fold({now});
    state.Reopen();
  }
  whole.Reopen();
  EXPECT_GE(state->rows(), 29'000U);
  EXPECT_LE(state->rows(), 32'000U);
  EXPECT_LT(state.stored_bytes() * 10, whole.stored_bytes());
  for (int64_t time = 100'000; time < 140'000; time += 777) EXPECT_EQ(state->Query({time}), whole->Query({time})) << time;
}

/// Thousands of steps: what changes is written, not all of them.
TEST(Folding, FoldsOfManyHopsLieInRecordsOfTheirOwn) {
  Program program = EmptyProgram();
  for (const int64_t window : {3'000'000, 1'000'000}) {
    Aggregate sum = Of("sum", {Col(0, Type::kDouble)}, Type::kDouble);
    sum.window = Duration{window};
    sum.hop = Duration{1000};
    Add(program, sum);
    Aggregate last = Of("last", {Col(2, Type::kText)}, Type::kText);
    last.window = sum.window;
    last.hop = sum.hop;
    Add(program, last);
  }
  Kept state(program);
  int64_t now = 0;
  const auto step = [&] {
    for (int64_t row = 0; row < 100; ++row) {
      const FeatureEvent event{{now + row * 10}, {now + row * 10}, now + row, {0.1 + static_cast<double>(row % 17), row, std::string("s"), true}};
      ASSERT_TRUE(state->Update(event).ok());
    }
    now += 1000;
    state->Expire({now});
    state->Fold({now});
  };
  while (now < 4'000'000) {
    step();
    if (now % 500'000 == 0) state.Reopen();
  }
  state.Reopen();
  EXPECT_TRUE(state.head().starts_with("TMS4"));
  EXPECT_GT(state.stored_bytes(), 100'000U);
  EXPECT_LT(state.largest_record(), 3 * StateTree::kFoldBytes);
  size_t most = 0;
  for (int more = 0; more < 50; ++more) {
    step();
    state.Reopen();
    most = std::max(most, state.written_bytes());
  }
  EXPECT_LT(most, state.stored_bytes() / 4) << "a step writes what it changes";
  EXPECT_LT(most, 6 * StateTree::kFoldBytes);

  // In one piece it is as earlier versions have it, and goes on from there.
  const std::string saved = state->Save();
  EXPECT_TRUE(saved.starts_with("TMS3"));
  const auto copy = EntityState::Make(program);
  ASSERT_TRUE(copy->Load(saved).ok());
  for (int64_t time = now; time < now + 4'000'000; time += 77'777) EXPECT_EQ(state->Query({time}), copy->Query({time})) << time;
  state.Copy();
  step();
  state.Reopen();
  EXPECT_TRUE(state.head().starts_with("TMS4"));
  EXPECT_LT(state.largest_record(), 3 * StateTree::kFoldBytes);

  // When its steps have left the windows, the state is small again.
  state->Expire({now + 10'000'000});
  state.Reopen();
  EXPECT_LT(state.stored_bytes(), 10'000U);
}

TEST(Folding, DamagedRecordsOfFoldsAreFound) {
  Program program = EmptyProgram();
  Aggregate sum = Of("sum", {Col(0, Type::kDouble)}, Type::kDouble);
  sum.window = Duration{3'000'000};
  sum.hop = Duration{1000};
  Add(program, sum);
  const auto state = EntityState::Make(program);
  for (int64_t step = 0; step < 1000; ++step) {
    for (int64_t row = 0; row < 70; ++row) {
      const int64_t at = step * 1000 + row * 10;
      ASSERT_TRUE(state->Update({{at}, {at}, at, {0.1 * static_cast<double>(row), row, std::string("s"), true}}).ok());
    }
  }
  state->Fold({1'000'000});
  std::map<uint64_t, std::string> records;
  for (StateRecord& record : state->TakeChanges().written) records[record.id] = std::move(record.bytes);
  ASSERT_TRUE(records.at(0).starts_with("TMS4"));
  const auto opens = [&](const std::map<uint64_t, std::string>& from) {
    return EntityState::Make(program)
        ->Open(from.at(0),
               [&](uint64_t id) -> Result<std::string> {
                 const auto found = from.find(id);
                 if (found == from.end()) return InternalError("a record is missing");
                 return found->second;
               })
        .ok();
  };
  EXPECT_TRUE(opens(records));
  EXPECT_FALSE(EntityState::Make(program)->Load(records.at(0)).ok()) << "its parts are not in it";
  size_t of_folds = 0;
  for (const auto& [id, bytes] : records) {
    if (id == 0) continue;
    std::map<uint64_t, std::string> damaged = records;
    damaged[id][bytes.size() / 2] = static_cast<char>(damaged[id][bytes.size() / 2] + 1);
    of_folds += opens(damaged) ? 0 : 1;  // records of rows are read when they are needed
    damaged = records;
    damaged.erase(id);
    (void)opens(damaged);
  }
  EXPECT_GT(of_folds, 2U);
}

TEST(Folding, FewRowsAStepAreLeftAsTheyAre) {
  Program program = EmptyProgram();
  Aggregate sum = Of("sum", {Col(0, Type::kDouble)}, Type::kDouble);
  sum.window = Duration{100'000};
  sum.hop = Duration{10};
  Add(program, sum);
  auto state = EntityState::Make(program);
  Fill(*state, 0, 10'000);
  const std::string before = state->Save();
  state->Fold({10'000});
  EXPECT_EQ(state->folded_rows(), 0U);
  EXPECT_EQ(state->Save(), before);
}

TEST(Folding, OnlyWhereThatIsAllowedAndGainsSomething) {
  const auto folded = [](const std::function<void(Program&, Aggregate&)>& change) {
    Program program = EmptyProgram();
    Aggregate sum = Of("sum", {Col(0, Type::kDouble)}, Type::kDouble);
    change(program, sum);
    Add(program, sum);
    auto state = EntityState::Make(program);
    Fill(*state, 0, 2000);
    const std::string before = state->Save();
    state->Fold({2000});
    const size_t rows = state->folded_rows();
    if (rows == 0) {
      EXPECT_EQ(state->Save(), before);
      EXPECT_TRUE(before.starts_with("TMS2")) << "as earlier versions read it";
    }
    return rows;
  };
  EXPECT_GT(folded([](Program&, Aggregate&) {}), 1800U);
  EXPECT_EQ(folded([](Program& program, Aggregate&) { program.lateness.reset(); }), 0U) << "rows may come at any time";
  EXPECT_EQ(folded([](Program&, Aggregate& sum) { sum.window = Duration{5000}; }), 0U) << "any row may be the first";
  EXPECT_EQ(folded([](Program&, Aggregate& sum) { sum.session = Duration{10}; }), 0U) << "a session may begin anywhere";
  EXPECT_EQ(folded([](Program& program, Aggregate&) { program.ttl = Duration{5000}; }), 0U);
  EXPECT_EQ(folded([](Program&, Aggregate& sum) { sum.delay = Duration{1950}; }), 0U) << "the window does not reach that far yet";
  EXPECT_GT(folded([](Program& program, Aggregate& sum) {
              Add(program, sum);
              sum.window = Duration{1000};
            }),
            800U)
      << "up to the start of the other window";
}

TEST(Folding, RowsOfFoldedTimesAreLeftOut) {
  Program program = EmptyProgram();
  Add(program, Of("count_rows", {}, Type::kInt64));
  auto state = EntityState::Make(program);
  Fill(*state, 0, 1000);
  state->Fold({1000});
  ASSERT_GT(state->folded_rows(), 0U);
  Fill(*state, 0, 1000);  // again, as after a crash
  EXPECT_EQ(state->rows_behind(), state->folded_rows());
  EXPECT_EQ(state->rows(), 1000U);
  EXPECT_EQ(state->Query({2000})[0], Value(int64_t{1000}));
  const auto compiled = CompiledProgram::Make(program);
  ASSERT_TRUE(compiled.ok());
  StateScratch scratch(*compiled);
  std::vector<Datum> outputs(1);
  EXPECT_TRUE(state->Read({1000}, scratch, outputs).ok());
  EXPECT_EQ(state->Read({500}, scratch, outputs).error().code, "too_long_ago");

  auto other = EntityState::Make(program);
  ASSERT_TRUE(other->Merge(*state).ok());
  EXPECT_EQ(other->Query({2000})[0], Value(int64_t{1000}));
  EXPECT_EQ(other->Merge(*state).error().code, "folded_state");
}

TEST(Folding, DamagedBytesAreRefused) {
  Program program = EmptyProgram();
  Add(program, Of("sum", {Col(0, Type::kDouble)}, Type::kDouble));
  auto state = EntityState::Make(program);
  Fill(*state, 0, 1000);
  state->Fold({1000});
  const std::string good = state->Save();
  ASSERT_TRUE(good.starts_with("TMS3"));
  for (size_t at = 0; at < good.size(); at += 3) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x21);
    EXPECT_EQ(EntityState::Make(program)->Load(bad).error().code, "bad_state") << at;
    EXPECT_EQ(EntityState::Make(program)->Load(good.substr(0, at)).error().code, "bad_state") << at;
  }
  Program other = EmptyProgram();
  Add(other, Of("max", {Col(0, Type::kDouble)}, Type::kDouble));
  EXPECT_EQ(EntityState::Make(other)->Load(good).error().code, "bad_state") << "its partial results mean something else";
}

}  // namespace
}  // namespace tidemill
