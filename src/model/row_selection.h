#pragma once

#include <span>
#include <vector>

#include "base/columns.h"

namespace tidemill {

/// The values of a column at the given rows, in their order.
Column SelectRows(const Column& column, std::span<const size_t> rows);

/// The rows with those indexes, of the named columns only. Every field must be there.
Columns SelectRows(const Columns& columns, const std::vector<Field>& fields, std::span<const size_t> rows);

}  // namespace tidemill
