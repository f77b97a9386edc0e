#include "project/asset_reader.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/text_distance.h"
#include "sql/statement.h"

namespace tidemill {
namespace {

std::string TextOf(const YamlNode& mapping, std::string_view key, std::string otherwise = "") {
  const YamlNode* node = mapping.Find(key);
  return node == nullptr ? std::move(otherwise) : node->text;
}

std::vector<std::string> TextsOf(const YamlNode& mapping, std::string_view key) {
  const YamlNode* node = mapping.Find(key);
  return node == nullptr ? std::vector<std::string>{} : node->Texts();
}

std::optional<double> NumberOf(const YamlNode& mapping, std::string_view key) {
  const YamlNode* node = mapping.Find(key);
  if (node == nullptr) return std::nullopt;
  return node->Number();
}

bool FlagOf(const YamlNode& mapping, std::string_view key) {
  const YamlNode* node = mapping.Find(key);
  return node != nullptr && node->Boolean();
}

/// An empty mapping stands for a missing one.
const YamlNode& Part(const YamlNode& mapping, std::string_view key) {
  static const YamlNode kEmpty;
  const YamlNode* node = mapping.Find(key);
  return node == nullptr ? kEmpty : *node;
}

bool IsNameCharacter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

bool IsName(std::string_view text) {
  return !text.empty() && !(text[0] >= '0' && text[0] <= '9') && std::all_of(text.begin(), text.end(), IsNameCharacter);
}

/// "hour(scheduled_at)" -> "hour_scheduled_at": a column's name for an expression that has none.
std::string NameOfExpression(std::string_view expression) {
  std::string name;
  for (const char c : expression) {
    if (IsNameCharacter(c)) {
      name += c;
    } else if (!name.empty() && name.back() != '_') {
      name += '_';
    }
  }
  while (!name.empty() && name.back() == '_') name.pop_back();
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) name = "x" + name;
  return name;
}

/// "view.*" or "view.feature": the two halves.
std::optional<std::pair<std::string, std::string>> SplitViewFeature(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view feature = text.substr(dot + 1);
  if (!IsName(text.substr(0, dot)) || (feature != "*" && !IsName(feature))) return std::nullopt;
  return std::pair(std::string(text.substr(0, dot)), std::string(feature));
}

/// A column as it is written, table or view before the dot; "" without one.
struct ColumnReference {
  std::string qualifier;
  std::string column;
};

void CollectReferences(const Json& tree, std::vector<ColumnReference>* references) {
  if (tree.is_object()) {
    const auto kind = tree.find("class");
    const auto names = tree.find("column_names");
    if (kind != tree.end() && *kind == "COLUMN_REF" && names != tree.end() && names->is_array() && !names->empty()) {
      const std::string qualifier = names->size() > 1 ? names->front().get<std::string>() : "";
      references->push_back({qualifier, names->back().get<std::string>()});
    }
  }
  if (!tree.is_structured()) return;
  for (const Json& child : tree) CollectReferences(child, references);
}

PrepareStep ReadStep(const YamlEntry& entry) {
  PrepareStep step;
  step.kind = entry.key;
  step.columns = TextsOf(entry.value, "columns");
  step.with = TextOf(entry.value, "with");
  if (const YamlNode* below = entry.value.Find("other_below")) step.other_below = below->Integer();
  step.place = entry.place;
  return step;
}

}  // namespace

std::string FoldCase(std::string_view name) {
  std::string folded(name);
  for (char& c : folded) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return folded;
}

std::vector<std::string> ColumnsRead(const Json& tree, const std::vector<std::string>& views) {
  std::vector<ColumnReference> references;
  CollectReferences(tree, &references);
  std::set<std::string> columns;
  for (const ColumnReference& reference : references) {
    if (std::find(views.begin(), views.end(), reference.qualifier) == views.end()) columns.insert(reference.column);
  }
  return {columns.begin(), columns.end()};
}

std::vector<std::string> QualifiersRead(const Json& tree) {
  std::vector<ColumnReference> references;
  CollectReferences(tree, &references);
  std::set<std::string> qualifiers;
  for (const ColumnReference& reference : references) {
    if (!reference.qualifier.empty()) qualifiers.insert(reference.qualifier);
  }
  return {qualifiers.begin(), qualifiers.end()};
}

