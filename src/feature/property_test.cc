#include <gtest/gtest.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <map>
#include <random>

#include "feature/batch/column_features.h"
#include "feature/program/compiled_program.h"
#include "feature/program/entity_kernel.h"
#include "feature/program/partition_join.h"
#include "feature/random_case.h"

/// The promise of the kernel: answers are a function of the program and the set of rows, bit for bit. Each way to get at them
/// (docs/features.md) is tried on random cases and compared with what the definition says.
namespace tidemill {
namespace {

using testing::CaseMaker;
using testing::CaseQuery;
using testing::CaseRow;
using testing::RandomCase;
using testing::SameBits;

using Answer = std::vector<Value>;  ///< follows Program::outputs
using Events = std::vector<FeatureEvent>;

/// Keys that are the same entity have the same text, and only they.
std::string EntityOf(const std::vector<Value>& key) {
  std::string entity;
  for (const Value& value : key) {
    const double* number = std::get_if<double>(&value);
    const std::string text = SqlLiteral(number != nullptr && *number == 0 ? Value(0.0) : value);
    entity += std::to_string(text.size()) + ":" + text;
  }
  return entity;
}

bool IsComplete(const std::vector<Value>& key, const Value& time) {
  return !IsNull(time) && std::none_of(key.begin(), key.end(), [](const Value& part) { return IsNull(part); });
}

/// The rows of each entity; those without key or time are nobody's.
std::map<std::string, Events> EventsByEntity(const std::vector<CaseRow>& rows) {
  std::map<std::string, Events> events;
  for (const CaseRow& row : rows) {
    if (!IsComplete(row.key, row.event_time) || IsNull(row.known_at)) continue;
    events[EntityOf(row.key)].push_back(
        {std::get<Timestamp>(row.event_time), std::get<Timestamp>(row.known_at), row.seq, row.values});
  }
  return events;
}

Events EventsOf(const std::map<std::string, Events>& by_entity, const CaseQuery& query) {
  const auto found = IsComplete(query.key, query.time) ? by_entity.find(EntityOf(query.key)) : by_entity.end();
  return found == by_entity.end() ? Events() : found->second;
}

int64_t TimeOf(const CaseQuery& query) { return IsNull(query.time) ? kNoTime : std::get<Timestamp>(query.time).micros; }

/// The features at a time as docs/features.md defines them: each aggregate is given the rows that it sees, once, in order.
class Definition {
 public:
  Definition(const Program& program, std::shared_ptr<const CompiledProgram> compiled, const Events& events)
      : program_(program), compiled_(std::move(compiled)), rows_(compiled_->slot_types()) {
    std::vector<Datum> columns(program.columns.size());
    std::vector<Datum> slots(compiled_->slot_types().size());
    for (const FeatureEvent& event : events) {
      for (size_t i = 0; i < columns.size(); ++i) columns[i] = ToDatum(event.values[i], program.columns[i].type);
      TextPool texts;
      compiled_->FillSlots(columns, texts, slots);
      rows_.Append(event.event_time.micros, event.known_at.micros, event.seq, slots);
    }
    rows_.SortUnique();
  }

  Answer At(int64_t time) const {
    Answer aggregates;
    std::vector<Datum> results;
    for (size_t i = 0; i < program_.aggregates.size(); ++i) {
      const AggregatePlan& plan = compiled_->aggregates()[i];
      const auto aggregator = MakeAggregator(plan, rows_);
      for (const uint32_t row : RowsSeen(program_.aggregates[i], time)) {
        if (plan.Takes(rows_, row)) aggregator->Add(row);
      }
      aggregates.push_back(ToValue(aggregator->Result(), program_.aggregates[i].type));
    }
    for (size_t i = 0; i < aggregates.size(); ++i) results.push_back(ToDatum(aggregates[i], program_.aggregates[i].type));
    TextPool texts;
    std::vector<Datum> outputs(compiled_->outputs());
    compiled_->FillOutputs(results, time, texts, outputs);
    Answer answer;
    for (size_t i = 0; i < outputs.size(); ++i) answer.push_back(ToValue(outputs[i], compiled_->output_type(i)));
    return answer;
  }

