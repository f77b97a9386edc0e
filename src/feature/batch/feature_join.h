#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "feature/program/program.h"
#include "sql/database.h"

namespace tidemill {

/// A view to join to a spine.
struct ViewJoin {
  const Program* program = nullptr;
  std::string table_sql;                ///< relation with the view's rows: `lake.main.departures` or `... AT (VERSION => n)`
  std::string event_time;               ///< its event time column
  std::vector<std::string> spine_keys;  ///< spine columns, in the order of Program::keys
  std::string prefix;                   ///< outputs are named prefix + "__" + output
  std::vector<std::string> outputs;     ///< which of them; empty: all
};

/// What a join may use.
struct JoinResources {
  int threads = 2;
  int64_t memory_mb = 512;                   ///< of the join's own; what the session's database may use comes on top
  std::filesystem::path temporary_folder{};  ///< for what doesn't fit; "": that of the system
};

/// What is joined: the rows of `spine_sql` (a SELECT), in its order, with the features of `views` at the time that each row
/// has in `time_column`, seeing only rows with `_known_at` <= that time and, beyond that, nothing known after `now`.
struct FeatureJoinRequest {
  std::string spine_sql;
  std::string time_column;
  std::vector<ViewJoin> views;
  Timestamp now;
  JoinResources resources{};
};

/// The point-in-time join as a stream. Each spine row comes once, in the spine's order, also when nothing matches (defaults or
/// nulls): the spine's columns, then the features. Keys compare by type and value.
///
/// The spine is kept as a temporary table of the session, which spills to disk under the database's memory limit; it is read in
/// blocks, which are joined in a thread of this and its helpers while the caller takes those before. At most two blocks are
/// held, and the rows of views as far as they fit beside them; see SpillView for those that don't. Codes: "unknown_column",
/// "join_keys", "key_type", "time_type", "unknown_feature", "duplicate_column", "duplicate_rows", and those of the session.
class FeatureJoin {
 public:
  /// `session` must not be used by others until this goes away. Programs may go away after the start.
  static Result<std::unique_ptr<FeatureJoin>> Start(Session& session, const FeatureJoinRequest& request);
  /// Stops what is running.
  virtual ~FeatureJoin() = default;

  virtual const std::vector<Field>& fields() const = 0;
  virtual int64_t spine_rows() const = 0;
  /// How many rows Next() gives at once: a row group of Parquet, smaller for a spine that would make too few of them to keep all
  /// threads busy.
  virtual size_t batch_rows() const = 0;
  /// The next rows; nullopt after the last.
  virtual Result<std::optional<Columns>> Next() = 0;
};

}  // namespace tidemill
