#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "base/files.h"
#include "base/json.h"
#include "project/project.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;

std::string FormatsPage() {
  const char* root = std::getenv("TIDEMILL_SOURCE");
  const auto text = ReadFile(fs::path(root == nullptr ? "." : root) / "docs/formats.md");
  return text.ok() ? *text : "";
}

/// The blocks of the page whose first line names a file.
std::map<std::string, std::string> ExampleFiles(const std::string& page) {
  std::map<std::string, std::string> files;
  std::istringstream lines(page);
  std::string* file = nullptr;
  bool first = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      first = file == nullptr && (line == "```yaml" || line == "```sql" || line == "```python");
      file = nullptr;
    } else if (first) {
      file = &files[line.substr(line.find(' ') + 1)];
      first = false;
    } else if (file != nullptr) {
      *file += line + "\n";
    }
  }
  return files;
}

void CollectKeys(const Json& schema, std::set<std::string>* keys) {
  if (schema.is_object() && schema.contains("properties")) {
    for (const auto& property : schema["properties"].items()) keys->insert(property.key());
  }
  if (!schema.is_structured()) return;
  for (const Json& child : schema) CollectKeys(child, keys);
}

TEST(Formats, TheExamplesAreAProjectThatLoads) {
  const auto files = ExampleFiles(FormatsPage());
  ASSERT_EQ(files.size(), 13U) << "set TIDEMILL_SOURCE to the repository";
  auto folder = TemporaryFolder::Make(fs::temp_directory_path(), "formats");
  ASSERT_TRUE(folder.ok());
  for (const auto& [name, text] : files) {
    ASSERT_TRUE(MakeFolders((folder->path() / name).parent_path()).ok());
    ASSERT_TRUE(WriteFileAtomic(folder->path() / name, text).ok());
  }
  const auto project = LoadProject(folder->path());
  ASSERT_TRUE(project.ok()) << project.error().Format();
  EXPECT_EQ(project->graph.size(), 9U);
}

TEST(Formats, EveryKeyIsDescribed) {
  const std::string page = FormatsPage();
  for (const std::string format : {"tidemill", "source", "table", "feature_view", "derived_view", "model"}) {
    std::set<std::string> keys;
    CollectKeys(Json::parse(FormatSchema(format)), &keys);
    for (const std::string& key : keys) {
      const bool described = page.find("`" + key + "`") != std::string::npos || page.find("." + key + "`") != std::string::npos ||
                             page.find("`" + key + ".") != std::string::npos || page.find("`" + key + ":") != std::string::npos ||
                             page.find("{" + key + ":") != std::string::npos || page.find(", " + key + ":") != std::string::npos;
      EXPECT_TRUE(described) << format << ": " << key;
    }
  }
}

}  // namespace
}  // namespace tidemill
