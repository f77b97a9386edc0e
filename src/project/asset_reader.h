#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "project/project.h"
#include "project/yaml_document.h"
#include "sql/database.h"

namespace tidemill {

/// Turns YAML documents that fit their schema into assets, and finds what is wrong in one file alone: values that
/// contradict each other, expressions that don't parse. Not thread-safe.
class AssetReader {
 public:
  /// Errors are appended to `errors`; both must outlive the reader.
  AssetReader(Session& session, std::vector<Error>* errors) : session_(session), errors_(errors) {}

  SourceAsset ReadSource(const std::string& name, const YamlNode& document);
  /// Everything of a table but its SQL or Python.
  TableAsset ReadTable(const std::string& name, const YamlNode& document);
  FeatureViewAsset ReadView(const std::string& name, const YamlNode& document);
  DerivedViewAsset ReadDerivedView(const std::string& name, const YamlNode& document);
  ModelAsset ReadModel(const std::string& name, const YamlNode& document);

  Duration ReadDuration(const YamlNode* node, Duration otherwise);

  /// The parse tree of an expression that was read, nullptr when it didn't parse.
  const Json* Tree(const std::string& expression) const;
  /// Lower-case names of the spine's columns that tell the label: what a model's inputs must not read.
  std::set<std::string> ColumnsOfLabel(const ModelAsset& model) const;
  /// Reports an input that reads what tells the label.
  void ReportLeak(const ModelAsset& model, const std::string& input, const std::string& column, const Place& place);

 private:
  void Report(std::string code, std::string message, Place place, std::string hint = "");
  void ParseText(const std::string& expression, const Place& place);
  ContractColumn ReadContractColumn(const YamlEntry& entry);
  void CheckContractColumn(const ContractColumn& column, const YamlNode& node);
  void CheckContractNames(const SourceAsset& source, const YamlNode& document);
  void CheckPushed(const SourceAsset& source, const YamlNode& document);
  void ReadPythonColumns(const YamlNode& document, TableAsset* table);
  FeatureDefinition ReadFeature(const YamlEntry& entry, const YamlNode& view);
  void CheckFeatureColumns(const FeatureViewAsset& view, const YamlNode& document);
  static ViewUse ReadUse(const YamlNode& node);
  void CheckDerivedNames(const DerivedViewAsset& view, const YamlNode& document);
  ModelFeature ReadModelFeature(const YamlNode& node);
  ModelFeature ReadExpression(const std::string& name, const YamlNode& node);
  Gate ReadGate(const YamlEntry& entry);
  void ReadAlgorithm(const YamlNode& node, ModelAsset* model);
  void CheckLeaks(const ModelAsset& model);

  Session& session_;
  std::vector<Error>* errors_;
  std::map<std::string, std::optional<Json>> trees_;
};

/// Names of the columns that a parsed expression reads, those of `views` (`view.feature`) aside.
std::vector<std::string> ColumnsRead(const Json& tree, const std::vector<std::string>& views = {});

/// What a parsed expression names before a dot: tables or views, sorted.
std::vector<std::string> QualifiersRead(const Json& tree);

/// Lower-case ASCII: names are compared as SQL compares them.
std::string FoldCase(std::string_view name);

}  // namespace tidemill
