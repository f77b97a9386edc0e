#include "orchestrate/model_steps.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/files.h"
#include "base/sha256.h"
#include "model/gates.h"
#include "model/predictor.h"
#include "orchestrate/asset_names.h"
#include "orchestrate/join_memory.h"

namespace tidemill {
namespace {

void Hash(std::string_view bytes, std::string* digest) { *digest = Sha256(*digest + Sha256(bytes)); }

template <class T>
std::string_view BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// The spine's label as SQL over its columns, 0 or 1, null unless known by `now`.
std::string LabelSql(const ModelAsset& model, Timestamp now) {
  return fmt::format("CASE WHEN {} <= {} THEN CAST(CAST(({}) AS BOOLEAN) AS BIGINT) END", QuoteIdentifier(model.label_known_at), SqlLiteral(now),
                     model.label);
}

/// The columns of a scores table: identity and score first, then what the model read.
Result<Columns> ScoreColumns(const FeaturePlan& plan, Columns rows, const std::vector<double>& scores, int64_t version) {
  Columns out;
  const Column& seq = *rows.Find("_seq");
  Column ids("prediction_id", Type::kText);
  Column versions("model_version", Type::kInt64);
  Column score("score", Type::kDouble);
  for (size_t row = 0; row < rows.rows(); ++row) {
    ids.AppendText(fmt::format("{}-b{}-v{}", plan.model, seq.ints[row], version));
    versions.AppendInt(version);
    score.AppendDouble(scores[row]);
  }
  Column at = *rows.Find(plan.timestamp);
  at.name = "predicted_at";
  out.columns = {seq, std::move(ids), std::move(versions), std::move(at), std::move(score)};
  for (Column& column : rows.columns) {
    const bool internal = column.name == "_seq" || column.name == "label" || column.name == "label_known_at";
    if (!internal && out.Find(column.name) == nullptr) out.columns.push_back(std::move(column));
  }
  return out;
}

/// What ReadScoredRows gives before anything was scored.
Columns NoScoredRows(const FeaturePlan& plan) {
  Columns rows;
  rows.columns = {Column("_seq", Type::kInt64), Column("model_version", Type::kInt64), Column("predicted_at", Type::kTimestamp),
                  Column("score", Type::kDouble), Column("label", Type::kInt64)};
  for (const Field& input : plan.inputs) rows.columns.emplace_back(input.name, input.type);
  return rows;
}

/// Adds columns that a table lacks, so that a model whose inputs changed keeps its one table of scores.
Status WidenTable(Session& session, const std::string& table, const std::vector<Field>& have, const std::vector<Field>& fields) {
  for (const Field& wanted : fields) {
    const bool there = std::any_of(have.begin(), have.end(), [&](const Field& field) { return field.name == wanted.name; });
    if (there) continue;
    TIDEMILL_RETURN_IF_ERROR(session.Execute(
        fmt::format("ALTER TABLE {} ADD COLUMN {} {}", table, QuoteIdentifier(wanted.name), SqlTypeName(wanted.type))));
  }
  return Ok();
}

/// Adds the rows of a Parquet file to the scores.
Status StoreScores(Workspace& workspace, const std::string& model, const std::filesystem::path& file, const std::vector<Field>& fields,
                   Timestamp now, int64_t run_id) {
  const std::string table = ScoresTable(model);
  const std::string rows = fmt::format("SELECT * FROM read_parquet({})", QuoteText(file.string()));
  TIDEMILL_ASSIGN_OR_RETURN(const bool exists, workspace.lake->HasTable("scores." + model));
  std::vector<Field> have;
  if (exists) {
    TIDEMILL_ASSIGN_OR_RETURN(have, workspace.lake->Schema("scores." + model));
  }
  const Json extra = {{"run", run_id}, {"scores", model}, {"until", FormatTimestamp(now)}};
  const auto commit = workspace.lake->Commit("score " + model, extra, [&](Session& session) -> Status {
    TIDEMILL_RETURN_IF_ERROR(session.Execute("CREATE SCHEMA IF NOT EXISTS lake.scores"));
    if (!exists) return session.Execute(fmt::format("CREATE TABLE {} AS {}", table, rows));
    TIDEMILL_RETURN_IF_ERROR(WidenTable(session, table, have, fields));
    return session.Execute(fmt::format("INSERT INTO {} BY NAME {}", table, rows));
  });
  return commit.ok() ? Ok() : Status(commit.error());
}

/// The sequence numbers that have a score in a stretch of time.
Result<std::vector<int64_t>> ScoredSequences(Workspace& workspace, const std::string& model, Timestamp from, Timestamp until) {
  TIDEMILL_ASSIGN_OR_RETURN(const bool exists, workspace.lake->HasTable("scores." + model));
  if (!exists) return std::vector<int64_t>();
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, workspace.lake->Connect());
  TIDEMILL_ASSIGN_OR_RETURN(const Columns rows,
                            session->Query(fmt::format("SELECT _seq FROM {} WHERE predicted_at > {} AND predicted_at <= {} ORDER BY _seq",
                                                       ScoresTable(model), SqlLiteral(from), SqlLiteral(until))));
  return rows.columns[0].ints;
}

Columns WithoutRows(const Columns& rows, const std::vector<int64_t>& sequences) {
  const Column& seq = *rows.Find("_seq");
  Columns kept;
  for (const Column& column : rows.columns) {
    Column out(column.name, column.type);
    for (size_t row = 0; row < column.size(); ++row) {
      if (std::binary_search(sequences.begin(), sequences.end(), seq.ints[row])) continue;
      if (column.IsNull(row)) {
        out.AppendNull();
      } else if (column.type == Type::kDouble) {
        out.AppendDouble(column.doubles[row]);
      } else if (column.type == Type::kText) {
        out.AppendText(column.Text(row));
      } else {
        out.AppendInt(column.ints[row]);
      }
    }
    kept.columns.push_back(std::move(out));
  }
  return kept;
}

/// Scores rows batch by batch, but for those that have a score already.
class RowScorer {
 public:
  RowScorer(const FeaturePlan& plan, FeatureRows& from, Predictor& predictor, const std::vector<int64_t>& scored, int64_t version)
      : plan_(plan), from_(from), predictor_(predictor), scored_(scored), version_(version) {}

