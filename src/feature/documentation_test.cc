#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/files.h"
#include "feature/compile.h"
#include "feature/program/entity_state.h"
#include "feature/program/testing.h"
#include "sql/testing.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;

/// The example of docs/features.md that begins with this line.
std::string Example(const std::string& first_line) {
  const char* root = std::getenv("TIDEMILL_SOURCE");
  const auto page = ReadFile(fs::path(root == nullptr ? "." : root) / "docs/features.md");
  if (!page.ok()) return "";
  const size_t begin = page->find(first_line);
  return begin == std::string::npos ? "" : page->substr(begin, page->find("```", begin) - begin);
}

/// The view of the documentation that shows ratios, differences, z-scores and the time since the last row.
TEST(Documentation, TheViewOfHabitsGivesWhatItSays) {
  const std::string view = Example("# features/habits.yaml");
  ASSERT_NE(view, "") << "set TIDEMILL_SOURCE to the repository";
  auto folder = TemporaryFolder::Make(fs::temp_directory_path(), "habits");
  ASSERT_TRUE(folder.ok());
  const std::vector<std::pair<std::string, std::string>> files = {
      {"tidemill.yaml", "project: cards\n"},
      {"sources/charges.yaml",
       "from: {files: charges.csv}\nkey: [id]\ncontract:\n  columns: {id: {type: integer}, card: {type: integer}, "
       "amount: {type: number}, shop: {type: text}, paid_at: {type: timestamp}}\n"},
      {"tables/payments.yaml", "key: [id]\ntimestamp: paid_at\n"},
      {"tables/payments.sql", "SELECT id, card, amount, shop, paid_at FROM charges\n"},
      {"features/habits.yaml", view}};
  for (const auto& [name, text] : files) {
    ASSERT_TRUE(MakeFolders((folder->path() / name).parent_path()).ok());
    ASSERT_TRUE(WriteFileAtomic(folder->path() / name, text).ok());
  }
  const auto project = LoadProject(folder->path());
  ASSERT_TRUE(project.ok()) << project.error().Format();
  auto database = Database::Open({});
  ASSERT_TRUE(database.ok());
  auto session = (*database)->Connect();
  ASSERT_TRUE(session.ok());
  const std::vector<Field> fields = {{"id", Type::kInt64},
                                     {"card", Type::kInt64},
                                     {"amount", Type::kDouble},
                                     {"shop", Type::kText},
                                     {"paid_at", Type::kTimestamp}};
  const auto program = CompileView(project->views.at("habits"), project->tables.at("payments"), fields, **session);
  ASSERT_TRUE(program.ok()) << program.error().Format();
  const auto state = EntityState::Make(*program);

  struct Payment {
    double amount;
    std::string shop;
    int64_t minute;
  };
  const std::vector<Payment> payments = {{10, "baker", 0}, {30, "cinema", 2000}, {20, "baker", 3000}, {500, "jeweller", 3100}};
  int64_t sequence = 0;
  for (const Payment& payment : payments) {
    const Timestamp at{payment.minute * 60 * kMicrosPerSecond};
    FeatureEvent event{at, at, ++sequence, {}};
    for (const Field& column : program->columns) {
      if (column.name == "amount") event.values.emplace_back(payment.amount);
      if (column.name == "shop") event.values.emplace_back(payment.shop);
      if (column.name == "paid_at") event.values.emplace_back(at);
    }
    ASSERT_TRUE(state->Update(event).ok());
  }
  // Two minutes after the last payment, which the delay of five minutes still hides from all but seconds_since.
  std::vector<Value> values = state->Query({3102 * 60 * kMicrosPerSecond});
  const auto value = [&](const std::string& name) {
    for (size_t i = 0; i < program->outputs.size(); ++i) {
      if (program->outputs[i].name == name) return values[i];
    }
    ADD_FAILURE() << "no feature " << name;
    return Value();
  };
  EXPECT_EQ(value("mean_1d"), Value(25.0));
  EXPECT_EQ(value("mean_30d"), Value(20.0));
  EXPECT_EQ(value("spread_30d"), Value(10.0));
  EXPECT_EQ(value("z_score"), Value(0.0));
  EXPECT_EQ(value("rise"), Value(5.0));
  EXPECT_EQ(value("ratio"), Value(1.25));
  EXPECT_EQ(value("seconds_since"), Value(120.0));
  EXPECT_EQ(value("usual_shop_30d"), Value(std::string("baker")));
  EXPECT_EQ(FormatValue(value("last_shops")),
            FormatValue(Value(MakeList(Type::kText, {std::string("baker"), std::string("cinema"), std::string("baker")}))));
  values = state->Query({3105 * 60 * kMicrosPerSecond});
  EXPECT_EQ(value("mean_30d"), Value(140.0));
  EXPECT_GT(std::get<double>(value("z_score")), 1.4);
  EXPECT_EQ(value("seconds_since"), Value(300.0));
}

}  // namespace
}  // namespace tidemill
