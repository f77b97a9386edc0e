#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "feature/program/program.h"
#include "sql/database.h"

/// Values that could not be computed (an overflow, a bad cast): null where they stand, counted and reported with the first of
/// them.
namespace tidemill {

struct ValueFailures {
  std::string view;  ///< or the model whose own expressions they are
  int64_t values = 0;
  std::string feature;  ///< the output that the first of them is part of
  std::string where;    ///< its row: "the row 17 (card 'a', 2013-05-01T00:00:00Z)"

  bool any() const { return values > 0; }
  /// "3 values of view 'v' could not be computed and are null; the first is part of 'ratio_7d', in the row 17 (...)"
  std::string Sentence() const;
  Json ToJson() const;
  static ValueFailures FromJson(const Json& json);
  std::string kind = "view";  ///< "view", "model"
};

/// Code "values_failed", for a view that says `on_error: fail`. Its place is the view's file without a line, with the feature in
/// the place of the text: whoever has the project finds the line.
Error FailedValues(const ValueFailures& failures);

/// Adds `failed` values that `program` could not compute for `rows`, the spine's from `row` (from 0) on, to what is known of the
/// view or model.
Status AddFailures(const RowProgram& program, const Columns& rows, uint64_t failed, int64_t row, std::string_view kind,
                   std::string_view name, std::vector<ValueFailures>& failures);

/// Whether there are values for which it can't be computed: most expressions over columns can always be.
bool CanFail(const Expression& expression);

/// Computes what the program's aggregates read of the table's rows for which `condition` (SQL) is true, and counts what can't be;
/// the first is that in the row with the smallest `_seq`. Reads nothing when nothing can fail.
Result<ValueFailures> FailuresInRows(Session& session, const Program& program, const std::string& table_sql,
                                     const std::string& event_time, const std::string& condition);

}  // namespace tidemill
