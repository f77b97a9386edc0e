#include "feature/program/tidemill_kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <new>

#include "base/json.h"
#include "feature/program/arrow_columns.h"
#include "feature/program/entity_state.h"
#include "feature/program/partition_join.h"
#include "feature/program/state_reader.h"

namespace tidemill {

/// What handles share. Named, since several sources are compiled as one: handles that others see can't hold nameless types.
struct ReadyProgram {
  Program program;
  std::shared_ptr<const CompiledProgram> compiled;
};
using SharedProgram = std::shared_ptr<const ReadyProgram>;

}  // namespace tidemill

namespace {

using tidemill::Column;
using tidemill::Columns;
using tidemill::CompiledProgram;
using tidemill::Error;
using tidemill::Field;
using tidemill::Program;
using tidemill::ReadyProgram;
using tidemill::Result;
using tidemill::SharedProgram;
using tidemill::Status;
using tidemill::Type;
using tidemill::arrow::Batch;

Error BadArgument(std::string message) { return tidemill::UserError("bad_argument", std::move(message)); }

}  // namespace

struct TidemillProgram {
  tidemill::SharedProgram ready;  ///< nullptr when it could not be made
  std::string error;
};

struct TidemillState {
  tidemill::SharedProgram ready;
  std::unique_ptr<tidemill::EntityState> state;
  std::unique_ptr<tidemill::StateScratch> scratch;
  std::string saved;
  std::string error;
};

struct TidemillJoin {
  tidemill::SharedProgram ready;
  std::string error;
};

