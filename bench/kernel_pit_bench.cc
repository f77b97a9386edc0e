// The point-in-time join into Parquet, for bench/kernel.py and for profilers.
//
//   kernel_pit_bench latest|windows FOLDER SPINE.parquet OUT.parquet MEMORY_MB RUNS
//
// FOLDER holds the views v1.parquet, v2.parquet and v3.parquet (id, entity, happened, a to e); the spine has id, entity,
// asked_at. Five features of each view: the latest values, or windows. Prints {"seconds": [...], "rows": n, "peak_mb": n};
// nothing is warmed.
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/memory.h"
#include "bench_program.h"
#include "feature/batch/join_output.h"
#include "feature/compile.h"
#include "sql/database.h"

namespace tidemill {
namespace {

constexpr int kThreads = 2;
constexpr int kViews = 3;

Program CompileNumber(Session& session, int number, bool latest) {
  FeatureViewAsset view;
  view.name = fmt::format("v{}", number);
  view.entity = {"entity"};
  view.from = view.name;
  if (latest) {
    for (const char* column : {"a", "b", "c", "d", "e"})
      view.features.push_back(FeatureOverDays(column, fmt::format("last({})", column), {}));
  } else {
    view.features = {FeatureOverDays("n", "count(*)", {7, 30}), FeatureOverDays("mean", "avg(a)", {7, 30}),
                     FeatureOverDays("high", "max(b)", {30})};
  }
  TableAsset table;
  table.name = view.name;
  table.timestamp = "happened";
  const std::vector<Field> fields = {{"entity", Type::kInt64}, {"happened", Type::kTimestamp}, {"a", Type::kDouble},
                                     {"b", Type::kDouble},     {"c", Type::kDouble},           {"d", Type::kInt64},
                                     {"e", Type::kInt64}};
  return Demand(CompileView(view, table, fields, session));
}

int Run(const std::string& mode, const std::string& folder, const std::string& spine, const std::string& out, int64_t memory_mb,
        int runs) {
  const auto database =
      Demand(Database::Open({.memory_limit_mb = memory_mb / 3, .threads = kThreads, .temporary_folder = folder + "/tmp"}));
  const auto reading = Demand(database->Connect());
  const auto writing = Demand(database->Connect());
  std::vector<Program> programs;
  for (int number = 1; number <= kViews; ++number) programs.push_back(CompileNumber(*reading, number, mode == "latest"));
  FeatureJoinRequest request;
  request.spine_sql = fmt::format("SELECT id, entity, asked_at FROM read_parquet({})", QuoteText(spine));
  request.time_column = "asked_at";
  request.now = Timestamp{INT64_MAX};
  request.resources = {kThreads, memory_mb - memory_mb / 3, folder + "/tmp"};
  for (int number = 1; number <= kViews; ++number) {
    const std::string name = fmt::format("v{}", number);
    const std::string rows = fmt::format("(SELECT *, happened AS _known_at, id AS _seq FROM read_parquet({}))",
                                         QuoteText(fmt::format("{}/{}.parquet", folder, name)));
    request.views.push_back({&programs[static_cast<size_t>(number) - 1], rows, "happened", {"entity"}, name, {}});
  }
  std::string seconds;
  int64_t rows = 0;
  for (int run = 0; run < runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    rows = Demand(WriteJoin(*reading, *writing, request, out, {})).rows;
    seconds += fmt::format("{}{}", run > 0 ? ", " : "", SecondsSince(start));
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("{{\"seconds\": [{}], \"rows\": {}, \"peak_mb\": {}}}\n", seconds, rows, usage.ru_maxrss / 1024);
  return 0;
}

}  // namespace
}  // namespace tidemill

int main(int count, char** arguments) {
  tidemill::KeepFreedMemory();
  if (count != 7) {
    fmt::print(stderr, "usage: kernel_pit_bench latest|windows FOLDER SPINE.parquet OUT.parquet MEMORY_MB RUNS\n");
    return 2;
  }
  return tidemill::Run(arguments[1], arguments[2], arguments[3], arguments[4], std::atoll(arguments[5]), std::atoi(arguments[6]));
}
