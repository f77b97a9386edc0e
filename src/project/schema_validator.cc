#include "project/schema_validator.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/columns.h"
#include "base/text_distance.h"

namespace tidemill {
namespace {

constexpr size_t kErrorsMax = 100;
constexpr size_t kPatternTextMax = 1000;  // std::regex recurses once for each character
constexpr size_t kShownTextMax = 60;

std::string Shown(std::string_view text) {
  if (text.size() <= kShownTextMax) return "'" + std::string(text) + "'";
  size_t end = kShownTextMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return "'" + std::string(text.substr(0, end)) + "...'";
}

std::string ShownNumber(const Json& number) {
  return number.is_number_float() ? FormatValue(number.get<double>()) : number.dump();
}

std::vector<std::string> SchemaTypes(const Json& schema) {
  if (!schema.contains("type")) return {};
  const Json& type = schema["type"];
  if (type.is_string()) return {type.get<std::string>()};
  return type.get<std::vector<std::string>>();
}

bool TypeAccepts(const std::string& type, const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull: return type == "null";
    case YamlNode::Kind::kMapping: return type == "object";
    case YamlNode::Kind::kSequence: return type == "array";
    case YamlNode::Kind::kScalar: break;
  }
  switch (node.Type()) {
    case YamlNode::ScalarType::kText: return type == "string";
    case YamlNode::ScalarType::kBoolean: return type == "boolean";
    case YamlNode::ScalarType::kInteger: return type == "integer" || type == "number";
    case YamlNode::ScalarType::kNumber: return type == "number";
  }
  return false;
}

bool SchemaAccepts(const Json& schema, const YamlNode& node) {
  const std::vector<std::string> types = SchemaTypes(schema);
  return types.empty() ||
         std::any_of(types.begin(), types.end(), [&](const std::string& type) { return TypeAccepts(type, node); });
}

std::string TypeInWords(const std::string& type) {
  if (type == "string") return "text";
  if (type == "integer") return "a whole number";
  if (type == "number") return "a number";
  if (type == "boolean") return "true or false";
  if (type == "array") return "a list";
  return "a mapping";
}

std::string JoinWithOr(const std::vector<std::string>& words) {
  std::string joined;
  for (size_t i = 0; i < words.size(); ++i) joined += (i == 0 ? "" : i + 1 < words.size() ? ", " : " or ") + words[i];
  return joined;
}

/// Of an enumeration; null, which YAML writes as a word too, is not one of them.
std::vector<std::string> AllowedWords(const Json& schema) {
  std::vector<std::string> words;
  for (const Json& allowed : schema["enum"]) {
    if (allowed.is_string()) words.push_back(allowed.get<std::string>());
  }
  return words;
}

std::string Expected(const Json& schema) {
  if (schema.contains("title")) return schema["title"].get<std::string>();
  if (schema.contains("enum")) return "one of the allowed words";
  std::vector<std::string> words;
  for (const std::string& type : SchemaTypes(schema)) words.push_back(TypeInWords(type));
  return JoinWithOr(words);
}

std::string Found(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::kMapping) return "a mapping";
  if (node.kind == YamlNode::Kind::kSequence) return "a list";
  return Shown(node.text);
}

std::string ExampleHint(const Json& schema) {
  if (!schema.contains("examples")) return "";
  std::vector<std::string> examples;
  for (const Json& example : schema["examples"])
    examples.push_back(example.is_string() ? example.get<std::string>() : example.dump());
  return "for instance: " + JoinWithOr(examples);
}

/// `coalesce(a, b)` inside {} or [] without quotes: YAML ends the text at the comma.
bool CutAtComma(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::kScalar || node.quoted || !node.in_flow) return false;
  int open = 0;
  bool in_text = false;
  for (const char c : node.text) {
    if (c == '\'') in_text = !in_text;
    if (!in_text) open += c == '(' ? 1 : c == ')' ? -1 : 0;
  }
  return open > 0;
}

constexpr std::string_view kQuoteHint = "inside {} and [] a comma ends the text: put it in quotes, \"coalesce(a, b)\"";

