#include "sql/database.h"

#include <duckdb.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <utility>

#include "base/files.h"
#include "sql/chunks.h"
#include "sql/duckdb_error.h"
#include "sql/statement_text.h"

namespace tidemill {
namespace {

/// Owns one of DuckDB's handles.
template <class T, void (*kDestroy)(T*)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T handle) : handle_(handle) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Handle() {
    if (handle_ != nullptr) kDestroy(&handle_);
  }
  T get() const { return handle_; }
  T* out() { return &handle_; }

 private:
  T handle_ = nullptr;
};

void DestroyAppender(duckdb_appender* appender) { duckdb_appender_destroy(appender); }

using Config = Handle<duckdb_config, duckdb_destroy_config>;
using Extracted = Handle<duckdb_extracted_statements, duckdb_destroy_extracted>;
using Prepared = Handle<duckdb_prepared_statement, duckdb_destroy_prepare>;
using Pending = Handle<duckdb_pending_result, duckdb_destroy_pending>;
using Chunk = Handle<duckdb_data_chunk, duckdb_destroy_data_chunk>;
using LogicalType = Handle<duckdb_logical_type, duckdb_destroy_logical_type>;
using Appender = Handle<duckdb_appender, DestroyAppender>;

struct QueryResult {
  duckdb_result raw{};
  QueryResult() = default;
  QueryResult(const QueryResult&) = delete;
  QueryResult& operator=(const QueryResult&) = delete;
  ~QueryResult() { duckdb_destroy_result(&raw); }
};

/// DuckDB's texts end at a NUL byte, so a statement must not hold one.
Result<std::string> AsCText(std::string_view sql) {
  if (const size_t nul = sql.find('\0'); nul != std::string_view::npos) {
    Error error = UserError("sql_syntax", "the statement holds a NUL byte");
    error.place = Place{};
    error.place->column = static_cast<int>(nul) + 1;
    return error;
  }
  return std::string(sql);
}

struct ReadField {
  Field field;
  std::string_view cast;  ///< the type it has to be cast to, or empty
};

std::vector<ReadField> FieldsOf(duckdb_prepared_statement prepared) {
  std::vector<ReadField> fields(duckdb_prepared_statement_column_count(prepared));
  for (size_t i = 0; i < fields.size(); ++i) {
    const char* name = duckdb_prepared_statement_column_name(prepared, i);
    const LogicalType type(duckdb_prepared_statement_column_logical_type(prepared, i));
    const ColumnReading reading = ReadingOf(type.get());
    fields[i] = {{name != nullptr ? name : "", reading.type}, reading.cast};
    duckdb_free(const_cast<char*>(name));
  }
  return fields;
}

bool NeedsCast(const std::vector<ReadField>& fields) {
  return std::any_of(fields.begin(), fields.end(), [](const ReadField& field) { return !field.cast.empty(); });
}

Columns EmptyColumns(const std::vector<ReadField>& fields) {
  Columns columns;
  for (const ReadField& field : fields) columns.columns.emplace_back(field.field.name, field.field.type);
  return columns;
}

/// The i-th column of a subquery with those fields, as it can be read.
std::string ReadableColumn(const std::vector<ReadField>& fields, size_t i) {
  return fields[i].cast.empty() ? fmt::format("#{}", i + 1) : fmt::format("CAST(#{} AS {})", i + 1, fields[i].cast);
}

std::string CastingPrefix(const std::vector<ReadField>& fields) {
  std::string list;
  for (size_t i = 0; i < fields.size(); ++i)
    list += fmt::format("{}{} AS {}", i > 0 ? ", " : "", ReadableColumn(fields, i), QuoteIdentifier(fields[i].field.name));
  return fmt::format("SELECT {} FROM (\n", list);
}

/// An error in a statement that was put after `prefix`: its place counted from the statement's own begin.
Error WithoutPrefix(Error error, size_t prefix) {
  if (!error.place) return error;
  error.place->column -= static_cast<int>(prefix);
  if (error.place->column < 1) error.place.reset();
  return error;
}