void AssetReader::Report(std::string code, std::string message, Place place, std::string hint) {
  errors_->push_back(UserErrorAt(std::move(code), std::move(message), std::move(place), std::move(hint)));
}

Duration AssetReader::ReadDuration(const YamlNode* node, Duration otherwise) {
  if (node == nullptr) return otherwise;
  auto duration = ParseDuration(node->text);
  if (duration.ok()) return *duration;
  Report(duration.error().code, duration.error().message, node->place, duration.error().hint);
  return otherwise;
}

void AssetReader::ParseText(const std::string& expression, const Place& place) {
  if (trees_.contains(expression)) return;
  auto tree = ParseExpression(session_, expression, place);
  if (!tree.ok()) errors_->push_back(tree.error());
  trees_[expression] = tree.ok() ? std::optional<Json>(std::move(tree).value()) : std::nullopt;
}

const Json* AssetReader::Tree(const std::string& expression) const {
  const auto found = trees_.find(expression);
  return found == trees_.end() || !found->second ? nullptr : &*found->second;
}

namespace {

Place PlaceIn(const YamlNode& document, std::string_view key) {
  const YamlEntry* entry = document.FindEntry(key);
  return entry == nullptr ? document.place : entry->place;
}

}  // namespace

SourceAsset AssetReader::ReadSource(const std::string& name, const YamlNode& document) {
  SourceAsset source;
  source.name = name;
  source.place = FilePlace(document.place.file);
  const YamlNode& from = Part(document, "from");
  source.pushed = from.text == "push";
  source.files = TextsOf(from, "files");
  source.null_texts = from.Find("null") == nullptr ? std::vector<std::string>{""} : TextsOf(from, "null");
  source.delimiter = TextOf(from, "delimiter", ",");
  source.key = TextsOf(document, "key");
  source.known_at = TextOf(document, "known_at");
  source.history = FlagOf(document, "history");
  const YamlNode& contract = Part(document, "contract");
  for (const YamlEntry& column : Part(contract, "columns").entries) source.contract.columns.push_back(ReadContractColumn(column));
  if (TextOf(contract, "extra_columns") == "ignore") source.contract.extra_columns = ExtraColumns::kIgnore;
  const std::string violation = TextOf(contract, "on_violation");
  if (violation == "fail") source.contract.on_violation = OnViolation::kFail;
  if (violation == "warn") source.contract.on_violation = OnViolation::kWarn;
  CheckContractNames(source, document);
  CheckPushed(source, document);
  return source;
}

ContractColumn AssetReader::ReadContractColumn(const YamlEntry& entry) {
  ContractColumn column;
  column.name = entry.key;
  column.place = entry.place;
  const auto type = ParseType(TextOf(entry.value, "type"));
  if (type.ok()) column.type = *type;
  column.required = FlagOf(entry.value, "required");
  if (const YamlNode* between = entry.value.Find("between")) {
    column.min = between->items[0].Number();
    column.max = between->items[1].Number();
  }
  if (const YamlNode* length = entry.value.Find("length")) {
    column.length_min = length->items[0].Integer();
    column.length_max = length->items[1].Integer();
  }
  column.allowed = TextsOf(entry.value, "one_of");
  column.pattern = TextOf(entry.value, "pattern");
  CheckContractColumn(column, entry.value);
  return column;
}

void AssetReader::CheckContractColumn(const ContractColumn& column, const YamlNode& node) {
  const bool number = column.type == Type::kInt64 || column.type == Type::kDouble;
  const auto only_for = [&](std::string_view key, bool fits, std::string_view types) {
    const YamlEntry* entry = node.FindEntry(key);
    if (entry == nullptr || fits) return;
    Report("wrong_rule",
           "'" + std::string(key) + "' is for " + std::string(types) + ", and '" + column.name + "' is of type " +
               std::string(TypeName(column.type)),
           entry->place, "leave it out or change the type");
  };
  only_for("between", number, "numbers");
  only_for("length", column.type == Type::kText, "text");
  only_for("pattern", column.type == Type::kText, "text");
  const auto ordered = [&](std::string_view key, bool in_order) {
    if (!in_order)
      Report("wrong_range", "the first end of '" + std::string(key) + "' is above the second", node.FindEntry(key)->place,
             "write the smaller one first");
  };
  if (column.min && column.max) ordered("between", *column.min <= *column.max);
  if (column.length_min && column.length_max) ordered("length", *column.length_min <= *column.length_max);
  if (column.pattern.empty() || column.type != Type::kText) return;
  // DuckDB's regular expressions are RE2, as the contract's are.
  const Status compiled = session_.Execute("SELECT regexp_full_match('', " + QuoteText(column.pattern) + ")");
  if (!compiled.ok()) {
    Report("bad_pattern", "not a regular expression: " + compiled.error().message, node.Find("pattern")->ContentPlace(),
           "the syntax is RE2's");
  }
}

