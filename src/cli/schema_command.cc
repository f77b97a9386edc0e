#include <memory>

#include "cli/commands.h"
#include "project/project.h"

namespace tidemill {

Command MakeSchemaCommand() {
  const auto format = std::make_shared<std::string>();
  Command command;
  command.name = "schema";
  command.summary = "The JSON Schema of a file format, for editors";
  command.examples = {{"tidemill schema model > model.schema.json", "for models/*.yaml"}};
  command.parameters.push_back(Positional("FORMAT", "which file", format.get())
                                   .Required()
                                   .OneOf({"tidemill", "source", "table", "feature_view", "derived_view", "model"}));
  command.run = [format](CommandContext& context) -> Status {
    const std::string_view schema = FormatSchema(*format);
    if (schema.empty()) return InternalError("the schema of '" + *format + "' is missing from the program");
    TIDEMILL_RETURN_IF_ERROR(context.console.Write(schema));
    return schema.back() == '\n' ? Ok() : context.console.Write("\n");
  };
  return command;
}

}  // namespace tidemill
