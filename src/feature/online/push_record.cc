#include "feature/online/push_record.h"

#include <bit>

#include "base/sha256.h"
#include "feature/program/varint.h"

namespace tidemill {
namespace {

constexpr std::string_view kMagic = "TMP1";

Error BadRecord() {
  return UserError("bad_push_record", "a record of the push log is damaged", "restore .tidemill/online from a backup");
}

void AppendText(std::string_view text, std::string& bytes) {
  AppendVarint(text.size(), bytes);
  bytes += text;
}

std::string_view ReadText(VarintReader& reader) { return reader.Bytes(reader.Unsigned()); }

void AppendColumn(const Column& column, std::string& bytes) {
  AppendText(column.name, bytes);
  bytes += static_cast<char>(column.type);
  bytes.append(reinterpret_cast<const char*>(column.valid.data()), column.valid.size());
  for (size_t row = 0; row < column.size(); ++row) {
    if (column.IsNull(row)) continue;
    if (column.type == Type::kText) {
      AppendText(column.Text(row), bytes);
    } else if (column.type == Type::kDouble) {
      const auto bits = std::bit_cast<uint64_t>(column.doubles[row]);
      for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>(bits >> shift);
    } else {
      AppendSigned(column.ints[row], bytes);
    }
  }
}

double ReadDouble(VarintReader& reader) {
  uint64_t bits = 0;
  const std::string_view raw = reader.Bytes(8);
  for (size_t i = raw.size(); i-- > 0;) bits = bits << 8 | static_cast<uint8_t>(raw[i]);
  return std::bit_cast<double>(bits);
}

bool ReadColumn(size_t rows, VarintReader& reader, Columns& columns) {
  const std::string name(ReadText(reader));
  const std::string_view type = reader.Bytes(1);
  const std::string_view valid = reader.Bytes(rows);
  if (!reader.ok() || static_cast<uint8_t>(type[0]) > static_cast<uint8_t>(Type::kDate)) return false;
  Column& column = columns.columns.emplace_back(name, static_cast<Type>(type[0]));
  column.Reserve(rows);
  for (size_t row = 0; row < rows && reader.ok(); ++row) {
    if (valid[row] == 0) {
      column.AppendNull();
    } else if (column.type == Type::kText) {
      column.AppendText(ReadText(reader));
    } else if (column.type == Type::kDouble) {
      column.AppendDouble(ReadDouble(reader));
    } else {
      column.AppendInt(reader.Signed());
    }
  }
  return reader.ok();
}

void AppendRefused(const PushedBatch& batch, std::string& bytes) {
  AppendVarint(batch.refused.size(), bytes);
  for (const RefusedPushRow& row : batch.refused) {
    AppendSigned(row.record, bytes);
    AppendText(row.reason, bytes);
    AppendText(row.raw, bytes);
  }
}

/// What the client decides: the source, which rows, their values.
void AppendContent(const PushedBatch& batch, std::string& bytes) {
  AppendText(batch.source, bytes);
  AppendSigned(batch.records, bytes);
  AppendVarint(batch.known_at.size(), bytes);
  int64_t record = 0;
  for (const int64_t at : batch.record_of_row) {
    AppendSigned(DistanceOf(record, at), bytes);
    record = at;
  }
  AppendVarint(batch.rows.columns.size(), bytes);
  for (const Column& column : batch.rows.columns) AppendColumn(column, bytes);
  AppendRefused(batch, bytes);
}

}  // namespace

std::string EncodePush(const PushedBatch& batch) {
  std::string bytes(kMagic);
  AppendText(batch.id, bytes);
  AppendSigned(batch.first_seq, bytes);
  AppendSigned(batch.arrived_at.micros, bytes);
  AppendContent(batch, bytes);
  for (const int64_t known : batch.known_at) AppendSigned(DistanceOf(batch.arrived_at.micros, known), bytes);
  return bytes;
}

Result<PushedBatch> DecodePush(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) return BadRecord();
  VarintReader reader(bytes.substr(kMagic.size()));
  PushedBatch batch;
  batch.id = ReadText(reader);
  batch.first_seq = reader.Signed();
  batch.arrived_at.micros = reader.Signed();
  batch.source = ReadText(reader);
  batch.records = reader.Signed();
  const uint64_t rows = reader.Unsigned();
  if (!reader.ok() || rows > bytes.size()) return BadRecord();
  int64_t record = 0;
  for (uint64_t row = 0; row < rows; ++row) {
    record = AtDistance(record, reader.Signed());
    batch.record_of_row.push_back(record);
  }
  const uint64_t columns = reader.Unsigned();
  for (uint64_t i = 0; i < columns; ++i) {
    if (!ReadColumn(rows, reader, batch.rows)) return BadRecord();
  }
  const uint64_t refused = reader.Unsigned();
  for (uint64_t i = 0; i < refused && reader.ok(); ++i) {
    RefusedPushRow& row = batch.refused.emplace_back();
    row.record = reader.Signed();
    row.reason = ReadText(reader);
    row.raw = ReadText(reader);
  }
  for (uint64_t row = 0; row < rows; ++row) batch.known_at.push_back(AtDistance(batch.arrived_at.micros, reader.Signed()));
  if (!reader.ok() || !reader.AtEnd()) return BadRecord();
  return batch;
}

std::string PushDigest(const PushedBatch& batch) {
  std::string bytes;
  AppendContent(batch, bytes);
  return Sha256(bytes).substr(0, 32);
}

}  // namespace tidemill
