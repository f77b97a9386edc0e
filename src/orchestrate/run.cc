#include "orchestrate/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "base/number_text.h"
#include "ingest/ingest.h"
#include "orchestrate/asset_names.h"
#include "orchestrate/failed_values.h"
#include "orchestrate/model_steps.h"
#include "orchestrate/verify_view.h"
#include "serve/answer_log.h"
#include "serve/materialize.h"
#include "transform/transform.h"

namespace tidemill {
namespace {

/// Logged answers of a view that are replayed after each materialization.
constexpr int64_t kAnswersVerified = 200;

/// Seconds since it was made.
class Stopwatch {
 public:
  double Seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// What a step did, for the record and the screen.
struct StepOutcome {
  int64_t rows = 0;
  std::string text;
};

std::string RowsText(int64_t rows) { return GroupedNumber(rows) + (rows == 1 ? " row" : " rows"); }

std::optional<AppendPosition> PositionOf(const AssetState& state) {
  const Json position = state.detail.value("position", Json());
  if (!position.is_object()) return std::nullopt;
  const auto known_until = ParseTimestamp(position.value("known_until", ""));
  if (!known_until.ok()) return std::nullopt;
  return AppendPosition{*known_until, position.value("seq_until", int64_t{-1})};
}

/// Brings the planned assets up to date, one after the other, and records each.
class Runner {
 public:
  Runner(Workspace& workspace, const RunOptions& options, int64_t run_id, const Progress& progress)
      : workspace_(workspace), options_(options), run_id_(run_id), progress_(progress) {}

  Result<RunSummary> Run(const std::vector<PlanStep>& plan) {
    for (const PlanStep& step : plan) planned_[step.asset] = step;
    TIDEMILL_ASSIGN_OR_RETURN(const auto nodes, SelectAssets(workspace_.project, options_.assets));
    for (const AssetNode* node : nodes) {
      if (node->kind == AssetKind::kSource) TIDEMILL_RETURN_IF_ERROR(Step(*node, node->name, [&] { return Ingest(*node); }));
      if (node->kind == AssetKind::kTable) TIDEMILL_RETURN_IF_ERROR(Step(*node, node->name, [&] { return Compute(*node); }));
    }
    if (options_.materialize) TIDEMILL_RETURN_IF_ERROR(Materialize(nodes));
    for (const AssetNode* node : nodes) {
      if (node->kind == AssetKind::kModel) TIDEMILL_RETURN_IF_ERROR(BringModelUp(*node));
    }
    return std::move(summary_);
  }

  const std::vector<Error>& errors() const { return errors_; }

 private:
  bool Planned(const std::string& name) const { return planned_.contains(name); }

  void Tell(ProgressEvent::Kind kind, const std::string& asset, const std::string& text, double seconds = 0) const {
    if (progress_) progress_({kind, asset, text, seconds});
  }

  std::string FailedInput(const AssetNode& node) const {
    for (const std::string& input : node.inputs) {
      if (failed_.contains(input)) return input;
    }
    return "";
  }

  /// Runs one planned step, records it, and remembers a failure; only a catalog that can't be written ends the run.
  template <class Work>
  Status Step(const AssetNode& node, const std::string& name, Work work) {
    if (!Planned(name)) return Ok();
    StepRecord record;
    record.run_id = run_id_;
    record.asset = name;
    record.reason = planned_.at(name).reason;
    const std::string failed_input = FailedInput(node);
    if (!failed_input.empty()) {
      failed_.insert(name);
      record.status = "skipped";
      record.error = fmt::format("input {} failed", failed_input);
      Tell(ProgressEvent::Kind::kFailed, name, record.error);
      return Keep(record);
    }
    Tell(ProgressEvent::Kind::kStarted, name, record.reason);
    const Stopwatch watch;
    Result<StepOutcome> outcome = work();
    record.seconds = watch.Seconds();
    if (outcome.ok()) {
      record.status = "succeeded";
      record.rows = outcome->rows;
      Tell(ProgressEvent::Kind::kFinished, name, outcome->text, record.seconds);
    } else {
      failed_.insert(name);
      failed_.insert(node.name);
      record.status = "failed";
      record.error = outcome.error().message;
      errors_.push_back(PlaceFailedValues(workspace_.project, outcome.error()));
      Tell(ProgressEvent::Kind::kFailed, name, record.error, record.seconds);
    }
    return Keep(record);
  }