  int64_t rows() const { return rows_; }

  /// Refers to this.
  Result<RowStream> Scores() {
    RowStream scores;
    Columns none;
    for (const Field& field : from_.fields()) none.columns.emplace_back(field.name, field.type);
    TIDEMILL_ASSIGN_OR_RETURN(const Columns columns, ScoreColumns(plan_, std::move(none), {}, version_));
    for (const Column& column : columns.columns) scores.fields.push_back({column.name, column.type});
    scores.next = [this] { return Next(); };
    return scores;
  }

 private:
  Result<std::optional<Columns>> Next() {
    while (true) {
      TIDEMILL_ASSIGN_OR_RETURN(std::optional<Columns> batch, from_.Next());
      if (!batch) return std::optional<Columns>();
      Columns rows = scored_.empty() ? std::move(*batch) : WithoutRows(*batch, scored_);
      if (rows.rows() == 0) continue;
      rows_ += static_cast<int64_t>(rows.rows());
      TIDEMILL_ASSIGN_OR_RETURN(const std::vector<double> scores, predictor_.Predict(rows));
      TIDEMILL_ASSIGN_OR_RETURN(Columns columns, ScoreColumns(plan_, std::move(rows), scores, version_));
      return std::optional<Columns>(std::move(columns));
    }
  }

  const FeaturePlan& plan_;
  FeatureRows& from_;
  Predictor& predictor_;
  const std::vector<int64_t>& scored_;
  const int64_t version_;
  int64_t rows_ = 0;
};

Status StoreTrainingSet(Workspace& workspace, const std::string& model, const Columns& rows, int64_t run_id, int64_t* snapshot) {
  const Json extra = {{"run", run_id}, {"training", model}};
  TIDEMILL_ASSIGN_OR_RETURN(*snapshot, workspace.lake->Commit("training set of " + model, extra, [&](Session& session) -> Status {
    TIDEMILL_RETURN_IF_ERROR(session.LoadTemporary("tidemill_training", rows));
    TIDEMILL_RETURN_IF_ERROR(session.Execute("CREATE SCHEMA IF NOT EXISTS lake.training"));
    return session.Execute(fmt::format("CREATE OR REPLACE TABLE {} AS SELECT * FROM tidemill_training", TrainingTable(model)));
  }));
  return Ok();
}

/// The digests of the sources behind a model, remembered with the content that they are of.
Result<Json> SourceDigests(Workspace& workspace, const std::string& model) {
  Json digests = Json::object();
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, workspace.lake->Connect());
  for (const AssetNode* node : TablesBehindModel(workspace.project, model)) {
    if (node->kind != AssetKind::kSource) continue;
    TIDEMILL_ASSIGN_OR_RETURN(std::optional<AssetState> state, workspace.catalog->State(node->name));
    if (state && state->detail.contains("digest")) {
      digests[node->name] = state->detail["digest"];
      continue;
    }
    TIDEMILL_ASSIGN_OR_RETURN(digests[node->name], ContentDigest(*session, MainTable(node->name)));
    if (!state) continue;
    state->detail["digest"] = digests[node->name];
    TIDEMILL_RETURN_IF_ERROR(workspace.catalog->PutState(*state));
  }
  return digests;
}

