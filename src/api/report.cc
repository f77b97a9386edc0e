#include "api/report.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include <fmt/format.h>

#include "api/page.h"
#include "api/table_profile.h"

namespace tidemill {
namespace {

// Bounds that keep the page of a large or old project readable and quick.
constexpr int64_t kRunsMax = 60;
constexpr size_t kTablesMax = 100;
constexpr size_t kTicksMax = 400;
constexpr int kQuarantineGroupsMax = 50;
constexpr int64_t kVersionsWithCurves = 30;

/// A member of an object that may be missing or of another kind.
Json Member(const Json& object, std::string_view name) {
  return object.is_object() && object.contains(name) ? object.at(std::string(name)) : Json();
}

/// Numbers to six significant digits: more than a screen shows, a third of the text.
Json Shortened(const Json& json) {
  if (json.is_number_float()) return std::strtod(fmt::format("{:.6g}", json.get<double>()).c_str(), nullptr);
  if (!json.is_structured()) return json;
  Json copy = json;
  for (Json& child : copy) child = Shortened(child);
  return copy;
}

double Seconds(const RunRecord& run) {
  if (run.ended_at < run.started_at) return 0;
  return static_cast<double>((run.ended_at - run.started_at).micros) / static_cast<double>(kMicrosPerSecond);
}

// --- runs

Result<Json> RunJson(Catalog& catalog, const RunRecord& run) {
  Json json = {{"id", run.id}, {"command", run.command}, {"status", run.status}, {"clock", FormatTimestamp(run.project_clock)},
               {"started_at", FormatTimestamp(run.started_at)}, {"seconds", Seconds(run)}, {"error", run.error}, {"steps", Json::array()}};
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<StepRecord> steps, catalog.Steps(run.id));
  for (const StepRecord& step : steps) {
    json["steps"].push_back({{"asset", step.asset}, {"status", step.status}, {"reason", step.reason}, {"rows", step.rows}, {"seconds", step.seconds}, {"error", step.error}});
  }
  return json;
}

Status AddRuns(Catalog& catalog, Json& data) {
  TIDEMILL_ASSIGN_OR_RETURN(std::vector<RunRecord> runs, catalog.Runs(kRunsMax + 1));
  data["runs_more"] = runs.size() > static_cast<size_t>(kRunsMax);
  if (runs.size() > static_cast<size_t>(kRunsMax)) runs.resize(static_cast<size_t>(kRunsMax));
  data["runs"] = Json::array();
  for (const RunRecord& run : runs) {
    TIDEMILL_ASSIGN_OR_RETURN(Json json, RunJson(catalog, run));
    data["runs"].push_back(std::move(json));
  }
  return Ok();
}

Json LatestClock(const Json& runs) {
  Json latest;
  for (const Json& run : runs) {
    const Json& clock = run.at("clock");
    if (latest.is_null() || latest.get<std::string>() < clock.get<std::string>()) latest = clock;
  }
  return latest;
}

// --- assets

/// The newest step of each asset within the runs shown.
std::map<std::string, std::string> LatestStepStatus(const Json& runs) {
  std::map<std::string, std::string> latest;
  for (const Json& run : runs) {
    for (const Json& step : run.at("steps")) latest.emplace(step.at("asset").get<std::string>(), step.at("status").get<std::string>());
  }
  return latest;
}

/// "fresh", "stale", "never" or "failed".
std::string AssetStateText(const Workspace& workspace, const std::string& name, const std::optional<AssetState>& state, const std::map<std::string, std::string>& steps) {
  const auto step = steps.find(name);
  if (step != steps.end() && step->second == "failed") return "failed";
  if (!state) return "never";
  const auto fingerprint = workspace.fingerprints.find(name);
  return fingerprint == workspace.fingerprints.end() || fingerprint->second == state->fingerprint ? "fresh" : "stale";
}

Status AddAssets(Workspace& workspace, Json& data) {
  const std::map<std::string, std::string> steps = LatestStepStatus(data.at("runs"));
  std::map<std::string, Json> rows;
  for (const Json& profile : data.at("profiles")) rows[profile.at("name").get<std::string>()] = profile.at("rows");
  data["assets"] = Json::array();
  for (const AssetNode& node : workspace.project.graph) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::optional<AssetState> state, workspace.catalog->State(node.name));
    std::string state_text = AssetStateText(workspace, node.name, state, steps);
    if (node.kind == AssetKind::kModel && state_text == "never") {
      TIDEMILL_ASSIGN_OR_RETURN(const std::vector<ModelVersion> versions, workspace.catalog->ModelVersions(node.name));
      if (!versions.empty()) state_text = "fresh";
    }
    const auto found = rows.find(node.name);
    data["assets"].push_back({{"name", node.name},
                              {"kind", AssetKindName(node.kind)},
                              {"inputs", node.inputs},
                              {"file", node.file},
                              {"state", state_text},
                              {"rows", found == rows.end() ? Json() : found->second},
                              {"clock", state ? Json(FormatTimestamp(state->project_clock)) : Json()},
                              {"reason", ""}});
  }
  return Ok();
}

