#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ingest/ingest.h"
#include "orchestrate/asset_names.h"
#include "orchestrate/definition_change.h"
#include "orchestrate/run.h"

namespace tidemill {
namespace {

std::string Counted(int64_t count, std::string_view what) { return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s"); }

/// Walks the graph once, inputs first, and notes what is not up to date.
class Planner {
 public:
  Planner(Workspace& workspace, Timestamp now) : workspace_(workspace), now_(now) {}

  Result<std::vector<PlanStep>> Plan(const std::vector<std::string>& assets) {
    TIDEMILL_ASSIGN_OR_RETURN(const auto nodes, SelectAssets(workspace_.project, assets));
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<AssetState> states, workspace_.catalog->States());
    for (const AssetState& state : states) states_[state.asset] = state;
    TIDEMILL_RETURN_IF_ERROR(CheckClock());
    for (const AssetNode* node : nodes) TIDEMILL_RETURN_IF_ERROR(Visit(*node));
    return std::move(steps_);
  }

 private:
  Status CheckClock() const {
    for (const auto& [name, state] : states_) {
      if (state.project_clock <= now_) continue;
      return UserError("clock_back",
                       fmt::format("the project clock can't go back: '{}' is at {}, asked for {}", name,
                                   FormatTimestamp(state.project_clock), FormatTimestamp(now_)),
                       "leave --now out or give a later time; 'tidemill replay' goes through history in a branch of its own");
    }
    return Ok();
  }

  Status Visit(const AssetNode& node) {
    switch (node.kind) {
      case AssetKind::kSource: return VisitSource(node);
      case AssetKind::kTable: return VisitTable(node);
      case AssetKind::kFeatureView: VisitView(node); return Ok();
      case AssetKind::kDerivedView: AddIfStale(node, "publish"); return Ok();
      case AssetKind::kModel: VisitModel(node); return Ok();
    }
    return Ok();
  }

  const AssetState* State(const std::string& name) const {
    const auto found = states_.find(name);
    return found == states_.end() ? nullptr : &found->second;
  }

  void Add(const std::string& asset, AssetKind kind, std::string action, std::string state, std::string reason) {
    if (state == "stale" || state == "new") stale_.insert(asset);
    pending_.insert(asset);
    steps_.push_back({asset, kind, std::move(action), std::move(state), std::move(reason)});
  }

  /// Why an asset whose fingerprint has changed is stale: its own definition, an input, or the engine.
  std::string StaleReason(const AssetNode& node, const AssetState& state) const {
    const std::string change = DescribeChange(state.detail.value("definition", ""), node.definition);
    if (!change.empty()) return change;
    for (const std::string& input : node.inputs) {
      if (stale_.contains(input)) return fmt::format("input {} is {}", input, State(input) == nullptr ? "new" : "stale");
    }
    return "the engine or the kernel has another version";
  }

  /// Adds a step when the asset is new or stale; true when it did.
  bool AddIfStale(const AssetNode& node, const std::string& action) {
    const AssetState* state = State(node.name);
    if (state == nullptr) {
      Add(node.name, node.kind, action, "new", "never made before");
      return true;
    }
    if (state->fingerprint == workspace_.fingerprints.at(node.name)) return false;
    Add(node.name, node.kind, action, "stale", StaleReason(node, *state));
    return true;
  }

  Status VisitSource(const AssetNode& node) {
    TIDEMILL_ASSIGN_OR_RETURN(const SourceStatus status,
                              InspectSource(workspace_.project, workspace_.project.sources.at(node.name), *workspace_.lake));
    if (AddIfStale(node, "ingest")) return Ok();
    if (!status.fresh.empty()) Add(node.name, node.kind, "ingest", "behind", Counted(static_cast<int64_t>(status.fresh.size()), "new file"));
    const bool pushed = workspace_.project.sources.at(node.name).pushed;
    if (pushed && status.content_version != State(node.name)->version) Add(node.name, node.kind, "ingest", "behind", "rows were pushed");
    return Ok();
  }

  /// The first input that is newer than what was read, or will be.
  std::string NewerInput(const std::vector<std::string>& inputs, const AssetState& state) const {
    for (const std::string& input : inputs) {
      const AssetState* input_state = State(input);
      const bool changed = input_state != nullptr && state.inputs.value(input, "") != input_state->version;
      if (changed || pending_.contains(input)) return input;
    }
    return "";
  }

  Status VisitTable(const AssetNode& node) {
    const TableAsset& table = workspace_.project.tables.at(node.name);
    if (AddIfStale(node, "compute")) return Ok();
    const AssetState& state = *State(node.name);
    const std::string action = table.update == TableUpdate::kAppend ? "append" : "compute";
    const std::string input = NewerInput(node.inputs, state);
    if (!input.empty()) {
      Add(node.name, node.kind, action, "behind", fmt::format("input {} is newer", input));
    } else if (state.next_known_at && *state.next_known_at <= now_) {
      Add(node.name, node.kind, action, "behind", fmt::format("rows became known since {}", FormatTimestamp(state.project_clock)));
    }
    return Ok();
  }

  void VisitView(const AssetNode& node) {
    if (AddIfStale(node, "materialize")) return;
    const std::string input = NewerInput(node.inputs, *State(node.name));
    if (!input.empty()) Add(node.name, node.kind, "materialize", "behind", fmt::format("input {} is newer", input));
  }

  void VisitModel(const AssetNode& node) {
    const FeaturePlan& plan = workspace_.feature_plans.at(node.name);
    VisitPart(node, RequestsName(node.name), "materialize", {plan.spine});
    const AssetState* trained = State(node.name);
    if (trained != nullptr) {
      std::vector<std::string> inputs = {plan.spine};
      for (const FeaturePlan::View& view : plan.views) inputs.push_back(view.table);
      VisitPart(node, ScoresName(node.name), "score", inputs);
      VisitMonitor(node);
    }
    if (trained == nullptr) {
      Add(node.name, node.kind, "train", "new", "never trained before");
      Add(ScoresName(node.name), node.kind, "score", "new", "the first version scores the last day");
    } else {
      AddIfStale(node, "train");
    }
  }

  void VisitPart(const AssetNode& node, const std::string& part, const std::string& action, const std::vector<std::string>& inputs) {
    const AssetState* state = State(part);
    if (state == nullptr) {
      Add(part, node.kind, action, "new", "never made before");
      return;
    }
    const std::string input = NewerInput(inputs, *state);
    if (!input.empty()) Add(part, node.kind, action, "behind", fmt::format("input {} is newer", input));
  }

  void VisitMonitor(const AssetNode& node) {
    const ModelAsset& model = workspace_.project.models.at(node.name);
    if (!model.monitor) return;
    const AssetState* state = State(MonitorName(node.name));
    const Timestamp last = state != nullptr ? state->project_clock : State(node.name)->project_clock;
    if (now_ - last >= model.monitor->interval) {
      Add(MonitorName(node.name), node.kind, "monitor", "behind", fmt::format("last measured {}", FormatTimestamp(last)));
    }
  }

  Workspace& workspace_;
  const Timestamp now_;
  std::map<std::string, AssetState> states_;
  std::set<std::string> stale_;
  std::set<std::string> pending_;
  std::vector<PlanStep> steps_;
};

}  // namespace

Result<std::vector<PlanStep>> MakePlan(Workspace& workspace, Timestamp now, const std::vector<std::string>& assets) {
  return Planner(workspace, now).Plan(assets);
}

}  // namespace tidemill
