#include "cli/completion.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "base/files.h"

namespace tidemill {
namespace {

struct Stored {
  std::string text;
  std::string project;
};

Command ScriptTree(Stored* stored) {
  Command verify;
  verify.name = "verify";
  verify.summary = "it's a check";
  Command lake;
  lake.name = "lake";
  lake.summary = "a group";
  lake.commands = {verify};
  Command shell;
  shell.name = "completion";
  shell.summary = "a script";
  shell.parameters.push_back(Positional("SHELL", "which", &stored->text).OneOf({"bash", "zsh", "fish"}));
  Command show;
  show.name = "show";
  show.summary = "an asset";
  show.parameters.push_back(Positional("ASSET", "which", &stored->text).Offering(Completes::kAssets));
  Command hidden;
  hidden.name = "hidden";
  hidden.hidden = true;
  Command root;
  root.name = "tidemill";
  root.commands = {lake, shell, show, hidden};
  return root;
}

/// What bash offers after `words`, of which the last is being typed.
std::string Offered(const std::string& words, int count) {
  Stored stored;
  const auto folder = TemporaryFolder::Make(std::filesystem::temp_directory_path(), "completion");
  EXPECT_TRUE(folder.ok());
  const std::filesystem::path path = folder->path();
  EXPECT_TRUE(MakeFolders(path / "tables").ok());
  EXPECT_TRUE(WriteFileAtomic(path / "tables" / "departures.sql", "SELECT 1").ok());
  std::vector<Parameter> common;
  common.push_back(Option("--project", "DIR", "where", &stored.project));
  const Command root = ScriptTree(&stored);
  const std::string script = CompletionScript(root, common, "bash") + "COMP_WORDS=(" + words +
                             "); COMP_CWORD=" + std::to_string(count) + "; _tidemill; echo \"${COMPREPLY[*]}\" > out\n";
  EXPECT_TRUE(WriteFileAtomic(path / "script", script).ok());
  EXPECT_EQ(std::system(("cd '" + path.string() + "' && bash script").c_str()), 0);
  auto out = ReadFile(path / "out");
  return out.ok() ? *out : "";
}

TEST(CompletionScript, BashOffersWhatMayFollow) {
  EXPECT_EQ(Offered("tidemill ''", 1), "lake completion show --project --help\n");
  EXPECT_EQ(Offered("tidemill l", 1), "lake\n");
  EXPECT_EQ(Offered("tidemill lake v", 2), "verify\n");
  EXPECT_EQ(Offered("tidemill lake verify ''", 3), "--project --help\n");
  EXPECT_EQ(Offered("tidemill completion f", 2), "fish\n");
  EXPECT_EQ(Offered("tidemill show dep", 2), "departures\n");
}

TEST(CompletionScript, FishQuotesTexts) {
  Stored stored;
  const Command root = ScriptTree(&stored);
  const std::string script = CompletionScript(root, {}, "fish");
  EXPECT_NE(script.find("-a verify -d 'it\\'s a check'"), std::string::npos) << script;
  EXPECT_EQ(script.find("hidden"), std::string::npos);
}

}  // namespace
}  // namespace tidemill
