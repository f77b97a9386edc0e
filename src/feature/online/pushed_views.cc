#include "feature/online/pushed_views.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace tidemill {
namespace {

bool IsPushed(const Project& project, const std::string& name) {
  const auto source = project.sources.find(name);
  return source != project.sources.end() && source->second.pushed;
}

/// The pushed sources that a table is made of, through other tables too.
void AddPushedSources(const Project& project, const std::string& name, std::set<std::string>& sources) {
  if (IsPushed(project, name)) sources.insert(name);
  const auto table = project.tables.find(name);
  if (table == project.tables.end()) return;
  for (const std::string& input : table->second.inputs) AddPushedSources(project, input, sources);
}

/// Tables as far as they were compiled; each is asked for once.
class RowWiseFinder {
 public:
  RowWiseFinder(const Project& project, const std::map<std::string, std::vector<Field>>& fields, Session& session)
      : project_(project), fields_(fields), session_(session) {}

  /// The tables from a pushed source to this one. Code "not_row_wise": the message says which of them is not, and why.
  Result<std::vector<RowWiseTable>> Chain(const std::string& name) {
    const TableAsset& table = project_.tables.at(name);
    std::vector<RowWiseTable> chain;
    if (table.inputs.size() == 1 && project_.tables.contains(table.inputs[0])) {
      TIDEMILL_ASSIGN_OR_RETURN(chain, Chain(table.inputs[0]));
    }
    TIDEMILL_ASSIGN_OR_RETURN(RowWiseTable last, Compiled(table));
    chain.push_back(std::move(last));
    return chain;
  }

 private:
  Result<RowWiseTable> Compiled(const TableAsset& table) {
    const auto known = compiled_.find(table.name);
    if (known != compiled_.end()) return known->second;
    auto compiled = Compile(table);
    if (!compiled.ok()) {
      Error error = std::move(compiled).error();
      error.message = fmt::format("the table '{}' {}", table.name, error.message);
      compiled = std::move(error);
    }
    return compiled_.emplace(table.name, std::move(compiled)).first->second;
  }

  Result<RowWiseTable> Compile(const TableAsset& table) {
    const auto own = fields_.find(table.name);
    const auto of_input = fields_.find(table.inputs.empty() ? std::string() : table.inputs[0]);
    if (own == fields_.end() || of_input == fields_.end()) return UserError("not_row_wise", "has no input");
    return CompileRowWise(table, of_input->second, own->second, session_);
  }

  const Project& project_;
  const std::map<std::string, std::vector<Field>>& fields_;
  Session& session_;
  std::map<std::string, Result<RowWiseTable>> compiled_;
};

}  // namespace

PushedViews FindPushedViews(const Project& project, const std::map<std::string, Program>& programs,
                            const std::map<std::string, std::vector<Field>>& fields, Session& session) {
  PushedViews views;
  RowWiseFinder finder(project, fields, session);
  for (const auto& [name, program] : programs) {
    const auto view = project.views.find(name);
    if (view == project.views.end()) continue;
    const auto table = project.tables.find(view->second.from);
    if (table == project.tables.end()) continue;
    std::set<std::string> sources;
    AddPushedSources(project, table->first, sources);
    if (sources.empty()) continue;
    auto chain = finder.Chain(table->first);
    if (chain.ok()) {
      views.at_once.push_back({program, *sources.begin(), table->first, table->second.timestamp, std::move(chain).value()});
    } else {
      views.later.push_back({name, sources, chain.error().message});
    }
  }
  return views;
}

}  // namespace tidemill
