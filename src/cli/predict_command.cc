#include <memory>

#include <fmt/format.h>

#include "base/value_json.h"
#include "cli/commands.h"
#include "cli/model_reference.h"
#include "cli/online_answers.h"
#include "cli/table.h"
#include "serve/live_model.h"
#include "serve/prediction_log.h"

namespace tidemill {
namespace {

struct PredictArguments {
  std::string model;
  std::string instances;
  std::optional<Timestamp> at;
};

/// Predicts in this process, and logs as a server does.
Result<Json> PredictHere(const PredictArguments& arguments, const Json& instances, OnlineStore& store, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Catalog> catalog, OpenCatalog(context));
  TIDEMILL_ASSIGN_OR_RETURN([[maybe_unused]] const ModelVersion champion,
                            FindModelVersion(*catalog, {arguments.model, std::nullopt}));
  TIDEMILL_ASSIGN_OR_RETURN(OpenedLake opened, OpenLakeForWriting(context.project));
  TIDEMILL_ASSIGN_OR_RETURN(const std::shared_ptr<LiveModel> live, LoadChampion(*catalog, *opened.lake, arguments.model));
  TIDEMILL_ASSIGN_OR_RETURN(std::vector<Prediction> predictions,
                            PredictOnline(*live, store, instances, arguments.at, context.Now()));
  Json json = {{"model", live->name}, {"version", live->version}, {"predictions", Json::array()}};
  std::vector<LoggedPrediction> logged;
  for (Prediction& prediction : predictions) {
    json["predictions"].push_back(
        {{"prediction_id", prediction.id}, {"score", prediction.score}, {"at", FormatTimestamp(prediction.at)}});
    logged.push_back({std::move(prediction), context.clock.Now()});
  }
  TIDEMILL_RETURN_IF_ERROR(StorePredictions(*opened.lake, logged));
  return json;
}

Status ShowPredictions(const Json& answer, Console& console) {
  TableWriter table(console, {{"prediction"}, {"version", true}, {"at"}, {"score", true}});
  for (const Json& prediction : answer.value("predictions", Json::array())) {
    TIDEMILL_RETURN_IF_ERROR(table.Add({prediction.value("prediction_id", ""), answer.value("version", Json()).dump(),
                                        prediction.value("at", ""), prediction.value("score", Json()).dump()}));
  }
  return table.Finish();
}

Status RunPredict(const PredictArguments& arguments, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const Json instances, ReadInstances(arguments.instances));
  Json body = {{"instances", instances}};
  if (arguments.at) body["at"] = FormatTimestamp(*arguments.at);
  TIDEMILL_ASSIGN_OR_RETURN(const Json answer,
                            AnswerOnline(context, "/v1/models/" + arguments.model + "/predict", body,
                                         [&](OnlineStore& store) { return PredictHere(arguments, instances, store, context); }));
  return context.json ? context.console.WriteJson(answer) : ShowPredictions(answer, context.console);
}

}  // namespace

Command MakePredictCommand() {
  const auto arguments = std::make_shared<PredictArguments>();
  Command command;
  command.name = "predict";
  command.summary = "Ask a model's champion, as the server would answer";
  command.details =
      "An instance is a JSON object of the spine's fields that the model needs, or only the key of a row that the online store "
      "knows. The prediction is logged and can be traced with 'tidemill lineage'. A running server is asked by itself, and its "
      "own clock holds.";
  command.examples = {{"tidemill predict late_arrival '{\"flight_id\": 1042}'", "a row of the spine"},
                      {"tidemill predict late_arrival - < instances.json", "a list of them from stdin"}};
  command.parameters.push_back(Positional("MODEL", "which model", &arguments->model).Required().Offering(Completes::kModels));
  command.parameters.push_back(
      Positional("JSON", "an instance or a list of them, or - for stdin", &arguments->instances).Required());
  command.parameters.push_back(
      Option("--at", "TIME", "the time of the prediction (default: the row's own, where it has come, else now)", &arguments->at));
  command.run = [arguments](CommandContext& context) { return RunPredict(*arguments, context); };
  return command;
}

}  // namespace tidemill
