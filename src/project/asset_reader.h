#pragma once

#include <map>
#include <optional>
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
  ModelAsset ReadModel(const std::string& name, const YamlNode& document);

  Duration ReadDuration(const YamlNode* node, Duration otherwise);

  /// The parse tree of an expression that was read, nullptr when it didn't parse.
  const Json* Tree(const std::string& expression) const;

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
  ModelFeature ReadModelFeature(const YamlNode& node);
  ModelFeature ReadExpression(const std::string& name, const YamlNode& node);
  Gate ReadGate(const YamlEntry& entry);
  void ReadAlgorithm(const YamlNode& node, ModelAsset* model);
  void CheckLeaks(const ModelAsset& model);

  Session& session_;
  std::vector<Error>* errors_;
  std::map<std::string, std::optional<Json>> trees_;
};

/// Names of the columns that a parsed expression reads.
std::vector<std::string> ColumnsRead(const Json& tree);

/// Lower-case ASCII: names are compared as SQL compares them.
std::string FoldCase(std::string_view name);

}  // namespace tidemill
