#include "project/python_source.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;

std::string Parameters(const std::string& text) {
  const auto source = ReadPythonTable(text, "tables/a.py", "table");
  if (!source.ok()) return source.error().message;
  std::string names;
  for (const TableReference& parameter : source->parameters)
    names += parameter.name + ":" + std::to_string(parameter.place.line) + " ";
  return names;
}

std::string Imports(const std::string& text, const std::string& file = "tables/a.py") {
  std::string names;
  for (const std::string& name : ReadPythonModule(text, file).imports) names += name + " ";
  return names;
}

TEST(PythonSource, FindsTheParametersOfTheFunction) {
  EXPECT_EQ(Parameters("def table(orders, customers):\n    pass\n"), "orders:1 customers:1 ");
  EXPECT_EQ(Parameters("def table(): return 1"), "");
  EXPECT_EQ(Parameters("\xEF\xBB\xBF"
                       "def table(a): pass"),
            "a:1 ");
  EXPECT_EQ(
      Parameters(
          "import x\r\n\r\n@cached\r\ndef table(\r\n    a,  # the (first\r\n    b: 'pa.Table[\")\"]',\r\n) -> dict[str, int]:\r\n    pass"),
      "a:5 b:6 ");
  EXPECT_EQ(Parameters("text = '''\ndef table(wrong):\n'''\ndef \\\n  table(right): ...\n"), "right:5 ");
  EXPECT_EQ(Parameters("x = r'\\'\ny = f\"{x!r}#\"\ndef table(a): ...\n"), "a:3 ");
  EXPECT_EQ(Parameters("def table(a): ...\ndef table(b): ...\n"), "b:2 ");
}

TEST(PythonSource, RefusesOtherSignaturesWithAPlace) {
  EXPECT_EQ(Parameters("def table(a=1): ..."), "a parameter of a table's function can't have a default");
  EXPECT_EQ(Parameters("def table(*a): ..."), "a table's function can't have '*' among its parameters");
  EXPECT_EQ(Parameters("def table(a, /): ..."), "a table's function can't have '/' among its parameters");
  EXPECT_EQ(Parameters("def table(a, A): ..."), "two parameters stand for 'A'");
  EXPECT_EQ(Parameters("async def table(a): ..."), "'table' must not be async");
  EXPECT_EQ(Parameters("def table(a"), "the parameters of 'table' can't be read");
  EXPECT_EQ(Parameters("class X:\n  def table(a): ...\n"), "the file defines no function 'table' at its top level");
  EXPECT_EQ(Parameters(""), "the file defines no function 'table' at its top level");
  const auto misspelled = ReadPythonTable("def tabel(a): ...", "tables/a.py", "table");
  EXPECT_EQ(misspelled.error().hint, "rename 'tabel' to 'table'");
  const auto wrong = ReadPythonTable("\n\ndef table(ä, b=2): ...", "tables/a.py", "table");
  EXPECT_EQ(wrong.error().place->line, 3);
  EXPECT_EQ(wrong.error().place->column, 15);
}

TEST(PythonSource, FindsImportsWhereverTheyStand) {
  EXPECT_EQ(Imports("import a.b as c, d; import e\n"), "a.b d e ");
  EXPECT_EQ(Imports("if x: from a import (b as c,\n  d)\n"), "a a.b a.d ");
  EXPECT_EQ(Imports("def f():\n    from . import x\n    from .y import z\n    from ..w import v\n", "lib/deep/m.py"),
            "lib.deep lib.deep.x lib.deep.y lib.deep.y.z lib.w lib.w.v ");
  EXPECT_EQ(Imports("'import no'\n# import no\nimportant = 1\nx.from_file('a')\n"), "");
}

TEST(PythonSource, CountsOnlyWhatPythonSees) {
  const auto canonical = [](const std::string& text) { return ReadPythonModule(text, "a.py").canonical; };
  const std::string text = "def table(a):\n    x = f(a, 1)\n    return x\n";
  EXPECT_EQ(canonical(text), canonical("# what it does\n\ndef table( a ):\r\n    x = f(a,\n          1)  # one\n\n    return x"));
  EXPECT_NE(canonical(text), canonical("def table(a):\n    x = f(a, 2)\n    return x\n"));
  EXPECT_NE(canonical(text), canonical("def table(a):\n    x = f(a, 1)\n  return x\n"));
  EXPECT_NE(canonical("x = 'a  b'"), canonical("x = 'a b'"));
  EXPECT_NE(canonical("x = ab"), canonical("x = a b"));
}

TEST(PythonSource, FollowsImportsInsideTheProject) {
  const auto folder = TemporaryFolder::Make(fs::temp_directory_path(), "python_source").value();
  const auto write = [&](const std::string& path, const std::string& text) {
    ASSERT_TRUE(MakeFolders((folder.path() / path).parent_path()).ok());
    ASSERT_TRUE(WriteFileAtomic(folder.path() / path, text).ok());
  };
  write("maths.py", "import lib.deep\nimport os\n");
  write("lib/__init__.py", "");
  write("lib/deep.py", "from . import other\nimport maths\n");
  write("lib/other.py", "");
  write("lib/unused.py", "");
  const auto files = ImportedFiles(folder.path(), {"maths", "pyarrow", "lib.nothing"});
  ASSERT_TRUE(files.ok());
  std::string names;
  for (const auto& [path, text] : *files) names += path + " ";
  EXPECT_EQ(names, "lib/__init__.py lib/deep.py lib/other.py maths.py ");
  write("maths.py", "# \xFF\n");
  EXPECT_EQ(ImportedFiles(folder.path(), {"maths"}).error().code, "not_utf8");
}

TEST(PythonSource, ReadsAnythingWithoutHarm) {
  for (const std::string text :
       {"'", "\"\"\"", "(", ")))", "\\", "def", "def table", "def table(", "from", "import", "from .", "f'{", "\t\tx"}) {
    (void)ReadPythonModule(text, "a.py");
    EXPECT_FALSE(ReadPythonTable(text, "a.py", "table").ok()) << text;
  }
}

}  // namespace
}  // namespace tidemill
