#include "model/onnx_graph.h"

#include <bit>
#include <limits>

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

namespace tidemill {
namespace {

constexpr int kIrVersion = 8;
constexpr int kOnnxOperators = 17;
constexpr int kTreeOperators = 3;  // of ai.onnx.ml: the first with double trees
constexpr std::string_view kTreeDomain = "ai.onnx.ml";

/// Builds a graph node by node; a node's name is its output's.
class GraphBuilder {
 public:
  explicit GraphBuilder(onnx::GraphProto* graph) : graph_(graph) {}

  void AddInput(const std::string& name, int32_t element_type) { Describe(graph_->add_input(), name, element_type); }
  void AddOutput(std::string_view name) { Describe(graph_->add_output(), std::string(name), onnx::TensorProto::FLOAT); }

  onnx::NodeProto* AddNode(std::string_view operation, const std::vector<std::string>& inputs, std::string_view output,
                           std::string_view domain = "") {
    onnx::NodeProto* node = graph_->add_node();
    node->set_op_type(std::string(operation));
    node->set_domain(std::string(domain));
    node->set_name(std::string(output));
    for (const std::string& input : inputs) node->add_input(input);
    node->add_output(std::string(output));
    return node;
  }

  std::string AddConstant(const std::string& name, const std::vector<double>& row) {
    onnx::TensorProto* tensor = AddRow(name, onnx::TensorProto::DOUBLE, row.size());
    for (const double value : row) tensor->add_double_data(value);
    return name;
  }
  std::string AddConstant(const std::string& name, const std::vector<int64_t>& row) {
    onnx::TensorProto* tensor = AddRow(name, onnx::TensorProto::INT64, row.size());
    for (const int64_t value : row) tensor->add_int64_data(value);
    return name;
  }
  /// Of one dimension.
  std::string AddList(const std::string& name, const std::vector<int64_t>& values) {
    onnx::TensorProto* tensor = graph_->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(onnx::TensorProto::INT64);
    tensor->add_dims(static_cast<int64_t>(values.size()));
    for (const int64_t value : values) tensor->add_int64_data(value);
    return name;
  }

 private:
  static void Describe(onnx::ValueInfoProto* value, const std::string& name, int32_t element_type) {
    value->set_name(name);
    onnx::TypeProto::Tensor* tensor = value->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(element_type);
    tensor->mutable_shape()->add_dim()->set_dim_param("rows");
    tensor->mutable_shape()->add_dim()->set_dim_value(1);
  }

  onnx::TensorProto* AddRow(const std::string& name, int32_t element_type, size_t width) {
    onnx::TensorProto* tensor = graph_->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(element_type);
    tensor->add_dims(1);
    tensor->add_dims(static_cast<int64_t>(width));
    return tensor;
  }

