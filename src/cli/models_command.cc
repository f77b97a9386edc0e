#include <memory>

#include <fmt/format.h>

#include "base/number_text.h"
#include "cli/commands.h"
#include "cli/model_reference.h"
#include "cli/open.h"
#include "cli/progress_display.h"
#include "cli/show_model.h"
#include "cli/table.h"
#include "orchestrate/reproduce.h"

namespace tidemill {
namespace {


Status TellAlias(const AliasChange& change, CommandContext& context) {
  if (context.json) {
    return context.console.WriteJson(
        {{"model", change.model}, {"alias", change.alias}, {"version", change.version}, {"reason", change.reason}});
  }
  context.console.Tell(fmt::format("{} version {} of {} is the champion\n", context.console.ErrStyle(Style::kGood, "✓"),
                                   change.version, change.model));
  return Ok();
}

Status Promote(const std::string& text, bool force, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const ModelReference reference, ParseModelReference(text));
  if (!reference.version) {
    return UserError("bad_argument", fmt::format("'{}' names no version", text), fmt::format("for instance {}@2", text));
  }
  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Catalog> catalog, OpenCatalog(context));
  TIDEMILL_ASSIGN_OR_RETURN(const ModelVersion version, FindModelVersion(*catalog, reference));
  if (version.status != "accepted" && !force) {
    return UserError(
        "not_accepted",
        fmt::format("version {} of {} is {}: its gates did not accept it", version.version, version.model, version.status),
        "--force promotes it all the same");
  }
  const AliasChange change{version.model, std::string(kChampionAlias), version.version, context.Now(), "promoted by hand"};
  TIDEMILL_RETURN_IF_ERROR(catalog->SetAlias(change));
  return TellAlias(change, context);
}

Status Rollback(const std::string& model, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Catalog> catalog, OpenCatalog(context));
  TIDEMILL_ASSIGN_OR_RETURN(const ModelVersion champion, FindModelVersion(*catalog, {model, std::nullopt}));
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<AliasChange> history, catalog->AliasHistory(model));
  // What was rolled back from is no place to go back to: walk the history as a stack.
  std::vector<int64_t> stack;
  for (const AliasChange& change : history) {
    if (change.alias != kChampionAlias) continue;
    const bool back =
        stack.size() >= 2 && stack[stack.size() - 2] == change.version && change.reason.rfind("rolled back", 0) == 0;
    if (back) {
      stack.pop_back();
    } else if (stack.empty() || stack.back() != change.version) {
      stack.push_back(change.version);
    }
  }
  if (stack.size() < 2)
    return UserError("no_earlier_champion", fmt::format("{} had no champion before version {}", model, champion.version));
  const AliasChange change{model, std::string(kChampionAlias), stack[stack.size() - 2], context.Now(),
                           fmt::format("rolled back from version {}", champion.version)};
  TIDEMILL_RETURN_IF_ERROR(catalog->SetAlias(change));
  return TellAlias(change, context);
}

Status ShowVersion(const std::string& text, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const ModelReference reference, ParseModelReference(text));
  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Catalog> catalog, OpenCatalog(context));
  TIDEMILL_ASSIGN_OR_RETURN(const ModelVersion version, FindModelVersion(*catalog, reference));
  return ShowModelVersion(version, context);
}

Status ShowReproduced(const ReproduceReport& report, Console& console) {
  const auto compare = [](const std::string& recorded, const std::string& rebuilt) {
    return recorded == rebuilt ? recorded + " (equal)"
                               : fmt::format("{} recorded, {} rebuilt", recorded, rebuilt.empty() ? "not" : rebuilt);
  };
  TIDEMILL_RETURN_IF_ERROR(console.Write(fmt::format("{}@{}: {}, {} training rows, {}\n", report.model, report.version,
                                                     report.equal ? "equal byte for byte" : "DIFFERENT",
                                                     GroupedNumber(report.training_rows), FormatSeconds(report.seconds))));
  TIDEMILL_RETURN_IF_ERROR(
      console.Write("training set  " + compare(report.training_set_sha256_recorded, report.training_set_sha256_rebuilt) + "\n"));
  TIDEMILL_RETURN_IF_ERROR(
      console.Write("package       " + compare(report.package_sha256_recorded, report.package_sha256_rebuilt) + "\n"));
  if (report.differences.empty()) return Ok();
  TIDEMILL_RETURN_IF_ERROR(console.Write("\n"));
  TableWriter table(console, {{"what"}, {"where"}, {"difference"}});
  for (const Difference& difference : report.differences)
    TIDEMILL_RETURN_IF_ERROR(table.Add({difference.what, difference.where, difference.detail}));
  return table.Finish();
}