struct Champion {
  ModelVersion version;
  ModelPackage package;
  std::unique_ptr<Predictor> predictor;
};

Result<std::optional<Champion>> FindChampion(Workspace& workspace, const std::string& model) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::optional<int64_t> number, workspace.catalog->Alias(model, kChampionAlias));
  if (!number) return std::optional<Champion>();
  Champion champion;
  TIDEMILL_ASSIGN_OR_RETURN(champion.version, workspace.catalog->GetModelVersion(model, *number));
  TIDEMILL_ASSIGN_OR_RETURN(champion.package, LoadPackage(workspace, champion.version));
  TIDEMILL_ASSIGN_OR_RETURN(champion.predictor, Predictor::Load(champion.package, workspace.project.threads));
  return std::optional<Champion>(std::move(champion));
}

Result<Json> JudgeChallenger(Workspace& workspace, const ModelAsset& model, const TrainingResult& result, const Columns& rows) {
  TIDEMILL_ASSIGN_OR_RETURN(std::optional<Champion> champion, FindChampion(workspace, model.name));
  std::optional<ChampionComparison> comparison;
  if (champion) {
    TIDEMILL_ASSIGN_OR_RETURN(const Timestamp until, ParseTimestamp(champion->package.description.value("trained_until", "")));
    TIDEMILL_ASSIGN_OR_RETURN(comparison, CompareWithChampion(model, result, rows, *champion->predictor, until));
  }
  TIDEMILL_ASSIGN_OR_RETURN(const auto predictor, Predictor::Load(result.package, 1));
  TIDEMILL_ASSIGN_OR_RETURN(const double latency_ms, MeasureLatencyP99Ms(*predictor, rows));
  return EvaluateGates(model, result.metrics, comparison, latency_ms);
}

Json CurvesToJson(const EvaluationCurves& curves) {
  return {{"roc", curves.roc}, {"precision_recall", curves.precision_recall}, {"calibration", curves.calibration}};
}

Json SplitToJson(const SplitTimes& split) {
  return {{"begin", FormatTimestamp(split.begin)},
          {"train_end", FormatTimestamp(split.train_end)},
          {"validate_end", FormatTimestamp(split.validate_end)},
          {"end", FormatTimestamp(split.end)},
          {"note", split.note}};
}

std::string Verdict(const TrainReport& report, const Json& metrics, const Json& gates) {
  std::string text = fmt::format("version {} {}", report.version, report.accepted ? "accepted" : "refused");
  if (report.accepted) {
    const Json auc = metrics.value("auc", Json());
    return auc.is_number() ? fmt::format("{}: auc {:.3f} on its test window", text, auc.get<double>()) : text;
  }
  for (const Json& gate : gates) {
    if (!gate.value("passed", false)) text += ": " + gate.value("text", "");
  }
  return text;
}

}  // namespace

TableSql CurrentTables() {
  return [](const std::string& table) { return MainTable(table); };
}

Result<ModelPackage> LoadPackage(Workspace& workspace, const ModelVersion& version) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::string bytes, workspace.lake->GetArtifact(version.package_sha256));
  return ModelPackage::Parse(bytes);
}

