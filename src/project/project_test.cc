#include "project/project.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;

using Files = std::map<std::string, std::string>;

/// A project that is right: every test breaks one thing of it.
Files ShopFiles() {
  return {
      {"tidemill.yaml", "project: shop\n"},
      {"sources/orders.yaml",
       "from: {files: data/orders.csv}\nkey: [id]\nhistory: true\n"
       "contract:\n  columns:\n    id: {type: integer, required: true}\n    customer: {type: text}\n    amount: {type: number}\n "
       "   created: {type: timestamp}\n"},
      {"sources/customers.yaml", "from: {files: [data/customers.csv, data/more.csv]}\n"},
      {"tables/paid.sql", "SELECT id, customer, amount, created\nFROM orders\nWHERE amount > 0\n"},
      {"tables/paid.yaml", "key: [id]\ntimestamp: created\nknown_at: created\nupdate: append\n"},
      {"tables/visits.sql",
       "SELECT p.id, c.name AS customer, p.created AS asked_at, p.created AS told_at, p.amount > 100 AS big\nFROM paid AS p JOIN "
       "customers AS c ON c.name = p.customer\n"},
      {"features/spending.yaml",
       "entity: [customer]\nfrom: paid\nttl: 30d\nfeatures:\n  total: {value: sum(amount), windows: [24h, 7d], default: 0}\n  "
       "last_amount: {value: last(amount)}\n"},
      {"models/big_order.yaml",
       "training_set: {spine: visits, label: big, timestamp: asked_at, label_known_at: told_at}\n"
       "features:\n  - spending.*\n  - {view: spending, as: again, feature: total_1d, join: {customer: customer}}\n  - "
       "\"hour(asked_at)\"\n  - customer\n  - {day: dayofweek(asked_at)}\n"
       "split: {train: 60d, validate: 1w, test: 7d, refit: all}\n"
       "prepare:\n  - impute: {columns: numeric, with: median}\n  - one_hot: {columns: [customer], other_below: 5}\n"
       "algorithm: {lightgbm: {objective: binary, learning_rate: 0.05, rounds: 50}}\n"
       "gates:\n  - auc: {min: 0.6, max_drop_from_champion: 0.01}\n  - latency_p99_ms: {max: 5}\n"
       "monitor: {interval: 2d, drift: {threshold: 0.1}, performance: {metric: auc, window: 14d, alert_below: 0.6}}\n"
       "retrain: {when: performance.alert or drift.share > 0.3, at_most_every: 7d}\n"},
  };
}

class ProjectTest : public ::testing::Test {
 protected:
  ProjectTest() : folder_(std::move(TemporaryFolder::Make(fs::temp_directory_path(), "project")).value()) {}

  void Write(const Files& files) {
    fs::remove_all(folder_.path());
    for (const auto& [name, text] : files) {
      ASSERT_TRUE(MakeFolders((folder_.path() / name).parent_path()).ok());
      ASSERT_TRUE(WriteFileAtomic(folder_.path() / name, text).ok());
    }
  }

  Result<Project> Load(const Files& files) {
    Write(files);
    return LoadProject(folder_.path());
  }

  /// The shop with one file replaced (or removed when `text` is "-"): what LoadProject says.
  std::string Errors(const std::string& file, const std::string& text) {
    Files files = ShopFiles();
    files[file] = text;
    if (text == "-") files.erase(file);
    const auto project = Load(files);
    return project.ok() ? "" : project.error().Format();
  }

  /// The same with one text in a file replaced by another.
  std::string ErrorsAfter(const std::string& file, std::string_view from, std::string_view to) {
    std::string text = ShopFiles().at(file);
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return Errors(file, text.replace(at, from.size(), to));
  }

  TemporaryFolder folder_;
};

