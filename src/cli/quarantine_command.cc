#include <memory>

#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/open.h"
#include "cli/rows_output.h"

namespace tidemill {
namespace {

constexpr int64_t kQuarantineRowsDefault = 100;

struct QuarantineArguments {
  std::string source;
  std::optional<int64_t> limit;
  bool csv = false;
};

Status RunQuarantine(const QuarantineArguments& arguments, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(OpenedLake opened, OpenLakeForReading(context.project, std::nullopt));
  TIDEMILL_ASSIGN_OR_RETURN(const bool present, opened.lake->HasTable("tidemill.quarantine"));
  const std::string where = arguments.source.empty() ? "" : " WHERE source = " + QuoteText(arguments.source);
  std::string sql =
      "SELECT source, file, record, line, reason, raw FROM lake.tidemill.quarantine" + where + " ORDER BY source, file, record";
  if (!present)
    sql =
        "SELECT NULL AS source, NULL AS file, NULL AS record, NULL AS line, NULL AS reason, NULL AS raw "
        "WHERE false";
  RowsOutput output;
  output.form = context.json ? RowsForm::kJson : arguments.csv ? RowsForm::kCsv : RowsForm::kTable;
  output.rows_max = arguments.limit;
  if (!output.rows_max && output.form == RowsForm::kTable) output.rows_max = kQuarantineRowsDefault;
  if (output.rows_max == 0) output.rows_max.reset();
  TIDEMILL_ASSIGN_OR_RETURN(const bool truncated, WriteRows(context.console, *opened.session, sql, output));
  TIDEMILL_RETURN_IF_ERROR(context.console.Flush());
  if (truncated) context.console.Tell(fmt::format("the first {} rows; --limit 0 shows all\n", *output.rows_max));
  return Ok();
}

}  // namespace

Command MakeQuarantineCommand() {
  const auto arguments = std::make_shared<QuarantineArguments>();
  Command command;
  command.name = "quarantine";
  command.summary = "Rows that broke a source's contract: where they were, why, and their text";
  command.examples = {{"tidemill quarantine flights", "of one source"},
                      {"tidemill quarantine --csv > refused.csv", "all, as CSV"}};
  command.parameters.push_back(Positional("SOURCE", "only of this source", &arguments->source).Offering(Completes::kAssets));
  command.parameters.push_back(
      Option("--limit", "ROWS", "at most this many rows, 0: all (default: 100 for a table, else all)", &arguments->limit, 0));
  command.parameters.push_back(Flag("--csv", "rows as CSV", &arguments->csv));
  command.run = [arguments](CommandContext& context) { return RunQuarantine(*arguments, context); };
  return command;
}

}  // namespace tidemill
