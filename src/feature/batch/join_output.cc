#include "feature/batch/join_output.h"

#include <fmt/format.h>

#include "base/files.h"
#include "feature/batch/checked_join.h"

namespace tidemill {
namespace {

/// Features with more values than that in a row group gain little by a dictionary (2% of the file's size with DuckDB's own
/// limit), and looking for one takes a fifth of the time of writing.
constexpr int kDictionaryMax = 2048;

/// Removes a file when it goes away, unless it was renamed.
class PartialFile {
 public:
  explicit PartialFile(std::filesystem::path path) : path_(std::move(path)) {}
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;
  ~PartialFile() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove(path_, ignored);
  }
  Status RenameTo(const std::filesystem::path& target) {
    std::error_code code;
    std::filesystem::rename(path_, target, code);
    if (code) return Unavailable("io_error", fmt::format("can't write '{}': {}", target.string(), code.message()));
    path_.clear();
    return Ok();
  }

 private:
  std::filesystem::path path_;
};

Result<std::vector<Field>> FieldsOf(const FeatureJoin& join, const JoinTransform& transform) {
  if (!transform) return join.fields();
  Columns none;
  for (const Field& field : join.fields()) none.columns.emplace_back(field.name, field.type);
  TIDEMILL_ASSIGN_OR_RETURN(const Columns made, transform(std::move(none)));
  std::vector<Field> fields;
  for (const Column& column : made.columns) fields.push_back({column.name, column.type});
  return fields;
}

/// The rows of a join as they are made, for ExecuteOver(). What is given must outlive them.
Result<RowStream> JoinedRows(FeatureJoin& join, const JoinProgress& progress, const JoinTransform& transform) {
  RowStream rows;
  TIDEMILL_ASSIGN_OR_RETURN(rows.fields, FieldsOf(join, transform));
  rows.next = [&join, &progress, &transform, done = int64_t{0}]() mutable -> Result<std::optional<Columns>> {
    TIDEMILL_ASSIGN_OR_RETURN(std::optional<Columns> batch, join.Next());
    if (batch) done += static_cast<int64_t>(batch->rows());
    if (batch && progress) progress(done, join.spine_rows());
    if (!batch || !transform) return batch;
    TIDEMILL_ASSIGN_OR_RETURN(Columns made, transform(std::move(*batch)));
    return std::optional<Columns>(std::move(made));
  };
  return rows;
}

}  // namespace

Result<WrittenJoin> WriteJoin(Session& reading, Session& writing, const FeatureJoinRequest& request,
                              const std::filesystem::path& path, const JoinProgress& progress, const JoinTransform& transform) {
  const std::filesystem::path partial = path.string() + ".partial";
  TIDEMILL_ASSIGN_OR_RETURN(const FileLock lock, FileLock::Acquire(partial, 0));
  PartialFile file(partial);
  TIDEMILL_ASSIGN_OR_RETURN(const auto join, CheckedJoin::Start(reading, request));
  TIDEMILL_ASSIGN_OR_RETURN(RowStream rows, JoinedRows(*join, progress, transform));
  TIDEMILL_RETURN_IF_ERROR(writing.ExecuteOver(
      "tidemill_joined", std::move(rows),
      fmt::format("COPY tidemill_joined TO {} (FORMAT parquet, USE_TMP_FILE false, DICTIONARY_SIZE_LIMIT {}, ROW_GROUP_SIZE {})",
                  QuoteText(partial.string()), kDictionaryMax, join->batch_rows())));
  TIDEMILL_RETURN_IF_ERROR(file.RenameTo(path));
  return WrittenJoin{join->spine_rows(), join->failures()};
}

}  // namespace tidemill