namespace {

TidemillStatus StatusOf(const Error& error) {
  if (error.kind == tidemill::ErrorKind::kInternal) return TIDEMILL_INTERNAL;
  if (error.code == "bad_argument") return TIDEMILL_BAD_ARGUMENT;
  if (error.code == "bad_state") return TIDEMILL_BAD_STATE;
  return TIDEMILL_BAD_DATA;
}

/// Runs `work` (which gives a Status) so that nothing is thrown over the border, and keeps what went wrong.
template <class Work>
TidemillStatus Guarded(std::string& error, Work work) noexcept {
  try {
    error.clear();
    const Status done = work();
    if (done.ok()) return TIDEMILL_OK;
    error = done.error().hint.empty() ? done.error().message : done.error().message + ": " + done.error().hint;
    return StatusOf(done.error());
  } catch (const std::bad_alloc&) {
    return TIDEMILL_NO_MEMORY;
  } catch (const std::exception& defect) {
    try {
      error = defect.what();
    } catch (...) {
    }
    return TIDEMILL_INTERNAL;
  } catch (...) {
    return TIDEMILL_INTERNAL;
  }
}

Status ReadProgram(const char* json, size_t length, TidemillProgram& handle) {
  if (json == nullptr) return BadArgument("the program's text is NULL");
  const tidemill::Json parsed = tidemill::Json::parse(std::string_view(json, length), nullptr, false);
  if (parsed.is_discarded()) return tidemill::UserError("bad_program", "the program is not JSON");
  TIDEMILL_ASSIGN_OR_RETURN(Program program, Program::FromJson(parsed));
  TIDEMILL_ASSIGN_OR_RETURN(auto compiled, CompiledProgram::Make(program));
  handle.ready = std::make_shared<const ReadyProgram>(ReadyProgram{std::move(program), std::move(compiled)});
  return tidemill::Ok();
}

constexpr std::string_view kEvent = "_event_time";
constexpr std::string_view kKnown = "_known_at";
constexpr std::string_view kSequence = "_seq";
constexpr std::string_view kTime = "_time";

std::vector<Field> RowFields(const Program& program) {
  std::vector<Field> fields = program.keys;
  fields.push_back({std::string(kEvent), Type::kTimestamp});
  fields.push_back({std::string(kKnown), Type::kTimestamp});
  fields.push_back({std::string(kSequence), Type::kInt64});
  for (const Field& column : program.columns) {
    const bool is_key = std::find(program.keys.begin(), program.keys.end(), column) != program.keys.end();
    if (!is_key) fields.push_back(column);
  }
  return fields;
}

Result<Column> ReadWithoutNulls(const Batch& batch, std::string_view name, Type type) {
  TIDEMILL_ASSIGN_OR_RETURN(Column column, batch.Read(name, type));
  const auto null = std::find(column.valid.begin(), column.valid.end(), 0);
  if (null != column.valid.end())
    return tidemill::UserError("bad_arrow", fmt::format("{} is null in row {}", name, null - column.valid.begin()));
  return column;
}

Result<std::vector<Column>> ReadFields(const Batch& batch, const std::vector<Field>& fields) {
  std::vector<Column> columns;
  for (const Field& field : fields) {
    TIDEMILL_ASSIGN_OR_RETURN(Column column, batch.Read(field.name, field.type));
    columns.push_back(std::move(column));
  }
  return columns;
}

/// Rows without their keys.
Result<tidemill::PartitionRows> ReadRows(const Program& program, const Batch& batch) {
  tidemill::PartitionRows rows;
  TIDEMILL_ASSIGN_OR_RETURN(rows.event, ReadWithoutNulls(batch, kEvent, Type::kTimestamp));
  rows.known = rows.event;
  if (batch.Has(kKnown)) {
    TIDEMILL_ASSIGN_OR_RETURN(rows.known, ReadWithoutNulls(batch, kKnown, Type::kTimestamp));
  }
  TIDEMILL_ASSIGN_OR_RETURN(rows.sequence, ReadWithoutNulls(batch, kSequence, Type::kInt64));
  TIDEMILL_ASSIGN_OR_RETURN(rows.columns, ReadFields(batch, program.columns));
  return rows;
}

Status CheckOutputs(const ArrowSchema* schema, const ArrowArray* outputs) {
  return schema == nullptr || outputs == nullptr ? Status(BadArgument("there is no place for the outputs")) : tidemill::Ok();
}

void Give(const Program& program, Columns columns, size_t rows, ArrowSchema& schema, ArrowArray& outputs) {
  ArrowArray array{};
  tidemill::arrow::ExportColumns(std::move(columns), rows, array);
  try {
    tidemill::arrow::ExportSchema(program.OutputFields(), schema);
  } catch (...) {
    array.release(&array);
    throw;
  }
  outputs = array;
}

Status Update(TidemillState& handle, const ArrowSchema* schema, const ArrowArray* array) {
  TIDEMILL_ASSIGN_OR_RETURN(const Batch batch, Batch::Open("rows", schema, array));
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows, ReadRows(handle.ready->program, batch));
  std::vector<tidemill::Datum> values(rows.columns.size());
  for (size_t row = 0; row < rows.size(); ++row) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = ColumnDatum(rows.columns[i], row);
    TIDEMILL_RETURN_IF_ERROR(
        handle.state->Update({rows.event.ints[row]}, {rows.known.ints[row]}, rows.sequence.ints[row], values));
  }
  return tidemill::Ok();
}

Status Query(TidemillState& handle, const ArrowSchema* times_schema, const ArrowArray* times_array, ArrowSchema* schema,
             ArrowArray* outputs) {
  TIDEMILL_RETURN_IF_ERROR(CheckOutputs(schema, outputs));
  TIDEMILL_ASSIGN_OR_RETURN(const Column times, tidemill::arrow::ReadArray("times", Type::kTimestamp, times_schema, times_array));
  const Program& program = handle.ready->program;
  Columns answers;
  for (const Field& field : program.OutputFields()) answers.columns.emplace_back(field.name, field.type);
  if (!handle.scratch) handle.scratch = std::make_unique<tidemill::StateScratch>(handle.ready->compiled);
  std::vector<tidemill::Datum> row(answers.columns.size());
  for (size_t i = 0; i < times.size(); ++i) {
    if (times.IsNull(i)) return tidemill::UserError("bad_arrow", fmt::format("the time is null in row {}", i));
    TIDEMILL_RETURN_IF_ERROR(handle.state->Read({times.ints[i]}, *handle.scratch, row));
    for (size_t output = 0; output < row.size(); ++output) AppendDatum(row[output], answers.columns[output]);
  }
  Give(program, std::move(answers), times.size(), *schema, *outputs);
  return tidemill::Ok();
}

