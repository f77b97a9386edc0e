#pragma once

#include <optional>
#include <string_view>

#include "base/columns.h"
#include "feature/program/tidemill_kernel.h"

/// Between columns and Arrow's C data interface: tidemill_kernel.h says which types there are. Data comes from outside, so all
/// that can be checked without knowing the sizes of buffers is.
namespace tidemill::arrow {

/// A struct array and its schema, checked as far as both go together.
class Batch {
 public:
  /// Code "bad_arrow". The pointers may be null, which is refused; they have to live as long as the batch.
  static Result<Batch> Open(std::string_view what, const ArrowSchema* schema, const ArrowArray* array);

  size_t rows() const { return static_cast<size_t>(array_->length); }
  bool Has(std::string_view name) const { return Find(name).has_value(); }
  /// Copies a field. Codes "bad_arrow"; texts are checked to be UTF-8.
  Result<Column> Read(std::string_view name, Type type) const;

 private:
  Batch(std::string_view what, const ArrowSchema* schema, const ArrowArray* array)
      : what_(what), schema_(schema), array_(array) {}
  std::optional<int64_t> Find(std::string_view name) const;

  std::string_view what_;
  const ArrowSchema* schema_;
  const ArrowArray* array_;
};

/// Copies an array that is not part of a batch.
Result<Column> ReadArray(std::string_view name, Type type, const ArrowSchema* schema, const ArrowArray* array);

/// A struct with these fields.
void ExportSchema(const std::vector<Field>& fields, ArrowSchema& schema);
/// Takes the columns' memory over. `rows` counts where there are no columns.
void ExportColumns(Columns columns, size_t rows, ArrowArray& array);

}  // namespace tidemill::arrow
