#include <memory>

#include <fmt/format.h>

#include "base/number_text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/table.h"

namespace tidemill {
namespace {

constexpr int64_t kSnapshotsDefault = 20;
constexpr Duration kKeepDefault{7 * kMicrosPerDay};

Status VerifyLake(CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(OpenedLake opened, OpenLakeForReading(context.project, std::nullopt));
  TIDEMILL_ASSIGN_OR_RETURN(const int64_t snapshot, opened.lake->CurrentSnapshot());
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<DataFileProblem> problems, opened.lake->Verify({}, snapshot));
  if (context.json) {
    Json json = Json::array();
    for (const DataFileProblem& problem : problems)
      json.push_back({{"table", problem.table}, {"path", problem.path}, {"problem", problem.problem}});
    TIDEMILL_RETURN_IF_ERROR(context.console.WriteJson({{"snapshot", snapshot}, {"problems", std::move(json)}}));
  } else if (problems.empty()) {
    context.console.Tell(context.console.ErrStyle(Style::kGood, "✓") + " every data file is as it was written\n");
  } else {
    TableWriter table(context.console, {{"table"}, {"file"}, {"problem"}});
    for (const DataFileProblem& problem : problems)
      TIDEMILL_RETURN_IF_ERROR(table.Add({problem.table, problem.path, problem.problem}));
    TIDEMILL_RETURN_IF_ERROR(table.Finish());
  }
  if (problems.empty()) return Ok();
  return UserError("lake_damaged",
                   fmt::format("{} data file{} not as written", problems.size(), problems.size() == 1 ? " is" : "s are"),
                   "restore the files named above from a copy; nothing was changed");
}

Status CompactLake(Duration keep, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(OpenedLake opened, OpenLakeForWriting(context.project));
  opened.session.reset();
  TIDEMILL_ASSIGN_OR_RETURN(const Json summary, opened.lake->Compact(keep, context.clock.Now()));
  if (context.json) return context.console.WriteJson(summary);
  TableWriter table(context.console, {{"what"}, {"value", true}});
  for (const auto& [name, value] : summary.items()) {
    TIDEMILL_RETURN_IF_ERROR(table.Add({name, value.is_number_integer() ? GroupedNumber(value.get<int64_t>()) : value.dump()}));
  }
  return table.Finish();
}

Status ListSnapshots(int64_t limit, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(OpenedLake opened, OpenLakeForReading(context.project, std::nullopt));
  TIDEMILL_ASSIGN_OR_RETURN(std::vector<SnapshotInfo> snapshots, opened.lake->Snapshots());
  const size_t total = snapshots.size();
  if (limit > 0 && total > static_cast<size_t>(limit)) snapshots.erase(snapshots.begin(), snapshots.end() - limit);
  if (context.json) {
    Json json = Json::array();
    for (const SnapshotInfo& snapshot : snapshots) {
      json.push_back({{"snapshot", snapshot.id},
                      {"created_at", FormatTimestamp(snapshot.created_at)},
                      {"message", snapshot.message},
                      {"extra", snapshot.extra}});
    }
    return context.console.WriteJson(json);
  }
  TableWriter table(context.console, {{"snapshot", true}, {"created at"}, {"message"}});
  for (const SnapshotInfo& snapshot : snapshots) {
    TIDEMILL_RETURN_IF_ERROR(table.Add({std::to_string(snapshot.id), FormatTimestamp(snapshot.created_at), snapshot.message}));
  }
  TIDEMILL_RETURN_IF_ERROR(table.Finish());
  if (snapshots.size() == total) return Ok();
  TIDEMILL_RETURN_IF_ERROR(context.console.Flush());
  context.console.Tell(fmt::format("the newest {} of {}; --limit 0 shows all\n", snapshots.size(), total));
  return Ok();
}

}  // namespace

Command MakeLakeCommand() {
  Command verify;
  verify.name = "verify";
  verify.summary = "Compare every data file with its digest when it was written";
  verify.examples = {{"tidemill lake verify", "fails when a file is missing or changed, and says which"}};
  verify.run = VerifyLake;

  const auto keep = std::make_shared<std::optional<Duration>>();
  Command compact;
  compact.name = "compact";
  compact.summary = "Merge small files and let go of old snapshots";
  compact.details = "What a model version was trained on stays, and contents do not change.";
  compact.examples = {{"tidemill lake compact --keep 1d", "old versions of the last day stay"}};
  compact.parameters.push_back(Option("--keep", "DURATION", "snapshots younger than this stay (default: 7d)", keep.get()));
  compact.run = [keep](CommandContext& context) { return CompactLake(keep->value_or(kKeepDefault), context); };

  const auto limit = std::make_shared<std::optional<int64_t>>();
  Command snapshots;
  snapshots.name = "snapshots";
  snapshots.summary = "The versions of the lake, newest last";
  snapshots.examples = {{"tidemill lake snapshots --limit 5", "the newest five"}};
  snapshots.parameters.push_back(Option("--limit", "COUNT", "at most this many, 0: all (default: 20)", limit.get(), 0));
  snapshots.run = [limit](CommandContext& context) { return ListSnapshots(limit->value_or(kSnapshotsDefault), context); };

  Command lake;
  lake.name = "lake";
  lake.summary = "Care of the lake";
  lake.commands = {std::move(verify), std::move(compact), std::move(snapshots)};
  return lake;
}

}  // namespace tidemill
