#include "cli/init_sample.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidemill {
namespace {

constexpr std::string_view kProject = R"(project: shop
)";

constexpr std::string_view kOrders =
    R"(# Every order, one line each. What became of it (returned, decided_at) stands beside it, so the file holds more than
# was known at any one time: history. Tables that read it tell by known_at when a row could be known.
from: {files: data/orders.csv}
key: [order_id]
history: true
contract:
  columns:
    order_id:    {type: integer, required: true}
    customer_id: {type: integer, required: true}
    ordered_at:  {type: timestamp, required: true}
    category:    {type: text, required: true}
    channel:     {type: text, one_of: [app, web]}
    amount:      {type: number, between: [0, 10000]}
    returned:    {type: boolean}
    decided_at:  {type: timestamp}
)";

constexpr std::string_view kCustomers = R"(from: {files: data/customers.csv}
key: [customer_id]
known_at: joined_at
contract:
  columns:
    customer_id: {type: integer, required: true}
    country:     {type: text, length: [2, 2]}
    joined_at:   {type: timestamp, required: true}
)";

constexpr std::string_view kPlacedSql = R"(-- What is known when an order is placed.
SELECT order_id, customer_id, category, channel, amount, ordered_at
FROM orders
)";

constexpr std::string_view kPlacedYaml = R"(key: [order_id]
timestamp: ordered_at
known_at: ordered_at
update: append
)";

constexpr std::string_view kDecidedSql = R"(-- What is known once an order was sent back, or can be no more.
SELECT order_id, customer_id, category, amount, returned, decided_at
FROM orders
WHERE decided_at IS NOT NULL
)";

constexpr std::string_view kDecidedYaml = R"(key: [order_id]
timestamp: decided_at
known_at: decided_at
update: append
)";

constexpr std::string_view kPredictionsSql =
    R"(-- One row for each prediction: an order when it is placed. What became of it (returned, decided_at) is for the label only.
SELECT o.order_id, o.customer_id, o.category, o.channel, o.amount, c.country, o.ordered_at, o.returned, o.decided_at
FROM orders AS o
JOIN customers AS c ON c.customer_id = o.customer_id
)";

constexpr std::string_view kPredictionsYaml = R"(key: [order_id]
timestamp: ordered_at
known_at: ordered_at
)";

constexpr std::string_view kCustomerOrders = R"(# What customers ordered lately.
entity: [customer_id]
from: placed
features:
  orders: {value: count(*), windows: [7d, 30d], default: 0}
  spent:  {value: sum(amount), windows: [30d], default: 0}
)";

constexpr std::string_view kCustomerReturns = R"(# How much customers sent back.
entity: [customer_id]
from: decided
features:
  decided:       {value: count(*), windows: [90d], default: 0}
  returned:      {value: count(*) FILTER (WHERE returned), windows: [90d], default: 0}
  return_share:  {value: count(*) FILTER (WHERE returned) / count(*), windows: [30d, 90d]}
  last_returned: {value: last(returned)}
)";

constexpr std::string_view kCategoryReturns = R"(# How much of a category is sent back.
entity: [category]
from: decided
features:
  return_share: {value: count(*) FILTER (WHERE returned) / count(*), windows: [30d]}
)";

constexpr std::string_view kModel = R"(# Will this order be sent back? Asked when it is placed.
training_set: {spine: new_orders, label: returned, timestamp: ordered_at, label_known_at: decided_at}
features:
  - customer_orders.*
  - customer_returns.*
  - category_returns.*
  - amount
  - category
  - channel
  - country
  - {hour_of_day: hour(ordered_at)}
split: {train: 100d, validate: 25d, test: 35d, refit: all}
prepare:
  - one_hot: {columns: [category, channel, country], other_below: 20}
algorithm: {lightgbm: {objective: binary, learning_rate: 0.05, num_leaves: 15, rounds: 300, early_stopping: 20}}
gates:
  - auc: {min: 0.6, max_drop_from_champion: 0.02}
monitor:
  interval: 1d
  drift: {method: jensen_shannon, threshold: auto}
  performance: {metric: auc, window: 28d, alert_drop: 0.05}
retrain: {when: "performance.alert or drift.share > 0.3", at_most_every: 7d}
)";

constexpr std::string_view kIgnore = R"(.tidemill/
)";

constexpr int64_t kMinute = 60 * kMicrosPerSecond;
constexpr int kCustomerCount = 300;
constexpr int kOrderCount = 5000;
constexpr int kDays = 180;

