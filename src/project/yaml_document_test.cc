#include "project/yaml_document.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace tidemill {
namespace {

YamlNode Parsed(std::string_view text) {
  auto node = ParseYaml(text, "a.yaml");
  EXPECT_TRUE(node.ok()) << (node.ok() ? "" : node.error().Format());
  return node.ok() ? std::move(node).value() : YamlNode{};
}

std::string Refusal(std::string_view text) {
  const auto node = ParseYaml(text, "a.yaml");
  EXPECT_FALSE(node.ok());
  return node.ok() ? "" : node.error().Format();
}

std::string At(const Place& place) {
  return std::to_string(place.line) + ":" + std::to_string(place.column) + "+" + std::to_string(place.length);
}

TEST(YamlDocument, KeepsScalarsAsWritten) {
  const YamlNode node = Parsed("a: [NO, 1.50, \"7\", ~, 007, 'it''s']\nnull: x\n");
  EXPECT_EQ(node.Find("a")->Texts(), (std::vector<std::string>{"NO", "1.50", "7", "~", "007", "it's"}));
  EXPECT_EQ(node.Find("a")->items[3].kind, YamlNode::Kind::kNull);
  ASSERT_NE(node.Find("null"), nullptr) << "a key may be named null";
  EXPECT_EQ(node.Find("null")->text, "x");
}

TEST(YamlDocument, TypesScalarsByTheCoreSchema) {
  using Type = YamlNode::ScalarType;
  struct Case {
    std::string_view text;
    Type type;
  };
  constexpr Case kCases[] = {{"true", Type::kBoolean},
                             {"yes", Type::kText},
                             {"True", Type::kText},
                             {"1", Type::kInteger},
                             {"-1", Type::kInteger},
                             {"+12", Type::kInteger},
                             {"1.5", Type::kNumber},
                             {".5", Type::kNumber},
                             {"1e-3", Type::kNumber},
                             {"1e", Type::kText},
                             {"0x10", Type::kText},
                             {"1_000", Type::kText},
                             {"2013-01-01", Type::kText},
                             {"'1'", Type::kText},
                             {"\"true\"", Type::kText},
                             {"9223372036854775807", Type::kInteger},
                             {"9223372036854775808", Type::kNumber},
                             {"-x", Type::kText},
                             {".", Type::kText},
                             {"7d", Type::kText}};
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text);
    const YamlNode node = Parsed("a: " + std::string(c.text));
    EXPECT_EQ(node.Find("a")->Type(), c.type);
  }
  EXPECT_EQ(Parsed("a: +12").Find("a")->Integer(), 12);
  EXPECT_EQ(Parsed("a: 9223372036854775807").Find("a")->Integer(), INT64_MAX);
  EXPECT_EQ(Parsed("a: .5").Find("a")->Number(), 0.5);
  EXPECT_EQ(Parsed("a: +1e-3").Find("a")->Number(), 0.001);
}

TEST(YamlDocument, PlacesCountCharacters) {
  const YamlNode node = Parsed("# é\r\ngrün: {\"ä b\": 'x''y', c: plain}\r\nlist:\r\n  - one\r\n");
  EXPECT_EQ(At(node.entries[0].place), "2:1+4");
  EXPECT_EQ(node.entries[0].place.excerpt, "grün: {\"ä b\": 'x''y', c: plain}");
  const YamlNode& map = node.entries[0].value;
  EXPECT_EQ(At(map.place), "2:7+1");
  EXPECT_EQ(At(map.entries[0].place), "2:8+5");
  EXPECT_EQ(At(map.entries[0].value.place), "2:15+6");
  EXPECT_EQ(At(map.entries[0].value.ContentPlace()), "2:16+4");
  EXPECT_EQ(At(map.entries[1].value.place), "2:26+5");
  EXPECT_EQ(At(map.entries[1].value.ContentPlace()), "2:26+5");
  EXPECT_EQ(At(node.entries[1].value.items[0].place), "4:5+3");
}

TEST(YamlDocument, ReadsBlocksAndByteOrderMark) {
  const YamlNode node = Parsed(
      "\xEF\xBB\xBF"
      "a: |\n  one\n  two\nb: two\n  lines\n");
  EXPECT_EQ(node.Find("a")->text, "one\ntwo\n");
  EXPECT_EQ(node.Find("b")->text, "two lines");
  EXPECT_EQ(At(node.entries[0].place), "1:1+1");
}

