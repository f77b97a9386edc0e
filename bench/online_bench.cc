// Runs the online store in process, for bench/_kernel_online.py and for profilers. The store is made in FOLDER, which must be empty.
//
//   online_bench push FOLDER EVENTS ENTITIES BATCH RUNS   events/s through four windows, each push on disk before the next
//   online_bench query FOLDER EVENTS QUERIES              50 features of 5 views of one entity: seconds of each query
//   online_bench hot FOLDER EVENTS CALLS                  queries and updates of one entity with EVENTS in its window
//   online_bench bytes FOLDER                             bytes of states by events a day and days of the window
//
// Prints one line of JSON.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>

#include "bench_program.h"
#include "feature/compile.h"
#include "feature/entity_key.h"
#include "feature/online/pushes.h"
#include "feature/program/compiled_program.h"
#include "sql/database.h"

namespace tidemill {
namespace {

constexpr int64_t kBegin = 1'700'000'000 * kMicrosPerSecond;

double Seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return SecondsSince(start);
}

/// Numbers that look arbitrary and are the same in each run.
uint64_t Scatter(uint64_t n) {
  n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9U;
  n = (n ^ n >> 27) * 0x94d049bb133111ebU;
  return n ^ n >> 31;
}

const std::vector<Field>& TapFields() {
  static const std::vector<Field> fields = {{"card", Type::kInt64}, {"at", Type::kTimestamp}, {"amount", Type::kDouble}};
  return fields;
}

Program Compile(Session& session, const std::string& name, std::vector<FeatureDefinition> features) {
  FeatureViewAsset view;
  view.name = name;
  view.entity = {"card"};
  view.from = "taps";
  view.features = std::move(features);
  view.lookback = Duration{0};
  TableAsset table;
  table.name = "taps";
  table.timestamp = "at";
  return Demand(CompileView(view, table, TapFields(), session));
}

struct Bench {
  explicit Bench(const std::string& folder)
      : database(Demand(Database::Open({}))), session(Demand(database->Connect())), store(Demand(OnlineStore::OpenEmbedded(folder))) {}

  std::unique_ptr<OnlinePushes> Pushes(const std::vector<Program>& programs) {
    OnlinePushes::Parts parts;
    parts.store = store.get();
    parts.reserve_sequence = [this](int64_t count) { return Result<int64_t>(std::exchange(next_sequence, next_sequence + count)); };
    parts.store_in_lake = [](const std::vector<PushedBatch>&) { return Ok(); };
    std::vector<PushedView> views;
    for (const Program& program : programs) {
      std::map<std::string, std::string> columns;
      for (const Field& field : TapFields()) columns[field.name] = field.name;
      views.push_back({program, "taps", "taps", "at", {TableOfColumns("taps", "taps", columns)}});
    }
    return Demand(OnlinePushes::Open(std::move(parts), views, PushOptions{}));
  }

