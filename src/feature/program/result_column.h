#pragma once

#include <bit>
#include <cstdint>
#include <string_view>
#include <vector>

#include "feature/program/datum.h"

namespace tidemill {

/// Where the results of one output or aggregate go that are asked at several times at once: a word and a byte each, in memory of
/// the caller's. Datum is for single values; a column of these is a third of its size.
struct ResultColumn {
  int64_t* bits = nullptr;            ///< integers; doubles by their bits; not used where there are texts
  uint8_t* valid = nullptr;           ///< 0: null, and the word is 0
  std::string_view* texts = nullptr;  ///< only of types that hold bytes

  bool IsNull(size_t at) const { return valid[at] == 0; }
  double Number(size_t at) const { return std::bit_cast<double>(bits[at]); }
  void SetNull(size_t at) {
    valid[at] = 0;
    if (texts != nullptr) {
      texts[at] = {};
    } else {
      bits[at] = 0;
    }
  }
  void SetInteger(size_t at, int64_t value) {
    valid[at] = 1;
    bits[at] = value;
  }
  void SetNumber(size_t at, double value) { SetInteger(at, std::bit_cast<int64_t>(value)); }
  void Set(size_t at, const Datum& datum, Type type) {
    if (datum.null) return SetNull(at);
    if (texts == nullptr) return SetInteger(at, type == Type::kDouble ? std::bit_cast<int64_t>(datum.number) : datum.integer);
    valid[at] = 1;
    texts[at] = datum.text;
  }
  Datum Get(size_t at, Type type) const {
    if (IsNull(at)) return Datum::Null();
    if (texts != nullptr) return Datum::Text(texts[at]);
    return type == Type::kDouble ? Datum::Number(Number(at)) : Datum::Integer(bits[at]);
  }
  /// The column from a position on.
  ResultColumn From(size_t at) const {
    return {bits == nullptr ? nullptr : bits + at, valid + at, texts == nullptr ? nullptr : texts + at};
  }
};

/// Memory for the results of several columns, used again and again.
class ResultBuffer {
 public:
  explicit ResultBuffer(std::vector<Type> types) : types_(std::move(types)), memory_(types_.size()), columns_(types_.size()) {}

  /// What was there is lost.
  void Resize(size_t rows) {
    for (size_t i = 0; i < types_.size(); ++i) {
      Memory& memory = memory_[i];
      memory.valid.resize(rows);
      HoldsBytes(types_[i]) ? memory.texts.resize(rows) : memory.bits.resize(rows);
      columns_[i] = {memory.bits.data(), memory.valid.data(), HoldsBytes(types_[i]) ? memory.texts.data() : nullptr};
    }
  }
  const std::vector<Type>& types() const { return types_; }
  const std::vector<ResultColumn>& columns() const { return columns_; }

 private:
  struct Memory {
    std::vector<int64_t> bits;
    std::vector<uint8_t> valid;
    std::vector<std::string_view> texts;
  };
  std::vector<Type> types_;
  std::vector<Memory> memory_;
  std::vector<ResultColumn> columns_;
};

}  // namespace tidemill