// --- data

Status AddProfiles(Workspace& workspace, Session& session, Json& data) {
  data["profiles"] = Json::array();
  for (const AssetNode& node : workspace.project.graph) {
    if (node.kind != AssetKind::kSource && node.kind != AssetKind::kTable) continue;
    if (data["profiles"].size() == kTablesMax) break;
    TIDEMILL_ASSIGN_OR_RETURN(const bool exists, workspace.lake->HasTable(node.name));
    if (!exists) continue;
    TIDEMILL_ASSIGN_OR_RETURN(std::vector<Field> fields, workspace.lake->Schema(node.name));
    std::erase_if(fields, [](const Field& field) { return field.name == "_seq" || field.name == "_known_at"; });
    TIDEMILL_ASSIGN_OR_RETURN(const Json shape, ProfileTable(session, "lake.main." + QuoteIdentifier(node.name), fields));
    Json profile = {{"name", node.name}, {"kind", AssetKindName(node.kind)}};
    profile.update(shape);
    data["profiles"].push_back(std::move(profile));
  }
  return Ok();
}

Status AddQuarantine(Workspace& workspace, Session& session, Json& data) {
  data["quarantine"] = Json::array();
  data["quarantine_rows"] = 0;
  TIDEMILL_ASSIGN_OR_RETURN(const bool exists, workspace.lake->HasTable("tidemill.quarantine"));
  if (!exists) return Ok();
  TIDEMILL_ASSIGN_OR_RETURN(const Columns total, session.Query("SELECT count(*)::BIGINT FROM lake.tidemill.quarantine"));
  data["quarantine_rows"] = total.columns[0].ints[0];
  // The largest groups, each with its first rows as samples.
  TIDEMILL_ASSIGN_OR_RETURN(const Columns rows, session.Query(fmt::format(R"(
      WITH numbered AS (SELECT source, reason, file, record, line, left(raw, 500) AS raw,
                               count(*) OVER (PARTITION BY source, reason) AS n, row_number() OVER (PARTITION BY source, reason ORDER BY file, record) AS k
                        FROM lake.tidemill.quarantine),
           ranked AS (SELECT *, dense_rank() OVER (ORDER BY n DESC, source, reason) AS place FROM numbered)
      SELECT source, reason, file, record::BIGINT AS record, line::BIGINT AS line, raw, n::BIGINT AS n, k::BIGINT AS k FROM ranked WHERE k <= 3 AND place <= {} ORDER BY place, k)",
                                                                          kQuarantineGroupsMax)));
  for (size_t i = 0; i < rows.rows(); ++i) {
    const auto text = [&](std::string_view name) { return FormatValue(rows.Find(name)->At(i)); };
    const auto number = [&](std::string_view name) { return rows.Find(name)->ints[i]; };
    if (number("k") == 1) data["quarantine"].push_back({{"source", text("source")}, {"reason", text("reason")}, {"rows", number("n")}, {"samples", Json::array()}});
    data["quarantine"].back()["samples"].push_back({{"file", text("file")}, {"record", number("record")}, {"line", number("line")}, {"raw", text("raw")}});
  }
  return Ok();
}

