#include "project/reference_checks.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <utility>

#include "base/text_distance.h"
#include "project/asset_reader.h"

namespace tidemill {
namespace {

std::string WithArticle(AssetKind kind) {
  const std::string name(AssetKindName(kind));
  return "a " + name;
}

const YamlNode* Document(const LoadedFiles& files, const std::string& asset) {
  const auto found = files.documents.find(asset);
  return found == files.documents.end() ? nullptr : &found->second;
}

/// The place of a value in an asset's file, by its path of keys.
Place PlaceOf(const LoadedFiles& files, const std::string& asset, std::initializer_list<std::string_view> keys) {
  const YamlNode* node = Document(files, asset);
  for (const std::string_view key : keys) node = node == nullptr ? nullptr : node->Find(key);
  return node == nullptr ? Place{} : node->place;
}

/// A table's yaml has errors of its own, so that nothing is known about what it declares.
bool HasBrokenYaml(const LoadedFiles& files, const Project& project, const std::string& table) {
  return project.definitions.contains("tables/" + table + ".yaml") && Document(files, table) == nullptr;
}

class Resolver {
 public:
  Resolver(const LoadedFiles& files, Project* project, std::vector<Error>* errors)
      : files_(files), project_(*project), errors_(*errors) {
    for (const auto& [name, kind] : files.names) folded_[FoldCase(name)] = name;
  }

  void Run() {
    for (auto& [name, table] : project_.tables) ResolveTable(&table);
    for (auto& [name, view] : project_.views) ResolveView(&view);
    for (auto& [name, model] : project_.models) ResolveModel(&model);
  }

 private:
  void Report(std::string code, std::string message, Place place, std::string hint) {
    errors_.push_back(UserErrorAt(std::move(code), std::move(message), std::move(place), std::move(hint)));
  }

  std::vector<std::string> NamesOf(std::initializer_list<AssetKind> kinds) const {
    std::vector<std::string> names;
    for (const auto& [name, kind] : files_.names) {
      if (std::find(kinds.begin(), kinds.end(), kind) != kinds.end()) names.push_back(name);
    }
    return names;
  }

  /// The asset meant by a name written in SQL, where case doesn't count; "" when there is none.
  std::string Meant(const std::string& written) const {
    const auto found = folded_.find(FoldCase(written));
    return found == folded_.end() ? "" : found->second;
  }

  void ResolveTable(TableAsset* table) {
    const auto references = files_.references.find(table->name);
    if (references == files_.references.end()) return;
    for (const TableReference& reference : references->second) {
      const std::string name = Meant(reference.name);
      if (name.empty()) {
        ReportUnknownTable(reference);
      } else if (const AssetKind kind = files_.names.at(name); kind != AssetKind::kSource && kind != AssetKind::kTable) {
        Report("wrong_kind", "'" + name + "' is " + WithArticle(kind) + ": tables read sources and other tables", reference.place,
               "read the table that it is made from");
      } else if (std::find(table->inputs.begin(), table->inputs.end(), name) == table->inputs.end()) {
        table->inputs.push_back(name);
      }
    }
  }

  void ReportUnknownTable(const TableReference& reference) {
    const std::vector<std::string> names = NamesOf({AssetKind::kSource, AssetKind::kTable});
    const bool path = reference.name.find_first_of("/.") != std::string::npos;
    std::string hint = SuggestionHint(reference.name, names);
    if (path) hint = "SQL reads sources and tables by their names; files come in by a source: sources/NAME.yaml";
    if (hint.empty()) hint = "add sources/" + reference.name + ".yaml or tables/" + reference.name + ".sql";
    Report("unknown_table", "unknown table '" + reference.name + "'", reference.place, hint);
  }

