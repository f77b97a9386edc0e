#include <memory>

#include "feature/program/arrow_columns.h"

namespace tidemill::arrow {
namespace {

/// What a schema that we gave away refers to.
struct OwnedSchema {
  std::string format;
  std::string name;
  std::vector<std::unique_ptr<ArrowSchema>> children;
  std::vector<ArrowSchema*> pointers;
};

/// What an array that we gave away refers to.
struct OwnedArray {
  Column column;
  std::vector<uint8_t> validity;
  std::vector<uint8_t> bits;
  std::vector<int32_t> days;
  std::vector<int64_t> offsets;
  std::vector<const void*> buffers;
  std::vector<std::unique_ptr<ArrowArray>> children;
  std::vector<ArrowArray*> pointers;
};

/// Children may have been moved away or released before: then their own release is null.
template <class Owned, class Arrow>
void Release(Arrow* given) {
  const std::unique_ptr<Owned> owned(static_cast<Owned*>(given->private_data));
  for (const auto& child : owned->children) {
    if (child->release != nullptr) child->release(child.get());
  }
  given->release = nullptr;
}

std::string_view FormatOf(Type type) {
  switch (type) {
    case Type::kBool:
      return "b";
    case Type::kInt64:
      return "l";
    case Type::kDouble:
      return "g";
    case Type::kText:
      return "U";
    case Type::kTimestamp:
      return "tsu:";
    case Type::kDate:
      return "tdD";
    default:
      return "+L";
  }
}

void GiveSchema(std::string_view format, std::string_view name, std::vector<Field> below, ArrowSchema& schema) {
  auto owned = std::make_unique<OwnedSchema>();
  owned->format = format;
  owned->name = name;
  for (const Field& field : below) {
    owned->children.push_back(std::make_unique<ArrowSchema>());
    owned->pointers.push_back(owned->children.back().get());
    std::vector<Field> elements;
    if (IsList(field.type)) elements.push_back({"item", ElementType(field.type)});
    GiveSchema(FormatOf(field.type), field.name, std::move(elements), *owned->children.back());
  }
  schema = {};
  schema.format = owned->format.c_str();
  schema.name = owned->name.c_str();
  schema.flags = format == "+s" ? 0 : ARROW_FLAG_NULLABLE;
  schema.n_children = static_cast<int64_t>(owned->pointers.size());
  schema.children = owned->pointers.data();
  schema.release = Release<OwnedSchema, ArrowSchema>;
  schema.private_data = owned.release();
}

std::vector<uint8_t> Packed(size_t count, auto is_set) {
  std::vector<uint8_t> bits((count + 7) / 8 + 1);  // never empty, so that the buffer is never null
  for (size_t i = 0; i < count; ++i) bits[i / 8] = static_cast<uint8_t>(bits[i / 8] | (is_set(i) ? 1U << (i % 8) : 0U));
  return bits;
}

/// An array of what `owned` holds. The memory behind its buffers does not move any more.
void GiveArray(std::unique_ptr<OwnedArray> owned, size_t rows, int64_t nulls, ArrowArray& array) {
  for (const auto& child : owned->children) owned->pointers.push_back(child.get());
  array = {};
  array.length = static_cast<int64_t>(rows);
  array.null_count = nulls;
  array.n_buffers = static_cast<int64_t>(owned->buffers.size());
  array.buffers = owned->buffers.data();
  array.n_children = static_cast<int64_t>(owned->pointers.size());
  array.children = owned->pointers.data();
  array.release = Release<OwnedArray, ArrowArray>;
  array.private_data = owned.release();
}

void GiveColumn(Column column, ArrowArray& array);

/// The elements of all lists in a column of their own; the offsets go into `owned`.
Column Elements(const Column& lists, OwnedArray& owned) {
  Column elements("item", ElementType(lists.type));
  owned.offsets.push_back(0);
  for (size_t row = 0; row < lists.size(); ++row) {
    const ListView list(lists.IsNull(row) ? std::string_view() : lists.Text(row), elements.type);
    for (size_t i = 0; i < list.size(); ++i) {
      if (list.IsNull(i)) {
        elements.AppendNull();
      } else if (elements.type == Type::kText) {
        elements.AppendText(list.Text(i));
      } else if (elements.type == Type::kDouble) {
        elements.AppendDouble(list.Number(i));
      } else {
        elements.AppendInt(list.Int(i));
      }
    }
    owned.offsets.push_back(static_cast<int64_t>(elements.size()));
  }
  return elements;
}

void GiveColumn(Column given, ArrowArray& array) {
  auto owned = std::make_unique<OwnedArray>();
  owned->column = std::move(given);
  const Column& column = owned->column;
  const size_t rows = column.size();
  int64_t nulls = 0;
  for (const uint8_t valid : column.valid) nulls += valid == 0 ? 1 : 0;
  owned->validity = Packed(rows, [&](size_t row) { return !column.IsNull(row); });
  owned->buffers = {owned->validity.data()};
  if (IsList(column.type)) {
    owned->children.push_back(std::make_unique<ArrowArray>());
    GiveColumn(Elements(column, *owned), *owned->children.back());
    owned->buffers.push_back(owned->offsets.data());
  } else if (column.type == Type::kText) {
    owned->offsets.assign(column.offsets.begin(), column.offsets.end());
    owned->buffers.push_back(owned->offsets.data());
    owned->buffers.push_back(column.chars.c_str());
  } else if (column.type == Type::kBool) {
    owned->bits = Packed(rows, [&](size_t row) { return column.ints[row] != 0; });
    owned->buffers.push_back(owned->bits.data());
  } else if (column.type == Type::kDate) {
    for (const int64_t days : column.ints) owned->days.push_back(static_cast<int32_t>(days));
    owned->days.push_back(0);
    owned->buffers.push_back(owned->days.data());
  } else if (column.type == Type::kDouble) {
    owned->column.doubles.reserve(rows + 1);
    owned->buffers.push_back(column.doubles.data());
  } else {
    owned->column.ints.reserve(rows + 1);
    owned->buffers.push_back(column.ints.data());
  }
  GiveArray(std::move(owned), rows, nulls, array);
}

}  // namespace

void ExportSchema(const std::vector<Field>& fields, ArrowSchema& schema) { GiveSchema("+s", "", fields, schema); }

void ExportColumns(Columns columns, size_t rows, ArrowArray& array) {
  auto owned = std::make_unique<OwnedArray>();
  for (Column& column : columns.columns) {
    owned->children.push_back(std::make_unique<ArrowArray>());
    GiveColumn(std::move(column), *owned->children.back());
  }
  owned->buffers = {nullptr};
  GiveArray(std::move(owned), rows, 0, array);
}

}  // namespace tidemill::arrow
