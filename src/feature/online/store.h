#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/json.h"
#include "base/result.h"
#include "feature/entity_key.h"
#include "feature/program/program.h"
#include "feature/value_failures.h"
#include "sql/database.h"

namespace tidemill {

class CompiledProgram;
class EntityStates;
class OnlinePushes;

/// Where online state lives: bytes by (space, key), and above them the decoded states of entities. One process owns an embedded
/// store at a time: opening it elsewhere fails with code "store_owned". Thread-safe. Writes are atomic, and seen by later reads.
class OnlineStore {
 public:
  static Result<std::unique_ptr<OnlineStore>> OpenEmbedded(const std::filesystem::path& folder);  ///< RocksDB
  OnlineStore();
  virtual ~OnlineStore();
  OnlineStore(const OnlineStore&) = delete;
  OnlineStore& operator=(const OnlineStore&) = delete;

  virtual Result<std::optional<std::string>> Get(std::string_view space, std::string_view key) = 0;
  virtual Result<std::vector<std::optional<std::string>>> GetMany(std::string_view space,
                                                                  const std::vector<std::string>& keys) = 0;
  struct Write {
    std::string space;
    std::string key;
    std::optional<std::string> bytes;  ///< nullopt: takes the key away
  };
  /// What kill -9 and power loss leave of a write. Writes are lost from the newest on: when one survives, all before it do.
  enum class Durability {
    kAcknowledged,  ///< on disk when the call returns
    kLater,         ///< at the latest with the next acknowledged one
  };
  virtual Status Put(const std::vector<Write>& writes, Durability durability = Durability::kAcknowledged) = 0;
  virtual Status Clear(std::string_view space) = 0;
  /// Takes away the keys of a space below `end`.
  virtual Status ClearBelow(std::string_view space, std::string_view end) = 0;
  /// Hands over keys and bytes of a space from `begin` on, in the order of keys, until `take` returns false.
  virtual Status Scan(std::string_view space, std::string_view begin,
                      const std::function<Result<bool>(std::string_view key, std::string_view bytes)>& take) = 0;

  /// The decoded states of entities over these bytes.
  EntityStates& states() { return *states_; }

 private:
  std::unique_ptr<EntityStates> states_;
};

struct MaterializeReport {
  int64_t rows = 0;
  int64_t entities = 0;
  bool rebuilt = false;  ///< everything was read, not only what is new
  ValueFailures failures{};  ///< among the rows read
};

/// Brings a view's states in the store up to `now` from its table: only rows that became known since the last time, or that were
/// added late (by `_seq`). Everything is read anew when the program has changed, when rows that were read before have
/// changed or gone, and when `now` went back; readers see the old states until the new ones are complete. Killed at any point,
/// the next call finishes the work. Rows older than what a query within the look-back can see are left out. `pushes`: those that the
/// store takes, when it does; the table of a view that follows them has to show at once what they brought into the lake. Code
/// "values_failed" when the view fails on errors, before anything is changed.
Result<MaterializeReport> MaterializeView(OnlineStore& store, const Program& program, const std::string& table_sql,
                                          const std::string& event_time, Session& session, Timestamp now,
                                          OnlinePushes* pushes = nullptr);

/// Online feature values of one entity at `time`, following Program::outputs; `found` tells whether the entity has any state.
struct OnlineFeatures {
  std::vector<Value> values;
  bool found = false;
};

/// A view made ready for look-ups: the program is compiled once. Thread-safe.
class OnlineView {
 public:
  static Result<OnlineView> Make(const Program& program);
  /// Code "key_type" when the key does not fit Program::keys. Entities that are not known get the values of no rows.
  Result<OnlineFeatures> LookUp(OnlineStore& store, const std::vector<Value>& key, Timestamp time) const;
  const Program& program() const { return program_; }

 private:
  class Desks;
  Result<bool> EncodeKey(const std::vector<Value>& key, std::string& encoded) const;

  Program program_;
  std::string fingerprint_;
  std::shared_ptr<const CompiledProgram> compiled_;
  std::shared_ptr<Desks> desks_;
};

/// The OnlineView of a program that does not change: made at the first look-up, kept for all later ones, shared by copies.
/// Thread-safe.
class KeptOnlineView {
 public:
  KeptOnlineView();
  /// Always with the same program. The errors of OnlineView::Make.
  Result<std::shared_ptr<const OnlineView>> For(const Program& program) const;

 private:
  struct Kept;
  std::shared_ptr<Kept> kept_;
};

/// One look-up; for many make an OnlineView.
Result<OnlineFeatures> LookUp(OnlineStore& store, const Program& program, const std::vector<Value>& key, Timestamp time);

}  // namespace tidemill
