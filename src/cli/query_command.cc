#include <iostream>
#include <iterator>
#include <memory>

#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/open.h"
#include "cli/read_only_sql.h"
#include "cli/rows_output.h"

namespace tidemill {
namespace {

constexpr int64_t kTableRowsDefault = 100;

struct QueryArguments {
  std::string sql;
  std::optional<int64_t> at;
  std::optional<int64_t> limit;
  bool csv = false;
  bool hidden = false;
};

/// `_seq` and `_known_at` are ours: `SELECT *` does not show them, naming them does.
std::function<bool(std::string_view)> HiddenColumns(const std::string& sql, bool show_all) {
  return [show_all, seq = MentionsName(sql, "_seq"), known_at = MentionsName(sql, "_known_at")](std::string_view column) {
    if (show_all) return false;
    return (column == "_seq" && !seq) || (column == "_known_at" && !known_at);
  };
}

/// EXPLAIN answers with drawings, which a table would spoil.
Status WriteExplanation(Console& console, Session& session, const std::string& sql) {
  TIDEMILL_ASSIGN_OR_RETURN(const Columns answer, session.Query(sql));
  const Column* text = answer.Find("explain_value");
  for (size_t row = 0; text != nullptr && row < text->size(); ++row) {
    TIDEMILL_RETURN_IF_ERROR(console.Write(std::string(text->Text(row)) + "\n"));
  }
  return Ok();
}

Status RunQuery(const QueryArguments& arguments, CommandContext& context) {
  std::string text = arguments.sql;
  if (text == "-") text = std::string(std::istreambuf_iterator<char>(std::cin), {});
  TIDEMILL_ASSIGN_OR_RETURN(const std::string sql, CheckReadOnly(text));
  TIDEMILL_ASSIGN_OR_RETURN(OpenedLake opened, OpenLakeForReading(context.project, arguments.at));

  const bool for_people = !context.json && !arguments.csv;
  if (for_people && MentionsName(sql.substr(0, 8), "EXPLAIN")) return WriteExplanation(context.console, *opened.session, sql);
  RowsOutput output;
  output.form = context.json ? RowsForm::kJson : arguments.csv ? RowsForm::kCsv : RowsForm::kTable;
  output.hidden = HiddenColumns(sql, arguments.hidden);
  output.rows_max = arguments.limit;
  if (!output.rows_max && output.form == RowsForm::kTable) output.rows_max = kTableRowsDefault;
  if (output.rows_max == 0) output.rows_max.reset();
  const auto truncated = WriteRows(context.console, *opened.session, sql, output);
  if (!truncated.ok()) {
    const bool in_sql = truncated.error().place.has_value();
    return in_sql ? PlaceInStatement(truncated.error(), sql, "query") : truncated.error();
  }
  if (!*truncated) return Ok();
  TIDEMILL_RETURN_IF_ERROR(context.console.Flush());
  context.console.Tell(fmt::format("the first {} rows; --limit 0 shows all\n", *output.rows_max));
  return Ok();
}

}  // namespace

Command MakeQueryCommand() {
  const auto arguments = std::make_shared<QueryArguments>();
  Command command;
  command.name = "query";
  command.summary = "Ask the lake in SQL, also an older version of it";
  command.details =
      "DuckDB's dialect over the tables of the lake; sources and tables by their name, others as "
      "scores.MODEL, training.MODEL, tidemill.quarantine, "
      "tidemill.predictions. Only reads. A table at an older snapshot: SELECT ... FROM departures AT "
      "(VERSION => 12).";
  command.examples = {{"tidemill query \"SELECT origin, count(*) FROM departures GROUP BY ALL\"", "a table for people"},
                      {"tidemill query --at 12 --csv \"FROM departures\" > departures.csv", "every row of an older version"},
                      {"tidemill query - < question.sql", "the statement from stdin"}};
  command.parameters.push_back(Positional("SQL", "one statement, or - for stdin", &arguments->sql).Required());
  command.parameters.push_back(Option("--at", "SNAPSHOT", "the lake as it was at this snapshot", &arguments->at, 0));
  command.parameters.push_back(
      Option("--limit", "ROWS", "at most this many rows, 0: all (default: 100 for a table, else all)", &arguments->limit, 0));
  command.parameters.push_back(Flag("--csv", "rows as CSV", &arguments->csv));
  command.parameters.push_back(Flag("--hidden", "show _seq and _known_at too", &arguments->hidden));
  command.run = [arguments](CommandContext& context) { return RunQuery(*arguments, context); };
  return command;
}

}  // namespace tidemill
