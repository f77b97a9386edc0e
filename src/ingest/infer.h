#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "project/project.h"

namespace tidemill {

/// The contract that a CSV's values suggest: types by the same rules that later check them, `required` where
/// nothing was missing, ranges of numbers, sets of few texts. `shown` names the file in errors. Texts of
/// `null_texts` stand for null; with `extend_nulls` common ones ("NA", "NULL" ...) that keep a column from
/// being of a type are added to it. Reads at most `records_max` records.
Result<Contract> InferCsvContract(const std::filesystem::path& file, const std::string& shown, char delimiter,
                                  std::vector<std::string>* null_texts, bool extend_nulls, int64_t records_max);

}  // namespace tidemill
