#include "catalog/sqlite_file.h"

#include <sqlite3.h>

#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "base/files.h"

namespace tidemill {
namespace {

constexpr int kBusyTimeoutMs = 10'000;

using Statement = std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)>;

/// SQLite knows only ENOSPC as "full"; a quota or a bound on file sizes comes as a failed write.
bool IsDiskFull(int extended_code) {
  return extended_code == SQLITE_FULL || extended_code == SQLITE_IOERR_WRITE || extended_code == SQLITE_IOERR_SHMSIZE;
}

Error SqliteError(sqlite3* connection, const std::filesystem::path& file) {
  const int code = sqlite3_errcode(connection);
  if (IsDiskFull(sqlite3_extended_errcode(connection))) {
    const std::string reason = code == SQLITE_FULL ? "no space is left on the disk" : "the disk is full, or it fails";
    return Unavailable("disk_full", "can't write '" + file.string() + "': " + reason,
                       "free some disk space and run again: nothing that was committed is damaged");
  }
  const std::string message = "'" + file.string() + "': " + sqlite3_errmsg(connection);
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
    return Unavailable("locked", message, "another process is writing it; try again");
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
    return UserError("catalog_damaged", message, "restore the file from a backup; it is not a whole SQLite file");
  }
  return Unavailable("io_error", message, "check that the folder exists and can be written");
}

void Bind(sqlite3_stmt* statement, int position, const SqliteValue& value) {
  switch (value.index()) {
    case 0:
      sqlite3_bind_null(statement, position);
      break;
    case 1:
      sqlite3_bind_int64(statement, position, std::get<int64_t>(value));
      break;
    case 2:
      sqlite3_bind_double(statement, position, std::get<double>(value));
      break;
    default: {
      const std::string& text = std::get<std::string>(value);
      sqlite3_bind_text64(statement, position, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    }
  }
}

SqliteValue ColumnValue(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL:
      return {};
    case SQLITE_INTEGER:
      return int64_t{sqlite3_column_int64(statement, column)};
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    default: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
      return std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement, column)));
    }
  }
}

}  // namespace

int64_t IntegerOf(const SqliteValue& value) {
  const auto* integer = std::get_if<int64_t>(&value);
  return integer == nullptr ? 0 : *integer;
}

double NumberOf(const SqliteValue& value) {
  const auto* number = std::get_if<double>(&value);
  return number == nullptr ? static_cast<double>(IntegerOf(value)) : *number;
}

const std::string& TextOf(const SqliteValue& value) {
  static const std::string kEmpty;
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? kEmpty : *text;
}

struct SqliteFile::Impl {
  std::filesystem::path file;
  sqlite3* connection = nullptr;
  std::recursive_mutex mutex;  // recursive: Run() is called inside Transact()

  ~Impl() { sqlite3_close_v2(connection); }

  Status Connect();
  Status SetUp(const SqliteSchema& schema, std::string_view newer_code);
  Status BringUp(const SqliteSchema& schema);
  Status Script(const std::string& sql);
  Result<std::vector<SqliteRow>> Run(std::string_view sql, const std::vector<SqliteValue>& values);
  Result<int64_t> Version();
};

Status SqliteFile::Impl::Connect() {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
  if (sqlite3_open_v2(file.c_str(), &connection, flags, nullptr) != SQLITE_OK) return SqliteError(connection, file);
  sqlite3_busy_timeout(connection, kBusyTimeoutMs);
  return Ok();
}

Result<int64_t> SqliteFile::Impl::Version() {
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows, Run("PRAGMA user_version", {}));
  return IntegerOf(rows.at(0).at(0));
}

