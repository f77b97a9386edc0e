#include "cli/arguments.h"

#include <gtest/gtest.h>

#include "cli/help.h"

namespace tidemill {
namespace {

/// What the parameters of the tree below hold after a parse.
struct Stored {
  std::string project = ".";
  bool json = false;
  std::vector<std::string> assets;
  std::string sql;
  std::string shell;
  std::optional<int64_t> limit;
  std::optional<Timestamp> from;
  std::optional<Duration> every;
};

Command Leaf(std::string name, std::vector<Parameter> parameters) {
  Command command;
  command.name = std::move(name);
  command.summary = "does " + command.name;
  command.parameters = std::move(parameters);
  command.run = [](CommandContext&) { return Ok(); };
  return command;
}

Command Tree(Stored* stored) {
  Command lake;
  lake.name = "lake";
  lake.summary = "a group";
  lake.commands = {Leaf("verify", {}), Leaf("compact", {Option("--keep", "DURATION", "how long", &stored->every)})};
  Command hidden = Leaf("hidden", {});
  hidden.hidden = true;
  Command root;
  root.name = "tidemill";
  root.summary = "a tree";
  root.commands = {
      Leaf("run", {Positional("ASSET", "which", &stored->assets)}),
      Leaf("query", {Positional("SQL", "what", &stored->sql).Required(), Option("--limit", "ROWS", "rows", &stored->limit, 0, 50),
                     Option("--from", "TIME", "begin", &stored->from)}),
      Leaf("shell", {Positional("SHELL", "which", &stored->shell).Required().OneOf({"bash", "zsh"})}), lake, hidden};
  return root;
}

std::vector<Parameter> Common(Stored* stored) {
  std::vector<Parameter> common;
  common.push_back(Option("--project", "DIR", "where", &stored->project));
  common.push_back(Flag("--json", "as JSON", &stored->json));
  return common;
}

Result<ParsedArguments> Parse(Stored* stored, const std::vector<std::string>& arguments, std::string* line = nullptr) {
  const Command root = Tree(stored);
  auto parsed = ParseArguments(root, Common(stored), arguments);
  if (parsed.ok() && line != nullptr) *line = CommandLine(parsed->path);
  return parsed;
}

TEST(ParseArguments, StoresValuesOfCommandAndCommonOptions) {
  Stored stored;
  std::string line;
  ASSERT_TRUE(Parse(&stored, {"query", "--limit", "5", "SELECT 1", "--from=2013-05-01", "--json", "--project", "x"}, &line).ok());
  EXPECT_EQ(line, "tidemill query");
  EXPECT_EQ(stored.sql, "SELECT 1");
  EXPECT_EQ(stored.limit, 5);
  ASSERT_TRUE(stored.from.has_value());
  EXPECT_EQ(FormatTimestamp(*stored.from), "2013-05-01T00:00:00Z");
  EXPECT_TRUE(stored.json);
  EXPECT_EQ(stored.project, "x");
}

TEST(ParseArguments, TakesCommonOptionsBeforeTheCommandToo) {
  Stored stored;
  std::string line;
  ASSERT_TRUE(Parse(&stored, {"--project", "x", "lake", "compact", "--keep", "2d"}, &line).ok());
  EXPECT_EQ(line, "tidemill lake compact");
  EXPECT_EQ(stored.project, "x");
  ASSERT_TRUE(stored.every.has_value());
  EXPECT_EQ(FormatDuration(*stored.every), "2d");
}

TEST(ParseArguments, KeepsTextsThatLookLikeLists) {
  Stored stored;
  ASSERT_TRUE(Parse(&stored, {"query", "[{\"a\": 1}, {\"b\": [2]}]"}).ok());
  EXPECT_EQ(stored.sql, "[{\"a\": 1}, {\"b\": [2]}]");
  ASSERT_TRUE(Parse(&stored, {"run", "a", "b", "c"}).ok());
  EXPECT_EQ(stored.assets, (std::vector<std::string>{"a", "b", "c"}));
}

TEST(ParseArguments, TakesTextsAfterTwoDashesAsTheyAre) {
  Stored stored;
  ASSERT_TRUE(Parse(&stored, {"query", "--", "--select"}).ok());
  EXPECT_EQ(stored.sql, "--select");
}

TEST(ParseArguments, TheLastOfAnOptionHolds) {
  Stored stored;
  ASSERT_TRUE(Parse(&stored, {"query", "--limit", "5", "--limit", "6", "x"}).ok());
  EXPECT_EQ(stored.limit, 6);
}

TEST(ParseArguments, HelpAndVersionWinOverWhatIsMissing) {
  Stored stored;
  std::string line;
  auto parsed = Parse(&stored, {"query", "--help"}, &line);
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed->help);
  EXPECT_EQ(line, "tidemill query");
  parsed = Parse(&stored, {"lake", "-h"}, &line);
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed->help);
  EXPECT_EQ(line, "tidemill lake");
  parsed = Parse(&stored, {"--version"});
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed->version);
}