TEST_F(ProjectTest, ReadsEveryAsset) {
  const auto loaded = Load(ShopFiles());
  ASSERT_TRUE(loaded.ok()) << loaded.error().Format();
  const Project& project = *loaded;
  EXPECT_EQ(project.name, "shop");
  EXPECT_EQ(project.memory_limit_mb, 1024);
  EXPECT_EQ(project.threads, 2);
  EXPECT_EQ(project.StateFolder(), project.root / ".tidemill");

  const SourceAsset& orders = project.sources.at("orders");
  EXPECT_EQ(orders.files, std::vector<std::string>{"data/orders.csv"});
  EXPECT_EQ(orders.null_texts, std::vector<std::string>{""});
  EXPECT_TRUE(orders.history);
  ASSERT_EQ(orders.contract.columns.size(), 4U);
  EXPECT_EQ(orders.contract.columns[3].name, "created");
  EXPECT_EQ(orders.contract.columns[3].type, Type::kTimestamp);
  EXPECT_TRUE(orders.contract.columns[0].required);
  EXPECT_EQ(project.sources.at("customers").files.size(), 2U);

  const TableAsset& paid = project.tables.at("paid");
  EXPECT_EQ(paid.inputs, std::vector<std::string>{"orders"});
  EXPECT_EQ(paid.known_at, "created");
  EXPECT_EQ(paid.update, TableUpdate::kAppend);
  EXPECT_EQ(paid.file, "tables/paid.sql");
  const TableAsset& visits = project.tables.at("visits");
  EXPECT_EQ(visits.inputs, (std::vector<std::string>{"paid", "customers"}));
  EXPECT_EQ(visits.known_at, "");

  const FeatureViewAsset& spending = project.views.at("spending");
  EXPECT_EQ(spending.ttl, Duration{30 * kMicrosPerDay});
  EXPECT_EQ(spending.lookback, Duration{kMicrosPerDay});
  EXPECT_EQ(FeatureColumns(spending.features[0]), (std::vector<std::string>{"total_1d", "total_7d"}));
  EXPECT_EQ(FeatureColumns(spending.features[1]), std::vector<std::string>{"last_amount"});
  EXPECT_EQ(spending.features[0].default_value, Value(int64_t{0}));
  EXPECT_EQ(spending.features[0].place.line, 5);
  EXPECT_EQ(spending.features[0].place.column, 18);

  const ModelAsset& model = project.models.at("big_order");
  ASSERT_EQ(model.features.size(), 5U);
  EXPECT_EQ(model.features[0].feature, "*");
  EXPECT_EQ(model.features[1].as, "again");
  EXPECT_EQ(model.features[1].join.at("customer"), "customer");
  EXPECT_EQ(model.features[2].name, "hour_asked_at");
  EXPECT_EQ(model.features[2].place.column, 6) << "behind the quote";
  EXPECT_EQ(model.features[3].name, "customer");
  EXPECT_EQ(model.features[4].name, "day");
  EXPECT_EQ(model.validate, Duration{7 * kMicrosPerDay});
  EXPECT_TRUE(model.refit_all);
  EXPECT_EQ(model.prepare[1].columns, std::vector<std::string>{"customer"});
  EXPECT_EQ(model.prepare[1].other_below, 5);
  EXPECT_EQ(model.algorithm, "lightgbm");
  EXPECT_EQ(model.parameters.at("learning_rate"), Value(0.05));
  EXPECT_EQ(model.gates[0].min, 0.6);
  EXPECT_EQ(model.gates[1].max, 5.0);
  ASSERT_TRUE(model.monitor.has_value());
  EXPECT_EQ(model.monitor->drift_threshold, 0.1);
  EXPECT_EQ(model.monitor->window, Duration{14 * kMicrosPerDay});
  EXPECT_EQ(model.monitor->alert_below, 0.6);
  EXPECT_EQ(model.retrain_when, "performance.alert or drift.share > 0.3");
  EXPECT_EQ(model.retrain_at_most_every, Duration{7 * kMicrosPerDay});
}

TEST_F(ProjectTest, OrdersTheGraphByInputs) {
  const auto project = Load(ShopFiles());
  ASSERT_TRUE(project.ok());
  std::vector<std::string> names;
  for (const AssetNode& node : project->graph) names.push_back(node.name);
  EXPECT_EQ(names, (std::vector<std::string>{"customers", "orders", "paid", "visits", "spending", "big_order"}));
  EXPECT_EQ(project->Find("big_order")->inputs, (std::vector<std::string>{"visits", "spending"}));
  EXPECT_EQ(project->Find("big_order")->kind, AssetKind::kModel);
  EXPECT_EQ(project->Find("nothing"), nullptr);
}

TEST_F(ProjectTest, IsFoundFromBelow) {
  Write(ShopFiles());
  const auto project = LoadProject(folder_.path() / "features");
  ASSERT_TRUE(project.ok());
  EXPECT_EQ(project->root, fs::canonical(folder_.path()));
  fs::remove(folder_.path() / "tidemill.yaml");
  const auto none = LoadProject(folder_.path() / "features");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, "no_project");
}

TEST_F(ProjectTest, ArchivesTheFilesThatDefineIt) {
  Files files = ShopFiles();
  const auto project = Load(files);
  ASSERT_TRUE(project.ok());
  files["data/orders.csv"] = "id\n1\n";
  Write(files);
  EXPECT_EQ(ReadDefinitions(*project).value(), ShopFiles());
}

/// The names of the assets whose fingerprints differ after an edit.
std::vector<std::string> Changed(const Project& before, const Project& after) {
  std::vector<std::string> changed;
  const auto old_prints = Fingerprints(before, "1");
  for (const auto& [name, fingerprint] : Fingerprints(after, "1")) {
    const auto old = old_prints.find(name);
    if (old == old_prints.end() || old->second != fingerprint) changed.push_back(name);
  }
  return changed;
}

