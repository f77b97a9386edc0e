#include <map>
#include <string>

#include "base/hash.h"
#include "feature/program/testing.h"
#include "fuzz/rows.h"
#include "fuzz/targets.h"

namespace tidemill::fuzz {
namespace {

using testing::Col;
using testing::Const;

void AddFeature(std::string function, std::vector<Expression> arguments, Type type, std::optional<Duration> window,
                Program& program) {
  Aggregate aggregate;
  aggregate.function = std::move(function);
  aggregate.arguments = std::move(arguments);
  aggregate.type = type;
  aggregate.window = window;
  const int at = static_cast<int>(program.aggregates.size());
  program.outputs.push_back({"o" + std::to_string(at), Col(at, type), {}});
  program.aggregates.push_back(std::move(aggregate));
}

/// With saved partial results of every kind, texts, lists, and one aggregate that reads rows.
Program ProgramOfMany() {
  Program program;
  program.columns = {{"x", Type::kDouble}, {"n", Type::kInt64}, {"t", Type::kText}, {"b", Type::kBool}, {"l", Type::kTextList}};
  const Expression x = Col(0, Type::kDouble);
  const std::optional<Duration> window = Duration{3'000'000};
  AddFeature("count_rows", {}, Type::kInt64, window, program);
  for (const char* function : {"sum", "avg", "min", "stddev_samp", "skewness", "slope", "median"})
    AddFeature(function, {x}, Type::kDouble, window, program);
  AddFeature("ewm_mean", {x, Const(int64_t{1'000'000}, Type::kInt64)}, Type::kDouble, {}, program);
  AddFeature("corr", {x, x}, Type::kDouble, {}, program);
  AddFeature("sum", {Col(1, Type::kInt64)}, Type::kInt64, {}, program);
  AddFeature("last", {Col(2, Type::kText)}, Type::kText, {}, program);
  AddFeature("arg_max", {Col(2, Type::kText), x}, Type::kText, window, program);
  AddFeature("count_distinct", {Col(2, Type::kText)}, Type::kInt64, window, program);
  AddFeature("bool_or", {Col(3, Type::kBool)}, Type::kBool, window, program);
  AddFeature("first", {Col(4, Type::kTextList)}, Type::kTextList, {}, program);
  return program;
}

Program ProgramOfOne() {
  Program program;
  program.columns = {{"x", Type::kDouble}};
  AddFeature("sum", {Col(0, Type::kDouble)}, Type::kDouble, Duration{2'000'000}, program);
  program.lateness = Duration{1'000'000};
  return program;
}

Program ProgramOfSessions() {
  Program program;
  program.columns = {{"n", Type::kInt64}};
  AddFeature("max", {Col(0, Type::kInt64)}, Type::kInt64, {}, program);
  program.aggregates.back().session = Duration{2'000'000};
  AddFeature("count_rows", {}, Type::kInt64, Duration{10'000'000}, program);
  program.aggregates.back().hop = Duration{3'000'000};
  return program;
}

const Program& ProgramOf(uint8_t choice) {
  static const std::vector<Program> programs = {ProgramOfMany(), ProgramOfOne(), ProgramOfSessions(), ProgramOfFolds()};
  return programs[choice % programs.size()];
}

}  // namespace

Program ProgramOfFolds() {
  Program program;
  program.columns = {{"x", Type::kDouble}, {"t", Type::kText}};
  AddFeature("sum", {Col(0, Type::kDouble)}, Type::kDouble, Duration{900'000'000}, program);
  program.aggregates.back().hop = Duration{1'000'000};
  AddFeature("last", {Col(1, Type::kText)}, Type::kText, Duration{300'000'000}, program);
  program.aggregates.back().hop = Duration{1'000'000};
  program.lateness = Duration{1'000'000};
  return program;
}

namespace {

/// Damage that a checksum would find is no news: what lies behind it has to hold as well.
std::string WithChecksum(std::string bytes) {
  if (bytes.starts_with("TMS1") || bytes.size() < 4) return bytes;
  bytes.resize(bytes.size() - 4);
  const uint64_t hash = Hash64(bytes);
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(hash >> (8 * i));
  return bytes;
}

/// Errors are allowed, crashes are not.
void Use(EntityState& state, const Program& program) {
  for (const int64_t time : {int64_t{0}, int64_t{3'000'000}, INT64_MAX}) {
    (void)state.Query({time});
    (void)state.VisibleRows({time});
  }
  for (int64_t row = 0; row < 4; ++row) (void)state.Update(RowOf(program, row));
  (void)state.Query({2'000'000});
  const auto other = EntityState::Make(program);
  (void)other->Merge(state);
  const std::string saved = state.Save();
  if (!saved.empty()) Require(EntityState::Make(program)->Load(saved).ok());
  state.Expire({4'000'000});
  state.Fold({8'000'000});
  (void)state.Query({9'000'000});
  (void)state.TakeChanges();
  (void)state.rows();
}

}  // namespace

int FuzzState(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const Program& program = ProgramOf(data[0]);
  const auto state = EntityState::Make(program);
  if (state->Load(WithChecksum(std::string(reinterpret_cast<const char*>(data) + 1, size - 1))).ok()) Use(*state, program);
  return 0;
}

int FuzzRecords(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const Program& program = ProgramOf(data[0]);
  std::map<uint64_t, std::string> records;
  for (size_t at = 1; at + 2 <= size;) {
    const size_t length = std::min<size_t>(data[at] | static_cast<size_t>(data[at + 1]) << 8, size - at - 2);
    const uint64_t id = records.size();
    records[id] = WithChecksum(std::string(reinterpret_cast<const char*>(data) + at + 2, length));
    at += 2 + length;
  }
  if (records.empty()) return 0;
  const auto state = EntityState::Make(program);
  const auto fetch = [&](uint64_t id) -> Result<std::string> {
    const auto record = records.find(id);
    if (record == records.end()) return InternalError("no such record");
    return record->second;
  };
  if (state->Open(records[0], fetch).ok()) Use(*state, program);
  return 0;
}

}  // namespace tidemill::fuzz
