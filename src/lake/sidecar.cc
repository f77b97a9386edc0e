#include "lake/sidecar.h"

#include <utility>

namespace tidemill {
namespace {

constexpr const char* kReservationsTable =
    "CREATE TABLE reservations(purpose TEXT PRIMARY KEY, first_seq INTEGER NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID";

/// What is new in the second layout; a lake of the first one is marked, so that its tables are brought up as well.
constexpr const char* kUpgrade = "ALTER TABLE state ADD COLUMN tables_layout INTEGER NOT NULL DEFAULT 1;";

const SqliteSchema kLakeSchema{.version = 2,
                               .create = std::string(R"sql(
CREATE TABLE state(one INTEGER PRIMARY KEY CHECK (one = 1), ready INTEGER NOT NULL, next_seq INTEGER NOT NULL,
  tables_layout INTEGER NOT NULL);
INSERT INTO state VALUES (1, 0, 1, 2);
CREATE TABLE pins(snapshot INTEGER NOT NULL, owner TEXT NOT NULL, PRIMARY KEY (snapshot, owner)) WITHOUT ROWID;
CREATE TABLE digests(path TEXT PRIMARY KEY, sha256 TEXT NOT NULL) WITHOUT ROWID;
)sql") + kReservationsTable,
                               .upgrades = {std::string(kUpgrade) + kReservationsTable}};

constexpr int64_t kTablesLayout = 2;

Status Done(Result<std::vector<SqliteRow>> result) {
  if (!result.ok()) return std::move(result).error();
  return Ok();
}

}  // namespace

Result<std::unique_ptr<LakeSidecar>> LakeSidecar::Open(const std::filesystem::path& folder) {
  TIDEMILL_ASSIGN_OR_RETURN(auto file, SqliteFile::Open(FileIn(folder), kLakeSchema, "lake_newer"));
  return std::unique_ptr<LakeSidecar>(new LakeSidecar(std::move(file)));
}

Result<bool> LakeSidecar::Ready() {
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows, file_->Run("SELECT ready FROM state"));
  return !rows.empty() && IntegerOf(rows[0][0]) != 0;
}

Status LakeSidecar::SetReady() { return Done(file_->Run("UPDATE state SET ready = 1")); }

Result<bool> LakeSidecar::TablesAreOld() {
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows, file_->Run("SELECT tables_layout FROM state"));
  return !rows.empty() && IntegerOf(rows[0][0]) < kTablesLayout;
}

Status LakeSidecar::SetTablesNew() { return Done(file_->Run("UPDATE state SET tables_layout = ?", {kTablesLayout})); }

Result<int64_t> LakeSidecar::ReserveSequence(int64_t count, std::string_view purpose) {
  if (count < 0) return InternalError("a negative number of rows");
  const std::string name(purpose);
  int64_t first = 0;
  TIDEMILL_RETURN_IF_ERROR(file_->Transact([&]() -> Status {
    TIDEMILL_ASSIGN_OR_RETURN(const auto before,
                              file_->Run("SELECT first_seq FROM reservations WHERE purpose = ? AND count = ?", {name, count}));
    if (!before.empty()) {
      first = IntegerOf(before[0][0]);
      return Ok();
    }
    TIDEMILL_ASSIGN_OR_RETURN(const auto rows,
                              file_->Run("UPDATE state SET next_seq = next_seq + ?1 RETURNING next_seq - ?1", {count}));
    first = IntegerOf(rows.at(0).at(0));
    if (purpose.empty()) return Ok();
    return Done(file_->Run("INSERT OR REPLACE INTO reservations VALUES (?, ?, ?)", {name, first, count}));
  }));
  return first;
}

Status LakeSidecar::SettleSequences(const std::vector<std::string>& purposes) {
  if (purposes.empty()) return Ok();
  return file_->Transact([&]() -> Status {
    for (const std::string& purpose : purposes) {
      TIDEMILL_RETURN_IF_ERROR(Done(file_->Run("DELETE FROM reservations WHERE purpose = ?", {purpose})));
    }
    return Ok();
  });
}

Status LakeSidecar::Pin(int64_t snapshot, std::string_view owner) {
  return Done(file_->Run("INSERT OR IGNORE INTO pins VALUES (?, ?)", {snapshot, std::string(owner)}));
}

Result<std::set<int64_t>> LakeSidecar::Pinned() {
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows, file_->Run("SELECT DISTINCT snapshot FROM pins"));
  std::set<int64_t> pinned;
  for (const SqliteRow& row : rows) pinned.insert(IntegerOf(row[0]));
  return pinned;
}

Result<std::map<std::string, std::string>> LakeSidecar::Digests() {
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows, file_->Run("SELECT path, sha256 FROM digests"));
  std::map<std::string, std::string> digests;
  for (const SqliteRow& row : rows) digests[TextOf(row[0])] = TextOf(row[1]);
  return digests;
}

Status LakeSidecar::AddDigests(const std::map<std::string, std::string>& digests) {
  if (digests.empty()) return Ok();
  return file_->Transact([&]() -> Status {
    for (const auto& [path, sha256] : digests) {
      TIDEMILL_RETURN_IF_ERROR(Done(file_->Run("INSERT OR IGNORE INTO digests VALUES (?, ?)", {path, sha256})));
    }
    return Ok();
  });
}

Status LakeSidecar::RemoveDigests(const std::set<std::string>& paths) {
  if (paths.empty()) return Ok();
  return file_->Transact([&]() -> Status {
    for (const std::string& path : paths) {
      TIDEMILL_RETURN_IF_ERROR(Done(file_->Run("DELETE FROM digests WHERE path = ?", {path})));
    }
    return Ok();
  });
}

Status LakeSidecar::CopyTo(const std::filesystem::path& file) { return Done(file_->Run("VACUUM INTO ?", {file.string()})); }

}  // namespace tidemill
