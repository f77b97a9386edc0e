#include <map>
#include <memory>

#include <fmt/format.h>

#include "base/number_text.h"
#include "base/text_distance.h"
#include "base/value_json.h"
#include "catalog/catalog.h"
#include "cli/commands.h"
#include "cli/online_answers.h"
#include "cli/open.h"
#include "cli/rows_output.h"
#include "cli/show_model.h"
#include "cli/table.h"
#include "feature/online/entity_states.h"
#include "feature/online/online_memory.h"
#include "orchestrate/workspace.h"
#include "project/project.h"

namespace tidemill {
namespace {

constexpr int64_t kFirstRowsDefault = 5;

struct ShowArguments {
  std::string asset;
  std::optional<int64_t> at;
  std::optional<int64_t> limit;
  bool hidden = false;
};

/// What there is to tell about a table of the lake.
struct TableFacts {
  std::string name;
  int64_t rows = 0;
  int64_t snapshot = 0;
  Columns columns;  ///< name, type, nulls, distinct, min, max, mean
  std::optional<AssetState> state;
};

std::string LakeRelation(const std::string& table) {
  const size_t dot = table.find('.');
  if (dot == std::string::npos) return "lake.main." + QuoteIdentifier(table);
  return "lake." + QuoteIdentifier(table.substr(0, dot)) + "." + QuoteIdentifier(table.substr(dot + 1));
}

std::string RelationSql(const std::string& table, bool hidden, const std::vector<Field>& fields) {
  std::vector<std::string> excluded;
  for (const Field& field : fields) {
    if (!hidden && (field.name == "_seq" || field.name == "_known_at")) excluded.push_back(field.name);
  }
  const std::string without = excluded.empty() ? "" : fmt::format(" EXCLUDE ({})", fmt::join(excluded, ", "));
  return fmt::format("SELECT *{} FROM {}", without, LakeRelation(table));
}

Result<TableFacts> GatherFacts(OpenedLake& opened, const std::string& table, const std::string& relation,
                               const ShowArguments& arguments) {
  TableFacts facts;
  facts.name = table;
  if (arguments.at) {
    facts.snapshot = *arguments.at;
  } else {
    TIDEMILL_ASSIGN_OR_RETURN(facts.snapshot, opened.lake->CurrentSnapshot());
  }
  TIDEMILL_ASSIGN_OR_RETURN(const Columns count, opened.session->Query("SELECT count(*) AS rows FROM (" + relation + ")"));
  facts.rows = std::get<int64_t>(count.columns[0].At(0));
  TIDEMILL_ASSIGN_OR_RETURN(
      facts.columns,
      opened.session->Query("SELECT column_name AS \"column\", column_type AS type, "
                            "CAST(round(null_percentage, 2) AS DOUBLE) AS null_percent, "
                            // An estimate may be above what there can be.
                            "CAST(least(approx_unique, count, CASE WHEN column_type = 'BIGINT' THEN "
                            "TRY_CAST(max AS HUGEINT) - TRY_CAST(min AS HUGEINT) + 1 END) AS BIGINT) AS distinct_approximate, "
                            "min, max, TRY_CAST(avg AS DOUBLE) AS mean FROM (SUMMARIZE " +
                            relation + ")"));
  // DuckDB's names of types give way to ours.
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Field> fields, opened.session->Describe(relation));
  Column types("type", Type::kText);
  for (const Field& field : fields) types.AppendText(TypeName(field.type));
  facts.columns.columns[1] = std::move(types);
  return facts;
}

std::string CellOf(const Column& column, size_t row) { return column.IsNull(row) ? "" : FormatValue(column.At(row)); }

Status WriteStatistics(Console& console, const Columns& columns) {
  std::vector<TableWriter::Heading> headings;
  const std::map<std::string, std::string> short_names = {{"null_percent", "null %"}, {"distinct_approximate", "distinct ~"}};
  for (const Column& column : columns.columns) {
    const auto shown = short_names.find(column.name);
    headings.push_back(
        {shown == short_names.end() ? column.name : shown->second, column.type == Type::kInt64 || column.type == Type::kDouble});
  }
  TableWriter table(console, std::move(headings));
  for (size_t row = 0; row < columns.rows(); ++row) {
    std::vector<std::string> cells;
    for (const Column& column : columns.columns) {
      const bool mean = column.name == "mean" && !column.IsNull(row);
      cells.push_back(mean ? fmt::format("{:.6g}", column.doubles[row]) : CellOf(column, row));
    }
    TIDEMILL_RETURN_IF_ERROR(table.Add(std::move(cells)));
  }
  return table.Finish();
}

Json StatisticsToJson(const Columns& columns) {
  Json json = Json::array();
  for (size_t row = 0; row < columns.rows(); ++row) {
    Json one = Json::object();
    for (const Column& column : columns.columns) one[column.name] = ValueToJson(column.At(row));
    json.push_back(std::move(one));
  }
  return json;
}

std::string Describe(const Project& project, const std::string& name) {
  const auto table = project.tables.find(name);
  if (table != project.tables.end()) {
    std::string text = table->second.update == TableUpdate::kAppend ? "table, appended to" : "table, replaced at changes";
    if (!table->second.timestamp.empty()) text += fmt::format(", timestamp {}", table->second.timestamp);
    if (!table->second.known_at.empty()) text += fmt::format(", known at {}", table->second.known_at);
    return fmt::format("{}, reads {}", text, fmt::join(table->second.inputs, ", "));
  }
  const auto source = project.sources.find(name);
  if (source != project.sources.end() && source->second.pushed) return "source, rows are pushed";
  if (source != project.sources.end()) return fmt::format("source, files {}", fmt::join(source->second.files, ", "));
  return "table of the lake";
}

Status ShowForPeople(const Project& project, const TableFacts& facts, Session& session, const std::string& relation,
                     int64_t limit, Console& console) {
  TIDEMILL_RETURN_IF_ERROR(
      console.Write(fmt::format("{}: {}\n", console.OutStyle(Style::kBold, facts.name), Describe(project, facts.name))));
  std::string line = fmt::format("{} rows at snapshot {}", GroupedNumber(facts.rows), facts.snapshot);
  if (facts.state) {
    line +=
        fmt::format(", up to {}, version {}", FormatTimestamp(facts.state->project_clock), CellText(facts.state->version, 16));
  }
  TIDEMILL_RETURN_IF_ERROR(console.Write(line + "\n\n"));
  TIDEMILL_RETURN_IF_ERROR(WriteStatistics(console, facts.columns));
  if (limit == 0 || facts.rows == 0) return Ok();
  TIDEMILL_RETURN_IF_ERROR(console.Write("\n"));
  RowsOutput output;
  output.rows_max = limit;
  const auto written = WriteRows(console, session, relation + fmt::format(" LIMIT {}", limit), output);
  return written.ok() ? Ok() : Status(written.error());
}

Status ShowAsJson(const Project& project, const TableFacts& facts, Session& session, const std::string& relation, int64_t limit,
                  Console& console) {
  Json json = {
      {"name", facts.name}, {"description", Describe(project, facts.name)}, {"rows", facts.rows}, {"snapshot", facts.snapshot}};
  if (facts.state) {
    json["version"] = facts.state->version;
    json["up_to"] = FormatTimestamp(facts.state->project_clock);
  }
  json["columns"] = StatisticsToJson(facts.columns);
  TIDEMILL_ASSIGN_OR_RETURN(const Columns rows, session.Query(relation + fmt::format(" LIMIT {}", limit)));
  json["first_rows"] = StatisticsToJson(rows);
  return console.WriteJson(json);
}

Status ShowTable(const Project& project, const ShowArguments& arguments, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(OpenedLake opened, OpenLakeForReading(context.project, arguments.at));
  // Binding the statement asks the snapshot that is open; a table may have come or gone since.
  auto bound = opened.session->Describe("SELECT * FROM " + LakeRelation(arguments.asset));
  if (!bound.ok()) {
    const bool known = project.Find(arguments.asset) != nullptr;
    std::vector<std::string> names;
    for (const AssetNode& node : project.graph) names.push_back(node.name);
    return UserError(
        "unknown_asset",
        known ? fmt::format("'{}' has no rows in the lake{}", arguments.asset, arguments.at ? " at this snapshot" : "")
              : fmt::format("there is no asset '{}'", arguments.asset),
        known ? "'tidemill run' makes them; 'tidemill lake snapshots' lists versions" : SuggestionHint(arguments.asset, names));
  }
  const std::string relation = RelationSql(arguments.asset, arguments.hidden, *bound);
  TIDEMILL_ASSIGN_OR_RETURN(TableFacts facts, GatherFacts(opened, arguments.asset, relation, arguments));
  if (!arguments.at) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Catalog> catalog, OpenCatalog(context));
    TIDEMILL_ASSIGN_OR_RETURN(facts.state, catalog->State(arguments.asset));
  }
  const int64_t limit = arguments.limit.value_or(kFirstRowsDefault);
  return context.json ? ShowAsJson(project, facts, *opened.session, relation, limit, context.console)
                      : ShowForPeople(project, facts, *opened.session, relation, limit, context.console);
}

