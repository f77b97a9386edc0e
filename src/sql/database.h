#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/result.h"
#include "sql/arrow_stream.h"
#include "sql/parallel_rows.h"

namespace tidemill {

struct DatabaseOptions {
  int64_t memory_limit_mb = 1024;
  int threads = 2;
  std::string temporary_folder{};   ///< where DuckDB spills; "" : none
  std::string extensions_folder{};  ///< where *.duckdb_extension lie; "" : $TIDEMILL_EXTENSIONS, else lib/ of the program
};

/// One connection to an embedded DuckDB. Not thread-safe, except Interrupt(): one session a thread.
/// The time zone of every session is UTC.
///
/// DuckDB's errors become Error values whose message is DuckDB's own sentence without its prefix, with its candidates as
/// the hint. Where DuckDB knows the position, Error::place has no file, line 0, and as column the offset in bytes into the
/// statement's text plus 1: PlaceInStatement() turns it into line and column of a file. Codes: "sql_syntax",
/// "unknown_column", "unknown_table", "unknown_function", "sql_type" (no such overload, bad cast), "sql_value" (a value
/// that a row holds), "sql_conflict" (transactions), "out_of_memory", "disk_full", "io", "interrupted", "sql" (others).
class Session {
 public:
  virtual ~Session() = default;

  /// Runs one or several statements and drops their rows.
  virtual Status Execute(std::string_view sql) = 0;
  /// Runs one statement and returns all its rows. Types outside of Type are cast (see columns.h); structs,
  /// maps, and lists of them or of lists come as JSON.
  virtual Result<Columns> Query(std::string_view sql) = 0;
  /// The same, batch by batch (at most 2048 rows each) without holding the result; stops at the first error of `take`,
  /// which must not use this session. A whole number beyond 64 bits is an error here (Query turns its column into doubles).
  virtual Status Stream(std::string_view sql, const std::function<Status(const Columns& batch)>& take) = 0;
  /// The same with batches in no particular order, made and taken by up to as many threads as the database has: each has a taker
  /// of its own.
  virtual Status StreamUnordered(std::string_view sql, const MakeRowTaker& make) = 0;
  /// Names and types of a SELECT, as Query would give them, without running it. `casts`, if given: for each the SQL type that
  /// Query casts it to first, or "".
  virtual Result<std::vector<Field>> Describe(std::string_view sql, std::vector<std::string>* casts = nullptr) = 0;
  /// Makes (or replaces) a temporary table from columns, chunk by chunk.
  virtual Status LoadTemporary(std::string_view table, const Columns& columns) = 0;
  /// Runs statements in which `view` stands for the rows of a stream, read once, in their order, while they are made: for
  /// COPY and CREATE TABLE AS. They have to take all columns, in their order: DuckDB believes that it is given only those that it
  /// needs. `next` must not use this session; its error is returned as it is.
  virtual Status ExecuteOver(std::string_view view, RowStream rows, std::string_view sql) = 0;
  /// Stops the statement running in another thread; it fails with code "interrupted".
  virtual void Interrupt() = 0;
};

/// An embedded DuckDB instance (in memory; data lives in what is attached). Thread-safe.
/// Must outlive its sessions.
class Database {
 public:
  static Result<std::unique_ptr<Database>> Open(const DatabaseOptions& options);
  virtual ~Database() = default;
  virtual Result<std::unique_ptr<Session>> Connect() = 0;
  /// Loads a signed extension that lies beside the program ("ducklake", "sqlite_scanner").
  virtual Status LoadExtension(std::string_view name) = 0;
};

/// The same error with its offset into `sql` turned into line, column and excerpt of `file`; `first_line` is the line of
/// `file` where `sql` begins. An error without offset gets the file alone; one placed in a file already stays as it is.
Error PlaceInStatement(Error error, std::string_view sql, const std::string& file, int first_line = 1);

/// `"name"` with quotes doubled.
std::string QuoteIdentifier(std::string_view name);
/// `'text'` with quotes doubled.
std::string QuoteText(std::string_view text);

}  // namespace tidemill
