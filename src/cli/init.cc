#include "cli/init.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/files.h"
#include "cli/init_from_csv.h"
#include "cli/init_sample.h"
#include "project/project.h"
#include "sql/database.h"

namespace tidemill {
namespace fs = std::filesystem;
namespace {

/// How the project names the file: its place in the folder, or a copy under data/.
std::string NameInProject(const fs::path& csv, const fs::path& folder) {
  std::error_code code;
  const std::string inside =
      fs::proximate(fs::weakly_canonical(csv, code), fs::weakly_canonical(folder, code), code).generic_string();
  return code || inside.starts_with("..") || fs::path(inside).is_absolute() ? "data/" + csv.filename().string() : inside;
}

Status CheckCsvName(const fs::path& csv) {
  std::error_code code;
  if (!fs::is_regular_file(csv, code))
    return UserError("file_missing", "there is no file '" + csv.string() + "'", "look at the path after --from");
  const std::string name = csv.filename().string();
  if (name.ends_with(".csv") || name.ends_with(".csv.gz") || name.ends_with(".tsv")) return Ok();
  return UserError("not_csv", "'" + name + "' is not a CSV by its name",
                   "give a .csv, .csv.gz or .tsv; other files can be named in sources/NAME.yaml by hand");
}

Status RefuseExisting(const fs::path& folder, const NewProject& project) {
  for (const auto& [name, text] : project.files) {
    std::error_code code;
    if (!fs::exists(folder / name, code) || name == ".gitignore") continue;
    return UserError("file_exists", "'" + (folder / name).lexically_normal().string() + "' exists already",
                     "choose another folder: init never replaces files");
  }
  return Ok();
}

Status WriteFiles(const fs::path& folder, const NewProject& project) {
  for (const auto& [name, text] : project.files) {
    const fs::path path = folder / name;
    std::error_code code;
    if (name == ".gitignore" && fs::exists(path, code)) continue;
    TIDEMILL_RETURN_IF_ERROR(MakeFolders(path.parent_path()));
    TIDEMILL_RETURN_IF_ERROR(WriteFileAtomic(path, text));
  }
  return Ok();
}

/// Loads the files as a project elsewhere first, so that a folder is never left with half of one.
Status TryLoading(const NewProject& project) {
  TIDEMILL_ASSIGN_OR_RETURN(const TemporaryFolder trial, TemporaryFolder::Make(fs::temp_directory_path(), "tidemill-init"));
  for (const auto& [name, text] : project.files) {
    if (name.starts_with("data/")) continue;
    TIDEMILL_RETURN_IF_ERROR(MakeFolders((trial.path() / name).parent_path()));
    TIDEMILL_RETURN_IF_ERROR(WriteFileAtomic(trial.path() / name, text));
  }
  const auto loaded = LoadProject(trial.path());
  if (!loaded.ok()) return loaded.error().WithContext("the new project would not load");
  return Ok();
}

Status CopyCsv(const fs::path& csv, const fs::path& target) {
  std::error_code code;
  if (fs::equivalent(csv, target, code)) return Ok();
  TIDEMILL_RETURN_IF_ERROR(MakeFolders(target.parent_path()));
  fs::copy_file(csv, target, fs::copy_options::none, code);
  if (code == std::errc::file_exists)
    return UserError("file_exists", "'" + target.string() + "' exists already",
                     "choose another folder: init never replaces files");
  if (code) return Unavailable("io_error", "can't copy '" + csv.string() + "' to '" + target.string() + "': " + code.message());
  return Ok();
}

}  // namespace

Result<NewProject> InitProject(const InitOptions& options) {
  if (options.from_csv.has_value() != !options.predict.empty()) {
    return UserError("missing_argument", "--from and --predict go together",
                     "tidemill init --from FILE.csv --predict COLUMN; without both an example is made");
  }
  if (!options.from_csv) {
    NewProject project = MakeSampleProject(options.now);
    TIDEMILL_RETURN_IF_ERROR(RefuseExisting(options.folder, project));
    TIDEMILL_RETURN_IF_ERROR(TryLoading(project));
    TIDEMILL_RETURN_IF_ERROR(WriteFiles(options.folder, project));
    return project;
  }
  TIDEMILL_RETURN_IF_ERROR(CheckCsvName(*options.from_csv));
  TIDEMILL_ASSIGN_OR_RETURN(const auto database, Database::Open(DatabaseOptions()));
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, database->Connect());
  const std::string file = NameInProject(*options.from_csv, options.folder);
  TIDEMILL_ASSIGN_OR_RETURN(NewProject project,
                            MakeProjectFromCsv(*options.from_csv, file, options.predict, options.now, *session));
  TIDEMILL_RETURN_IF_ERROR(RefuseExisting(options.folder, project));
  TIDEMILL_RETURN_IF_ERROR(TryLoading(project));
  TIDEMILL_RETURN_IF_ERROR(CopyCsv(*options.from_csv, options.folder / file));
  TIDEMILL_RETURN_IF_ERROR(WriteFiles(options.folder, project));
  return project;
}

}  // namespace tidemill
