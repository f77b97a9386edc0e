#pragma once

#include <optional>
#include <string>
#include <string_view>

/// Decimals inside of expressions: whole numbers of at most 38 digits, counted in units of their last digit. The compiler knows
/// how many digits stand behind the point, and tells the functions.
namespace tidemill {

constexpr int kDecimalDigitsMax = 38;
/// The largest whole number of so many digits.
constexpr __int128 kWholeMax = __int128{9'999'999'999'999'999'999U} * 10'000'000'000'000'000'000U + 9'999'999'999'999'999'999U;

/// "-125": nullopt for what is no whole number of at most 38 digits.
std::optional<__int128> ParseWhole(std::string_view digits);
std::string FormatWhole(__int128 value);

}  // namespace tidemill