Status Merge(TidemillState& handle, const TidemillState* other) {
  if (other == nullptr || other->state == nullptr) return BadArgument("there is no state to merge");
  if (other == &handle) return tidemill::Ok();
  if (other->ready != handle.ready && other->ready->program.ToJson() != handle.ready->program.ToJson())
    return BadArgument("the states are of different programs");
  return handle.state->Merge(*other->state);
}

Status Join(TidemillJoin& handle, const ArrowSchema* rows_schema, const ArrowArray* rows_array, const ArrowSchema* spine_schema,
            const ArrowArray* spine_array, ArrowSchema* schema, ArrowArray* outputs) {
  TIDEMILL_RETURN_IF_ERROR(CheckOutputs(schema, outputs));
  const Program& program = handle.ready->program;
  TIDEMILL_ASSIGN_OR_RETURN(const Batch rows_batch, Batch::Open("rows", rows_schema, rows_array));
  TIDEMILL_ASSIGN_OR_RETURN(const Batch spine_batch, Batch::Open("spine", spine_schema, spine_array));
  TIDEMILL_ASSIGN_OR_RETURN(auto rows, ReadRows(program, rows_batch));
  TIDEMILL_ASSIGN_OR_RETURN(rows.keys, ReadFields(rows_batch, program.keys));
  tidemill::PartitionSpine spine;
  TIDEMILL_ASSIGN_OR_RETURN(spine.keys, ReadFields(spine_batch, program.keys));
  TIDEMILL_ASSIGN_OR_RETURN(spine.time, spine_batch.Read(kTime, Type::kTimestamp));
  TIDEMILL_ASSIGN_OR_RETURN(auto answers, JoinPartition(program, handle.ready->compiled, rows, spine));
  Give(program, std::move(answers), spine.size(), *schema, *outputs);
  return tidemill::Ok();
}

/// Makes a handle of a program, which carries an error when the program is none.
template <class Handle, class Make>
TidemillStatus NewHandle(const TidemillProgram* program, Handle** handle, Make make) noexcept {
  if (handle == nullptr) return TIDEMILL_BAD_ARGUMENT;
  *handle = new (std::nothrow) Handle;
  if (*handle == nullptr) return TIDEMILL_NO_MEMORY;
  return Guarded((*handle)->error, [&]() -> Status {
    if (program == nullptr || program->ready == nullptr) return BadArgument("there is no program");
    make(**handle, program->ready);
    return tidemill::Ok();
  });
}

/// Calls `work` with a handle that was made without failure.
template <class Handle, class Work>
TidemillStatus WithHandle(Handle* handle, Work work) noexcept {
  if (handle == nullptr) return TIDEMILL_BAD_ARGUMENT;
  return Guarded(handle->error, [&]() -> Status {
    if (handle->ready == nullptr) return BadArgument("the handle was made without a program");
    return work(*handle);
  });
}

constexpr const char* kNoHandle = "there is no handle";

/// Schemas are asked from a program, whose text of error does not change any more.
template <class Fields>
TidemillStatus GiveProgramSchema(const TidemillProgram* program, ArrowSchema* schema, Fields fields) noexcept {
  if (program == nullptr || program->ready == nullptr || schema == nullptr) return TIDEMILL_BAD_ARGUMENT;
  std::string error;
  return Guarded(error, [&]() -> Status {
    tidemill::arrow::ExportSchema(fields(program->ready->program), *schema);
    return tidemill::Ok();
  });
}

}  // namespace