void AssetReader::CheckContractNames(const SourceAsset& source, const YamlNode& document) {
  const std::vector<ContractColumn>& columns = source.contract.columns;
  std::vector<std::string> names;
  std::set<std::string> folded;
  for (const ContractColumn& column : columns) {
    names.push_back(column.name);
    const std::string fold = FoldCase(column.name);
    if (fold == "_seq" || fold == "_known_at") {
      Report("reserved_name", "the name '" + column.name + "' is reserved", column.place,
             "every table has columns _seq and _known_at of its own: rename this one in the file");
    } else if (!folded.insert(fold).second) {
      Report("duplicate_key", "two columns are named '" + column.name + "'", column.place,
             "upper and lower case are the same in SQL: rename one in the file");
    }
  }
  if (columns.empty()) return;
  const auto find = [&](const YamlNode& node) -> const ContractColumn* {
    const auto column =
        std::find_if(columns.begin(), columns.end(), [&](const ContractColumn& c) { return c.name == node.text; });
    if (column != columns.end()) return &*column;
    Report("unknown_column", "unknown column '" + node.text + "'", node.place, SuggestionHint(node.text, names));
    return nullptr;
  };
  for (const YamlNode& item : Part(document, "key").items) find(item);
  const YamlNode* known_at = document.Find("known_at");
  if (known_at == nullptr) return;
  const ContractColumn* column = find(*known_at);
  if (column != nullptr && column->type != Type::kTimestamp && column->type != Type::kDate) {
    Report("wrong_type", "known_at must be a time, and '" + column->name + "' is of type " + std::string(TypeName(column->type)),
           known_at->place,
           "choose a column of type timestamp or date; or leave it out here and declare known_at in a table, whose SQL can "
           "compute it");
  }
}

/// Nothing but the contract can tell which columns a push may have, and what is known when.
void AssetReader::CheckPushed(const SourceAsset& source, const YamlNode& document) {
  if (!source.pushed) return;
  if (source.contract.columns.empty()) {
    Report("missing_contract", "a pushed source has no files that its columns could be inferred from", PlaceIn(document, "from"),
           "declare them: 'contract: {columns: {NAME: {type: ...}}}'");
  }
  if (source.history) {
    Report("wrong_rule", "a pushed source is no export of history: its rows are known when they arrive",
           PlaceIn(document, "history"), "leave out 'history'");
  }
}

TableAsset AssetReader::ReadTable(const std::string& name, const YamlNode& document) {
  TableAsset table;
  table.name = name;
  table.key = TextsOf(document, "key");
  table.timestamp = TextOf(document, "timestamp");
  table.known_at = TextOf(document, "known_at");
  if (TextOf(document, "update") == "append") table.update = TableUpdate::kAppend;
  if (document.Find("columns") != nullptr || document.Find("keeps_rows") != nullptr) ReadPythonColumns(document, &table);
  return table;
}

void AssetReader::ReadPythonColumns(const YamlNode& document, TableAsset* table) {
  table->python.emplace();
  table->python->keeps_rows = FlagOf(document, "keeps_rows");
  std::set<std::string> names;
  for (const YamlEntry& column : Part(document, "columns").entries) {
    const std::string fold = FoldCase(column.key);
    const auto type = ParseType(column.value.text);
    if (fold == "_seq" || fold == "_known_at") {
      Report(
          "reserved_name", "the name '" + column.key + "' is reserved", column.place,
          "every table has columns _seq and _known_at of its own; 'keeps_rows: true' hands them to the function and takes them back");
    } else if (!names.insert(fold).second) {
      Report("duplicate_column", "the table has two columns '" + column.key + "'", column.place,
             "rename one of them: upper and lower case are the same in SQL");
    } else if (type.ok()) {
      table->python->columns.push_back({column.key, *type});
    }
  }
}

