#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "feature/batch/join.h"
#include "feature/online/store.h"
#include "feature/program/program.h"
#include "feature/value_failures.h"
#include "lake/lake.h"
#include "project/project.h"

namespace tidemill {

/// A model's inputs, compiled against a project: everything that batch, online and training need to make its feature row.
struct FeaturePlan {
  struct View {
    Program program;
    std::string table;  ///< lake table that the view reads
    std::string event_time;
    std::vector<std::string> spine_keys;
    std::string prefix;
    std::vector<std::string> outputs;
    KeptOnlineView online;  ///< of the program
  };
  /// Features of a derived view, or expressions of the model over features of views.
  struct Derived {
    std::string view;    ///< "" : of the model itself
    std::string prefix;  ///< that the outputs' names begin with
    /// Over the spine's columns, the views' features as `prefix__feature`, and what was derived before.
    RowProgram program;
  };
  std::string model;
  std::string spine;                   ///< table
  std::string timestamp;               ///< prediction time column of the spine
  std::vector<std::string> spine_key;  ///< the spine table's key; may be empty
  std::vector<View> views;
  std::vector<Derived> derived;  ///< in an order in which those read come first
  RowProgram expressions;        ///< over the spine's columns
  RowProgram label;              ///< one output, "label"
  std::string label_known_at;
  std::vector<Field> inputs;          ///< the model's input columns, in order
  std::vector<Field> request_fields;  ///< spine columns that a request must bring

  Json ToJson() const;
  static Result<FeaturePlan> FromJson(const Json& json);
  /// What decides its rows: itself and the kernel's version.
  std::string Fingerprint() const;
};

Result<FeaturePlan> PlanFeatures(const Project& project, const ModelAsset& model,
                                 const std::map<std::string, std::vector<Field>>& table_fields, Session& session);

/// The plan of a derived view by itself: `request_fields` are the fields that it asks for, `inputs` its features as
/// `view__feature`. There is no spine and no label.
Result<FeaturePlan> PlanDerivedView(const Project& project, const std::string& view,
                                    const std::map<std::string, std::vector<Field>>& table_fields, Session& session);

/// The plan of views that are joined to any spine with these columns: `inputs` are all their features, as `view__feature`. There is no
/// label. Codes: those of PlanFeatures, and "duplicate_column" when a column is named like a derived feature.
Result<FeaturePlan> PlanJoin(const Project& project, const std::vector<std::string>& views, const std::vector<Field>& spine_fields,
                             const std::map<std::string, std::vector<Field>>& table_fields, Session& session);

/// How lake tables are named in a query: `lake.main.x`, or at a snapshot.
using TableSql = std::function<std::string(const std::string& table)>;

/// Rows for training or scoring: `_seq`, the spine's key columns, the prediction time, `label` and `label_known_at` (null unless
/// known by `now`), then FeaturePlan::inputs. Every name once: an input that is also a key column or the prediction time keeps
/// its earlier place, so find columns by name. Rows with prediction time in (from, until] and known by their own prediction time;
/// ordered by (time, _seq).
struct RowsWanted {
  std::optional<Timestamp> from;
  Timestamp until;
  bool labelled_only = false;
};
/// They come batch by batch, without being held.
class FeatureRows {
 public:
  /// `plan` must outlive it, and `session` must not be used by others until it goes away.
  static Result<std::unique_ptr<FeatureRows>> Start(const FeaturePlan& plan, Session& session, const TableSql& table_sql,
                                                    const RowsWanted& wanted, Timestamp now, const JoinResources& resources);
  virtual ~FeatureRows() = default;
  virtual const std::vector<Field>& fields() const = 0;
  virtual int64_t spine_rows() const = 0;  ///< of which some may turn out to have no label
  virtual Result<std::optional<Columns>> Next() = 0;
  /// Values that could not be computed so far, by view.
  virtual std::vector<ValueFailures> failures() const = 0;
};
/// All of them.
Result<Columns> BuildRows(const FeaturePlan& plan, Session& session, const TableSql& table_sql, const RowsWanted& wanted,
                          Timestamp now, int threads, std::vector<ValueFailures>* failures = nullptr);

/// The feature rows for requests (same columns as BuildRows has for inputs), from the online store at `time`. `requests` hold
/// FeaturePlan::request_fields. Equal bit for bit to BuildRows for the same row and time. `found`, where it is wanted: whether
/// the store knows every entity that a request looks up.
Result<Columns> BuildOnlineRows(const FeaturePlan& plan, OnlineStore& store, const Columns& requests,
                                const std::vector<Timestamp>& times, std::vector<bool>* found = nullptr);

}  // namespace tidemill