TEST_F(ProjectTest, FingerprintsFollowMeaning) {
  struct Case {
    std::string file, from, to;
    std::vector<std::string> changed;
  };
  const Case kCases[] = {
      {"tables/paid.sql", "SELECT id, customer", "-- what was paid\nselect   id,\n  customer", {}},
      {"tables/paid.sql", "amount > 0", "amount > 1", {"big_order", "paid", "spending", "visits"}},
      {"tables/paid.yaml", "update: append", "update: replace # all of it", {"big_order", "paid", "spending", "visits"}},
      {"tables/visits.sql", "p.amount > 100", "p.amount > 200", {"big_order", "visits"}},
      {"features/spending.yaml", "windows: [24h, 7d]", "windows: [1d, 1w]", {}},
      {"features/spending.yaml", "sum(amount)", "\"SUM( amount )\"", {}},
      {"features/spending.yaml", "ttl: 30d", "lookback: 1d\nttl: 30d # a month", {}},
      {"features/spending.yaml", "windows: [24h, 7d]", "windows: [24h, 8d]", {"big_order", "spending"}},
      {"features/spending.yaml", "ttl: 30d", "delay: 0s\nttl: 30d", {}},
      {"features/spending.yaml", "ttl: 30d", "delay: 1h\nttl: 30d", {"big_order", "spending"}},
      {"features/spending.yaml", "ttl: 30d", "lateness: 1h\nttl: 30d", {"big_order", "spending"}},
      {"features/spending.yaml", "ttl: 30d", "hop: 1h\nttl: 30d", {"big_order", "spending"}},
      {"features/spending.yaml", "ttl: 30d", "max_events: 10\nttl: 30d", {"big_order", "spending"}},
      {"models/big_order.yaml", "interval: 2d", "interval: 3d", {}},
      {"models/big_order.yaml", "at_most_every: 7d", "at_most_every: 8d", {}},
      {"models/big_order.yaml", "rounds: 50", "rounds: 51", {"big_order"}},
      {"sources/customers.yaml", "data/more.csv", "data/most.csv", {"big_order", "customers", "visits"}},
      {"sources/orders.yaml", "history: true", "history: true\n# nothing", {}},
      {"tidemill.yaml", "project: shop", "project: shop\nthreads: 1", {}},
  };
  const auto before = Load(ShopFiles());
  ASSERT_TRUE(before.ok());
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.file + ": " + c.from + " -> " + c.to);
    Files files = ShopFiles();
    std::string& text = files[c.file];
    ASSERT_NE(text.find(c.from), std::string::npos);
    text.replace(text.find(c.from), c.from.size(), c.to);
    const auto after = Load(files);
    ASSERT_TRUE(after.ok()) << after.error().Format();
    EXPECT_EQ(Changed(*before, *after), c.changed);
  }
  EXPECT_NE(Fingerprints(*before, "1").at("orders"), Fingerprints(*before, "2").at("orders"));
}

TEST_F(ProjectTest, DefinitionsAreReadableJson) {
  const auto project = Load(ShopFiles());
  ASSERT_TRUE(project.ok());
  const Json view = Json::parse(project->Find("spending")->definition);
  EXPECT_EQ(view["features"]["total"]["windows"], (Json{"1d", "7d"}));
  EXPECT_EQ(view["lookback"], "1d");
  const Json model = Json::parse(project->Find("big_order")->definition);
  EXPECT_EQ(model["parameters"]["rounds"], 50);
  EXPECT_FALSE(model.contains("retrain"));
}

