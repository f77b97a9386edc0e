#include <memory>

#include <fmt/format.h>

#include "api/report.h"
#include "base/files.h"
#include "base/value_json.h"
#include "cli/commands.h"
#include "cli/open.h"

namespace tidemill {
namespace {

struct ReportArguments {
  std::optional<std::string> out;
  std::optional<std::string> replay;
};

/// The replay named, else the newest one; nullopt when there is none.
Result<std::optional<Json>> ReadReplay(const std::filesystem::path& replays, const std::optional<std::string>& name) {
  std::filesystem::path newest;
  if (name) {
    newest = replays / *name / "replay.json";
    if (!std::filesystem::exists(newest)) return UserError("unknown_replay", fmt::format("there is no replay '{}'", *name));
  } else {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(replays, ignored)) {
      const std::filesystem::path file = entry.path() / "replay.json";
      if (!std::filesystem::exists(file)) continue;
      if (newest.empty() || std::filesystem::last_write_time(file) > std::filesystem::last_write_time(newest)) newest = file;
    }
  }
  if (newest.empty()) return std::optional<Json>();
  TIDEMILL_ASSIGN_OR_RETURN(const std::string text, ReadFile(newest));
  TIDEMILL_ASSIGN_OR_RETURN(Json json, ParseJson(text));
  return std::optional<Json>(std::move(json));
}

Status RunReport(const ReportArguments& arguments, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(Workspace workspace, OpenWorkspace(context.project, context.clock));
  TIDEMILL_ASSIGN_OR_RETURN(const std::optional<Json> replay,
                            ReadReplay(StatePaths{workspace.state_folder}.replays(), arguments.replay));
  TIDEMILL_ASSIGN_OR_RETURN(const std::string html, RenderReport(workspace, replay ? &*replay : nullptr));
  const std::string out = arguments.out.value_or("report.html");
  if (out == "-") return context.console.Write(html);
  TIDEMILL_RETURN_IF_ERROR(WriteFileAtomic(out, html));
  if (context.json) return context.console.WriteJson({{"file", out}, {"bytes", html.size()}});
  context.console.Tell(fmt::format("{} wrote {}\n", context.console.ErrStyle(Style::kGood, "✓"), out));
  return Ok();
}

}  // namespace

Command MakeReportCommand() {
  const auto arguments = std::make_shared<ReportArguments>();
  Command command;
  command.name = "report";
  command.summary = "One HTML page: the graph, runs, data, models, drift and performance over time";
  command.examples = {{"tidemill report", "writes report.html"}, {"tidemill report --out - > page.html", "to stdout"}};
  command.parameters.push_back(
      Option("--out", "FILE", "where to, - for stdout (default: report.html)", &arguments->out).Offering(Completes::kFiles));
  command.parameters.push_back(Option("--replay", "NAME", "the replay to show (default: the newest)", &arguments->replay));
  command.run = [arguments](CommandContext& context) { return RunReport(*arguments, context); };
  return command;
}

}  // namespace tidemill
