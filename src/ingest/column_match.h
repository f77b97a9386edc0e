#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "project/project.h"

namespace tidemill {

/// For each column of the contract its position among `names`, the columns of a file in their order there
/// (which may differ). Code "columns_changed" with what is missing, unexpected and perhaps renamed;
/// "csv_header" for a name twice or a reserved one. `place` is the header; `source_file` names the file with
/// the contract.
Result<std::vector<size_t>> MatchColumns(const std::vector<std::string>& names, const Contract& contract, const Place& place,
                                         const std::string& source_file);

}  // namespace tidemill
