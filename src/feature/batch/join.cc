#include "feature/batch/join.h"

#include <fmt/format.h>

#include "feature/batch/spine_block.h"

namespace tidemill {
namespace {

constexpr std::string_view kSpineGiven = "tidemill_spine_given";

}  // namespace

Result<Columns> JoinFeatures(Session& session, Columns spine, const std::string& time_column, const std::vector<ViewJoin>& views,
                             Timestamp now, int threads) {
  TIDEMILL_RETURN_IF_ERROR(session.LoadTemporary(kSpineGiven, spine));
  FeatureJoinRequest request;
  request.spine_sql = fmt::format("SELECT * FROM {}", kSpineGiven);
  request.time_column = time_column;
  request.views = views;
  request.now = now;
  request.resources.threads = threads;
  TIDEMILL_ASSIGN_OR_RETURN(const auto join, FeatureJoin::Start(session, request));
  Columns joined;
  for (const Field& field : join->fields()) joined.columns.emplace_back(field.name, field.type);
  while (true) {
    TIDEMILL_ASSIGN_OR_RETURN(std::optional<Columns> batch, join->Next());
    if (!batch) break;
    for (size_t i = 0; i < joined.columns.size(); ++i) AppendRows(batch->columns[i], 0, batch->rows(), joined.columns[i]);
  }
  return joined;
}

}  // namespace tidemill
