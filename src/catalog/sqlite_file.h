#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace tidemill {

/// A value of SQLite: null, integer, real or text.
using SqliteValue = std::variant<std::monostate, int64_t, double, std::string>;
using SqliteRow = std::vector<SqliteValue>;

int64_t IntegerOf(const SqliteValue& value);          ///< 0 for null
double NumberOf(const SqliteValue& value);            ///< 0 for null
const std::string& TextOf(const SqliteValue& value);  ///< "" for null

/// The layout of a file: made with `create`, marked with `version` (SQLite's user_version).
struct SqliteSchema {
  int version = 1;
  std::string create;  ///< statements for an empty file
  /// What leads a file of an earlier version to the next one, version 1 first: one text for each version but the last.
  std::vector<std::string> upgrades{};
};

/// A small SQLite file of ours (never DuckLake's: two copies of SQLite in one process must not open the same
/// file). In WAL mode with full synchronisation: what a finished transaction wrote survives kill -9 and power
/// loss. Thread-safe: one statement or transaction at a time; several processes may share the file.
class SqliteFile {
 public:
  /// Makes the file when missing, and brings one of an earlier version up to the schema's. Code `newer_code` when its version is above the schema's: written by a
  /// newer Tidemill.
  static Result<std::unique_ptr<SqliteFile>> Open(const std::filesystem::path& file, const SqliteSchema& schema,
                                                  std::string_view newer_code);
  ~SqliteFile();

  /// Runs one statement with values for its question marks; returns all its rows.
  Result<std::vector<SqliteRow>> Run(std::string_view sql, const std::vector<SqliteValue>& values = {});
  /// Runs `change` in one write transaction: all of it, or nothing when it fails. Run() may be called inside.
  Status Transact(const std::function<Status()>& change);

 private:
  struct Impl;
  explicit SqliteFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemill
