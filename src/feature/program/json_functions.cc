#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/value_json.h"
#include "feature/program/functions.h"

/// Values inside of JSON texts, by constant paths.
namespace tidemill::functions {
namespace json {
namespace {

/// A text may be nested so deep; deeper ones can't be computed.
constexpr int kDepthMax = 200;

/// A key, or a position from 0 (from the end when negative).
using Step = std::variant<std::string, int64_t>;
using Path = std::vector<Step>;

Error BadPath(std::string_view path) {
  return UserError("bad_literal", "'" + std::string(path) + "' is not a path into JSON",
                   "for instance '$.customer.name', '$.items[0].price' or '$.\"a b\"'; wildcards are not supported");
}

/// What stands between brackets: 0, -1 or #-1.
Result<Step> ReadPosition(std::string_view text, std::string_view path) {
  if (text.starts_with("#-")) text.remove_prefix(1);
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string_view::npos) return BadPath(path);
  const int64_t position = std::stoll(std::string(text));
  return Step(negative ? -position : position);
}

Result<Path> ReadPath(std::string_view path) {
  if (path.starts_with('/')) return BadPath(path);
  if (!path.starts_with('$')) return Path{std::string(path)};
  Path steps;
  for (size_t at = 1; at < path.size();) {
    if (path[at] == '[') {
      const size_t end = path.find(']', at);
      if (end == std::string_view::npos) return BadPath(path);
      TIDEMILL_ASSIGN_OR_RETURN(Step step, ReadPosition(path.substr(at + 1, end - at - 1), path));
      steps.push_back(std::move(step));
      at = end + 1;
      continue;
    }
    const bool quoted = path[at] == '.' && at + 1 < path.size() && path[at + 1] == '"';
    const size_t begin = at + (quoted ? 2 : 1);
    const size_t end = quoted ? path.find('"', begin) : std::min(path.find_first_of(".[", begin), path.size());
    if (path[at] != '.' || end == std::string_view::npos || end == begin) return BadPath(path);
    const std::string_view key = path.substr(begin, end - begin);
    if (!quoted && key.find('*') != std::string_view::npos) return BadPath(path);
    steps.emplace_back(std::string(key));
    at = end + (quoted ? 1 : 0);
  }
  return steps;
}

Status PreparePath(Node& node) {
  const Node& path = node.arguments[1];
  if (!path.is_constant) {
    return UserError("argument_types", "the path into JSON has to be a constant", "for instance json_extract_string(x, '$.a')");
  }
  if (path.constant.null) return Ok();
  Path steps;
  if (path.type == Type::kInt64) {
    steps.emplace_back(path.constant.integer);
  } else {
    TIDEMILL_ASSIGN_OR_RETURN(steps, ReadPath(path.constant_text));
  }
  node.prepared = std::make_shared<const Path>(std::move(steps));
  return Ok();
}

const Json* Find(const Json& whole, const Path& path) {
  const Json* value = &whole;
  for (const Step& step : path) {
    if (const std::string* key = std::get_if<std::string>(&step)) {
      if (!value->is_object()) return nullptr;
      const auto at = value->find(*key);
      if (at == value->end()) return nullptr;
      value = &*at;
      continue;
    }
    if (!value->is_array()) return nullptr;
    const int64_t position = std::get<int64_t>(step);
    const auto size = static_cast<int64_t>(value->size());
    const int64_t at = position < 0 ? position + size : position;
    if (at < 0 || at >= size) return nullptr;
    value = &(*value)[static_cast<size_t>(at)];
  }
  return value;
}

/// A text as it is, anything else as JSON; null for what is not there, and for JSON's null.
Datum ExtractText(const Node& node, Evaluation& evaluation) {
  const Datum text = Evaluate(node.arguments[0], evaluation);
  if (text.null || node.prepared == nullptr) return Datum::Null();
  const Result<Json> whole = ParseJson(text.text, kDepthMax);
  if (!whole.ok()) return Counted(Datum::Failed(), evaluation);
  const Json* value = Find(*whole, *static_cast<const Path*>(node.prepared.get()));
  if (value == nullptr || value->is_null()) return Datum::Null();
  std::string& result = evaluation.texts.Add();
  result = value->is_string() ? value->get_ref<const std::string&>() : value->dump(-1, ' ', false, Json::error_handler_t::replace);
  return Datum::Text(result);
}

}  // namespace
}  // namespace json

const std::vector<ScalarFunction>& JsonTexts() {
  static const std::vector<ScalarFunction> kFunctions = {
      {"json_extract_string", {Type::kText, Type::kText}, Type::kText, json::ExtractText, json::PreparePath},
      {"json_extract_string", {Type::kText, Type::kInt64}, Type::kText, json::ExtractText, json::PreparePath},
  };
  return kFunctions;
}

}  // namespace tidemill::functions