  Status Keep(const StepRecord& record) {
    summary_.steps.push_back(record);
    return workspace_.catalog->AddStep(record);
  }

  AssetState NewState(const AssetNode& node, const std::string& name) const {
    AssetState state;
    state.asset = name;
    state.fingerprint = workspace_.fingerprints.at(node.name);
    state.inputs = Json::object();
    state.project_clock = options_.now;
    state.run_id = run_id_;
    state.detail = {{"definition", node.definition}};
    return state;
  }

  Status NoteInputs(const std::vector<std::string>& inputs, AssetState* state) const {
    for (const std::string& input : inputs) {
      TIDEMILL_ASSIGN_OR_RETURN(const auto input_state, workspace_.catalog->State(input));
      state->inputs[input] = input_state ? input_state->version : "";
    }
    return Ok();
  }

  Result<StepOutcome> Ingest(const AssetNode& node) {
    const SourceAsset& source = workspace_.project.sources.at(node.name);
    const auto progress = [&](int64_t rows) { Tell(ProgressEvent::Kind::kRunning, node.name, RowsText(rows)); };
    TIDEMILL_ASSIGN_OR_RETURN(const IngestReport report,
                              IngestSource(workspace_.project, source, *workspace_.lake, options_.now, run_id_, progress));
    AssetState state = NewState(node, node.name);
    state.version = report.content_version;
    TIDEMILL_RETURN_IF_ERROR(workspace_.catalog->PutState(state));
    for (const std::string& warning : report.warnings) summary_.notes.push_back(node.name + ": " + warning);
    StepOutcome outcome{report.rows, RowsText(report.rows)};
    if (report.quarantined > 0) outcome.text += fmt::format(", {} in quarantine", report.quarantined);
    return outcome;
  }

  Result<StepOutcome> Compute(const AssetNode& node) {
    const TableAsset& table = workspace_.project.tables.at(node.name);
    TIDEMILL_ASSIGN_OR_RETURN(const auto before, workspace_.catalog->State(node.name));
    AssetState state = NewState(node, node.name);
    AppendPosition position;
    const bool same_definition = before && before->fingerprint == state.fingerprint;
    if (same_definition) position = PositionOf(*before).value_or(AppendPosition{});
    const bool appends = table.update == TableUpdate::kAppend;
    TIDEMILL_ASSIGN_OR_RETURN(const TransformReport report, UpdateTable(workspace_.project, table, *workspace_.lake, options_.now, run_id_,
                                                                        appends ? &position : nullptr, workspace_.python.get()));
    TIDEMILL_RETURN_IF_ERROR(NoteInputs(node.inputs, &state));
    state.next_known_at = report.next_known_at;
    if (appends) {
      state.detail["position"] = {{"known_until", FormatTimestamp(position.known_until)}, {"seq_until", position.seq_until}};
    }
    const bool unchanged = appends && same_definition && report.rows_added == 0;
    state.version = unchanged ? before->version : fmt::format("{}:{}", report.snapshot, report.rows);
    TIDEMILL_RETURN_IF_ERROR(workspace_.catalog->PutState(state));
    StepOutcome outcome{report.rows, RowsText(report.rows)};
    if (appends && same_definition) outcome.text += fmt::format(", {} new", report.rows_added);
    return outcome;
  }