std::string TypeHint(const Json& schema, const YamlNode& node) {
  const std::vector<std::string> types = SchemaTypes(schema);
  const auto wants = [&](std::string_view type) { return std::find(types.begin(), types.end(), type) != types.end(); };
  const bool scalar = node.kind == YamlNode::Kind::kScalar;
  if (scalar && wants("string") && node.Type() != YamlNode::ScalarType::kText && !schema.contains("pattern")) {
    return "to write it as text, put it in quotes: \"" + node.text + "\"";
  }
  if (scalar && wants("boolean")) return "write true or false";
  if (scalar && node.quoted && (wants("integer") || wants("number"))) return "leave out the quotes of numbers";
  std::string hint = ExampleHint(schema);
  if (hint.empty() && scalar && wants("array")) hint = "for instance: [" + node.text + "]";
  return hint;
}

std::vector<std::string> PropertyNames(const Json& schema) {
  std::vector<std::string> names;
  if (schema.contains("properties")) {
    for (const auto& property : schema["properties"].items()) names.push_back(property.key());
  }
  return names;
}

size_t CountKnownKeys(const Json& schema, const YamlNode& node) {
  const std::vector<std::string> names = PropertyNames(schema);
  return static_cast<size_t>(std::count_if(node.entries.begin(), node.entries.end(), [&](const YamlEntry& entry) {
    return std::find(names.begin(), names.end(), entry.key) != names.end();
  }));
}

}  // namespace

std::vector<Error> SchemaValidator::Validate(const YamlNode& document) {
  errors_.clear();
  Place place = document.place;
  if (!document.entries.empty()) place = document.entries.front().place;
  Check(schema_, document, {"the file", place});
  return std::move(errors_);
}

void SchemaValidator::Report(std::string code, std::string message, Place place, std::string hint) {
  if (errors_.size() < kErrorsMax)
    errors_.push_back(UserErrorAt(std::move(code), std::move(message), std::move(place), std::move(hint)));
}

const Json& SchemaValidator::Resolve(const Json& schema) const {
  if (!schema.contains("$ref")) return schema;
  // Our own schemas: "#/$defs/name". A description beside it is for editors.
  return schema_.at(Json::json_pointer(schema["$ref"].get<std::string>().substr(1)));
}

void SchemaValidator::Check(const Json& unresolved, const YamlNode& node, const Subject& subject) {
  const Json& schema = Resolve(unresolved);
  if (schema.contains("oneOf")) return CheckOneOf(schema, node, subject);
  if (!SchemaAccepts(schema, node)) return ReportType(schema, node, subject);
  switch (node.kind) {
    case YamlNode::Kind::kNull: return;
    case YamlNode::Kind::kMapping: return CheckMapping(schema, node, subject);
    case YamlNode::Kind::kSequence: return CheckSequence(schema, node, subject);
    case YamlNode::Kind::kScalar: return CheckScalar(schema, node, subject);
  }
}

void SchemaValidator::ReportType(const Json& schema, const YamlNode& node, const Subject& subject) {
  const bool empty = node.kind == YamlNode::Kind::kNull;
  const bool scalar = node.kind == YamlNode::Kind::kScalar;
  std::string message =
      subject.name + (empty ? " is empty; it must be " : " must be ") + Expected(schema) + (empty ? "" : ", not " + Found(node));
  std::string hint = TypeHint(schema, node);
  if (schema.contains("enum")) hint = SuggestionHint(node.text, AllowedWords(schema));
  Report("wrong_type", std::move(message), scalar ? node.place : subject.place, std::move(hint));
}

void SchemaValidator::CheckOneOf(const Json& schema, const YamlNode& node, const Subject& subject) {
  const Json& branches = schema["oneOf"];
  if (const Json* branch = ChooseBranch(branches, node)) return Check(*branch, node, subject);
  std::vector<std::string> expected;
  for (const Json& branch : branches) expected.push_back(Expected(Resolve(branch)));
  const bool empty = node.kind == YamlNode::Kind::kNull;
  Report("wrong_type",
         subject.name + (empty ? " is empty; it must be " : " must be ") + JoinWithOr(expected) +
             (empty ? "" : ", not " + Found(node)),
         node.kind == YamlNode::Kind::kScalar ? node.place : subject.place, ExampleHint(Resolve(branches.front())));
}

