#include "orchestrate/definition_change.h"

#include <set>
#include <vector>

#include "base/json.h"

namespace tidemill {
namespace {

constexpr size_t kShownMax = 3;
constexpr size_t kValueCharactersMax = 60;

void Compare(const std::string& path, const Json& before, const Json& now, std::vector<std::string>* changes) {
  if (before == now) return;
  if (before.is_object() && now.is_object()) {
    std::set<std::string> keys;
    for (const auto& [key, unused] : before.items()) keys.insert(key);
    for (const auto& [key, unused] : now.items()) keys.insert(key);
    for (const std::string& key : keys) {
      const std::string inner = path.empty() ? key : path + "." + key;
      if (!before.contains(key)) {
        changes->push_back(inner + " added");
      } else if (!now.contains(key)) {
        changes->push_back(inner + " removed");
      } else {
        Compare(inner, before[key], now[key], changes);
      }
    }
    return;
  }
  const std::string old_text = before.dump();
  const std::string new_text = now.dump();
  if (old_text.size() + new_text.size() > 2 * kValueCharactersMax) {
    changes->push_back(path + " changed");
  } else {
    changes->push_back(path + ": " + old_text + " -> " + new_text);
  }
}

}  // namespace

std::string DescribeChange(std::string_view definition_before, std::string_view definition_now) {
  const Json before = Json::parse(definition_before, nullptr, false);
  const Json now = Json::parse(definition_now, nullptr, false);
  if (before.is_discarded() || now.is_discarded()) return definition_before == definition_now ? "" : "its definition changed";
  std::vector<std::string> changes;
  Compare("", before, now, &changes);
  std::string text;
  for (size_t i = 0; i < changes.size() && i < kShownMax; ++i) text += (i > 0 ? "; " : "") + changes[i];
  if (changes.size() > kShownMax) text += "; and " + std::to_string(changes.size() - kShownMax) + " more";
  return text;
}

}  // namespace tidemill