 private:
  __extension__ typedef __int128 Time;  // nothing overflows

  std::vector<uint32_t> RowsSeen(const Aggregate& aggregate, int64_t time) const {
    const Time end = Time{time} - aggregate.delay.micros;
    std::vector<uint32_t> seen;
    for (uint32_t row = 0; row < rows_.size(); ++row) {
      const Time event = rows_.event(row);
      const Time known = rows_.known(row);
      const bool too_late = program_.lateness && known > event + program_.lateness->micros;
      const bool in_window = event <= end && (!aggregate.window || event > Start(aggregate, end));
      const bool alive = !program_.ttl || event >= Time{time} - program_.ttl->micros;
      if (known <= time && !too_late && in_window && alive) seen.push_back(row);
    }
    if (aggregate.session) KeepLastSession(aggregate.session->micros, end, seen);
    return seen;
  }

  static Time Start(const Aggregate& aggregate, Time end) {
    const Time start = end - aggregate.window->micros;
    if (!aggregate.hop) return start;
    const Time hop = aggregate.hop->micros;
    return start - ((start % hop) + hop) % hop;
  }

  void KeepLastSession(int64_t gap, Time end, std::vector<uint32_t>& seen) const {
    size_t first = seen.size();
    for (; first > 0 && end - rows_.event(seen[first - 1]) <= gap; --first) end = rows_.event(seen[first - 1]);
    seen.erase(seen.begin(), seen.begin() + static_cast<ptrdiff_t>(first));
  }

  const Program& program_;
  std::shared_ptr<const CompiledProgram> compiled_;
  RowStore rows_;
};

/// Where the records of a state lie, as an online store keeps them.
class Storage {
 public:
  void Write(StateChanges changes) {
    for (StateRecord& record : changes.written) records_[record.id] = std::move(record.bytes);
    for (const uint64_t id : changes.removed) records_.erase(id);
  }
  Status Open(EntityState& state) {
    return state.Open(records_[0], [this](uint64_t id) -> Result<std::string> {
      const auto record = records_.find(id);
      if (record == records_.end()) return InternalError("there is no such record");
      return record->second;
    });
  }

 private:
  std::map<uint64_t, std::string> records_;
};

/// Something that did not hold, in words; nullopt: all held.
using Failure = std::optional<std::string>;

Failure Compare(const Program& program, const Answer& actual, const Answer& expected, std::string_view what, int64_t time) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (i < actual.size() && SameBits(actual[i], expected[i])) continue;
    return fmt::format("{} at {}: {} is {} instead of {}\n  {}", what, time, program.outputs[i].name,
                       i < actual.size() ? SqlLiteral(actual[i]) : "nothing", SqlLiteral(expected[i]),
                       ExpressionToJson(program.outputs[i].expression).dump());
  }
  return {};
}

/// The ways to compute features, each compared with the definition.
class Trial {
 public:
  explicit Trial(const RandomCase& c) : case_(c), random_(c.seed ^ 0x7472'6961'6c00), by_entity_(EventsByEntity(c.rows)) {}

  Failure Run() {
    auto compiled = CompiledProgram::Make(case_.program);
    if (!compiled.ok()) return "the program is refused: " + compiled.error().Format();
    compiled_ = *compiled;
    const auto read_again = Program::FromJson(Json::parse(case_.program.ToJson().dump()));
    if (!read_again.ok()) return "the program's JSON is refused: " + read_again.error().Format();
    read_again_ = *read_again;
    for (const CaseQuery& query : case_.queries)
      expected_.push_back(Definition(case_.program, compiled_, EventsOf(by_entity_, query)).At(TimeOf(query)));

    if (Failure failure = InColumns(1)) return failure;
    if (Failure failure = InColumns(3)) return failure;
    if (Failure failure = InOwnRows()) return failure;
    if (Failure failure = InPartition()) return failure;
    for (const auto& [entity, events] : by_entity_) {
      if (Failure failure = InKernel(entity, events)) return failure;
      if (Failure failure = Online(entity, events)) return failure;
    }
    return {};
  }

