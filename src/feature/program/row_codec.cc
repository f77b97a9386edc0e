#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>
#include <unordered_map>

#include "feature/program/row_store.h"
#include "feature/program/varint.h"

namespace tidemill {
namespace {

/// Bytes of `count` numbers of `width` bits, the lowest bits first.
size_t PackedBytes(size_t count, int width) { return (count * static_cast<size_t>(width) + 7) / 8; }

void Pack(std::span<const uint64_t> values, int width, std::string& bytes) {
  const size_t begin = bytes.size();
  bytes.resize(begin + PackedBytes(values.size(), width) + sizeof(uint64_t));  // words reach over the end
  char* to = bytes.data() + begin;
  unsigned __int128 pending = 0;
  int bits = 0;
  for (const uint64_t value : values) {
    pending |= static_cast<unsigned __int128>(value) << bits;
    bits += width;
    if (bits < 64) continue;
    const auto word = static_cast<uint64_t>(pending);
    std::memcpy(to, &word, sizeof(word));
    to += sizeof(word);
    bits -= 64;
    pending >>= 64;
  }
  const auto word = static_cast<uint64_t>(pending);
  std::memcpy(to, &word, sizeof(word));
  bytes.resize(begin + PackedBytes(values.size(), width));
}

uint64_t Unpack(std::string_view packed, size_t at, int width) {
  const size_t bit = at * static_cast<size_t>(width);
  unsigned char window[16] = {};
  const size_t byte = bit / 8;
  if (byte + sizeof(window) <= packed.size()) {
    std::memcpy(window, packed.data() + byte, sizeof(window));
  } else {
    std::memcpy(window, packed.data() + byte, packed.size() - byte);
  }
  uint64_t low = 0;
  std::memcpy(&low, window, 8);
  const auto shift = static_cast<int>(bit % 8);
  uint64_t value = low >> shift;
  if (shift + width > 64) value |= static_cast<uint64_t>(window[8]) << (64 - shift);
  return width == 64 ? value : value & ((uint64_t{1} << width) - 1);
}

/// smallest + divisor * each number. `readable`: how many bytes there are from the first packed one on.
void UnpackAll(std::string_view packed, size_t readable, int width, uint64_t smallest, uint64_t divisor,
               std::span<int64_t> values) {
  size_t at = 0;
  // A word holds a number that begins in its first byte.
  if (width <= 57 && readable >= sizeof(uint64_t)) {
    const size_t in_words = ((readable - sizeof(uint64_t)) * 8 + 7) / static_cast<size_t>(width) + 1;
    const size_t end = std::min(values.size(), in_words);
    const uint64_t mask = (uint64_t{1} << width) - 1;
    for (size_t bit = 0; at < end; ++at, bit += static_cast<size_t>(width)) {
      uint64_t word = 0;
      std::memcpy(&word, packed.data() + bit / 8, sizeof(word));
      values[at] = static_cast<int64_t>(smallest + (word >> (bit % 8) & mask) * divisor);
    }
  }
  for (; at < values.size(); ++at) values[at] = static_cast<int64_t>(smallest + Unpack(packed, at, width) * divisor);
}

uint64_t Distance(int64_t from, int64_t to) { return static_cast<uint64_t>(to) - static_cast<uint64_t>(from); }

constexpr uint8_t kVarints = 127;     ///< in place of a width
constexpr uint8_t kHasDivisor = 128;  ///< beside the width

/// A column of integers: a head (the width in bits, or kVarints), the smallest one, the common divisor of the distances from it,
/// and the distances. Few outliers make varints the shorter form.
void EncodeIntegers(std::span<const int64_t> values, std::string& bytes) {
  if (values.empty()) return;
  const int64_t smallest = *std::min_element(values.begin(), values.end());
  std::vector<uint64_t> distances;
  uint64_t divisor = 0;
  for (const int64_t value : values) {
    distances.push_back(Distance(smallest, value));
    if (divisor != 1 && (divisor == 0 || distances.back() % divisor != 0)) divisor = std::gcd(divisor, distances.back());
  }
  uint64_t largest = 0;
  size_t varint_bytes = 0;
  for (uint64_t& distance : distances) {
    if (divisor > 1) distance /= divisor;
    largest = std::max(largest, distance);
    varint_bytes += static_cast<size_t>(std::bit_width(distance | 1) + 6) / 7;
  }
  const int width = std::bit_width(largest);
  const bool as_varints = varint_bytes < PackedBytes(values.size(), width);
  bytes += static_cast<char>((as_varints ? kVarints : width) | (divisor > 1 ? kHasDivisor : 0));
  AppendSigned(smallest, bytes);
  if (divisor > 1) AppendVarint(divisor, bytes);
  if (!as_varints) return Pack(distances, width, bytes);
  for (const uint64_t distance : distances) AppendVarint(distance, bytes);
}

/// False when the bytes are damaged.
bool DecodeIntegers(VarintReader& reader, std::span<int64_t> values) {
  if (values.empty()) return reader.ok();
  const std::string_view head = reader.Bytes(1);
  const auto smallest = static_cast<uint64_t>(reader.Signed());
  if (!reader.ok()) return false;
  const auto mark = static_cast<uint8_t>(head[0]);
  const uint64_t divisor = (mark & kHasDivisor) != 0 ? reader.Unsigned() : 1;
  const int width = mark & 127;
  if (width == kVarints) {
    for (int64_t& value : values) value = static_cast<int64_t>(smallest + reader.Unsigned() * divisor);
    return reader.ok();
  }
  const size_t readable = reader.left();
  const std::string_view packed = width <= 64 ? reader.Bytes(PackedBytes(values.size(), width)) : std::string_view();
  if (!reader.ok() || width > 64) return false;
  if (width == 0) {
    std::fill(values.begin(), values.end(), static_cast<int64_t>(smallest));
    return true;
  }
  UnpackAll(packed, readable, width, smallest, divisor, values);
  return true;
}

constexpr double kPowersOfTen[] = {1, 10, 100, 1000, 10'000, 100'000, 1'000'000};
constexpr uint8_t kRawNumbers = 255;

/// Whether all numbers are whole multiples of 1 / scale, to the bit: then `whole` are the multiples.
bool AsMultiples(std::span<const int64_t> bits, double scale, std::vector<int64_t>& whole) {
  constexpr double kLargest = 0x1p53;
  whole.clear();
  for (const int64_t bit : bits) {
    const auto value = std::bit_cast<double>(bit);
    const double scaled = value * scale;
    if (!(std::abs(scaled) < kLargest)) return false;
    whole.push_back(std::llrint(scaled));
    if (std::bit_cast<int64_t>(static_cast<double>(whole.back()) / scale) != bit) return false;
  }
  return true;
}

/// Decimals with few digits are kept as integers, other numbers by their bits.
void EncodeNumbers(std::span<const int64_t> bits, std::string& bytes) {
  std::vector<int64_t> whole;
  for (size_t digits = 0; digits < std::size(kPowersOfTen); ++digits) {
    if (!AsMultiples(bits, kPowersOfTen[digits], whole)) continue;
    bytes += static_cast<char>(digits);
    return EncodeIntegers(whole, bytes);
  }
  bytes += static_cast<char>(kRawNumbers);
  EncodeIntegers(bits, bytes);
}

bool DecodeNumbers(VarintReader& reader, std::span<int64_t> bits) {
  const std::string_view head = reader.Bytes(1);
  if (!reader.ok() || !DecodeIntegers(reader, bits)) return false;
  const auto digits = static_cast<uint8_t>(head[0]);
  if (digits == kRawNumbers) return true;
  if (digits >= std::size(kPowersOfTen)) return false;
  for (int64_t& bit : bits) bit = std::bit_cast<int64_t>(static_cast<double>(bit) / kPowersOfTen[digits]);
  return true;
}

/// The distinct texts in order of appearance, and which of them each row has.
void EncodeTexts(const std::vector<std::string_view>& texts, std::string& bytes) {
  std::unordered_map<std::string_view, int64_t> numbers;
  std::vector<std::string_view> distinct;
  std::vector<int64_t> choices;
  for (const std::string_view text : texts) {
    const auto [at, is_new] = numbers.try_emplace(text, static_cast<int64_t>(distinct.size()));
    if (is_new) distinct.push_back(text);
    choices.push_back(at->second);
  }
  AppendVarint(distinct.size(), bytes);
  for (const std::string_view text : distinct) {
    AppendVarint(text.size(), bytes);
    bytes += text;
  }
  EncodeIntegers(choices, bytes);
}

enum Validity : uint8_t { kAllValid = 0, kAllNull = 1, kSomeNull = 2 };

void EncodeValidity(std::span<const uint8_t> valid, std::string& bytes) {
  const auto count = static_cast<size_t>(std::count(valid.begin(), valid.end(), uint8_t{1}));
  const Validity validity = count == valid.size() ? kAllValid : count == 0 ? kAllNull : kSomeNull;
  bytes += static_cast<char>(validity);
  if (validity == kSomeNull) Pack(std::vector<uint64_t>(valid.begin(), valid.end()), 1, bytes);
}

bool DecodeValidity(VarintReader& reader, std::span<uint8_t> valid) {
  const std::string_view head = reader.Bytes(1);
  if (!reader.ok()) return false;
  if (head[0] == kSomeNull) {
    const std::string_view packed = reader.Bytes(PackedBytes(valid.size(), 1));
    if (!reader.ok()) return false;
    for (size_t i = 0; i < valid.size(); ++i) valid[i] = static_cast<uint8_t>(Unpack(packed, i, 1));
    return true;
  }
  std::fill(valid.begin(), valid.end(), head[0] == kAllValid ? 1 : 0);
  return head[0] == kAllValid || head[0] == kAllNull;
}

/// Differences that wrap around, so that any times survive.
int64_t Less(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b)); }
int64_t Plus(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }

}  // namespace

