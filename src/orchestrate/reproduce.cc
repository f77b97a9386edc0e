#include "orchestrate/reproduce.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <unordered_map>

#include "base/files.h"
#include "base/sha256.h"
#include "base/value_json.h"
#include "ingest/ingest.h"
#include "orchestrate/asset_names.h"
#include "orchestrate/model_steps.h"
#include "transform/transform.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRowsToldMax = 5;
constexpr size_t kCellsToldMax = 50;

/// Errors that say nothing about what was recorded: they end the attempt instead of counting as a difference.
bool IsAboutThisMachine(const Error& error) {
  return error.code == "disk_full" || error.code == "out_of_memory" || error.code == "interrupted";
}

/// Why something could not be read or made, in one line.
std::string InOneLine(const Error& error) {
  return error.hint.empty() ? error.message : fmt::format("{} ({})", error.message, error.hint);
}

std::string ShownValue(const Value& value) { return IsNull(value) ? "null" : FormatValue(value); }

/// What belongs to a model and nothing else, so that assets beside it need nothing in the empty place.
Result<Project> OnlyWhatItNeeds(Project project, const std::string& model) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto nodes, SelectAssets(project, {model}));
  std::set<std::string> needed;
  for (const AssetNode* node : nodes) needed.insert(node->name);
  const auto superfluous = [&needed](const auto& named) { return !needed.contains(named.first); };
  std::erase_if(project.sources, superfluous);
  std::erase_if(project.tables, superfluous);
  std::erase_if(project.views, superfluous);
  std::erase_if(project.derived_views, superfluous);
  std::erase_if(project.models, superfluous);
  std::erase_if(project.graph, [&needed](const AssetNode& node) { return !needed.contains(node.name); });
  return project;
}

/// Writes the archived definitions as a project. Their paths were relative to a project, and stay inside of this one.
Status WriteProject(const std::string& archive, const fs::path& folder) {
  TIDEMILL_ASSIGN_OR_RETURN(const Json definitions, ParseJson(archive));
  if (!definitions.is_object()) return UserError("archive_damaged", "the archived definitions are not a list of files");
  for (const auto& [name, text] : definitions.items()) {
    const fs::path path = fs::path(name).lexically_normal();
    if (!text.is_string() || path.is_absolute() || path.empty() || *path.begin() == "..")
      return UserError("archive_damaged", fmt::format("the archived definitions name the file '{}'", name));
    TIDEMILL_RETURN_IF_ERROR(MakeFolders((folder / path).parent_path()));
    TIDEMILL_RETURN_IF_ERROR(WriteFileAtomic(folder / path, text.get_ref<const std::string&>()));
  }
  return Ok();
}

/// The lake that was recorded, as it was at the version's snapshot. Members go away from the last to the first.
struct RecordedLake {
  std::unique_ptr<Database> database;
  std::unique_ptr<Lake> lake;
  std::unique_ptr<Session> session;
};

Result<RecordedLake> OpenRecordedLake(const fs::path& state_folder, int64_t snapshot, const fs::path& temporary_folder) {
  RecordedLake recorded;
  DatabaseOptions options;
  options.temporary_folder = temporary_folder.string();
  TIDEMILL_ASSIGN_OR_RETURN(recorded.database, Database::Open(options));
  LakeOptions lake_options;
  lake_options.folder = state_folder / "lake";
  lake_options.read_only = true;
  lake_options.snapshot = snapshot;
  TIDEMILL_ASSIGN_OR_RETURN(recorded.lake, Lake::Open(*recorded.database, lake_options));
  TIDEMILL_ASSIGN_OR_RETURN(recorded.session, recorded.lake->Connect());
  return recorded;
}

/// One attempt. What goes wrong because of what is stored becomes a difference; only what has nothing to do with it an error.
class Reproduction {
 public:
  Reproduction(fs::path state_folder, fs::path place, const ModelVersion& version, const Clock& clock, const Progress& progress)
      : state_folder_(std::move(state_folder)), place_(std::move(place)), version_(version), clock_(clock), progress_(progress) {}

  Result<ReproduceReport> Run() {
    report_.model = version_.model;
    report_.version = version_.version;
    report_.package_sha256_recorded = version_.package_sha256;
    report_.training_set_sha256_recorded = version_.detail.value("training_set", version_.training_set_sha256);
    TIDEMILL_ASSIGN_OR_RETURN(recorded_, OpenRecordedLake(state_folder_, Snapshot(), place_ / "tmp"));
    TIDEMILL_RETURN_IF_ERROR(RunSteps());
    report_.equal = package_equal_ && report_.training_set_sha256_recorded == report_.training_set_sha256_rebuilt;
    return std::move(report_);
  }