TEST(ParseArguments, TellsWhatIsWrong) {
  struct Case {
    std::vector<std::string> arguments;
    std::string code;
    std::string message;
    std::string hint;
  };
  const Case cases[] = {
      {{}, "missing_argument", "'tidemill' needs a command", "run, query"},
      {{"rum"}, "unknown_command", "unknown command 'rum' of 'tidemill'", "did you mean 'run'?"},
      {{"lake"}, "missing_argument", "'tidemill lake' needs a command", "verify, compact"},
      {{"lake", "verfy"}, "unknown_command", "unknown command 'verfy' of 'tidemill lake'", "did you mean 'verify'?"},
      {{"query", "x", "--limt", "3"}, "unknown_option", "unknown option '--limt' of 'tidemill query'", "did you mean '--limit'?"},
      {{"query", "x", "--limt=3"}, "unknown_option", "unknown option '--limt' of 'tidemill query'", "did you mean '--limit'?"},
      {{"query"},
       "missing_argument",
       "'tidemill query' needs SQL: what",
       "usage: tidemill query SQL [--limit ROWS] [--from TIME]"},
      {{"query", "a", "b"},
       "unexpected_argument",
       "'tidemill query' takes no further argument, but 'b' came",
       "see 'tidemill query --help'"},
      {{"query", "x", "--limit", "many"},
       "bad_argument",
       "'many' does not do for --limit",
       "expected a whole number from 0 to 50"},
      {{"query", "x", "--limit", "51"}, "bad_argument", "'51' does not do for --limit", "expected a whole number from 0 to 50"},
      {{"query", "x", "--limit", "5x"}, "bad_argument", "'5x' does not do for --limit", "expected a whole number from 0 to 50"},
      {{"query", "x", "--limit"}, "bad_argument", "", "see 'tidemill query --help'"},
      {{"query", "x", "--from", "yesterday"}, "bad_time", "--from: 'yesterday' is not a time", "write 2013-05-01"},
      {{"shell", "fsh"}, "bad_argument", "'fsh' does not do for SHELL", "bash, zsh"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(testing::PrintToString(c.arguments));
    Stored stored;
    const auto parsed = Parse(&stored, c.arguments);
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(parsed.error().code, c.code);
    EXPECT_NE(parsed.error().message.find(c.message), std::string::npos) << parsed.error().message;
    EXPECT_NE(parsed.error().hint.find(c.hint), std::string::npos) << parsed.error().hint;
  }
}

TEST(Help, ShowsParametersAndLeavesOutHiddenCommands) {
  Stored stored;
  const Command root = Tree(&stored);
  const std::string text = HelpText({&root, root.Find("query")}, Common(&stored));
  for (const char* part : {"Usage: tidemill query SQL [--limit ROWS] [--from TIME]", "Arguments:\n  SQL  what", "--limit ROWS",
                           "--project DIR", "--help"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
  EXPECT_EQ(HelpText({&root}, Common(&stored)).find("hidden"), std::string::npos);
  const std::string markdown = HelpMarkdown(root, Common(&stored));
  EXPECT_EQ(markdown.find("hidden"), std::string::npos);
  EXPECT_NE(markdown.find("## tidemill lake verify"), std::string::npos);
}

}  // namespace
}  // namespace tidemill
