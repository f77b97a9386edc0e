#include <memory>

#include <fmt/format.h>

#include "base/number_text.h"
#include "base/text_distance.h"
#include "base/value_json.h"
#include "cli/commands.h"
#include "cli/features_join.h"
#include "cli/features_program.h"
#include "cli/online_answers.h"
#include "cli/table.h"
#include "orchestrate/verify.h"
#include "orchestrate/verify_view.h"
#include "serve/answer_log.h"
#include "serve/features.h"

namespace tidemill {
namespace {

constexpr int64_t kSampleDefault = 1000;

struct GetArguments {
  std::string view;
  std::string entities;
  std::optional<Timestamp> at;
};

Result<Json> FeaturesHere(const GetArguments& arguments, const Json& entities, OnlineStore& store, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const Workspace workspace, OpenWorkspace(context.project, context.clock));
  const Timestamp at = arguments.at.value_or(context.Now());
  const auto derived = workspace.derived_plans.find(arguments.view);
  const auto program = workspace.programs.find(arguments.view);
  if (program == workspace.programs.end() && derived == workspace.derived_plans.end()) {
    std::vector<std::string> names;
    for (const auto& [name, unused] : workspace.programs) names.push_back(name);
    for (const auto& [name, unused] : workspace.derived_plans) names.push_back(name);
    return UserError("unknown_view", fmt::format("there is no feature view '{}'", arguments.view),
                     SuggestionHint(arguments.view, names));
  }
  // As a server does: nothing is pushed while this process has the store, but at this very time something still may be.
  AnswerSampler sampler({}, [&](const std::string& view) -> std::optional<Timestamp> {
    for (const PushedView& pushed : workspace.pushed_views.at_once) {
      if (pushed.program.view == view) return context.Now() - Duration{1};
    }
    return std::nullopt;
  });
  store.states().SetSampler(&sampler);
  const auto answered = [&]() -> Result<Json> {
    if (derived != workspace.derived_plans.end())
      return AnswerDerivedFeatures(store, arguments.view, derived->second, entities, at);
    TIDEMILL_ASSIGN_OR_RETURN(const OnlineView view, OnlineView::Make(program->second));
    return AnswerFeatures(store, view, entities, at);
  };
  auto answer = answered();
  store.states().SetSampler(nullptr);
  TIDEMILL_RETURN_IF_ERROR(StoreAnswers(*workspace.lake, sampler.Take()));
  return answer;
}

Status ShowFeatures(const Json& answer, Console& console) {
  std::vector<TableWriter::Heading> headings;
  const Json results = answer.value("results", Json::array());
  if (results.empty()) return Ok();
  headings.push_back({"found"});
  for (const auto& [name, value] : results[0]["features"].items()) headings.push_back({name, value.is_number()});
  TableWriter table(console, std::move(headings));
  for (const Json& result : results) {
    std::vector<std::string> cells = {result.value("found", false) ? "yes" : "no"};
    std::vector<bool> dim = {false};
    for (const auto& [name, value] : result["features"].items()) {
      cells.push_back(value.is_null() ? "NULL" : value.is_string() ? value.get<std::string>() : value.dump());
      dim.push_back(value.is_null());
    }
    TIDEMILL_RETURN_IF_ERROR(table.Add(std::move(cells), dim));
  }
  return table.Finish();
}

Status RunGet(const GetArguments& arguments, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const Json entities, ReadInstances(arguments.entities));
  Json body = {{"entities", entities}};
  if (arguments.at) body["at"] = FormatTimestamp(*arguments.at);
  TIDEMILL_ASSIGN_OR_RETURN(const Json answer,
                            AnswerOnline(context, "/v1/features/" + arguments.view, body,
                                         [&](OnlineStore& store) { return FeaturesHere(arguments, entities, store, context); }));
  return context.json ? context.console.WriteJson(answer) : ShowFeatures(answer, context.console);
}

Command MakeGetCommand() {
  const auto arguments = std::make_shared<GetArguments>();
  Command command;
  command.name = "get";
  command.summary = "Online values of a feature view for entities";
  command.details = "Of a derived view the object brings the keys of the views that it uses, and the fields of its request.";
  command.examples = {{"tidemill features get origin_delays '{\"origin\": \"JFK\"}'", "one entity, now"}};
  command.parameters.push_back(
      Positional("VIEW", "which feature view", &arguments->view).Required().Offering(Completes::kAssets));
  command.parameters.push_back(
      Positional("JSON", "an entity or a list of them, or - for stdin", &arguments->entities).Required());
  command.parameters.push_back(Option("--at", "TIME", "as of this time (default: the project clock)", &arguments->at));
  command.run = [arguments](CommandContext& context) { return RunGet(*arguments, context); };
  return command;
}

struct VerifyArguments {
  std::string name;
  std::optional<int64_t> sample;
};

Status ShowVerified(const VerifyReport& report, Console& console) {
  if (report.rows_different == 0) {
    console.Tell(fmt::format("{} {} rows of {}@{}: online equals batch, bit for bit, in {}\n",
                             console.ErrStyle(Style::kGood, "✓"), GroupedNumber(report.rows), report.model, report.version,
                             FormatSeconds(report.seconds)));
    return Ok();
  }
  TableWriter table(console, {{"row"}, {"input"}, {"batch", true}, {"online", true}});
  for (const OnlineDifference& difference : report.differences) {
    TIDEMILL_RETURN_IF_ERROR(table.Add({difference.row, difference.input, difference.batch, difference.online}));
  }
  return table.Finish();
}