class DuckDbSession : public Session {
 public:
  DuckDbSession(duckdb_connection connection, std::shared_ptr<ParallelRows> rows)
      : connection_(connection), parallel_rows_(std::move(rows)) {}
  ~DuckDbSession() override { duckdb_disconnect(&connection_); }

  Status Execute(std::string_view sql) override {
    TIDEMILL_ASSIGN_OR_RETURN(const Statements statements, Extract(sql));
    for (size_t i = 0; i < statements.count; ++i) {
      TIDEMILL_ASSIGN_OR_RETURN(const Prepared prepared, Prepare(statements, i));
      TIDEMILL_RETURN_IF_ERROR(Run(prepared.get(), [](duckdb_data_chunk) { return Ok(); }));
    }
    return Ok();
  }

  Result<Columns> Query(std::string_view sql) override {
    TIDEMILL_ASSIGN_OR_RETURN(const Reading reading, PrepareReading(sql));
    Columns columns = EmptyColumns(reading.fields);
    const Status status =
        Run(reading.prepared.get(), [&](duckdb_data_chunk chunk) { return AppendChunk(chunk, WideNumbers::kDouble, &columns); });
    if (!status.ok()) return WithoutPrefix(status.error(), reading.prefix);
    return columns;
  }

  Status Stream(std::string_view sql, const std::function<Status(const Columns&)>& take) override {
    TIDEMILL_ASSIGN_OR_RETURN(const Reading reading, PrepareReading(sql));
    bool failed_outside = false;
    Columns batch = EmptyColumns(reading.fields);
    const Status status = Run(reading.prepared.get(), [&](duckdb_data_chunk chunk) -> Status {
      for (Column& column : batch.columns) column.Clear();
      TIDEMILL_RETURN_IF_ERROR(AppendChunk(chunk, WideNumbers::kFail, &batch));
      Status taken = take(batch);
      failed_outside = !taken.ok();
      return taken;
    });
    if (!status.ok() && !failed_outside) return WithoutPrefix(status.error(), reading.prefix);
    return status;
  }

  Status StreamUnordered(std::string_view sql, const MakeRowTaker& make) override {
    TIDEMILL_ASSIGN_OR_RETURN(const Statements statements, ExtractOne(sql));
    TIDEMILL_ASSIGN_OR_RETURN(const Prepared prepared, Prepare(statements, 0));
    const std::vector<ReadField> read = FieldsOf(prepared.get());
    std::vector<Field> fields;
    std::string columns;
    for (size_t i = 0; i < read.size(); ++i) {
      fields.push_back(read[i].field);
      columns += (i > 0 ? ", " : "") + ReadableColumn(read, i);
    }
    const int64_t id = parallel_rows_->Begin(std::move(fields), make);
    const std::string prefix = fmt::format("SELECT count({}) FROM (\n", ParallelRows::Call(id, columns));
    const Status run = Execute(fmt::format("{}{}\n)", prefix, WithoutStatementEnd(sql)));
    TIDEMILL_RETURN_IF_ERROR(parallel_rows_->End(id));
    return run.ok() ? run : Status(WithoutPrefix(run.error(), prefix.size()));
  }

  Result<std::vector<Field>> Describe(std::string_view sql, std::vector<std::string>* casts) override {
    TIDEMILL_ASSIGN_OR_RETURN(const Statements statements, ExtractOne(sql));
    TIDEMILL_ASSIGN_OR_RETURN(const Prepared prepared, Prepare(statements, 0));
    std::vector<Field> fields;
    for (ReadField& field : FieldsOf(prepared.get())) {
      if (casts != nullptr) casts->emplace_back(field.cast);
      fields.push_back(std::move(field.field));
    }
    return fields;
  }

  Status LoadTemporary(std::string_view table, const Columns& columns) override {
    std::string list;
    std::vector<LogicalType> types;
    std::vector<duckdb_logical_type> raw_types;
    for (const Column& column : columns.columns) {
      list += fmt::format("{}{} {}", list.empty() ? "" : ", ", QuoteIdentifier(column.name), SqlTypeName(column.type));
      types.push_back(LogicalTypeOf(column.type));
      raw_types.push_back(types.back().get());
    }
    TIDEMILL_RETURN_IF_ERROR(Execute(fmt::format("CREATE OR REPLACE TEMP TABLE {} ({})", QuoteIdentifier(table), list)));
    return Append(std::string(table), columns, &raw_types);
  }