  /// Views and the spines' rows go into the online store together: one owner, one opening.
  Status Materialize(const std::vector<const AssetNode*>& nodes) {
    OnlineWork work;
    work.until = options_.now;
    std::vector<std::pair<const AssetNode*, std::string>> parts;
    for (const AssetNode* node : nodes) {
      if (!FailedInput(*node).empty()) continue;
      if (node->kind == AssetKind::kFeatureView && Planned(node->name)) {
        const std::string& table = workspace_.project.views.at(node->name).from;
        work.views.push_back({workspace_.programs.at(node->name), table, workspace_.project.tables.at(table).timestamp, ""});
        for (const PushedView& view : workspace_.pushed_views.at_once) {
          if (view.program.view == node->name) work.views.back().pushed_rows = RowsInLake(view);
        }
        parts.emplace_back(node, node->name);
      }
      if (node->kind == AssetKind::kDerivedView && Planned(node->name)) {
        work.derived_views[node->name] = workspace_.derived_plans.at(node->name);
        parts.emplace_back(node, node->name);
      }
      if (node->kind == AssetKind::kModel && Planned(RequestsName(node->name))) {
        work.spines.push_back(workspace_.feature_plans.at(node->name));
        parts.emplace_back(node, RequestsName(node->name));
      }
    }
    if (parts.empty()) return Ok();
    const Stopwatch watch;
    for (const auto& [node, name] : parts) Tell(ProgressEvent::Kind::kStarted, name, planned_.at(name).reason);
    const auto done = MaterializeWhereOwned(SiteOf(workspace_), *workspace_.lake, work);
    for (const OnlineWork::View& view : work.views) {
      for (const auto& [name, plan] : workspace_.derived_plans) {
        if (std::any_of(plan.views.begin(), plan.views.end(),
                        [&](const auto& used) { return used.program.view == view.program.view; }))
          derived_after_[name] = view.program.view;
      }
    }
    for (const auto& [node, name] : parts) {
      TIDEMILL_RETURN_IF_ERROR(Step(*node, name, [&]() -> Result<StepOutcome> {
        if (!done.ok()) return done.error();
        return Materialized(*node, name, *done, watch.Seconds());
      }));
    }
    return Ok();
  }

  Result<StepOutcome> Materialized(const AssetNode& node, const std::string& name, const OnlineSummary& done, double seconds) {
    AssetState state = NewState(node, name);
    if (node.kind == AssetKind::kDerivedView) {
      state.version = state.fingerprint.substr(0, 12);
      TIDEMILL_RETURN_IF_ERROR(workspace_.catalog->PutState(state));
      return StepOutcome{0, "computed when it is asked for"};
    }
    const bool is_view = node.kind == AssetKind::kFeatureView;
    const std::string table = is_view ? workspace_.project.views.at(node.name).from : workspace_.feature_plans.at(node.name).spine;
    TIDEMILL_RETURN_IF_ERROR(NoteInputs({table}, &state));
    state.version = fmt::format("{}:{}", state.fingerprint.substr(0, 12), state.inputs.value(table, ""));
    const auto report = done.views.find(node.name);
    if (report == done.views.end()) {
      TIDEMILL_RETURN_IF_ERROR(workspace_.catalog->PutState(state));
      return StepOutcome{0, "rows of the spine for requests by key"};
    }
    TIDEMILL_ASSIGN_OR_RETURN(const auto before, workspace_.catalog->State(name));
    if (before && before->detail.contains("rebuilt_until")) state.detail["rebuilt_until"] = before->detail["rebuilt_until"];
    if (report->second.rebuilt) state.detail["rebuilt_until"] = options_.now.micros;
    if (report->second.failures.any()) summary_.notes.push_back(report->second.failures.Sentence());
    TIDEMILL_RETURN_IF_ERROR(workspace_.catalog->PutState(state));
    TIDEMILL_ASSIGN_OR_RETURN(std::string verified, Verified(name));
    for (const auto& [derived, last] : derived_after_) {
      if (last != name) continue;
      TIDEMILL_ASSIGN_OR_RETURN(const std::string also, Verified(derived));
      verified += also;
    }
    return StepOutcome{report->second.rows, fmt::format("{} into {} entities (all views {:.2f} s){}", RowsText(report->second.rows),
                                                        report->second.entities, seconds, verified)};
  }

