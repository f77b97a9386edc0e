#include <memory>

#include <fmt/format.h>

#include "cli/commands.h"
#include "orchestrate/lineage.h"

namespace tidemill {
namespace {

constexpr int kDepthMax = 64;

std::string TextOf(const Json& node, const char* name) {
  const auto found = node.find(name);
  if (found == node.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

/// A node and what is below it, drawn as a tree.
Status WriteNode(const Json& node, const std::string& lead, const std::string& below, int depth, Console& console) {
  std::string line = lead;
  const std::string kind = TextOf(node, "kind");
  if (!kind.empty()) line += console.OutStyle(Style::kDim, kind) + " ";
  line += console.OutStyle(Style::kBold, TextOf(node, "name"));
  const std::string detail = TextOf(node, "detail");
  if (!detail.empty()) line += "  " + detail;
  TIDEMILL_RETURN_IF_ERROR(console.Write(line + "\n"));
  const auto children = node.find("from");
  if (children == node.end() || !children->is_array() || depth >= kDepthMax) return Ok();
  for (size_t i = 0; i < children->size(); ++i) {
    const bool last = i + 1 == children->size();
    TIDEMILL_RETURN_IF_ERROR(
        WriteNode((*children)[i], below + (last ? "└─ " : "├─ "), below + (last ? "   " : "│  "), depth + 1, console));
  }
  return Ok();
}

}  // namespace

Command MakeLineageCommand() {
  const auto subject = std::make_shared<std::string>();
  Command command;
  command.name = "lineage";
  command.summary = "Where a prediction, a model's version or a table came from; what depends on a column";
  command.examples = {{"tidemill lineage late_arrival-b812-v1", "a prediction: version, feature values, source rows"},
                      {"tidemill lineage late_arrival@2", "a model's version"},
                      {"tidemill lineage flights.dep_delay", "everything that depends on a column"}};
  command.parameters.push_back(Positional("SUBJECT", "a prediction id, MODEL@VERSION, an asset, or ASSET.COLUMN", subject.get())
                                   .Required()
                                   .Offering(Completes::kAssets));
  command.run = [subject](CommandContext& context) -> Status {
    TIDEMILL_ASSIGN_OR_RETURN(Workspace workspace, OpenWorkspace(context.project, context.clock));
    TIDEMILL_ASSIGN_OR_RETURN(const Json tree, TraceLineage(workspace, *subject));
    return context.json ? context.console.WriteJson(tree) : WriteNode(tree, "", "", 0, context.console);
  };
  return command;
}

}  // namespace tidemill
