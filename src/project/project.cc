#include "project/project.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/files.h"
#include "base/sha256.h"
#include "base/text_distance.h"
#include "project/asset_reader.h"
#include "project/canonical_definition.h"
#include "project/definition_files.h"
#include "project/derived_view_checks.h"
#include "project/python_source.h"
#include "project/reference_checks.h"
#include "project/schema_validator.h"
#include "project/yaml_document.h"
#include "sql/database.h"
#include "sql/statement.h"

namespace tidemill::embedded {
std::string_view tidemill_schema_json();
std::string_view source_schema_json();
std::string_view table_schema_json();
std::string_view feature_view_schema_json();
std::string_view derived_view_schema_json();
std::string_view model_schema_json();
}  // namespace tidemill::embedded

namespace tidemill {
namespace fs = std::filesystem;
namespace {

constexpr size_t kReportedErrorsMax = 100;

/// Files at a project's root that pin what is installed in its Python environment.
constexpr std::string_view kPackageFiles[] = {"requirements.txt", "requirements.lock", "uv.lock", "poetry.lock", "Pipfile.lock"};

std::string_view SchemaName(AssetKind kind) {
  switch (kind) {
    case AssetKind::kSource:
      return "source";
    case AssetKind::kTable:
      return "table";
    case AssetKind::kFeatureView:
      return "feature_view";
    case AssetKind::kDerivedView:
      return "derived_view";
    case AssetKind::kModel:
      return "model";
  }
  return "";
}

int64_t ReadMegabytes(std::string_view text) {
  const int64_t number = std::stoll(std::string(text.substr(0, text.size() - 2)));
  return text.ends_with("GB") ? number * 1024 : number;
}

/// One error that carries the others.
Error Combine(std::vector<Error> errors) {
  if (errors.size() > kReportedErrorsMax) errors.resize(kReportedErrorsMax);
  Error first = std::move(errors.front());
  errors.erase(errors.begin());
  for (Error& other : errors) first.others.push_back(std::move(other));
  return first;
}

/// Loads a project: files, then assets one by one, then what holds between them. Goes on after errors as far as they let it.
class Loader {
 public:
  Loader(fs::path root, Session& session) : session_(session), reader_(session, &errors_) {
    project_.root = std::move(root);
    project_.python.folder = project_.root;
  }

  Result<Project> Load() {
    ReadProjectFile();
    const std::vector<DefinitionFile> files = ListDefinitions(project_.root, &errors_);
    CheckNames(files);
    for (const DefinitionFile& file : files) ReadDefinition(file);
    RefuseTablesWithoutText(files);
    CheckPythonColumns();
    if (files.empty() && errors_.empty()) {
      errors_.push_back(UserErrorAt(
          "empty_project", "the project has no assets", FilePlace(std::string(kProjectFile)),
          "add sources/NAME.yaml, tables/NAME.sql, features/NAME.yaml and models/NAME.yaml; 'tidemill init' makes an example"));
    }
    ResolveReferences(loaded_, &project_, &errors_);
    if (CheckDerivedViews(loaded_, project_, &errors_)) CheckDerivedLeaks(project_, reader_);
    if (CheckCycles(loaded_, project_, &errors_)) CheckHistory(loaded_, project_, &errors_);
    if (!errors_.empty()) return Combine(std::move(errors_));
    BuildGraph();
    return std::move(project_);
  }

 private:
  /// The text of a file, kept for archives; nullptr (and an error) when it can't be read.
  const std::string* ReadText(const std::string& path) {
    auto text = ReadFile(project_.root / path);
    if (text.ok()) return &(project_.definitions[path] = std::move(text).value());
    errors_.push_back(text.error());
    return nullptr;
  }

  /// A file of features is of a derived view when it says what such a view is made from.
  static bool IsDerivedView(const YamlNode& document) {
    const bool derived = document.Find("request") != nullptr || document.Find("uses") != nullptr;
    return derived && document.Find("from") == nullptr && document.Find("entity") == nullptr;
  }