  /// A table named in YAML. nullptr when it is unknown (reported) or its file is broken (reported elsewhere).
  const TableAsset* FindTable(const std::string& name, const Place& place, std::string_view reader) {
    const auto found = files_.names.find(name);
    if (found == files_.names.end()) {
      std::string hint = SuggestionHint(name, NamesOf({AssetKind::kTable}));
      if (hint.empty()) hint = "add tables/" + name + ".sql";
      Report("unknown_table", "unknown table '" + name + "'", place, hint);
      return nullptr;
    }
    if (found->second != AssetKind::kTable) {
      const bool source = found->second == AssetKind::kSource;
      Report("wrong_kind", "'" + name + "' is " + WithArticle(found->second) + ": " + std::string(reader) + " reads a table",
             place,
             source ? "make a table of it, for instance tables/all_" + name + ".sql: SELECT * FROM " + name
                    : SuggestionHint("", NamesOf({AssetKind::kTable})));
      return nullptr;
    }
    const auto table = project_.tables.find(name);
    return table == project_.tables.end() ? nullptr : &table->second;
  }

  void ResolveView(FeatureViewAsset* view) {
    const Place place = PlaceOf(files_, view->name, {"from"});
    const TableAsset* table = FindTable(view->from, place, "a feature view");
    if (table == nullptr || !table->timestamp.empty() || HasBrokenYaml(files_, project_, table->name)) return;
    Report("missing_timestamp",
           "the table '" + table->name + "' declares no timestamp, and the windows of a feature view need one", place,
           "write in tables/" + table->name + ".yaml which column tells when a row happened: 'timestamp: COLUMN'");
  }

  void ResolveModel(ModelAsset* model) {
    const TableAsset* spine = FindTable(model->spine, PlaceOf(files_, model->name, {"training_set", "spine"}), "a training set");
    if (spine != nullptr && !HasBrokenYaml(files_, project_, spine->name)) CheckGates(*model, *spine);
    std::set<std::string> inputs;
    bool complete = true;
    for (const ModelFeature& feature : model->features) {
      for (const std::string& name : feature.named_views) FindNamedView(*model, name, feature.place);
      const auto columns = InputColumns(feature);
      if (!columns) complete = false;
      for (const std::string& column : columns.value_or(std::vector<std::string>{})) {
        if (!inputs.insert(column).second) {
          Report("duplicate_name", "two inputs are named '" + column + "'", feature.place,
                 feature.view.empty() ? "give it another name: {NAME: \"" + feature.expression + "\"}"
                                      : "give the view another name here: {view: " + feature.view + ", as: NAME}");
        }
      }
    }
    if (complete) CheckSteps(*model, inputs);
  }

  /// Entities of gates are found by the spine's key; and a figure has one meaning in a model.
  void CheckGates(const ModelAsset& model, const TableAsset& spine) {
    std::set<int64_t> seen;
    for (const Gate& gate : model.gates) {
      for (const std::string& name : gate.entity) {
        if (std::find(spine.key.begin(), spine.key.end(), name) != spine.key.end()) continue;
        Report("unknown_column", "'" + name + "' is not in the key of the spine '" + spine.name + "'", gate.place,
               "add it to 'key' in tables/" + spine.name + ".yaml: gates know rows by their key");
      }
      if (gate.k > 0 && !seen.insert(gate.k).second)
        Report("duplicate_name", "two gates are precision_at_k with the same k", gate.place, "put both limits into one of them");
    }
  }

  /// Names of the columns that an item of a model's features stands for; nullopt when it has an error.
  std::optional<std::vector<std::string>> InputColumns(const ModelFeature& feature) {
    if (feature.view.empty()) return std::vector<std::string>{feature.name};
    const std::vector<FeatureDefinition>* features = FeaturesOf(feature.view, feature.place);
    if (features == nullptr) return std::nullopt;
    CheckJoin(feature);
    auto columns = ChosenColumns(feature, *features);
    if (!columns) return std::nullopt;
    for (std::string& column : *columns) column = NameInModel(feature) + "__" + column;
    return columns;
  }

  /// Of a derived view CheckDerivedViews has looked at the fields.
  void CheckJoin(const ModelFeature& feature) {
    const auto view = project_.views.find(feature.view);
    if (view == project_.views.end()) return;
    const std::vector<std::string>& entity = view->second.entity;
    for (const auto& [spine_column, entity_column] : feature.join) {
      if (std::find(entity.begin(), entity.end(), entity_column) != entity.end()) continue;
      Report("unknown_column", "'" + entity_column + "' is not an entity column of the view '" + feature.view + "'", feature.place,
             "join says {spine column: entity column}; " + SuggestionHint(entity_column, entity));
    }
  }

