#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "feature/program/program.h"
#include "project/project.h"
#include "sql/database.h"

namespace tidemill {

/// What a derived feature reads, by its name where the expression stands.
struct DerivedInput {
  enum class From {
    kField,  ///< of the request or the spine
    kView,   ///< a feature of the view `view`
    kAbove,  ///< a feature that is defined above in the same derived view
  };
  From from = From::kField;
  std::string view;  ///< kView: its name there
  Field field;
};

/// An expression over fields and views' features. Its columns index `inputs`.
struct DerivedFeature {
  Output output;
  std::vector<DerivedInput> inputs;
};

/// The names that a derived feature may use: `amount`, `view.feature`.
struct DerivedNames {
  struct View {
    std::string name;
    std::vector<Field> features;
  };
  std::string owner;  ///< of the fields, for messages: "the request", "the spine"
  std::vector<Field> fields;
  std::vector<View> views;
  std::vector<Field> above;
};

/// Compiles a feature of a derived view, or an expression of a model that names features of views. Codes: "unknown_column",
/// "unknown_view", "unknown_feature", "default_type" and those of ExpressionCompiler, with places and hints.
Result<DerivedFeature> CompileDerivedFeature(const FeatureDefinition& feature, const DerivedNames& names, Session& session);

/// The features of a derived view for rows that have the program's columns. As of any view, not a number is missing: the default
/// takes its place.
/// `failures`, if given, is how many values could not be computed.
Result<Columns> EvaluateDerived(const RowProgram& program, const Columns& rows, uint64_t* failures = nullptr);

}  // namespace tidemill