  std::optional<YamlNode> ParseFile(const std::string& path) {
    const std::string* text = ReadText(path);
    if (text == nullptr) return std::nullopt;
    auto document = ParseYaml(*text, path);
    if (!document.ok()) {
      errors_.push_back(document.error());
      return std::nullopt;
    }
    return std::move(document).value();
  }

  bool IsValid(std::string_view schema, const YamlNode& document) {
    auto validator = validators_.find(schema);
    if (validator == validators_.end()) validator = validators_.emplace(schema, Json::parse(FormatSchema(schema))).first;
    std::vector<Error> problems = validator->second.Validate(document);
    for (Error& problem : problems) errors_.push_back(std::move(problem));
    return problems.empty();
  }

  void ReadProjectFile() {
    const auto document = ParseFile(std::string(kProjectFile));
    if (!document || !IsValid("tidemill", *document)) return;
    project_.name = document->Find("project")->text;
    if (const YamlNode* limit = document->Find("memory_limit")) project_.memory_limit_mb = ReadMegabytes(limit->text);
    if (const YamlNode* threads = document->Find("threads")) project_.threads = static_cast<int>(threads->Integer());
    if (const YamlNode* now = document->Find("now")) ReadNow(*now);
    if (const YamlNode* python = document->Find("python")) ReadPythonSettings(*python);
    if (const YamlNode* online = document->Find("online")) ReadOnlineSettings(*online);
  }

  void ReadOnlineSettings(const YamlNode& node) {
    OnlineSettings& settings = project_.online;
    if (const YamlNode* limit = node.Find("cache_limit")) settings.cache_mb = ReadMegabytes(limit->text);
    if (const YamlNode* age = node.Find("answers_age")) settings.answers_age = reader_.ReadDuration(age, settings.answers_age);
    if (const YamlNode* rows = node.Find("answers_rows")) settings.answers_rows = rows->Integer();
  }

  void ReadPythonSettings(const YamlNode& node) {
    PythonSettings& settings = project_.python;
    if (node.kind == YamlNode::Kind::kScalar) settings.interpreter = node.text;
    if (const YamlNode* interpreter = node.Find("interpreter")) settings.interpreter = interpreter->text;
    if (const YamlNode* limit = node.Find("memory_limit")) settings.memory_limit_mb = ReadMegabytes(limit->text);
    if (const YamlNode* limit = node.Find("time_limit")) settings.time_limit = reader_.ReadDuration(limit, settings.time_limit);
  }

  void ReadNow(const YamlNode& node) {
    auto now = ParseTimestamp(node.text);
    if (now.ok()) {
      project_.now = *now;
    } else {
      Error error = std::move(now).error();
      error.place = node.place;
      errors_.push_back(std::move(error));
    }
  }

  /// Every name is unique over all kinds, as SQL compares names.
  void CheckNames(const std::vector<DefinitionFile>& files) {
    std::map<std::string, const DefinitionFile*> first;
    for (const DefinitionFile& file : files) {
      const auto [known, is_new] = first.emplace(FoldCase(file.name), &file);
      const bool other_half = !is_new && known->second->kind == AssetKind::kTable && file.kind == AssetKind::kTable &&
                              known->second->name == file.name;
      if (is_new) loaded_.names.emplace(file.name, file.kind);
      if (is_new || other_half) continue;
      errors_.push_back(UserErrorAt(
          "duplicate_name", "the name '" + file.name + "' is taken by " + known->second->path, FilePlace(file.path),
          "rename one of the two files: names are unique in a project, and upper and lower case are the same in SQL"));
    }
  }

  void ReadDefinition(const DefinitionFile& file) {
    if (file.path.ends_with(".sql")) return ReadTableSql(file);
    if (file.path.ends_with(".py")) return ReadTablePython(file);
    auto document = ParseFile(file.path);
    if (!document) return;
    const bool derived = file.kind == AssetKind::kFeatureView && IsDerivedView(*document);
    const AssetKind kind = derived ? AssetKind::kDerivedView : file.kind;
    if (derived) loaded_.names[file.name] = kind;
    if (!IsValid(SchemaName(kind), *document)) return;
    switch (kind) {
      case AssetKind::kSource:
        project_.sources[file.name] = reader_.ReadSource(file.name, *document);
        break;
      case AssetKind::kTable:
        MergeTable(reader_.ReadTable(file.name, *document));
        break;
      case AssetKind::kFeatureView:
        project_.views[file.name] = reader_.ReadView(file.name, *document);
        break;
      case AssetKind::kDerivedView:
        project_.derived_views[file.name] = reader_.ReadDerivedView(file.name, *document);
        break;
      case AssetKind::kModel:
        project_.models[file.name] = reader_.ReadModel(file.name, *document);
        break;
    }
    loaded_.documents.emplace(file.name, std::move(*document));
  }

