#include "cli/arguments.h"

#include <deque>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/text_distance.h"
#include "cli/help.h"

namespace tidemill {
namespace {

/// A command with its CLI11 twin and the texts that CLI11 found for each parameter. CLI11 splits the line;
/// meaning is ours.
struct Twin {
  const Command* command = nullptr;
  std::vector<const Command*> path;
  CLI::App* app = nullptr;
  std::deque<std::pair<const Parameter*, std::vector<std::string>>> texts;  // addresses must stay
  bool help = false;
};

class LineParser {
 public:
  LineParser(const Command& root, const std::vector<Parameter>& common) : app_(root.summary, root.name), common_(common) {
    Prepare(root, {}, &app_);
    app_.add_flag("--version", version_);
    for (const Parameter& parameter : common_) AddParameter(parameter, &twins_.front());
  }

  Result<ParsedArguments> Parse(std::vector<std::string> arguments) {
    std::reverse(arguments.begin(), arguments.end());  // what CLI11 wants
    try {
      app_.parse(std::move(arguments));
    } catch (const CLI::ParseError& problem) {
      return UserError("bad_argument", Lowered(problem.what()), HelpHint(Chosen()));
    }
    const Twin& chosen = Chosen();
    if (version_ || chosen.help) return ParsedArguments{chosen.path, chosen.help, version_};
    TIDEMILL_RETURN_IF_ERROR(CheckRemaining(chosen));
    if (!chosen.command->commands.empty()) return MissingCommand(chosen);
    TIDEMILL_RETURN_IF_ERROR(Store(twins_.front(), chosen));
    if (&chosen != &twins_.front()) TIDEMILL_RETURN_IF_ERROR(Store(chosen, chosen));
    return ParsedArguments{chosen.path, false, false};
  }

 private:
  void Prepare(const Command& command, std::vector<const Command*> path, CLI::App* app) {
    path.push_back(&command);
    twins_.push_back({&command, path, app, {}, false});
    Twin& twin = twins_.back();
    app->set_help_flag();
    app->add_flag("-h,--help", twin.help);
    app->allow_extras(true);
    app->fallthrough(path.size() > 1);
    for (const Parameter& parameter : command.parameters) AddParameter(parameter, &twin);
    for (const Command& child : command.commands) Prepare(child, path, app->add_subcommand(child.name, child.summary));
  }

  void AddParameter(const Parameter& parameter, Twin* twin) {
    twin->texts.emplace_back(&parameter, std::vector<std::string>());
    std::vector<std::string>* texts = &twin->texts.back().second;
    if (parameter.IsFlag()) {
      twin->app->add_flag_callback(parameter.name, [texts] { texts->push_back(""); });
      return;
    }
    CLI::Option* option = twin->app->add_option_function<std::vector<std::string>>(
        parameter.name, [texts](const std::vector<std::string>& values) { *texts = values; });
    if (parameter.repeated) {
      option->expected(0, -1);
    } else {
      option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)->allow_extra_args(false);
    }
  }

  /// The innermost command named.
  const Twin& Chosen() const {
    const Twin* chosen = &twins_.front();
    for (const Twin& twin : twins_) {
      if (twin.app != &app_ && twin.app->parsed()) chosen = &twin;
    }
    return *chosen;
  }

  Status CheckRemaining(const Twin& chosen) const {
    const std::vector<std::string> left = app_.remaining(true);
    for (const std::string& text : left) {
      if (text == "--") continue;
      const std::string where = fmt::format("'{}'", CommandLine(chosen.path));
      if (text.size() > 1 && text[0] == '-') {
        const std::string name = text.substr(0, text.find('='));
        return UserError("unknown_option", fmt::format("unknown option '{}' of {}", name, where),
                         SuggestionHint(name, OptionNames(chosen)));
      }
      if (!chosen.command->commands.empty()) {
        return UserError("unknown_command", fmt::format("unknown command '{}' of {}", text, where),
                         SuggestionHint(text, CommandNames(*chosen.command)));
      }
      return UserError("unexpected_argument", fmt::format("{} takes no further argument, but '{}' came", where, text),
                       HelpHint(chosen));
    }
    return Ok();
  }

  Error MissingCommand(const Twin& chosen) const {
    return UserError("missing_argument", fmt::format("'{}' needs a command", CommandLine(chosen.path)),
                     SuggestionHint("", CommandNames(*chosen.command)));
  }

  static Status Store(const Twin& twin, const Twin& chosen) {
    for (const auto& [parameter, texts] : twin.texts) {
      if (parameter->required && texts.empty()) {
        return UserError("missing_argument",
                         fmt::format("'{}' needs {}: {}", CommandLine(chosen.path), parameter->name, parameter->help),
                         "usage: " + UsageLine(chosen.path));
      }
      for (const std::string& text : texts) TIDEMILL_RETURN_IF_ERROR(parameter->store(text));
    }
    return Ok();
  }

  std::vector<std::string> OptionNames(const Twin& chosen) const {
    std::vector<std::string> names;
    for (const Parameter& parameter : chosen.command->parameters) {
      if (!parameter.positional) names.push_back(parameter.name);
    }
    for (const Parameter& parameter : common_) names.push_back(parameter.name);
    names.push_back("--help");
    return names;
  }

  static std::vector<std::string> CommandNames(const Command& command) {
    std::vector<std::string> names;
    for (const Command& child : command.commands) {
      if (!child.hidden) names.push_back(child.name);
    }
    return names;
  }

  static std::string HelpHint(const Twin& chosen) { return fmt::format("see '{} --help'", CommandLine(chosen.path)); }

  static std::string Lowered(std::string text) {
    if (!text.empty() && std::isupper(static_cast<unsigned char>(text[0]))) text[0] = static_cast<char>(std::tolower(text[0]));
    return text;
  }

  CLI::App app_;
  const std::vector<Parameter>& common_;
  std::deque<Twin> twins_;
  bool version_ = false;
};

}  // namespace

Result<ParsedArguments> ParseArguments(const Command& root, const std::vector<Parameter>& common,
                                       const std::vector<std::string>& arguments) {
  return LineParser(root, common).Parse(arguments);
}

}  // namespace tidemill
