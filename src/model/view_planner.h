#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "feature/derived_feature.h"
#include "model/training_set.h"

namespace tidemill {

/// A view as those who use it see it: the fields that it has to be given, and its features.
struct PlannedView {
  std::vector<Field> fields;   ///< keys; of a derived view also what it asks of a request
  std::set<std::string> keys;  ///< those of the fields that look up entities: their types have to be equal
  std::vector<Field> features;
};

/// A view with the columns that its fields are taken from.
struct BoundView {
  std::string view;
  std::vector<std::string> columns;  ///< follow PlannedView::fields
  std::string prefix;                ///< of its features' columns
};

/// Adds views to a plan: look-ups of feature views, and the expressions of derived ones in an order in which those read come
/// first. Each view is compiled once. The project must have no circles of derived views.
class ViewPlanner {
 public:
  ViewPlanner(const Project& project, const std::map<std::string, std::vector<Field>>& table_fields, Session& session,
              FeaturePlan& plan)
      : project_(project), table_fields_(table_fields), session_(session), plan_(plan) {}

  /// Codes: "unknown_name" and those of CompileView and CompileDerivedFeature, which say where.
  Result<const PlannedView*> Find(const std::string& view, const Place& place);

  /// What the fields of a used view may be taken from.
  struct Offer {
    std::vector<Field> fields;
    std::string owner;  ///< "the spine 'orders'"
  };
  /// A view as an item of a model, its columns beginning with `use.as`. Codes: "unknown_column", "wrong_type".
  Result<BoundView> Bind(const ViewUse& use, const Offer& offer);

  /// Has the plan compute a feature; its column among a row's columns.
  Result<Field> Take(const BoundView& bound, const std::string& feature);

  /// Has the plan compute an expression of the model, which may name features of `views` (by their names there).
  Result<Field> TakeExpression(const FeatureDefinition& expression, const Offer& offer,
                               const std::map<std::string, BoundView>& views);

 private:
  /// A compiled view; of the two kinds one is filled.
  struct Compiled {
    PlannedView shape;
    Program program;
    const DerivedViewAsset* derived = nullptr;
    std::vector<DerivedFeature> derived_features;
  };

  Result<const Compiled*> Compile(const std::string& view, const Place& place);
  Result<Compiled> CompileLookup(const FeatureViewAsset& view, const Place& place);
  Result<Compiled> CompileDerived(const DerivedViewAsset& view);
  Status AddFields(const DerivedViewAsset& view, const ViewUse& use, const PlannedView& used, PlannedView& shape) const;
  Result<std::vector<std::string>> ColumnsFor(const ViewUse& use, const PlannedView& view, const Offer& offer) const;
  /// The prefix of a view that is only used by others: that of an item of the model where it is the same.
  BoundView BindHidden(const std::string& view, std::vector<std::string> columns) const;
  Result<Field> TakeLookup(const Compiled& view, const BoundView& bound, const Field& feature);
  Result<Field> TakeDerived(const Compiled& view, const BoundView& bound, const DerivedFeature& feature);
  Field Emit(const std::string& view, const std::string& prefix, const DerivedFeature& feature, std::vector<Field> columns);

  const Project& project_;
  const std::map<std::string, std::vector<Field>>& table_fields_;
  Session& session_;
  FeaturePlan& plan_;
  std::map<std::string, Compiled> compiled_;
  std::map<std::pair<std::string, std::vector<std::string>>, std::string> prefixes_;  ///< of the model's items
  std::map<std::tuple<std::string, std::string, std::vector<std::string>>, std::map<std::string, Field>> derived_;
};

}  // namespace tidemill