// --- models

Json VersionJson(const ModelVersion& version, bool with_curves) {
  Json json = {{"version", version.version},  {"status", version.status},   {"reason", version.reason},
               {"clock", FormatTimestamp(version.project_clock)},           {"run_id", version.run_id},
               {"metrics", version.metrics.is_object() ? version.metrics : Json::object()}};
  for (const std::string_view part : {"rows", "split"}) json[std::string(part)] = Member(version.detail, part);
  if (with_curves) {
    for (const std::string_view part : {"curves", "importances"}) json[std::string(part)] = Shortened(Member(version.detail, part));
  }
  const Json gates = Member(version.detail, "gates");
  json["gates"] = gates.is_array() ? gates : Json::array();
  return json;
}

Json PointJson(const Measurement& m) {
  Json json = {{"version", m.version}, {"at", FormatTimestamp(m.at)}, {"value", m.value}, {"alert", m.alert}};
  json["threshold"] = m.threshold ? Json(*m.threshold) : Json();
  return json;
}

/// Ticks and, for each column, a cell [version, distance, threshold] (or null) for each tick.
Json DriftJson(const std::vector<Measurement>& measurements) {
  std::set<Timestamp> times;
  for (const Measurement& m : measurements) {
    if (m.name == "drift.column") times.insert(m.at);
  }
  std::vector<Timestamp> ticks(times.begin(), times.end());
  if (ticks.size() > kTicksMax) ticks.erase(ticks.begin(), ticks.end() - static_cast<ptrdiff_t>(kTicksMax));
  std::map<std::string, Json> cells;
  for (const Measurement& m : measurements) {
    if (m.name != "drift.column" || ticks.empty() || m.at < ticks.front()) continue;
    Json& column = cells.try_emplace(m.subject, Json(std::vector<Json>(ticks.size()))).first->second;
    const auto tick = static_cast<size_t>(std::lower_bound(ticks.begin(), ticks.end(), m.at) - ticks.begin());
    column[tick] = {m.version, m.value, m.threshold.value_or(0)};
  }
  Json json = {{"ticks", Json::array()}, {"columns", Json::array()}};
  for (const Timestamp tick : ticks) json["ticks"].push_back(FormatTimestamp(tick));
  for (auto& [name, column] : cells) json["columns"].push_back({{"name", name}, {"cells", std::move(column)}});
  return json;
}

void AddMeasurements(const std::vector<Measurement>& measurements, const std::string& metric, Json& model) {
  for (const char* series : {"performance", "first", "drift_share"}) model[series] = Json::array();
  std::map<Timestamp, double> drifted_columns;
  for (const Measurement& m : measurements) {
    if (m.name == "drift.columns") drifted_columns[m.at] = m.value;
  }
  for (const Measurement& m : measurements) {
    if (m.name == "performance." + metric) model["performance"].push_back(PointJson(m));
    if (m.name == "first." + metric) model["first"].push_back(PointJson(m));
    if (m.name != "drift.share") continue;
    Json point = PointJson(m);
    point["columns"] = drifted_columns.contains(m.at) ? drifted_columns[m.at] : 0;
    model["drift_share"].push_back(std::move(point));
  }
  model["drift"] = Shortened(DriftJson(measurements));
}

Result<Json> ModelJson(Catalog& catalog, const ModelAsset& asset) {
  Json model = {{"name", asset.name}, {"condition", asset.retrain_when}};
  const std::string metric = asset.monitor && !asset.monitor->performance_metric.empty() ? asset.monitor->performance_metric : "auc";
  model["metric"] = metric;
  if (asset.monitor) model["window"] = FormatDuration(asset.monitor->window);
  TIDEMILL_ASSIGN_OR_RETURN(const std::optional<int64_t> champion, catalog.Alias(asset.name, kChampionAlias));
  model["champion"] = champion ? Json(*champion) : Json();
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<AliasChange> changes, catalog.AliasHistory(asset.name));
  model["aliases"] = Json::array();
  for (const AliasChange& change : changes) {
    model["aliases"].push_back({{"alias", change.alias}, {"version", change.version}, {"at", FormatTimestamp(change.at)}, {"reason", change.reason}});
  }
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<ModelVersion> versions, catalog.ModelVersions(asset.name));
  model["versions"] = Json::array();
  for (const ModelVersion& version : versions) {
    const bool newest = version.version > static_cast<int64_t>(versions.size()) - kVersionsWithCurves;
    model["versions"].push_back(VersionJson(version, newest || champion == version.version));
  }
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Measurement> measurements, catalog.Measurements(asset.name, ""));
  AddMeasurements(measurements, metric, model);
  return model;
}

