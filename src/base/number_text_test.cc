#include "base/number_text.h"

#include <gtest/gtest.h>

namespace tidemill {
namespace {

TEST(GroupedNumber, GroupsByThousands) {
  EXPECT_EQ(GroupedNumber(0), "0");
  EXPECT_EQ(GroupedNumber(999), "999");
  EXPECT_EQ(GroupedNumber(1000), "1,000");
  EXPECT_EQ(GroupedNumber(-999), "-999");
  EXPECT_EQ(GroupedNumber(328521), "328,521");
  EXPECT_EQ(GroupedNumber(-1234567), "-1,234,567");
  EXPECT_EQ(GroupedNumber(INT64_MIN), "-9,223,372,036,854,775,808");
}

}  // namespace
}  // namespace tidemill