/// From nothing, or from an earlier version, to the schema's. In one transaction, whose lock other processes wait for: what they
/// did meanwhile is not done again.
Status SqliteFile::Impl::BringUp(const SqliteSchema& schema) {
  TIDEMILL_RETURN_IF_ERROR(Script("BEGIN IMMEDIATE"));
  const auto change = [&]() -> Status {
    TIDEMILL_ASSIGN_OR_RETURN(const int64_t version, Version());
    if (version >= schema.version) return Ok();
    if (version == 0) TIDEMILL_RETURN_IF_ERROR(Script(schema.create));
    for (size_t step = static_cast<size_t>(version); version > 0 && step <= schema.upgrades.size(); ++step) {
      TIDEMILL_RETURN_IF_ERROR(Script(schema.upgrades[step - 1]));
    }
    return Script("PRAGMA user_version=" + std::to_string(schema.version));
  };
  Status changed = change();
  if (changed.ok()) changed = Script("COMMIT");
  if (!changed.ok()) (void)Script("ROLLBACK");
  return changed;
}

Status SqliteFile::Impl::SetUp(const SqliteSchema& schema, std::string_view newer_code) {
  TIDEMILL_ASSIGN_OR_RETURN(int64_t version, Version());
  if (version < schema.version) {
    TIDEMILL_RETURN_IF_ERROR(BringUp(schema));
    TIDEMILL_ASSIGN_OR_RETURN(version, Version());
  }
  if (version > schema.version) {
    return UserError(std::string(newer_code),
                     "'" + file.string() + "' was written by a newer Tidemill (format " + std::to_string(version) +
                         "; this one knows up to " + std::to_string(schema.version) + ")",
                     "use the newer Tidemill, or a copy of the folder from before it was upgraded");
  }
  return Ok();
}

Status SqliteFile::Impl::Script(const std::string& sql) {
  if (sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return SqliteError(connection, file);
  return Ok();
}

Result<std::vector<SqliteRow>> SqliteFile::Impl::Run(std::string_view sql, const std::vector<SqliteValue>& values) {
  sqlite3_stmt* prepared = nullptr;
  if (sqlite3_prepare_v2(connection, sql.data(), static_cast<int>(sql.size()), &prepared, nullptr) != SQLITE_OK) {
    return SqliteError(connection, file);
  }
  const Statement statement(prepared, sqlite3_finalize);
  for (size_t i = 0; i < values.size(); ++i) Bind(prepared, static_cast<int>(i) + 1, values[i]);
  std::vector<SqliteRow> rows;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(prepared)) == SQLITE_ROW) {
    SqliteRow row;
    for (int column = 0; column < sqlite3_column_count(prepared); ++column) row.push_back(ColumnValue(prepared, column));
    rows.push_back(std::move(row));
  }
  if (code != SQLITE_DONE) return SqliteError(connection, file);
  return rows;
}

SqliteFile::SqliteFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SqliteFile::~SqliteFile() = default;

Result<std::unique_ptr<SqliteFile>> SqliteFile::Open(const std::filesystem::path& file, const SqliteSchema& schema,
                                                     std::string_view newer_code) {
  if (file.has_parent_path()) TIDEMILL_RETURN_IF_ERROR(MakeFolders(file.parent_path()));
  auto impl = std::make_unique<Impl>();
  impl->file = file;
  TIDEMILL_RETURN_IF_ERROR(impl->Connect());
  // Changing to WAL does not wait for the busy timeout when two processes make the same file at once.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kBusyTimeoutMs);
  Status ready = Ok();
  do {
    ready = impl->Script("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON");
    if (ready.ok() || ready.error().code != "locked") break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  } while (std::chrono::steady_clock::now() < deadline);
  TIDEMILL_RETURN_IF_ERROR(std::move(ready));
  TIDEMILL_RETURN_IF_ERROR(impl->SetUp(schema, newer_code));
  return std::unique_ptr<SqliteFile>(new SqliteFile(std::move(impl)));
}

Result<std::vector<SqliteRow>> SqliteFile::Run(std::string_view sql, const std::vector<SqliteValue>& values) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->Run(sql, values);
}

Status SqliteFile::Transact(const std::function<Status()>& change) {
  const std::lock_guard lock(impl_->mutex);
  TIDEMILL_RETURN_IF_ERROR(impl_->Script("BEGIN IMMEDIATE"));
  Status done = change();
  if (done.ok()) done = impl_->Script("COMMIT");
  if (!done.ok() && sqlite3_get_autocommit(impl_->connection) == 0) (void)impl_->Script("ROLLBACK");
  return done;
}

}  // namespace tidemill