TEST_F(ProjectTest, UnknownNamesComeWithASuggestion) {
  EXPECT_EQ(ErrorsAfter("tables/paid.sql", "FROM orders", "FROM ordres"),
            "error: unknown table 'ordres'\n --> tables/paid.sql:2:6\n2 | FROM ordres\n  |      ^^^^^^\n"
            "hint: did you mean 'orders'? allowed: customers, orders, paid, visits\n");
  EXPECT_EQ(ErrorsAfter("tables/paid.sql", "FROM orders", "FROM spending"),
            "error: 'spending' is a feature view: tables read sources and other tables\n --> tables/paid.sql:2:6\n2 | FROM "
            "spending\n  |      ^^^^^^^^\n"
            "hint: read the table that it is made from\n");
  EXPECT_EQ(ErrorsAfter("features/spending.yaml", "from: paid", "from: payd"),
            "error: unknown table 'payd'\n --> features/spending.yaml:2:7\n2 | from: payd\n  |       ^^^^\nhint: did you mean "
            "'paid'? allowed: paid, visits\n");
  EXPECT_EQ(ErrorsAfter("features/spending.yaml", "from: paid", "from: orders"),
            "error: 'orders' is a source: a feature view reads a table\n --> features/spending.yaml:2:7\n2 | from: orders\n  |   "
            "    ^^^^^^\n"
            "hint: make a table of it, for instance tables/all_orders.sql: SELECT * FROM orders\n");
  EXPECT_EQ(ErrorsAfter("models/big_order.yaml", "spine: visits", "spine: visit"),
            "error: unknown table 'visit'\n --> models/big_order.yaml:1:23\n"
            "1 | training_set: {spine: visit, label: big, timestamp: asked_at, label_known_at: told_at}\n  |                     "
            "  ^^^^^\n"
            "hint: did you mean 'visits'? allowed: paid, visits\n");
  EXPECT_EQ(ErrorsAfter("models/big_order.yaml", "- spending.*", "- spendings.*"),
            "error: unknown feature view 'spendings'\n --> models/big_order.yaml:3:5\n3 |   - spendings.*\n  |     ^^^^^^^^^^^\n"
            "hint: did you mean 'spending'? allowed: spending\n");
  EXPECT_EQ(ErrorsAfter("models/big_order.yaml", "- spending.*", "- spending.total"),
            "error: the view 'spending' has no feature 'total'\n --> models/big_order.yaml:3:5\n3 |   - spending.total\n  |     "
            "^^^^^^^^^^^^^^\n"
            "hint: a feature with windows has one column for each; allowed: total_1d, total_7d, last_amount\n");
  EXPECT_EQ(
      ErrorsAfter("models/big_order.yaml", "- spending.*", "- visits.big"),
      "error: 'visits' is a table, not a feature view\n --> models/big_order.yaml:3:5\n3 |   - visits.big\n  |     ^^^^^^^^^^\n"
      "hint: columns of the spine are written without the table's name; features of other tables come from a feature view\n");
  EXPECT_EQ(ErrorsAfter("models/big_order.yaml", "join: {customer: customer}", "join: {customer: custmer}"),
            "error: 'custmer' is not an entity column of the view 'spending'\n --> models/big_order.yaml:4:12\n"
            "4 |   - {view: spending, as: again, feature: total_1d, join: {customer: custmer}}\n  |            ^^^^^^^^\n"
            "hint: join says {spine column: entity column}; did you mean 'customer'? allowed: customer\n");
  EXPECT_EQ(ErrorsAfter("models/big_order.yaml", "columns: [customer]", "columns: [custmer]"),
            "error: the model has no input 'custmer'\n --> models/big_order.yaml:11:25\n11 |   - one_hot: {columns: [custmer], "
            "other_below: 5}\n   |                         ^^^^^^^\n"
            "hint: did you mean 'customer'? allowed: again__total_1d, customer, day, hour_asked_at, spending__last_amount, "
            "spending__total_1d, spending__total_7d\n");
  EXPECT_EQ(ErrorsAfter("sources/orders.yaml", "key: [id]", "key: [ids]"),
            "error: unknown column 'ids'\n --> sources/orders.yaml:2:7\n2 | key: [ids]\n  |       ^^^\nhint: did you mean 'id'? "
            "allowed: id, customer, amount, created\n");
}

TEST_F(ProjectTest, NamesInSqlAreComparedAsSqlDoes) {
  EXPECT_EQ(ErrorsAfter("tables/paid.sql", "FROM orders", "FROM Orders"), "");
  EXPECT_EQ(ErrorsAfter("tables/paid.sql", "FROM orders", "FROM \"ORDERS\" AS o"), "");
  EXPECT_EQ(ErrorsAfter("tables/paid.sql", "SELECT id",
                        "WITH orders AS (SELECT 1 AS id, 'a' AS customer, 2 AS amount, now() AS created) SELECT id"),
            "");
}

TEST_F(ProjectTest, NamesAreUnique) {
  EXPECT_EQ(Errors("tables/orders.sql", "SELECT 1 AS a"),
            "error: the name 'orders' is taken by sources/orders.yaml\n --> tables/orders.sql\n"
            "hint: rename one of the two files: names are unique in a project, and upper and lower case are the same in SQL\n");
  EXPECT_NE(Errors("models/Paid.yaml", ShopFiles().at("models/big_order.yaml"))
                .find("error: the name 'Paid' is taken by tables/paid.sql\n --> models/Paid.yaml\n"),
            std::string::npos);
}

TEST_F(ProjectTest, CyclesAreSpelledOut) {
  Files files = ShopFiles();
  files["tables/a.sql"] = "SELECT id FROM b";
  files["tables/b.sql"] = "SELECT id FROM orders JOIN\nc USING (id)";
  files["tables/c.sql"] = "SELECT id FROM\n  a";
  const auto project = Load(files);
  ASSERT_FALSE(project.ok());
  EXPECT_EQ(project.error().Format(),
            "error: tables read each other in a circle: a -> b -> c -> a\n --> tables/c.sql:2:3\n2 |   a\n  |   ^\n"
            "hint: take one of these references out: a table can only be made from tables that are there before it\n");
  EXPECT_EQ(Errors("tables/a.sql", "SELECT * FROM a"),
            "error: the table 'a' reads itself\n --> tables/a.sql:1:15\n1 | SELECT * FROM a\n  |               ^\n"
            "hint: take one of these references out: a table can only be made from tables that are there before it\n");
}

