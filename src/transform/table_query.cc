#include "transform/table_query.h"

#include <fmt/format.h>

#include <set>

#include "sql/select_tree.h"
#include "sql/statement.h"
#include "transform/transform.h"

namespace tidemill {
namespace {

std::vector<std::string> Histories(const Project& project, const TableAsset& table) {
  std::vector<std::string> histories;
  for (const std::string& input : table.inputs) {
    if (IsHistory(project, input)) histories.push_back(input);
  }
  return histories;
}

}  // namespace

bool IsHistory(const Project& project, const std::string& input) {
  const auto source = project.sources.find(input);
  return source != project.sources.end() && source->second.history;
}

Status CheckDistinctNames(const std::vector<Field>& fields, const TableAsset& table) {
  std::set<std::string> names;
  for (const Field& field : fields) {
    if (names.insert(LowerCase(field.name)).second) continue;
    return InTableFile(UserError("duplicate_column", fmt::format("table '{}' has two columns '{}'", table.name, field.name),
                                 "give one of them another name with AS, or leave it out of the star with EXCLUDE"),
                       table);
  }
  return Ok();
}

Error InTableFile(Error error, const TableAsset& table) {
  if (error.place && error.place->file.empty()) error.place.reset();
  if (error.code == "sql_value" && error.hint.empty()) {
    error.hint = "try_cast(...) gives null for what can't be read; a sum too large for whole numbers can be cast to DOUBLE";
  }
  return error.kind == ErrorKind::kUser ? PlaceInStatement(std::move(error), table.sql, table.file) : error;
}

std::string TableSelect::Where(std::string_view condition) const {
  return fmt::format("SELECT {} FROM {} WHERE {}", columns, rows, condition);
}

Result<std::string> RewriteTable(const Project& project, const TableAsset& table, Session& session, Timestamp now) {
  SelectStatement statement;
  statement.tree = table.tree;
  auto rewritten = RewriteForLake(session, statement, now, Histories(project, table));
  if (!rewritten.ok()) return PlaceInStatement(std::move(rewritten).error(), table.sql, table.file);
  return rewritten;
}

Result<TableSelect> MakeTableSelect(const Project& project, const TableAsset& table, Session& session, Timestamp now) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::string rewritten, RewriteTable(project, table, session, now));
  std::vector<std::string> casts;
  auto fields = session.Describe(rewritten, &casts);
  if (!fields.ok()) return InTableFile(std::move(fields).error(), table);
  TableSelect select;
  select.fields = std::move(fields).value();
  select.fields.resize(select.fields.size() - 2);  // without _seq and _known_at
  TIDEMILL_RETURN_IF_ERROR(CheckDistinctNames(select.fields, table));
  select.known_at = table.known_at.empty() ? "_known_at" : fmt::format("CAST({} AS TIMESTAMP)", QuoteIdentifier(table.known_at));
  select.order = "_seq";
  for (size_t i = 0; i < select.fields.size(); ++i) {
    const std::string name = QuoteIdentifier(select.fields[i].name);
    const std::string value = casts[i].empty() ? name : fmt::format("CAST({} AS {})", name, casts[i]);
    select.columns += fmt::format("CAST({} AS {}) AS {}, ", value, SqlTypeName(select.fields[i].type), name);
    select.order += ", " + name;
  }
  select.columns += fmt::format("_seq, {} AS _known_at", select.known_at);
  select.rows = fmt::format("(\n{}\n)", rewritten);
  return select;
}

Result<std::string> TableQuery(const Project& project, const TableAsset& table, Session& session, Timestamp now) {
  TIDEMILL_ASSIGN_OR_RETURN(const TableSelect select, MakeTableSelect(project, table, session, now));
  return select.Where(fmt::format("{} <= {}", select.known_at, SqlLiteral(now)));
}

}  // namespace tidemill
