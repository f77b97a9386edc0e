#include "orchestrate/column_dependents.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text_distance.h"
#include "sql/column_lineage.h"

namespace tidemill {
namespace {

/// A column of an asset.
struct Point {
  std::string asset;
  std::string column;
  auto operator<=>(const Point&) const = default;
};

constexpr std::string_view kComputed = "computed from it";
constexpr std::string_view kDecided = "it decides which rows count";
constexpr std::string_view kJoined = "joined by it";
constexpr std::string_view kInPython = "computed by Python, perhaps from it";

struct Dependent {
  Point point;
  std::string kind;
  std::string how;
  auto operator<=>(const Dependent&) const = default;
};

void CollectColumns(const Expression& expression, std::set<int>* columns) {
  if (expression.kind == Expression::Kind::kColumn) columns->insert(expression.column);
  for (const Expression& argument : expression.arguments) CollectColumns(argument, columns);
}

std::set<int> ColumnsOf(const Expression& expression) {
  std::set<int> columns;
  CollectColumns(expression, &columns);
  return columns;
}

/// Which columns of which asset are made from which.
class DependencyGraph {
 public:
  explicit DependencyGraph(const Workspace& workspace) : workspace_(workspace) {
    const Project& project = workspace.project;
    for (const auto& [name, table] : project.tables) AddTable(table);
    for (const auto& [name, view] : project.views) AddView(view);
    for (const auto& [name, plan] : workspace.derived_plans) AddDerived(name, plan);
    for (const auto& [name, model] : project.models) AddModel(name, workspace.feature_plans.at(name));
  }

  Json Below(const Point& point) {
    Json list = Json::array();
    const auto found = edges_.find(point);
    if (found == edges_.end()) return list;
    for (const Dependent& dependent : found->second) {
      Json node = {{"kind", dependent.kind},
                   {"name", fmt::format("{}.{}", dependent.point.asset, dependent.point.column)},
                   {"detail", dependent.how}};
      if (shown_.insert(dependent.point).second) {
        node["from"] = Below(dependent.point);
      } else if (edges_.contains(dependent.point)) {
        node["detail"] = dependent.how + "; what depends on it stands above";
      }
      list.push_back(std::move(node));
    }
    return list;
  }

 private:
  void Add(Point from, Point to, std::string_view kind, std::string_view how) {
    if (from == to) return;
    std::set<Dependent>& dependents = edges_[std::move(from)];
    const bool known = std::any_of(dependents.begin(), dependents.end(), [&](const Dependent& d) { return d.point == to; });
    if (!known) dependents.insert({std::move(to), std::string(kind), std::string(how)});
  }

  void AddTable(const TableAsset& table) {
    const std::vector<Field>& fields = workspace_.table_fields.at(table.name);
    if (table.python) return AddPython(table, fields);
    const std::vector<ColumnLineage> columns = TraceColumns(table.tree, workspace_.table_fields);
    // Names that DuckDB makes up are known by their position, unless a star over unknown columns has moved it.
    const bool by_position = columns.size() == fields.size();
    for (size_t i = 0; i < columns.size(); ++i) {
      const std::string& name = by_position ? fields[i].name : columns[i].column;
      for (const auto& [origin, direct] : columns[i].origins)
        Add({origin.table, origin.column}, {table.name, name}, "column", direct ? kComputed : kDecided);
    }
  }

  /// Nobody looks into the function: each column may come from all that it reads.
  void AddPython(const TableAsset& table, const std::vector<Field>& fields) {
    for (const std::string& input : table.inputs) {
      for (const Field& from : workspace_.table_fields.at(input)) {
        for (const Field& to : fields) Add({input, from.name}, {table.name, to.name}, "column", kInPython);
      }
    }
  }

  void AddView(const FeatureViewAsset& view) {
    const Program& program = workspace_.programs.at(view.name);
    const TableAsset& table = workspace_.project.tables.at(view.from);
    for (const Output& output : program.outputs) {
      const Point feature{view.name, output.name};
      for (const int aggregate : ColumnsOf(output.expression)) {
        for (const int column : ColumnsOfAggregate(program.aggregates.at(static_cast<size_t>(aggregate))))
          Add({view.from, program.columns.at(static_cast<size_t>(column)).name}, feature, "feature", kComputed);
      }
      for (const Field& key : program.keys) Add({view.from, key.name}, feature, "feature", "grouped by it");
      for (const std::string& time : {table.timestamp, table.known_at}) {
        if (!time.empty()) Add({view.from, time}, feature, "feature", kDecided);
      }
    }
  }

  static std::set<int> ColumnsOfAggregate(const Aggregate& aggregate) {
    std::set<int> columns;
    for (const Expression& argument : aggregate.arguments) CollectColumns(argument, &columns);
    if (aggregate.filter) CollectColumns(*aggregate.filter, &columns);
    return columns;
  }

  /// Which features of views are the columns of a plan's rows.
  static std::map<std::string, Point> FeatureColumnsOf(const FeaturePlan& plan) {
    std::map<std::string, Point> columns;
    for (const FeaturePlan::View& view : plan.views) {
      for (const std::string& output : view.outputs) columns[view.prefix + "__" + output] = {view.program.view, output};
    }
    for (const FeaturePlan::Derived& derived : plan.derived) {
      if (derived.view.empty()) continue;
      for (const Output& output : derived.program.outputs)
        columns[output.name] = {derived.view, output.name.substr(derived.prefix.size() + 2)};
    }
    return columns;
  }

