#include "feature/program/tidemill_kernel.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "feature/program/arrow_columns.h"
#include "feature/program/entity_state.h"
#include "feature/program/testing.h"

namespace tidemill {
namespace {

using testing::Col;
using testing::SameBits;

/// A struct array that the test made; released at the end.
class Given {
 public:
  explicit Given(Columns columns) {
    std::vector<Field> fields;
    for (const Column& column : columns.columns) fields.push_back({column.name, column.type});
    arrow::ExportSchema(fields, schema);
    const size_t rows = columns.rows();
    arrow::ExportColumns(std::move(columns), rows, array);
  }
  Given() = default;
  ~Given() {
    if (schema.release != nullptr) schema.release(&schema);
    if (array.release != nullptr) array.release(&array);
  }
  Given(const Given&) = delete;
  Given& operator=(const Given&) = delete;

  ArrowSchema schema{};
  ArrowArray array{};
};

Program SomeProgram() {
  Program program;
  program.view = "v";
  program.keys = {{"card", Type::kText}};
  program.columns = {{"amount", Type::kDouble}, {"place", Type::kText}, {"tags", Type::kTextList}, {"flag", Type::kBool}};
  const auto add = [&](std::string function, int column, std::optional<Duration> window) {
    Aggregate aggregate;
    aggregate.function = std::move(function);
    aggregate.window = window;
    aggregate.type = Type::kInt64;
    if (column >= 0) {
      aggregate.type = program.columns[static_cast<size_t>(column)].type;
      aggregate.arguments = {Col(column, aggregate.type)};
    }
    const int at = static_cast<int>(program.aggregates.size());
    program.outputs.push_back({"o" + std::to_string(at), Col(at, aggregate.type), {}});
    program.aggregates.push_back(std::move(aggregate));
  };
  add("count_rows", -1, Duration{5'000'000});
  add("sum", 0, Duration{5'000'000});
  add("avg", 0, {});
  add("last", 1, {});
  add("last", 2, {});
  add("bool_or", 3, Duration{9'000'000});
  return program;
}

struct Table {
  std::vector<std::string> cards;  ///< sorted
  std::vector<FeatureEvent> events;

  Columns ToColumns(const Program& program) const {
    Columns columns;
    Column card("card", Type::kText);
    Column event("_event_time", Type::kTimestamp);
    Column known("_known_at", Type::kTimestamp);
    Column sequence("_seq", Type::kInt64);
    for (size_t i = 0; i < events.size(); ++i) {
      card.AppendText(cards[i]);
      event.AppendInt(events[i].event_time.micros);
      known.AppendInt(events[i].known_at.micros);
      sequence.AppendInt(events[i].seq);
    }
    columns.columns = {card, event, known, sequence};
    for (size_t i = 0; i < program.columns.size(); ++i) {
      Column& column = columns.columns.emplace_back(program.columns[i].name, program.columns[i].type);
      for (const FeatureEvent& row : events) EXPECT_TRUE(column.Append(row.values[i]).ok());
    }
    return columns;
  }
};

Table RandomTable(std::mt19937_64& random) {
  Table table;
  for (int card = 0; card < 6; ++card) {
    for (uint64_t i = 0, rows = random() % 30; i < rows; ++i) {
      FeatureEvent event;
      event.event_time = {int64_t(random() % 40) * 1'000'000};
      event.known_at = {event.event_time.micros + int64_t(random() % 3) * 1'000'000};
      event.seq = static_cast<int64_t>(table.events.size());
      event.values = {double(random()) * 0.1, std::string("p") + char('a' + random() % 5),
                      MakeList(Type::kText, {std::string("x"), Value(), std::to_string(random())}), random() % 2 == 0};
      for (Value& value : event.values) {
        if (random() % 5 == 0) value = {};
      }
      table.cards.push_back("card" + std::to_string(card));
      table.events.push_back(std::move(event));
    }
  }
  return table;
}

class Kernel : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string json = program_.ToJson().dump();
    ASSERT_EQ(tidemill_program_new(json.data(), json.size(), &handle_), TIDEMILL_OK) << tidemill_program_error(handle_);
  }
  void TearDown() override { tidemill_program_free(handle_); }