Result<Json> ModelsJson(Catalog& catalog, const Project& project) {
  Json models = Json::array();
  for (const auto& [name, asset] : project.models) {
    TIDEMILL_ASSIGN_OR_RETURN(Json model, ModelJson(catalog, asset));
    models.push_back(std::move(model));
  }
  return models;
}

/// Of each view: how its logged online answers compared with batch, over time.
Result<Json> SkewJson(Catalog& catalog, const Project& project) {
  Json views = Json::array();
  std::vector<std::string> names;
  for (const auto& [name, asset] : project.views) names.push_back(name);
  for (const auto& [name, asset] : project.derived_views) names.push_back(name);
  for (const std::string& name : names) {
    TIDEMILL_ASSIGN_OR_RETURN(std::vector<Measurement> measured, catalog.Measurements(name, "skew"));
    if (measured.empty()) continue;
    if (measured.size() > kTicksMax) measured.erase(measured.begin(), measured.end() - static_cast<ptrdiff_t>(kTicksMax));
    Json checks = Json::array();
    for (const Measurement& m : measured) {
      const Json answers = Member(m.detail, "answers");
      checks.push_back({{"at", FormatTimestamp(m.at)},
                        {"answers", answers.is_number() ? answers : Json(0)},
                        {"different", m.value},
                        {"alert", m.alert}});
    }
    views.push_back({{"view", name}, {"checks", std::move(checks)}});
  }
  return views;
}

/// The replay's own figures, and from its branch, where that is still there, the models that it trained.
Result<Json> ReplayJson(const Workspace& workspace, const Json& replay) {
  Json json = replay;
  const Json folder = Member(replay, "folder");
  if (!folder.is_string()) return json;
  const std::filesystem::path branch = workspace.project.root / folder.get<std::string>();
  const std::filesystem::path catalog_file = branch / "catalog.sqlite";
  std::error_code ignored;
  if (!std::filesystem::exists(catalog_file, ignored) || std::filesystem::equivalent(branch, workspace.state_folder, ignored)) return json;
  const SystemClock clock;
  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Catalog> catalog, Catalog::Open(catalog_file, clock));
  TIDEMILL_ASSIGN_OR_RETURN(json["models"], ModelsJson(*catalog, workspace.project));
  return json;
}

}  // namespace

Result<std::string> RenderReport(Workspace& workspace, const Json* replay) {
  Json data;
  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, workspace.lake->Connect());
  TIDEMILL_RETURN_IF_ERROR(AddRuns(*workspace.catalog, data));
  TIDEMILL_RETURN_IF_ERROR(AddProfiles(workspace, *session, data));
  TIDEMILL_RETURN_IF_ERROR(AddQuarantine(workspace, *session, data));
  TIDEMILL_RETURN_IF_ERROR(AddAssets(workspace, data));
  TIDEMILL_ASSIGN_OR_RETURN(data["models"], ModelsJson(*workspace.catalog, workspace.project));
  TIDEMILL_ASSIGN_OR_RETURN(data["skew"], SkewJson(*workspace.catalog, workspace.project));
  data["project"] = {{"name", workspace.project.name}, {"clock", LatestClock(data.at("runs"))}};
  data["replay"] = Json();
  if (replay != nullptr) {
    TIDEMILL_ASSIGN_OR_RETURN(data["replay"], ReplayJson(workspace, *replay));
  }
  return RenderPage(data);
}

}  // namespace tidemill
