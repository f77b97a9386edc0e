#include "monitor/condition.h"

#include <gtest/gtest.h>

#include "monitor/monitor.h"
#include "sql/testing.h"

namespace tidemill {
namespace {

class Condition : public testing::SessionTest {
 protected:
  std::vector<std::string> Held(std::string_view condition, const ConditionFacts& facts) {
    auto held = AlternativesThatHold(condition, facts, *session_);
    EXPECT_TRUE(held.ok()) << (held.ok() ? "" : held.error().Format());
    return held.ok() ? *held : std::vector<std::string>{};
  }
};

using Texts = std::vector<std::string>;

ConditionFacts Facts() {
  ConditionFacts facts;
  facts.performance_alert = false;
  facts.performance_value = 0.8;
  facts.drift_share = 0.4;
  facts.drift_columns = 4;
  facts.drift_alert = false;
  facts.model_age_days = 28;
  return facts;
}

TEST(ConditionText, Alternatives) {
  EXPECT_EQ(Alternatives("a"), (Texts{"a"}));
  EXPECT_EQ(Alternatives("performance.alert OR drift.share > 0.3\n or not (a or b)"), (Texts{"performance.alert", "drift.share > 0.3", "not (a or b)"}));
  EXPECT_EQ(Alternatives("color = 'a or b' and x"), (Texts{"color = 'a or b' and x"}));
  EXPECT_EQ(OperandsIn("Drift.Share > 0.3 and model.age_days >= 2"), (Texts{"drift.share", "model.age_days"}));
  EXPECT_EQ(OperandsIn("'drift.share' = 'x"), Texts{});
}

TEST_F(Condition, WhichAlternativesHold) {
  const std::string condition = "performance.alert or drift.share > 0.3 or model.age_days >= 28";
  EXPECT_EQ(Held(condition, Facts()), (Texts{"drift.share > 0.3", "model.age_days >= 28"}));
  ConditionFacts young = Facts();
  young.model_age_days = 27.99;
  young.drift_share = 0.3;
  EXPECT_EQ(Held(condition, young), Texts{});
  EXPECT_EQ(Held("drift.columns between 1 and 4 and not performance.alert", Facts()).size(), 1u);
  EXPECT_EQ(Held("(drift.share > 0.9 or drift.columns > 3) and model.age_days > 1 -- a comment", Facts()).size(), 1u);
}

TEST_F(Condition, UnknownIsFalse) {
  ConditionFacts unknown;
  unknown.model_age_days = 3;
  for (const std::string_view condition : {"performance.alert", "not performance.alert", "drift.share > 0", "drift.share <= 0", "performance.value < 1", "drift.alert"}) {
    SCOPED_TRACE(condition);
    EXPECT_EQ(Held(condition, unknown), Texts{});
  }
  EXPECT_EQ(Held("performance.alert or model.age_days > 2", unknown), (Texts{"model.age_days > 2"}));
  EXPECT_EQ(Held("performance.value is null", unknown).size(), 1u);
}

TEST_F(Condition, Check) {
  struct Case {
    std::string_view condition;
    std::string_view code;  ///< "" : accepted
    std::string_view hint;  ///< part of it
  };
  constexpr Case kCases[] = {
      {"performance.alert or drift.share > 0.3 or model.age_days >= 28", "", ""},
      {"not drift.alert and (performance.value < 0.7 or drift.columns * 2 > 5)", "", ""},
      {"drift.shar > 0.3", "unknown_operand", "did you mean 'drift.share'"},
      {"performance > 0.3", "unknown_operand", "performance.alert"},
      {"model.age_days", "condition_type", "compare"},
      {"drift.share", "condition_type", "compare"},
      {"  ", "condition_empty", "allowed"},
      {"sqrt(drift.share) > 0.5", "condition_function", "comparisons"},
      {"random() > 0.5", "sql_volatile", ""},
      {"drift.share > (SELECT 1)", "condition_form", "comparisons"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.condition);
    const Status checked = CheckCondition(c.condition, Place{"models/m.yaml", 3, 10, 1, ""}, *session_);
    ASSERT_EQ(checked.ok(), c.code.empty());
    if (checked.ok()) continue;
    EXPECT_EQ(checked.error().code, c.code);
    EXPECT_NE(checked.error().hint.find(c.hint), std::string::npos) << checked.error().Format();
  }
  EXPECT_FALSE(CheckCondition("drift.share >", Place{"models/m.yaml", 3, 10, 1, ""}, *session_).ok());
}

TEST_F(Condition, ErrorPointsAtTheOperand) {
  const std::string line = "retrain: {when: \"drift.share > 0.3 or performance.alrt\"}";
  const Status checked = CheckCondition("drift.share > 0.3 or performance.alrt", Place{"models/m.yaml", 3, 17, 1, line}, *session_);
  ASSERT_FALSE(checked.ok());
  ASSERT_TRUE(checked.error().place.has_value());
  EXPECT_EQ(checked.error().place->line, 3);
  EXPECT_EQ(checked.error().place->column, static_cast<int>(line.find("performance.alrt")) + 1);
  EXPECT_EQ(checked.error().place->length, 16);
}

}  // namespace
}  // namespace tidemill
