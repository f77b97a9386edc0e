#include "orchestrate/lineage.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/value_json.h"
#include "feature/program/entity_state.h"
#include "feature/view_rows.h"
#include "ingest/ingest.h"
#include "orchestrate/asset_names.h"
#include "orchestrate/column_dependents.h"

namespace tidemill {
namespace {

constexpr size_t kRowsListedMax = 1000;

Json Node(std::string_view kind, const std::string& name, const std::string& detail, Json from = Json::array()) {
  return {{"kind", kind}, {"name", name}, {"detail", detail}, {"from", std::move(from)}};
}

std::string Shown(const Value& value) { return IsNull(value) ? "null" : FormatValue(value); }

std::string ShortSha(const std::string& sha256) { return sha256.substr(0, 12); }

// ---- assets ----

/// Upstream and downstream of assets, down to files.
class AssetTracer {
 public:
  AssetTracer(Workspace& workspace, Session& session) : workspace_(workspace), session_(session) {}

  /// An asset and what it is made from. With a snapshot the files are those of then.
  Result<Json> Upstream(const std::string& name, std::optional<int64_t> snapshot) {
    const AssetNode* node = workspace_.project.Find(name);
    if (node == nullptr) return Node("asset", name, "not in the project any more");
    Json from = Json::array();
    if (node->kind == AssetKind::kSource) {
      TIDEMILL_ASSIGN_OR_RETURN(from, Files(name, snapshot));
    }
    const bool first = shown_.insert(name).second;
    for (const std::string& input : node->inputs) {
      if (!first) break;
      TIDEMILL_ASSIGN_OR_RETURN(Json below, Upstream(input, snapshot));
      from.push_back(std::move(below));
    }
    TIDEMILL_ASSIGN_OR_RETURN(std::string detail, Detail(*node));
    if (!first && !node->inputs.empty()) detail += "; what it is made from stands above";
    return Node(AssetKindName(node->kind), name, detail, std::move(from));
  }

  Result<Json> Both(const AssetNode& node) {
    TIDEMILL_ASSIGN_OR_RETURN(Json asset, Upstream(node.name, std::nullopt));
    Json above = Json::array();
    std::swap(above, asset["from"]);
    shown_.clear();
    Json below = Downstream(node.name);
    asset["from"] = Json::array();
    if (!above.empty()) asset["from"].push_back(Node("", "made from", "", std::move(above)));
    const std::string detail = below.empty() ? "nothing" : "";
    asset["from"].push_back(Node("", "used by", detail, std::move(below)));
    return asset;
  }

 private:
  Result<std::string> Detail(const AssetNode& node) {
    TIDEMILL_ASSIGN_OR_RETURN(const auto state, workspace_.catalog->State(node.name));
    return state ? fmt::format("{}, up to {}", node.file, FormatTimestamp(state->project_clock))
                 : fmt::format("{}, never brought up to date", node.file);
  }

  Json Downstream(const std::string& name) {
    Json list = Json::array();
    for (const AssetNode& node : workspace_.project.graph) {
      if (std::find(node.inputs.begin(), node.inputs.end(), name) == node.inputs.end()) continue;
      const bool first = shown_.insert(node.name).second;
      list.push_back(Node(AssetKindName(node.kind), node.name, node.file, first ? Downstream(node.name) : Json::array()));
    }
    return list;
  }

  Result<Json> Files(const std::string& source, std::optional<int64_t> snapshot) {
    Json list = Json::array();
    TIDEMILL_ASSIGN_OR_RETURN(const bool exists, workspace_.lake->HasTable("tidemill.files"));
    if (!exists) return list;
    const std::string version = snapshot ? fmt::format(" AT (VERSION => {})", *snapshot) : "";
    TIDEMILL_ASSIGN_OR_RETURN(
        const Columns files,
        session_.Query(fmt::format("SELECT file, sha256, records, first_seq FROM lake.tidemill.files{} WHERE source = {} "
                                   "ORDER BY first_seq",
                                   version, QuoteText(source))));
    for (size_t row = 0; row < files.rows(); ++row) {
      const std::string sha256(files.columns[1].Text(row));
      Json node = Node("file", std::string(files.columns[0].Text(row)),
                       fmt::format("{} records, SHA-256 {}", files.columns[2].ints[row], ShortSha(sha256)));
      node["sha256"] = sha256;
      node["records"] = files.columns[2].ints[row];
      list.push_back(std::move(node));
    }
    return list;
  }