Status Reproduce(const std::string& text, const std::string& state, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(ModelReference reference, ParseModelReference(text));
  StatePaths paths{state};
  if (state.empty()) {
    TIDEMILL_ASSIGN_OR_RETURN(paths, FindState(context.project));
  }
  if (!std::filesystem::exists(paths.catalog())) {
    return UserError("catalog_missing", fmt::format("there is no catalog in '{}'", paths.folder.string()),
                     "name a state folder (.tidemill) with --state");
  }
  if (!reference.version) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Catalog> catalog, Catalog::Open(paths.catalog(), context.clock));
    TIDEMILL_ASSIGN_OR_RETURN(const ModelVersion version, FindModelVersion(*catalog, reference));
    reference.version = version.version;
  }
  ProgressDisplay display(context.console);
  TIDEMILL_ASSIGN_OR_RETURN(const ReproduceReport report, ReproduceModel(paths.folder, reference.model, *reference.version,
                                                                         context.clock, display.AsProgress()));
  if (context.json) {
    TIDEMILL_RETURN_IF_ERROR(context.console.WriteJson(report.ToJson()));
  } else {
    TIDEMILL_RETURN_IF_ERROR(ShowReproduced(report, context.console));
  }
  if (report.equal) return Ok();
  return UserError("not_reproduced",
                   fmt::format("version {} of {} could not be rebuilt byte for byte", report.version, report.model),
                   "the differences above say where; restore what has changed from a copy");
}

Command MakeListCommand() {
  const auto model = std::make_shared<std::string>();
  Command command;
  command.name = "list";
  command.summary = "The versions of all models, or of one";
  command.examples = {{"tidemill models list", "all"}, {"tidemill models list late_arrival --json", "one, for a program"}};
  command.parameters.push_back(Positional("MODEL", "only of this model", model.get()).Offering(Completes::kModels));
  command.run = [model](CommandContext& context) { return ShowModelVersions(*model, context); };
  return command;
}

Command MakeShowVersionCommand() {
  const auto reference = std::make_shared<std::string>();
  Command command;
  command.name = "show";
  command.summary = "One version: figures, gates, inputs, importances";
  command.examples = {{"tidemill models show late_arrival", "the champion"},
                      {"tidemill models show late_arrival@2", "version 2"}};
  command.parameters.push_back(
      Positional("MODEL", "a model (its champion), or MODEL@VERSION", reference.get()).Required().Offering(Completes::kModels));
  command.run = [reference](CommandContext& context) { return ShowVersion(*reference, context); };
  return command;
}

Command MakePromoteCommand() {
  struct Arguments {
    std::string reference;
    bool force = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  Command command;
  command.name = "promote";
  command.summary = "Make a version the champion: it answers from the next second on";
  command.examples = {{"tidemill models promote late_arrival@2", "a version that its gates accepted"}};
  command.parameters.push_back(
      Positional("MODEL@VERSION", "which version", &arguments->reference).Required().Offering(Completes::kModels));
  command.parameters.push_back(Flag("--force", "also a version that its gates did not accept", &arguments->force));
  command.run = [arguments](CommandContext& context) { return Promote(arguments->reference, arguments->force, context); };
  return command;
}

Command MakeRollbackCommand() {
  const auto model = std::make_shared<std::string>();
  Command command;
  command.name = "rollback";
  command.summary = "Make the champion before this one the champion again";
  command.examples = {{"tidemill models rollback late_arrival", "back by one; again: back by two"}};
  command.parameters.push_back(Positional("MODEL", "which model", model.get()).Required().Offering(Completes::kModels));
  command.run = [model](CommandContext& context) { return Rollback(*model, context); };
  return command;
}

Command MakeReproduceCommand() {
  struct Arguments {
    std::string reference;
    std::string state;
  };
  const auto arguments = std::make_shared<Arguments>();
  Command command;
  command.name = "reproduce";
  command.summary = "Rebuild a version in an empty place and compare it byte for byte";
  command.details =
      "Uses the archived definitions and the recorded snapshot of the sources only: neither the project's files as they are "
      "now, nor caches, nor the stored model. Fails when anything differs, and says where.";
  command.examples = {{"tidemill models reproduce late_arrival@1", "the first version"},
                      {"tidemill models reproduce late_arrival@1 --state /backup/.tidemill", "from a copy elsewhere"}};
  command.parameters.push_back(Positional("MODEL", "a model (its champion), or MODEL@VERSION", &arguments->reference)
                                   .Required()
                                   .Offering(Completes::kModels));
  command.parameters.push_back(
      Option("--state", "FOLDER", "a copy of a project's .tidemill folder (default: the project's own)", &arguments->state)
          .Offering(Completes::kFolders));
  command.run = [arguments](CommandContext& context) { return Reproduce(arguments->reference, arguments->state, context); };
  return command;
}

}  // namespace

Command MakeModelsCommand() {
  Command models;
  models.name = "models";
  models.summary = "Versions of models, and which one answers";
  models.commands.push_back(MakeListCommand());
  models.commands.push_back(MakeShowVersionCommand());
  models.commands.push_back(MakePromoteCommand());
  models.commands.push_back(MakeRollbackCommand());
  models.commands.push_back(MakeReproduceCommand());
  return models;
}

}  // namespace tidemill
