#include "cli/features_join.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <regex>

#include <fmt/format.h>

#include "base/files.h"
#include "base/number_text.h"
#include "cli/progress_display.h"
#include "cli/read_only_sql.h"
#include "cli/rows_output.h"
#include "cli/table.h"
#include "orchestrate/retrieve.h"

namespace tidemill {
namespace {

constexpr int64_t kRowsShown = 100;

struct JoinArguments {
  std::string views;
  std::string spine;
  std::string time;
  std::optional<Timestamp> at;
  std::optional<Timestamp> from;
  std::optional<Timestamp> until;
  std::string output;
};

bool IsName(const std::string& text) { return std::regex_match(text, std::regex("[A-Za-z_][A-Za-z0-9_]*")); }

std::vector<std::string> SplitAtCommas(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else if (c != ' ') {
      parts.back() += c;
    }
  }
  std::erase(parts, "");
  return parts;
}

Status CheckWhat(const JoinArguments& arguments) {
  const bool changes = arguments.from || arguments.until;
  const int ways = (arguments.spine.empty() ? 0 : 1) + (arguments.at ? 1 : 0) + (changes ? 1 : 0);
  if (ways != 1) {
    return UserError("usage",
                     ways == 0 ? "say at which times: --spine, --at, or --from and --until"
                               : "only one of them: --spine, --at, or --from and --until",
                     "--spine joins to rows that you give, --at gives all entities at a time, --from and --until every change");
  }
  if (!arguments.time.empty() && arguments.spine.empty())
    return UserError("usage", "--time names a column of --spine, which isn't there");
  if (changes && !(arguments.from && arguments.until)) return UserError("usage", "--from and --until belong together");
  if (changes && *arguments.until < *arguments.from) return UserError("usage", "--until lies before --from");
  return Ok();
}

Result<RetrieveOptions> OptionsOf(const JoinArguments& arguments, const std::filesystem::path& shown) {
  TIDEMILL_RETURN_IF_ERROR(CheckWhat(arguments));
  RetrieveOptions options;
  options.views = SplitAtCommas(arguments.views);
  if (options.views.empty()) return UserError("usage", "no view is named", "--views origin_delays,carrier_delays");
  for (auto view = options.views.begin(); view != options.views.end(); ++view) {
    if (std::find(options.views.begin(), view, *view) != view)
      return UserError("usage", fmt::format("the view '{}' is named twice", *view));
  }
  options.spine = arguments.spine;
  if (!IsName(options.spine) && !options.spine.empty()) {
    TIDEMILL_ASSIGN_OR_RETURN(options.spine, CheckReadOnly(options.spine));
  }
  options.time = arguments.time;
  options.at = arguments.at;
  options.from = arguments.from;
  options.until = arguments.until;
  if (arguments.output.empty()) {
    options.file = shown;
  } else if (arguments.output.ends_with(".parquet")) {
    options.file = arguments.output;
    if (const auto parent = options.file.parent_path(); !parent.empty() && !std::filesystem::is_directory(parent))
      return UserError("no_folder", fmt::format("there is no folder '{}'", parent.string()), "look at the path after --output");
  } else if (IsName(arguments.output)) {
    options.table = arguments.output;
  } else {
    return UserError("usage", fmt::format("'{}' is neither a file that ends in .parquet nor a table's name", arguments.output));
  }
  return options;
}

Status Show(Workspace& workspace, const std::filesystem::path& file, const RetrieveReport& report, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, workspace.database->Connect());
  RowsOutput output;
  output.form = context.json ? RowsForm::kJson : RowsForm::kTable;
  output.rows_max = kRowsShown;
  TIDEMILL_ASSIGN_OR_RETURN(
      const bool truncated,
      WriteRows(context.console, *session, fmt::format("SELECT * FROM read_parquet({})", QuoteText(file.string())), output));
  if (!truncated) return Ok();
  TIDEMILL_RETURN_IF_ERROR(context.console.Flush());
  context.console.Tell(fmt::format("the first {} rows of {}; --output FILE.parquet or --output TABLE keeps all\n", kRowsShown,
                                   GroupedNumber(report.rows)));
  return Ok();
}