  Status ExecuteOver(std::string_view view, RowStream rows, std::string_view sql) override {
    ArrowStream stream(std::move(rows));
    const std::string name(view);
    if (duckdb_arrow_scan(connection_, name.c_str(), stream.handle()) != DuckDBSuccess) {
      return InternalError(fmt::format("DuckDB did not take the stream '{}'", name));
    }
    const Status status = Execute(sql);
    const Status dropped = Execute(fmt::format("DROP VIEW IF EXISTS {}", QuoteIdentifier(view)));
    TIDEMILL_RETURN_IF_ERROR(stream.status());
    TIDEMILL_RETURN_IF_ERROR(status);
    return dropped;
  }

  void Interrupt() override { duckdb_interrupt(connection_); }

 private:
  struct Statements {
    Extracted extracted;
    size_t count = 0;
  };

  /// A statement whose columns can all be read; `prefix` bytes were put before it.
  struct Reading {
    Prepared prepared;
    std::vector<ReadField> fields;
    size_t prefix = 0;
  };

  static duckdb_type DuckDbType(Type type) {
    switch (type) {
      case Type::kBool: return DUCKDB_TYPE_BOOLEAN;
      case Type::kInt64: return DUCKDB_TYPE_BIGINT;
      case Type::kDouble: return DUCKDB_TYPE_DOUBLE;
      case Type::kText: return DUCKDB_TYPE_VARCHAR;
      case Type::kTimestamp: return DUCKDB_TYPE_TIMESTAMP;
      case Type::kDate: return DUCKDB_TYPE_DATE;
      default: return DUCKDB_TYPE_LIST;
    }
  }

  static LogicalType LogicalTypeOf(Type type) {
    if (!IsList(type)) return LogicalType(duckdb_create_logical_type(DuckDbType(type)));
    const LogicalType element = LogicalTypeOf(ElementType(type));
    return LogicalType(duckdb_create_list_type(element.get()));
  }

