#include "feature/online/view_position.h"

namespace tidemill {
namespace {

constexpr std::string_view kPositions = "positions";      ///< space of what has been read, by view
constexpr std::string_view kGenerations = "generations";  ///< space of where a view's states are, by view

}  // namespace

std::string StatesSpaceName(const std::string& view, const std::string& generation) { return "states/" + view + "/" + generation; }

std::string PiecesSpaceName(const std::string& view, const std::string& generation) { return "pieces/" + view + "/" + generation; }

Status ClearGeneration(OnlineStore& store, const std::string& view, const std::string& generation) {
  TIDEMILL_RETURN_IF_ERROR(store.Clear(StatesSpaceName(view, generation)));
  return store.Clear(PiecesSpaceName(view, generation));
}

Result<ViewPosition> ReadViewPosition(OnlineStore& store, const std::string& view) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto stored, store.Get(kPositions, view));
  TIDEMILL_ASSIGN_OR_RETURN(const auto generation, store.Get(kGenerations, view));
  ViewPosition position;
  position.generation = generation.value_or("");
  if (!stored || !generation) return position;
  const Json json = Json::parse(*stored, nullptr, false);
  if (!json.is_object() || !json.contains("digest")) return position;
  position.complete = true;
  position.program = json.value("program", "");
  position.known_until = json.value("known_until", int64_t{0});
  position.sequence_until = json.value("sequence_until", int64_t{0});
  position.digest = json.value("digest", "");
  position.pushed_rows = json.value("pushed_rows", "");
  return position;
}

Status WriteViewPosition(OnlineStore& store, const std::string& view, const ViewPosition& position) {
  const Json json = {{"program", position.program},
                     {"known_until", position.known_until},
                     {"sequence_until", position.sequence_until},
                     {"digest", position.digest},
                     {"pushed_rows", position.pushed_rows}};
  return store.Put({{std::string(kPositions), view, json.dump()}, {std::string(kGenerations), view, position.generation}});
}

}  // namespace tidemill
