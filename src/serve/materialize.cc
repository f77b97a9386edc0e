#include "serve/materialize.h"

#include <fmt/format.h>

#include "base/value_json.h"
#include "serve/client.h"
#include "serve/spine_rows.h"

namespace tidemill {
namespace {

/// Materialization of a long history takes its time.
constexpr int kMaterializeTimeoutMs = 600'000;

std::string LakeTable(const std::string& table) { return "lake.main." + QuoteIdentifier(table); }

Error BadWork(const std::string& what) { return UserError("bad_request", "a request to materialize needs " + what); }

}  // namespace

Json OnlineWork::ToJson() const {
  Json json = {{"until", FormatTimestamp(until)}, {"views", Json::array()}, {"spines", Json::array()}};
  for (const View& view : views) {
    json["views"].push_back({{"program", view.program.ToJson()}, {"table", view.table}, {"event_time", view.event_time}});
    if (view.pushed_rows) json["views"].back()["pushed_rows"] = *view.pushed_rows;
  }
  for (const FeaturePlan& plan : spines) json["spines"].push_back(plan.ToJson());
  json["derived_views"] = Json::object();
  for (const auto& [name, plan] : derived_views) json["derived_views"][name] = plan.ToJson();
  return json;
}

Result<OnlineWork> OnlineWork::FromJson(const Json& json) {
  if (!json.is_object() || !json.contains("until") || !json["until"].is_string()) return BadWork("\"until\", a time");
  OnlineWork work;
  TIDEMILL_ASSIGN_OR_RETURN(work.until, ParseTimestamp(json["until"].get<std::string>()));
  for (const Json& one : json.value("views", Json::array())) {
    const bool whole = one.is_object() && one.contains("program") && one.contains("table") && one["table"].is_string() &&
                       one.contains("event_time") && one["event_time"].is_string();
    if (!whole) return BadWork("\"program\", \"table\" and \"event_time\" of each view");
    View view;
    TIDEMILL_ASSIGN_OR_RETURN(view.program, Program::FromJson(one["program"]));
    view.table = one["table"].get<std::string>();
    view.event_time = one["event_time"].get<std::string>();
    if (one.contains("pushed_rows")) {
      if (!one["pushed_rows"].is_string()) return BadWork("\"pushed_rows\" as a text");
      view.pushed_rows = one["pushed_rows"].get<std::string>();
    }
    work.views.push_back(std::move(view));
  }
  for (const Json& one : json.value("spines", Json::array())) {
    TIDEMILL_ASSIGN_OR_RETURN(FeaturePlan plan, FeaturePlan::FromJson(one));
    work.spines.push_back(std::move(plan));
  }
  const Json derived = json.value("derived_views", Json::object());
  if (!derived.is_object()) return BadWork("\"derived_views\" by their names");
  for (const auto& [name, one] : derived.items()) {
    TIDEMILL_ASSIGN_OR_RETURN(work.derived_views[name], FeaturePlan::FromJson(one));
  }
  return work;
}

Json OnlineSummary::ToJson() const {
  Json json = {{"views", Json::object()}};
  for (const auto& [name, report] : views) {
    json["views"][name] = {{"rows", report.rows}, {"entities", report.entities}, {"rebuilt", report.rebuilt}};
    if (report.failures.any()) json["views"][name]["failures"] = report.failures.ToJson();
  }
  return json;
}

Result<OnlineSummary> OnlineSummary::FromJson(const Json& json) {
  OnlineSummary summary;
  if (!json.is_object() || !json.contains("views") || !json["views"].is_object())
    return InternalError("the server's answer is not a summary");
  for (const auto& [name, report] : json["views"].items()) {
    if (!report.is_object()) return InternalError("the server's answer is not a summary");
    summary.views[name] = {report.value("rows", int64_t{0}), report.value("entities", int64_t{0}), report.value("rebuilt", false),
                           ValueFailures::FromJson(report.value("failures", Json()))};
  }
  return summary;
}

Result<OnlineSummary> MaterializeOnline(OnlineStore& store, OnlinePushes* pushes, Lake& lake, const OnlineWork& work) {
  if (pushes != nullptr) TIDEMILL_RETURN_IF_ERROR(pushes->Flush());
  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, lake.Connect());
  OnlineSummary summary;
  for (const OnlineWork::View& view : work.views) {
    std::string rows = LakeTable(view.table);
    if (pushes != nullptr && pushes->Follows(view.program.view)) {
      TIDEMILL_ASSIGN_OR_RETURN(rows, pushes->RowsInLake(view.program.view, view.table, view.pushed_rows));
    }
    auto report = MaterializeView(store, view.program, rows, view.event_time, *session, work.until, pushes);
    if (!report.ok()) return std::move(report).error().WithContext(fmt::format("materializing '{}'", view.program.view));
    summary.views[view.program.view] = *report;
  }
  for (const FeaturePlan& plan : work.spines) {
    const Status stored = MaterializeSpine(store, plan, *session, LakeTable(plan.spine), work.until - kSpineLookback, work.until);
    if (!stored.ok())
      return stored.error().WithContext(fmt::format("storing the rows of '{}' for model '{}'", plan.spine, plan.model));
  }
  return summary;
}

Result<OnlineSummary> MaterializeWhereOwned(const OnlineSite& site, Lake& lake, const OnlineWork& work) {
  auto owned = OpenOwnedStore(site, lake);
  if (owned.ok()) return MaterializeOnline(*owned->store, owned->pushes.get(), lake, work);
  if (owned.error().code != "store_owned") return std::move(owned).error();
  const std::optional<Endpoint> endpoint = ReadEndpoint(site.endpoint_file);
  if (!endpoint) return std::move(owned).error();
  TIDEMILL_ASSIGN_OR_RETURN(const Json answer,
                            PostJson(endpoint->address, endpoint->port, "/v1/materialize", work.ToJson(), kMaterializeTimeoutMs));
  TIDEMILL_ASSIGN_OR_RETURN(OnlineSummary summary, OnlineSummary::FromJson(answer));
  summary.by_server = true;
  return summary;
}

}  // namespace tidemill
