#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/hash.h"
#include "feature/program/datum.h"
#include "feature/program/varint.h"

/// Values as keys: equal values have equal keys, and keys are in the order of the values. All NaN are one and the largest number,
/// 0.0 and -0.0 are one. Texts are their own keys, other types have 64-bit ones.
namespace tidemill {

inline int64_t NumberKey(double number) {
  if (std::isnan(number)) return std::bit_cast<int64_t>(std::numeric_limits<double>::quiet_NaN());
  if (number == 0) return 0;
  const auto bits = std::bit_cast<int64_t>(number);
  return bits < 0 ? bits ^ std::numeric_limits<int64_t>::max() : bits;
}

inline double KeyNumber(int64_t key) { return std::bit_cast<double>(key < 0 ? key ^ std::numeric_limits<int64_t>::max() : key); }

/// `Key` is int64_t or std::string.
template <class Key>
Key KeyOf(const Datum& datum, Type type) {
  if constexpr (std::is_same_v<Key, int64_t>) {
    return type == Type::kDouble ? NumberKey(datum.number) : datum.integer;
  } else {
    return Key(datum.text);
  }
}

/// Text refers to the key.
template <class Key>
Datum KeyDatum(const Key& key, Type type) {
  if constexpr (std::is_same_v<Key, int64_t>) {
    return type == Type::kDouble ? Datum::Number(KeyNumber(key)) : Datum::Integer(key);
  } else {
    return Datum::Text(key);
  }
}

/// The hash that sketches are made of: fixed for ever, because they are stored.
inline uint64_t KeyHash(int64_t key) {
  constexpr uint64_t kSeed = 0x7469'6465'6d69'6c6c;
  std::array<char, 8> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(static_cast<uint64_t>(key) >> (8 * i));
  return Hash64({bytes.data(), bytes.size()}, kSeed);
}
inline uint64_t KeyHash(std::string_view key) {
  constexpr uint64_t kSeed = 0x7465'7874'7469'6465;
  return Hash64(key, kSeed);
}

inline void SaveKey(int64_t key, std::string& bytes) { AppendSigned(key, bytes); }
inline void SaveKey(const std::string& key, std::string& bytes) {
  AppendVarint(key.size(), bytes);
  bytes += key;
}
template <class Key>
Key LoadKey(VarintReader& reader) {
  if constexpr (std::is_same_v<Key, int64_t>) {
    return reader.Signed();
  } else {
    return Key(reader.Bytes(reader.Unsigned()));
  }
}

inline size_t KeyHeapBytes(int64_t) { return 0; }
inline size_t KeyHeapBytes(const std::string& key) { return key.capacity() > sizeof(std::string) / 2 ? key.capacity() : 0; }

}  // namespace tidemill
