#pragma once

#include <map>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "project/yaml_document.h"

namespace tidemill {

/// Checks YAML documents against one JSON Schema, with errors for people: place, what was expected, what to do.
///
/// Of JSON Schema 2020-12 it knows $ref (to #/$defs), type, properties, additionalProperties, propertyNames, required,
/// items, enum, pattern, oneOf, uniqueItems and the limits; other keywords are notes for editors. `title` names a thing in
/// messages ("unknown key 'windw' in a feature"), `examples` and `description` become hints, `x-sql` marks SQL. The branch of a
/// oneOf is chosen by shape, so that errors are about what was meant. Not thread-safe.
class SchemaValidator {
 public:
  explicit SchemaValidator(Json schema) : schema_(std::move(schema)) {}

  /// All problems, in the order of the file; empty when the document is valid.
  std::vector<Error> Validate(const YamlNode& document);

 private:
  /// How messages name a node ("'ttl'", "an item of 'windows'"), and where things are said that have no place of their own.
  struct Subject {
    std::string name;
    Place place;
  };

  const Json& Resolve(const Json& schema) const;
  void Check(const Json& schema, const YamlNode& node, const Subject& subject);
  void CheckOneOf(const Json& schema, const YamlNode& node, const Subject& subject);
  void CheckMapping(const Json& schema, const YamlNode& node, const Subject& subject);
  void CheckRequired(const Json& schema, const YamlNode& node, const Subject& subject);
  void CheckEntry(const Json& schema, const YamlNode& mapping, size_t index);
  void CheckSequence(const Json& schema, const YamlNode& node, const Subject& subject);
  void CheckScalar(const Json& schema, const YamlNode& node, const Subject& subject);
  bool CheckLimits(const Json& schema, const YamlNode& node, const Subject& subject);
  const Json* ChooseBranch(const Json& branches, const YamlNode& node) const;
  bool Matches(const std::string& pattern, const std::string& text);
  void Report(std::string code, std::string message, Place place, std::string hint);
  void ReportType(const Json& schema, const YamlNode& node, const Subject& subject);

  Json schema_;
  std::map<std::string, std::regex> patterns_;
  std::vector<Error> errors_;
};

}  // namespace tidemill