  Result<Statements> Extract(std::string_view sql) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::string text, AsCText(sql));
    Statements statements;
    statements.count = duckdb_extract_statements(connection_, text.c_str(), statements.extracted.out());
    if (statements.count > 0) return statements;
    const char* problem = duckdb_extract_statements_error(statements.extracted.get());
    if (problem != nullptr) return ErrorFromDuckDb(problem);
    return statements;
  }

  Result<Statements> ExtractOne(std::string_view sql) {
    TIDEMILL_ASSIGN_OR_RETURN(Statements statements, Extract(sql));
    if (statements.count == 1) return statements;
    return UserError("sql_syntax", fmt::format("one statement is expected here, got {}", statements.count));
  }

  Result<Prepared> Prepare(const Statements& statements, size_t index) {
    Prepared prepared;
    if (duckdb_prepare_extracted_statement(connection_, statements.extracted.get(), index, prepared.out()) == DuckDBSuccess) {
      return prepared;
    }
    const char* problem = duckdb_prepare_error(prepared.get());
    return ErrorFromDuckDb(problem != nullptr ? problem : "the statement could not be prepared");
  }

  Result<Reading> PrepareReading(std::string_view sql) {
    Reading reading;
    TIDEMILL_ASSIGN_OR_RETURN(const Statements statements, ExtractOne(sql));
    TIDEMILL_ASSIGN_OR_RETURN(reading.prepared, Prepare(statements, 0));
    reading.fields = FieldsOf(reading.prepared.get());
    if (!NeedsCast(reading.fields)) return reading;
    const std::string prefix = CastingPrefix(reading.fields);
    const std::string casting = fmt::format("{}{}\n)", prefix, WithoutStatementEnd(sql));
    TIDEMILL_ASSIGN_OR_RETURN(const Statements casting_statements, ExtractOne(casting));
    TIDEMILL_ASSIGN_OR_RETURN(reading.prepared, Prepare(casting_statements, 0));
    reading.prefix = prefix.size();
    return reading;
  }

  Status Run(duckdb_prepared_statement prepared, const std::function<Status(duckdb_data_chunk)>& take) {
    Pending pending;
    if (duckdb_pending_prepared_streaming(prepared, pending.out()) != DuckDBSuccess) {
      return ErrorFromDuckDb(duckdb_pending_error(pending.get()));
    }
    QueryResult result;
    if (duckdb_execute_pending(pending.get(), &result.raw) != DuckDBSuccess) return ErrorFromDuckDb(ProblemOf(&result));
    while (true) {
      const Chunk chunk(duckdb_fetch_chunk(result.raw));
      if (chunk.get() == nullptr) break;
      TIDEMILL_RETURN_IF_ERROR(take(chunk.get()));
    }
    if (duckdb_result_error(&result.raw) != nullptr) return ErrorFromDuckDb(ProblemOf(&result));
    return Ok();
  }

  static std::string ProblemOf(QueryResult* result) {
    const char* problem = duckdb_result_error(&result->raw);
    return problem != nullptr ? problem : "the statement failed";
  }

  Status Append(const std::string& table, const Columns& columns, std::vector<duckdb_logical_type>* types) {
    Appender appender;
    if (duckdb_appender_create_ext(connection_, "temp", "main", table.c_str(), appender.out()) != DuckDBSuccess) {
      return AppenderProblem(appender.get());
    }
    const size_t chunk_rows = duckdb_vector_size();
    const Chunk chunk(duckdb_create_data_chunk(types->data(), types->size()));
    for (size_t row = 0; row < columns.rows(); row += chunk_rows) {
      duckdb_data_chunk_reset(chunk.get());
      const size_t count = std::min(chunk_rows, columns.rows() - row);
      TIDEMILL_RETURN_IF_ERROR(FillChunk(columns, row, count, chunk.get()));
      if (duckdb_append_data_chunk(appender.get(), chunk.get()) != DuckDBSuccess) return AppenderProblem(appender.get());
    }
    if (duckdb_appender_close(appender.get()) != DuckDBSuccess) return AppenderProblem(appender.get());
    return Ok();
  }

  static Error AppenderProblem(duckdb_appender appender) {
    duckdb_error_data problem = duckdb_appender_error_data(appender);
    Error error = ErrorFromDuckDb(problem != nullptr ? duckdb_error_data_message(problem) : "the rows could not be loaded");
    duckdb_destroy_error_data(&problem);
    return error;
  }

  duckdb_connection connection_;
  const std::shared_ptr<ParallelRows> parallel_rows_;
};

class DuckDb : public Database {
 public:
  DuckDb(duckdb_database database, DatabaseOptions options)
      : database_(database), options_(std::move(options)), parallel_rows_(std::make_shared<ParallelRows>()) {}
  ~DuckDb() override { duckdb_close(&database_); }

  Status Prepare() {
    duckdb_connection connection = nullptr;
    if (duckdb_connect(database_, &connection) != DuckDBSuccess) return InternalError("DuckDB refused a connection");
    const Status registered = ParallelRows::Register(connection, parallel_rows_);
    duckdb_disconnect(&connection);
    return registered;
  }

  Result<std::unique_ptr<Session>> Connect() override {
    duckdb_connection connection = nullptr;
    if (duckdb_connect(database_, &connection) != DuckDBSuccess) return InternalError("DuckDB refused a connection");
    std::unique_ptr<Session> session = std::make_unique<DuckDbSession>(connection, parallel_rows_);
    TIDEMILL_RETURN_IF_ERROR(session->Execute("SET TimeZone = 'UTC'"));
    return session;
  }

  Status LoadExtension(std::string_view name) override {
    const std::lock_guard<std::mutex> lock(loading_);
    if (std::find(loaded_.begin(), loaded_.end(), name) != loaded_.end()) return Ok();
    TIDEMILL_ASSIGN_OR_RETURN(const std::string path, FindExtension(name));
    TIDEMILL_ASSIGN_OR_RETURN(const auto session, Connect());
    TIDEMILL_RETURN_IF_ERROR(session->Execute("LOAD " + QuoteText(path)));
    loaded_.emplace_back(name);
    return Ok();
  }

