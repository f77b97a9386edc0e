#include "cli/show_model.h"

#include <algorithm>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "catalog/catalog.h"
#include "cli/open.h"
#include "cli/table.h"

namespace tidemill {
namespace {

std::string Metric(const Json& metrics, std::string_view name) {
  const auto found = metrics.find(std::string(name));
  return found != metrics.end() && found->is_number() ? fmt::format("{:.4f}", found->get<double>()) : "";
}

Json VersionToJson(const ModelVersion& version, bool champion) {
  return {{"model", version.model},
          {"version", version.version},
          {"status", version.status},
          {"champion", champion},
          {"reason", version.reason},
          {"trained_at", FormatTimestamp(version.project_clock)},
          {"created_at", FormatTimestamp(version.created_at)},
          {"run", version.run_id},
          {"package_sha256", version.package_sha256},
          {"training_set_sha256", version.training_set_sha256},
          {"metrics", version.metrics}};
}

/// The inputs by their share of the gain, where the version's record has them.
Status ShowImportances(const Json& detail, Console& console) {
  const auto found = detail.find("importances");
  if (found == detail.end() || !found->is_object() || found->empty()) return Ok();
  std::vector<std::pair<double, std::string>> shares;
  for (const auto& [name, share] : found->items()) {
    if (share.is_number()) shares.emplace_back(-share.get<double>(), name);
  }
  std::sort(shares.begin(), shares.end());
  TIDEMILL_RETURN_IF_ERROR(console.Write("\n"));
  TableWriter table(console, {{"input"}, {"share", true}});
  for (const auto& [share, name] : shares) TIDEMILL_RETURN_IF_ERROR(table.Add({name, fmt::format("{:.1f} %", -share * 100)}));
  return table.Finish();
}

}  // namespace

Status ShowModelVersions(const std::string& model, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Catalog> catalog, OpenCatalog(context));
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<ModelVersion> versions, catalog->ModelVersions(model));
  std::map<std::string, int64_t> champions;
  for (const ModelVersion& version : versions) {
    if (champions.count(version.model) > 0) continue;
    TIDEMILL_ASSIGN_OR_RETURN(const std::optional<int64_t> champion, catalog->Alias(version.model, kChampionAlias));
    champions[version.model] = champion.value_or(0);
  }
  if (context.json) {
    Json json = Json::array();
    for (const ModelVersion& version : versions)
      json.push_back(VersionToJson(version, champions[version.model] == version.version));
    return context.console.WriteJson(json);
  }
  if (versions.empty()) {
    context.console.Tell("no model has been trained yet; 'tidemill run' does\n");
    return Ok();
  }
  TableWriter table(context.console, {{"model"},
                                      {"version", true},
                                      {"alias"},
                                      {"status"},
                                      {"as of"},
                                      {"auc", true},
                                      {"average precision", true},
                                      {"log loss", true},
                                      {"package"},
                                      {"reason"}});
  for (const ModelVersion& version : versions) {
    TIDEMILL_RETURN_IF_ERROR(
        table.Add({version.model, std::to_string(version.version), champions[version.model] == version.version ? std::string(kChampionAlias) : "",
                   version.status, FormatTimestamp(version.project_clock), Metric(version.metrics, "auc"),
                   Metric(version.metrics, "average_precision"), Metric(version.metrics, "log_loss"),
                   version.package_sha256.substr(0, 12), version.reason}));
  }
  return table.Finish();
}

Status ShowModelVersion(const ModelVersion& version, CommandContext& context) {
  Console& console = context.console;
  if (context.json) {
    Json json = VersionToJson(version, false);
    json.erase("champion");
    json["detail"] = version.detail;
    return console.WriteJson(json);
  }
  TableWriter table(console, {{"what"}, {"value"}});
  TIDEMILL_RETURN_IF_ERROR(table.Add({"model", fmt::format("{}@{}", version.model, version.version)}));
  TIDEMILL_RETURN_IF_ERROR(table.Add({"status", version.status}));
  TIDEMILL_RETURN_IF_ERROR(table.Add({"reason", version.reason}));
  TIDEMILL_RETURN_IF_ERROR(table.Add({"as of", FormatTimestamp(version.project_clock)}));
  TIDEMILL_RETURN_IF_ERROR(table.Add({"created at", FormatTimestamp(version.created_at)}));
  TIDEMILL_RETURN_IF_ERROR(table.Add({"package", version.package_sha256}));
  TIDEMILL_RETURN_IF_ERROR(table.Add({"training set", version.training_set_sha256}));
  for (const auto& [name, value] : version.metrics.items()) TIDEMILL_RETURN_IF_ERROR(table.Add({name, value.dump()}));
  TIDEMILL_RETURN_IF_ERROR(table.Finish());
  return ShowImportances(version.detail, console);
}

}  // namespace tidemill
