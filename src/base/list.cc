#include "base/list.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace tidemill {
namespace {

static_assert(std::endian::native == std::endian::little, "packed lists are little-endian");

template <class T>
T Load(std::string_view bytes, size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void Store(T value, std::string& bytes) {
  const size_t at = bytes.size();
  bytes.resize(at + sizeof(T));
  std::memcpy(bytes.data() + at, &value, sizeof(T));
}

}  // namespace

ListView::ListView(std::string_view bytes, Type element) {
  if (bytes.size() < sizeof(uint32_t)) return;
  const size_t count = Load<uint32_t>(bytes, 0);
  bytes.remove_prefix(sizeof(uint32_t));
  const size_t valid_bytes = (count + 7) / 8;
  const size_t value_bytes = count * (element == Type::kText ? sizeof(uint32_t) : sizeof(uint64_t));
  if (bytes.size() < valid_bytes + value_bytes) return;
  size_ = count;
  valid_ = bytes.substr(0, valid_bytes);
  values_ = bytes.substr(valid_bytes, value_bytes);
  chars_ = bytes.substr(valid_bytes + value_bytes);
}

int64_t ListView::Int(size_t at) const { return Load<int64_t>(values_, at); }
double ListView::Number(size_t at) const { return Load<double>(values_, at); }
uint32_t ListView::TextEnd(size_t at) const { return Load<uint32_t>(values_, at); }

std::string_view ListView::Text(size_t at) const {
  const size_t end = std::min<size_t>(TextEnd(at), chars_.size());
  const size_t begin = at == 0 ? 0 : std::min<size_t>(TextEnd(at - 1), end);
  return chars_.substr(begin, end - begin);
}

void ListBuilder::AppendBits(bool valid, uint64_t bits) {
  if (size_ % 8 == 0) valid_ += '\0';
  if (valid) valid_.back() = static_cast<char>(static_cast<unsigned char>(valid_.back()) | 1U << (size_ % 8));
  if (element_ == Type::kText) {
    Store(static_cast<uint32_t>(chars_.size()), values_);
  } else {
    Store(bits, values_);
  }
  ++size_;
}

void ListBuilder::AppendNull() { AppendBits(false, 0); }
void ListBuilder::AppendInt(int64_t value) { AppendBits(true, static_cast<uint64_t>(value)); }
void ListBuilder::AppendDouble(double value) { AppendBits(true, std::bit_cast<uint64_t>(value)); }
void ListBuilder::AppendText(std::string_view value) {
  chars_ += value;
  AppendBits(true, 0);
}

void ListBuilder::AppendFrom(const ListView& list, size_t at) {
  if (list.IsNull(at)) {
    AppendNull();
  } else if (element_ == Type::kText) {
    AppendText(list.Text(at));
  } else {
    AppendBits(true, static_cast<uint64_t>(list.Int(at)));
  }
}

void ListBuilder::Finish(std::string& bytes) {
  Store(static_cast<uint32_t>(size_), bytes);
  bytes.append(valid_).append(values_).append(chars_);
  size_ = 0;
  valid_.clear();
  values_.clear();
  chars_.clear();
}

std::string ListBuilder::Finish() {
  std::string bytes;
  Finish(bytes);
  return bytes;
}

}  // namespace tidemill
