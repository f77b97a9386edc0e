#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/console.h"

namespace tidemill {

/// What a shell may offer for a value.
enum class Completes { kNothing, kFiles, kFolders, kAssets, kModels };

/// A parameter of a command: a flag ("--json"), an option with a value ("--limit ROWS") or a positional
/// ("ASSET").
struct Parameter {
  std::string name;        ///< "--limit"; a positional in capitals: "ASSET"
  std::string value_name;  ///< "ROWS"; "" : a flag or a positional
  std::string help;
  bool positional = false;
  bool required = false;
  bool repeated = false;  ///< a positional that takes several
  std::vector<std::string> choices;
  Completes completes = Completes::kNothing;
  /// Takes one value as typed; "" for a flag. Errors tell what was expected.
  std::function<Status(const std::string& text)> store;

  bool IsFlag() const { return !positional && value_name.empty(); }
  Parameter Required() && {
    required = true;
    return std::move(*this);
  }
  Parameter OneOf(std::vector<std::string> values) &&;  ///< others are refused, with a suggestion
  Parameter Offering(Completes what) && {
    completes = what;
    return std::move(*this);
  }
};

Parameter Flag(std::string name, std::string help, bool* target);
Parameter Option(std::string name, std::string value_name, std::string help, std::string* target);
Parameter Option(std::string name, std::string value_name, std::string help, std::optional<std::string>* target);
/// Whole numbers from `min` to `max`.
Parameter Option(std::string name, std::string value_name, std::string help, std::optional<int64_t>* target, int64_t min,
                 int64_t max = INT64_MAX);
Parameter Option(std::string name, std::string value_name, std::string help, std::optional<Timestamp>* target);
Parameter Option(std::string name, std::string value_name, std::string help, std::optional<Duration>* target);
Parameter Positional(std::string name, std::string help, std::string* target);
Parameter Positional(std::string name, std::string help, std::vector<std::string>* target);

/// What every command gets.
struct CommandContext {
  Console& console;
  const Clock& clock;            ///< operations clock
  std::string project = ".";     ///< --project
  bool json = false;             ///< --json
  std::optional<Timestamp> now;  ///< --now

  /// The project clock: --now, else the wall clock.
  Timestamp Now() const { return now ? *now : clock.Now(); }
};

/// An example in --help and docs/cli.md.
struct Example {
  std::string line;
  std::string says;
};

/// A command, or a group of commands (then `commands` is not empty and `run` is). The tree of these is what
/// arguments are parsed against, and what --help, docs/cli.md and shell completions are made from.
struct Command {
  std::string name;
  std::string summary;  ///< one line, no full stop
  std::string details;  ///< paragraphs; may be empty
  std::vector<Example> examples;
  std::vector<Parameter> parameters;
  bool hidden = false;  ///< left out of help and completions
  std::function<Status(CommandContext&)> run;
  std::vector<Command> commands;

  const Command* Find(std::string_view child) const;
};

}  // namespace tidemill