  /// A name before a dot in an expression: of an item of the model, or of a view.
  void FindNamedView(const ModelAsset& model, const std::string& name, const Place& place) {
    const std::string view = ViewNamed(model, name);
    if (view != name || files_.names.contains(view)) {
      FeaturesOf(view, place);
      return;
    }
    std::vector<std::string> names = NamesOf({AssetKind::kFeatureView, AssetKind::kDerivedView});
    for (const ModelFeature& feature : model.features) {
      if (!feature.as.empty()) names.push_back(feature.as);
    }
    Report("unknown_view", "unknown feature view '" + name + "'", place, SuggestionHint(name, names));
  }

  std::optional<std::vector<std::string>> ChosenColumns(const ModelFeature& feature,
                                                        const std::vector<FeatureDefinition>& features) {
    std::vector<std::string> all;
    std::string hint;
    for (const FeatureDefinition& definition : features) {
      if (definition.name == feature.feature) hint = "a feature with windows has one column for each; ";
      for (const std::string& column : FeatureColumns(definition)) {
        // Columns of equal names are reported for the view.
        if (std::find(all.begin(), all.end(), column) == all.end()) all.push_back(column);
      }
    }
    if (feature.feature == "*") return all;
    if (std::find(all.begin(), all.end(), feature.feature) != all.end()) return std::vector<std::string>{feature.feature};
    Report("unknown_feature", "the view '" + feature.view + "' has no feature '" + feature.feature + "'", feature.place,
           hint + SuggestionHint(feature.feature, all));
    return std::nullopt;
  }

  /// nullptr when there is no such view (reported) or its file is broken (reported elsewhere).
  const std::vector<FeatureDefinition>* FeaturesOf(const std::string& name, const Place& place) {
    const auto found = files_.names.find(name);
    if (found == files_.names.end()) {
      const std::vector<std::string> views = NamesOf({AssetKind::kFeatureView, AssetKind::kDerivedView});
      Report("unknown_view", "unknown feature view '" + name + "'", place,
             views.empty() ? "add features/" + name + ".yaml" : SuggestionHint(name, views));
      return nullptr;
    }
    if (found->second != AssetKind::kFeatureView && found->second != AssetKind::kDerivedView) {
      Report("wrong_kind", "'" + name + "' is " + WithArticle(found->second) + ", not a feature view", place,
             "columns of the spine are written without the table's name; features of other tables come from a feature view");
      return nullptr;
    }
    if (const auto view = project_.views.find(name); view != project_.views.end()) return &view->second.features;
    const auto derived = project_.derived_views.find(name);
    return derived == project_.derived_views.end() ? nullptr : &derived->second.features;
  }

  void CheckSteps(const ModelAsset& model, const std::set<std::string>& inputs) {
    const YamlNode* document = Document(files_, model.name);
    const YamlNode* steps = document == nullptr ? nullptr : document->Find("prepare");
    if (steps == nullptr) return;
    std::set<std::string> prepared;
    for (const YamlNode& step : steps->items) {
      const YamlNode* columns = step.entries.front().value.Find("columns");
      for (const YamlNode& column : columns->items) {
        if (!inputs.contains(column.text)) {
          Report("unknown_column", "the model has no input '" + column.text + "'", column.place,
                 SuggestionHint(column.text, {inputs.begin(), inputs.end()}));
        } else if (!prepared.insert(column.text).second) {
          Report("prepared_twice", "two steps prepare '" + column.text + "'", column.place,
                 "name an input in one step only; numeric and text mean the inputs that no step before has named");
        }
      }
    }
  }

  const LoadedFiles& files_;
  Project& project_;
  std::vector<Error>& errors_;
  std::map<std::string, std::string> folded_;
};

/// Walks the tables depth first; the stack is the path that a cycle is cut from.
class CycleFinder {
 public:
  CycleFinder(const LoadedFiles& files, const Project& project, std::vector<Error>* errors)
      : files_(files), project_(project), errors_(errors) {}

  bool Run() {
    for (const auto& [name, table] : project_.tables) Visit(name);
    return !found_;
  }