  /// The same for a file that must be UTF-8.
  const std::string* ReadCode(const std::string& path) {
    const std::string* text = ReadText(path);
    const size_t invalid = text == nullptr ? std::string::npos : FindInvalidUtf8(*text);
    if (invalid == std::string::npos) return text;
    Place place = PlaceAt(*text, path, invalid, 1);
    place.excerpt.clear();
    errors_.push_back(UserErrorAt("not_utf8", "the file is not UTF-8 text", place, "save it as UTF-8"));
    return nullptr;
  }

  /// tables/NAME.sql; NAME.yaml comes after it.
  void ReadTableSql(const DefinitionFile& file) {
    const std::string* text = ReadCode(file.path);
    if (text == nullptr) return;
    if (loaded_.references.contains(file.name)) {
      errors_.push_back(UserErrorAt("duplicate_name", "the table '" + file.name + "' is written in Python and in SQL",
                                    FilePlace(file.path), "delete one of tables/" + file.name + ".py and " + file.path));
      return;
    }
    auto statement = ParseSelect(session_, *text, file.path);
    if (!statement.ok()) {
      errors_.push_back(statement.error());
      return;
    }
    TableAsset& table = project_.tables[file.name];
    table.name = file.name;
    table.sql = *text;
    table.file = file.path;
    table.place = FilePlace(file.path);
    table.canonical = CanonicalText(statement->tree);
    table.tree = std::move(statement->tree);
    loaded_.references[file.name] = std::move(statement->tables);
  }

  /// tables/NAME.py; nothing of it is run.
  void ReadTablePython(const DefinitionFile& file) {
    const std::string* text = ReadCode(file.path);
    if (text == nullptr) return;
    auto source = ReadPythonTable(*text, file.path, kPythonFunction);
    auto imported = source.ok() ? ImportedFiles(project_.root, source->imports) : source.error();
    if (!imported.ok()) {
      errors_.push_back(std::move(imported).error());
      return;
    }
    TableAsset& table = project_.tables[file.name];
    table.name = file.name;
    table.file = file.path;
    table.place = FilePlace(file.path);
    table.python.emplace();
    table.python->sources = std::move(imported).value();
    table.python->sources[file.path] = *text;
    for (const TableReference& parameter : source->parameters) table.python->parameters.push_back(parameter.name);
    table.python->packages = ReadPackageFiles();
    table.canonical = CanonicalPython(*table.python);
    for (const auto& [path, code] : table.python->sources) project_.definitions[path] = code;
    loaded_.references[file.name] = std::move(source->parameters);
  }

  std::map<std::string, std::string> ReadPackageFiles() {
    std::map<std::string, std::string> packages;
    for (const std::string_view name : kPackageFiles) {
      const std::string path(name);
      std::error_code code;
      if (!fs::is_regular_file(project_.root / path, code)) continue;
      if (const std::string* text = ReadCode(path)) packages[path] = *text;
    }
    return packages;
  }

  static std::string CanonicalPython(const PythonTable& python) {
    Json files = Json::object();
    for (const auto& [path, text] : python.sources) files[path] = ReadPythonModule(text, path).canonical;
    for (const auto& [path, text] : python.packages) files[path] = text;
    return files.dump();
  }