TEST(YamlDocument, KeepsDuplicateKeys) { EXPECT_EQ(Parsed("a: 1\na: 2\n").entries.size(), 2U); }

TEST(YamlDocument, RefusesWithPlaceAndHint) {
  struct Case {
    std::string_view text;
    std::string_view error;
  };
  constexpr Case kCases[] = {
      {"", "error: the file is empty\n --> a.yaml\nhint: docs/formats.md shows what belongs in it\n"},
      {"# only a comment\n", "error: the file is empty\n --> a.yaml\nhint: docs/formats.md shows what belongs in it\n"},
      {"~\n", "error: the file is empty\n --> a.yaml\nhint: docs/formats.md shows what belongs in it\n"},
      {"a:\n\tb: c\n", "error: a tab in the indentation\n --> a.yaml:2:1\n2 | \tb: c\n  | ^\nhint: indent with spaces\n"},
      {"a: b: c\n",
       "error: not valid YAML: illegal map value\n --> a.yaml:1:5\n1 | a: b: c\n  |     ^\n"
       "hint: is the indentation right? Put texts that contain ': ' in quotes\n"},
      {"a: [1,\nb: 2\n",
       "error: this bracket is never closed\n --> a.yaml:1:4\n1 | a: [1,\n  |    ^\n"
       "hint: close each [ with ] and each { with }, and separate items by commas\n"},
      {"a: \"x\n",
       "error: this quote is never closed\n --> a.yaml:1:4\n1 | a: \"x\n  |    ^\nhint: end the text with the same quote\n"},
      {"a: 'it''s\nb: 1\n",
       "error: this quote is never closed\n --> a.yaml:1:4\n1 | a: 'it''s\n  |    ^\nhint: end the text with the same quote\n"},
      {"a: @x\n",
       "error: not valid YAML: unknown token\n --> a.yaml:1:4\n1 | a: @x\n  |    ^\nhint: put texts that begin with @, ` or % in "
       "quotes\n"},
      {"a: 1\n---\nb: 2\n",
       "error: a second document begins here\n --> a.yaml:2:1\n2 | ---\n  | ^\n"
       "hint: one file holds one document: look at the indentation, and leave out '---'\n"},
      {"a: &x 1\nb: *x\n",
       "error: anchors (&) and aliases (*) are not supported\n --> a.yaml:1:4\n1 | a: &x 1\n  |    ^\n"
       "hint: write the value out; put texts that begin with & or * in quotes\n"},
      {"a: !!str 5\n",
       "error: YAML tags such as '!!str' are not supported\n --> a.yaml:1:4\n1 | a: !!str 5\n  |    ^\n"
       "hint: leave the tag out; put texts that look like numbers in quotes\n"},
      {"? [a]\n: b\n",
       "error: a key must be a text\n --> a.yaml:1:3\n1 | ? [a]\n  |   ^\nhint: write 'key: value', one on each line\n"},
      {"a: b\xE9\n", "error: the file is not UTF-8 text\n --> a.yaml:1:5\nhint: save it as UTF-8\n"},
      {"\xFF\xFE"
       "a",
       "error: the file is not UTF-8 text but UTF-16\n --> a.yaml\nhint: save it as UTF-8\n"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text);
    EXPECT_EQ(Refusal(c.text), c.error);
  }
  EXPECT_EQ(Refusal(std::string_view("a: \0", 4)),
            "error: the file is not UTF-8 text\n --> a.yaml:1:4\nhint: save it as UTF-8\n");
}

TEST(YamlDocument, RefusesHugeAndDeepFiles) {
  EXPECT_EQ(Refusal("a: " + std::string(5 << 20, 'x')).substr(0, 53), "error: the file has 5242883 bytes; a definition has a");
  EXPECT_NE(Refusal("a: " + std::string(100, '[') + std::string(100, ']')).find("nested too deeply"), std::string::npos);
  EXPECT_NE(Refusal("a: " + std::string(100'000, '[')).find("error: "), std::string::npos);
}

TEST(YamlDocument, LongLinesCostNoCopies) {
  std::string text = "a: [0";
  for (int i = 1; i < 20'000; ++i) text += ", " + std::to_string(i);
  const YamlNode node = Parsed(text + "]\n");
  ASSERT_EQ(node.Find("a")->items.size(), 20'000U);
  EXPECT_EQ(node.Find("a")->items.back().place.excerpt, "");
  EXPECT_EQ(node.Find("a")->items.back().place.line, 1);
}

}  // namespace
}  // namespace tidemill