  Workspace& workspace_;
  Session& session_;
  std::set<std::string> shown_;
};

// ---- versions ----

Result<Json> TraceTrainingSet(Workspace& workspace, Session& session, const ModelVersion& version) {
  const Json plan = version.detail.value("plan", Json::object());
  TIDEMILL_ASSIGN_OR_RETURN(const FeaturePlan features, FeaturePlan::FromJson(plan));
  const int64_t snapshot = version.detail.value("snapshot", int64_t{-1});
  std::vector<std::string> tables = {features.spine};
  for (const FeaturePlan::View& view : features.views) {
    if (std::find(tables.begin(), tables.end(), view.table) == tables.end()) tables.push_back(view.table);
  }
  AssetTracer tracer(workspace, session);
  Json from = Json::array();
  for (const std::string& table : tables) {
    TIDEMILL_ASSIGN_OR_RETURN(Json node, tracer.Upstream(table, snapshot));
    from.push_back(std::move(node));
  }
  const auto rows =
      session.Query(fmt::format("SELECT count(*) FROM {} AT (VERSION => {})", TrainingTable(version.model), snapshot));
  const std::string counted = rows.ok() ? fmt::format("{} rows, ", rows->columns[0].ints[0]) : "";
  Json node =
      Node("training set", "training." + version.model,
           fmt::format("{}snapshot {}, SHA-256 {}", counted, snapshot, ShortSha(version.training_set_sha256)), std::move(from));
  node["snapshot"] = snapshot;
  node["sha256"] = version.training_set_sha256;
  if (rows.ok()) node["rows"] = rows->columns[0].ints[0];
  return node;
}

Json VersionNode(const ModelVersion& version) {
  Json node = Node("model version", fmt::format("{}@{}", version.model, version.version),
                   fmt::format("{}, trained at {} ({}), package SHA-256 {}, training snapshot {}", version.status,
                               FormatTimestamp(version.project_clock), version.reason, ShortSha(version.package_sha256),
                               version.detail.value("snapshot", int64_t{-1})));
  node["package_sha256"] = version.package_sha256;
  node["training_set_sha256"] = version.training_set_sha256;
  return node;
}

Result<Json> TraceVersion(Workspace& workspace, Session& session, const std::string& model, int64_t number) {
  TIDEMILL_ASSIGN_OR_RETURN(const ModelVersion version, workspace.catalog->GetModelVersion(model, number));
  Json node = VersionNode(version);
  TIDEMILL_ASSIGN_OR_RETURN(Json training_set, TraceTrainingSet(workspace, session, version));
  node["from"].push_back(std::move(training_set));
  return node;
}

// ---- predictions ----

/// What was stored with a prediction.
struct StoredPrediction {
  std::string id;
  std::string model;
  int64_t version = 0;
  Timestamp at;
  double score = 0;
  std::optional<int64_t> seq;            ///< of the spine's row, of batch scores
  std::map<std::string, Value> request;  ///< spine columns
  std::map<std::string, Value> inputs;
};

class PredictionTracer {
 public:
  PredictionTracer(Workspace& workspace, Session& session) : workspace_(workspace), session_(session) {}