  onnx::GraphProto* graph_;
};

onnx::AttributeProto* AddAttribute(onnx::NodeProto* node, std::string_view name, onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto* attribute = node->add_attribute();
  attribute->set_name(std::string(name));
  attribute->set_type(type);
  return attribute;
}

void SetInt(onnx::NodeProto* node, std::string_view name, int64_t value) {
  AddAttribute(node, name, onnx::AttributeProto::INT)->set_i(value);
}

void SetText(onnx::NodeProto* node, std::string_view name, std::string_view value) {
  AddAttribute(node, name, onnx::AttributeProto::STRING)->set_s(std::string(value));
}

void SetInts(onnx::NodeProto* node, std::string_view name, const std::vector<int64_t>& values) {
  onnx::AttributeProto* attribute = AddAttribute(node, name, onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute->add_ints(value);
}

void SetTexts(onnx::NodeProto* node, std::string_view name, const std::vector<std::string>& values) {
  onnx::AttributeProto* attribute = AddAttribute(node, name, onnx::AttributeProto::STRINGS);
  for (const std::string& value : values) attribute->add_strings(value);
}

void SetDoubles(onnx::NodeProto* node, std::string_view name, const std::vector<double>& values) {
  onnx::TensorProto* tensor = AddAttribute(node, name, onnx::AttributeProto::TENSOR)->mutable_t();
  tensor->set_name(std::string(name));
  tensor->set_data_type(onnx::TensorProto::DOUBLE);
  tensor->add_dims(static_cast<int64_t>(values.size()));
  for (const double value : values) tensor->add_double_data(value);
}

// ---- Preparation ----

/// Each number less its center, divided by its scale; 0 and 1 leave it as it is.
std::string AddStandardization(GraphBuilder& graph, const std::string& numbers, const std::vector<double>& centers,
                               const std::vector<double>& scales) {
  graph.AddNode("Sub", {numbers, graph.AddConstant("/centers", centers)}, "/numbers_centered");
  graph.AddNode("Div", {"/numbers_centered", graph.AddConstant("/scales", scales)}, "/numbers_standardized");
  return "/numbers_standardized";
}

/// All numbers side by side, NaN replaced by each column's fill (which is NaN itself where nothing is to be filled).
std::string AddNumbers(GraphBuilder& graph, const std::vector<PreparedInput>& inputs) {
  std::vector<std::string> names;
  std::vector<double> fills, centers, scales;
  bool any_fill = false;
  bool any_standardized = false;
  for (const PreparedInput& input : inputs) {
    if (input.encoding != PreparedInput::Encoding::kNumber) continue;
    names.push_back(input.name);
    fills.push_back(input.fill.value_or(std::numeric_limits<double>::quiet_NaN()));
    any_fill = any_fill || input.fill.has_value();
    centers.push_back(input.center);
    scales.push_back(input.scale);
    any_standardized = any_standardized || input.standardized;
  }
  if (names.empty()) return "";
  SetInt(graph.AddNode("Concat", names, "/numbers"), "axis", 1);
  std::string numbers = "/numbers";
  if (any_fill) {
    graph.AddNode("IsNaN", {"/numbers"}, "/numbers_missing");
    graph.AddNode("Where", {"/numbers_missing", graph.AddConstant("/fills", fills), "/numbers"}, "/numbers_filled");
    numbers = "/numbers_filled";
  }
  return any_standardized ? AddStandardization(graph, numbers, centers, scales) : numbers;
}

/// A text as its code, and that as a number or as one column for each code.
std::string AddText(GraphBuilder& graph, const PreparedInput& input) {
  std::vector<std::string> keys{std::string(kMissingText)};
  std::vector<int64_t> codes{kMissingCode};
  for (const std::string& category : input.categories) {
    codes.push_back(kFirstCategoryCode + static_cast<int64_t>(keys.size()) - 1);
    keys.push_back(category);
  }
  const std::string code = fmt::format("/{}/code", input.name);
  onnx::NodeProto* encoder = graph.AddNode("LabelEncoder", {input.name}, code, kTreeDomain);
  SetTexts(encoder, "keys_strings", keys);
  SetInts(encoder, "values_int64s", codes);
  SetInt(encoder, "default_int64", kOtherCode);
  std::string chosen = code;
  if (input.encoding == PreparedInput::Encoding::kOneHot) {
    std::vector<int64_t> all_codes(input.width);
    for (size_t i = 0; i < all_codes.size(); ++i) all_codes[i] = static_cast<int64_t>(i);
    chosen = fmt::format("/{}/is", input.name);
    graph.AddNode("Equal", {code, graph.AddConstant(fmt::format("/{}/codes", input.name), all_codes)}, chosen);
  }
  const std::string columns = fmt::format("/{}/columns", input.name);
  SetInt(graph.AddNode("Cast", {chosen}, columns), "to", onnx::TensorProto::DOUBLE);
  return columns;
}

/// The matrix that the algorithm reads.
std::string AddPreparation(GraphBuilder& graph, const Preparation& preparation) {
  std::vector<std::string> parts;
  if (std::string numbers = AddNumbers(graph, preparation.inputs()); !numbers.empty()) parts.push_back(std::move(numbers));
  for (const PreparedInput& input : preparation.inputs()) {
    if (input.encoding != PreparedInput::Encoding::kNumber) parts.push_back(AddText(graph, input));
  }
  if (parts.size() == 1) return parts.front();
  SetInt(graph.AddNode("Concat", parts, "/matrix"), "axis", 1);
  return "/matrix";
}

// ---- Trees ----

/// The node lists of TreeEnsembleRegressor. In each tree the inner nodes come first (node i is inner node i), then the leaves.
struct EnsembleLists {
  std::vector<int64_t> tree, node, column, true_node, false_node, missing_true;
  std::vector<double> threshold;
  std::vector<std::string> mode;
  std::vector<int64_t> leaf_tree, leaf_node;
  std::vector<double> leaf_weight;
};

void AppendTree(EnsembleLists& lists, const DecisionTree& tree, int64_t number) {
  const auto inner_count = static_cast<int64_t>(tree.column.size());
  const auto node_of_child = [&](int child) { return child >= 0 ? int64_t{child} : inner_count + ~child; };
  const auto append = [&](int64_t node, std::string_view mode, int column, double threshold, int64_t true_node,
                          int64_t false_node, bool missing_true) {
    lists.tree.push_back(number);
    lists.node.push_back(node);
    lists.mode.emplace_back(mode);
    lists.column.push_back(column);
    lists.threshold.push_back(threshold);
    lists.true_node.push_back(true_node);
    lists.false_node.push_back(false_node);
    lists.missing_true.push_back(missing_true ? 1 : 0);
  };
  for (int64_t i = 0; i < inner_count; ++i) {
    const auto at = static_cast<size_t>(i);
    append(i, "BRANCH_LEQ", tree.column[at], tree.threshold[at], node_of_child(tree.left[at]), node_of_child(tree.right[at]),
           tree.missing_left[at] != 0);
  }
  for (size_t leaf = 0; leaf < tree.leaf_value.size(); ++leaf) {
    const int64_t node = inner_count + static_cast<int64_t>(leaf);
    append(node, "LEAF", 0, 0.0, 0, 0, false);
    lists.leaf_tree.push_back(number);
    lists.leaf_node.push_back(node);
    lists.leaf_weight.push_back(tree.leaf_value[leaf]);
  }
}

void AddFunction(GraphBuilder& graph, const std::string& matrix, const TreeEnsemble& ensemble) {
  EnsembleLists lists;
  for (size_t i = 0; i < ensemble.trees.size(); ++i) AppendTree(lists, ensemble.trees[i], static_cast<int64_t>(i));
  onnx::NodeProto* node = graph.AddNode("TreeEnsembleRegressor", {matrix}, kRawScoreOutput, kTreeDomain);
  SetInts(node, "nodes_treeids", lists.tree);
  SetInts(node, "nodes_nodeids", lists.node);
  SetInts(node, "nodes_featureids", lists.column);
  SetTexts(node, "nodes_modes", lists.mode);
  SetDoubles(node, "nodes_values_as_tensor", lists.threshold);
  SetInts(node, "nodes_truenodeids", lists.true_node);
  SetInts(node, "nodes_falsenodeids", lists.false_node);
  SetInts(node, "nodes_missing_value_tracks_true", lists.missing_true);
  SetInts(node, "target_treeids", lists.leaf_tree);
  SetInts(node, "target_nodeids", lists.leaf_node);
  SetInts(node, "target_ids", std::vector<int64_t>(lists.leaf_node.size(), 0));
  SetDoubles(node, "target_weights_as_tensor", lists.leaf_weight);
  SetInt(node, "n_targets", 1);
  SetText(node, "aggregate_function", ensemble.averaged ? "AVERAGE" : "SUM");
  SetText(node, "post_transform", "NONE");
}

// ---- Weights ----

/// Evaluate(LinearFunction) step by step: a matrix product would add up in an order that depends on the number of rows.
void AddFunction(GraphBuilder& graph, const std::string& matrix, const LinearFunction& function) {
  const auto width = static_cast<int64_t>(function.weights.size());
  const auto padded = static_cast<int64_t>(std::bit_ceil(function.weights.size()));
  std::string terms = "/terms";
  graph.AddNode("Mul", {matrix, graph.AddConstant("/weights", function.weights)}, terms);
  if (padded > width) {
    graph.AddNode("Pad", {terms, graph.AddList("/padding", {0, 0, 0, padded - width})}, "/terms_padded");
    terms = "/terms_padded";
  }
  for (int64_t half = padded / 2; half > 0; half /= 2) {
    const std::string first = fmt::format("/terms_{}_first", half);
    onnx::NodeProto* split = graph.AddNode("Split", {terms}, first);
    split->add_output(fmt::format("/terms_{}_second", half));
    SetInt(split, "axis", 1);
    terms = fmt::format("/terms_{}", half);
    graph.AddNode("Add", {first, split->output(1)}, terms);
  }
  graph.AddNode("Add", {terms, graph.AddConstant("/intercept", std::vector<double>{function.intercept})}, "/log_odds");
  SetInt(graph.AddNode("Cast", {"/log_odds"}, kRawScoreOutput), "to", onnx::TensorProto::FLOAT);
}

/// Whether the function's value has to go through the logistic function to be a probability.
bool GivesLogOdds(const ScoreFunction& function) {
  const auto* ensemble = std::get_if<TreeEnsemble>(&function);
  return ensemble == nullptr || ensemble->log_odds;
}

void UseOperators(onnx::ModelProto& model, std::string_view domain, int version) {
  onnx::OperatorSetIdProto* operators = model.add_opset_import();
  operators->set_domain(std::string(domain));
  operators->set_version(version);
}

}  // namespace

std::string WriteOnnxGraph(const std::vector<Field>& inputs, const Preparation& preparation, const ScoreFunction& function) {
  onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("tidemill");
  UseOperators(model, "", kOnnxOperators);
  UseOperators(model, kTreeDomain, kTreeOperators);
  model.mutable_graph()->set_name("model");
  GraphBuilder graph(model.mutable_graph());
  for (const Field& input : inputs) {
    graph.AddInput(input.name, input.type == Type::kText ? onnx::TensorProto::STRING : onnx::TensorProto::DOUBLE);
  }
  const std::string matrix = AddPreparation(graph, preparation);
  std::visit([&](const auto& one) { AddFunction(graph, matrix, one); }, function);
  // In single precision ONNX Runtime's kernel gives a row the same bits in any batch; in double it does not (docs/models.md).
  graph.AddNode(GivesLogOdds(function) ? "Sigmoid" : "Identity", {std::string(kRawScoreOutput)}, kScoreOutput);
  graph.AddOutput(kScoreOutput);
  graph.AddOutput(kRawScoreOutput);
  return model.SerializeAsString();
}

}  // namespace tidemill