  /// The outputs that the library gave, row by row.
  std::vector<std::vector<Value>> Rows(const Given& given) {
    const auto batch = arrow::Batch::Open("outputs", &given.schema, &given.array);
    EXPECT_TRUE(batch.ok());
    std::vector<std::vector<Value>> rows(batch->rows());
    for (const Field& field : program_.OutputFields()) {
      const auto column = batch->Read(field.name, field.type);
      EXPECT_TRUE(column.ok());
      for (size_t row = 0; row < rows.size(); ++row) rows[row].push_back(column->At(row));
    }
    return rows;
  }
  void ExpectRow(const std::vector<Value>& actual, const std::vector<Value>& expected) {
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) EXPECT_TRUE(SameBits(actual[i], expected[i])) << i;
  }

  const Program program_ = SomeProgram();
  TidemillProgram* handle_ = nullptr;
};

Columns Times(const std::vector<int64_t>& times) {
  Column column("_time", Type::kTimestamp);
  for (const int64_t time : times) column.AppendInt(time);
  Columns columns;
  columns.columns = {column};
  return columns;
}

TEST_F(Kernel, StatesAnswerAsInProcess) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 20; ++round) {
    const Table table = RandomTable(random);
    const auto expected = EntityState::Make(program_);
    for (const FeatureEvent& event : table.events) ASSERT_TRUE(expected->Update(event).ok());
    const Given rows(table.ToColumns(program_));
    TidemillState* state = nullptr;
    TidemillState* other = nullptr;
    ASSERT_EQ(tidemill_state_new(handle_, &state), TIDEMILL_OK);
    ASSERT_EQ(tidemill_state_new(handle_, &other), TIDEMILL_OK);
    ASSERT_EQ(tidemill_state_update(state, &rows.schema, &rows.array), TIDEMILL_OK) << tidemill_state_error(state);
    const uint8_t* bytes = nullptr;
    size_t length = 0;
    ASSERT_EQ(tidemill_state_save(state, &bytes, &length), TIDEMILL_OK);
    if (round % 2 == 0) {
      ASSERT_EQ(tidemill_state_load(other, bytes, length), TIDEMILL_OK);
    } else {
      ASSERT_EQ(tidemill_state_merge(other, state), TIDEMILL_OK) << tidemill_state_error(other);
    }
    EXPECT_EQ(tidemill_state_rows(other), expected->rows());
    const std::vector<int64_t> times = {3'000'000, 39'000'000, 0, 12'500'000};
    const Given asked(Times(times));
    Given answers;
    ASSERT_EQ(tidemill_state_query(other, asked.schema.children[0], asked.array.children[0], &answers.schema, &answers.array),
              TIDEMILL_OK)
        << tidemill_state_error(other);
    const auto actual = Rows(answers);
    ASSERT_EQ(actual.size(), times.size());
    for (size_t i = 0; i < times.size(); ++i) ExpectRow(actual[i], expected->Query({times[i]}));
    tidemill_state_free(state);
    tidemill_state_free(other);
  }
}

TEST_F(Kernel, JoinsAnswerAsStatesDo) {
  std::mt19937_64 random(5);
  TidemillJoin* join = nullptr;
  ASSERT_EQ(tidemill_join_new(handle_, &join), TIDEMILL_OK);
  for (int round = 0; round < 20; ++round) {
    const Table table = RandomTable(random);
    const Given rows(table.ToColumns(program_));
    Column card("card", Type::kText);
    Column time("_time", Type::kTimestamp);
    for (int i = 0; i < 50; ++i) {
      if (random() % 10 == 0) {
        card.AppendNull();
      } else {
        card.AppendText("card" + std::to_string(random() % 8));  // some without rows
      }
      if (random() % 10 == 0) {
        time.AppendNull();
      } else {
        time.AppendInt(int64_t(random() % 50) * 1'000'000);
      }
    }
    Columns spine_columns;
    spine_columns.columns = {card, time};
    const Given spine(std::move(spine_columns));
    Given answers;
    ASSERT_EQ(tidemill_join_run(join, &rows.schema, &rows.array, &spine.schema, &spine.array, &answers.schema, &answers.array),
              TIDEMILL_OK)
        << tidemill_join_error(join);
    const auto actual = Rows(answers);
    ASSERT_EQ(actual.size(), 50U);
    for (size_t i = 0; i < actual.size(); ++i) {
      const auto state = EntityState::Make(program_);
      for (size_t row = 0; row < table.events.size(); ++row) {
        if (card.IsNull(i) || time.IsNull(i) || table.cards[row] != card.Text(i)) continue;
        ASSERT_TRUE(state->Update(table.events[row]).ok());
      }
      ExpectRow(actual[i], state->Query({time.IsNull(i) ? 0 : time.ints[i]}));
    }
  }
  tidemill_join_free(join);
}

