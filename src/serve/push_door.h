#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/json.h"
#include "feature/online/pushes.h"
#include "project/project.h"

namespace tidemill {

/// Reads pushes as clients send them, under the contracts of the pushed sources. Thread-safe.
class PushDoor {
 public:
  /// Of the sources only those that are pushed. Code "bad_pattern" as RowChecker::Make.
  static Result<std::unique_ptr<PushDoor>> Make(const std::map<std::string, SourceAsset>& sources);
  ~PushDoor();

  /// {"rows": [{column: value, ...}, ...], "id": "..."}: 1 to 10,000 rows of the contract's columns; a column that a row leaves out is
  /// null; `id` is optional. A value of another JSON type than its column's, and a column that the contract lacks and does not ignore, make
  /// the whole push an error that names the row and the column. A row that breaks a rule of the contract is refused, kept with null in
  /// place of the value, or makes the push an error, as `on_violation` says.
  Result<PushedBatch> Read(const std::string& source, const Json& body) const;

  /// What a client is told: also which of `later` see the rows with the next run only, and which rows are left out of tables.
  static Json ToJson(const std::string& source, const PushReceipt& receipt, const PushedBatch& batch,
                     const std::vector<LaterView>& later);

 private:
  struct Source;
  PushDoor();
  std::map<std::string, std::unique_ptr<Source>> sources_;
};

}  // namespace tidemill
