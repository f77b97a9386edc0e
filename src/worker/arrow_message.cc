#include "worker/arrow_message.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

namespace tidemill {
namespace {

static_assert(std::endian::native == std::endian::little, "flatbuffers are little-endian");

/// A place in the bytes: of a table, or of one of its fields.
class FlatPlace {
 public:
  FlatPlace(std::string_view bytes, size_t at) : bytes_(bytes), at_(at) {}

  template <class Number>
  Number Read(Number otherwise = 0) const {
    if (at_ > bytes_.size() || bytes_.size() - at_ < sizeof(Number)) return otherwise;
    Number number;
    std::memcpy(&number, bytes_.data() + at_, sizeof(number));
    return number;
  }
  /// Where an offset that lies here leads.
  FlatPlace Followed() const { return {bytes_, at_ + Read<uint32_t>()}; }
  FlatPlace Plus(size_t bytes) const { return {bytes_, at_ + bytes}; }
  /// A table's field, by its number; nullopt when it is left out.
  std::optional<FlatPlace> Field(size_t number) const {
    const FlatPlace fields{bytes_, at_ - static_cast<size_t>(static_cast<int64_t>(Read<int32_t>()))};
    const size_t entry = 4 + 2 * number;
    if (entry + 2 > fields.Read<uint16_t>()) return std::nullopt;
    const auto offset = fields.Plus(entry).Read<uint16_t>();
    return offset == 0 ? std::nullopt : std::optional(Plus(offset));
  }

 private:
  std::string_view bytes_;
  size_t at_;
};

/// Whether the value is there whose type is told, in the field after it.
bool HasUnion(const FlatPlace& table, size_t type_number) {
  const auto type = table.Field(type_number);
  return !type || type->Read<uint8_t>() == 0 || table.Field(type_number + 1).has_value();
}

/// A vector of Arrow's `Field`. Damaged ones may lead back to themselves: `left` bounds how many are looked at.
bool AreWholeFields(const FlatPlace& vector, size_t& left, int depth = 0) {
  constexpr int kDepthMax = 100;
  if (depth > kDepthMax) return false;
  constexpr size_t kType = 2;
  constexpr size_t kChildren = 5;
  const auto count = vector.Read<uint32_t>();
  for (uint32_t i = 0; i < count && left > 0; ++i) {
    --left;
    const FlatPlace field = vector.Plus(4 + size_t{4} * i).Followed();
    if (!HasUnion(field, kType)) return false;
    const auto children = field.Field(kChildren);
    if (children && !AreWholeFields(children->Followed(), left, depth + 1)) return false;
  }
  return true;
}

}  // namespace

ArrowMessage ReadArrowMessage(std::string_view metadata) {
  constexpr size_t kHeaderType = 1;
  constexpr size_t kHeader = 2;
  constexpr size_t kBodyLength = 3;
  constexpr uint8_t kSchema = 1;
  constexpr size_t kSchemaFields = 1;
  const FlatPlace message = FlatPlace(metadata, 0).Followed();
  ArrowMessage result;
  if (const auto body = message.Field(kBodyLength)) result.body_bytes = body->Read<int64_t>();
  result.whole = HasUnion(message, kHeaderType);
  const auto type = message.Field(kHeaderType);
  const auto header = message.Field(kHeader);
  if (!type || !header || type->Read<uint8_t>() != kSchema) return result;
  if (const auto fields = header->Followed().Field(kSchemaFields)) {
    size_t left = metadata.size();
    result.whole = AreWholeFields(fields->Followed(), left);
  }
  return result;
}

}  // namespace tidemill
