#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "feature/program/varint.h"

/// Decimals inside of aggregates, where 64 bits don't hold their whole numbers.
namespace tidemill {

/// A whole number as a short text in ASCII, so that texts are in the order of their numbers and equal where
/// those are: what rows, windows and states hold of a wide decimal.
std::string DecimalKey(__int128 value);
/// nullopt for a text that DecimalKey does not write.
std::optional<__int128> DecimalOfKey(std::string_view key);

/// An exact sum of whole numbers of at most 38 digits, which does not overflow for 2^63 of them. Value type.
class DecimalSum {
 public:
  void Add(__int128 value);
  void Add(const DecimalSum& other);
  void Clear() { *this = {}; }

  /// nullopt when it does not fit 128 bits. `doublings`: multiplied by two that often.
  std::optional<__int128> Value(int doublings = 0) const;
  /// The sum / (count * 10^digits), rounded once, to nearest. count is above 0, digits from 0 to 38.
  double Mean(int64_t count, int digits) const;

  void Save(std::string& bytes) const;
  /// Adds a sum that was saved; false after damage.
  bool AddSaved(VarintReader& reader);

 private:
  unsigned __int128 low_ = 0;  ///< of 192 bits in two's complement
  uint64_t high_ = 0;
};

}  // namespace tidemill