/// SplitMix64: small, and the same everywhere (the standard's distributions are not).
class Dice {
 public:
  /// 0 .. sides - 1.
  int64_t Roll(int64_t sides) {
    state_ += 0x9E3779B97F4A7C15ULL;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return static_cast<int64_t>((z ^ (z >> 31)) % static_cast<uint64_t>(sides));
  }

 private:
  uint64_t state_ = 42;
};

struct Category {
  std::string_view name;
  int64_t cents_min;
  int64_t cents_span;
  int64_t return_permille;
};
constexpr std::array<Category, 5> kCategories = {{{"books", 500, 3000, 30},
                                                  {"dresses", 2500, 9000, 420},
                                                  {"phones", 9000, 60000, 120},
                                                  {"shoes", 3000, 12000, 330},
                                                  {"toys", 800, 5000, 80}}};
constexpr std::array<std::string_view, 4> kCountries = {"DE", "FR", "IT", "PL"};

struct Shop {
  std::string customers = "customer_id,country,joined_at\n";
  std::string orders = "order_id,customer_id,ordered_at,category,channel,amount,returned,decided_at\n";
};

Shop MakeShop(Timestamp end) {
  Dice dice;
  Shop shop;
  const Timestamp start = end - Duration{kDays * kMicrosPerDay};
  std::vector<int64_t> habits;  // permille of what a customer sends back
  for (int id = 1; id <= kCustomerCount; ++id) {
    const bool often = dice.Roll(4) == 0;
    habits.push_back(often ? 400 + dice.Roll(400) : dice.Roll(150));
    const Timestamp joined = start - Duration{dice.Roll(700 * 1440) * kMinute};
    shop.customers += fmt::format("{},{},{}\n", id, kCountries[dice.Roll(kCountries.size())], FormatSqlTimestamp(joined));
  }
  Timestamp at = start;
  for (int id = 1; id <= kOrderCount; ++id) {
    // On average the orders fill the time; the last ones stay a little before its end.
    at = at + Duration{dice.Roll(2 * kDays * 1440 / kOrderCount) * kMinute};
    const auto customer = dice.Roll(kCustomerCount);
    const Category& category = kCategories[dice.Roll(kCategories.size())];
    const int64_t cents = category.cents_min + dice.Roll(category.cents_span);
    const int64_t permille = (category.return_permille + 2 * habits[customer]) / 3 + (cents > 20000 ? 60 : 0);
    const bool returned = dice.Roll(1000) < permille;
    const Timestamp decided = at + Duration{(returned ? 1440 + dice.Roll(10 * 1440) : 14 * 1440) * kMinute};
    const bool known = decided <= end;
    shop.orders += fmt::format("{},{},{},{},{},{}.{:02},{},{}\n", id, customer + 1, FormatSqlTimestamp(at), category.name,
                               dice.Roll(3) == 0 ? "web" : "app", cents / 100, cents % 100,
                               !known     ? ""
                               : returned ? "true"
                                          : "false",
                               known ? FormatSqlTimestamp(decided) : "");
    if (at + Duration{kMicrosPerDay / 4} > end) break;
  }
  return shop;
}

}  // namespace

NewProject MakeSampleProject(Timestamp now) {
  const int64_t days = now.micros / kMicrosPerDay;
  Shop shop = MakeShop(Timestamp{days * kMicrosPerDay});
  NewProject project;
  project.model = "return_risk";
  project.files = {{"tidemill.yaml", std::string(kProject)},
                   {".gitignore", std::string(kIgnore)},
                   {"data/orders.csv", std::move(shop.orders)},
                   {"data/customers.csv", std::move(shop.customers)},
                   {"sources/orders.yaml", std::string(kOrders)},
                   {"sources/customers.yaml", std::string(kCustomers)},
                   {"tables/placed.sql", std::string(kPlacedSql)},
                   {"tables/placed.yaml", std::string(kPlacedYaml)},
                   {"tables/decided.sql", std::string(kDecidedSql)},
                   {"tables/decided.yaml", std::string(kDecidedYaml)},
                   {"tables/new_orders.sql", std::string(kPredictionsSql)},
                   {"tables/new_orders.yaml", std::string(kPredictionsYaml)},
                   {"features/customer_orders.yaml", std::string(kCustomerOrders)},
                   {"features/customer_returns.yaml", std::string(kCustomerReturns)},
                   {"features/category_returns.yaml", std::string(kCategoryReturns)},
                   {"models/return_risk.yaml", std::string(kModel)}};
  return project;
}

}  // namespace tidemill
