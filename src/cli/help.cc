#include "cli/help.h"

#include <algorithm>

#include <fmt/format.h>

namespace tidemill {
namespace {

constexpr size_t kTextColumns = 100;

/// Breaks a paragraph into lines that start at `indent` (but for the first, which the caller has begun).
std::string Wrapped(std::string_view text, size_t indent) {
  std::string out;
  size_t column = indent;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find_first_of(" \n", at);
    if (end == std::string_view::npos) end = text.size();
    const std::string_view word = text.substr(at, end - at);
    if (column > indent && column + 1 + word.size() > kTextColumns) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += " ";
      ++column;
    }
    out += word;
    column += word.size();
    if (end < text.size() && text[end] == '\n') {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    }
    at = end + 1;
  }
  return out;
}

std::string ShownName(const Parameter& parameter) {
  if (parameter.positional) return parameter.name + (parameter.repeated ? "..." : "");
  return parameter.IsFlag() ? parameter.name : parameter.name + " " + parameter.value_name;
}

std::string ShownHelp(const Parameter& parameter) {
  if (parameter.choices.empty()) return parameter.help;
  return fmt::format("{}: {}", parameter.help, fmt::join(parameter.choices, ", "));
}

/// "  name   what it is", aligned.
std::string Section(std::string_view title, const std::vector<std::pair<std::string, std::string>>& rows) {
  if (rows.empty()) return "";
  size_t width = 0;
  for (const auto& [name, text] : rows) width = std::max(width, name.size());
  std::string out = fmt::format("\n{}:\n", title);
  for (const auto& [name, text] : rows) out += fmt::format("  {:<{}}  {}\n", name, width, Wrapped(text, width + 4));
  return out;
}

std::vector<std::pair<std::string, std::string>> ParameterRows(const std::vector<Parameter>& parameters, bool positional) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Parameter& parameter : parameters) {
    if (parameter.positional == positional) rows.emplace_back(ShownName(parameter), ShownHelp(parameter));
  }
  return rows;
}

std::vector<std::pair<std::string, std::string>> CommandRows(const Command& command) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Command& child : command.commands) {
    if (!child.hidden) rows.emplace_back(child.name, child.summary);
  }
  return rows;
}

std::string MarkdownRow(std::string_view name, std::string text) {
  // A bar would end the cell.
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return fmt::format("| `{}` | {} |\n", name, text);
}

void AppendMarkdown(std::vector<const Command*> path, std::string* out) {
  const Command& command = *path.back();
  if (command.hidden) return;
  if (path.size() > 1) {
    *out += fmt::format("\n## {}\n\n{}.\n", CommandLine(path), command.summary);
    if (command.commands.empty()) *out += fmt::format("\n```text\n{}\n```\n", UsageLine(path));
    if (!command.details.empty()) *out += "\n" + command.details + "\n";
    if (!command.parameters.empty()) *out += "\n| parameter | meaning |\n|---|---|\n";
    for (const Parameter& parameter : command.parameters) *out += MarkdownRow(ShownName(parameter), ShownHelp(parameter));
    for (size_t i = 0; i < command.examples.size(); ++i) {
      *out += i == 0 ? "\n```sh\n" : "";
      *out += fmt::format("{:<60}  # {}\n", command.examples[i].line, command.examples[i].says);
      *out += i + 1 == command.examples.size() ? "```\n" : "";
    }
  }
  for (const Command& child : command.commands) {
    path.push_back(&child);
    AppendMarkdown(path, out);
    path.pop_back();
  }
}

}  // namespace

std::string CommandLine(const std::vector<const Command*>& path) {
  std::string line;
  for (const Command* command : path) line += (line.empty() ? "" : " ") + command->name;
  return line;
}

std::string UsageLine(const std::vector<const Command*>& path) {
  std::string line = CommandLine(path);
  const Command& command = *path.back();
  if (!command.commands.empty()) return line + " COMMAND";
  for (const Parameter& parameter : command.parameters) {
    const std::string shown = ShownName(parameter);
    line += parameter.required ? " " + shown : " [" + shown + "]";
  }
  return line;
}

std::string HelpText(const std::vector<const Command*>& path, const std::vector<Parameter>& common) {
  const Command& command = *path.back();
  std::string out = fmt::format("{}: {}\n\nUsage: {}\n", CommandLine(path), command.summary, UsageLine(path));
  if (!command.details.empty()) out += "\n" + Wrapped(command.details, 0) + "\n";
  out += Section("Commands", CommandRows(command));
  out += Section("Arguments", ParameterRows(command.parameters, true));
  out += Section("Options", ParameterRows(command.parameters, false));
  auto rows = ParameterRows(common, false);
  rows.emplace_back("--help", "show this");
  out += Section("Common options", rows);
  rows.clear();
  for (const Example& example : command.examples) rows.emplace_back(example.line, example.says);
  return out + Section("Examples", rows);
}

std::string HelpMarkdown(const Command& root, const std::vector<Parameter>& common) {
  std::string out = "# Commands\n\n";
  out += root.details + "\n\n| command | does |\n|---|---|\n";
  for (const auto& [name, summary] : CommandRows(root)) out += MarkdownRow("tidemill " + name, summary);
  out += "\nEvery command has these too:\n\n| option | meaning |\n|---|---|\n";
  for (const Parameter& parameter : common) out += MarkdownRow(ShownName(parameter), ShownHelp(parameter));
  out += MarkdownRow("--help", "what the command does, its parameters and examples");
  AppendMarkdown({&root}, &out);
  return out;
}

}  // namespace tidemill