  /// Replays a sample of the view's logged answers; what differs is an alert.
  Result<std::string> Verified(const std::string& view) {
    TIDEMILL_ASSIGN_OR_RETURN(const ViewVerification report, VerifyView(workspace_, view, kAnswersVerified, options_.now));
    const OnlineSettings& online = workspace_.project.online;
    TIDEMILL_RETURN_IF_ERROR(TrimAnswers(*workspace_.lake, view, {options_.now - online.answers_age, online.answers_rows}));
    if (report.answers == 0) return std::string();
    const std::string of = workspace_.derived_plans.contains(view) ? " of " + view : "";
    if (report.answers_different == 0) return fmt::format(", {} online answers{} equal batch", report.answers, of);
    summary_.notes.push_back(fmt::format("alert: {} of {} online answers of {} differ from batch: 'tidemill features verify {}' shows them",
                                         report.answers_different, report.answers, view, view));
    return fmt::format(", {} of {} online answers{} differ from batch", report.answers_different, report.answers, of);
  }

  Status BringModelUp(const AssetNode& node) {
    const std::string failed_input = FailedInput(node);
    if (!failed_input.empty()) {
      planned_.try_emplace(node.name, PlanStep{node.name, node.kind, "train", "", "depends on " + failed_input});
      return Step(node, node.name, [] { return Result<StepOutcome>(StepOutcome{}); });
    }
    TIDEMILL_ASSIGN_OR_RETURN(const auto champion, workspace_.catalog->Alias(node.name, kChampionAlias));
    if (champion) {
      TIDEMILL_RETURN_IF_ERROR(Step(node, ScoresName(node.name), [&] { return Score(node, *champion); }));
      TIDEMILL_RETURN_IF_ERROR(Step(node, MonitorName(node.name), [&] { return Monitor(node, *champion); }));
    }
    TIDEMILL_RETURN_IF_ERROR(Step(node, node.name, [&] { return Train(node); }));
    if (champion || failed_.contains(node.name)) return Ok();
    TIDEMILL_ASSIGN_OR_RETURN(const auto first, workspace_.catalog->Alias(node.name, kChampionAlias));
    if (!first) return Ok();
    return Step(node, ScoresName(node.name), [&] { return Score(node, *first); });
  }

  Result<StepOutcome> Score(const AssetNode& node, int64_t version) {
    TIDEMILL_ASSIGN_OR_RETURN(const auto before, workspace_.catalog->State(ScoresName(node.name)));
    // A day back: rows that came late are scored too; those that have a score are left alone.
    const Timestamp from = (before ? before->project_clock : options_.now) - Duration{kMicrosPerDay};
    TIDEMILL_ASSIGN_OR_RETURN(const ScoreReport report, ScoreModel(workspace_, node.name, version, from, options_.now, run_id_));
    AssetState state = NewState(node, ScoresName(node.name));
    const FeaturePlan& plan = workspace_.feature_plans.at(node.name);
    std::vector<std::string> inputs = {plan.spine};
    for (const FeaturePlan::View& view : plan.views) inputs.push_back(view.table);
    TIDEMILL_RETURN_IF_ERROR(NoteInputs(inputs, &state));
    TIDEMILL_RETURN_IF_ERROR(workspace_.catalog->PutState(state));
    return StepOutcome{report.rows, RowsText(report.rows) + fmt::format(" by version {}", version)};
  }