 private:
  int64_t Snapshot() const { return version_.detail.value("snapshot", int64_t{-1}); }

  void Tell(const std::string& text) const {
    if (!progress_) return;
    ProgressEvent event;
    event.kind = ProgressEvent::Kind::kNote;
    event.asset = version_.model;
    event.text = text;
    progress_(event);
  }

  void Differ(std::string what, std::string where, std::string detail) {
    report_.differences.push_back({std::move(what), std::move(where), std::move(detail)});
  }

  /// True when a step worked; else its error became a difference, or `failure`.
  bool Worked(const Status& status, const char* what, const std::string& where, Status* failure) {
    if (status.ok()) return true;
    if (IsAboutThisMachine(status.error())) {
      *failure = status;
    } else {
      Differ(what, where, InOneLine(status.error()));
    }
    return false;
  }

  Status RunSteps() {
    Status failure;
    if (!Worked(LoadDefinitions(), "definitions", "archive of the version", &failure)) return failure;
    Tell("comparing data files with their digests");
    CompareDataFiles();
    Tell("reading the sources at the recorded snapshot");
    for (const auto& [name, source] : project_.sources) {
      if (!Worked(CompareSource(name), "source", name, &failure) && !failure.ok()) return failure;
    }
    if (!Worked(CopySources(), "source", "copy of the sources", &failure)) return failure;
    if (!Worked(RebuildAll(), "model package", version_.model, &failure)) return failure;
    return Ok();
  }

  Status LoadDefinitions() {
    TIDEMILL_ASSIGN_OR_RETURN(const std::string archive, recorded_.lake->GetArtifact(version_.detail.value("archive", "")));
    TIDEMILL_RETURN_IF_ERROR(WriteProject(archive, place_ / "project"));
    TIDEMILL_ASSIGN_OR_RETURN(Project project, LoadProject(place_ / "project"));
    TIDEMILL_ASSIGN_OR_RETURN(project_, OnlyWhatItNeeds(std::move(project), version_.model));
    // Definitions are archived, what is installed is not: a virtual environment lies beside the state, as it did.
    project_.python.folder = fs::absolute(state_folder_).parent_path();
    return Ok();
  }

  void CompareDataFiles() {
    std::vector<std::string> tables;
    for (const AssetNode* node : TablesBehindModel(project_, version_.model)) tables.push_back("main." + node->name);
    tables.push_back("training." + version_.model);
    const auto problems = recorded_.lake->Verify(tables, Snapshot());
    if (!problems.ok()) {
      Differ("data file", "lake", InOneLine(problems.error()));
      return;
    }
    for (const DataFileProblem& problem : *problems)
      Differ("data file", fmt::format("{}, file {}", problem.table, problem.path), problem.problem);
  }

  /// Names the columns in which two digests of a relation differ.
  void CompareDigests(const std::string& what, const std::string& name, const Json& expected, const Json& found) {
    if (expected.value("rows", int64_t{-1}) != found.value("rows", int64_t{-1})) {
      Differ(what, name,
             fmt::format("{} rows recorded, {} found", expected.value("rows", int64_t{-1}), found.value("rows", int64_t{-1})));
    }
    const Json none = Json::object();
    const Json& before = expected.contains("columns") ? expected["columns"] : none;
    const Json& now = found.contains("columns") ? found["columns"] : none;
    for (const auto& [column, digest] : before.items()) {
      const std::string where = fmt::format("{}, column {}", name, column);
      if (!now.contains(column)) {
        Differ(what, where, "the column is missing");
      } else if (now[column] != digest) {
        Differ(what, where, fmt::format("its values had the digest {}, now {}", digest.dump(), now[column].dump()));
      }
    }
    for (const auto& [column, digest] : now.items()) {
      if (!before.contains(column)) Differ(what, fmt::format("{}, column {}", name, column), "the column was not there");
    }
  }

