#pragma once

#include <memory>
#include <vector>

#include "feature/batch/feature_join.h"
#include "feature/value_failures.h"

namespace tidemill {

/// A point-in-time join that counts what could not be computed, in the rows of the views' tables and for the rows of the spine. A
/// view that fails on errors makes the start fail (for its table's rows) or Next() (for a spine row): code "values_failed".
class CheckedJoin : public FeatureJoin {
 public:
  static Result<std::unique_ptr<CheckedJoin>> Start(Session& session, const FeatureJoinRequest& request);

  const std::vector<Field>& fields() const override { return fields_; }
  int64_t spine_rows() const override { return join_->spine_rows(); }
  size_t batch_rows() const override { return join_->batch_rows(); }
  Result<std::optional<Columns>> Next() override;

  /// Of views where something failed, so far.
  std::vector<ValueFailures> failures() const;

 private:
  /// A column that the join makes beside those asked for: whether an output could not be computed.
  struct Witness {
    size_t view = 0;
    std::string feature;
  };
  struct View {
    ValueFailures failures;
    bool fails_on_error = false;
  };

  Status Count(const Columns& rows);

  std::vector<View> views_;
  std::vector<Witness> witnesses_;  ///< in the order of their columns, which stand last of all
  std::vector<size_t> kept_;        ///< the columns asked for
  std::vector<size_t> witness_columns_;
  std::vector<Field> fields_;
  std::string time_column_;
  int64_t rows_before_ = 0;
  std::unique_ptr<FeatureJoin> join_;
};

}  // namespace tidemill
