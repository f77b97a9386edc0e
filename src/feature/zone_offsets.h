#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/columns.h"
#include "base/result.h"
#include "sql/database.h"

namespace tidemill {

/// Reads time zones, each once. Not thread-safe.
class ZoneReader {
 public:
  explicit ZoneReader(Session& session) : session_(session) {}

  /// What clocks in a time zone showed and will show, from 1900 to 2100, as plain data for a program: the offset from UTC in seconds at
  /// the beginning, then for each change its moment (seconds since 1970) and the offset from then on. DuckDB knows the zones, so the
  /// kernel needs no tables of them. Code "bad_literal" for a zone that there is not.
  Result<List> Read(const std::string& zone);

  /// The zones whose clocks never change between 1900 and 2100, such as UTC: name, seconds from UTC, name, seconds ... as texts.
  Result<List> ReadFixed();

 private:
  Session& session_;
  std::map<std::string, List> known_;
  std::optional<List> fixed_;
};

}  // namespace tidemill
