#include "cli/rows_output.h"

#include <memory>

#include "base/value_json.h"
#include "cli/table.h"

namespace tidemill {
namespace {

constexpr std::string_view kEnough = "enough_rows";

/// One way of writing rows. Begin comes once, before the first row.
class RowWriter {
 public:
  virtual ~RowWriter() = default;
  virtual Status Begin(const std::vector<Field>& fields) = 0;
  virtual Status Row(const std::vector<Value>& values) = 0;
  virtual Status End(bool truncated) = 0;
};

class TableRowWriter : public RowWriter {
 public:
  explicit TableRowWriter(Console& console) : console_(console) {}
  Status Begin(const std::vector<Field>& fields) override {
    std::vector<TableWriter::Heading> headings;
    for (const Field& field : fields) headings.push_back({field.name, field.type == Type::kInt64 || field.type == Type::kDouble});
    table_.emplace(console_, std::move(headings));
    return Ok();
  }
  Status Row(const std::vector<Value>& values) override {
    std::vector<std::string> cells;
    std::vector<bool> dim;
    for (const Value& value : values) {
      cells.push_back(IsNull(value) ? "NULL" : FormatValue(value));
      dim.push_back(IsNull(value));
    }
    return table_->Add(std::move(cells), dim);
  }
  Status End(bool) override { return table_->Finish(); }

 private:
  Console& console_;
  std::optional<TableWriter> table_;
};

class CsvRowWriter : public RowWriter {
 public:
  explicit CsvRowWriter(Console& console) : console_(console) {}
  Status Begin(const std::vector<Field>& fields) override {
    std::vector<Value> names;
    for (const Field& field : fields) names.emplace_back(field.name);
    return Row(names);
  }
  Status Row(const std::vector<Value>& values) override {
    std::string line;
    for (size_t i = 0; i < values.size(); ++i) line += (i == 0 ? "" : ",") + CsvField(values[i]);
    return console_.Write(line + "\n");
  }
  Status End(bool) override { return Ok(); }

 private:
  Console& console_;
};

class JsonRowWriter : public RowWriter {
 public:
  explicit JsonRowWriter(Console& console) : console_(console) {}
  Status Begin(const std::vector<Field>& fields) override {
    Json columns = Json::array();
    for (const Field& field : fields) {
      columns.push_back({{"name", field.name}, {"type", std::string(TypeName(field.type))}});
      names_.push_back(field.name);
    }
    return console_.Write("{\"columns\": " + columns.dump() + ",\n\"rows\": [");
  }
  Status Row(const std::vector<Value>& values) override {
    Json row = Json::object();
    for (size_t i = 0; i < values.size(); ++i) row[names_[i]] = ValueToJson(values[i]);
    const std::string separator = first_ ? "\n" : ",\n";
    first_ = false;
    return console_.Write(separator + row.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  Status End(bool truncated) override {
    return console_.Write(std::string(first_ ? "" : "\n") + "],\n\"truncated\": " + (truncated ? "true" : "false") + "}\n");
  }

 private:
  Console& console_;
  std::vector<std::string> names_;
  bool first_ = true;
};

std::unique_ptr<RowWriter> MakeRowWriter(Console& console, RowsForm form) {
  switch (form) {
    case RowsForm::kCsv:
      return std::make_unique<CsvRowWriter>(console);
    case RowsForm::kJson:
      return std::make_unique<JsonRowWriter>(console);
    case RowsForm::kTable:
      break;
  }
  return std::make_unique<TableRowWriter>(console);
}

/// Takes batches, leaves hidden columns out and stops after enough rows.
class BatchTaker {
 public:
  BatchTaker(RowWriter& writer, const RowsOutput& output) : writer_(writer), output_(output) {}

  Status Take(const Columns& batch) {
    if (!begun_) TIDEMILL_RETURN_IF_ERROR(Begin(batch));
    std::vector<Value> values(shown_.size());
    for (size_t row = 0; row < batch.rows(); ++row) {
      if (output_.rows_max && rows_ == *output_.rows_max) {
        truncated_ = true;
        return UserError(std::string(kEnough), "enough rows");
      }
      for (size_t i = 0; i < shown_.size(); ++i) values[i] = batch.columns[shown_[i]].At(row);
      TIDEMILL_RETURN_IF_ERROR(writer_.Row(values));
      ++rows_;
    }
    return Ok();
  }

  Status Begin(const Columns& batch) {
    begun_ = true;
    std::vector<Field> fields;
    for (size_t i = 0; i < batch.columns.size(); ++i) {
      if (output_.hidden && output_.hidden(batch.columns[i].name)) continue;
      shown_.push_back(i);
      fields.push_back({batch.columns[i].name, batch.columns[i].type});
    }
    return writer_.Begin(fields);
  }

  bool begun() const { return begun_; }
  bool truncated() const { return truncated_; }

 private:
  RowWriter& writer_;
  const RowsOutput& output_;
  std::vector<size_t> shown_;
  int64_t rows_ = 0;
  bool begun_ = false;
  bool truncated_ = false;
};

}  // namespace

std::string CsvField(const Value& value) {
  if (IsNull(value)) return "";
  const std::string text = FormatValue(value);
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

Result<bool> WriteRows(Console& console, Session& session, const std::string& sql, const RowsOutput& output) {
  const std::unique_ptr<RowWriter> writer = MakeRowWriter(console, output.form);
  BatchTaker taker(*writer, output);
  const Status streamed = session.Stream(sql, [&](const Columns& batch) { return taker.Take(batch); });
  if (!streamed.ok() && streamed.error().code != kEnough) return streamed.error();
  if (!taker.begun()) {
    // Without rows there may have been no batch; the heading still needs the columns.
    Columns empty;
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Field> fields, session.Describe(sql));
    for (const Field& field : fields) empty.columns.emplace_back(field.name, field.type);
    TIDEMILL_RETURN_IF_ERROR(taker.Begin(empty));
  }
  TIDEMILL_RETURN_IF_ERROR(writer->End(taker.truncated()));
  return taker.truncated();
}

}  // namespace tidemill
