#include <fmt/format.h>

#include "cli/commands.h"
#include "orchestrate/workspace.h"

namespace tidemill {

Command MakeCheckCommand() {
  Command command;
  command.name = "check";
  command.summary = "Validate the project without running it";
  command.details =
      "Reads every definition, parses and binds the SQL, compiles the features, and finds what would leak the future into a "
      "model. All errors of one pass are shown.";
  command.examples = {{"tidemill check", "the project here"},
                      {"tidemill check --project flights --json", "for an editor or a build"}};
  command.run = [](CommandContext& context) -> Status {
    TIDEMILL_RETURN_IF_ERROR(CheckProject(context.project));
    if (context.json) return context.console.WriteJson({{"ok", true}});
    context.console.Tell(context.console.ErrStyle(Style::kGood, "✓") + " the project is fine\n");
    return Ok();
  };
  return command;
}

}  // namespace tidemill
