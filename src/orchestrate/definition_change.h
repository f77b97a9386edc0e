#pragma once

#include <string>
#include <string_view>

namespace tidemill {

/// What differs between two canonical definitions of an asset, for people: "features.dep_delay_mean.windows: [2h] -> [3h]", at most three
/// differences spelled out; "" when equal. Long texts (SQL) are named, not shown.
std::string DescribeChange(std::string_view definition_before, std::string_view definition_now);

}  // namespace tidemill