 private:
  uint64_t Below(uint64_t bound) { return random_() % bound; }
  bool OneIn(uint64_t times) { return Below(times) == 0; }

  Failure Check(const Answer& actual, size_t query, std::string_view what) const {
    return Compare(case_.program, actual, expected_[query], what, TimeOf(case_.queries[query]));
  }

  Failure CheckColumns(const Result<Columns>& computed, std::string_view what) const {
    if (!computed.ok()) return fmt::format("{}: {}", what, computed.error().Format());
    for (size_t query = 0; query < case_.queries.size(); ++query) {
      Answer answer;
      for (const Column& column : computed->columns) answer.push_back(column.At(query));
      if (Failure failure = Check(answer, query, what)) return failure;
    }
    return {};
  }

  // ---- batch

  /// Rows as columns, in the order given: keys, event time, known time, sequence number, the program's columns.
  static Columns Table(const Program& program, const std::vector<const CaseRow*>& rows) {
    Columns table;
    for (const Field& key : program.keys) table.columns.emplace_back(key.name, key.type);
    for (const char* name : {"event", "known"}) table.columns.emplace_back(name, Type::kTimestamp);
    table.columns.emplace_back("seq", Type::kInt64);
    for (const Field& column : program.columns) table.columns.emplace_back(column.name, column.type);
    for (const CaseRow* row : rows) {
      std::vector<Value> values = row->key;
      values.insert(values.end(), {row->event_time, row->known_at, row->seq});
      values.insert(values.end(), row->values.begin(), row->values.end());
      for (size_t i = 0; i < values.size(); ++i) EXPECT_TRUE(table.columns[i].Append(values[i]).ok());
    }
    return table;
  }

  Columns Spine() const {
    Columns spine;
    for (const Field& key : case_.program.keys) spine.columns.emplace_back(key.name, key.type);
    spine.columns.emplace_back("time", Type::kTimestamp);
    for (const CaseQuery& query : case_.queries) {
      for (size_t i = 0; i < query.key.size(); ++i) EXPECT_TRUE(spine.columns[i].Append(query.key[i]).ok());
      EXPECT_TRUE(spine.columns.back().Append(query.time).ok());
    }
    return spine;
  }

  std::vector<const CaseRow*> ShuffledRows() {
    std::vector<const CaseRow*> rows;
    for (const CaseRow& row : case_.rows) rows.push_back(&row);
    std::shuffle(rows.begin(), rows.end(), random_);
    return rows;
  }

  /// Keys, event times and what the program reads of a table; known times and numbers where they are wanted.
  static ColumnRows RowsOf(const Columns& table, size_t keys, bool known_and_numbered) {
    ColumnRows rows{.event = &table.columns[keys]};
    if (known_and_numbered) {
      rows.known = &table.columns[keys + 1];
      rows.sequence = &table.columns[keys + 2];
    }
    for (size_t i = 0; i < keys; ++i) rows.keys.push_back(&table.columns[i]);
    for (size_t i = keys + 3; i < table.columns.size(); ++i) rows.columns.push_back(&table.columns[i]);
    return rows;
  }

  Failure InColumns(int threads) {
    const Columns table = Table(read_again_, ShuffledRows());
    const Columns spine = Spine();
    const size_t keys = case_.program.keys.size();
    ColumnQueries queries{.time = &spine.columns[keys]};
    for (size_t i = 0; i < keys; ++i) queries.keys.push_back(&spine.columns[i]);
    return CheckColumns(ComputeFeatures(read_again_, RowsOf(table, keys, true), queries, threads),
                        fmt::format("batch with {} threads", threads));
  }