TEST_F(ProjectTest, ModelsCannotReadAroundHistory) {
  EXPECT_EQ(ErrorsAfter("tables/paid.yaml", "known_at: created\n", ""),
            "error: the feature view 'spending' could read what was not known yet: 'paid' is made from the history in 'orders' "
            "(orders -> paid) "
            "and no table on the way declares known_at\n --> features/spending.yaml:2:7\n2 | from: paid\n  |       ^^^^\n"
            "hint: write in tables/paid.yaml which column tells when a row could be known: 'known_at: COLUMN'\n"
            "error: the model 'big_order' could read what was not known yet: 'visits' is made from the history in 'orders' "
            "(orders -> paid -> visits) "
            "and no table on the way declares known_at\n --> models/big_order.yaml:1:23\n"
            "1 | training_set: {spine: visits, label: big, timestamp: asked_at, label_known_at: told_at}\n  |                    "
            "   ^^^^^^\n"
            "hint: write in tables/visits.yaml which column tells when a row could be known: 'known_at: COLUMN'\n");
  // The known_at of a source says nothing about the columns of a row of history.
  EXPECT_NE(Errors("tables/visits.sql", "SELECT customer, created AS asked_at, amount > 1 AS big, created AS told_at FROM orders")
                .find("(orders -> visits)"),
            std::string::npos);
  Files files = ShopFiles();
  files["tables/visits.sql"] = "SELECT customer, created AS asked_at, amount > 1 AS big, created AS told_at FROM orders";
  files["tables/visits.yaml"] = "known_at: asked_at\n";
  EXPECT_TRUE(Load(files).ok());
  EXPECT_EQ(ErrorsAfter("sources/orders.yaml", "history: true\n", ""), "");
}

TEST_F(ProjectTest, InputsThatTellTheLabelAreRefused) {
  EXPECT_EQ(ErrorsAfter("models/big_order.yaml", "  - customer\n", "  - {big_one: big AND true}\n"),
            "error: the input 'big_one' reads 'big', which tells the label: it is not known when the prediction is made\n --> "
            "models/big_order.yaml:6:15\n"
            "6 |   - {big_one: big AND true}\n  |               ^^^^^^^^^^^^\n"
            "hint: leave it out; if it is known by 'asked_at', compute the label in the spine's SQL as a column of its own\n"
            "error: the model has no input 'customer'\n --> models/big_order.yaml:11:25\n11 |   - one_hot: {columns: [customer], "
            "other_below: 5}\n   |                         ^^^^^^^^\n"
            "hint: allowed: again__total_1d, big_one, day, hour_asked_at, spending__last_amount, spending__total_1d, "
            "spending__total_7d\n");
  EXPECT_NE(
      ErrorsAfter("models/big_order.yaml", "hour(asked_at)", "hour(told_at)").find("reads 'told_at', which tells the label"),
      std::string::npos);
}

