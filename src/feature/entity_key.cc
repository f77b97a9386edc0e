#include "feature/entity_key.h"

#include <bit>
#include <cmath>
#include <limits>

namespace tidemill {
namespace {

/// Tags keep values of different types apart, and nulls first.
enum class Tag : char { kNull = 1, kBool, kInteger, kNumber, kText, kTimestamp, kDate, kList };

Tag TagOf(Type type) {
  switch (type) {
    case Type::kBool:
      return Tag::kBool;
    case Type::kInt64:
      return Tag::kInteger;
    case Type::kDouble:
      return Tag::kNumber;
    case Type::kText:
      return Tag::kText;
    case Type::kTimestamp:
      return Tag::kTimestamp;
    case Type::kDate:
      return Tag::kDate;
    default:
      return Tag::kList;
  }
}

void AppendBigEndian(uint64_t bits, std::string& key) {
  for (int shift = 56; shift >= 0; shift -= 8) key += static_cast<char>(bits >> shift);
}

/// Bits whose unsigned order is that of the numbers.
uint64_t OrderedBits(double number) {
  if (std::isnan(number)) number = std::numeric_limits<double>::quiet_NaN();
  const auto bits = std::bit_cast<uint64_t>(number == 0 ? 0.0 : number);
  constexpr uint64_t kSign = uint64_t{1} << 63;
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

Type TypeOf(const Value& value) {
  switch (value.index()) {
    case 1:
      return Type::kBool;
    case 3:
      return Type::kDouble;
    case 4:
      return Type::kText;
    case 5:
      return Type::kTimestamp;
    case 6:
      return Type::kDate;
    case 7:
      return ListType(std::get<List>(value).element);
    default:
      return Type::kInt64;
  }
}

}  // namespace

void AppendKeyPart(const Datum& value, Type type, std::string& key) {
  if (value.null) {
    key += static_cast<char>(Tag::kNull);
    return;
  }
  key += static_cast<char>(TagOf(type));
  if (HoldsBytes(type)) {
    for (const char c : value.text) {
      key += c;
      if (c == '\0') key += '\xff';  // so that the end, two zero bytes, can't be inside
    }
    key.append(2, '\0');
  } else if (type == Type::kDouble) {
    AppendBigEndian(OrderedBits(value.number), key);
  } else {
    AppendBigEndian(static_cast<uint64_t>(value.integer) ^ (uint64_t{1} << 63), key);
  }
}

std::string EncodeKey(const std::vector<Value>& values) {
  std::string key;
  for (const Value& value : values) {
    const Type type = TypeOf(value);
    AppendKeyPart(ToDatum(value, type), type, key);
  }
  return key;
}

}  // namespace tidemill