  /// A source's data files read past the lake, which refuses files that were written anew: to say where they differ.
  Result<std::string> FilesOf(const std::string& name) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<DataFile> files, recorded_.lake->Files("main." + name, Snapshot()));
    std::vector<std::string> paths;
    for (const DataFile& file : files) {
      if (file.rows > 0) paths.push_back(QuoteText((state_folder_ / "lake" / "data" / file.path).string()));
    }
    const std::string all = fmt::format("read_parquet([{}], union_by_name = true)", fmt::join(paths, ", "));
    TIDEMILL_ASSIGN_OR_RETURN(const auto stored, recorded_.session->Describe("SELECT * FROM " + all));
    TIDEMILL_ASSIGN_OR_RETURN(const auto fields, recorded_.session->Describe("SELECT * FROM " + MainTable(name)));
    std::vector<std::string> columns;
    for (const Field& field : fields) columns.push_back(QuoteIdentifier(field.name));
    // Merged files hold rows of later snapshots as well and say so in a column of their own.
    constexpr std::string_view kSnapshotOfRow = "_ducklake_internal_snapshot_id";
    const bool merged =
        std::any_of(stored.begin(), stored.end(), [&](const Field& field) { return field.name == kSnapshotOfRow; });
    const std::string condition = merged ? fmt::format(" WHERE coalesce({}, 0) <= {}", kSnapshotOfRow, Snapshot()) : "";
    return fmt::format("(SELECT {} FROM {}{})", fmt::join(columns, ", "), all, condition);
  }

  /// The digest of a source as it can be read now; `sources_` keeps from where.
  Result<Json> DigestOfSource(const std::string& name) {
    sources_[name] = MainTable(name);
    auto digest = ContentDigest(*recorded_.session, sources_[name]);
    if (digest.ok() || IsAboutThisMachine(digest.error())) return digest;
    const auto files = FilesOf(name);
    if (!files.ok()) return digest;
    auto digest_of_files = ContentDigest(*recorded_.session, *files);
    if (!digest_of_files.ok()) return digest;
    sources_[name] = *files;
    return digest_of_files;
  }

  Status CompareSource(const std::string& name) {
    TIDEMILL_ASSIGN_OR_RETURN(const Json found, DigestOfSource(name));
    const Json sources = version_.detail.value("sources", Json::object());
    if (!sources.contains(name)) {
      Differ("source", name, "no digest of it was recorded");
      return Ok();
    }
    CompareDigests("source", name, sources[name], found);
    return Ok();
  }

  fs::path ParquetFile(size_t number) const { return place_ / fmt::format("source_{}.parquet", number); }

  /// Brings the sources' rows at the recorded snapshot into a new, empty lake.
  Status CopySources() {
    size_t number = 0;
    for (const auto& [name, source] : project_.sources) {
      TIDEMILL_RETURN_IF_ERROR(
          recorded_.session->Execute(fmt::format("COPY (SELECT * FROM {} ORDER BY _seq) TO {} (FORMAT parquet)",
                                                 sources_.at(name), QuoteText(ParquetFile(number++).string()))));
    }
    DatabaseOptions options;
    options.memory_limit_mb = project_.memory_limit_mb;
    options.threads = project_.threads;
    options.temporary_folder = (place_ / "tmp").string();
    TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database, Database::Open(options));
    LakeOptions lake_options;
    lake_options.folder = place_ / "state" / "lake";
    TIDEMILL_RETURN_IF_ERROR(MakeFolders(lake_options.folder));
    TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Lake> lake, Lake::Open(*database, lake_options));
    const auto committed = lake->Commit("copy the sources", Json::object(), [this](Session& session) -> Status {
      size_t position = 0;
      for (const auto& [name, source] : project_.sources) {
        TIDEMILL_RETURN_IF_ERROR(
            session.Execute(fmt::format("CREATE OR REPLACE TABLE {} AS SELECT * FROM read_parquet({}) ORDER BY _seq",
                                        MainTable(name), QuoteText(ParquetFile(position++).string()))));
      }
      return Ok();
    });
    return committed.ok() ? Ok() : Status(committed.error());
  }

  Result<Timestamp> RecordedNow() const {
    const std::string text = version_.detail.value("now", "");
    if (text.empty()) return version_.project_clock;
    return ParseTimestamp(text);
  }

  Status RebuildAll() {
    TIDEMILL_ASSIGN_OR_RETURN(const Timestamp now, RecordedNow());
    TIDEMILL_ASSIGN_OR_RETURN(Workspace workspace, OpenWorkspaceAt(project_, place_ / "state", clock_));
    for (const AssetNode* node : TablesBehindModel(workspace.project, version_.model)) {
      if (node->kind != AssetKind::kTable) continue;
      Tell(fmt::format("computing table {}", node->name));
      const Status rebuilt = RebuildTable(workspace, node->name, now);
      if (!rebuilt.ok()) return rebuilt.error().WithContext("computing table " + node->name);
    }
    return RebuildModel(workspace, now);
  }

  Status RebuildTable(Workspace& workspace, const std::string& name, Timestamp now) {
    const auto updated = UpdateTable(workspace.project, workspace.project.tables.at(name), *workspace.lake, now, 0, nullptr, workspace.python.get());
    if (!updated.ok()) return updated.error();
    TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, workspace.lake->Connect());
    TIDEMILL_ASSIGN_OR_RETURN(const Json rebuilt, ContentDigest(*session, MainTable(name)));
    const auto recorded = ContentDigest(*recorded_.session, MainTable(name));
    if (!recorded.ok()) {
      Differ("table", name, InOneLine(recorded.error()));
      return Ok();
    }
    CompareDigests("table", name, *recorded, rebuilt);
    return Ok();
  }

  Status RebuildModel(Workspace& workspace, Timestamp now) {
    const FeaturePlan& plan = workspace.feature_plans.at(version_.model);
    TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, workspace.lake->Connect());
    Tell("building the training set");
    TIDEMILL_ASSIGN_OR_RETURN(const TrainingInput input,
                              BuildTrainingInput(workspace.project, plan, *session, CurrentTables(), now));
    report_.training_rows = static_cast<int64_t>(input.rows.rows());
    report_.training_set_sha256_rebuilt = input.sha256;
    if (input.sha256 != report_.training_set_sha256_recorded) CompareTrainingSets(input.rows);
    Tell(fmt::format("training on {} rows", report_.training_rows));
    TIDEMILL_ASSIGN_OR_RETURN(const TrainingResult trained, TrainAndPackage(workspace.project.models.at(version_.model), plan,
                                                                            input, workspace.project.threads));
    ComparePackages(trained.package.Serialize());
    if (!package_equal_) CompareEngines(trained.package.description.value("versions", Json::object()));
    return Ok();
  }

  void ComparePackages(const std::string& rebuilt) {
    report_.package_sha256_rebuilt = Sha256(rebuilt);
    const auto stored = recorded_.lake->GetArtifact(version_.package_sha256);
    package_equal_ = stored.ok() && *stored == rebuilt && report_.package_sha256_rebuilt == version_.package_sha256;
    if (package_equal_) return;
    const std::string where = fmt::format("{}@{}", version_.model, version_.version);
    if (!stored.ok()) {
      Differ("model package", where, "the stored one can't be read: " + InOneLine(stored.error()));
      return;
    }
    const auto [in_stored, in_rebuilt] = std::mismatch(stored->begin(), stored->end(), rebuilt.begin(), rebuilt.end());
    Differ("model package", where,
           fmt::format("{} bytes recorded, {} rebuilt, different from byte {} on", stored->size(), rebuilt.size(),
                       in_stored - stored->begin() + 1));
  }

  /// Results of one version of the kernel or an engine need not be those of another.
  void CompareEngines(const Json& here) {
    const Json recorded = version_.detail.value("description", Json::object()).value("versions", Json::object());
    for (const auto& [engine, version] : here.items()) {
      const Json before = recorded.value(engine, Json());
      if (before != version)
        Differ("engine", engine, fmt::format("version {} recorded, {} here", before.is_string() ? before.get<std::string>() : "none",
                                             version.is_string() ? version.get<std::string>() : version.dump()));
    }
  }

  void CompareTrainingSets(const Columns& rebuilt) {
    const auto recorded = recorded_.session->Query(fmt::format("SELECT * FROM {} ORDER BY _seq", TrainingTable(version_.model)));
    if (!recorded.ok()) {
      Differ("training set", version_.model, "the recorded one can't be read: " + InOneLine(recorded.error()));
      return;
    }
    const size_t told_before = report_.differences.size();
    if (recorded->rows() != rebuilt.rows())
      Differ("training set", version_.model, fmt::format("{} rows recorded, {} rebuilt", recorded->rows(), rebuilt.rows()));
    CompareFields(*recorded, rebuilt);
    CompareRows(*recorded, rebuilt);
    if (report_.differences.size() == told_before)
      Differ("training set", version_.model, "the stored rows are equal to the rebuilt ones, their recorded digest is not");
  }

  void CompareFields(const Columns& recorded, const Columns& rebuilt) {
    for (const Column& column : recorded.columns) {
      if (rebuilt.Find(column.name) == nullptr) Differ("training set", "column " + column.name, "recorded, not rebuilt");
    }
    for (const Column& column : rebuilt.columns) {
      if (recorded.Find(column.name) == nullptr) Differ("training set", "column " + column.name, "rebuilt, not recorded");
    }
  }

  void CompareRows(const Columns& recorded, const Columns& rebuilt) {
    const Column* recorded_seq = recorded.Find("_seq");
    const Column* rebuilt_seq = rebuilt.Find("_seq");
    if (recorded_seq == nullptr || rebuilt_seq == nullptr) return;
    std::unordered_map<int64_t, size_t> row_of;
    for (size_t row = 0; row < rebuilt_seq->size(); ++row) row_of[rebuilt_seq->ints[row]] = row;
    size_t told = 0;
    for (size_t row = 0; row < recorded_seq->size() && told < kRowsToldMax; ++row) {
      const int64_t seq = recorded_seq->ints[row];
      const auto found = row_of.find(seq);
      if (found == row_of.end()) {
        Differ("training set", RowName(seq), "recorded, not rebuilt");
        ++told;
        continue;
      }
      if (CompareRow(recorded, row, rebuilt, found->second, seq)) ++told;
      row_of.erase(found);
    }
    if (told >= kRowsToldMax) return;
    std::set<int64_t> only_rebuilt;
    for (const auto& [seq, row] : row_of) only_rebuilt.insert(seq);
    for (const int64_t seq : only_rebuilt) {
      if (told++ >= kRowsToldMax) return;
      Differ("training set", RowName(seq), "rebuilt, not recorded");
    }
  }

  /// True when the row differs.
  bool CompareRow(const Columns& recorded, size_t recorded_row, const Columns& rebuilt, size_t rebuilt_row, int64_t seq) {
    bool different = false;
    for (const Column& column : recorded.columns) {
      const Column* other = rebuilt.Find(column.name);
      if (other == nullptr) continue;
      const std::string before = ShownValue(column.At(recorded_row));
      const std::string now = ShownValue(other->At(rebuilt_row));
      if (before == now) continue;
      different = true;
      if (cells_told_++ < kCellsToldMax)
        Differ("training set", fmt::format("{}, column {}", RowName(seq), column.name),
               fmt::format("{} recorded, {} rebuilt", before, now));
    }
    return different;
  }

  std::string RowName(int64_t seq) {
    const auto origin = FindOrigin(*recorded_.session, seq);
    if (!origin.ok()) return fmt::format("row {}", seq);
    return fmt::format("row {} ({}, record {})", seq, origin->file, origin->record);
  }

  const fs::path state_folder_;
  const fs::path place_;
  const ModelVersion& version_;
  const Clock& clock_;
  const Progress& progress_;
  Project project_;
  RecordedLake recorded_;
  std::map<std::string, std::string> sources_;  ///< what to read each from, as SQL
  ReproduceReport report_;
  bool package_equal_ = false;
  size_t cells_told_ = 0;
};

}  // namespace