Json ReportToJson(const RetrieveOptions& options, const RetrieveReport& report) {
  Json columns = Json::array();
  for (const Field& field : report.columns) columns.push_back({{"name", field.name}, {"type", TypeName(field.type)}});
  Json json = {{"rows", report.rows}, {"seconds", report.seconds}, {"columns", std::move(columns)}};
  if (options.table.empty()) {
    json["file"] = options.file.string();
  } else {
    json["table"] = "features." + options.table;
    json["snapshot"] = *report.snapshot;
  }
  json["failures"] = Json::array();
  for (const ValueFailures& failures : report.failures) json["failures"].push_back(failures.ToJson());
  return json;
}

Status RunJoin(const JoinArguments& arguments, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(Workspace workspace, OpenWorkspace(context.project, context.clock));
  TIDEMILL_ASSIGN_OR_RETURN(const TemporaryFolder folder, TemporaryFolder::Make(workspace.temporary->path(), "show"));
  TIDEMILL_ASSIGN_OR_RETURN(const RetrieveOptions options, OptionsOf(arguments, folder.path() / "rows.parquet"));
  ProgressDisplay display(context.console);
  const auto report = RetrieveFeatures(workspace, options, context.Now(), display.AsProgress());
  if (!report.ok()) {
    const bool in_sql = report.error().place.has_value() && !IsName(options.spine);
    return in_sql ? PlaceInStatement(report.error(), options.spine, "spine") : report.error();
  }
  for (const ValueFailures& failures : report->failures) context.console.Tell(fmt::format("warning: {}\n", failures.Sentence()));
  if (arguments.output.empty()) return Show(workspace, options.file, *report, context);
  if (context.json) return context.console.WriteJson(ReportToJson(options, *report));
  context.console.Tell(fmt::format("{} {} rows with {} columns in {}, {}\n", context.console.ErrStyle(Style::kGood, "✓"),
                                   GroupedNumber(report->rows), report->columns.size(),
                                   options.table.empty() ? options.file.string() : "features." + options.table,
                                   FormatSeconds(report->seconds)));
  return Ok();
}

}  // namespace

Command MakeFeaturesJoinCommand() {
  const auto arguments = std::make_shared<JoinArguments>();
  Command command;
  command.name = "join";
  command.summary = "Features of many entities at many times, as of each time: the point-in-time join";
  command.details =
      "Gives each row of a spine the features as they could be known at its own time, in the spine's order, or makes the spine "
      "itself: --at gives all entities at a time, --from and --until a row for an entity at each moment when its answer may have changed. "
      "Spine columns with the names of a view's keys are its keys; derived views find their fields there too. Memory stays within 'memory_limit', whatever the sizes.";
  command.examples = {
      {"tidemill features join --spine \"SELECT origin, scheduled_departure FROM departures\" --time scheduled_departure --views origin_delays "
       "--output training.parquet",
       "a spine in SQL, into a file"},
      {"tidemill features join --spine departures --views origin_delays,carrier_delays --output joined",
       "a table of the project, into features.joined"},
      {"tidemill features join --views origin_delays --at 2013-06-01", "all entities at a time"},
      {"tidemill features join --views origin_delays --from 2013-06-01 --until 2013-06-02", "every change in a day"}};
  command.parameters.push_back(Option("--views", "VIEWS", "which feature views, with commas between them", &arguments->views));
  command.parameters.back().required = true;
  command.parameters.push_back(
      Option("--spine", "SQL", "the rows to join to: a table of the project, or a SELECT", &arguments->spine));
  command.parameters.push_back(
      Option("--time", "COLUMN", "the spine's column of times (default: the table's timestamp)", &arguments->time));
  command.parameters.push_back(Option("--at", "TIME", "all entities at this time", &arguments->at));
  command.parameters.push_back(Option("--from", "TIME", "every change after this time", &arguments->from));
  command.parameters.push_back(Option("--until", "TIME", "and up to this one", &arguments->until));
  command.parameters.push_back(Option("--output", "FILE|TABLE",
                                      "a file that ends in .parquet, or a table of the schema 'features' (default: shows rows)",
                                      &arguments->output));
  command.run = [arguments](CommandContext& context) { return RunJoin(*arguments, context); };
  return command;
}

}  // namespace tidemill
