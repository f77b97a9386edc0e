#include "serve/features.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text_distance.h"
#include "base/value_json.h"

namespace tidemill {
namespace {

Result<std::vector<Value>> ReadKey(const Program& program, const Json& entity) {
  std::vector<std::string> names;
  for (const Field& field : program.keys) names.push_back(field.name);
  if (!entity.is_object()) {
    return UserError("bad_request",
                     fmt::format("expected an object with {}, came {}", fmt::join(names, ", "), ShortJson(entity)));
  }
  for (const auto& [name, value] : entity.items()) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return UserError("unknown_field", fmt::format("unknown field '{}'", name), SuggestionHint(name, names));
    }
  }
  std::vector<Value> key;
  for (const Field& field : program.keys) {
    if (!entity.contains(field.name)) return UserError("missing_field", fmt::format("the entity lacks {}", field.name));
    auto value = ValueFromJson(entity[field.name], field.type);
    if (!value.ok()) return std::move(value).error().WithContext(fmt::format("field '{}'", field.name));
    key.push_back(std::move(value).value());
  }
  return key;
}

}  // namespace

Result<Json> AnswerFeatures(OnlineStore& store, const Program& program, const Json& entities, Timestamp at) {
  Json results = Json::array();
  for (const Json& entity : entities) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Value> key, ReadKey(program, entity));
    TIDEMILL_ASSIGN_OR_RETURN(const OnlineFeatures features, LookUp(store, program, key, at));
    Json values = Json::object();
    for (size_t i = 0; i < program.outputs.size(); ++i) values[program.outputs[i].name] = ValueToJson(features.values[i]);
    results.push_back({{"found", features.found}, {"features", std::move(values)}});
  }
  return Json{{"view", program.view}, {"at", FormatTimestamp(at)}, {"results", std::move(results)}};
}

}  // namespace tidemill
