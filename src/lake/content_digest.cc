#include <fmt/format.h>

#include "lake/lake.h"

namespace tidemill {
namespace {

/// Sums of 64-bit hashes do not depend on the order of rows; 128 bits hold the sum of any number of them.
std::string DigestOf(const std::string& hashed) {
  return fmt::format("format('{{:016x}}', (coalesce(sum(hash({})::HUGEINT), 0) % 18446744073709551616::HUGEINT)::UBIGINT)",
                     hashed);
}

std::string AllColumns(const std::vector<Field>& fields) {
  std::string list;
  for (const Field& field : fields) list += (list.empty() ? "" : ", ") + QuoteIdentifier(field.name);
  return list;
}

}  // namespace

Result<Json> ContentDigest(Session& session, std::string_view relation_sql) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto fields, session.Describe(fmt::format("SELECT * FROM {}", relation_sql)));
  bool has_seq = false;
  for (const Field& field : fields) has_seq = has_seq || field.name == "_seq";
  std::string select = "SELECT count(*)";
  for (const Field& field : fields) {
    const std::string column = QuoteIdentifier(field.name);
    select += ", " + DigestOf(has_seq && field.name != "_seq" ? "_seq, " + column : column);
  }
  if (!has_seq && !fields.empty()) select += ", " + DigestOf(AllColumns(fields));
  TIDEMILL_ASSIGN_OR_RETURN(const auto result, session.Query(fmt::format("{} FROM {}", select, relation_sql)));

  Json digest = {{"rows", result.columns.at(0).ints.at(0)}, {"columns", Json::object()}};
  for (size_t i = 0; i < fields.size(); ++i) digest["columns"][fields[i].name] = std::string(result.columns.at(i + 1).Text(0));
  if (!has_seq && !fields.empty()) digest["row"] = std::string(result.columns.back().Text(0));
  return digest;
}

}  // namespace tidemill
