#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "base/result.h"

namespace tidemill {

/// The regular files below a folder, as paths relative to it.
Result<std::set<std::string>> ListFiles(const std::filesystem::path& folder);

/// Makes new data files lasting (synced to the disk) and returns the SHA-256 of each.
Result<std::map<std::string, std::string>> SettleFiles(const std::filesystem::path& folder, const std::set<std::string>& paths);

/// Copies DuckLake's SQLite catalog with its write-ahead log while readers use it (no writers). Runs in a
/// child process: closing the file here would drop the locks that this process' own copy of SQLite holds on
/// it.
Status CopyLiveCatalog(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace tidemill