TEST_F(ProjectTest, ValuesThatContradictEachOtherAreRefused) {
  struct Case {
    std::string file, from, to, error;
  };
  const Case kCases[] = {
      {"features/spending.yaml", "windows: [24h, 7d]", "windows: [24h, 1d]",
       "error: two columns of 'spending' are named 'total_1d'\n --> features/spending.yaml:5:3\n"
       "5 |   total: {value: sum(amount), windows: [24h, 1d], default: 0}\n  |   ^^^^^\nhint: rename the feature, or leave out "
       "one of two equal windows\n"},
      {"features/spending.yaml", "windows: [24h, 7d]", "windows: [1d, 7d, 40d]",
       "error: the window '40d' is longer than the view's ttl, 30d\n --> features/spending.yaml:5:49\n"
       "5 |   total: {value: sum(amount), windows: [1d, 7d, 40d], default: 0}\n  |                                               "
       "  ^^^\n"
       "hint: rows older than the ttl are never seen: make the ttl longer or the window shorter\n"},
      {"features/spending.yaml", "windows: [24h, 7d]", "windows: [24h, 7d], delay: 25d",
       "error: the window '7d' and the delay of 25d are longer than the view's ttl, 30d\n --> features/spending.yaml:5:46\n"
       "5 |   total: {value: sum(amount), windows: [24h, 7d], delay: 25d, default: 0}\n"
       "  |                                              ^^\n"
       "hint: rows older than the ttl are never seen: make the ttl longer or the window shorter\n"},
      {"features/spending.yaml", "last_amount: {value:", "last_amount: {hop: 1h, value:",
       "error: 'last_amount' has a hop and no window that begins with it\n --> features/spending.yaml:6:22\n"},
      {"features/spending.yaml", "windows: [24h, 7d]", "windows: [24h, 7d], session: 1h, hop: 1h",
       "error: 'total' has a hop and no window that begins with it\n --> features/spending.yaml:5:69\n"},
      {"features/spending.yaml", "ttl: 30d", "max_events: 0\nttl: 30d",
       "error: 'max_events' must be at least 1, not 0\n --> features/spending.yaml:3:13\n3 | max_events: 0\n  |             ^\n"},
      {"features/spending.yaml", "ttl: 30d", "ttl: 40000d",
       "error: '40000d' is not a duration\n --> features/spending.yaml:3:6\n3 | ttl: 40000d\n  |      ^^^^^^\nhint: the longest "
       "is 36500d\n"
       "error: the window '24h' is longer"},
      {"tables/paid.yaml", "timestamp: created\n", "",
       "error: the table 'paid' declares no timestamp, and the windows of a feature view need one\n --> "
       "features/spending.yaml:2:7\n2 | from: paid\n  |       ^^^^\n"
       "hint: write in tables/paid.yaml which column tells when a row happened: 'timestamp: COLUMN'\n"},
      {"models/big_order.yaml", "as: again, ", "",
       "error: two inputs are named 'spending__total_1d'\n --> models/big_order.yaml:4:12\n"
       "4 |   - {view: spending, feature: total_1d, join: {customer: customer}}\n  |            ^^^^^^^^\n"
       "hint: give the view another name here: {view: spending, as: NAME}\n"},
      {"models/big_order.yaml", "  - customer\n", "  - customer\n  - {customer: upper(customer)}\n",
       "error: two inputs are named 'customer'\n --> models/big_order.yaml:7:16\n7 |   - {customer: upper(customer)}\n  |        "
       "        ^^^^^^^^^^^^^^^\n"
       "hint: give it another name: {NAME: \"upper(customer)\"}\n"},
      {"models/big_order.yaml", "other_below: 5}\n", "other_below: 5}\n  - ordinal: {columns: [customer]}\n",
       "error: two steps prepare 'customer'\n --> models/big_order.yaml:12:25\n12 |   - ordinal: {columns: [customer]}\n   |     "
       "                    ^^^^^^^^\n"
       "hint: name an input in one step only; numeric and text mean the inputs that no step before has named\n"},
      {"sources/orders.yaml", "{type: text}", "{type: text, between: [1, 2]}",
       "error: 'between' is for numbers, and 'customer' is of type text\n --> sources/orders.yaml:7:28\n"
       "7 |     customer: {type: text, between: [1, 2]}\n  |                            ^^^^^^^\nhint: leave it out or change "
       "the type\n"},
      {"sources/orders.yaml", "{type: number}", "{type: number, between: [2, 1]}",
       "error: the first end of 'between' is above the second\n --> sources/orders.yaml:8:28\n"
       "8 |     amount: {type: number, between: [2, 1]}\n  |                            ^^^^^^^\nhint: write the smaller one "
       "first\n"},
      {"sources/orders.yaml", "{type: text}", "{type: text, pattern: '[A-'}", "error: not a regular expression: "},
      {"sources/orders.yaml", "    created:", "    ID: {type: text}\n    created:",
       "error: two columns are named 'ID'\n --> sources/orders.yaml:9:5\n9 |     ID: {type: text}\n  |     ^^\n"
       "hint: upper and lower case are the same in SQL: rename one in the file\n"},
      {"sources/orders.yaml", "    created:", "    _seq: {type: integer}\n    created:",
       "error: the name '_seq' is reserved\n --> sources/orders.yaml:9:5\n"},
      {"sources/orders.yaml", "history: true", "known_at: customer",
       "error: known_at must be a time, and 'customer' is of type text\n --> sources/orders.yaml:3:11\n3 | known_at: customer\n  "
       "|           ^^^^^^^^\n"
       "hint: choose a column of type timestamp or date; or leave it out here and declare known_at in a table, whose SQL can "
       "compute it\n"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.to);
    const std::string errors = ErrorsAfter(c.file, c.from, c.to);
    EXPECT_EQ(errors.substr(0, c.error.size()), c.error);
    if (c.error.ends_with("\n") && c.error.find("hint") != std::string::npos) {
      EXPECT_EQ(errors, c.error);
    }
  }
}

TEST_F(ProjectTest, FilesThatWouldBeOverlookedAreRefused) {
  struct Case {
    std::string file, error;
  };
  const Case kCases[] = {
      {"sources/extra.yml",
       "error: this file would be overlooked: definitions end in .yaml\n --> sources/extra.yml\nhint: rename it to extra.yaml\n"},
      {"features/extra.sql",
       "error: this file would be overlooked: SQL belongs in tables/\n --> features/extra.sql\nhint: move it to "
       "tables/extra.sql\n"},
      {"tables/old/extra.sql",
       "error: this file would be overlooked: definitions lie directly in tables/\n --> tables/old/extra.sql\nhint: move it to "
       "tables/extra.sql\n"},
      {"feature/extra.yaml", "error: the folder 'feature' would be overlooked\n --> feature\nhint: did you mean 'features'?\n"},
      {"tables/extra.yaml",
       "error: the table 'extra' has no SQL\n --> tables/extra.yaml\nhint: add tables/extra.sql with a SELECT, or tables/extra.py with a function\n"},
      {"tables/2nd.sql",
       "error: '2nd' can't be the name of a table\n --> tables/2nd.sql\nhint: the file's name is the asset's name: a letter, "
       "then letters, digits or underscores, at most 63\n"},
      {"models/b-c.yaml",
       "error: 'b-c' can't be the name of a model\n --> models/b-c.yaml\nhint: the file's name is the asset's name: a letter, "
       "then letters, digits or underscores, at most 63\n"},
  };
  for (const Case& c : kCases) EXPECT_EQ(Errors(c.file, "key: [id]\n"), c.error) << c.file;
  EXPECT_EQ(Errors("tables/README.md", "what these are"), "");
  EXPECT_EQ(Errors("tables/.paid.sql.swp", "x"), "");
}

