#include "project/derived_view_checks.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text_distance.h"

namespace tidemill {
namespace {

std::string PlaceText(const Place& place) {
  return place.file + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
}

/// The name that a used view's field has in the view (or model) that uses it: the one that joins it, else its own.
std::string NameOutside(const std::map<std::string, std::string>& join, const std::string& field) {
  for (const auto& [outside, inside] : join) {
    if (inside == field) return outside;
  }
  return field;
}

/// Names of the fields that a view has to be given: keys, and of derived views what is asked of requests.
class FieldNames {
 public:
  explicit FieldNames(const Project& project) : project_(project) {}

  std::set<std::string> All(const std::string& view) const { return Collect(view, true); }
  /// Without the keys that only look up features.
  std::set<std::string> OfRequest(const std::string& view) const { return Collect(view, false); }

 private:
  std::set<std::string> Collect(const std::string& name, bool with_keys) const {
    std::set<std::string> names;
    if (const auto view = project_.views.find(name); view != project_.views.end()) {
      if (with_keys) names.insert(view->second.entity.begin(), view->second.entity.end());
      return names;
    }
    const auto derived = project_.derived_views.find(name);
    if (derived == project_.derived_views.end()) return names;
    for (const Field& field : derived->second.request) names.insert(field.name);
    for (const ViewUse& use : derived->second.uses) {
      for (const std::string& field : Collect(use.view, with_keys)) names.insert(NameOutside(use.join, field));
    }
    return names;
  }

  const Project& project_;
};

class DerivedViewChecker {
 public:
  DerivedViewChecker(const LoadedFiles& files, const Project& project, std::vector<Error>* errors)
      : files_(files), project_(project), errors_(*errors) {}

  bool Run() {
    for (const auto& [name, view] : project_.derived_views) {
      for (const ViewUse& use : view.uses) CheckUsed(use);
    }
    for (const auto& [name, view] : project_.derived_views) Visit(name);
    if (!sound_) return false;
    for (const auto& [name, view] : project_.derived_views) {
      for (const ViewUse& use : view.uses) CheckJoin(use.view, use.join, use.place, "field here");
    }
    for (const auto& [name, model] : project_.models) {
      for (const ModelFeature& feature : model.features) {
        if (project_.derived_views.contains(feature.view)) CheckJoin(feature.view, feature.join, feature.place, "spine column");
      }
    }
    return true;
  }

 private:
  void Report(std::string code, std::string message, Place place, std::string hint) {
    errors_.push_back(UserErrorAt(std::move(code), std::move(message), std::move(place), std::move(hint)));
  }

  void CheckUsed(const ViewUse& use) {
    const auto found = files_.names.find(use.view);
    if (found == files_.names.end()) {
      std::vector<std::string> views;
      for (const auto& [name, kind] : files_.names) {
        if (kind == AssetKind::kFeatureView || kind == AssetKind::kDerivedView) views.push_back(name);
      }
      Report("unknown_view", "unknown feature view '" + use.view + "'", use.place, SuggestionHint(use.view, views));
    } else if (found->second != AssetKind::kFeatureView && found->second != AssetKind::kDerivedView) {
      Report("wrong_kind",
             "'" + use.view + "' is a " + std::string(AssetKindName(found->second)) + ": a derived view uses feature views",
             use.place, "what is in a table at a time is told by a feature view over it");
    }
    const bool there = project_.views.contains(use.view) || project_.derived_views.contains(use.view);
    sound_ = sound_ && there;
  }

  /// Depth first; the path is what a circle is cut from.
  void Visit(const std::string& name) {
    const auto view = project_.derived_views.find(name);
    if (view == project_.derived_views.end() || done_.contains(name)) return;
    for (const ViewUse& use : view->second.uses) {
      path_.push_back(&use);
      const auto first = std::find_if(path_.begin(), path_.end(), [&](const ViewUse* step) { return step->view == use.view; });
      if (first + 1 != path_.end()) {
        ReportCircle({first + 1, path_.end()});
      } else if (use.view == name) {
        ReportCircle({&use});
      } else {
        Visit(use.view);
      }
      path_.pop_back();
    }
    done_.insert(name);
  }

  /// Each step is where a view is used; the last one uses the view that uses the first.
  void ReportCircle(const std::vector<const ViewUse*>& steps) {
    std::string spelled = steps.back()->view;
    std::set<std::string> names;
    for (const ViewUse* step : steps) {
      spelled += " -> " + step->view + " (" + PlaceText(step->place) + ")";
      names.insert(step->view);
    }
    sound_ = false;
    if (!circles_.insert(names).second) return;
    Report("cycle",
           steps.size() == 1 ? "the derived view '" + steps.front()->view + "' uses itself"
                             : "derived views use each other in a circle: " + spelled,
           steps.back()->place, "take one of these uses out: a view can only be derived from views that are there without it");
  }

  void CheckJoin(const std::string& view, const std::map<std::string, std::string>& join, const Place& place,
                 const std::string& left) {
    const std::set<std::string> fields = FieldNames(project_).All(view);
    for (const auto& [outside, inside] : join) {
      if (fields.contains(inside)) continue;
      Report("unknown_column", "the view '" + view + "' asks for no '" + inside + "'", place,
             "join says {" + left + ": key or field of the view}; " + SuggestionHint(inside, {fields.begin(), fields.end()}));
    }
  }

  const LoadedFiles& files_;
  const Project& project_;
  std::vector<Error>& errors_;
  std::vector<const ViewUse*> path_;
  std::set<std::string> done_;
  std::set<std::set<std::string>> circles_;
  bool sound_ = true;
};

}  // namespace

bool CheckDerivedViews(const LoadedFiles& files, const Project& project, std::vector<Error>* errors) {
  return DerivedViewChecker(files, project, errors).Run();
}

void CheckDerivedLeaks(const Project& project, AssetReader& reader) {
  for (const auto& [name, model] : project.models) {
    const std::set<std::string> late = reader.ColumnsOfLabel(model);
    const auto check = [&](const std::string& view, const std::map<std::string, std::string>& join, const std::string& input,
                           const Place& place) {
      for (const std::string& field : FieldNames(project).OfRequest(view)) {
        const std::string column = NameOutside(join, field);
        if (late.contains(FoldCase(column))) reader.ReportLeak(model, input, column, place);
      }
    };
    for (const ModelFeature& feature : model.features) {
      if (!feature.view.empty()) check(feature.view, feature.join, NameInModel(feature) + "." + feature.feature, feature.place);
      for (const std::string& named : feature.named_views) {
        // An item of that name has been checked with its own join.
        if (ViewNamed(model, named) == named && project.derived_views.contains(named))
          check(named, {}, feature.name, feature.place);
      }
    }
  }
}

}  // namespace tidemill