/// The compact form of a run of rows: how many; the first event time and the steps to the next ones; by how much known times
/// differ from event times; the first sequence number and the steps; then the slots.
class RowCodec {
 public:
  static void Encode(const RowStore& rows, size_t begin, size_t end, std::string& bytes) {
    AppendVarint(end - begin, bytes);
    if (begin == end) return;
    EncodeSteps(std::span(rows.events_).subspan(begin, end - begin), bytes);
    std::vector<int64_t> delays;
    for (size_t row = begin; row < end; ++row) delays.push_back(Less(rows.known_[row], rows.events_[row]));
    EncodeIntegers(delays, bytes);
    EncodeSteps(std::span(rows.sequences_).subspan(begin, end - begin), bytes);
    for (const RowStore::Slots& column : rows.slots_) EncodeColumn(column, begin, end, bytes);
  }

  static bool Decode(std::string_view bytes, RowStore& rows) {
    VarintReader reader(bytes);
    const uint64_t count = reader.Unsigned();
    if (!reader.ok() || count > RowStore::kEncodedRowsMax) return false;
    rows.sequences_.resize(count);
    rows.known_.resize(count);
    rows.events_.resize(count);
    if (count == 0) return reader.AtEnd();
    if (!DecodeSteps(reader, rows.events_) || !DecodeIntegers(reader, rows.known_) || !DecodeSteps(reader, rows.sequences_))
      return false;
    for (size_t row = 0; row < count; ++row) {
      rows.known_[row] = Plus(rows.known_[row], rows.events_[row]);
      if (row > 0 && rows.events_[row] < rows.events_[row - 1]) return false;
    }
    for (RowStore::Slots& column : rows.slots_) {
      if (!DecodeColumn(reader, count, column)) return false;
    }
    return reader.ok() && reader.AtEnd();
  }

