#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tidemill {

/// Seven bits a byte, the lowest first; the high bit tells that more follow.
inline void AppendVarint(uint64_t value, std::string& bytes) {
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
}

/// Small magnitudes of either sign are short (zigzag).
inline void AppendSigned(int64_t value, std::string& bytes) {
  AppendVarint(static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63), bytes);
}

/// Distances between any two values, to be saved: they wrap around where 64 bits don't hold them, and back.
inline int64_t DistanceOf(int64_t from, int64_t to) {
  return static_cast<int64_t>(static_cast<uint64_t>(to) - static_cast<uint64_t>(from));
}
inline int64_t AtDistance(int64_t from, int64_t distance) {
  return static_cast<int64_t>(static_cast<uint64_t>(from) + static_cast<uint64_t>(distance));
}

/// Reads what the functions above wrote. After damage ok() is false and everything reads as 0 or "".
class VarintReader {
 public:
  explicit VarintReader(std::string_view bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  bool AtEnd() const { return bytes_.empty(); }
  /// How many bytes can be read still.
  size_t left() const { return bytes_.size(); }

  uint64_t Unsigned() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !bytes_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(bytes_[0]);
      bytes_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7fU) << shift;
      if (byte < 0x80) return ok_ ? value : 0;
    }
    ok_ = false;
    return 0;
  }
  int64_t Signed() {
    const uint64_t value = Unsigned();
    return static_cast<int64_t>(value >> 1 ^ (~(value & 1) + 1));
  }
  std::string_view Bytes(uint64_t count) {
    if (!ok_ || count > bytes_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view result = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return result;
  }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace tidemill
