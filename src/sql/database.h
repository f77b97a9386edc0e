#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/result.h"

namespace tidemill {

struct DatabaseOptions {
  int64_t memory_limit_mb = 1024;
  int threads = 2;
  std::string temporary_folder;    ///< where DuckDB spills; "" : none
  std::string extensions_folder;   ///< where *.duckdb_extension lie; "" : lib/ beside the program
};

/// One connection to an embedded DuckDB. Not thread-safe, except Interrupt(): one session a thread.
/// The time zone of every session is UTC. DuckDB's exceptions and errors become Error values whose message is
/// DuckDB's own sentence without its prefix, and whose place (if `file` was given) points into the statement.
class Session {
 public:
  virtual ~Session() = default;

  /// Runs one or several statements and drops their rows.
  virtual Status Execute(std::string_view sql) = 0;
  /// Runs one statement and returns all its rows. Types outside of Type are cast (see columns.h); lists, structs and
  /// maps come as DuckDB's text form.
  virtual Result<Columns> Query(std::string_view sql) = 0;
  /// The same, batch by batch (at most 2048 rows each) without holding the result; stops at the first error of `take`.
  virtual Status Stream(std::string_view sql, const std::function<Status(const Columns& batch)>& take) = 0;
  /// Names and types of a SELECT, without running it. Errors carry a position: offset in bytes into `sql` in
  /// Error::place->column (1-based, line 0) for callers to translate.
  virtual Result<std::vector<Field>> Describe(std::string_view sql) = 0;
  /// Makes (or replaces) a temporary table from columns, chunk by chunk.
  virtual Status LoadTemporary(std::string_view table, const Columns& columns) = 0;
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

/// `"name"` with quotes doubled.
std::string QuoteIdentifier(std::string_view name);
/// `'text'` with quotes doubled.
std::string QuoteText(std::string_view text);

}  // namespace tidemill