TEST_F(Kernel, SlicesAreRead) {
  std::mt19937_64 random(6);
  const Table table = RandomTable(random);
  Given rows(table.ToColumns(program_));
  rows.array.offset = 3;
  rows.array.length -= 5;
  TidemillState* state = nullptr;
  ASSERT_EQ(tidemill_state_new(handle_, &state), TIDEMILL_OK);
  ASSERT_EQ(tidemill_state_update(state, &rows.schema, &rows.array), TIDEMILL_OK) << tidemill_state_error(state);
  const auto expected = EntityState::Make(program_);
  for (size_t i = 3; i + 2 < table.events.size(); ++i) ASSERT_TRUE(expected->Update(table.events[i]).ok());
  const Given asked(Times({20'000'000}));
  Given answers;
  ASSERT_EQ(tidemill_state_query(state, asked.schema.children[0], asked.array.children[0], &answers.schema, &answers.array),
            TIDEMILL_OK);
  ExpectRow(Rows(answers)[0], expected->Query({20'000'000}));
  tidemill_state_free(state);
}

TEST_F(Kernel, BadDataIsRefusedWithASentence) {
  std::mt19937_64 random(7);
  const Table table = RandomTable(random);
  TidemillState* state = nullptr;
  ASSERT_EQ(tidemill_state_new(handle_, &state), TIDEMILL_OK);
  const auto refused = [&](auto damage) {
    Given rows(table.ToColumns(program_));
    const Given intact(table.ToColumns(program_));
    damage(rows);
    EXPECT_EQ(tidemill_state_update(state, &rows.schema, &rows.array), TIDEMILL_BAD_DATA);
    EXPECT_EQ(tidemill_state_rows(state), 0U);
    // What was damaged is put back, so that releasing works.
    for (int64_t i = 0; i < 8; ++i) {
      rows.array.children[i]->length = intact.array.children[i]->length;
      rows.array.children[i]->dictionary = nullptr;
      rows.schema.children[i]->dictionary = nullptr;
    }
    rows.array.n_children = rows.schema.n_children = intact.array.n_children;
    return std::string(tidemill_state_error(state));
  };
  EXPECT_EQ(refused([](Given& rows) { rows.schema.children[4]->format = "u"; }),
            "amount is of the Arrow type 'u', which can't be read as number");
  EXPECT_EQ(refused([](Given& rows) { rows.schema.children[1]->format = "tsn:"; }),
            "_event_time is of the Arrow type 'tsn:', which can't be read as timestamp");
  EXPECT_EQ(refused([](Given& rows) { rows.schema.children[5]->name = "other"; }), "rows: there is no field place");
  EXPECT_EQ(refused([](Given& rows) { rows.schema.children[5]->dictionary = &rows.schema; }),
            "place is encoded by a dictionary: decode it first");
  EXPECT_EQ(refused([](Given& rows) { rows.array.children[4]->length = 1; }), "rows: the field amount has too few rows");
  EXPECT_EQ(refused([](Given& rows) { rows.array.children[5]->n_buffers = 2; }), "place has 2 buffers instead of 3");
  EXPECT_EQ(refused([](Given& rows) { rows.array.n_children = 3; }), "rows has other children than its schema");
  EXPECT_EQ(refused([](Given& rows) { rows.array.offset = -1; }), "rows has a length or offset that is not possible");
  EXPECT_EQ(refused([](Given& rows) { rows.schema.format = "l"; }), "rows is no struct");
  const auto with_offsets = [&](int64_t offset) {
    return refused([&](Given& rows) {
      auto* places = const_cast<int64_t*>(static_cast<const int64_t*>(rows.array.children[5]->buffers[1]));
      for (int64_t i = 1; i <= rows.array.length; ++i) places[i] = offset;
    });
  };
  EXPECT_TRUE(with_offsets(-7).starts_with("place has offsets that are not possible in row"));
  EXPECT_EQ(tidemill_state_update(state, nullptr, nullptr), TIDEMILL_BAD_DATA);
  EXPECT_STREQ(tidemill_state_error(state), "rows: there is no data, or it was released");
  const uint8_t bytes[] = {'T', 'M', 'S', '2', 0};
  EXPECT_EQ(tidemill_state_load(state, bytes, sizeof(bytes)), TIDEMILL_BAD_STATE);
  EXPECT_EQ(tidemill_state_load(state, nullptr, 7), TIDEMILL_BAD_ARGUMENT);
  EXPECT_EQ(tidemill_state_save(state, nullptr, nullptr), TIDEMILL_BAD_ARGUMENT);
  tidemill_state_free(state);
}