  Result<Json> Trace(const std::string& id) {
    TIDEMILL_ASSIGN_OR_RETURN(std::optional<StoredPrediction> found, Find(id));
    if (!found) {
      return UserError(
          "unknown_prediction", fmt::format("'{}' is neither an asset nor a stored prediction", id),
          "batch scores have ids like MODEL-b<number>-v<version>, see lake.scores; online predictions are stored by the "
          "server some seconds after the answer");
    }
    prediction_ = std::move(*found);
    TIDEMILL_ASSIGN_OR_RETURN(const ModelVersion version,
                              workspace_.catalog->GetModelVersion(prediction_.model, prediction_.version));
    TIDEMILL_ASSIGN_OR_RETURN(plan_, FeaturePlan::FromJson(version.detail.value("plan", Json::object())));
    TIDEMILL_RETURN_IF_ERROR(ReadStored());
    Json root = Node("prediction", prediction_.id,
                     fmt::format("score {}, at {}", FormatValue(prediction_.score), FormatTimestamp(prediction_.at)));
    root["score"] = prediction_.score;
    root["at"] = FormatTimestamp(prediction_.at);
    TIDEMILL_ASSIGN_OR_RETURN(Json training_set, TraceTrainingSet(workspace_, session_, version));
    Json version_node = VersionNode(version);
    version_node["from"].push_back(std::move(training_set));
    root["from"].push_back(std::move(version_node));
    TIDEMILL_ASSIGN_OR_RETURN(Json spine, SpineNode());
    root["from"].push_back(std::move(spine));
    for (const FeaturePlan::View& view : plan_.views) {
      TIDEMILL_ASSIGN_OR_RETURN(Json node, ViewNode(view));
      root["from"].push_back(std::move(node));
    }
    for (Json& node : DerivedNodes()) root["from"].push_back(std::move(node));
    return root;
  }

 private:
  Result<std::optional<StoredPrediction>> Find(const std::string& id) {
    for (const auto& [model, asset] : workspace_.project.models) {
      if (!id.starts_with(model + "-b")) continue;
      TIDEMILL_ASSIGN_OR_RETURN(const bool exists, workspace_.lake->HasTable("scores." + model));
      if (!exists) continue;
      TIDEMILL_ASSIGN_OR_RETURN(stored_, session_.Query(fmt::format("SELECT * FROM {} WHERE prediction_id = {} LIMIT 1",
                                                                    ScoresTable(model), QuoteText(id))));
      if (stored_.rows() > 0) return std::optional(Stored(id, model));
    }
    TIDEMILL_ASSIGN_OR_RETURN(const bool logged, workspace_.lake->HasTable("tidemill.predictions"));
    if (!logged) return std::optional<StoredPrediction>();
    TIDEMILL_ASSIGN_OR_RETURN(
        stored_,
        session_.Query(fmt::format("SELECT * FROM lake.tidemill.predictions WHERE prediction_id = {} LIMIT 1", QuoteText(id))));
    if (stored_.rows() == 0) return std::optional<StoredPrediction>();
    return std::optional(Stored(id, std::string(stored_.Find("model")->Text(0))));
  }

  StoredPrediction Stored(const std::string& id, const std::string& model) const {
    StoredPrediction stored;
    stored.id = id;
    stored.model = model;
    stored.version = stored_.Find("model_version")->ints.at(0);
    stored.at = Timestamp{stored_.Find("predicted_at")->ints.at(0)};
    stored.score = stored_.Find("score")->doubles.at(0);
    if (const Column* seq = stored_.Find("_seq")) stored.seq = seq->ints.at(0);
    return stored;
  }

  /// Inputs and spine columns: of a batch score from its row and the spine's, of an online one from what the server wrote down.
  Status ReadStored() {
    if (!prediction_.seq) return ReadLogged();
    for (const Column& column : stored_.columns) prediction_.request[column.name] = column.At(0);
    for (const Field& input : plan_.inputs) {
      if (const Column* column = stored_.Find(input.name)) prediction_.inputs[input.name] = column->At(0);
    }
    return ReadSpineRow(fmt::format("_seq = {}", *prediction_.seq));
  }

  Status ReadLogged() {
    TIDEMILL_ASSIGN_OR_RETURN(const Json features, ParseJson(stored_.Find("features")->Text(0)));
    for (const Field& input : plan_.inputs) {
      if (!features.contains(input.name)) continue;
      TIDEMILL_ASSIGN_OR_RETURN(prediction_.inputs[input.name], ValueFromJson(features[input.name], input.type));
    }
    TIDEMILL_ASSIGN_OR_RETURN(const Json request, ParseJson(stored_.Find("entities")->Text(0)));
    std::string condition;
    for (const Field& field : RequestFields()) {
      if (!request.contains(field.name)) continue;
      TIDEMILL_ASSIGN_OR_RETURN(const Value value, ValueFromJson(request[field.name], field.type));
      prediction_.request[field.name] = value;
      if (std::find(plan_.spine_key.begin(), plan_.spine_key.end(), field.name) != plan_.spine_key.end() && !IsNull(value))
        condition += fmt::format("{}{} = {}", condition.empty() ? "" : " AND ", QuoteIdentifier(field.name), SqlLiteral(value));
    }
    return condition.empty() ? Ok() : ReadSpineRow(condition);
  }