/// The branch of the node's type; among several for mappings the one that knows most of its keys.
const Json* SchemaValidator::ChooseBranch(const Json& branches, const YamlNode& node) const {
  const Json* best = nullptr;
  size_t best_keys = 0;
  for (const Json& unresolved : branches) {
    const Json& branch = Resolve(unresolved);
    if (!SchemaAccepts(branch, node)) continue;
    const size_t keys = CountKnownKeys(branch, node);
    // Between branches that know none of the keys an open mapping is meant.
    const bool open = branch.contains("additionalProperties") && branch["additionalProperties"].is_object();
    if (best == nullptr || keys > best_keys || (keys == best_keys && keys == 0 && open)) {
      best = &branch;
      best_keys = keys;
    }
  }
  return best;
}

void SchemaValidator::CheckMapping(const Json& schema, const YamlNode& node, const Subject& subject) {
  const std::string what = Expected(schema);
  for (size_t i = 0; i < node.entries.size(); ++i) CheckEntry(schema, node, i);
  CheckRequired(schema, node, subject);
  const bool one = schema.value("maxProperties", Json(nullptr)) == 1;
  const size_t least = schema.value("minProperties", size_t{0});
  if (node.entries.size() >= least && !(one && node.entries.size() > 1)) return;
  const std::string hint = schema.contains("properties") ? SuggestionHint("", PropertyNames(schema)) : ExampleHint(schema);
  if (node.entries.empty()) {
    Report("missing_key", subject.name + " is empty; it must be " + what, subject.place, hint);
  } else {
    Report("too_many_keys", what + " has one key, not " + std::to_string(node.entries.size()), node.entries[1].place,
           "begin each with '- ' on a line of its own");
  }
}

void SchemaValidator::CheckRequired(const Json& schema, const YamlNode& node, const Subject& subject) {
  if (!schema.contains("required")) return;
  const std::vector<std::string> known = PropertyNames(schema);
  for (const Json& key : schema["required"]) {
    const auto name = key.get<std::string>();
    // A misspelled key was reported already, with this one as the suggestion.
    const bool there = std::any_of(node.entries.begin(), node.entries.end(), [&](const YamlEntry& entry) {
      return entry.key == name ||
             (std::find(known.begin(), known.end(), entry.key) == known.end() && ClosestName(entry.key, known) == name);
    });
    if (there) continue;
    const Json& property = schema["properties"][name];
    Report("missing_key", "missing key '" + name + "' in " + Expected(schema), subject.place,
           name + ": " +
               (property.contains("description") ? property["description"].get<std::string>() : Expected(Resolve(property))));
  }
}

void SchemaValidator::CheckEntry(const Json& schema, const YamlNode& mapping, size_t index) {
  const YamlEntry& entry = mapping.entries[index];
  const std::string what = Expected(schema);
  const YamlEntry* first = mapping.FindEntry(entry.key);
  if (first != &entry) {
    return Report("duplicate_key", "key '" + entry.key + "' is there twice in " + what, entry.place,
                  "it is there first on line " + std::to_string(first->place.line) + "; leave one of them out");
  }
  if (schema.contains("propertyNames")) {
    const Json& names = schema["propertyNames"];
    if (!Matches(names["pattern"].get<std::string>(), entry.key)) {
      return Report("bad_name", Shown(entry.key) + " is not " + Expected(names), entry.place, "choose another name");
    }
  }
  const Json* property = nullptr;
  if (schema.contains("properties") && schema["properties"].contains(entry.key)) {
    property = &schema["properties"][entry.key];
  } else if (schema.contains("additionalProperties") && schema["additionalProperties"].is_object()) {
    property = &schema["additionalProperties"];
  }
  if (property != nullptr) return Check(*property, entry.value, {Shown(entry.key), entry.place});
  const bool cut = index > 0 && entry.value.kind == YamlNode::Kind::kNull && CutAtComma(mapping.entries[index - 1].value);
  Report("unknown_key", "unknown key " + Shown(entry.key) + " in " + what, entry.place,
         cut ? std::string(kQuoteHint) : SuggestionHint(entry.key, PropertyNames(schema)));
}

