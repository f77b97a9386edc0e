#include "sql/parallel_rows.h"

#include <duckdb.h>

#include <fmt/format.h>

#include <optional>

#include "sql/chunks.h"

namespace tidemill {

struct ParallelRows::Consumer {
  std::vector<Field> fields;
  MakeRowTaker make;
  std::mutex mutex;  ///< for `status`
  Status status = Ok();
};

namespace {

constexpr const char* kFunction = "tidemill_take";

/// What a thread of a statement keeps between its calls.
struct Worker {
  std::shared_ptr<ParallelRows::Consumer> consumer;
  RowTaker take;
  Columns batch;

  void Begin(std::shared_ptr<ParallelRows::Consumer> with) {
    consumer = std::move(with);
    take = consumer->make();
    for (const Field& field : consumer->fields) batch.columns.emplace_back(field.name, field.type);
  }

  Status Take(duckdb_data_chunk input) {
    for (Column& column : batch.columns) column.Clear();
    TIDEMILL_RETURN_IF_ERROR(AppendChunk(input, WideNumbers::kFail, &batch, 1));
    return take(batch);
  }
};

template <class T>
void Delete(void* object) {
  delete static_cast<T*>(object);
}

void MakeWorker(duckdb_init_info info) { duckdb_scalar_function_init_set_state(info, new Worker(), Delete<Worker>); }

void Take(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  const size_t rows = duckdb_data_chunk_get_size(input);
  if (rows == 0) return;
  auto& worker = *static_cast<Worker*>(duckdb_scalar_function_get_state(info));
  if (worker.consumer == nullptr) {
    const auto& registry = *static_cast<std::shared_ptr<ParallelRows>*>(duckdb_scalar_function_get_extra_info(info));
    const auto* id = static_cast<const int64_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 0)));
    auto consumer = registry->Find(*id);
    if (consumer == nullptr) return duckdb_scalar_function_set_error(info, "this function is for Tidemill's own statements");
    worker.Begin(std::move(consumer));
  }
  if (const Status status = worker.Take(input); !status.ok()) {
    const std::lock_guard lock(worker.consumer->mutex);
    if (worker.consumer->status.ok()) worker.consumer->status = status;
    return duckdb_scalar_function_set_error(info, status.error().message.c_str());
  }
  auto* taken = static_cast<bool*>(duckdb_vector_get_data(output));
  std::fill(taken, taken + rows, true);
}

}  // namespace

Status ParallelRows::Register(_duckdb_connection* connection, std::shared_ptr<ParallelRows> rows) {
  duckdb_logical_type id = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
  duckdb_logical_type any = duckdb_create_logical_type(DUCKDB_TYPE_ANY);
  duckdb_logical_type taken = duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN);
  duckdb_scalar_function function = duckdb_create_scalar_function();
  duckdb_scalar_function_set_name(function, kFunction);
  duckdb_scalar_function_add_parameter(function, id);
  duckdb_scalar_function_set_varargs(function, any);
  duckdb_scalar_function_set_return_type(function, taken);
  duckdb_scalar_function_set_volatile(function);
  duckdb_scalar_function_set_special_handling(function);
  duckdb_scalar_function_set_extra_info(function, new std::shared_ptr<ParallelRows>(std::move(rows)),
                                        Delete<std::shared_ptr<ParallelRows>>);
  duckdb_scalar_function_set_init(function, MakeWorker);
  duckdb_scalar_function_set_function(function, Take);
  const duckdb_state state = duckdb_register_scalar_function(reinterpret_cast<duckdb_connection>(connection), function);
  duckdb_destroy_scalar_function(&function);
  for (duckdb_logical_type* type : {&id, &any, &taken}) duckdb_destroy_logical_type(type);
  return state == DuckDBSuccess ? Ok() : Status(InternalError("DuckDB did not take a function"));
}

int64_t ParallelRows::Begin(std::vector<Field> fields, MakeRowTaker make) {
  auto consumer = std::make_shared<Consumer>();
  consumer->fields = std::move(fields);
  consumer->make = std::move(make);
  const std::lock_guard lock(mutex_);
  consumers_.emplace(++next_id_, std::move(consumer));
  return next_id_;
}

Status ParallelRows::End(int64_t id) {
  const std::lock_guard lock(mutex_);
  const auto consumer = consumers_.extract(id).mapped();
  const std::lock_guard status_lock(consumer->mutex);
  return consumer->status;
}

std::string ParallelRows::Call(int64_t id, const std::string& columns) {
  return fmt::format("{}({}, {})", kFunction, id, columns);
}

std::shared_ptr<ParallelRows::Consumer> ParallelRows::Find(int64_t id) {
  const std::lock_guard lock(mutex_);
  const auto found = consumers_.find(id);
  return found == consumers_.end() ? nullptr : found->second;
}

}  // namespace tidemill