Json ReproduceReport::ToJson() const {
  Json list = Json::array();
  for (const Difference& difference : differences)
    list.push_back({{"what", difference.what}, {"where", difference.where}, {"detail", difference.detail}});
  return {{"model", model},
          {"version", version},
          {"equal", equal},
          {"package_sha256_recorded", package_sha256_recorded},
          {"package_sha256_rebuilt", package_sha256_rebuilt},
          {"training_set_sha256_recorded", training_set_sha256_recorded},
          {"training_set_sha256_rebuilt", training_set_sha256_rebuilt},
          {"training_rows", training_rows},
          {"differences", std::move(list)},
          {"seconds", seconds}};
}

Result<ReproduceReport> ReproduceModel(const fs::path& state_folder, const std::string& model, int64_t version,
                                       const Clock& clock, const Progress& progress) {
  const auto started = std::chrono::steady_clock::now();
  const fs::path catalog_file = state_folder / "catalog.sqlite";
  if (!fs::exists(catalog_file)) {
    return UserError("catalog_missing", fmt::format("there is no catalog in '{}'", state_folder.string()),
                     "name a state folder (.tidemill) with --state");
  }
  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Catalog> catalog, Catalog::Open(catalog_file, clock));
  TIDEMILL_ASSIGN_OR_RETURN(const ModelVersion recorded, catalog->GetModelVersion(model, version));
  if (!recorded.detail.is_object() || !recorded.detail.contains("snapshot") || !recorded.detail.contains("archive")) {
    return UserError("not_archived", fmt::format("version {} of {} was stored without what rebuilding it takes", version, model),
                     "train it again: 'tidemill run'");
  }
  TIDEMILL_ASSIGN_OR_RETURN(const TemporaryFolder place, TemporaryFolder::Make(fs::temp_directory_path(), "tidemill-reproduce-"));
  for (const char* folder : {"project", "state", "tmp"}) TIDEMILL_RETURN_IF_ERROR(MakeFolders(place.path() / folder));
  Reproduction reproduction(state_folder, place.path(), recorded, clock, progress);
  TIDEMILL_ASSIGN_OR_RETURN(ReproduceReport report, reproduction.Run());
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return report;
}

}  // namespace tidemill