void SchemaValidator::CheckSequence(const Json& schema, const YamlNode& node, const Subject& subject) {
  const size_t least = schema.value("minItems", size_t{0});
  const size_t most = schema.value("maxItems", std::string::npos);
  if (node.items.size() < least || node.items.size() > most) {
    const std::string problem =
        node.items.empty() ? subject.name + " is an empty list; it must be " + Expected(schema)
                           : subject.name + " must be " + Expected(schema) + ", not " + std::to_string(node.items.size());
    Report("wrong_length", problem, subject.place, ExampleHint(schema));
  }
  const bool unique = schema.value("uniqueItems", false);
  std::set<std::string> seen;
  for (const YamlNode& item : node.items) {
    if (schema.contains("items"))
      Check(schema["items"], item,
            {"an item of " + subject.name, item.entries.empty() ? item.place : item.entries.front().place});
    if (unique && item.kind == YamlNode::Kind::kScalar && !seen.insert(item.text).second) {
      Report("duplicate_item", Shown(item.text) + " is there twice in " + subject.name, item.place, "leave one of them out");
    }
  }
}

void SchemaValidator::CheckScalar(const Json& schema, const YamlNode& node, const Subject& subject) {
  if (schema.contains("enum")) {
    const std::vector<std::string> allowed = AllowedWords(schema);
    if (std::find(allowed.begin(), allowed.end(), node.text) == allowed.end()) {
      Report("unknown_value", subject.name + " can't be " + Shown(node.text), node.place, SuggestionHint(node.text, allowed));
    }
    return;
  }
  if (!CheckLimits(schema, node, subject)) return;
  if (schema.contains("x-sql") && CutAtComma(node)) {
    return Report("cut_text", subject.name + " has a bracket that is never closed: " + Shown(node.text), node.place,
                  std::string(kQuoteHint));
  }
  if (schema.contains("pattern") && !Matches(schema["pattern"].get<std::string>(), node.text)) ReportType(schema, node, subject);
}

bool SchemaValidator::CheckLimits(const Json& schema, const YamlNode& node, const Subject& subject) {
  const auto refuse = [&](std::string_view relation, const Json& limit) {
    Report("out_of_range", subject.name + " must be " + std::string(relation) + " " + ShownNumber(limit) + ", not " + node.text,
           node.place, ExampleHint(schema));
    return false;
  };
  if (node.Type() == YamlNode::ScalarType::kInteger || node.Type() == YamlNode::ScalarType::kNumber) {
    const double number = node.Number();
    if (schema.contains("minimum") && number < schema["minimum"].get<double>()) return refuse("at least", schema["minimum"]);
    if (schema.contains("maximum") && number > schema["maximum"].get<double>()) return refuse("at most", schema["maximum"]);
    if (schema.contains("exclusiveMinimum") && number <= schema["exclusiveMinimum"].get<double>())
      return refuse("above", schema["exclusiveMinimum"]);
    return true;
  }
  const auto characters =
      static_cast<size_t>(std::count_if(node.text.begin(), node.text.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; }));
  if (characters < schema.value("minLength", size_t{0})) {
    Report("out_of_range", subject.name + " is empty; it must be " + Expected(schema), node.place, ExampleHint(schema));
    return false;
  }
  if (characters > schema.value("maxLength", std::string::npos)) {
    ReportType(schema, node, subject);
    return false;
  }
  return true;
}

bool SchemaValidator::Matches(const std::string& pattern, const std::string& text) {
  if (text.size() > kPatternTextMax) return false;
  auto found = patterns_.find(pattern);
  if (found == patterns_.end())
    found = patterns_.emplace(pattern, std::regex(pattern, std::regex::ECMAScript | std::regex::optimize)).first;
  return std::regex_search(text, found->second);
}

}  // namespace tidemill
