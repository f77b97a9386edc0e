#pragma once

#include <filesystem>
#include <string>

#include "cli/init.h"
#include "sql/database.h"

namespace tidemill {

/// A project that predicts one column of a CSV from its other columns. What it guesses (types, time, which columns say nothing)
/// is written into the files as comments, to be corrected there.
///
/// Rows need a time, because a model is trained on the past and tested on what came later. Without a column of times every row
/// gets a time by a hash of its values: over the rows that is a random split, which is what such data allows, and it stays the
/// same. `file_in_project`: how the source names the file. Codes: "unknown_column", "not_binary", "too_few_rows", and what
/// reading reports.
Result<NewProject> MakeProjectFromCsv(const std::filesystem::path& csv, const std::string& file_in_project,
                                      const std::string& predict, Timestamp now, Session& session);

}  // namespace tidemill
