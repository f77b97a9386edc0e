#include "ingest/infer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "base/columns.h"
#include "ingest/csv_reader.h"
#include "ingest/row_checker.h"

namespace tidemill {
namespace {

/// A column that takes so few different texts is described by the set of them, once enough rows were seen.
constexpr size_t kDistinctMax = 12;
constexpr int64_t kRowsPerDistinctValue = 10;
constexpr std::array<std::string_view, 8> kCommonNulls = {"NA", "N/A", "NULL", "null", "NaN", "nan", "None", "-"};
/// From the narrowest: every text that is a boolean word is tried as an integer first, so that 0 and 1 stay
/// numbers.
constexpr std::array<Type, 5> kCandidates = {Type::kInt64, Type::kDouble, Type::kDate, Type::kTimestamp, Type::kBool};

/// What has been seen of one column.
class ColumnGuess {
 public:
  explicit ColumnGuess(std::string name) : name_(std::move(name)) { possible_.fill(true); }

  void See(std::string_view text, const std::vector<std::string>& null_texts, bool extend_nulls) {
    const std::string_view trimmed = TrimBlanks(text);
    if (std::find(null_texts.begin(), null_texts.end(), trimmed) != null_texts.end()) {
      ++nulls_;
      return;
    }
    if (extend_nulls && std::find(kCommonNulls.begin(), kCommonNulls.end(), trimmed) != kCommonNulls.end()) {
      common_nulls_.insert(std::string(trimmed));
      return;
    }
    ++values_;
    SeeTypes(text);
    if (distinct_.size() <= kDistinctMax) distinct_.emplace(text);
  }

  /// Common nulls count where they make the difference: beside values of another type than text.
  bool NeedsCommonNulls() const { return values_ > 0 && type() != Type::kText && !common_nulls_.empty(); }
  const std::set<std::string>& common_nulls() const { return common_nulls_; }

  Type type() const {
    if (values_ == 0) return Type::kText;
    for (size_t i = 0; i < kCandidates.size(); ++i) {
      if (possible_[i]) return kCandidates[i];
    }
    return Type::kText;
  }

  ContractColumn Finish(const std::vector<std::string>& null_texts) const {
    ContractColumn column;
    column.name = name_;
    column.type = type();
    std::set<std::string> distinct = distinct_;
    int64_t nulls = nulls_;
    for (const std::string& text : common_nulls_) {
      const bool is_null = std::find(null_texts.begin(), null_texts.end(), text) != null_texts.end();
      if (is_null)
        ++nulls;
      else
        distinct.insert(text);
    }
    column.required = nulls == 0 && values_ > 0;
    if ((column.type == Type::kInt64 || column.type == Type::kDouble) && values_ > 0) {
      column.min = min_;
      column.max = max_;
    }
    const bool few = distinct.size() <= kDistinctMax && values_ >= static_cast<int64_t>(distinct.size()) * kRowsPerDistinctValue;
    if (column.type == Type::kText && values_ > 0 && few) column.allowed.assign(distinct.begin(), distinct.end());
    return column;
  }

 private:
  void SeeTypes(std::string_view text) {
    for (size_t i = 0; i < kCandidates.size(); ++i) {
      if (!possible_[i]) continue;
      const Value value = ParseCell(text, kCandidates[i]);
      possible_[i] = !tidemill::IsNull(value);
      if (const auto* number = std::get_if<double>(&value)) {
        min_ = std::min(min_, *number);
        max_ = std::max(max_, *number);
      }
    }
  }

  std::string name_;
  std::array<bool, kCandidates.size()> possible_;
  std::set<std::string> distinct_;
  std::set<std::string> common_nulls_;
  int64_t values_ = 0;
  int64_t nulls_ = 0;
  double min_ = std::numeric_limits<double>::infinity();
  double max_ = -std::numeric_limits<double>::infinity();
};

}  // namespace

Result<Contract> InferCsvContract(const std::filesystem::path& file, const std::string& shown, char delimiter,
                                  std::vector<std::string>* null_texts, bool extend_nulls, int64_t records_max) {
  TIDEMILL_ASSIGN_OR_RETURN(auto stream, OpenByteStream(file, shown));
  CsvReader reader(std::move(stream), shown, delimiter);
  TIDEMILL_ASSIGN_OR_RETURN(const auto names, reader.ReadHeader());
  std::vector<ColumnGuess> guesses(names.begin(), names.end());
  CsvRecord record;
  while (true) {
    TIDEMILL_ASSIGN_OR_RETURN(const bool found, reader.Next(&record));
    if (!found || record.number > records_max) break;
    if (!record.problem.empty()) continue;
    for (size_t i = 0; i < guesses.size(); ++i) guesses[i].See(record.cells[i], *null_texts, extend_nulls);
  }
  for (const ColumnGuess& guess : guesses) {
    if (!guess.NeedsCommonNulls()) continue;
    for (const std::string& text : guess.common_nulls()) {
      if (std::find(null_texts->begin(), null_texts->end(), text) == null_texts->end()) null_texts->push_back(text);
    }
  }
  Contract contract;
  for (const ColumnGuess& guess : guesses) contract.columns.push_back(guess.Finish(*null_texts));
  return contract;
}

}  // namespace tidemill
