#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/type.h"

namespace tidemill {

/// A list packed into bytes, which is how columns, states and the kernel hold it: the number of elements (4 bytes), a bit for
/// each that is not null, and 8 bytes for each element; for texts 4 bytes each with the end of its characters, and the characters.
/// Little-endian. Equal lists have equal bytes, but for 0.0 and -0.0.
struct List {
  Type element = Type::kInt64;
  std::string bytes;
  /// By bytes: an order for sorted containers, not that of SQL.
  auto operator<=>(const List&) const = default;
};

/// Reads packed bytes without copying. Bytes that don't hold what they say are an empty list, and never read past their end.
class ListView {
 public:
  ListView(std::string_view bytes, Type element);

  size_t size() const { return size_; }
  bool IsNull(size_t at) const { return (static_cast<unsigned char>(valid_[at / 8]) >> (at % 8) & 1U) == 0; }
  int64_t Int(size_t at) const;      ///< of booleans, integers, timestamps (micros) and dates (days)
  double Number(size_t at) const;    ///< of numbers
  std::string_view Text(size_t at) const;  ///< of texts

 private:
  uint32_t TextEnd(size_t at) const;

  size_t size_ = 0;
  std::string_view valid_;
  std::string_view values_;
  std::string_view chars_;
};

/// Packs a list, element by element. May be used again after Finish().
class ListBuilder {
 public:
  explicit ListBuilder(Type element) : element_(element) {}

  void AppendNull();
  void AppendInt(int64_t value);
  void AppendDouble(double value);
  void AppendText(std::string_view value);
  /// The element of another list of the same type.
  void AppendFrom(const ListView& list, size_t at);
  size_t size() const { return size_; }
  /// Appends the packed bytes to `bytes` and begins anew.
  void Finish(std::string& bytes);
  std::string Finish();

 private:
  void AppendBits(bool valid, uint64_t bits);

  Type element_;
  size_t size_ = 0;
  std::string valid_;
  std::string values_;
  std::string chars_;
};

}  // namespace tidemill
