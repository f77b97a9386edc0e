#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/result.h"

namespace tidemill {

/// One ONNX graph in ONNX Runtime, on the caller's thread only: with threads of its own the runtime would sum the trees of a
/// single row in another order than those of many. Thread-safe: Run may be called from many threads at once.
class OnnxSession {
 public:
  /// `inputs` are the graph's, by name; code "bad_model" when the runtime refuses the graph or the graph differs.
  static Result<std::unique_ptr<OnnxSession>> Load(std::string_view graph, std::vector<Field> inputs);
  virtual ~OnnxSession() = default;

  virtual const std::vector<Field>& inputs() const = 0;

  /// The columns of `rows` that the inputs mean, in their order. Errors name the input that is missing or has another type;
  /// numbers of any kind (boolean, integer, number) are interchangeable.
  virtual Result<std::vector<const Column*>> Bind(const Columns& rows) const = 0;

  /// Writes `output` ("score" or "raw_score") of `count` rows from `first` on to `to`. At most kRowsMax rows at a time: memory is
  /// bounded.
  virtual Status Run(const std::vector<const Column*>& columns, size_t first, size_t count, std::string_view output,
                     float* to) = 0;
  static constexpr size_t kRowsMax = 8192;
};

/// "1.32.0": part of a package's description.
std::string OnnxRuntimeVersion();

}  // namespace tidemill