Json ViewToJson(const FeatureViewAsset& view) {
  Json features = Json::array();
  for (const FeatureDefinition& feature : view.features) {
    Json windows = Json::array();
    for (const Duration window : feature.windows) windows.push_back(FormatDuration(window));
    features.push_back({{"name", feature.name},
                        {"value", feature.value},
                        {"windows", std::move(windows)},
                        {"default", ValueToJson(feature.default_value)}});
  }
  return {{"name", view.name}, {"entity", view.entity}, {"from", view.from}, {"features", std::move(features)}};
}

/// What the view's online states take; why that can't be told, where it can't.
Result<OnlineMemory> MemoryOf(const FeatureViewAsset& view, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(
      const Json json,
      AnswerOnline(context, "/v1/features/" + view.name + "/memory", Json(), [&](OnlineStore& store) -> Result<Json> {
        TIDEMILL_ASSIGN_OR_RETURN(const Workspace workspace, OpenWorkspace(context.project, context.clock));
        store.states().SetCacheBytes(SiteOf(workspace).cache_bytes);
        TIDEMILL_ASSIGN_OR_RETURN(const OnlineMemory memory, MeasureMemory(store, workspace.programs.at(view.name)));
        return memory.ToJson();
      }));
  return OnlineMemory::FromJson(json);
}

