#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "lake/lake.h"
#include "project/project.h"

namespace tidemill {

/// One file found for a source, identified by its content.
struct SourceFile {
  std::string path;  ///< as found, relative to the project ("data/flights.csv.zip")
  std::string sha256;
  int64_t bytes = 0;
};

/// What a source's files look like now against what the lake holds: cheap (size and time first, content when
/// they changed).
struct SourceStatus {
  std::vector<SourceFile> files;
  std::vector<SourceFile> fresh;  ///< not ingested yet
  std::string content_version;    ///< changes when, and only when, the ingested rows would
};

/// Code "file_missing" when the globs match nothing. A pushed source has no files; its version counts the pushes in the lake.
Result<SourceStatus> InspectSource(const Project& project, const SourceAsset& source, Lake& lake);

struct IngestReport {
  int64_t files = 0;
  int64_t rows = 0;  ///< stored
  int64_t quarantined = 0;
  int64_t snapshot = 0;
  std::string content_version;  ///< of the source with what is stored now, as InspectSource tells it
  std::vector<std::string> warnings;
};

using RowProgress = std::function<void(int64_t rows)>;

/// Stores the fresh files of a source in the lake table of its name, in one commit: either all of it or
/// nothing. Each file's content is stored once, however often it comes. Rows that break the contract go to
/// `tidemill.quarantine` (source, file, record, line, reason, raw) or stop everything, as the contract says.
/// Record k of a file has `_seq` = first_seq + k - 1 (quarantined records count), and `tidemill.files` tells
/// (source, file, sha256, first_seq, records, ingested_at). `now` is the project clock: rows without a
/// known_at column are known from then. Errors: a header that differs (readable difference), not UTF-8, an
/// unclosed quote, no files ... with file and line.
/// Rows of a pushed source come by themselves (lake/pushed_rows.h): its table is made where it is missing, and all its rows
/// are reported.
Result<IngestReport> IngestSource(const Project& project, const SourceAsset& source, Lake& lake, Timestamp now, int64_t run_id,
                                  const RowProgress& progress);

/// Columns and types of a source without storing anything: from its contract, else from the lake, else from
/// its files.
Result<std::vector<Field>> SourceFields(const Project& project, const SourceAsset& source, Lake* lake);

/// Columns of a CSV with inferred types, nulls, ranges and small value sets: for `init` and contract
/// suggestions.
Result<Contract> InferContract(const std::filesystem::path& file, std::vector<std::string>* null_texts);

/// The file and record that a sequence number stands for.
struct RowOrigin {
  std::string source;
  std::string file;
  int64_t record = 0;  ///< counts from 1, the header not counted
};
Result<RowOrigin> FindOrigin(Session& session, int64_t seq);

}  // namespace tidemill
