#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/json.h"
#include "base/result.h"
#include "project/project.h"

namespace tidemill {

/// What stands for a missing text in a model's input: ONNX has no null texts. An empty text therefore counts as missing.
inline constexpr std::string_view kMissingText = "";

/// The number that a model sees for a numeric column's value: false and true as 0 and 1, a timestamp as seconds and a date as
/// days since 1970-01-01, null as NaN.
double NumericInput(const Column& column, size_t row);
/// The text that a model sees: kMissingText for null.
std::string_view TextInput(const Column& column, size_t row);

/// How one input becomes columns of the matrix that trees read.
struct PreparedInput {
  enum class Encoding {
    kNumber,   ///< one column: the value, or `fill` in place of NaN; then less `center`, divided by `scale`
    kOneHot,   ///< a column each for missing, other, and every category: 0 or 1
    kOrdinal,  ///< one column: 0 missing, 1 other, 2... the categories
  };
  std::string name;
  Encoding encoding = Encoding::kNumber;
  std::optional<double> fill;           ///< kNumber
  bool standardized = false;            ///< kNumber
  double center = 0, scale = 1;         ///< kNumber: mean and standard deviation of the training rows where it is standardized
  std::vector<std::string> categories;  ///< kOneHot, kOrdinal: in byte order; not the missing text
  size_t first_column = 0;              ///< in the matrix
  size_t width = 1;
};

/// The codes of text encodings, in every place the same.
inline constexpr int64_t kMissingCode = 0;
inline constexpr int64_t kOtherCode = 1;
inline constexpr int64_t kFirstCategoryCode = 2;

/// A model's preparation, fitted on training rows: fills, centers and scales, and categories. All of it is arithmetic that an
/// ONNX graph repeats to the bit (see onnx_graph.h). Numbers come first in the matrix, then encoded texts; within each the
/// inputs' order. Value type.
class Preparation {
 public:
  /// Errors (with the step's place): unknown columns, steps that do not suit a column's type, text columns that no step encodes.
  /// `training_rows` index `rows`; medians, means, deviations and rare categories come from them alone.
  static Result<Preparation> Fit(const ModelAsset& model, const std::vector<Field>& inputs, const Columns& rows,
                                 std::span<const size_t> training_rows);

  const std::vector<PreparedInput>& inputs() const { return inputs_; }
  size_t width() const { return width_; }

  /// The matrix of these rows, row by row. `rows` must have every input.
  std::vector<double> Matrix(const Columns& rows, std::span<const size_t> row_indexes) const;
  /// For each column of the matrix the index of its input.
  std::vector<size_t> InputOfColumn() const;
  /// The columns' names: the input's own, or "carrier=AA" for one of several.
  std::vector<std::string> ColumnNames() const;
  Json ToJson() const;

 private:
  std::vector<PreparedInput> inputs_;
  size_t width_ = 0;
};

}  // namespace tidemill
