#include "feature/batch/feature_records.h"

#include <bit>
#include <cstring>

namespace tidemill {

uint64_t TextArena::Keep(std::string_view text) {
  const auto length = static_cast<uint32_t>(text.size());
  const size_t needed = sizeof(length) + text.size();
  if (chunks_.empty() || chunks_.back().capacity() - chunks_.back().size() < needed) {
    chunks_.emplace_back().reserve(std::max(needed, kChunkBytes));
    bytes_ += chunks_.back().capacity();
  }
  std::vector<char>& chunk = chunks_.back();
  const size_t begin = chunk.size();
  chunk.resize(begin + needed);  // within its capacity: what it holds stays where it is
  std::memcpy(chunk.data() + begin, &length, sizeof(length));
  if (!text.empty()) std::memcpy(chunk.data() + begin + sizeof(length), text.data(), text.size());
  return std::bit_cast<uint64_t>(static_cast<const char*>(chunk.data() + begin));
}

namespace {

std::string_view KeptText(uint64_t word) {
  const char* at = std::bit_cast<const char*>(word);
  uint32_t length = 0;
  std::memcpy(&length, at, sizeof(length));
  return {at + sizeof(length), length};
}

}  // namespace

FeatureRecords::FeatureRecords(std::vector<Type> types)
    : types_(std::move(types)), stride_(types_.size() + (types_.size() + 63) / 64) {}

void FeatureRecords::Set(size_t row, std::span<const Datum> values, TextArena& arena) {
  uint64_t* words = words_.data() + row * stride_;
  uint64_t* valid = words + types_.size();
  for (size_t i = types_.size(); i < stride_; ++i) words[i] = 0;
  for (size_t i = 0; i < types_.size(); ++i) {
    const Datum& value = values[i];
    if (value.null) {
      words[i] = 0;
      continue;
    }
    valid[i / 64] |= uint64_t{1} << (i % 64);
    words[i] = HoldsBytes(types_[i])        ? arena.Keep(value.text)
               : types_[i] == Type::kDouble ? std::bit_cast<uint64_t>(value.number)
                                            : static_cast<uint64_t>(value.integer);
  }
}

void FeatureRecords::ClearNulls(size_t begin, size_t end) {
  for (size_t row = begin; row < end; ++row) {
    for (size_t i = types_.size(); i < stride_; ++i) words_[row * stride_ + i] = 0;
  }
}

void FeatureRecords::SetMany(size_t begin, size_t count, size_t at, const ResultColumn& values, TextArena& arena) {
  uint64_t* words = words_.data() + begin * stride_;
  const size_t valid_word = types_.size() + at / 64;
  for (size_t i = 0; i < count; ++i, words += stride_) {
    words[valid_word] |= uint64_t{values.valid[i]} << (at % 64);
    if (values.texts == nullptr) {
      words[at] = static_cast<uint64_t>(values.bits[i]);
    } else {
      words[at] = values.IsNull(i) ? 0 : arena.Keep(values.texts[i]);
    }
  }
}

void FeatureRecords::AppendTo(Column& column, std::span<const uint64_t* const> rows, size_t at) const {
  const size_t valid_word = types_.size() + at / 64;
  const unsigned valid_bit = at % 64;
  if (HoldsBytes(column.type)) {
    for (const uint64_t* row : rows) {
      ((row[valid_word] >> valid_bit) & 1) != 0 ? column.AppendText(KeptText(row[at])) : column.AppendNull();
    }
    return;
  }
  const size_t begin = column.valid.size();
  column.valid.resize(begin + rows.size());
  for (size_t i = 0; i < rows.size(); ++i) column.valid[begin + i] = static_cast<uint8_t>((rows[i][valid_word] >> valid_bit) & 1);
  if (column.type == Type::kDouble) {
    column.doubles.resize(begin + rows.size());
    for (size_t i = 0; i < rows.size(); ++i) column.doubles[begin + i] = std::bit_cast<double>(rows[i][at]);
  } else {
    column.ints.resize(begin + rows.size());
    for (size_t i = 0; i < rows.size(); ++i) column.ints[begin + i] = static_cast<int64_t>(rows[i][at]);
  }
}

void FeatureRecords::Write(size_t row, std::string& bytes) const {
  const uint64_t* words = Row(row);
  bytes.append(reinterpret_cast<const char*>(words), stride_ * sizeof(uint64_t));
  for (size_t i = 0; i < types_.size(); ++i) {
    if (!HoldsBytes(types_[i]) || !IsValid(words, i)) continue;
    const std::string_view text = KeptText(words[i]);
    const auto length = static_cast<uint32_t>(text.size());
    bytes.append(reinterpret_cast<const char*>(&length), sizeof(length));
    bytes.append(text);
  }
}

bool FeatureRecords::Read(size_t row, std::string_view& bytes, TextArena& arena) {
  const size_t fixed = stride_ * sizeof(uint64_t);
  std::string_view left = bytes;
  if (left.size() < fixed) return false;
  uint64_t* words = words_.data() + row * stride_;
  std::memcpy(words, left.data(), fixed);
  left.remove_prefix(fixed);
  for (size_t i = 0; i < types_.size(); ++i) {
    if (!HoldsBytes(types_[i]) || !IsValid(words, i)) continue;
    uint32_t length = 0;
    if (left.size() < sizeof(length)) return false;
    std::memcpy(&length, left.data(), sizeof(length));
    if (left.size() - sizeof(length) < length) return false;
    words[i] = arena.Keep(left.substr(sizeof(length), length));
    left.remove_prefix(sizeof(length) + length);
  }
  bytes = left;
  return true;
}

}  // namespace tidemill