 private:
  static void EncodeSteps(std::span<const int64_t> values, std::string& bytes) {
    AppendSigned(values.front(), bytes);
    std::vector<int64_t> steps;
    for (size_t i = 1; i < values.size(); ++i) steps.push_back(Less(values[i], values[i - 1]));
    EncodeIntegers(steps, bytes);
  }
  static bool DecodeSteps(VarintReader& reader, std::span<int64_t> values) {
    values.front() = reader.Signed();
    if (!DecodeIntegers(reader, values.subspan(1))) return false;
    for (size_t i = 1; i < values.size(); ++i) values[i] = Plus(values[i - 1], values[i]);
    return true;
  }

  static void EncodeColumn(const RowStore::Slots& column, size_t begin, size_t end, std::string& bytes) {
    EncodeValidity(std::span(column.valid).subspan(begin, end - begin), bytes);
    std::vector<int64_t> bits;
    std::vector<std::string_view> texts;
    for (size_t row = begin; row < end; ++row) {
      if (column.valid[row] == 0) continue;
      if (HoldsBytes(column.type)) {
        texts.push_back(std::string_view(column.chars).substr(static_cast<size_t>(column.bits[row]), column.lengths[row]));
      } else {
        bits.push_back(column.bits[row]);
      }
    }
    if (bits.empty() && texts.empty()) return;
    if (HoldsBytes(column.type)) {
      EncodeTexts(texts, bytes);
    } else if (column.type == Type::kDouble) {
      EncodeNumbers(bits, bytes);
    } else {
      EncodeIntegers(bits, bytes);
    }
  }