 private:
  void Visit(const std::string& name) {
    if (done_.contains(name)) return;
    const auto on_path = std::find(path_.begin(), path_.end(), name);
    if (on_path != path_.end()) return Report({on_path, path_.end()});
    const auto table = project_.tables.find(name);
    if (table == project_.tables.end()) return;
    path_.push_back(name);
    for (const std::string& input : table->second.inputs) Visit(input);
    path_.pop_back();
    done_.insert(name);
  }

  void Report(const std::vector<std::string>& cycle) {
    found_ = true;
    std::string spelled;
    for (const std::string& name : cycle) spelled += name + " -> ";
    spelled += cycle.front();
    Place place;
    for (const TableReference& reference : files_.references.at(cycle.back())) {
      if (FoldCase(reference.name) == FoldCase(cycle.front())) place = reference.place;
    }
    errors_->push_back(UserErrorAt(
        "cycle",
        cycle.size() == 1 ? "the table '" + cycle.front() + "' reads itself" : "tables read each other in a circle: " + spelled,
        place, "take one of these references out: a table can only be made from tables that are there before it"));
  }

  const LoadedFiles& files_;
  const Project& project_;
  std::vector<Error>* errors_;
  std::vector<std::string> path_;
  std::set<std::string> done_;
  bool found_ = false;
};

/// Finds for each table the way by which rows without a known time of their own reach it and no known_at is declared: from an
/// export of history, or from a Python table whose rows are made of all that it reads.
class HistoryTracer {
 public:
  HistoryTracer(const LoadedFiles& files, const Project& project) : files_(files), project_(project) {}

  /// "flights -> flights_utc -> departures", or "" when there is no such way.
  std::string Way(const std::string& name) {
    if (const auto source = project_.sources.find(name); source != project_.sources.end())
      return source->second.history ? name : "";
    const auto known = ways_.find(name);
    if (known != ways_.end()) return known->second;
    std::string way;
    const auto table = project_.tables.find(name);
    if (table != project_.tables.end() && table->second.known_at.empty() && !HasBrokenYaml(files_, project_, name)) {
      if (table->second.python && !table->second.python->keeps_rows) return ways_[name] = name;
      for (const std::string& input : table->second.inputs) {
        way = Way(input);
        if (way.empty()) continue;
        way += " -> " + name;
        break;
      }
    }
    return ways_[name] = way;
  }

 private:
  const LoadedFiles& files_;
  const Project& project_;
  std::map<std::string, std::string> ways_;
};

}  // namespace

void ResolveReferences(const LoadedFiles& files, Project* project, std::vector<Error>* errors) {
  Resolver(files, project, errors).Run();
}

bool CheckCycles(const LoadedFiles& files, const Project& project, std::vector<Error>* errors) {
  return CycleFinder(files, project, errors).Run();
}

void CheckHistory(const LoadedFiles& files, const Project& project, std::vector<Error>* errors) {
  HistoryTracer tracer(files, project);
  const auto check = [&](const std::string& table, const std::string& reader, Place place) {
    if (!project.tables.contains(table)) return;
    const std::string way = tracer.Way(table);
    if (way.empty()) return;
    const std::string source = way.substr(0, way.find(' '));
    if (project.tables.contains(source)) {
      errors->push_back(
          UserErrorAt("python_without_known_at",
                      reader + " reads rows of the Python table '" + source + "'" + (source == table ? "" : " (" + way + ")") +
                          ", which declares no known_at: nobody can tell what was known when",
                      std::move(place),
                      "write in tables/" + source +
                          ".yaml which column tells when a row could be known: 'known_at: COLUMN', or 'keeps_rows: true' if "
                          "its rows are rows of what it reads"));
      return;
    }
    errors->push_back(UserErrorAt(
        "history_without_known_at",
        reader + " could read what was not known yet: '" + table + "' is made from the history in '" + source + "' (" + way +
            ") and no table on the way declares known_at",
        std::move(place), "write in tables/" + table + ".yaml which column tells when a row could be known: 'known_at: COLUMN'"));
  };
  for (const auto& [name, view] : project.views)
    check(view.from, "the feature view '" + name + "'", PlaceOf(files, name, {"from"}));
  for (const auto& [name, model] : project.models)
    check(model.spine, "the model '" + name + "'", PlaceOf(files, name, {"training_set", "spine"}));
}

}  // namespace tidemill
