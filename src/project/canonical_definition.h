#pragma once

#include <functional>
#include <string>

#include "project/project.h"

namespace tidemill {

/// The canonical text of an expression: equal for what differs in layout, comments and case of keywords only.
using CanonicalExpression = std::function<std::string(const std::string& expression)>;

/// An asset as JSON text, defaults included: equal for equal meaning, so it decides what is stale. What only tells when to
/// look at a model (monitor, retrain) is left out: changing it must not train the model again.
std::string CanonicalDefinition(const SourceAsset& source);
std::string CanonicalDefinition(const TableAsset& table);
std::string CanonicalDefinition(const FeatureViewAsset& view, const CanonicalExpression& canonical);
std::string CanonicalDefinition(const DerivedViewAsset& view, const CanonicalExpression& canonical);
std::string CanonicalDefinition(const ModelAsset& model, const CanonicalExpression& canonical);

}  // namespace tidemill