Result<ScoreReport> ScoreModel(Workspace& workspace, const std::string& model, int64_t version, Timestamp from, Timestamp now, int64_t run_id) {
  TIDEMILL_ASSIGN_OR_RETURN(const ModelVersion record, workspace.catalog->GetModelVersion(model, version));
  TIDEMILL_ASSIGN_OR_RETURN(const ModelPackage package, LoadPackage(workspace, record));
  TIDEMILL_ASSIGN_OR_RETURN(const FeaturePlan plan, FeaturePlan::FromJson(record.detail.value("plan", Json())));
  TIDEMILL_ASSIGN_OR_RETURN(const auto predictor, Predictor::Load(package, workspace.project.threads));
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, workspace.lake->Connect());
  TIDEMILL_ASSIGN_OR_RETURN(const auto scored, ScoredSequences(workspace, model, from, now));
  TIDEMILL_ASSIGN_OR_RETURN(const JoinMemory memory, JoinMemory::Share(workspace));
  RowsWanted wanted;
  wanted.from = from;
  wanted.until = now;
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows, FeatureRows::Start(plan, *session, CurrentTables(), wanted, now, memory.resources()));
  RowScorer scorer(plan, *rows, *predictor, scored, version);
  TIDEMILL_ASSIGN_OR_RETURN(const RowStream scores, scorer.Scores());
  ScoreReport report;
  if (rows->spine_rows() == 0) return report;

  TIDEMILL_RETURN_IF_ERROR(MakeFolders(memory.resources().temporary_folder));
  TIDEMILL_ASSIGN_OR_RETURN(const TemporaryFolder folder, TemporaryFolder::Make(memory.resources().temporary_folder, "scores"));
  const std::filesystem::path file = folder.path() / "scores.parquet";
  TIDEMILL_ASSIGN_OR_RETURN(const auto writing, workspace.database->Connect());
  TIDEMILL_RETURN_IF_ERROR(
      writing->ExecuteOver("tidemill_scores", scores, fmt::format("COPY tidemill_scores TO {} (FORMAT parquet)", QuoteText(file.string()))));
  report.rows = scorer.rows();
  if (report.rows == 0) return report;
  TIDEMILL_RETURN_IF_ERROR(StoreScores(workspace, model, file, scores.fields, now, run_id));
  return report;
}

Result<Columns> ReadScoredRows(Workspace& workspace, const std::string& model, Timestamp from, Timestamp now) {
  const ModelAsset& asset = workspace.project.models.at(model);
  TIDEMILL_ASSIGN_OR_RETURN(const bool exists, workspace.lake->HasTable("scores." + model));
  if (!exists) return NoScoredRows(workspace.feature_plans.at(model));
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, workspace.lake->Connect());
  return session->Query(fmt::format(
      "SELECT s.*, p.label FROM {} s LEFT JOIN (SELECT _seq, {} AS label FROM {} WHERE {} > {} AND {} <= {}) p USING (_seq) "
      "WHERE s.predicted_at > {} AND s.predicted_at <= {} ORDER BY s.predicted_at, s._seq",
      ScoresTable(model), LabelSql(asset, now), MainTable(asset.spine), QuoteIdentifier(asset.timestamp), SqlLiteral(from),
      QuoteIdentifier(asset.timestamp), SqlLiteral(now), SqlLiteral(from), SqlLiteral(now)));
}

Result<MonitorResult> MonitorLiveModel(Workspace& workspace, const std::string& model, const ModelVersion& live, Timestamp now) {
  const ModelAsset& asset = workspace.project.models.at(model);
  TIDEMILL_ASSIGN_OR_RETURN(const ModelPackage package, LoadPackage(workspace, live));
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<ModelVersion> versions, workspace.catalog->ModelVersions(model));
  // Rows up to the first version's training clock were part of its training set: no measure of how it does.
  const Timestamp first_live = versions.empty() ? live.project_clock : versions.front().project_clock;
  const Timestamp from = std::max(now - asset.monitor->window, first_live);
  TIDEMILL_ASSIGN_OR_RETURN(const Columns rows, ReadScoredRows(workspace, model, from, now));
  TIDEMILL_ASSIGN_OR_RETURN(const MonitorResult result,
                            MonitorModel(asset, live.version, package.description.value("reference", Json()), live.metrics, rows,
                                         now - live.project_clock, now, *workspace.parser));
  TIDEMILL_RETURN_IF_ERROR(workspace.catalog->AddMeasurements(result.measurements));
  return result;
}

Result<TrainingInput> BuildTrainingInput(const Project& project, const FeaturePlan& plan, Session& session, const TableSql& tables, Timestamp now) {
  TrainingInput input;
  RowsWanted wanted;
  wanted.until = now;
  wanted.labelled_only = true;
  TIDEMILL_ASSIGN_OR_RETURN(input.rows, BuildRows(plan, session, tables, wanted, now, project.threads, &input.failures));
  if (input.rows.rows() == 0) {
    return UserError("no_training_rows", fmt::format("model '{}' has no labelled rows known by {}", plan.model, FormatTimestamp(now)),
                     fmt::format("look at the spine with 'tidemill show {}', and at the project clock (--now)", plan.spine));
  }
  const Column& times = *input.rows.Find(plan.timestamp);
  TIDEMILL_ASSIGN_OR_RETURN(input.split, PlanSplit(project.models.at(plan.model), Timestamp{times.ints.front()}, now));
  input.sha256 = ColumnsSha256(input.rows);
  return input;
}