  /// Rows ask for features at their own times; they are known when they happen, and numbered as they lie.
  Failure InOwnRows() {
    constexpr size_t kRowsMax = 100;  // each of them asks
    std::vector<CaseRow> own(case_.rows.begin(),
                             case_.rows.begin() + static_cast<ptrdiff_t>(std::min(case_.rows.size(), kRowsMax)));
    for (size_t row = 0; row < own.size(); ++row) {
      if (!IsNull(own[row].event_time))  // nothing is asked at infinity
        own[row].event_time = std::min(std::get<Timestamp>(own[row].event_time), Timestamp{INT64_MAX - 1});
      own[row].known_at = own[row].event_time;
      own[row].seq = static_cast<int64_t>(row);
    }
    std::vector<const CaseRow*> pointers;
    for (const CaseRow& row : own) pointers.push_back(&row);
    const Columns table = Table(case_.program, pointers);
    const ColumnRows rows = RowsOf(table, case_.program.keys.size(), false);
    const auto computed = ComputeFeatures(case_.program, rows, {.keys = rows.keys, .time = rows.event}, 2);
    if (!computed.ok()) return "rows as their own spine: " + computed.error().Format();
    const std::map<std::string, Events> by_entity = EventsByEntity(own);
    for (int tries = 0; tries < 3 && !own.empty(); ++tries) {
      const size_t at = Below(own.size());
      const CaseQuery query{own[at].key, own[at].event_time};
      Answer answer;
      for (const Column& column : computed->columns) answer.push_back(column.At(at));
      const Answer expected = Definition(case_.program, compiled_, EventsOf(by_entity, query)).At(TimeOf(query));
      if (Failure failure = Compare(case_.program, answer, expected, "a row of its own spine", TimeOf(query))) return failure;
    }
    return {};
  }

  /// What the kernel's library does: rows of an entity lie together.
  Failure InPartition() {
    std::vector<const CaseRow*> rows = ShuffledRows();
    std::erase_if(rows, [](const CaseRow* row) { return !IsComplete(row->key, row->event_time) || IsNull(row->known_at); });
    std::stable_sort(rows.begin(), rows.end(),
                     [](const CaseRow* a, const CaseRow* b) { return EntityOf(a->key) < EntityOf(b->key); });
    Columns table = Table(case_.program, rows);
    Columns spine = Spine();
    const auto take = [](Columns& from, size_t begin, size_t end) {
      return std::vector<Column>(std::make_move_iterator(from.columns.begin() + static_cast<ptrdiff_t>(begin)),
                                 std::make_move_iterator(from.columns.begin() + static_cast<ptrdiff_t>(end)));
    };
    const size_t keys = case_.program.keys.size();
    const PartitionRows partition{take(table, 0, keys), table.columns[keys], table.columns[keys + 1], table.columns[keys + 2],
                                  take(table, keys + 3, table.columns.size())};
    const PartitionSpine asked{take(spine, 0, keys), spine.columns[keys]};
    return CheckColumns(JoinPartition(case_.program, compiled_, partition, asked), "a partition");
  }

  /// Queries at times in any order, with rows that come in between; then all times at once.
  Failure InKernel(const std::string& entity, Events events) {
    EntityKernel kernel(compiled_);
    std::vector<Datum> columns(case_.program.columns.size());
    std::vector<Datum> slots(compiled_->slot_types().size());
    std::vector<Datum> outputs(compiled_->outputs());
    std::shuffle(events.begin(), events.end(), random_);
    for (const FeatureEvent& event : events) {
      for (size_t i = 0; i < columns.size(); ++i) columns[i] = ToDatum(event.values[i], case_.program.columns[i].type);
      TextPool texts;
      compiled_->FillSlots(columns, texts, slots);
      kernel.Add(event.event_time.micros, event.known_at.micros, event.seq, slots);
      if (OneIn(30)) kernel.Query(AnyTime(), outputs);
    }
    std::vector<size_t> asked = QueriesOf(entity);
    for (const size_t query : asked) {
      kernel.Query(TimeOf(case_.queries[query]), outputs);
      if (Failure failure = Check(Values(outputs), query, "the kernel")) return failure;
    }
    std::stable_sort(asked.begin(), asked.end(),
                     [&](size_t a, size_t b) { return TimeOf(case_.queries[a]) < TimeOf(case_.queries[b]); });
    std::vector<int64_t> times;
    for (const size_t query : asked) times.push_back(TimeOf(case_.queries[query]));
    ResultBuffer answers(compiled_->output_types());
    answers.Resize(times.size());
    kernel.QueryMany(times, answers.columns());
    for (size_t i = 0; i < asked.size(); ++i) {
      for (size_t o = 0; o < outputs.size(); ++o) outputs[o] = answers.columns()[o].Get(i, compiled_->output_type(o));
      if (Failure failure = Check(Values(outputs), asked[i], "the kernel at many times")) return failure;
    }
    return {};
  }

