#include <string_view>

#include "base/json.h"
#include "feature/program/compiled_program.h"
#include "feature/program/testing.h"
#include "fuzz/rows.h"
#include "fuzz/targets.h"

namespace tidemill::fuzz {
namespace {

void Run(const Program& program) {
  const auto compiled = CompiledProgram::Make(program);
  Require(compiled.ok());  // FromJson gives valid programs only
  const auto state = EntityState::Make(program, *compiled);
  for (int64_t row = 0; row < 8; ++row) Require(state->Update(RowOf(program, row)).ok());
  for (const int64_t time : {int64_t{0}, int64_t{3'000'000}, int64_t{9'000'000}, INT64_MIN, INT64_MAX}) {
    const std::vector<Value> answers = state->Query({time});
    const auto again = EntityState::Make(program, *compiled);
    Require(again->Load(state->Save()).ok());
    const std::vector<Value> answers_again = again->Query({time});
    for (size_t i = 0; i < answers.size(); ++i) Require(testing::SameBits(answers[i], answers_again[i]));
  }
}

}  // namespace

int FuzzProgram(const uint8_t* data, size_t size) {
  const Json json = Json::parse(std::string_view(reinterpret_cast<const char*>(data), size), nullptr, false);
  if (json.is_discarded()) return 0;
  if (const auto program = Program::FromJson(json); program.ok()) {
    const auto again = Program::FromJson(program->ToJson());
    Require(again.ok() && again->ToJson() == program->ToJson());
    Run(*program);
  }
  if (const auto program = RowProgram::FromJson(json); program.ok()) {
    Columns rows;
    for (const Field& field : program->columns) {
      Column& column = rows.columns.emplace_back(field.name, field.type);
      for (int64_t row = 0; row < 8; ++row) Require(column.Append(RowValue(field.type, row)).ok());
    }
    (void)program->Evaluate(rows);
  }
  return 0;
}

}  // namespace tidemill::fuzz
