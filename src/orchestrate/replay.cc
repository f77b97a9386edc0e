#include "orchestrate/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/files.h"
#include "base/sha256.h"
#include "model/predictor.h"
#include "orchestrate/asset_names.h"
#include "orchestrate/model_steps.h"

namespace tidemill {
namespace {

constexpr std::string_view kReportFile = "replay.json";

std::optional<double> NumberIn(const Json& json, const std::string& key) {
  const Json value = json.value(key, Json());
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

Json OrNull(std::optional<double> value) { return value ? Json(*value) : Json(nullptr); }

std::string MonthOf(Timestamp time) { return FormatTimestamp(time).substr(0, 7); }

Result<std::string> ChooseModel(const Project& project, const std::string& asked) {
  if (!asked.empty()) {
    if (!project.models.contains(asked)) return UserError("unknown_model", "there is no model '" + asked + "'");
    return asked;
  }
  if (project.models.size() == 1) return project.models.begin()->first;
  return UserError("which_model", project.models.empty() ? "the project has no model to replay" : "the project has several models",
                   "name one with --model");
}

/// What the report depends on: equal texts mean that a replay would give the same again.
std::string ReplayKey(const Workspace& workspace, const std::string& model, const Json& sources, const ReplayOptions& options) {
  const Json key = {{"fingerprint", workspace.fingerprints.at(model)},
                    {"definition", workspace.project.Find(model)->definition},
                    {"policy", workspace.project.models.at(model).retrain_when},
                    {"definitions", workspace.project.definitions},
                    {"sources", sources},
                    {"from", FormatTimestamp(options.from)},
                    {"until", FormatTimestamp(options.until)},
                    {"every", FormatDuration(options.every)}};
  return Sha256(key.dump());
}

ReplayMonth MonthFromJson(const Json& json) {
  ReplayMonth month;
  month.month = json.value("month", "");
  month.rows = json.value("rows", int64_t{0});
  month.positive_share = json.value("positive_share", 0.0);
  month.drifted_features = json.value("drifted_features", int64_t{0});
  month.auc_first = NumberIn(json, "auc_first");
  month.auc_live = NumberIn(json, "auc_live");
  month.average_precision_first = NumberIn(json, "average_precision_first");
  month.average_precision_live = NumberIn(json, "average_precision_live");
  month.retrainings = json.value("retrainings", std::vector<std::string>());
  return month;
}

ReplayReport ReportFromJson(const Json& json) {
  ReplayReport report;
  report.folder = json.value("folder", "");
  report.ticks = json.value("ticks", int64_t{0});
  report.alerts = json.value("alerts", int64_t{0});
  report.retrainings = json.value("retrainings", int64_t{0});
  report.promotions = json.value("promotions", int64_t{0});
  report.seconds = json.value("seconds", 0.0);
  for (const Json& month : json.value("months", Json::array())) report.months.push_back(MonthFromJson(month));
  return report;
}

/// A replay's own workspace, and what it has seen so far.
class Replay {
 public:
  Replay(Workspace& branch, const ReplayOptions& options, std::string model, const Progress& progress)
      : branch_(branch), options_(options), model_(std::move(model)), progress_(progress) {}

  Result<ReplayReport> Run() {
    Timestamp previous = options_.from;
    for (Timestamp tick = options_.from; tick <= options_.until; tick = tick + options_.every) {
      TIDEMILL_RETURN_IF_ERROR(Tick(previous, tick));
      previous = tick;
    }
    // The last stretch is shorter than a tick; labels of its rows are those known by the end.
    if (previous < options_.until) TIDEMILL_RETURN_IF_ERROR(Tick(previous, options_.until));
    TIDEMILL_RETURN_IF_ERROR(SummariseMonths());
    return std::move(report_);
  }

 private:
  void Note(const std::string& text) const {
    if (progress_) progress_({ProgressEvent::Kind::kNote, "", text, 0});
  }

  Status Tick(Timestamp previous, Timestamp tick) {
    RunOptions run;
    run.now = tick;
    run.assets = {model_};
    run.command = "replay tick";
    const auto started = std::chrono::steady_clock::now();
    if (progress_) progress_({ProgressEvent::Kind::kStarted, FormatTimestamp(tick), "tick", 0});
    auto summary = RunProject(branch_, run, nullptr);
    if (!summary.ok()) return summary.error().WithContext("at " + FormatTimestamp(tick));
    TIDEMILL_RETURN_IF_ERROR(ScoreWithFirst(previous, tick));
    ++report_.ticks;
    TIDEMILL_ASSIGN_OR_RETURN(const std::string text, TickText(tick));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    if (progress_) progress_({ProgressEvent::Kind::kFinished, FormatTimestamp(tick).substr(0, 10), text, seconds});
    for (const std::string& note : summary->notes) Note(note);
    return Ok();
  }

  Result<std::string> TickText(Timestamp tick) {
    TIDEMILL_ASSIGN_OR_RETURN(const auto measurements, branch_.catalog->Measurements(model_, ""));
    std::string text;
    for (const Measurement& measurement : measurements) {
      if (measurement.at != tick || !measurement.subject.empty()) continue;
      if (measurement.alert) ++report_.alerts;
      text += fmt::format("{}{} {:.3f}{}", text.empty() ? "" : ", ", measurement.name, measurement.value, measurement.alert ? " (alert)" : "");
    }
    return text.empty() ? std::string("nothing to measure yet") : text;
  }

  /// The first model, left alone, on the rows that the live one has just scored.
  Status ScoreWithFirst(Timestamp previous, Timestamp tick) {
    if (!first_) {
      TIDEMILL_ASSIGN_OR_RETURN(const auto champion, branch_.catalog->Alias(model_, kChampionAlias));
      if (!champion) return Ok();
      TIDEMILL_ASSIGN_OR_RETURN(const ModelVersion version, branch_.catalog->GetModelVersion(model_, *champion));
      TIDEMILL_ASSIGN_OR_RETURN(const ModelPackage package, LoadPackage(branch_, version));
      TIDEMILL_ASSIGN_OR_RETURN(first_, Predictor::Load(package, branch_.project.threads));
      first_until_ = version.project_clock;
    }
    TIDEMILL_ASSIGN_OR_RETURN(const Columns rows, ReadScoredRows(branch_, model_, std::max(previous, first_until_), tick));
    if (rows.rows() == 0) return Ok();
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<double> scores, first_->Predict(rows));
    const Column& seq = *rows.Find("_seq");
    for (size_t row = 0; row < scores.size(); ++row) first_scores_[seq.ints[row]] = scores[row];
    return Ok();
  }

  struct MonthRows {
    std::vector<double> first, live;
    std::vector<int> labels;
  };

  Status SummariseMonths() {
    TIDEMILL_ASSIGN_OR_RETURN(const Columns rows, ReadScoredRows(branch_, model_, std::max(options_.from, first_until_), options_.until));
    std::map<std::string, MonthRows> months;
    CollectMonths(rows, &months);
    for (auto& [name, month_rows] : months) {
      ReplayMonth month;
      month.month = name;
      month.rows = static_cast<int64_t>(month_rows.labels.size());
      month.positive_share = static_cast<double>(std::count(month_rows.labels.begin(), month_rows.labels.end(), 1)) /
                             static_cast<double>(std::max<int64_t>(month.rows, 1));
      const Json first = EvaluateScores(month_rows.first, month_rows.labels);
      const Json live = EvaluateScores(month_rows.live, month_rows.labels);
      month.auc_first = NumberIn(first, "auc");
      month.auc_live = NumberIn(live, "auc");
      month.average_precision_first = NumberIn(first, "average_precision");
      month.average_precision_live = NumberIn(live, "average_precision");
      report_.months.push_back(std::move(month));
    }
    TIDEMILL_RETURN_IF_ERROR(AddDrift());
    TIDEMILL_RETURN_IF_ERROR(StoreFirstMeasurements());
    return AddRetrainings();
  }

  void CollectMonths(const Columns& rows, std::map<std::string, MonthRows>* months) const {
    if (rows.rows() == 0) return;
    const Column& seq = *rows.Find("_seq");
    const Column& at = *rows.Find("predicted_at");
    const Column& score = *rows.Find("score");
    const Column& label = *rows.Find("label");
    for (size_t row = 0; row < rows.rows(); ++row) {
      const auto first = first_scores_.find(seq.ints[row]);
      if (label.IsNull(row) || first == first_scores_.end()) continue;
      MonthRows& month = (*months)[MonthOf(Timestamp{at.ints[row]})];
      month.first.push_back(first->second);
      month.live.push_back(score.doubles[row]);
      month.labels.push_back(static_cast<int>(label.ints[row]));
    }
  }

  ReplayMonth* Month(Timestamp time) {
    for (ReplayMonth& month : report_.months) {
      if (month.month == MonthOf(time)) return &month;
    }
    return nullptr;
  }

  /// Drifted features at the last tick of each month.
  Status AddDrift() {
    TIDEMILL_ASSIGN_OR_RETURN(const auto measurements, branch_.catalog->Measurements(model_, "drift.columns"));
    for (const Measurement& measurement : measurements) {
      if (ReplayMonth* month = Month(measurement.at)) month->drifted_features = static_cast<int64_t>(measurement.value);
    }
    return Ok();
  }

  /// So that the report draws the first model beside the live one.
  Status StoreFirstMeasurements() {
    std::vector<Measurement> measurements;
    for (const ReplayMonth& month : report_.months) {
      if (!month.auc_first) continue;
      TIDEMILL_ASSIGN_OR_RETURN(const Timestamp start, ParseTimestamp(month.month + "-01"));
      Measurement measurement;
      measurement.model = model_;
      measurement.version = 1;
      measurement.at = std::min(start + Duration{31 * kMicrosPerDay}, options_.until);
      measurement.name = "first.auc";
      measurement.value = *month.auc_first;
      measurement.detail = Json::object();
      measurements.push_back(std::move(measurement));
    }
    return branch_.catalog->AddMeasurements(measurements);
  }

  Status AddRetrainings() {
    TIDEMILL_ASSIGN_OR_RETURN(const auto versions, branch_.catalog->ModelVersions(model_));
    for (const ModelVersion& version : versions) {
      if (version.version == versions.front().version) continue;
      ++report_.retrainings;
      const bool accepted = version.status == "accepted";
      if (accepted) ++report_.promotions;
      ReplayMonth* month = Month(version.project_clock);
      if (month == nullptr) continue;
      month->retrainings.push_back(fmt::format("{}: {}; version {} {}", FormatTimestamp(version.project_clock).substr(0, 10), version.reason,
                                               version.version, accepted ? "accepted" : "refused"));
    }
    return Ok();
  }

  Workspace& branch_;
  const ReplayOptions& options_;
  const std::string model_;
  const Progress& progress_;
  std::unique_ptr<Predictor> first_;
  Timestamp first_until_;
  std::map<int64_t, double> first_scores_;  ///< by `_seq`; as many as rows were scored
  ReplayReport report_;
};

/// Takes derived tables out of a branch's copy of the lake: a replay makes its own.
Status DropDerived(Workspace& branch) {
  const auto commit = branch.lake->Commit("a branch for a replay", Json::object(), [&](Session& session) -> Status {
    for (const auto& [name, unused] : branch.project.tables) {
      TIDEMILL_RETURN_IF_ERROR(session.Execute("DROP TABLE IF EXISTS " + MainTable(name)));
    }
    for (const auto& [name, unused] : branch.project.models) {
      for (const char* schema : {"scores", "training"}) {
        TIDEMILL_ASSIGN_OR_RETURN(const bool exists, branch.lake->HasTable(fmt::format("{}.{}", schema, name)));
        if (exists) TIDEMILL_RETURN_IF_ERROR(session.Execute(fmt::format("DROP TABLE lake.{}.{}", schema, QuoteIdentifier(name))));
      }
    }
    return Ok();
  });
  return commit.ok() ? Ok() : Status(commit.error());
}

Result<Workspace> MakeBranch(Workspace& production, const std::filesystem::path& folder, const Clock& clock, const std::vector<AssetState>& sources) {
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  TIDEMILL_RETURN_IF_ERROR(MakeFolders(folder));
  TIDEMILL_RETURN_IF_ERROR(production.lake->CopyTo(folder / "lake", /*link=*/true));
  TIDEMILL_ASSIGN_OR_RETURN(Workspace branch, OpenWorkspaceAt(production.project, folder, clock));
  TIDEMILL_RETURN_IF_ERROR(DropDerived(branch));
  for (AssetState state : sources) {
    state.project_clock = Timestamp{0};
    TIDEMILL_RETURN_IF_ERROR(branch.catalog->PutState(state));
  }
  return branch;
}

Result<std::vector<AssetState>> SourceStates(Workspace& production) {
  std::vector<AssetState> states;
  for (const auto& [name, unused] : production.project.sources) {
    TIDEMILL_ASSIGN_OR_RETURN(const auto state, production.catalog->State(name));
    if (state) states.push_back(*state);
  }
  return states;
}

}  // namespace

Json ReplayReport::ToJson() const {
  Json list = Json::array();
  for (const ReplayMonth& month : months) {
    list.push_back({{"month", month.month},
                    {"rows", month.rows},
                    {"positive_share", month.positive_share},
                    {"drifted_features", month.drifted_features},
                    {"auc_first", OrNull(month.auc_first)},
                    {"auc_live", OrNull(month.auc_live)},
                    {"average_precision_first", OrNull(month.average_precision_first)},
                    {"average_precision_live", OrNull(month.average_precision_live)},
                    {"retrainings", month.retrainings}});
  }
  return {{"folder", folder},           {"months", std::move(list)}, {"ticks", ticks},     {"alerts", alerts},
          {"retrainings", retrainings}, {"promotions", promotions},  {"seconds", seconds}};
}

Result<ReplayReport> ReplayProject(Workspace& production, const ReplayOptions& options, const Clock& clock, const Progress& progress) {
  const auto started = std::chrono::steady_clock::now();
  TIDEMILL_ASSIGN_OR_RETURN(const std::string model, ChooseModel(production.project, options.model));
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<AssetState> sources, SourceStates(production));
  Json source_versions = Json::object();
  for (const AssetState& state : sources) source_versions[state.asset] = state.version;
  const std::string name = fmt::format("{}_{}_{}_{}", model, FormatTimestamp(options.from).substr(0, 10),
                                       FormatTimestamp(options.until).substr(0, 10), FormatDuration(options.every));
  const std::filesystem::path folder = production.state_folder / "replays" / name;
  const std::string key = ReplayKey(production, model, source_versions, options);

  const auto saved = ReadFile(folder / kReportFile);
  if (saved.ok()) {
    const Json json = Json::parse(*saved, nullptr, false);
    if (json.is_object() && json.value("key", "") == key) {
      if (progress) progress({ProgressEvent::Kind::kNote, model, "nothing has changed since this replay was made: these are its results", 0});
      return ReportFromJson(json);
    }
  }
  ReplayReport report;
  {
    TIDEMILL_ASSIGN_OR_RETURN(Workspace branch, MakeBranch(production, folder, clock, sources));
    TIDEMILL_ASSIGN_OR_RETURN(report, Replay(branch, options, model, progress).Run());
  }
  report.folder = std::filesystem::relative(folder, production.project.root).string();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  Json json = report.ToJson();
  json["key"] = key;
  json["model"] = model;
  json["from"] = FormatTimestamp(options.from);
  json["until"] = FormatTimestamp(options.until);
  json["every"] = FormatDuration(options.every);
  TIDEMILL_RETURN_IF_ERROR(WriteFileAtomic(folder / kReportFile, json.dump(2)));
  return report;
}

}  // namespace tidemill
