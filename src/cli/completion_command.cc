#include <memory>

#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/help.h"

namespace tidemill {

Command MakeCompletionCommand(const Command& root) {
  const auto shell = std::make_shared<std::string>();
  Command command;
  command.name = "completion";
  command.summary = "A script that completes commands and options in a shell";
  command.examples = {{"source <(tidemill completion bash)", "in ~/.bashrc"},
                      {"tidemill completion fish > ~/.config/fish/completions/tidemill.fish", "for fish"}};
  command.parameters.push_back(Positional("SHELL", "which", shell.get()).Required().OneOf({"bash", "zsh", "fish"}));
  command.run = [shell, &root](CommandContext& context) -> Status {
    return context.console.Write(CompletionScript(root, CommonParameters(&context), *shell));
  };
  return command;
}

Command MakeHelpMarkdownCommand(const Command& root) {
  Command command;
  command.name = "help-markdown";
  command.summary = "docs/cli.md";
  command.hidden = true;
  command.run = [&root](CommandContext& context) -> Status {
    return context.console.Write(HelpMarkdown(root, CommonParameters(&context)));
  };
  return command;
}

}  // namespace tidemill