TEST_F(ProjectTest, BrokenFilesAreReportedOnceAndWithTheirPlace) {
  // What refers to a broken file must not be called unknown.
  EXPECT_EQ(Errors("sources/orders.yaml", "form: {files: a.csv}\n"),
            "error: unknown key 'form' in a source\n --> sources/orders.yaml:1:1\n1 | form: {files: a.csv}\n  | ^^^^\n"
            "hint: did you mean 'from'? allowed: from, key, known_at, history, contract\n");
  EXPECT_EQ(Errors("features/spending.yaml", ""),
            "error: the file is empty\n --> features/spending.yaml\nhint: docs/formats.md shows what belongs in it\n");
  EXPECT_EQ(Errors("tables/paid.yaml", "timestmp: created\n"),
            "error: unknown key 'timestmp' in a table\n --> tables/paid.yaml:1:1\n1 | timestmp: created\n  | ^^^^^^^^\n"
            "hint: did you mean 'timestamp'? allowed: key, timestamp, known_at, update, columns, keeps_rows\n");
  EXPECT_EQ(Errors("tables/paid.sql", "SELECT '\xE9' AS a FROM orders"),
            "error: the file is not UTF-8 text\n --> tables/paid.sql:1:9\nhint: save it as UTF-8\n");
  const std::string sql = Errors("tables/paid.sql", "SELECT id\nFORM orders");
  EXPECT_NE(sql.find(" --> tables/paid.sql:2:"), std::string::npos) << sql;
  EXPECT_EQ(sql.find("unknown table"), std::string::npos) << sql;
  const std::string value = ErrorsAfter("features/spending.yaml", "sum(amount)", "sum(amount");
  EXPECT_NE(value.find(" --> features/spending.yaml:5:"), std::string::npos) << value;
}

TEST_F(ProjectTest, ReportsAllErrorsOfAPass) {
  Files files = ShopFiles();
  files["tidemill.yaml"] = "projekt: shop\n";
  files["sources/orders.yaml"] = "from: {fils: a.csv}\n";
  files["tables/paid.sql"] = "SELECT * FROM ordres";
  files["models/big_order.yaml"] += "deploy: {}\n";
  const auto project = Load(files);
  ASSERT_FALSE(project.ok());
  const Error& error = project.error();
  ASSERT_EQ(error.others.size(), 3U) << error.Format();
  EXPECT_EQ(error.place->file, "tidemill.yaml");
  EXPECT_EQ(error.others[0].place->file, "sources/orders.yaml");
  EXPECT_EQ(error.others[1].place->file, "models/big_order.yaml");
  EXPECT_EQ(error.others[2].place->file, "tables/paid.sql");
}

TEST_F(ProjectTest, TheNumberOfErrorsIsBounded) {
  Files files = {{"tidemill.yaml", "project: a\n"}};
  for (int i = 0; i < 150; ++i) files["sources/s" + std::to_string(i) + ".yaml"] = "nothing\n";
  const auto project = Load(files);
  ASSERT_FALSE(project.ok());
  EXPECT_EQ(project.error().others.size(), 99U);
}

TEST_F(ProjectTest, AnEmptyProjectSaysWhatToDo) {
  const auto project = Load({{"tidemill.yaml", "project: a\n"}});
  ASSERT_FALSE(project.ok());
  EXPECT_EQ(project.error().Format(),
            "error: the project has no assets\n --> tidemill.yaml\n"
            "hint: add sources/NAME.yaml, tables/NAME.sql, features/NAME.yaml and models/NAME.yaml; 'tidemill init' makes an "
            "example\n");
}

/// The shop with a table in Python in the place of `paid`.
Files PythonShopFiles() {
  Files files = ShopFiles();
  files.erase("tables/paid.sql");
  files["tables/paid.py"] = "import prices\n\n\ndef table(orders):\n    return prices.above(orders, 0)\n";
  files["prices.py"] = "def above(rows, price):\n    return rows\n";
  files["tables/paid.yaml"] =
      "key: [id]\ntimestamp: created\nknown_at: created\ncolumns: {id: integer, customer: text, amount: number, created: timestamp}\n";
  return files;
}