  Result<StepOutcome> Monitor(const AssetNode& node, int64_t version) {
    TIDEMILL_ASSIGN_OR_RETURN(const ModelVersion live, workspace_.catalog->GetModelVersion(node.name, version));
    TIDEMILL_ASSIGN_OR_RETURN(const MonitorResult result, MonitorLiveModel(workspace_, node.name, live, options_.now));
    TIDEMILL_RETURN_IF_ERROR(workspace_.catalog->PutState(NewState(node, MonitorName(node.name))));
    std::string text = fmt::format("{} columns drifted", result.drifted_columns);
    if (result.performance) {
      text = fmt::format("{} {:.3f}, {}", workspace_.project.models.at(node.name).monitor->performance_metric, *result.performance, text);
    }
    for (const Measurement& measurement : result.measurements) {
      if (measurement.alert && measurement.subject.empty()) {
        summary_.notes.push_back(fmt::format("alert: {} {} is {:.3f}", node.name, measurement.name, measurement.value));
      }
    }
    TIDEMILL_RETURN_IF_ERROR(ConsiderRetraining(node, result));
    return StepOutcome{static_cast<int64_t>(result.measurements.size()), text};
  }

  /// Plans a training when the model's condition holds and the last one is long enough ago.
  Status ConsiderRetraining(const AssetNode& node, const MonitorResult& result) {
    if (!result.retrain || Planned(node.name)) return Ok();
    TIDEMILL_ASSIGN_OR_RETURN(const auto versions, workspace_.catalog->ModelVersions(node.name));
    const Duration since = options_.now - versions.back().project_clock;
    if (since < workspace_.project.models.at(node.name).retrain_at_most_every) return Ok();
    planned_[node.name] = {node.name, node.kind, "train", "condition", result.reason};
    return Ok();
  }

  Result<StepOutcome> Train(const AssetNode& node) {
    TIDEMILL_ASSIGN_OR_RETURN(const TrainReport report,
                              TrainAndGate(workspace_, node.name, planned_.at(node.name).reason, options_.now, run_id_));
    AssetState state = NewState(node, node.name);
    state.version = std::to_string(report.version);
    TIDEMILL_RETURN_IF_ERROR(workspace_.catalog->PutState(state));
    for (const ValueFailures& failures : report.failures) summary_.notes.push_back(node.name + ": " + failures.Sentence());
    summary_.notes.push_back(fmt::format("{}: {} ({})", node.name, report.text, planned_.at(node.name).reason));
    return StepOutcome{report.rows, fmt::format("{}, {}", RowsText(report.rows), report.text)};
  }

  Workspace& workspace_;
  const RunOptions& options_;
  const int64_t run_id_;
  const Progress& progress_;
  std::map<std::string, PlanStep> planned_;
  std::map<std::string, std::string> derived_after_;  ///< derived view: the last view that it uses to be brought up
  std::set<std::string> failed_;
  std::vector<Error> errors_;
  RunSummary summary_;
};

Error AllErrors(std::vector<Error> errors) {
  Error first = std::move(errors.front());
  for (size_t i = 1; i < errors.size(); ++i) first.others.push_back(std::move(errors[i]));
  return first;
}

}  // namespace

Result<RunSummary> RunProject(Workspace& workspace, const RunOptions& options, const Progress& progress) {
  const Stopwatch watch;
  TIDEMILL_ASSIGN_OR_RETURN(const int64_t run_id, workspace.catalog->BeginRun(options.command, options.now));
  const auto fail = [&](const Error& error) -> Error {
    const Status finished = workspace.catalog->FinishRun(run_id, "failed", error.message);
    return finished.ok() ? error : finished.error();
  };
  // What was pushed before the run began takes part in it.
  const Status flushed = options.materialize ? FlushPushes(SiteOf(workspace), *workspace.lake) : Ok();
  if (!flushed.ok()) return fail(flushed.error());
  const auto plan = MakePlan(workspace, options.now, options.assets);
  if (!plan.ok()) return fail(plan.error());
  Runner runner(workspace, options, run_id, progress);
  auto summary = runner.Run(*plan);
  if (!summary.ok()) return fail(summary.error());
  if (!runner.errors().empty()) return fail(AllErrors(runner.errors()));
  summary->run_id = run_id;
  summary->nothing_to_do = summary->steps.empty();
  summary->seconds = watch.Seconds();
  TIDEMILL_RETURN_IF_ERROR(workspace.catalog->FinishRun(run_id, "succeeded", ""));
  return summary;
}

}  // namespace tidemill
