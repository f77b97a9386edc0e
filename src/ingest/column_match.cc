#include "ingest/column_match.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text_distance.h"

namespace tidemill {
namespace {

constexpr size_t kListedNamesMax = 12;

std::string NameList(const std::vector<std::string>& names) {
  std::string list;
  for (size_t i = 0; i < std::min(names.size(), kListedNamesMax); ++i)
    list += (i > 0 ? ", " : "") + (names[i].empty() ? "''" : names[i]);
  return names.size() > kListedNamesMax ? fmt::format("{} ... ({})", list, names.size()) : list;
}

std::string LowerCase(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

/// Names that a table can't have: twice (upper and lower case are the same there), empty, or our own.
Status CheckNames(const std::vector<std::string>& names, const Place& place) {
  std::map<std::string, std::string> seen;
  for (const std::string& name : names) {
    if (name.empty()) return UserErrorAt("csv_header", "a column has no name", place, "name it in the first line of the file");
    if (name == "_seq" || name == "_known_at") {
      return UserErrorAt("csv_header", fmt::format("the column name '{}' is reserved", name), place, "rename the column");
    }
    const auto [other, fresh] = seen.emplace(LowerCase(name), name);
    if (!fresh)
      return UserErrorAt("csv_header", fmt::format("the columns '{}' and '{}' have the same name", other->second, name), place);
  }
  return Ok();
}

/// "'depdelay' may be the new name of 'dep_delay'"
std::string RenamingHint(const std::vector<std::string>& missing, const std::vector<std::string>& unexpected) {
  std::string hint;
  for (const std::string& name : unexpected) {
    const std::string closest = ClosestName(name, missing);
    if (!closest.empty()) hint += fmt::format("'{}' may be the new name of '{}'; ", name, closest);
  }
  return hint;
}

}  // namespace

Result<std::vector<size_t>> MatchColumns(const std::vector<std::string>& names, const Contract& contract, const Place& place,
                                         const std::string& source_file) {
  TIDEMILL_RETURN_IF_ERROR(CheckNames(names, place));
  std::vector<size_t> positions;
  std::vector<std::string> missing, unexpected = names;
  for (const ContractColumn& column : contract.columns) {
    const auto found = std::find(names.begin(), names.end(), column.name);
    if (found == names.end()) missing.push_back(column.name);
    positions.push_back(static_cast<size_t>(found - names.begin()));
    std::erase(unexpected, column.name);
  }
  const bool refuse_extra = contract.extra_columns == ExtraColumns::kRefuse && !unexpected.empty();
  if (missing.empty() && !refuse_extra) return positions;

  std::string message = "the columns differ from the contract:";
  if (!missing.empty()) message += fmt::format(" missing {}", NameList(missing));
  if (!unexpected.empty()) message += fmt::format("{} unexpected {}", missing.empty() ? "" : ";", NameList(unexpected));
  std::string hint = RenamingHint(missing, unexpected);
  hint += missing.empty() ? fmt::format("name them in {}, or write 'extra_columns: ignore' there", source_file)
                          : fmt::format("mend the file, or change the contract in {}", source_file);
  return UserErrorAt("columns_changed", std::move(message), place, std::move(hint));
}

}  // namespace tidemill
