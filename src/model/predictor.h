#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/result.h"
#include "model/trainer.h"

namespace tidemill {

/// Runs a model package with ONNX Runtime; the one path for batch and online. A row's score does not depend on the rows beside
/// it. Thread-safe: Predict may be called from many threads.
class Predictor {
 public:
  static Result<std::unique_ptr<Predictor>> Load(const ModelPackage& package, int threads);
  virtual ~Predictor() = default;
  virtual const std::vector<Field>& inputs() const = 0;
  /// One score per row. Columns are found by name; a missing one is an error that names it.
  virtual Result<std::vector<double>> Predict(const Columns& rows) = 0;
};

}  // namespace tidemill