TEST_F(Kernel, RowsThatAreNotGroupedAreRefused) {
  Table table;
  for (const char* card : {"a", "b", "a"}) {
    table.cards.emplace_back(card);
    table.events.push_back({{1}, {1}, static_cast<int64_t>(table.events.size()), {Value(), Value(), Value(), Value()}});
  }
  const Given rows(table.ToColumns(program_));
  TidemillJoin* join = nullptr;
  ASSERT_EQ(tidemill_join_new(handle_, &join), TIDEMILL_OK);
  Column card("card", Type::kText);
  Column time("_time", Type::kTimestamp);
  Columns none;
  none.columns = {card, time};
  const Given spine(std::move(none));
  Given answers;
  EXPECT_EQ(tidemill_join_run(join, &rows.schema, &rows.array, &spine.schema, &spine.array, &answers.schema, &answers.array),
            TIDEMILL_BAD_DATA);
  EXPECT_STREQ(tidemill_join_error(join),
               "the rows of an entity do not lie together: row 2 belongs to one that ended: sort the rows by their keys");
  EXPECT_EQ(answers.array.release, nullptr);
  tidemill_join_free(join);
}

TEST(KernelHandles, WithoutAProgramNothingWorksAndNothingCrashes) {
  TidemillProgram* program = nullptr;
  EXPECT_EQ(tidemill_program_new("{", 1, &program), TIDEMILL_BAD_PROGRAM);
  EXPECT_STREQ(tidemill_program_error(program), "the program is not JSON");
  ArrowSchema schema{};
  EXPECT_EQ(tidemill_program_output_schema(program, &schema), TIDEMILL_BAD_ARGUMENT);
  TidemillState* state = nullptr;
  EXPECT_EQ(tidemill_state_new(program, &state), TIDEMILL_BAD_ARGUMENT);
  EXPECT_STREQ(tidemill_state_error(state), "there is no program");
  EXPECT_EQ(tidemill_state_expire(state, 0), TIDEMILL_BAD_ARGUMENT);
  EXPECT_EQ(tidemill_state_merge(state, state), TIDEMILL_BAD_ARGUMENT);
  EXPECT_EQ(tidemill_state_rows(state), 0U);
  tidemill_state_free(state);
  tidemill_program_free(program);
  EXPECT_EQ(tidemill_program_new(nullptr, 0, &program), TIDEMILL_BAD_ARGUMENT);
  tidemill_program_free(program);
  EXPECT_EQ(tidemill_program_new("{}", 2, nullptr), TIDEMILL_BAD_ARGUMENT);
  EXPECT_EQ(tidemill_state_update(nullptr, nullptr, nullptr), TIDEMILL_BAD_ARGUMENT);
  tidemill_state_free(nullptr);
  EXPECT_EQ(tidemill_kernel_abi(), TIDEMILL_KERNEL_ABI);
}

}  // namespace
}  // namespace tidemill
