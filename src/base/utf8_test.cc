#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace tidemill {
namespace {

TEST(Utf8Test, FindsTheFirstBadByte) {
  struct Case {
    std::string text;
    size_t at;
  };
  const size_t none = std::string_view::npos;
  const Case cases[] = {{"", none},
                        {"plain ascii of some length", none},
                        {"Z\xC3\xBCrich \xE2\x82\xAC \xF0\x9F\x98\x80", none},
                        {"abc\xE9", 3},
                        {"12345678\xFF", 8},
                        {"\xC0\xAF", 0},          // longer than needed
                        {"\xED\xA0\x80", 0},      // a surrogate
                        {"\xF4\x90\x80\x80", 0},  // above U+10FFFF
                        {"a\xE2\x82", 1},         // cut off
                        {std::string("ab\0c", 4), 2},
                        {std::string("12345678901\0002345678", 19), 11}};
  for (const Case& c : cases) EXPECT_EQ(FindInvalidUtf8(c.text), c.at) << EscapeInvalidUtf8(c.text);
  EXPECT_EQ(EscapeInvalidUtf8(std::string("caf\xE9\0\xC3\xA9", 7)), "caf\\xE9\\x00\xC3\xA9");
}

}  // namespace
}  // namespace tidemill