  void AddDerived(const std::string& view, const FeaturePlan& plan) {
    const std::map<std::string, Point> columns = FeatureColumnsOf(plan);
    for (const FeaturePlan::Derived& derived : plan.derived) {
      if (derived.view != view) continue;
      for (const Output& output : derived.program.outputs) {
        for (const int column : ColumnsOf(output.expression)) {
          const auto feature = columns.find(derived.program.columns.at(static_cast<size_t>(column)).name);
          if (feature != columns.end()) Add(feature->second, columns.at(output.name), "feature", kComputed);
        }
      }
    }
  }

  /// The spine's columns behind a column of a plan's rows: those that look it up, and those that are asked of requests.
  struct SpineColumns {
    std::set<std::string> joined;
    std::set<std::string> computed;
  };
  static std::map<std::string, SpineColumns> SpineColumnsOf(const FeaturePlan& plan) {
    std::map<std::string, SpineColumns> behind;
    for (const FeaturePlan::View& view : plan.views) {
      for (const std::string& output : view.outputs)
        behind[view.prefix + "__" + output].joined = {view.spine_keys.begin(), view.spine_keys.end()};
    }
    for (const FeaturePlan::Derived& derived : plan.derived) {
      for (const Output& output : derived.program.outputs) {
        SpineColumns& all = behind[output.name];
        for (const int column : ColumnsOf(output.expression)) {
          const std::string& name = derived.program.columns.at(static_cast<size_t>(column)).name;
          const auto made = behind.find(name);
          if (made == behind.end()) {
            all.computed.insert(name);
          } else {
            all.joined.insert(made->second.joined.begin(), made->second.joined.end());
            all.computed.insert(made->second.computed.begin(), made->second.computed.end());
          }
        }
      }
    }
    return behind;
  }

  void AddModel(const std::string& model, const FeaturePlan& plan) {
    const std::map<std::string, Point> features = FeatureColumnsOf(plan);
    for (const auto& [column, behind] : SpineColumnsOf(plan)) {
      const Point input{model, column};
      const bool is_input =
          std::any_of(plan.inputs.begin(), plan.inputs.end(), [&](const Field& field) { return field.name == input.column; });
      if (!is_input) continue;
      if (const auto feature = features.find(column); feature != features.end())
        Add(feature->second, input, "model input", "an input of the model");
      for (const std::string& field : behind.computed) Add({plan.spine, field}, input, "model input", kComputed);
      for (const std::string& key : behind.joined) Add({plan.spine, key}, input, "model input", kJoined);
      if (!behind.joined.empty()) Add({plan.spine, plan.timestamp}, input, "model input", "looked up at this time");
    }
    AddOverViews(model, plan, features);
    AddProgram(model, plan, plan.expressions, "model input");
    AddProgram(model, plan, plan.label, "label");
    Add({plan.spine, plan.label_known_at}, {model, "label"}, "label", "when it became known");
  }

  /// Expressions of the model itself that name features of views.
  void AddOverViews(const std::string& model, const FeaturePlan& plan, const std::map<std::string, Point>& features) {
    for (const FeaturePlan::Derived& derived : plan.derived) {
      if (!derived.view.empty()) continue;
      for (const Output& output : derived.program.outputs) {
        for (const int column : ColumnsOf(output.expression)) {
          const auto feature = features.find(derived.program.columns.at(static_cast<size_t>(column)).name);
          if (feature != features.end()) Add(feature->second, {model, output.name}, "model input", kComputed);
        }
      }
    }
  }

  void AddProgram(const std::string& model, const FeaturePlan& plan, const RowProgram& program, std::string_view kind) {
    for (const Output& output : program.outputs) {
      for (const int column : ColumnsOf(output.expression))
        Add({plan.spine, program.columns.at(static_cast<size_t>(column)).name}, {model, output.name}, kind, kComputed);
    }
  }

  const Workspace& workspace_;
  std::map<Point, std::set<Dependent>> edges_;
  std::set<Point> shown_;
};

std::vector<std::string> ColumnNames(const Workspace& workspace, const AssetNode& asset) {
  std::vector<std::string> names;
  if (asset.kind == AssetKind::kFeatureView) {
    for (const Output& output : workspace.programs.at(asset.name).outputs) names.push_back(output.name);
  } else if (asset.kind == AssetKind::kDerivedView) {
    for (const FeatureDefinition& feature : workspace.project.derived_views.at(asset.name).features) names.push_back(feature.name);
  } else if (asset.kind == AssetKind::kModel) {
    for (const Field& field : workspace.feature_plans.at(asset.name).inputs) names.push_back(field.name);
  } else {
    for (const Field& field : workspace.table_fields.at(asset.name)) names.push_back(field.name);
  }
  return names;
}

}  // namespace

Result<Json> TraceColumnDependents(const Workspace& workspace, const AssetNode& asset, const std::string& column) {
  const std::vector<std::string> names = ColumnNames(workspace, asset);
  if (std::find(names.begin(), names.end(), column) == names.end()) {
    return UserError("unknown_column", fmt::format("'{}' has no column '{}'", asset.name, column), SuggestionHint(column, names));
  }
  Json below = DependencyGraph(workspace).Below({asset.name, column});
  const std::string detail = below.empty() ? "nothing depends on it" : "what depends on it:";
  return Json{{"kind", "column"}, {"name", asset.name + "." + column}, {"detail", detail}, {"from", std::move(below)}};
}

}  // namespace tidemill
