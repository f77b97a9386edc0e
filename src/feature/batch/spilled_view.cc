#include "feature/batch/spilled_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>

#include "base/files.h"
#include "feature/view_rows.h"

namespace tidemill {
namespace {

constexpr int kParts = 256;
constexpr std::string_view kPart = "tidemill part";
constexpr std::string_view kPosition = "tidemill position";
constexpr std::string_view kRowsTable = "temp.main.tidemill_view_rows";
constexpr std::string_view kAsksTable = "temp.main.tidemill_asks";
constexpr size_t kFileBufferBytes = 256 * 1024;

Error FileError(const std::filesystem::path& path, int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return Unavailable(full ? "disk_full" : "io_error", fmt::format("'{}': {}", path.string(), std::strerror(code)),
                     full ? "free some space and run the same command again: nothing committed is damaged" : "");
}

struct CloseFile {
  void operator()(FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<FILE, CloseFile>;

/// Writes records of features behind the positions of their spine rows.
class PartWriter {
 public:
  static Result<PartWriter> Open(std::filesystem::path path) {
    PartWriter writer;
    writer.file_ = File(std::fopen(path.c_str(), "wb"));
    if (writer.file_ == nullptr) return FileError(path, errno);
    writer.path_ = std::move(path);
    return writer;
  }

  Status Append(int64_t position, const FeatureRecords& records, size_t row) {
    buffer_.append(reinterpret_cast<const char*>(&position), sizeof(position));
    records.Write(row, buffer_);
    return buffer_.size() < kFileBufferBytes ? Ok() : Flush();
  }

  Status Finish() {
    TIDEMILL_RETURN_IF_ERROR(Flush());
    return std::fclose(file_.release()) == 0 ? Ok() : Status(FileError(path_, errno));
  }

 private:
  Status Flush() {
    const size_t written = std::fwrite(buffer_.data(), 1, buffer_.size(), file_.get());
    if (written != buffer_.size()) return FileError(path_, errno);
    buffer_.clear();
    return Ok();
  }

  std::filesystem::path path_;
  File file_;
  std::string buffer_;
};

class PartReader {
 public:
  explicit PartReader(const std::filesystem::path& path) : path_(path) {}

  /// Fills the records of the spine rows before `end`; the record of a row has the row's position in the block.
  Status Fill(int64_t first, int64_t end, FeatureRecords& records, TextArena& texts, std::vector<uint32_t>& positions) {
    if (file_ == nullptr && !finished_) {
      file_ = File(std::fopen(path_.c_str(), "rb"));
      if (file_ == nullptr) return FileError(path_, errno);
    }
    while (true) {
      int64_t position = 0;
      if (left_.size() < sizeof(position)) {
        TIDEMILL_RETURN_IF_ERROR(More());
        if (left_.empty()) return Ok();
      }
      if (left_.size() < sizeof(position)) return CutOff();
      std::memcpy(&position, left_.data(), sizeof(position));
      if (position >= end) return Ok();
      std::string_view bytes = left_.substr(sizeof(position));
      const auto row = static_cast<size_t>(position - first);
      if (!records.Read(row, bytes, texts)) {
        const size_t had = left_.size();
        TIDEMILL_RETURN_IF_ERROR(More());
        if (left_.size() == had) return CutOff();
        continue;
      }
      positions[row] = static_cast<uint32_t>(row);
      left_ = bytes;
    }
  }

 private:
  Error CutOff() const { return InternalError(fmt::format("'{}' ends in the middle of a row", path_.string())); }

  Status More() {
    if (finished_) return Ok();
    std::string bytes(left_);
    const size_t had = bytes.size();
    bytes.resize(had + kFileBufferBytes);
    const size_t read = std::fread(bytes.data() + had, 1, kFileBufferBytes, file_.get());
    if (read < kFileBufferBytes) {
      if (std::ferror(file_.get()) != 0) return FileError(path_, errno);
      finished_ = true;
      file_.reset();
    }
    bytes.resize(had + read);
    buffer_ = std::move(bytes);
    left_ = buffer_;
    return Ok();
  }

  std::filesystem::path path_;
  File file_;
  std::string buffer_;
  std::string_view left_;
  bool finished_ = false;
};

class SpilledJoiner : public ViewJoiner {
 public:
  SpilledJoiner(TemporaryFolder folder, std::vector<Type> types, std::vector<std::unique_ptr<PartReader>> parts,
                std::unique_ptr<ViewJoiner> defaults, bool uses_time)
      : folder_(std::move(folder)),
        types_(std::move(types)),
        parts_(std::move(parts)),
        defaults_(std::move(defaults)),
        uses_time_(uses_time) {}

  Status Join(const SpineBlock& block, const BlockOrder&, int, BlockFeatures& features) override {
    features.own_records = FeatureRecords(types_);
    features.own_records.Resize(block.rows());
    features.own_positions.assign(block.rows(), BlockFeatures::kDefault);
    features.texts.resize(1);
    const auto end = block.first_row + static_cast<int64_t>(block.rows());
    for (const auto& part : parts_) {
      TIDEMILL_RETURN_IF_ERROR(part->Fill(block.first_row, end, features.own_records, features.texts[0], features.own_positions));
    }
    features.records = &features.own_records;
    features.record_of_row = features.own_positions.data();
    features.defaults = defaults_->defaults();
    return uses_time_ ? AnswerRowsWithoutEntity(block, features) : Ok();
  }

  const FeatureRecords* defaults() const override { return defaults_->defaults(); }

 private:
  Status AnswerRowsWithoutEntity(const SpineBlock& block, BlockFeatures& features) {
    BlockOrder nobody;
    nobody.slot_of_row.assign(block.rows(), BlockOrder::kNoSlot);
    BlockFeatures answers;
    TIDEMILL_RETURN_IF_ERROR(defaults_->Join(block, nobody, 1, answers));
    std::string bytes;
    for (size_t row = 0; row < block.rows(); ++row) {
      if (features.own_positions[row] != BlockFeatures::kDefault || answers.record_of_row[row] == BlockFeatures::kDefault)
        continue;
      bytes.clear();
      answers.records->Write(answers.record_of_row[row], bytes);
      std::string_view left = bytes;
      features.own_records.Read(row, left, features.texts[0]);
      features.own_positions[row] = static_cast<uint32_t>(row);
    }
    return Ok();
  }

  TemporaryFolder folder_;
  std::vector<Type> types_;
  std::vector<std::unique_ptr<PartReader>> parts_;
  std::unique_ptr<ViewJoiner> defaults_;  ///< without rows
  bool uses_time_ = false;
};

/// Some parts of the entities, and of time where a part is too large.
struct Pass {
  int first_part = 0;
  int last_part = 0;
  int64_t after = INT64_MIN;  ///< spine rows after this time
  int64_t until = INT64_MAX;
};

class Spiller {
 public:
  Spiller(Session& session, const SpillRequest& request) : session_(session), request_(request), view_(*request.view) {}
  ~Spiller() {
    for (const std::string_view table : {kRowsTable, kAsksTable}) {
      [[maybe_unused]] const Status dropped = session_.Execute(fmt::format("DROP TABLE IF EXISTS {}", table));
    }
  }
  Spiller(const Spiller&) = delete;
  Spiller& operator=(const Spiller&) = delete;

  Result<std::unique_ptr<ViewJoiner>> Run() {
    TIDEMILL_RETURN_IF_ERROR(MakeFolders(request_.folder));
    TIDEMILL_ASSIGN_OR_RETURN(TemporaryFolder folder, TemporaryFolder::Make(request_.folder, "join"));
    TIDEMILL_RETURN_IF_ERROR(SortByPart());
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Pass> passes, PlanPasses());
    std::vector<std::unique_ptr<PartReader>> parts;
    for (const Pass& pass : passes) {
      const std::filesystem::path path = folder.path() / fmt::format("{}.part", parts.size());
      TIDEMILL_RETURN_IF_ERROR(Answer(pass, path));
      parts.push_back(std::make_unique<PartReader>(path));
    }
    std::vector<Type> types;
    for (const size_t output : view_.outputs) types.push_back(view_.compiled->output_type(output));
    auto defaults = MakeViewJoiner(view_.compiled, view_.outputs, EntityRows{RowStore(view_.compiled->slot_types())});
    return std::unique_ptr<ViewJoiner>(std::make_unique<SpilledJoiner>(std::move(folder), std::move(types), std::move(parts),
                                                                       std::move(defaults), view_.compiled->uses_time()));
  }

 private:
  /// The part of an entity: a hash of its key, whose columns are brought to the same types on both sides.
  std::string PartOf(const std::vector<std::string>& keys) const {
    std::string list;
    for (size_t i = 0; i < keys.size(); ++i) {
      list +=
          fmt::format("{}CAST({} AS {})", i > 0 ? ", " : "", QuoteIdentifier(keys[i]), SqlTypeName(view_.program.keys[i].type));
    }
    return fmt::format("CAST(hash({}) % {} AS USMALLINT) AS {}", list, kParts, QuoteIdentifier(kPart));
  }

  Status SortByPart() {
    std::set<std::string> columns = {view_.event_time, "_known_at", "_seq"};
    std::vector<std::string> keys;
    for (const Field& key : view_.program.keys) keys.push_back(key.name);
    columns.insert(keys.begin(), keys.end());
    for (const Field& column : view_.program.columns) columns.insert(column.name);
    std::string list;
    for (const std::string& column : columns) list += QuoteIdentifier(column) + ", ";
    TIDEMILL_RETURN_IF_ERROR(session_.Execute(
        fmt::format("CREATE OR REPLACE TEMP TABLE tidemill_view_rows AS SELECT {}{} FROM {} WHERE {} ORDER BY {}", list,
                    PartOf(keys), request_.relation, request_.condition, QuoteIdentifier(kPart))));
    keys.clear();
    list.clear();
    std::string complete;
    for (const size_t column : request_.plan->keys[view_.keys]) {
      keys.push_back(request_.plan->spine[column].name);
      list += ", " + QuoteIdentifier(keys.back());
      complete += fmt::format(" AND {} IS NOT NULL", QuoteIdentifier(keys.back()));
    }
    return session_.Execute(fmt::format(
        "CREATE OR REPLACE TEMP TABLE tidemill_asks AS SELECT rowid AS {0}, {1}{2}, {3} FROM {4} WHERE {1} IS NOT NULL{5} ORDER BY {6}, {0}",
        QuoteIdentifier(kPosition), Time(), list, PartOf(keys), request_.spine_table, complete, QuoteIdentifier(kPart)));
  }

  std::string Time() const { return QuoteIdentifier(request_.plan->spine[request_.plan->time_column].name); }
  static std::string InParts(const Pass& pass) {
    return fmt::format("{} BETWEEN {} AND {}", QuoteIdentifier(kPart), pass.first_part, pass.last_part);
  }

  std::string RowsOf(const Pass& pass) const {
    std::string condition = InParts(pass);
    if (pass.until != INT64_MAX) {
      condition += " AND " + TimeCondition(QuoteIdentifier(view_.event_time), "<=", pass.until) + " AND " +
                   TimeCondition("_known_at", "<=", pass.until);
    }
    if (const auto reach = view_.program.Reach(); reach && pass.after != INT64_MIN)
      condition += " AND " + TimeCondition(QuoteIdentifier(view_.event_time), ">=", pass.after - reach->micros);
    return condition;
  }

  std::string AsksOf(const Pass& pass) const {
    std::string condition = InParts(pass);
    if (pass.after != INT64_MIN) condition += " AND " + TimeCondition(Time(), ">", pass.after);
    if (pass.until != INT64_MAX) condition += " AND " + TimeCondition(Time(), "<=", pass.until);
    return condition;
  }

  /// Parts one after the other, as many as fit at once.
  Result<std::vector<Pass>> PlanPasses() {
    TIDEMILL_ASSIGN_OR_RETURN(const Columns counts,
                              session_.Query(fmt::format("SELECT {0}, count(*) FROM {1} GROUP BY {0} ORDER BY {0}",
                                                         QuoteIdentifier(kPart), kRowsTable)));
    std::vector<Pass> passes;
    size_t rows = 0;
    bool may_grow = false;
    for (size_t i = 0; i < counts.rows(); ++i) {
      const auto part = static_cast<int>(counts.columns[0].ints[i]);
      const auto count = static_cast<size_t>(counts.columns[1].ints[i]);
      if (may_grow && rows + count <= request_.rows_at_once) {
        passes.back().last_part = part;
        rows += count;
        continue;
      }
      may_grow = count <= request_.rows_at_once;
      rows = count;
      if (may_grow) {
        passes.push_back({part, part});
      } else {
        TIDEMILL_RETURN_IF_ERROR(CutAlongTime({part, part}, count, passes));
      }
    }
    return passes;
  }

  Result<std::pair<int64_t, int64_t>> SpanOf(const Pass& pass) {
    TIDEMILL_ASSIGN_OR_RETURN(const Columns span, session_.Query(fmt::format("SELECT min({0}), max({0}) FROM {1} WHERE {2}",
                                                                             Time(), kAsksTable, AsksOf(pass))));
    if (span.columns[0].IsNull(0)) return std::pair<int64_t, int64_t>(0, -1);
    return std::pair(span.columns[0].ints[0], span.columns[1].ints[0]);
  }

  Status CutAlongTime(const Pass& pass, size_t rows, std::vector<Pass>& passes) {
    TIDEMILL_ASSIGN_OR_RETURN(const auto span, SpanOf(pass));
    if (span.first > span.second) return Ok();  // nobody asks
    const auto reach = view_.program.Reach();
    // Below a quarter of the reach both halves would hold nearly the same rows.
    const bool can_cut = reach && span.second - span.first > reach->micros / 4 && span.second > span.first;
    if (rows <= request_.rows_at_once || !can_cut) {
      if (rows > request_.rows_max) return TooLarge(rows, reach.has_value());
      passes.push_back(pass);
      return Ok();
    }
    const int64_t middle = span.first + (span.second - span.first) / 2;
    Pass early = pass;
    early.until = middle;
    Pass late = pass;
    late.after = middle;
    for (const Pass& half : {early, late}) {
      TIDEMILL_ASSIGN_OR_RETURN(const Columns count,
                                session_.Query(fmt::format("SELECT count(*) FROM {} WHERE {}", kRowsTable, RowsOf(half))));
      TIDEMILL_RETURN_IF_ERROR(CutAlongTime(half, static_cast<size_t>(count.columns[0].ints[0]), passes));
    }
    return Ok();
  }

  Error TooLarge(size_t rows, bool has_reach) const {
    return Unavailable(
        "out_of_memory",
        fmt::format("one entity of view '{}' has {} rows within its reach, more than fit into memory", view_.program.view, rows),
        has_reach ? "raise 'memory_limit' in tidemill.yaml"
                  : "raise 'memory_limit' in tidemill.yaml, or give the view's features windows or a ttl");
  }

  Status Answer(const Pass& pass, const std::filesystem::path& path) {
    TIDEMILL_ASSIGN_OR_RETURN(PartWriter writer, PartWriter::Open(path));
    std::vector<Type> key_types;
    for (const Field& key : view_.program.keys) key_types.push_back(key.type);
    EntityIndex index(std::move(key_types));
    TIDEMILL_ASSIGN_OR_RETURN(TableRows read, ReadTableRows(session_, view_.program, *view_.compiled, std::string(kRowsTable),
                                                            view_.event_time, RowsOf(pass), request_.rows_at_once, index));
    TIDEMILL_ASSIGN_OR_RETURN(const auto joiner,
                              MakeViewJoiner(view_.compiled, view_.outputs, std::move(read), view_.program.view, request_.threads));
    Columns asks;
    std::string list = QuoteIdentifier(kPosition) + ", " + Time();
    for (const size_t column : request_.plan->keys[view_.keys]) list += ", " + QuoteIdentifier(request_.plan->spine[column].name);
    TIDEMILL_RETURN_IF_ERROR(session_.Stream(
        fmt::format("SELECT {} FROM {} WHERE {} ORDER BY {}", list, kAsksTable, AsksOf(pass), QuoteIdentifier(kPosition)),
        [&](const Columns& batch) -> Status {
          if (request_.stopped()) return Unavailable("interrupted", "the join was stopped");
          if (asks.columns.empty()) {
            for (const Column& column : batch.columns) asks.columns.emplace_back(column.name, column.type);
          }
          for (size_t i = 0; i < batch.columns.size(); ++i) AppendRows(batch.columns[i], 0, batch.rows(), asks.columns[i]);
          return asks.rows() < request_.spine_rows_at_once ? Ok() : AnswerBlock(index, *joiner, asks, writer);
        }));
    TIDEMILL_RETURN_IF_ERROR(AnswerBlock(index, *joiner, asks, writer));
    return writer.Finish();
  }

  Status AnswerBlock(const EntityIndex& index, ViewJoiner& joiner, Columns& asks, PartWriter& writer) {
    if (asks.rows() == 0) return Ok();
    SpineBlock block{0, std::move(asks), 1};
    asks = {};
    std::vector<const Column*> keys;
    for (size_t i = 2; i < block.columns.columns.size(); ++i) keys.push_back(&block.columns.columns[i]);
    const BlockOrder order = OrderBlock(index, keys, block.times(), request_.threads);
    BlockFeatures features;
    TIDEMILL_RETURN_IF_ERROR(joiner.Join(block, order, request_.threads, features));
    const Column& positions = block.columns.columns[0];
    for (size_t row = 0; row < block.rows(); ++row) {
      if (features.record_of_row[row] == BlockFeatures::kDefault) continue;
      TIDEMILL_RETURN_IF_ERROR(writer.Append(positions.ints[row], *features.records, features.record_of_row[row]));
    }
    return Ok();
  }

  Session& session_;
  const SpillRequest& request_;
  const JoinPlan::View& view_;
};

}  // namespace

Result<std::unique_ptr<ViewJoiner>> SpillView(Session& session, const SpillRequest& request) {
  return Spiller(session, request).Run();
}

}  // namespace tidemill
