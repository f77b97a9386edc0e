#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/json.h"
#include "base/result.h"

/// The project folder as typed values: what the user asked for, nothing of what happened.
namespace tidemill {

/// What a column at the door must look like.
struct ContractColumn {
  std::string name;
  Type type = Type::kText;
  bool required = false;                          ///< null is a violation
  std::optional<double> min, max;                 ///< `between: [min, max]`, both ends inclusive; numbers only
  std::optional<int64_t> length_min, length_max;  ///< characters; text only
  std::vector<std::string> allowed;               ///< `one_of`, compared as text
  std::string pattern;                            ///< RE2, whole match; text only; "" : none
  Place place;
};

enum class OnViolation { kQuarantine, kFail, kWarn };
enum class ExtraColumns { kRefuse, kIgnore };

struct Contract {
  std::vector<ContractColumn> columns;  ///< empty: columns and types are inferred at the first ingestion, then fixed
  OnViolation on_violation = OnViolation::kQuarantine;
  ExtraColumns extra_columns = ExtraColumns::kRefuse;
};

struct SourceAsset {
  std::string name;
  std::vector<std::string> files;       ///< globs relative to the project; CSV, .csv.gz, .zip of CSV, Parquet
  bool pushed = false;                  ///< `from: push`: rows come by pushes, not from files
  std::vector<std::string> null_texts;  ///< texts that mean null; default: ""
  std::string delimiter = ",";
  std::vector<std::string> key;  ///< documentation and duplicates report; may be empty
  std::string known_at;          ///< a column; "" : rows are known when ingested
  bool history = false;          ///< an export of history: holds more than was known at any one time
  Contract contract;
  Place place;
};

enum class TableUpdate {
  kReplace,  ///< computed anew whenever something it reads has changed
  kAppend,   ///< at each run the rows that became known since the last one are added
};

/// The function of a table that is written in Python.
inline constexpr std::string_view kPythonFunction = "table";

struct PythonTable {
  std::vector<std::string> parameters;          ///< as the function names them; TableAsset::inputs in the same order
  std::map<std::string, std::string> sources;   ///< its file and those of the project that it imports: path -> text
  std::map<std::string, std::string> packages;  ///< files at the root that pin installed packages: path -> text
  std::vector<Field> columns;                   ///< declared
  bool keeps_rows = false;                      ///< it gets `_seq` and `_known_at` and gives them back
};

struct TableAsset {
  std::string name;
  std::string sql;                  ///< "" : in Python
  std::string file;                 ///< of the SQL or Python, relative to the project
  std::vector<std::string> inputs;  ///< sources and tables that it reads
  Json tree;                        ///< DuckDB's parse tree of the statement
  std::string canonical;            ///< CanonicalText of it; of a Python table its files without comments and layout, as JSON
  std::optional<PythonTable> python;
  std::vector<std::string> key;
  std::string timestamp;  ///< event time column; "" : none
  std::string known_at;   ///< column; "" : as soon as the rows it was made from
  TableUpdate update = TableUpdate::kReplace;
  Place place;
};

struct FeatureDefinition {
  std::string name;
  std::string value;                  ///< aggregate expression in DuckDB's dialect, or one over other features
  std::vector<Duration> windows;      ///< empty: whole history within the ttl
  Duration delay{0};                  ///< windows end this long before the time asked; that of the view unless it has its own
  std::optional<Duration> hop;        ///< windows begin at multiples of it
  std::optional<Duration> session;    ///< rows back to the first gap longer than this
  std::optional<int64_t> max_events;  ///< up to how many quantiles and the like are exact; nullopt: the kernel's default
  Value default_value;
  Place place;  ///< of the value
};

/// The columns that a feature gives: its name, or its name with each window ("dep_delay_mean_2h").
std::vector<std::string> FeatureColumns(const FeatureDefinition& feature);

/// A feature view: aggregates of one table's rows by entity. Columns are named `feature` or `feature_2h`.
struct FeatureViewAsset {
  std::string name;
  std::vector<std::string> entity;  ///< key columns of the table
  std::string from;
  std::optional<Duration> ttl;       ///< rows older than this at the time asked are not seen
  Duration lookback{kMicrosPerDay};  ///< how far back an online query may ask
  std::optional<Duration> lateness;  ///< rows that became known later than this after their event time are never seen
  bool fails_on_error = false;       ///< a value that can't be computed stops what brings or joins rows, instead of being null
  std::vector<FeatureDefinition> features;
  Place place;
};

/// A view that a derived view reads, at the same time.
struct ViewUse {
  std::string view;
  std::string as;                           ///< its name in the expressions; the view's own where the file gives none
  std::map<std::string, std::string> join;  ///< name of a field here -> field of the view, where the names differ
  Place place;
};

/// A derived view: expressions over what a request brings and over features of other views, derived ones too, at the same time.
/// The fields that it has to be given are those of `request` and, under their names here, the keys and fields of the used views.
struct DerivedViewAsset {
  std::string name;
  std::vector<Field> request;
  std::vector<ViewUse> uses;
  std::vector<FeatureDefinition> features;  ///< without windows
  Place place;
};

/// An input of a model: a view's features, or an expression over the spine's columns and features of views.
struct ModelFeature {
  std::string view;                         ///< "" : an expression
  std::string feature;                      ///< column of the view, or "*"
  std::string as;                           ///< prefix in place of the view's name
  std::map<std::string, std::string> join;  ///< spine column -> entity column, where the names differ
  std::string expression;                   ///< over the spine's columns and views' features, as `view.feature`
  std::vector<std::string> named_views;     ///< of an expression: what it names before a dot, spine aside
  std::string name;                         ///< of an expression's column; for a bare column its name
  Place place;
};

/// The name by which a model's expressions name the features of an item.
inline const std::string& NameInModel(const ModelFeature& feature) { return feature.as.empty() ? feature.view : feature.as; }

struct PrepareStep {
  std::string kind;                  ///< "impute", "standardize", "one_hot", "ordinal"
  std::vector<std::string> columns;  ///< names, or "numeric" / "text" for all of that kind
  std::string with;                  ///< impute: median, mean, zero
  int64_t other_below = 0;           ///< one_hot, ordinal: values rarer than this become "other"
  Place place;
};

struct Gate {
  std::string metric;               ///< auc, average_precision, precision_at_k, log_loss, brier, latency_p99_ms
  int64_t k = 0;                    ///< precision_at_k: of how many entities
  std::vector<std::string> entity;  ///< precision_at_k: columns of the spine's key
  Duration per{0};                  ///< precision_at_k: the period
  std::optional<double> min, max, max_drop_from_champion;
  Place place;
};

struct MonitorSettings {
  Duration interval{kMicrosPerDay};
  Duration window{28 * kMicrosPerDay};
  std::string drift_method = "jensen_shannon";
  std::optional<double> drift_threshold;  ///< nullopt: auto (mean + 3 std over the reference's chunks)
  std::string performance_metric;         ///< "" : none
  std::optional<double> alert_below;      ///< alert when the metric is below
  std::optional<double> alert_drop;       ///< alert when it is this much below that at the gates
};

/// `split.train: all`: longer than any history.
inline constexpr Duration kAllHistory{36'500 * kMicrosPerDay};

struct ModelAsset {
  std::string name;
  std::string spine;           ///< table
  std::string label;           ///< expression over the spine's columns
  std::string timestamp;       ///< prediction time column
  std::string label_known_at;  ///< column: when the label became known
  std::vector<ModelFeature> features;
  Duration train, validate, test;  ///< train: kAllHistory for `all`
  bool refit_all = false;
  std::vector<PrepareStep> prepare;
  std::string algorithm;  ///< "lightgbm", "decision_tree", "random_forest", "logistic_regression"
  std::map<std::string, Value> parameters;
  std::vector<Gate> gates;
  std::optional<MonitorSettings> monitor;
  std::string retrain_when;  ///< condition; "" : only when stale
  Place retrain_place;
  Duration retrain_at_most_every{0};
  Place place;
};

/// The view that an expression of a model means by a name before a dot: that of the first item so named, else the view itself.
std::string ViewNamed(const ModelAsset& model, const std::string& name);

enum class AssetKind { kSource, kTable, kFeatureView, kDerivedView, kModel };
std::string_view AssetKindName(AssetKind kind);

/// An asset in the graph: every name is unique in a project.
struct AssetNode {
  std::string name;
  AssetKind kind = AssetKind::kSource;
  std::vector<std::string> inputs;  ///< names of assets
  std::string file;                 ///< relative to the project
  std::string definition;           ///< canonical text: layout and comments do not count
};

/// How Python tables are run.
struct PythonSettings {
  std::string interpreter;       ///< of a Python or a virtual environment, relative to `folder`; "" : .venv there, else python3
  std::filesystem::path folder;  ///< the project's own
  int64_t memory_limit_mb = 2048;
  Duration time_limit{3600 * kMicrosPerSecond};  ///< of a table
};

/// Of the online store.
struct OnlineSettings {
  int64_t cache_mb = 256;                    ///< of decoded states
  Duration answers_age{30 * kMicrosPerDay};  ///< how long logged answers are kept
  int64_t answers_rows = 100'000;            ///< how many of each view
};

/// A loaded and validated project. Value type.
struct Project {
  std::filesystem::path root;
  std::string name;
  int64_t memory_limit_mb = 1024;
  int threads = 2;
  std::optional<Timestamp> now;  ///< pins the project clock: for examples on history
  PythonSettings python;
  OnlineSettings online;
  std::map<std::string, SourceAsset> sources;
  std::map<std::string, TableAsset> tables;
  std::map<std::string, FeatureViewAsset> views;
  std::map<std::string, DerivedViewAsset> derived_views;
  std::map<std::string, ModelAsset> models;
  std::vector<AssetNode> graph;                    ///< in an order in which inputs come first
  std::map<std::string, std::string> definitions;  ///< the files that define it as they were read: relative path -> text

  const AssetNode* Find(std::string_view name) const;
  /// `.tidemill/` below the root: lake, catalog, online store.
  std::filesystem::path StateFolder() const { return root / ".tidemill"; }
};

/// The project clock that tidemill.yaml of `folder`, or of the nearest one above it, pins with `now`; nullopt without one, or
/// when the file can't be read (LoadProject tells why).
std::optional<Timestamp> PinnedNow(const std::filesystem::path& folder);

/// Reads the folder that holds tidemill.yaml: `folder` or the nearest one above it. Finds everything that can be found
/// without data: YAML and schema errors with places and suggestions, unknown names, cycles (spelled out), SQL that
/// doesn't parse, and models that could read what was not known yet. All errors of one pass are in Error::others.
Result<Project> LoadProject(const std::filesystem::path& folder);

/// The files that define the project, relative path -> text: what is archived with a model version.
Result<std::map<std::string, std::string>> ReadDefinitions(const Project& project);

/// The fingerprint of each asset: its definition, its inputs' fingerprints, and `engine` (versions of kernel and engines).
std::map<std::string, std::string> Fingerprints(const Project& project, std::string_view engine);

/// The JSON Schema of a format ("tidemill", "source", "table", "feature_view", "derived_view", "model"); "" when unknown.
std::string_view FormatSchema(std::string_view format);

}  // namespace tidemill
