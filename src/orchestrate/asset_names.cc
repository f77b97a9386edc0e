#include "orchestrate/asset_names.h"

#include <set>

#include "base/text_distance.h"
#include "sql/database.h"

namespace tidemill {
namespace {

void AddWithInputs(const Project& project, const std::string& name, std::set<std::string>* wanted) {
  const AssetNode* node = project.Find(name);
  if (node == nullptr || !wanted->insert(name).second) return;
  for (const std::string& input : node->inputs) AddWithInputs(project, input, wanted);
}

std::vector<const AssetNode*> InOrder(const Project& project, const std::set<std::string>& wanted) {
  std::vector<const AssetNode*> nodes;
  for (const AssetNode& node : project.graph) {
    if (wanted.contains(node.name)) nodes.push_back(&node);
  }
  return nodes;
}

}  // namespace

std::string ScoresName(const std::string& model) { return model + ".scores"; }
std::string RequestsName(const std::string& model) { return model + ".requests"; }
std::string MonitorName(const std::string& model) { return model + ".monitor"; }

std::string ScoresTable(const std::string& model) { return "lake.scores." + QuoteIdentifier(model); }
std::string TrainingTable(const std::string& model) { return "lake.training." + QuoteIdentifier(model); }
std::string MainTable(const std::string& asset) { return "lake.main." + QuoteIdentifier(asset); }

Result<std::vector<const AssetNode*>> SelectAssets(const Project& project, const std::vector<std::string>& names) {
  std::set<std::string> wanted;
  std::vector<std::string> all;
  for (const AssetNode& node : project.graph) all.push_back(node.name);
  for (const std::string& name : names.empty() ? all : names) {
    if (project.Find(name) == nullptr) return UserError("unknown_asset", "there is no asset '" + name + "'", SuggestionHint(name, all));
    AddWithInputs(project, name, &wanted);
  }
  return InOrder(project, wanted);
}

std::vector<const AssetNode*> TablesBehindModel(const Project& project, const std::string& model) {
  std::set<std::string> wanted;
  AddWithInputs(project, model, &wanted);
  std::vector<const AssetNode*> nodes;
  for (const AssetNode* node : InOrder(project, wanted)) {
    if (node->kind == AssetKind::kSource || node->kind == AssetKind::kTable) nodes.push_back(node);
  }
  return nodes;
}

}  // namespace tidemill
