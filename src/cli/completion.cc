#include "cli/completion.h"

#include <sstream>

#include <fmt/format.h>

#include "cli/help.h"

namespace tidemill {
namespace {

/// One command as a shell sees it: the words that lead to it and those that may follow.
struct Words {
  std::string path;  ///< "lake verify"; "" : the program itself
  const Command* command = nullptr;
  std::vector<std::string> next;  ///< commands, options, choices
  Completes positional = Completes::kNothing;
};

std::vector<std::string> NextWords(const Command& command, const std::vector<Parameter>& common) {
  std::vector<std::string> next;
  for (const Command& child : command.commands) {
    if (!child.hidden) next.push_back(child.name);
  }
  for (const Parameter& parameter : command.parameters) {
    if (!parameter.positional) next.push_back(parameter.name);
    if (parameter.positional) next.insert(next.end(), parameter.choices.begin(), parameter.choices.end());
  }
  for (const Parameter& parameter : common) next.push_back(parameter.name);
  next.push_back("--help");
  return next;
}

void Collect(const Command& command, const std::string& path, const std::vector<Parameter>& common, std::vector<Words>* out) {
  if (command.hidden) return;
  Words words{path, &command, NextWords(command, common), Completes::kNothing};
  for (const Parameter& parameter : command.parameters) {
    if (parameter.positional && words.positional == Completes::kNothing) words.positional = parameter.completes;
  }
  out->push_back(std::move(words));
  for (const Command& child : command.commands) Collect(child, path.empty() ? child.name : path + " " + child.name, common, out);
}

/// Names of assets are the names of files below the project's folders.
constexpr std::string_view kAssetNames =
    "for f in sources/*.yaml tables/*.sql features/*.yaml models/*.yaml; do [ -e \"$f\" ] && f=${f##*/} && echo \"${f%.*}\"; "
    "done";
constexpr std::string_view kModelNames = "for f in models/*.yaml; do [ -e \"$f\" ] && f=${f##*/} && echo \"${f%.*}\"; done";

std::string ShellWords(const Words& words) {
  std::string text = fmt::format("{}", fmt::join(words.next, " "));
  if (words.positional == Completes::kAssets) text += fmt::format(" $({})", kAssetNames);
  if (words.positional == Completes::kModels) text += fmt::format(" $({})", kModelNames);
  return text;
}

/// Bash finds the longest known path among the words that are no options. Zsh runs the same through
/// bashcompinit.
std::string BashScript(const std::vector<Words>& all) {
  std::string cases;
  std::string paths;
  for (const Words& words : all) {
    cases += fmt::format("    '{}') words=\"{}\" ;;\n", words.path, ShellWords(words));
    if (!words.path.empty()) paths += fmt::format("{}'{}'", paths.empty() ? "" : "|", words.path);
  }
  std::string script = "_tidemill() {\n";
  script +=
      "  local word path='' words='' current=\"${COMP_WORDS[COMP_CWORD]}\" "
      "previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n";
  script += "  local i\n  for ((i = 1; i < COMP_CWORD; i++)); do\n";
  script += "    word=\"${path:+$path }${COMP_WORDS[i]}\"\n";
  script += fmt::format("    case \"$word\" in\n      {}) path=\"$word\" ;;\n    esac\n  done\n", paths);
  script +=
      "  case \"$previous\" in\n    --project) COMPREPLY=($(compgen -d -- \"$current\")); return ;;\n  "
      "esac\n";
  script += "  case \"$path\" in\n" + cases + "  esac\n";
  script += "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}\n";
  return script + "complete -o default -F _tidemill tidemill\n";
}

std::string FishQuoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return quoted + "'";
}

/// The condition under which a command's words are offered: all of its path is there, and none of its
/// commands.
std::string FishCondition(const Words& words) {
  std::vector<std::string> conditions;
  std::istringstream path(words.path);
  for (std::string word; path >> word;) conditions.push_back("__fish_seen_subcommand_from " + word);
  std::string children;
  for (const Command& child : words.command->commands) children += child.hidden ? "" : " " + child.name;
  if (!children.empty()) conditions.push_back("not __fish_seen_subcommand_from" + children);
  return conditions.empty() ? "true" : fmt::format("{}", fmt::join(conditions, "; and "));
}

std::string FishScript(const std::vector<Words>& all, const std::vector<Parameter>& common) {
  std::string script = "complete -c tidemill -f\n";
  for (const Parameter& parameter : common) {
    script += fmt::format("complete -c tidemill -l {}{} -d {}\n", parameter.name.substr(2), parameter.IsFlag() ? "" : " -r",
                          FishQuoted(parameter.help));
  }
  for (const Words& words : all) {
    const std::string condition = FishQuoted(FishCondition(words));
    for (const Command& child : words.command->commands) {
      if (!child.hidden)
        script += fmt::format("complete -c tidemill -n {} -a {} -d {}\n", condition, child.name, FishQuoted(child.summary));
    }
    for (const Parameter& parameter : words.command->parameters) {
      if (!parameter.positional) {
        script += fmt::format("complete -c tidemill -n {} -l {}{} -d {}\n", condition, parameter.name.substr(2),
                              parameter.IsFlag() ? "" : " -r", FishQuoted(parameter.help));
      } else if (!parameter.choices.empty()) {
        script += fmt::format("complete -c tidemill -n {} -a {}\n", condition,
                              FishQuoted(fmt::format("{}", fmt::join(parameter.choices, " "))));
      }
    }
    const bool assets = words.positional == Completes::kAssets;
    if (assets || words.positional == Completes::kModels) {
      script += fmt::format("complete -c tidemill -n {} -a {}\n", condition,
                            FishQuoted(fmt::format("(sh -c {})", FishQuoted(assets ? kAssetNames : kModelNames))));
    }
  }
  return script;
}

}  // namespace

std::string CompletionScript(const Command& root, const std::vector<Parameter>& common, std::string_view shell) {
  std::vector<Words> all;
  Collect(root, "", common, &all);
  if (shell == "fish") return FishScript(all, common);
  const std::string script = BashScript(all);
  return shell == "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" + script : script;
}

}  // namespace tidemill