FeatureViewAsset AssetReader::ReadView(const std::string& name, const YamlNode& document) {
  FeatureViewAsset view;
  view.name = name;
  view.place = FilePlace(document.place.file);
  view.entity = TextsOf(document, "entity");
  view.from = TextOf(document, "from");
  if (const YamlNode* ttl = document.Find("ttl")) view.ttl = ReadDuration(ttl, {});
  view.lookback = ReadDuration(document.Find("lookback"), view.lookback);
  if (const YamlNode* lateness = document.Find("lateness")) view.lateness = ReadDuration(lateness, {});
  view.fails_on_error = TextOf(document, "on_error") == "fail";
  for (const YamlEntry& feature : Part(document, "features").entries) view.features.push_back(ReadFeature(feature, document));
  CheckFeatureColumns(view, document);
  return view;
}

FeatureDefinition AssetReader::ReadFeature(const YamlEntry& entry, const YamlNode& view) {
  FeatureDefinition feature;
  feature.name = entry.key;
  const YamlNode& value = *entry.value.Find("value");
  feature.value = value.text;
  feature.place = value.ContentPlace();
  for (const YamlNode& window : Part(entry.value, "windows").items) feature.windows.push_back(ReadDuration(&window, {}));
  // What a feature does not say for itself, its view says for all of them.
  const auto find = [&](std::string_view key) {
    const YamlNode* own = entry.value.Find(key);
    return own != nullptr ? own : view.Find(key);
  };
  feature.delay = ReadDuration(find("delay"), {});
  if (const YamlNode* session = entry.value.Find("session")) feature.session = ReadDuration(session, {});
  const YamlNode* own_hop = entry.value.Find("hop");
  if (own_hop != nullptr && (feature.windows.empty() || feature.session)) {
    Report("hop_without_window", "'" + feature.name + "' has a hop and no window that begins with it", own_hop->place,
           feature.session ? "a session begins with its first row: leave out 'hop'" : "add 'windows', or leave out 'hop'");
  }
  const YamlNode* hop = find("hop");
  if (hop != nullptr && !feature.windows.empty() && !feature.session) feature.hop = ReadDuration(hop, {});
  if (const YamlNode* most = find("max_events")) feature.max_events = static_cast<int64_t>(most->Number());
  if (const YamlNode* otherwise = entry.value.Find("default")) feature.default_value = otherwise->ToValue();
  ParseText(feature.value, feature.place);
  return feature;
}

void AssetReader::CheckFeatureColumns(const FeatureViewAsset& view, const YamlNode& document) {
  std::set<std::string> seen;
  for (const YamlNode& column : Part(document, "entity").items) seen.insert(FoldCase(column.text));
  for (const YamlEntry& entry : Part(document, "features").entries) {
    const auto feature =
        std::find_if(view.features.begin(), view.features.end(), [&](const FeatureDefinition& f) { return f.name == entry.key; });
    for (const std::string& column : FeatureColumns(*feature)) {
      if (seen.insert(FoldCase(column)).second) continue;
      Report("duplicate_name", "two columns of '" + view.name + "' are named '" + column + "'", entry.place,
             "rename the feature, or leave out one of two equal windows");
    }
    if (!view.ttl) continue;
    for (const YamlNode& window : Part(entry.value, "windows").items) {
      if (ReadDuration(&window, {}).micros + feature->delay.micros <= view.ttl->micros) continue;
      const std::string with_delay = feature->delay == Duration{0} ? "" : " and the delay of " + FormatDuration(feature->delay);
      Report("window_beyond_ttl",
             "the window '" + window.text + "'" + with_delay + (with_delay.empty() ? " is" : " are") +
                 " longer than the view's ttl, " + FormatDuration(*view.ttl),
             window.place, "rows older than the ttl are never seen: make the ttl longer or the window shorter");
    }
  }
}