  // ---- online

  /// One entity: rows come in any order, some twice, in parts between which the state is stored and read again, merged, asked, or
  /// forgets what is out of reach.
  Failure Online(const std::string& entity, Events events) {
    Arrange(events);
    const std::vector<size_t> asked = QueriesOf(entity);
    auto state = EntityState::Make(case_.program, compiled_);
    Storage storage;
    std::optional<int64_t> expired;
    for (size_t at = 0; at < events.size(); ++at) {
      if (const Status updated = state->Update(events[at]); !updated.ok()) return updated.error().Format();
      const Events arrived(events.begin(), events.begin() + static_cast<ptrdiff_t>(OneIn(12) ? at + 1 : 0));
      if (arrived.empty()) continue;
      if (const Status updated = state->Update(arrived[Below(arrived.size())]); !updated.ok()) return updated.error().Format();
      if (Failure failure = Disturb(arrived, storage, state)) return failure;
      if (!expired && OneIn(6)) state->Expire({expired.emplace(AnyTime())});
      const int64_t time = AnyTime();
      if (expired && time < *expired) continue;
      const Answer now = Definition(case_.program, compiled_, arrived).At(time);
      if (Failure failure = Compare(case_.program, state->Query({time}), now, "online, in between", time)) return failure;
    }
    for (const size_t query : asked) {
      const int64_t time = TimeOf(case_.queries[query]);
      if (expired && time < *expired) continue;
      if (Failure failure = Check(state->Query({time}), query, "online")) return failure;
    }
    return {};
  }

  /// The orders in which rows arrive.
  void Arrange(Events& events) {
    std::shuffle(events.begin(), events.end(), random_);
    const auto by = [&](auto time_of) {
      std::stable_sort(events.begin(), events.end(),
                       [&](const FeatureEvent& a, const FeatureEvent& b) { return time_of(a) < time_of(b); });
    };
    switch (Below(4)) {
      case 0:
        return by([](const FeatureEvent& event) { return event.known_at; });
      case 1:
        return by([](const FeatureEvent& event) { return event.event_time; });
      case 2:
        by([](const FeatureEvent& event) { return event.event_time; });
        return std::reverse(events.begin(), events.end());
      default:
        return;
    }
  }

  /// What may happen to a state between two rows; it says the same afterwards.
  Failure Disturb(const Events& arrived, Storage& storage, std::unique_ptr<EntityState>& state) {
    auto other = EntityState::Make(read_again_);
    Status done = Ok();
    switch (Below(4)) {
      case 0:  // a restart with the state in one piece
        done = other->Load(state->Save());
        storage = {};
        std::swap(state, other);
        break;
      case 1:  // a restart with its records
        storage.Write(state->TakeChanges());
        done = storage.Open(*other);
        std::swap(state, other);
        if (OneIn(2)) state->Release();
        break;
      case 2:  // another one has some of the rows as well
        for (const FeatureEvent& event : arrived) {
          if (done.ok() && OneIn(2)) done = other->Update(event);
        }
        if (done.ok() && OneIn(2)) {
          done = state->Merge(*other);
        } else if (done.ok()) {
          done = other->Merge(*state);
          storage = {};
          std::swap(state, other);
        }
        break;
      default:  // nothing
        break;
    }
    if (!done.ok()) return "a restart or a merge: " + done.error().Format();
    return {};
  }

  // ---- times and answers

  int64_t AnyTime() {
    if (case_.queries.empty()) return 0;
    const int64_t time = TimeOf(case_.queries[Below(case_.queries.size())]);
    return time == kNoTime ? 0 : time;
  }

  std::vector<size_t> QueriesOf(const std::string& entity) const {
    std::vector<size_t> asked;
    for (size_t query = 0; query < case_.queries.size(); ++query) {
      const CaseQuery& asks = case_.queries[query];
      if (IsComplete(asks.key, asks.time) && EntityOf(asks.key) == entity) asked.push_back(query);
    }
    return asked;
  }