std::string BytesText(int64_t bytes) {
  if (bytes < 1000) return fmt::format("{} bytes", bytes);
  if (bytes < 1'000'000) return fmt::format("{:.1f} kB", static_cast<double>(bytes) / 1e3);
  return bytes < 1'000'000'000 ? fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6)
                               : fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
}

/// As 'online.cache_limit' says it, where MB are 2^20 bytes.
std::string LimitText(int64_t bytes) { return fmt::format("{} MB", GroupedNumber(bytes >> 20)); }

Status ShowMemory(const Result<OnlineMemory>& told, Console& console) {
  if (!told.ok()) return console.Write(fmt::format("\nonline: {}\n", told.error().message));
  const OnlineMemory& memory = *told;
  std::string text = fmt::format("\nonline: {} entities, {} rows", GroupedNumber(memory.entities), GroupedNumber(memory.rows));
  if (memory.folded_rows > 0) text += fmt::format(", {} of them folded", GroupedNumber(memory.folded_rows));
  if (memory.oldest) text += fmt::format(", from {} on", FormatTimestamp(*memory.oldest));
  text += fmt::format("\nstates: {} stored, the largest {}, {} on average\n", BytesText(memory.bytes),
                      BytesText(memory.bytes_largest), BytesText(memory.entities == 0 ? 0 : memory.bytes / memory.entities));
  text += memory.forgotten_until ? fmt::format("rows up to {} are forgotten", FormatTimestamp(*memory.forgotten_until))
                                 : std::string("no row is forgotten: a window has no start");
  if (memory.folded_until) text += fmt::format("; up to {} they may be folded", FormatTimestamp(*memory.folded_until));
  text += fmt::format("\ncache: {} of {} for decoded states\n", BytesText(memory.cache_bytes), LimitText(memory.cache_limit));
  return console.Write(text);
}

