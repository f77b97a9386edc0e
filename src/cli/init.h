#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace tidemill {

struct InitOptions {
  std::filesystem::path folder;                   ///< of the new project; made when missing
  std::optional<std::filesystem::path> from_csv;  ///< nullopt: an example project with generated data
  std::string predict;                            ///< column to predict; with from_csv
  Timestamp now;                                  ///< the example's data end here
};

/// What a new project consists of.
struct NewProject {
  std::map<std::string, std::string> files;  ///< relative path -> text
  std::vector<std::string> notes;            ///< what was guessed, for people
  std::optional<Timestamp> now;  ///< the project clock for the first run, when the wall clock would be too late for the data
  std::string model;
};

/// Writes a project that `tidemill run` trains a model of at once, either an example or one for a CSV. The files are loaded
/// as a project before anything is written to the folder. Nothing that exists is ever replaced: code "file_exists".
Result<NewProject> InitProject(const InitOptions& options);

}  // namespace tidemill