  /// Every column of the spine that a request can bring.
  std::vector<Field> RequestFields() const {
    std::vector<Field> fields = plan_.request_fields;
    const auto spine = workspace_.table_fields.find(plan_.spine);
    if (spine == workspace_.table_fields.end()) return fields;
    for (const Field& field : spine->second) {
      const bool known = std::any_of(fields.begin(), fields.end(), [&](const Field& f) { return f.name == field.name; });
      if (!known) fields.push_back(field);
    }
    return fields;
  }

  /// Completes the request by the spine's row, where there is one; what the request brought itself stays.
  Status ReadSpineRow(const std::string& condition) {
    TIDEMILL_ASSIGN_OR_RETURN(const bool exists, workspace_.lake->HasTable(plan_.spine));
    if (!exists) return Ok();
    TIDEMILL_ASSIGN_OR_RETURN(
        const Columns row,
        session_.Query(fmt::format("SELECT * FROM {} WHERE {} AND {} ORDER BY _known_at DESC, _seq DESC LIMIT 1",
                                   MainTable(plan_.spine), condition, TimeCondition("_known_at", "<=", prediction_.at.micros))));
    if (row.rows() == 0) return Ok();
    for (const Column& column : row.columns) prediction_.request.try_emplace(column.name, column.At(0));
    if (const Column* seq = row.Find("_seq")) prediction_.seq = seq->ints.at(0);
    return Ok();
  }

  Json InputNode(const std::string& kind, const std::string& name) const {
    const auto found = prediction_.inputs.find(name);
    const Value value = found == prediction_.inputs.end() ? Value() : found->second;
    Json node = Node(kind, name, "= " + Shown(value));
    node["value"] = ValueToJson(value);
    return node;
  }

  /// The row that was asked about, and the inputs computed from it alone.
  Result<Json> SpineNode() {
    Json from = Json::array();
    for (const Output& output : plan_.expressions.outputs) from.push_back(InputNode("input", output.name));
    std::string detail = "a request from outside";
    if (prediction_.seq) {
      TIDEMILL_ASSIGN_OR_RETURN(Json origins, RowNodes({*prediction_.seq}));
      detail = fmt::format("row {}", *prediction_.seq);
      for (Json& origin : origins) from.push_back(std::move(origin));
    }
    return Node("row", plan_.spine, detail, std::move(from));
  }

  Result<Json> ViewNode(const FeaturePlan::View& view) {
    std::string entity;
    std::vector<Value> keys;
    for (size_t i = 0; i < view.spine_keys.size(); ++i) {
      const auto found = prediction_.request.find(view.spine_keys[i]);
      keys.push_back(found == prediction_.request.end() ? Value() : found->second);
      entity += fmt::format("{}{} = {}", i > 0 ? ", " : "", view.program.keys.at(i).name, Shown(keys.back()));
    }
    const auto fingerprint = workspace_.fingerprints.find(view.program.view);
    if (fingerprint != workspace_.fingerprints.end()) entity += fmt::format(", fingerprint {}", ShortSha(fingerprint->second));
    Json from = Json::array();
    for (const Output& output : view.program.outputs) {
      const std::string name = view.prefix + "__" + output.name;
      if (prediction_.inputs.contains(name)) from.push_back(InputNode("feature", name));
    }
    TIDEMILL_ASSIGN_OR_RETURN(Json rows, RowsNode(view, keys));
    from.push_back(std::move(rows));
    return Node("feature view", NameAs(view.program.view, view.prefix), entity, std::move(from));
  }

  /// A view under the name that a model gave it. Views that only others use have none.
  static std::string NameAs(const std::string& view, const std::string& prefix) {
    if (prefix.starts_with('/')) return view + " (used by derived views)";
    return view == prefix ? view : fmt::format("{} (as {})", view, prefix);
  }

