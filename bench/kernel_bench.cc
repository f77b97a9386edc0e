// Runs the feature kernel in process over columns in memory, for bench/kernel.py and for profilers.
//
//   kernel_bench fraud FILE.parquet RUNS [FOLDER]            the fraud simulator's 15 features
//   kernel_bench lake FILE.parquet RUNS FOLDER               the same from a table of a lake in FOLDER into another one of it;
//                                                            the result is copied to FOLDER/features.parquet
//   kernel_bench aggregate FILE.parquet RUNS VALUE [FOLDER]  one aggregate over 7 days by customer, VALUE in SQL
//
// FOLDER gets a file for each column: its values of 64 bits, zero for null. Prints {"seconds": [...], "rows": n, "type": "..."},
// the type of the first column. The first run, which warms memory, does not count.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>

#include "base/memory.h"
#include "bench_program.h"
#include "feature/batch/column_features.h"
#include "feature/batch/feature_join.h"
#include "feature/compile.h"
#include "lake/lake.h"
#include "sql/database.h"

namespace tidemill {
namespace {

constexpr int kThreads = 2;

Program Compile(Session& session, const std::string& key, std::vector<FeatureDefinition> features, const Columns& payments) {
  FeatureViewAsset view;
  view.name = key;
  view.entity = {key};
  view.from = "payments";
  view.features = std::move(features);
  TableAsset table;
  table.name = "payments";
  table.timestamp = "paid_at";
  std::vector<Field> fields;
  for (const Column& column : payments.columns) fields.push_back({column.name, column.type});
  return Demand(CompileView(view, table, fields, session));
}

Result<Columns> Compute(const Program& program, const Columns& payments) {
  ColumnRows rows{.keys = {payments.Find(program.keys.front().name)}, .event = payments.Find("paid_at")};
  for (const Field& field : program.columns) rows.columns.push_back(payments.Find(field.name));
  return ComputeFeatures(program, rows, {.keys = rows.keys, .time = rows.event}, kThreads);
}

std::vector<Program> FraudPrograms(Session& session, const Columns& payments) {
  std::vector<Program> programs;
  programs.push_back(Compile(
      session, "customer_id",
      {FeatureOverDays("customer_count", "count(*)", {1, 7, 30}), FeatureOverDays("customer_mean", "avg(amount)", {1, 7, 30})},
      payments));
  programs.push_back(Compile(
      session, "terminal_id",
      {FeatureOverDays("terminal_count", "count(*)", {1, 7, 30}), FeatureOverDays("terminal_risk", "avg(fraud)", {1, 7, 30})},
      payments));
  // A payment turns out to be a fraud a week later.
  for (Aggregate& aggregate : programs.back().aggregates) aggregate.delay = Duration{7 * kMicrosPerDay};
  for (Output& output : programs.back().outputs) {
    if (output.name.starts_with("terminal_risk")) output.default_value = 0.0;
  }
  return programs;
}

/// What is made of single rows.
RowProgram PaymentProgram(Session& session, const Columns& payments) {
  std::vector<Field> fields;
  for (const Column& column : payments.columns) fields.push_back({column.name, column.type});
  return Demand(CompileExpressions({{.name = "amount", .expression = "amount", .place = {}},
                                    {.name = "weekend", .expression = "isodow(paid_at) >= 6", .place = {}},
                                    {.name = "night", .expression = "hour(paid_at) <= 6", .place = {}}},
                                   fields, session));
}

void WriteRaw(const Column& column, const std::string& folder) {
  std::ofstream file(folder + "/" + column.name, std::ios::binary);
  const bool numbers = column.type == Type::kDouble;
  const char* data =
      numbers ? reinterpret_cast<const char*>(column.doubles.data()) : reinterpret_cast<const char*>(column.ints.data());
  if (column.type != Type::kText) file.write(data, static_cast<std::streamsize>(column.size() * sizeof(int64_t)));
}

/// What is measured: the columns that it made.
using Work = std::function<std::vector<Columns>()>;

Work FraudWork(Session& session, const Columns& payments) {
  return [&payments, programs = FraudPrograms(session, payments), single = PaymentProgram(session, payments)] {
    std::vector<Columns> results;
    for (const Program& program : programs) results.push_back(Demand(Compute(program, payments)));
    results.push_back(Demand(EvaluateRows(single, payments, kThreads)));
    return results;
  };
}

Work AggregateWork(Session& session, const Columns& payments, const std::string& value) {
  return [&payments, program = Compile(session, "customer_id", {FeatureOverDays("value", value, {7})}, payments)] {
    return std::vector{Demand(Compute(program, payments))};
  };
}

FeatureJoinRequest LakeRequest(const std::vector<Program>& programs) {
  FeatureJoinRequest request{
      .spine_sql =
          "SELECT transaction_id, customer_id, terminal_id, paid_at, amount, isodow(paid_at) >= 6 AS weekend, "
          "hour(paid_at) <= 6 AS night FROM lake.main.payments",
      .time_column = "paid_at",
      .views = {},
      .now = Timestamp{std::numeric_limits<int64_t>::max() / 2}};
  request.resources = {kThreads, 2048, {}};
  for (const Program& program : programs) {
    const std::string& key = program.keys.front().name;
    request.views.push_back({&program, "lake.main.payments", "paid_at", {key}, key == "customer_id" ? "c" : "t", {}});
  }
  return request;
}

/// The columns that the peer's table has: all but the entities and the time.
template <class Row>
std::vector<Row> Stored(std::vector<Row> columns) {
  std::erase_if(columns, [](const Row& column) {
    return column.name == "customer_id" || column.name == "terminal_id" || column.name == "paid_at";
  });
  return columns;
}

/// Joins and commits a table of the lake; the rows are stored as they are made.
void JoinInLake(Lake& lake, const FeatureJoinRequest& request) {
  const auto reading = Demand(lake.Connect());
  Demand(lake.Commit("features", Json::object(), [&](Session& writing) -> Status {
    TIDEMILL_ASSIGN_OR_RETURN(const auto join, FeatureJoin::Start(*reading, request));
    RowStream rows;
    rows.fields = Stored(join->fields());
    rows.next = [&join]() -> Result<std::optional<Columns>> {
      TIDEMILL_ASSIGN_OR_RETURN(auto batch, join->Next());
      if (batch) batch->columns = Stored(std::move(batch->columns));
      return batch;
    };
    return writing.ExecuteOver("joined", std::move(rows), "CREATE OR REPLACE TABLE lake.main.features AS SELECT * FROM joined");
  }));
}

int RunLake(const std::vector<std::string>& arguments) {
  const std::string& folder = arguments[3];
  const auto database =
      Demand(Database::Open({.memory_limit_mb = 2048, .threads = kThreads, .temporary_folder = folder + "/spill"}));
  const auto lake = Demand(Lake::Open(*database, {.folder = folder + "/lake"}));
  Demand(lake->Commit("payments", Json::object(), [&](Session& session) {
    return session.Execute(
        fmt::format("CREATE TABLE lake.main.payments AS SELECT *, transaction_id AS _seq, paid_at AS _known_at "
                    "FROM {} ORDER BY transaction_id",
                    QuoteText(arguments[1])));
  }));
  const auto session = Demand(lake->Connect());
  const Columns some = Demand(session->Query("SELECT * EXCLUDE (_seq, _known_at) FROM lake.main.payments LIMIT 0"));
  const std::vector<Program> programs = FraudPrograms(*session, some);
  const FeatureJoinRequest request = LakeRequest(programs);
  Json seconds = Json::array();
  for (int run = 0; run <= std::stoi(arguments[2]); ++run) {
    const auto start = std::chrono::steady_clock::now();
    JoinInLake(*lake, request);
    if (run > 0) seconds.push_back(SecondsSince(start));
  }
  Demand(
      session->Execute(fmt::format("COPY lake.main.features TO {} (FORMAT parquet)", QuoteText(folder + "/features.parquet"))));
  fmt::print("{}\n", Json{{"seconds", seconds}}.dump());
  return 0;
}

int Run(const std::vector<std::string>& arguments) {
  const auto database = Demand(Database::Open({.memory_limit_mb = 4096, .threads = kThreads}));
  const auto session = Demand(database->Connect());
  const Columns payments =
      Demand(session->Query(fmt::format("SELECT * FROM {} ORDER BY transaction_id", QuoteText(arguments[1]))));
  const bool fraud = arguments[0] == "fraud";
  const Work work = fraud ? FraudWork(*session, payments) : AggregateWork(*session, payments, arguments[3]);
  const int runs = std::stoi(arguments[2]);
  Json seconds = Json::array();
  std::vector<Columns> results;
  for (int run = 0; run <= runs; ++run) {
    results.clear();
    const auto start = std::chrono::steady_clock::now();
    results = work();
    if (run > 0) seconds.push_back(SecondsSince(start));
  }
  if (const size_t folder = fraud ? 3 : 4; arguments.size() > folder) {
    for (const Columns& result : results) {
      for (Column column : result.columns) {
        if (!fraud) column.name = "value";
        WriteRaw(column, arguments[folder]);
      }
    }
  }
  fmt::print(
      "{}\n",
      Json{{"seconds", seconds}, {"rows", payments.rows()}, {"type", TypeName(results.front().columns.front().type)}}.dump());
  return 0;
}

}  // namespace
}  // namespace tidemill

int main(int count, char** values) {
  tidemill::KeepFreedMemory();
  const std::vector<std::string> arguments(values + 1, values + count);
  const size_t given = arguments.size();
  const std::string kind = given >= 3 ? arguments[0] : "";
  if (kind == "lake" && given == 4) return tidemill::RunLake(arguments);
  if (kind != "fraud" && (kind != "aggregate" || given < 4)) {
    fmt::print(stderr,
               "usage: kernel_bench fraud FILE.parquet RUNS [FOLDER] | lake FILE.parquet RUNS FOLDER | "
               "aggregate FILE.parquet RUNS VALUE [FOLDER]\n");
    return 2;
  }
  return tidemill::Run(arguments);
}
