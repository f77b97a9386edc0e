#include <cstdlib>

#include <gtest/gtest.h>

#include "base/files.h"

namespace tidemill {
namespace {

TEST(Documentation, CommandsAreWhatTheProgramSays) {
  const char* program = std::getenv("TIDEMILL_PROGRAM");
  const char* source = std::getenv("TIDEMILL_SOURCE");
  if (program == nullptr || source == nullptr || !std::filesystem::exists(program)) GTEST_SKIP() << "the program is not built";
  const auto folder = TemporaryFolder::Make(std::filesystem::temp_directory_path(), "documentation");
  ASSERT_TRUE(folder.ok());
  const std::filesystem::path said = folder->path() / "cli.md";
  ASSERT_EQ(std::system(("'" + std::string(program) + "' help-markdown > '" + said.string() + "'").c_str()), 0);
  const auto written = ReadFile(std::filesystem::path(source) / "docs" / "cli.md");
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(*written, *ReadFile(said)) << "renew it: tidemill help-markdown > docs/cli.md";
}

}  // namespace
}  // namespace tidemill