  /// A column that a derived feature reads: a field with its value, or a feature of a view whose own node stands beside.
  Json ReadNode(const std::string& column) const {
    const auto field = prediction_.request.find(column);
    if (field != prediction_.request.end()) {
      Json node = Node("field", column, "= " + Shown(field->second));
      node["value"] = ValueToJson(field->second);
      return node;
    }
    if (prediction_.inputs.contains(column)) return InputNode("feature", column);
    for (const FeaturePlan::View& view : plan_.views) {
      for (const std::string& output : view.outputs) {
        if (view.prefix + "__" + output == column) return Node("feature", view.program.view + "." + output, "");
      }
    }
    for (const FeaturePlan::Derived& derived : plan_.derived) {
      if (!derived.prefix.empty() && column.starts_with(derived.prefix + "__"))
        return Node("feature", derived.view + "." + column.substr(derived.prefix.size() + 2), "");
    }
    return Node("feature", column, "");
  }

  /// Derived views, and expressions of the model over views, with what each feature reads.
  Json DerivedNodes() const {
    Json nodes = Json::array();
    for (const FeaturePlan::Derived& derived : plan_.derived) {
      Json from = Json::array();
      for (const Output& output : derived.program.outputs) {
        Json feature = prediction_.inputs.contains(output.name)
                           ? InputNode("feature", output.name)
                           : Node("feature", output.name.substr(derived.prefix.size() + 2), "");
        for (const Field& column : derived.program.columns) {
          if (Reads(output.expression, derived.program, column)) feature["from"].push_back(ReadNode(column.name));
        }
        from.push_back(std::move(feature));
      }
      if (derived.view.empty()) {
        nodes.push_back(Node("expressions", plan_.model, "over features of views", std::move(from)));
        continue;
      }
      const auto fingerprint = workspace_.fingerprints.find(derived.view);
      const std::string detail =
          fingerprint != workspace_.fingerprints.end() ? "fingerprint " + ShortSha(fingerprint->second) : "not in the project any more";
      nodes.push_back(Node("derived view", NameAs(derived.view, derived.prefix), detail, std::move(from)));
    }
    return nodes;
  }

  static bool Reads(const Expression& expression, const RowProgram& program, const Field& column) {
    if (expression.kind == Expression::Kind::kColumn && program.columns.at(static_cast<size_t>(expression.column)) == column)
      return true;
    return std::any_of(expression.arguments.begin(), expression.arguments.end(),
                       [&](const Expression& argument) { return Reads(argument, program, column); });
  }

  /// The rows of a view's table that the features were computed from.
  Result<Json> RowsNode(const FeaturePlan::View& view, const std::vector<Value>& keys) {
    if (std::any_of(keys.begin(), keys.end(), [](const Value& key) { return IsNull(key); }))
      return Node("rows", view.table, "none: the key is not complete");
    TIDEMILL_ASSIGN_OR_RETURN(const bool exists, workspace_.lake->HasTable(view.table));
    if (!exists) return Node("rows", view.table, "the table is not in the lake any more");
    const std::unique_ptr<EntityState> state = EntityState::Make(view.program);
    if (state == nullptr)
      return UserError("bad_program", fmt::format("the stored program of view '{}' is not valid", view.program.view));
    TIDEMILL_RETURN_IF_ERROR(FillState(view, keys, *state));
    std::vector<int64_t> visible = state->VisibleRows(prediction_.at);
    std::sort(visible.begin(), visible.end());
    const size_t count = visible.size();
    visible.resize(std::min(count, kRowsListedMax));
    TIDEMILL_ASSIGN_OR_RETURN(Json rows, RowNodes(visible));
    const std::string listed = count > kRowsListedMax ? fmt::format(", the first {} listed", kRowsListedMax) : "";
    Json node = Node("rows", view.table, fmt::format("{} used{}", count, listed), std::move(rows));
    node["count"] = count;
    return node;
  }