  static bool DecodeColumn(VarintReader& reader, size_t count, RowStore::Slots& column) {
    column.valid.resize(count);
    column.bits.assign(count, 0);
    if (HoldsBytes(column.type)) column.lengths.assign(count, 0);
    if (!DecodeValidity(reader, column.valid)) return false;
    const auto present = static_cast<size_t>(std::count(column.valid.begin(), column.valid.end(), uint8_t{1}));
    const std::span<int64_t> bits = std::span(column.bits).first(present);
    const bool read = present == 0                   ? true
                      : HoldsBytes(column.type)      ? DecodeTexts(reader, bits, column)
                      : column.type == Type::kDouble ? DecodeNumbers(reader, bits)
                                                     : DecodeIntegers(reader, bits);
    if (!read) return false;
    if (present < count) SpreadOut(present, column);
    return true;
  }

  /// Reads texts; `choices` are replaced by offsets.
  static bool DecodeTexts(VarintReader& reader, std::span<int64_t> choices, RowStore::Slots& column) {
    const uint64_t count = reader.Unsigned();
    if (!reader.ok() || count == 0 || count > choices.size()) return false;
    std::vector<std::pair<int64_t, uint32_t>> distinct;
    for (uint64_t i = 0; i < count; ++i) {
      const std::string_view text = reader.Bytes(reader.Unsigned());
      distinct.emplace_back(static_cast<int64_t>(column.chars.size()), static_cast<uint32_t>(text.size()));
      column.chars += text;
    }
    if (!reader.ok() || !DecodeIntegers(reader, choices)) return false;
    for (size_t i = 0; i < choices.size(); ++i) {
      if (choices[i] < 0 || choices[i] >= static_cast<int64_t>(count)) return false;
      std::tie(choices[i], column.lengths[i]) = distinct[static_cast<size_t>(choices[i])];
    }
    return true;
  }

  /// Moves the values, which lie at the beginning, to the rows that have one.
  static void SpreadOut(size_t present, RowStore::Slots& column) {
    for (size_t row = column.valid.size(); row-- > 0;) {
      const bool valid = column.valid[row] != 0;
      if (valid) --present;
      column.bits[row] = valid ? column.bits[present] : 0;
      if (HoldsBytes(column.type)) column.lengths[row] = valid ? column.lengths[present] : 0;
    }
  }
};

void RowStore::Encode(size_t begin, size_t end, std::string& bytes) const { RowCodec::Encode(*this, begin, end, bytes); }

bool RowStore::Decode(std::string_view bytes) {
  Clear();
  const bool read = RowCodec::Decode(bytes, *this);
  if (!read) Clear();
  return read;
}

}  // namespace tidemill