extern "C" {

int32_t tidemill_kernel_abi(void) { return TIDEMILL_KERNEL_ABI; }
const char* tidemill_kernel_version(void) { return tidemill::KernelVersion().data(); }

TidemillStatus tidemill_program_new(const char* json, size_t length, TidemillProgram** program) {
  if (program == nullptr) return TIDEMILL_BAD_ARGUMENT;
  *program = new (std::nothrow) TidemillProgram;
  if (*program == nullptr) return TIDEMILL_NO_MEMORY;
  const TidemillStatus status = Guarded((*program)->error, [&] { return ReadProgram(json, length, **program); });
  return status == TIDEMILL_BAD_DATA ? TIDEMILL_BAD_PROGRAM : status;
}
void tidemill_program_free(TidemillProgram* program) { delete program; }
const char* tidemill_program_error(const TidemillProgram* program) {
  return program == nullptr ? kNoHandle : program->error.c_str();
}
TidemillStatus tidemill_program_row_schema(const TidemillProgram* program, ArrowSchema* schema) {
  return GiveProgramSchema(program, schema, RowFields);
}
TidemillStatus tidemill_program_output_schema(const TidemillProgram* program, ArrowSchema* schema) {
  return GiveProgramSchema(program, schema, [](const Program& ready) { return ready.OutputFields(); });
}

TidemillStatus tidemill_state_new(const TidemillProgram* program, TidemillState** state) {
  return NewHandle(program, state, [](TidemillState& handle, const SharedProgram& ready) {
    handle.state = tidemill::EntityState::Make(ready->program, ready->compiled);
    handle.ready = ready;
  });
}
void tidemill_state_free(TidemillState* state) { delete state; }
const char* tidemill_state_error(const TidemillState* state) { return state == nullptr ? kNoHandle : state->error.c_str(); }
TidemillStatus tidemill_state_update(TidemillState* state, const ArrowSchema* schema, const ArrowArray* rows) {
  return WithHandle(state, [&](TidemillState& handle) { return Update(handle, schema, rows); });
}
TidemillStatus tidemill_state_query(TidemillState* state, const ArrowSchema* times_schema, const ArrowArray* times,
                                    ArrowSchema* schema, ArrowArray* outputs) {
  return WithHandle(state, [&](TidemillState& handle) { return Query(handle, times_schema, times, schema, outputs); });
}
TidemillStatus tidemill_state_merge(TidemillState* state, const TidemillState* other) {
  return WithHandle(state, [&](TidemillState& handle) { return Merge(handle, other); });
}
TidemillStatus tidemill_state_expire(TidemillState* state, int64_t time) {
  return WithHandle(state, [&](TidemillState& handle) {
    handle.state->Expire({time});
    return tidemill::Ok();
  });
}
TidemillStatus tidemill_state_save(TidemillState* state, const uint8_t** bytes, size_t* length) {
  return WithHandle(state, [&](TidemillState& handle) -> Status {
    if (bytes == nullptr || length == nullptr) return BadArgument("there is no place for the bytes");
    handle.saved = handle.state->Save();
    if (handle.saved.empty()) return tidemill::UserError("bad_state", "the state holds parts that can't be read");
    *bytes = reinterpret_cast<const uint8_t*>(handle.saved.data());
    *length = handle.saved.size();
    return tidemill::Ok();
  });
}
TidemillStatus tidemill_state_load(TidemillState* state, const uint8_t* bytes, size_t length) {
  return WithHandle(state, [&](TidemillState& handle) -> Status {
    if (bytes == nullptr) return BadArgument("the bytes are NULL");
    handle.scratch.reset();  // it may remember tiles of the rows before
    return handle.state->Load(std::string_view(reinterpret_cast<const char*>(bytes), length));
  });
}
uint64_t tidemill_state_rows(const TidemillState* state) { return state == nullptr || !state->state ? 0 : state->state->rows(); }
uint64_t tidemill_state_memory(const TidemillState* state) {
  return state == nullptr || !state->state ? 0 : state->state->memory_bytes();
}

TidemillStatus tidemill_join_new(const TidemillProgram* program, TidemillJoin** join) {
  return NewHandle(program, join, [](TidemillJoin& handle, const SharedProgram& ready) { handle.ready = ready; });
}
void tidemill_join_free(TidemillJoin* join) { delete join; }
const char* tidemill_join_error(const TidemillJoin* join) { return join == nullptr ? kNoHandle : join->error.c_str(); }
TidemillStatus tidemill_join_run(TidemillJoin* join, const ArrowSchema* rows_schema, const ArrowArray* rows,
                                 const ArrowSchema* spine_schema, const ArrowArray* spine, ArrowSchema* schema,
                                 ArrowArray* outputs) {
  return WithHandle(join,
                    [&](TidemillJoin& handle) { return Join(handle, rows_schema, rows, spine_schema, spine, schema, outputs); });
}

}  // extern "C"