  /// What only Python tables declare, and must.
  void CheckPythonColumns() {
    for (const auto& [name, table] : project_.tables) {
      const auto document = loaded_.documents.find(name);
      const YamlNode* yaml = document == loaded_.documents.end() ? nullptr : &document->second;
      for (const char* key : {"columns", "keeps_rows"}) {
        const YamlNode* node = yaml == nullptr || table.python ? nullptr : yaml->Find(key);
        if (node == nullptr) continue;
        errors_.push_back(UserErrorAt("python_only",
                                      "'" + std::string(key) + "' is for tables in Python, and '" + name + "' is in SQL",
                                      node->place, "leave it out: the columns of a table in SQL are those of its SELECT"));
      }
      const std::string yaml_file = "tables/" + name + ".yaml";
      const bool broken = yaml == nullptr && project_.definitions.contains(yaml_file);
      if (!table.python || !table.python->columns.empty() || broken) continue;
      errors_.push_back(
          UserErrorAt("missing_columns", "the Python table '" + name + "' does not declare its columns",
                      FilePlace(yaml == nullptr ? table.file : yaml_file),
                      "write in " + yaml_file +
                          " what the function returns: 'columns: {customer: text, spent: number}' (types: boolean, integer, "
                          "number, text, timestamp, date)"));
    }
  }

  void MergeTable(TableAsset declared) {
    // Files come sorted: the SQL was read before the YAML. Without it (broken, or missing) there is no table.
    const auto found = project_.tables.find(declared.name);
    if (found == project_.tables.end()) return;
    found->second.key = std::move(declared.key);
    found->second.timestamp = std::move(declared.timestamp);
    found->second.known_at = std::move(declared.known_at);
    found->second.update = declared.update;
    if (!found->second.python || !declared.python) return;
    found->second.python->columns = std::move(declared.python->columns);
    found->second.python->keeps_rows = declared.python->keeps_rows;
  }

  void RefuseTablesWithoutText(const std::vector<DefinitionFile>& files) {
    std::set<std::string> with_text;
    for (const DefinitionFile& file : files) {
      if (!file.path.ends_with(".yaml")) with_text.insert(file.name);
    }
    for (const DefinitionFile& file : files) {
      if (file.kind != AssetKind::kTable || with_text.contains(file.name)) continue;
      errors_.push_back(
          UserErrorAt("missing_sql", "the table '" + file.name + "' has no SQL", FilePlace(file.path),
                      "add tables/" + file.name + ".sql with a SELECT, or tables/" + file.name + ".py with a function"));
    }
  }

  void BuildGraph() {
    const CanonicalExpression canonical = [this](const std::string& expression) {
      const Json* tree = reader_.Tree(expression);
      return tree == nullptr ? expression : CanonicalText(*tree);
    };
    std::map<std::string, AssetNode> nodes;
    for (const auto& [name, source] : project_.sources)
      nodes[name] = {name, AssetKind::kSource, {}, source.place.file, CanonicalDefinition(source)};
    for (const auto& [name, table] : project_.tables)
      nodes[name] = {name, AssetKind::kTable, table.inputs, table.file, CanonicalDefinition(table)};
    for (const auto& [name, view] : project_.views)
      nodes[name] = {name, AssetKind::kFeatureView, {view.from}, view.place.file, CanonicalDefinition(view, canonical)};
    for (const auto& [name, view] : project_.derived_views)
      nodes[name] = {name, AssetKind::kDerivedView, DerivedInputs(view), view.place.file, CanonicalDefinition(view, canonical)};
    for (const auto& [name, model] : project_.models)
      nodes[name] = {name, AssetKind::kModel, ModelInputs(model), model.place.file, CanonicalDefinition(model, canonical)};
    SortGraph(std::move(nodes));
  }

  static void AddInput(const std::string& name, std::vector<std::string>* inputs) {
    if (std::find(inputs->begin(), inputs->end(), name) == inputs->end()) inputs->push_back(name);
  }

  static std::vector<std::string> DerivedInputs(const DerivedViewAsset& view) {
    std::vector<std::string> inputs;
    for (const ViewUse& use : view.uses) AddInput(use.view, &inputs);
    return inputs;
  }

  static std::vector<std::string> ModelInputs(const ModelAsset& model) {
    std::vector<std::string> inputs = {model.spine};
    for (const ModelFeature& feature : model.features) {
      if (!feature.view.empty()) AddInput(feature.view, &inputs);
      for (const std::string& named : feature.named_views) AddInput(ViewNamed(model, named), &inputs);
    }
    return inputs;
  }