Result<TrainingResult> TrainAndPackage(const ModelAsset& model, const FeaturePlan& plan, const TrainingInput& input, int threads) {
  TIDEMILL_ASSIGN_OR_RETURN(TrainingResult result, TrainModel(model, plan.inputs, input.rows, input.split, threads));
  const std::optional<double> threshold = model.monitor ? model.monitor->drift_threshold : std::nullopt;
  result.package.description["reference"] = ProfileReference(input.rows, plan.inputs, threshold);
  return result;
}

Result<TrainReport> TrainAndGate(Workspace& workspace, const std::string& model, const std::string& reason, Timestamp now, int64_t run_id) {
  const ModelAsset& asset = workspace.project.models.at(model);
  const FeaturePlan& plan = workspace.feature_plans.at(model);
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, workspace.lake->Connect());
  TIDEMILL_ASSIGN_OR_RETURN(const TrainingInput input, BuildTrainingInput(workspace.project, plan, *session, CurrentTables(), now));
  TIDEMILL_ASSIGN_OR_RETURN(const TrainingResult result, TrainAndPackage(asset, plan, input, workspace.project.threads));
  TIDEMILL_ASSIGN_OR_RETURN(const Json gates, JudgeChallenger(workspace, asset, result, input.rows));

  int64_t snapshot = 0;
  TIDEMILL_RETURN_IF_ERROR(StoreTrainingSet(workspace, model, input.rows, run_id, &snapshot));
  TIDEMILL_ASSIGN_OR_RETURN(const Json digests, SourceDigests(workspace, model));
  TIDEMILL_ASSIGN_OR_RETURN(const auto definitions, ReadDefinitions(workspace.project));
  TIDEMILL_ASSIGN_OR_RETURN(const std::string archive, workspace.lake->PutArtifact(Json(definitions).dump()));

  ModelVersion version;
  version.model = model;
  version.status = GatesPassed(gates) ? "accepted" : "rejected";
  version.reason = reason;
  version.project_clock = now;
  version.run_id = run_id;
  TIDEMILL_ASSIGN_OR_RETURN(version.package_sha256, workspace.lake->PutArtifact(result.package.Serialize()));
  version.training_set_sha256 = input.sha256;
  version.metrics = result.metrics;
  version.detail = {{"plan", plan.ToJson()},
                    {"description", result.package.description},
                    {"snapshot", snapshot},
                    {"archive", archive},
                    {"sources", digests},
                    {"now", FormatTimestamp(now)},
                    {"package", version.package_sha256},
                    {"training_set", input.sha256},
                    {"fingerprint", workspace.fingerprints.at(model)},
                    {"gates", gates},
                    {"curves", CurvesToJson(result.curves)},
                    {"importances", result.importances},
                    {"split", SplitToJson(input.split)},
                    {"rows", {{"train", result.rows_train}, {"validate", result.rows_validate}, {"test", result.rows_test},
                              {"all", input.rows.rows()}}}};
  // Pinned before the version is recorded: a version that is there can always be rebuilt.
  TIDEMILL_ASSIGN_OR_RETURN(const auto versions, workspace.catalog->ModelVersions(model));
  TIDEMILL_RETURN_IF_ERROR(workspace.lake->Pin(snapshot, fmt::format("{}@{}", model, versions.size() + 1)));
  TrainReport report;
  report.failures = input.failures;
  report.accepted = version.status == "accepted";
  report.rows = static_cast<int64_t>(input.rows.rows());
  TIDEMILL_ASSIGN_OR_RETURN(report.version,
                            workspace.catalog->AddModelVersion(version, report.accepted ? kChampionAlias : "", reason));
  report.text = Verdict(report, result.metrics, gates);
  return report;
}

std::string ColumnsSha256(const Columns& columns) {
  std::string digest;
  for (const Column& column : columns.columns) {
    Hash(column.name, &digest);
    Hash(TypeName(column.type), &digest);
    Hash(BytesOf(column.valid), &digest);
    Hash(BytesOf(column.ints), &digest);
    Hash(BytesOf(column.doubles), &digest);
    Hash(BytesOf(column.offsets), &digest);
    Hash(column.chars, &digest);
  }
  return Sha256(digest);
}

}  // namespace tidemill