  Status FillState(const FeaturePlan::View& view, const std::vector<Value>& keys, EntityState& state) {
    const Program& program = view.program;
    const std::string event = fmt::format("CAST({} AS TIMESTAMP)", QuoteIdentifier(view.event_time));
    std::string sql = fmt::format("SELECT {}, CAST(_known_at AS TIMESTAMP), _seq", event);
    for (const Field& field : program.columns)
      sql += fmt::format(", CAST({} AS {})", QuoteIdentifier(field.name), SqlTypeName(field.type));
    sql += fmt::format(" FROM {} WHERE {} AND {} AND {} IS NOT NULL", MainTable(view.table),
                       TimeCondition("_known_at", "<=", prediction_.at.micros), TimeCondition(event, "<=", prediction_.at.micros),
                       event);
    if (const auto reach = program.Reach()) sql += " AND " + TimeCondition(event, ">=", prediction_.at.micros - reach->micros);
    for (size_t i = 0; i < program.keys.size(); ++i)
      sql += fmt::format(" AND {} = {}", QuoteIdentifier(program.keys[i].name), SqlLiteral(keys[i]));
    return session_.Stream(sql, [&](const Columns& batch) -> Status {
      for (size_t row = 0; row < batch.rows(); ++row) {
        FeatureEvent read{
            Timestamp{batch.columns[0].ints[row]}, Timestamp{batch.columns[1].ints[row]}, batch.columns[2].ints[row], {}};
        for (size_t i = 3; i < batch.columns.size(); ++i) read.values.push_back(batch.columns[i].At(row));
        TIDEMILL_RETURN_IF_ERROR(state.Update(read));
      }
      return Ok();
    });
  }

  /// Rows by the file and record that they came from, in one query however many there are.
  Result<Json> RowNodes(const std::vector<int64_t>& seqs) {
    Json list = Json::array();
    if (seqs.empty()) return list;
    TIDEMILL_ASSIGN_OR_RETURN(
        const Columns origins,
        session_.Query(fmt::format(
            "SELECT seq, arg_min(source, old), arg_min(file, old), arg_min(seq - first_seq + 1, old) "
            "FROM unnest([{}]) rows(seq) LEFT JOIN (SELECT *, coalesce(replaced, false) AS old FROM lake.tidemill.files) "
            "ON seq >= first_seq AND seq < first_seq + records GROUP BY seq ORDER BY seq",
            fmt::join(seqs, ", "))));
    for (size_t row = 0; row < origins.rows(); ++row) {
      const int64_t seq = origins.columns[0].ints[row];
      if (origins.columns[2].IsNull(row)) {
        list.push_back(Node("source row", fmt::format("row {}", seq), "from no file"));
        continue;
      }
      const std::string file(origins.columns[2].Text(row));
      const int64_t record = origins.columns[3].ints[row];
      Json node = Node("source row", fmt::format("{} record {}", file, record), std::string(origins.columns[1].Text(row)));
      node["seq"] = seq;
      node["source"] = std::string(origins.columns[1].Text(row));
      node["file"] = file;
      node["record"] = record;
      list.push_back(std::move(node));
    }
    return list;
  }

  Workspace& workspace_;
  Session& session_;
  Columns stored_;  ///< one row, as it was stored
  StoredPrediction prediction_;
  FeaturePlan plan_;
};

// ---- subjects ----

std::optional<int64_t> ReadNumber(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

}  // namespace

Result<Json> TraceLineage(Workspace& workspace, const std::string& subject) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, workspace.lake->Connect());
  if (const AssetNode* asset = workspace.project.Find(subject)) return AssetTracer(workspace, *session).Both(*asset);
  if (const size_t at = subject.rfind('@'); at != std::string::npos) {
    const std::optional<int64_t> version = ReadNumber(std::string_view(subject).substr(at + 1));
    if (!version) return UserError("bad_version", fmt::format("'{}' is not a model's version", subject), "write MODEL@NUMBER");
    return TraceVersion(workspace, *session, subject.substr(0, at), *version);
  }
  if (const size_t dot = subject.find('.'); dot != std::string::npos) {
    if (const AssetNode* asset = workspace.project.Find(subject.substr(0, dot)))
      return TraceColumnDependents(workspace, *asset, subject.substr(dot + 1));
  }
  return PredictionTracer(workspace, *session).Trace(subject);
}

}  // namespace tidemill