Status ShowVerifiedView(const ViewVerification& report, Console& console) {
  if (report.answers == 0) {
    console.Tell(fmt::format("{} no online answers of {} were logged in the last seven days; 'tidemill serve' and 'features get' log them\n",
                             console.ErrStyle(Style::kCaution, "•"), report.view));
    return Ok();
  }
  if (report.answers_different == 0) {
    console.Tell(fmt::format("{} {} of {} as in batch, bit for bit, in {}\n", console.ErrStyle(Style::kGood, "✓"),
                             report.answers == 1 ? "1 online answer" : GroupedNumber(report.answers) + " online answers", report.view,
                             FormatSeconds(report.seconds)));
    return Ok();
  }
  TableWriter table(console, {{"entity"}, {"at"}, {"feature"}, {"online", true}, {"batch", true}, {"rows behind it"}});
  for (const AnswerDifference& difference : report.differences) {
    TIDEMILL_RETURN_IF_ERROR(table.Add({difference.entity, FormatTimestamp(difference.at), difference.feature, difference.online, difference.batch,
                                        fmt::format("{}", fmt::join(difference.rows, "; "))}));
  }
  return table.Finish();
}

Status RunVerifyView(const VerifyArguments& arguments, Workspace& workspace, CommandContext& context) {
  TIDEMILL_RETURN_IF_ERROR(FlushPushes(SiteOf(workspace), *workspace.lake));
  TIDEMILL_ASSIGN_OR_RETURN(const ViewVerification report,
                            VerifyView(workspace, arguments.name, arguments.sample.value_or(kSampleDefault), context.Now()));
  TIDEMILL_RETURN_IF_ERROR(context.json ? context.console.WriteJson(report.ToJson()) : ShowVerifiedView(report, context.console));
  if (report.answers_different == 0) return Ok();
  return UserError("skew", fmt::format("{} of {} online answers differ from batch", report.answers_different, report.answers),
                   "were rows changed in the lake after they were answered from?");
}

Error UnknownName(const Project& project, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [view, unused] : project.views) names.push_back(view);
  for (const auto& [model, unused] : project.models) names.push_back(model);
  return UserError("unknown_asset", fmt::format("there is no feature view or model '{}'", name), SuggestionHint(name, names));
}

Status RunVerify(const VerifyArguments& arguments, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(Workspace workspace, OpenWorkspace(context.project, context.clock));
  const bool is_view = workspace.project.views.contains(arguments.name) || workspace.project.derived_views.contains(arguments.name);
  if (is_view) return RunVerifyView(arguments, workspace, context);
  if (!workspace.project.models.contains(arguments.name)) return UnknownName(workspace.project, arguments.name);
  TIDEMILL_ASSIGN_OR_RETURN(const VerifyReport report,
                            VerifyOnline(workspace, arguments.name, arguments.sample.value_or(kSampleDefault), context.Now()));
  TIDEMILL_RETURN_IF_ERROR(context.json ? context.console.WriteJson(report.ToJson()) : ShowVerified(report, context.console));
  if (report.rows_different == 0) return Ok();
  return UserError("skew", fmt::format("{} of {} rows differ between batch and online", report.rows_different, report.rows),
                   "was the table of a view changed after the store was filled? 'tidemill run' brings the store up to date");
}

Command MakeVerifyCommand() {
  const auto arguments = std::make_shared<VerifyArguments>();
  Command command;
  command.name = "verify";
  command.summary = "Compare online answers with batch, bit for bit";
  command.details =
      "Of a feature view: logged answers of the last seven days are computed again by the point-in-time join at their own times; a difference is shown "
      "with the rows behind it (file, record). Of a derived view the answers are computed again over what each view that it uses held. A run does this by itself after each materialization. Of a model: the rows that batch "
      "scored on the last day are answered online again.";
  command.examples = {{"tidemill features verify origin_delays", "1,000 logged answers of a view"},
                      {"tidemill features verify late_arrival", "1,000 rows scored by a model"},
                      {"tidemill features verify late_arrival --sample 0", "every row of the day"}};
  command.parameters.push_back(Positional("NAME", "a feature view or a model", &arguments->name).Required().Offering(Completes::kAssets));
  command.parameters.push_back(Option("--sample", "ROWS", "how many rows, 0: all (default: 1000)", &arguments->sample, 0));
  command.run = [arguments](CommandContext& context) { return RunVerify(*arguments, context); };
  return command;
}

}  // namespace

Command MakeFeaturesCommand() {
  Command features;
  features.name = "features";
  features.summary = "Online features, and whether they equal those of batch";
  features.commands.push_back(MakeGetCommand());
  features.commands.push_back(MakeFeaturesJoinCommand());
  features.commands.push_back(MakeFeaturesProgramCommand());
  features.commands.push_back(MakeVerifyCommand());
  return features;
}

}  // namespace tidemill
