#include "cli/command.h"

#include <charconv>

#include <fmt/format.h>

#include "base/text_distance.h"

namespace tidemill {
namespace {

Parameter Named(std::string name, std::string value_name, std::string help) {
  Parameter parameter;
  parameter.name = std::move(name);
  parameter.value_name = std::move(value_name);
  parameter.help = std::move(help);
  return parameter;
}

Error BadArgument(const std::string& name, const std::string& text, const std::string& expected) {
  return UserError("bad_argument", fmt::format("'{}' does not do for {}", text, name), "expected " + expected);
}

}  // namespace

Parameter Parameter::OneOf(std::vector<std::string> values) && {
  choices = values;
  store = [values = std::move(values), name = name, inner = std::move(store)](const std::string& text) -> Status {
    for (const std::string& value : values) {
      if (value == text) return inner(text);
    }
    return UserError("bad_argument", fmt::format("'{}' does not do for {}", text, name), SuggestionHint(text, values));
  };
  return std::move(*this);
}

Parameter Flag(std::string name, std::string help, bool* target) {
  Parameter parameter = Named(std::move(name), "", std::move(help));
  parameter.store = [target](const std::string&) -> Status {
    *target = true;
    return Ok();
  };
  return parameter;
}

Parameter Option(std::string name, std::string value_name, std::string help, std::string* target) {
  Parameter parameter = Named(std::move(name), std::move(value_name), std::move(help));
  parameter.store = [target](const std::string& text) -> Status {
    *target = text;
    return Ok();
  };
  return parameter;
}

Parameter Option(std::string name, std::string value_name, std::string help, std::optional<std::string>* target) {
  Parameter parameter = Named(std::move(name), std::move(value_name), std::move(help));
  parameter.store = [target](const std::string& text) -> Status {
    *target = text;
    return Ok();
  };
  return parameter;
}

Parameter Option(std::string name, std::string value_name, std::string help, std::optional<int64_t>* target, int64_t min,
                 int64_t max) {
  Parameter parameter = Named(std::move(name), std::move(value_name), std::move(help));
  parameter.store = [name = parameter.name, target, min, max](const std::string& text) -> Status {
    int64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc() || end != text.data() + text.size() || number < min || number > max) {
      return BadArgument(name, text,
                         max == INT64_MAX ? fmt::format("a whole number, at least {}", min)
                                          : fmt::format("a whole number from {} to {}", min, max));
    }
    *target = number;
    return Ok();
  };
  return parameter;
}

Parameter Option(std::string name, std::string value_name, std::string help, std::optional<Timestamp>* target) {
  Parameter parameter = Named(std::move(name), std::move(value_name), std::move(help));
  parameter.store = [name = parameter.name, target](const std::string& text) -> Status {
    auto parsed = ParseTimestamp(text);
    if (!parsed.ok()) return std::move(parsed).error().WithContext(name);
    *target = *parsed;
    return Ok();
  };
  return parameter;
}

Parameter Option(std::string name, std::string value_name, std::string help, std::optional<Duration>* target) {
  Parameter parameter = Named(std::move(name), std::move(value_name), std::move(help));
  parameter.store = [name = parameter.name, target](const std::string& text) -> Status {
    auto parsed = ParseDuration(text);
    if (!parsed.ok()) return std::move(parsed).error().WithContext(name);
    *target = *parsed;
    return Ok();
  };
  return parameter;
}

Parameter Positional(std::string name, std::string help, std::string* target) {
  Parameter parameter = Option(std::move(name), "", std::move(help), target);
  parameter.positional = true;
  return parameter;
}

Parameter Positional(std::string name, std::string help, std::vector<std::string>* target) {
  Parameter parameter = Named(std::move(name), "", std::move(help));
  parameter.positional = true;
  parameter.repeated = true;
  parameter.store = [target](const std::string& text) -> Status {
    target->push_back(text);
    return Ok();
  };
  return parameter;
}

const Command* Command::Find(std::string_view child) const {
  for (const Command& command : commands) {
    if (command.name == child) return &command;
  }
  return nullptr;
}

}  // namespace tidemill