DerivedViewAsset AssetReader::ReadDerivedView(const std::string& name, const YamlNode& document) {
  DerivedViewAsset view;
  view.name = name;
  view.place = FilePlace(document.place.file);
  for (const YamlEntry& field : Part(document, "request").entries) {
    const auto type = ParseType(field.value.text);
    if (type.ok()) view.request.push_back({field.key, *type});
  }
  for (const YamlNode& use : Part(document, "uses").items) view.uses.push_back(ReadUse(use));
  for (const YamlEntry& feature : Part(document, "features").entries) view.features.push_back(ReadFeature(feature, document));
  CheckDerivedNames(view, document);
  return view;
}

ViewUse AssetReader::ReadUse(const YamlNode& node) {
  ViewUse use;
  const YamlNode& view = node.kind == YamlNode::Kind::kScalar ? node : *node.Find("view");
  use.view = view.text;
  use.as = TextOf(node, "as", use.view);
  for (const YamlEntry& pair : Part(node, "join").entries) use.join[pair.key] = pair.value.text;
  use.place = view.ContentPlace();
  return use;
}

void AssetReader::CheckDerivedNames(const DerivedViewAsset& view, const YamlNode& document) {
  std::set<std::string> names;
  for (const std::string_view part : {"request", "features"}) {
    for (const YamlEntry& entry : Part(document, part).entries) {
      if (names.insert(FoldCase(entry.key)).second) continue;
      Report("duplicate_name", "two things in '" + view.name + "' are named '" + entry.key + "'", entry.place,
             "fields of the request and features are named alike in expressions: rename one of them");
    }
  }
  std::set<std::string> used;
  for (const ViewUse& use : view.uses) {
    if (used.insert(FoldCase(use.as)).second) continue;
    Report("duplicate_name", "two views are used under the name '" + use.as + "'", use.place,
           "give one of them another name: {view: " + use.view + ", as: NAME}");
  }
}

ModelAsset AssetReader::ReadModel(const std::string& name, const YamlNode& document) {
  ModelAsset model;
  model.name = name;
  model.place = FilePlace(document.place.file);
  const YamlNode& training_set = Part(document, "training_set");
  model.spine = TextOf(training_set, "spine");
  model.label = TextOf(training_set, "label");
  model.timestamp = TextOf(training_set, "timestamp");
  model.label_known_at = TextOf(training_set, "label_known_at");
  ParseText(model.label, Part(training_set, "label").ContentPlace());
  for (const YamlNode& feature : Part(document, "features").items) model.features.push_back(ReadModelFeature(feature));
  for (ModelFeature& feature : model.features) {
    const Json* tree = feature.view.empty() ? Tree(feature.expression) : nullptr;
    if (tree != nullptr) feature.named_views = QualifiersRead(*tree);
    std::erase_if(feature.named_views, [&](const std::string& name) { return FoldCase(name) == FoldCase(model.spine); });
  }
  const YamlNode& split = Part(document, "split");
  model.train = split.Find("train")->text == "all" ? kAllHistory : ReadDuration(split.Find("train"), {});
  model.validate = ReadDuration(split.Find("validate"), {});
  model.test = ReadDuration(split.Find("test"), {});
  model.refit_all = TextOf(split, "refit") == "all";
  for (const YamlNode& step : Part(document, "prepare").items) model.prepare.push_back(ReadStep(step.entries.front()));
  ReadAlgorithm(Part(document, "algorithm"), &model);
  for (const YamlNode& gate : Part(document, "gates").items) model.gates.push_back(ReadGate(gate.entries.front()));
  if (const YamlNode* monitor = document.Find("monitor")) {
    MonitorSettings settings;
    settings.interval = ReadDuration(monitor->Find("interval"), settings.interval);
    const YamlNode& drift = Part(*monitor, "drift");
    settings.drift_method = TextOf(drift, "method", settings.drift_method);
    if (TextOf(drift, "threshold", "auto") != "auto") settings.drift_threshold = NumberOf(drift, "threshold");
    const YamlNode& performance = Part(*monitor, "performance");
    settings.performance_metric = TextOf(performance, "metric");
    settings.window = ReadDuration(performance.Find("window"), settings.window);
    settings.alert_below = NumberOf(performance, "alert_below");
    settings.alert_drop = NumberOf(performance, "alert_drop");
    model.monitor = settings;
  }
  if (const YamlNode* retrain = document.Find("retrain")) {
    model.retrain_when = TextOf(*retrain, "when");
    model.retrain_place = retrain->Find("when")->ContentPlace();
    model.retrain_at_most_every = ReadDuration(retrain->Find("at_most_every"), model.retrain_at_most_every);
    ParseText(model.retrain_when, model.retrain_place);
  }
  CheckLeaks(model);
  return model;
}