 private:
  std::vector<std::filesystem::path> ExtensionFolders() const {
    if (!options_.extensions_folder.empty()) return {options_.extensions_folder};
    if (const char* folder = std::getenv("TIDEMILL_EXTENSIONS"); folder != nullptr && *folder != '\0') return {folder};
    return {ProgramFolder() / "lib", ProgramFolder().parent_path() / "lib"};
  }

  Result<std::string> FindExtension(std::string_view name) const {
    const std::vector<std::filesystem::path> folders = ExtensionFolders();
    for (const auto& folder : folders) {
      const std::filesystem::path path = folder / fmt::format("{}.duckdb_extension", name);
      std::error_code code;
      if (std::filesystem::is_regular_file(path, code)) return path.string();
    }
    return UserError("extension_missing", fmt::format("the extension '{}' is not in {}", name, folders.back().string()),
                     "copy the whole folder of Tidemill, lib/ included, or set TIDEMILL_EXTENSIONS to the folder that holds it");
  }

  duckdb_database database_;
  DatabaseOptions options_;
  const std::shared_ptr<ParallelRows> parallel_rows_;
  std::mutex loading_;
  std::vector<std::string> loaded_;
};

std::string Quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    out += c;
    if (c == quote) out += c;
  }
  return out + quote;
}

/// Code points, so that a caret stands below the character meant.
int Characters(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

Result<std::unique_ptr<Database>> Database::Open(const DatabaseOptions& options) {
  Config config;
  if (duckdb_create_config(config.out()) != DuckDBSuccess) return InternalError("DuckDB made no configuration");
  const std::pair<const char*, std::string> settings[] = {
      {"memory_limit", fmt::format("{}MiB", options.memory_limit_mb)},
      {"threads", std::to_string(std::max(1, options.threads))},
      {"temp_directory", options.temporary_folder},
      {"autoinstall_known_extensions", "false"},
      {"autoload_known_extensions", "false"},
      {"allow_community_extensions", "false"},
      {"errors_as_json", "true"},
  };
  for (const auto& [name, value] : settings) {
    if (duckdb_set_config(config.get(), name, value.c_str()) != DuckDBSuccess) {
      return InternalError(fmt::format("DuckDB does not know the setting {} = '{}'", name, value));
    }
  }
  duckdb_database database = nullptr;
  char* problem = nullptr;
  if (duckdb_open_ext(nullptr, &database, config.get(), &problem) != DuckDBSuccess) {
    const Error error = ErrorFromDuckDb(problem != nullptr ? problem : "DuckDB did not open");
    duckdb_free(problem);
    return error.WithContext("opening the database");
  }
  auto opened = std::make_unique<DuckDb>(database, options);
  TIDEMILL_RETURN_IF_ERROR(opened->Prepare());
  return std::unique_ptr<Database>(std::move(opened));
}

Error PlaceInStatement(Error error, std::string_view sql, const std::string& file, int first_line) {
  if (error.place && !error.place->file.empty()) return error;
  if (!error.place || error.place->column < 1) {
    error.place = Place{};
    error.place->file = file;
    return error;
  }
  Place& place = *error.place;
  const size_t offset = std::min<size_t>(static_cast<size_t>(place.column) - 1, sql.size());
  const std::string_view before = sql.substr(0, offset);
  const size_t newline = before.rfind('\n');
  const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
  const std::string_view line = sql.substr(line_begin, sql.find('\n', line_begin) - line_begin);
  place.file = file;
  place.line = first_line + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
  place.column = Characters(sql.substr(line_begin, offset - line_begin)) + 1;
  place.length = std::max(1, std::min(place.length, Characters(line) - place.column + 1));
  place.excerpt = line.substr(0, line.find_last_not_of("\r") + 1);
  return error;
}

std::string QuoteIdentifier(std::string_view name) { return Quoted(name, '"'); }
std::string QuoteText(std::string_view text) { return Quoted(text, '\''); }

}  // namespace tidemill