TEST_F(ProjectTest, TheOnlineStoreHasBounds) {
  Files files = ShopFiles();
  Write(files);
  const auto project = LoadProject(folder_.path());
  ASSERT_TRUE(project.ok()) << project.error().Format();
  EXPECT_EQ(project->online.cache_mb, 256);
  EXPECT_EQ(project->online.answers_age.micros, 30 * kMicrosPerDay);
  EXPECT_EQ(project->online.answers_rows, 100'000);
  const std::string text = files["tidemill.yaml"];
  files["tidemill.yaml"] = text + "online: {cache_limit: 2GB, answers_age: 7d, answers_rows: 500}\n";
  Write(files);
  const auto set = LoadProject(folder_.path());
  ASSERT_TRUE(set.ok()) << set.error().Format();
  EXPECT_EQ(set->online.cache_mb, 2048);
  EXPECT_EQ(set->online.answers_age.micros, 7 * kMicrosPerDay);
  EXPECT_EQ(set->online.answers_rows, 500);
  for (const char* wrong : {"cache_limit: 0MB", "cache_limit: 64", "answers_age: 0d", "answers_rows: 0", "cache: 1GB"}) {
    files["tidemill.yaml"] = text + "online: {" + wrong + "}\n";
    Write(files);
    EXPECT_FALSE(LoadProject(folder_.path()).ok()) << wrong;
  }
}

TEST_F(ProjectTest, ATableMayBeInPython) {
  Files files = PythonShopFiles();
  files["requirements.txt"] = "pyarrow\n";
  files["tidemill.yaml"] += "python: {interpreter: env, memory_limit: 3GB, time_limit: 5m}\n";
  Write(files);
  const auto project = LoadProject(folder_.path());
  ASSERT_TRUE(project.ok()) << project.error().Format();
  const TableAsset& paid = project->tables.at("paid");
  EXPECT_EQ(paid.inputs, std::vector<std::string>{"orders"});
  EXPECT_EQ(paid.python->parameters, paid.inputs);
  EXPECT_EQ(paid.python->columns.size(), 4U);
  EXPECT_EQ(paid.python->sources.size(), 2U);
  EXPECT_FALSE(paid.python->keeps_rows);
  EXPECT_EQ(project->python.interpreter, "env");
  EXPECT_EQ(project->python.memory_limit_mb, 3072);
  EXPECT_EQ(project->python.time_limit.micros, 300 * kMicrosPerSecond);
  for (const char* name : {"tables/paid.py", "prices.py", "requirements.txt"})
    EXPECT_TRUE(project->definitions.contains(name)) << name;
  const std::string definition = project->Find("paid")->definition;
  files["prices.py"] = "# cheap\ndef above(rows,  price):\n\n    return rows\n";
  Write(files);
  EXPECT_EQ(LoadProject(folder_.path())->Find("paid")->definition, definition);
  files["requirements.txt"] = "pyarrow==1\n";
  Write(files);
  EXPECT_NE(LoadProject(folder_.path())->Find("paid")->definition, definition);
}

TEST_F(ProjectTest, WhatIsWrongWithATableInPythonHasItsPlace) {
  const auto first = [&](const std::string& name, const std::string& text) {
    Files files = PythonShopFiles();
    files[name] = text;
    Write(files);
    const auto project = LoadProject(folder_.path());
    return project.ok()
               ? ""
               : project.error().code + " " + project.error().place->file + ":" + std::to_string(project.error().place->line);
  };
  EXPECT_EQ(first("prices.py", "# fine\n"), "");
  EXPECT_EQ(first("prices.py", "\xFF"), "not_utf8 prices.py:0");
  EXPECT_EQ(first("tables/paid.py", "\n\xFF"), "not_utf8 tables/paid.py:2");
  EXPECT_EQ(first("tables/paid.py", "\ndef table(order):\n  pass\n"), "unknown_table tables/paid.py:2");
  EXPECT_EQ(first("tables/paid.py", "def table(spending): pass\n"), "wrong_kind tables/paid.py:1");
  EXPECT_EQ(first("tables/paid.py", "def table(visits): pass\n"), "cycle tables/visits.sql:2");
  EXPECT_EQ(first("tables/paid.py", "def table(orders, ORDERS): pass\n"), "python_function tables/paid.py:1");
  EXPECT_EQ(first("tables/paid.sql", "SELECT 1 AS id"), "duplicate_name tables/paid.sql:0");
  EXPECT_EQ(first("tables/paid.yaml", "timestamp: created\nknown_at: created\n"), "missing_columns tables/paid.yaml:0");
  EXPECT_EQ(first("tables/paid.yaml", "columns: {id: integer, ID: text}\n"), "duplicate_column tables/paid.yaml:1");
  EXPECT_EQ(first("tables/paid.yaml", "columns: {_seq: integer}\n"), "reserved_name tables/paid.yaml:1");
  EXPECT_EQ(first("tables/visits.yaml", "keeps_rows: true\n"), "python_only tables/visits.yaml:1");
}

TEST_F(ProjectTest, RowsMadeInPythonNeedAKnownTime) {
  Files files = PythonShopFiles();
  files["sources/orders.yaml"] = "from: {files: data/orders.csv}\n";
  const std::string columns = "timestamp: created\ncolumns: {id: integer, customer: text, amount: number, created: timestamp}\n";
  const auto codes = [&](const std::string& yaml) {
    files["tables/paid.yaml"] = yaml;
    Write(files);
    const auto project = LoadProject(folder_.path());
    if (project.ok()) return std::string();
    std::string all = project.error().code + " " + project.error().place->file;
    for (const Error& other : project.error().others) all += " " + other.code + " " + other.place->file;
    return all;
  };
  EXPECT_EQ(codes(columns), "python_without_known_at features/spending.yaml python_without_known_at models/big_order.yaml");
  EXPECT_EQ(codes(columns + "known_at: created\n"), "");
  EXPECT_EQ(codes(columns + "keeps_rows: true\n"), "");
}

}  // namespace
}  // namespace tidemill