Status ShowView(const FeatureViewAsset& view, CommandContext& context) {
  Console& console = context.console;
  const Result<OnlineMemory> memory = MemoryOf(view, context);
  if (context.json) {
    Json json = ViewToJson(view);
    json["online"] = memory.ok() ? memory->ToJson() : Json();
    return console.WriteJson(json);
  }
  std::string line = fmt::format("{}: feature view of {} by {}", console.OutStyle(Style::kBold, view.name), view.from,
                                 fmt::join(view.entity, ", "));
  if (view.ttl) line += ", rows seen for " + FormatDuration(*view.ttl);
  TIDEMILL_RETURN_IF_ERROR(console.Write(line + "\n\n"));
  TableWriter table(console, {{"feature"}, {"value"}, {"windows"}, {"default"}});
  for (const FeatureDefinition& feature : view.features) {
    std::vector<std::string> windows;
    for (const Duration window : feature.windows) windows.push_back(FormatDuration(window));
    TIDEMILL_RETURN_IF_ERROR(table.Add(
        {feature.name, feature.value, fmt::format("{}", fmt::join(windows, ", ")), FormatValue(feature.default_value)}));
  }
  TIDEMILL_RETURN_IF_ERROR(table.Finish());
  return ShowMemory(memory, console);
}

Json DerivedViewToJson(const DerivedViewAsset& view) {
  Json request = Json::object();
  for (const Field& field : view.request) request[field.name] = std::string(TypeName(field.type));
  Json uses = Json::array();
  for (const ViewUse& use : view.uses) uses.push_back({{"view", use.view}, {"as", use.as}, {"join", use.join}});
  Json features = Json::array();
  for (const FeatureDefinition& feature : view.features) {
    features.push_back({{"name", feature.name}, {"value", feature.value}, {"default", ValueToJson(feature.default_value)}});
  }
  return {{"name", view.name}, {"request", std::move(request)}, {"uses", std::move(uses)}, {"features", std::move(features)}};
}

Status ShowDerivedView(const DerivedViewAsset& view, CommandContext& context) {
  Console& console = context.console;
  if (context.json) return console.WriteJson(DerivedViewToJson(view));
  std::vector<std::string> parts;
  for (const Field& field : view.request) parts.push_back(fmt::format("{} ({})", field.name, TypeName(field.type)));
  for (const ViewUse& use : view.uses) parts.push_back(use.as == use.view ? use.view : fmt::format("{} as {}", use.view, use.as));
  TIDEMILL_RETURN_IF_ERROR(console.Write(
      fmt::format("{}: derived view of {}\n\n", console.OutStyle(Style::kBold, view.name), fmt::join(parts, ", "))));
  TableWriter table(console, {{"feature"}, {"value"}, {"default"}});
  for (const FeatureDefinition& feature : view.features) {
    TIDEMILL_RETURN_IF_ERROR(table.Add({feature.name, feature.value, FormatValue(feature.default_value)}));
  }
  return table.Finish();
}

Status RunShow(const ShowArguments& arguments, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const Project project, LoadProject(context.project));
  const auto view = project.views.find(arguments.asset);
  if (view != project.views.end()) return ShowView(view->second, context);
  const auto derived = project.derived_views.find(arguments.asset);
  if (derived != project.derived_views.end()) return ShowDerivedView(derived->second, context);
  if (project.models.count(arguments.asset) > 0) return ShowModelVersions(arguments.asset, context);
  return ShowTable(project, arguments, context);
}

}  // namespace

Command MakeShowCommand() {
  const auto arguments = std::make_shared<ShowArguments>();
  Command command;
  command.name = "show";
  command.summary = "An asset: rows, columns with statistics, versions";
  command.details =
      "Of a source or table: columns with statistics and the first rows. Of a feature view: its features, and what its online states take. Of a model: its "
      "versions.";
  command.examples = {{"tidemill show departures", "a table"},
                      {"tidemill show departures --at 12", "as it was at an older snapshot"},
                      {"tidemill show late_arrival", "a model"}};
  command.parameters.push_back(Positional("ASSET", "its name; also scores.MODEL, training.MODEL and the like", &arguments->asset)
                                   .Required()
                                   .Offering(Completes::kAssets));
  command.parameters.push_back(Option("--at", "SNAPSHOT", "the lake as it was at this snapshot", &arguments->at, 0));
  command.parameters.push_back(Option("--limit", "ROWS", "how many first rows (default: 5)", &arguments->limit, 0, 100'000));
  command.parameters.push_back(Flag("--hidden", "show _seq and _known_at too", &arguments->hidden));
  command.run = [arguments](CommandContext& context) { return RunShow(*arguments, context); };
  return command;
}

}  // namespace tidemill