Gate AssetReader::ReadGate(const YamlEntry& entry) {
  Gate gate;
  gate.metric = entry.key;
  if (const YamlNode* k = entry.value.Find("k")) {
    gate.k = k->Integer();
    gate.entity = TextsOf(entry.value, "entity");
    gate.per = ReadDuration(entry.value.Find("per"), Duration{kMicrosPerDay});
  }
  gate.min = NumberOf(entry.value, "min");
  gate.max = NumberOf(entry.value, "max");
  gate.max_drop_from_champion = NumberOf(entry.value, "max_drop_from_champion");
  gate.place = entry.place;
  return gate;
}

void AssetReader::ReadAlgorithm(const YamlNode& node, ModelAsset* model) {
  if (node.entries.empty()) return;
  model->algorithm = node.entries.front().key;
  for (const YamlEntry& parameter : node.entries.front().value.entries)
    model->parameters[parameter.key] = parameter.value.ToValue();
}

ModelFeature AssetReader::ReadModelFeature(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::kScalar) {
    const auto halves = SplitViewFeature(node.text);
    if (!halves) return ReadExpression(IsName(node.text) ? node.text : NameOfExpression(node.text), node);
    ModelFeature feature;
    feature.view = halves->first;
    feature.feature = halves->second;
    feature.place = node.ContentPlace();
    return feature;
  }
  const YamlNode* view = node.Find("view");
  if (view == nullptr) return ReadExpression(node.entries.front().key, node.entries.front().value);
  ModelFeature feature;
  feature.view = view->text;
  feature.feature = TextOf(node, "feature", "*");
  feature.as = TextOf(node, "as");
  for (const YamlEntry& pair : Part(node, "join").entries) feature.join[pair.key] = pair.value.text;
  feature.place = view->ContentPlace();
  return feature;
}

ModelFeature AssetReader::ReadExpression(const std::string& name, const YamlNode& node) {
  ModelFeature feature;
  feature.name = name;
  feature.expression = node.text;
  feature.place = node.ContentPlace();
  ParseText(feature.expression, feature.place);
  return feature;
}

std::set<std::string> AssetReader::ColumnsOfLabel(const ModelAsset& model) const {
  const Json* label = Tree(model.label);
  if (label == nullptr) return {};
  std::set<std::string> late = {FoldCase(model.label_known_at)};
  for (const std::string& column : ColumnsRead(*label)) late.insert(FoldCase(column));
  // The label may be known at once; then its time is the prediction's, which is a legal input.
  late.erase(FoldCase(model.timestamp));
  return late;
}

void AssetReader::ReportLeak(const ModelAsset& model, const std::string& input, const std::string& column, const Place& place) {
  Report("label_leak",
         "the input '" + input + "' reads '" + column + "', which tells the label: it is not known when the prediction is made",
         place,
         "leave it out; if it is known by '" + model.timestamp +
             "', compute the label in the spine's SQL as a column of its own");
}

/// What the label is made from is known after the prediction: as an input it would make the model look perfect.
void AssetReader::CheckLeaks(const ModelAsset& model) {
  const std::set<std::string> late = ColumnsOfLabel(model);
  for (const ModelFeature& feature : model.features) {
    const Json* tree = feature.view.empty() ? Tree(feature.expression) : nullptr;
    if (tree == nullptr) continue;
    for (const std::string& column : ColumnsRead(*tree, feature.named_views)) {
      if (late.contains(FoldCase(column))) ReportLeak(model, feature.name, column, feature.place);
    }
  }
}

std::vector<std::string> FeatureColumns(const FeatureDefinition& feature) {
  if (feature.windows.empty()) return {feature.name};
  std::vector<std::string> columns;
  for (const Duration& window : feature.windows) columns.push_back(feature.name + "_" + FormatDuration(window));
  return columns;
}

}  // namespace tidemill