  /// Of the assets whose inputs are all there, the first by kind and name comes next.
  void SortGraph(std::map<std::string, AssetNode> nodes) {
    std::map<std::string, size_t> missing;
    std::map<std::string, std::vector<std::string>> readers;
    std::set<std::pair<AssetKind, std::string>> ready;
    for (const auto& [name, node] : nodes) {
      missing[name] = node.inputs.size();
      for (const std::string& input : node.inputs) readers[input].push_back(name);
      if (node.inputs.empty()) ready.emplace(node.kind, name);
    }
    while (!ready.empty()) {
      const std::string name = ready.begin()->second;
      ready.erase(ready.begin());
      project_.graph.push_back(std::move(nodes[name]));
      for (const std::string& reader : readers[name]) {
        if (--missing[reader] == 0) ready.emplace(nodes[reader].kind, reader);
      }
    }
  }

  Session& session_;
  std::vector<Error> errors_;
  AssetReader reader_;
  Project project_;
  LoadedFiles loaded_;
  std::map<std::string, SchemaValidator, std::less<>> validators_;
};

}  // namespace

std::string_view AssetKindName(AssetKind kind) {
  switch (kind) {
    case AssetKind::kSource:
      return "source";
    case AssetKind::kTable:
      return "table";
    case AssetKind::kFeatureView:
      return "feature view";
    case AssetKind::kDerivedView:
      return "derived view";
    case AssetKind::kModel:
      return "model";
  }
  return "";
}

std::string ViewNamed(const ModelAsset& model, const std::string& name) {
  for (const ModelFeature& feature : model.features) {
    if (!feature.view.empty() && NameInModel(feature) == name) return feature.view;
  }
  return name;
}

const AssetNode* Project::Find(std::string_view asset) const {
  const auto found = std::find_if(graph.begin(), graph.end(), [&](const AssetNode& node) { return node.name == asset; });
  return found == graph.end() ? nullptr : &*found;
}

std::optional<Timestamp> PinnedNow(const fs::path& folder) {
  const auto root = FindProjectRoot(folder);
  if (!root.ok()) return std::nullopt;
  const auto text = ReadFile(*root / kProjectFile);
  if (!text.ok()) return std::nullopt;
  const auto document = ParseYaml(*text, std::string(kProjectFile));
  const YamlNode* now = document.ok() ? document->Find("now") : nullptr;
  if (now == nullptr) return std::nullopt;
  const auto time = ParseTimestamp(now->text);
  return time.ok() ? std::optional(*time) : std::nullopt;
}

Result<Project> LoadProject(const fs::path& folder) {
  TIDEMILL_ASSIGN_OR_RETURN(fs::path root, FindProjectRoot(folder));
  DatabaseOptions options;  // only its parser is used
  options.memory_limit_mb = 256;
  options.threads = 1;
  TIDEMILL_ASSIGN_OR_RETURN(const auto database, Database::Open(options));
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, database->Connect());
  return Loader(std::move(root), *session).Load();
}

Result<std::map<std::string, std::string>> ReadDefinitions(const Project& project) { return project.definitions; }

std::map<std::string, std::string> Fingerprints(const Project& project, std::string_view engine) {
  std::map<std::string, std::string> fingerprints;
  for (const AssetNode& node : project.graph) {
    Json identity = {{"engine", engine}, {"definition", node.definition}, {"inputs", Json::array()}};
    for (const std::string& input : node.inputs) identity["inputs"].push_back({input, fingerprints[input]});
    fingerprints[node.name] = Sha256(identity.dump());
  }
  return fingerprints;
}

std::string_view FormatSchema(std::string_view format) {
  if (format == "tidemill") return embedded::tidemill_schema_json();
  if (format == "source") return embedded::source_schema_json();
  if (format == "table") return embedded::table_schema_json();
  if (format == "feature_view") return embedded::feature_view_schema_json();
  if (format == "derived_view") return embedded::derived_view_schema_json();
  if (format == "model") return embedded::model_schema_json();
  return "";
}

}  // namespace tidemill