  Answer Values(const std::vector<Datum>& outputs) const {
    Answer answer;
    for (size_t i = 0; i < outputs.size(); ++i) answer.push_back(ToValue(outputs[i], compiled_->output_type(i)));
    return answer;
  }

  const RandomCase& case_;
  std::mt19937_64 random_;
  std::map<std::string, Events> by_entity_;
  std::shared_ptr<const CompiledProgram> compiled_;
  Program read_again_;  ///< from its JSON, as after a restart
  std::vector<Answer> expected_;
};

// ---- many cases

Failure Try(const RandomCase& c) { return Trial(c).Run(); }

/// Leaves out rows, queries and outputs as long as something does not hold: for whoever looks into it.
class Smaller {
 public:
  explicit Smaller(RandomCase c) : case_(std::move(c)) {}

  RandomCase Find() {
    for (bool shrank = true; shrank;) {
      shrank = Shrink([](RandomCase & c) -> auto& { return c.rows; });
      shrank = Shrink([](RandomCase & c) -> auto& { return c.queries; }) || shrank;
      shrank = Shrink([](RandomCase & c) -> auto& { return c.program.outputs; }) || shrank;
    }
    return case_;
  }

 private:
  template <typename ListOf>
  bool Shrink(ListOf list_of) {
    bool shrank = false;
    for (size_t part = std::max<size_t>(list_of(case_).size() / 2, 1); part > 0; part /= 2) {
      for (size_t at = 0; at + part <= list_of(case_).size() && left_ > 0;) {
        RandomCase smaller = case_;
        auto& list = list_of(smaller);
        list.erase(list.begin() + static_cast<ptrdiff_t>(at), list.begin() + static_cast<ptrdiff_t>(at + part));
        --left_;
        if (Try(smaller)) {
          case_ = std::move(smaller);
          shrank = true;
        } else {
          at += part;
        }
      }
    }
    return shrank;
  }

  RandomCase case_;
  int left_ = 3000;  ///< tries
};

std::string Describe(const RandomCase& c) {
  std::string text = fmt::format("program {}\n", c.program.ToJson().dump());
  const auto append = [&](const std::vector<Value>& values) {
    for (const Value& value : values) text += " " + SqlLiteral(value);
  };
  for (const CaseRow& row : c.rows) {
    text += "row";
    append(row.key);
    text += fmt::format(" seq {} event {} known {}:", row.seq, SqlLiteral(row.event_time), SqlLiteral(row.known_at));
    append(row.values);
    text += "\n";
  }
  for (const CaseQuery& query : c.queries) {
    text += "query";
    append(query.key);
    text += fmt::format(" at {}\n", SqlLiteral(query.time));
  }
  return text;
}

uint64_t Setting(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  if (text == nullptr) return otherwise;
  const std::string_view digits = text;
  std::from_chars(digits.data(), digits.data() + digits.size(), otherwise);
  return otherwise;
}

/// Case i has the seed of the first one and i, so that each can be repeated alone.
TEST(Property, AnswersDependOnNothingButTheSetOfRows) {
  const uint64_t seed = Setting("TIDEMILL_PROPERTY_SEED", std::random_device{}());
  const uint64_t cases = Setting("TIDEMILL_PROPERTY_CASES", 10'000);
  fmt::print("{} cases; TIDEMILL_PROPERTY_SEED={} to repeat\n", cases, seed);
  std::fflush(stdout);
  for (uint64_t i = 0; i < cases; ++i) {
    const RandomCase made = CaseMaker(seed + i).Make();
    if (!Try(made)) continue;
    const RandomCase small = Smaller(made).Find();
    FAIL() << "case " << i << ", alone: TIDEMILL_PROPERTY_SEED=" << seed + i << " TIDEMILL_PROPERTY_CASES=1\n"
           << Try(made).value_or("") << "\nwith as little as possible:\n"
           << Try(small).value_or("") << "\n"
           << Describe(small);
  }
}

}  // namespace
}  // namespace tidemill