  std::unique_ptr<Database> database;
  std::unique_ptr<Session> session;
  std::unique_ptr<OnlineStore> store;
  int64_t next_sequence = 1;
};

constexpr Duration kHour{3600 * kMicrosPerSecond};
constexpr Duration kDay{kMicrosPerDay};


/// `count` taps from number `begin` on, a millisecond apart.
PushedBatch Taps(uint64_t begin, uint64_t count, uint64_t entities) {
  PushedBatch batch;
  batch.source = "taps";
  for (const Field& field : TapFields()) batch.rows.columns.emplace_back(field.name, field.type);
  for (uint64_t i = begin; i < begin + count; ++i) {
    batch.rows.columns[0].AppendInt(static_cast<int64_t>(Scatter(i) % entities));
    batch.rows.columns[1].AppendInt(kBegin + static_cast<int64_t>(i) * 1000);
    batch.rows.columns[2].AppendDouble(static_cast<double>(Scatter(i + 77) % 100'000) / 100);
    batch.record_of_row.push_back(static_cast<int64_t>(i - begin) + 1);
    batch.known_at.push_back(batch.rows.columns[1].ints.back());
  }
  batch.records = static_cast<int64_t>(count);
  return batch;
}

void PushTaps(OnlinePushes& pushes, PushedBatch batch) {
  const Timestamp now{batch.known_at.back()};
  (void)Demand(pushes.Push(std::move(batch), [now] { return now; }));
}

/// Sums and counts over four windows, pushed, written back, in the lake's hands and out of the log at the end.
Json RunPush(const std::string& folder, uint64_t events, uint64_t entities, uint64_t batch_rows, int runs) {
  Json seconds = Json::array();
  for (int run = 0; run <= runs; ++run) {
    Bench bench(fmt::format("{}/{}", folder, run));
    const auto pushes = bench.Pushes({Compile(*bench.session, "spending",
                                              {Feature("total", "sum(amount)", {kHour, kDay, Days(7), Days(30)}),
                                               Feature("n", "count(*)", {kHour, kDay, Days(7), Days(30)})})});
    std::vector<PushedBatch> batches;
    for (uint64_t at = 0; at < events; at += batch_rows) batches.push_back(Taps(at, std::min(batch_rows, events - at), entities));
    const double taken = Seconds([&] {
      for (PushedBatch& batch : batches) PushTaps(*pushes, std::move(batch));
      Demand(pushes->Stop());
    });
    if (run > 0) seconds.push_back(taken);
  }
  return {{"seconds", seconds}, {"events", events}};
}

Json RunQuery(const std::string& folder, uint64_t events, int queries) {
  Bench bench(folder);
  std::vector<Program> programs;
  for (int view = 0; view < 5; ++view) {
    const std::vector<Duration> windows = {kHour, Days(view + 1)};
    programs.push_back(Compile(*bench.session, fmt::format("view{}", view),
                               {Feature("n", "count(*)", windows), Feature("total", "sum(amount)", windows),
                                Feature("mean", "avg(amount)", windows), Feature("least", "min(amount)", windows),
                                Feature("most", "max(amount)", windows)}));
  }
  const auto pushes = bench.Pushes(programs);
  for (uint64_t at = 0; at < events; at += 10'000) PushTaps(*pushes, Taps(at, std::min<uint64_t>(10'000, events - at), 1000));
  std::vector<OnlineView> views;
  for (const Program& program : programs) views.push_back(Demand(OnlineView::Make(program)));
  Json seconds = Json::array();
  int64_t now = kBegin + static_cast<int64_t>(events) * 1000;
  size_t features = 0;
  for (int query = 0; query < queries; ++query) {
    const std::vector<Value> key = {static_cast<int64_t>(Scatter(static_cast<uint64_t>(query)) % 1000)};
    now += 1000;
    seconds.push_back(Seconds([&] {
      features = 0;
      for (const OnlineView& view : views) features += Demand(view.LookUp(*bench.store, key, Timestamp{now})).values.size();
    }));
  }
  return {{"seconds", seconds}, {"features", features}};
}

/// An hour in steps of as many events as there are: all of them stay in the windows.
Json RunHot(const std::string& folder, uint64_t events, int calls) {
  Bench bench(folder);
  bench.store->states().SetCacheBytes(size_t{8} << 30);
  const Program program =
      Compile(*bench.session, "hot",
              {Feature("n", "count(*)", {kHour, Days(1), Days(7)}), Feature("total", "sum(amount)", {kHour, Days(1), Days(7)}),
               Feature("most", "max(amount)", {kHour, Days(1), Days(7)})});
  const OnlineView view = Demand(OnlineView::Make(program));
  const auto pushes = bench.Pushes({program});
  const auto space = Demand(bench.store->states().Live(program, ProgramFingerprint(program), Demand(CompiledProgram::Make(program))));
  std::string key;
  AppendKeyPart(Datum::Integer(7), Type::kInt64, key);
  uint64_t number = 0;
  // Events are spread over six days, in order but for one in sixteen that is a minute late.
  const int64_t step = 6 * kMicrosPerDay / static_cast<int64_t>(events);
  const auto event = [&] {
    const int64_t known = kBegin + static_cast<int64_t>(number) * step;
    const bool late = Scatter(number) % 16 == 0;
    FeatureEvent result{{known - (late ? 60 * kMicrosPerSecond : 0)}, {known}, static_cast<int64_t>(number), {}};
    result.values = {static_cast<double>(Scatter(number + 77) % 100'000) / 100};
    ++number;
    return result;
  };
  const auto update = [&](const FeatureEvent& one) {
    auto locked = Demand(bench.store->states().Open(space, key));
    locked.Change();
    Demand(locked.state().Update(one));
  };
  const double filled = Seconds([&] {
    while (number < events) update(event());
  });
  Json updates = Json::array();
  Json queries = Json::array();
  for (int call = 0; call < calls; ++call) {
    const FeatureEvent one = event();
    updates.push_back(Seconds([&] { update(one); }));
    // Now, and some time back within the last hours.
    const int64_t back = call % 2 == 0 ? 0 : static_cast<int64_t>(Scatter(number) % (3600 * 12)) * kMicrosPerSecond;
    queries.push_back(Seconds([&] { (void)Demand(view.LookUp(*bench.store, {int64_t{7}}, Timestamp{one.known_at.micros - back})); }));
  }
  return {{"filled", filled}, {"updates", updates}, {"queries", queries}, {"rows", events}};
}

/// The stored bytes of a state with everything in its window.
Json RunBytes(const std::string& folder) {
  Json list = Json::array();
  int number = 0;
  for (const int64_t a_day : {1, 10, 1000}) {
    for (const int64_t days : {7, 30}) {
      Bench bench(fmt::format("{}/{}", folder, number++));
      const Program program = Compile(*bench.session, "bytes", {Feature("total", "sum(amount)", {Days(days)}), Feature("n", "count(*)", {Days(days)})});
      const auto pushes = bench.Pushes({program});
      const int64_t events = a_day * days;
      PushedBatch batch = Taps(0, static_cast<uint64_t>(events), 1);
      for (int64_t i = 0; i < events; ++i) {
        // The seconds between two events vary as they do in life; amounts are cents.
        const auto at = static_cast<size_t>(i);
        const int64_t gap = 86'400 / a_day;
        batch.rows.columns[1].ints[at] = kBegin + (i * gap + static_cast<int64_t>(Scatter(at) % static_cast<uint64_t>(gap))) * kMicrosPerSecond;
        batch.known_at[at] = batch.rows.columns[1].ints[at];
      }
      PushTaps(*pushes, std::move(batch));
      Demand(pushes->Stop());
      int64_t bytes = 0;
      for (const char* space : {"states/bytes/a", "pieces/bytes/a"}) {
        Demand(bench.store->Scan(space, "", [&](std::string_view key, std::string_view value) -> Result<bool> {
          bytes += static_cast<int64_t>(key.size() + value.size());
          return true;
        }));
      }
      list.push_back({{"events_a_day", a_day}, {"days", days}, {"events", events}, {"bytes", bytes}});
    }
  }
  return list;
}

int RunOnline(const std::vector<std::string>& arguments) {
  const auto number = [&](size_t at) { return std::stoll(arguments[at]); };
  const std::string& folder = arguments[1];
  Json answer;
  if (arguments[0] == "push" && arguments.size() == 6) {
    answer = RunPush(folder, static_cast<uint64_t>(number(2)), static_cast<uint64_t>(number(3)), static_cast<uint64_t>(number(4)),
                     static_cast<int>(number(5)));
  } else if (arguments[0] == "query" && arguments.size() == 4) {
    answer = RunQuery(folder, static_cast<uint64_t>(number(2)), static_cast<int>(number(3)));
  } else if (arguments[0] == "hot" && arguments.size() == 4) {
    answer = RunHot(folder, static_cast<uint64_t>(number(2)), static_cast<int>(number(3)));
  } else if (arguments[0] == "bytes" && arguments.size() == 2) {
    answer = RunBytes(folder);
  } else {
    fmt::print(stderr, "usage: see the head of bench/online_bench.cc\n");
    return 2;
  }
  fmt::print("{}\n", answer.dump());
  return 0;
}

}  // namespace
}  // namespace tidemill

int main(int count, char** values) {
  const std::vector<std::string> arguments(values + 1, values + count);
  if (arguments.size() < 2) {
    fmt::print(stderr, "usage: see the head of bench/online_bench.cc\n");
    return 2;
  }
  return tidemill::RunOnline(arguments);
}
