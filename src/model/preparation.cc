#include "model/preparation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "base/text_distance.h"

namespace tidemill {
namespace {

constexpr size_t kCategoriesMax = 10'000;

bool IsTextField(const Field& field) { return field.type == Type::kText; }

std::vector<std::string> NamesOf(const std::vector<Field>& fields) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  return names;
}

/// The inputs that a step means: names, or "numeric" and "text" for all of that kind that `taken` does not hold yet.
Result<std::vector<size_t>> InputsOfStep(const PrepareStep& step, const std::vector<Field>& inputs,
                                         const std::set<size_t>& taken) {
  std::vector<size_t> found;
  for (const std::string& name : step.columns) {
    const auto field = std::find_if(inputs.begin(), inputs.end(), [&](const Field& input) { return input.name == name; });
    if (field != inputs.end()) {
      found.push_back(static_cast<size_t>(field - inputs.begin()));
    } else if (name == "numeric" || name == "text") {
      for (size_t i = 0; i < inputs.size(); ++i) {
        if (IsTextField(inputs[i]) == (name == "text") && !taken.contains(i)) found.push_back(i);
      }
    } else {
      return UserErrorAt("unknown_column", fmt::format("'{}' is not an input of the model", name), step.place,
                         SuggestionHint(name, NamesOf(inputs)));
    }
  }
  return found;
}

Result<void> CheckSuits(const PrepareStep& step, const Field& input) {
  const bool wants_text = step.kind == "one_hot" || step.kind == "ordinal";
  if (wants_text == IsTextField(input)) return Ok();
  if (wants_text) {
    return UserErrorAt("wrong_type", fmt::format("{} is for text, but '{}' is {}", step.kind, input.name, TypeName(input.type)),
                       step.place,
                       fmt::format("leave '{}' as the number it is, or make it a text among the features: cast({} as text)",
                                   input.name, input.name));
  }
  return UserErrorAt("wrong_type", fmt::format("{} is for numbers, but '{}' is text", step.kind, input.name), step.place,
                     "one_hot and ordinal give missing texts a category of their own");
}

std::vector<double> PresentNumbers(const Column& column, std::span<const size_t> rows) {
  std::vector<double> numbers;
  numbers.reserve(rows.size());
  for (const size_t row : rows) {
    const double value = NumericInput(column, row);
    if (std::isfinite(value)) numbers.push_back(value);
  }
  return numbers;
}

/// 0 for a column without any finite value.
double MedianOf(std::vector<double> numbers) {
  if (numbers.empty()) return 0;
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  if (numbers.size() % 2 == 1) return *middle;
  return *std::max_element(numbers.begin(), middle) / 2 + *middle / 2;
}

double MeanOfNumbers(const std::vector<double>& numbers) {
  double sum = 0;
  for (const double number : numbers) sum += number;
  return numbers.empty() ? 0 : sum / static_cast<double>(numbers.size());
}

Result<double> FillValue(const PrepareStep& step, const Column& column, std::span<const size_t> rows) {
  if (step.with == "zero") return 0.0;
  if (step.with == "median" || step.with.empty()) return MedianOf(PresentNumbers(column, rows));
  if (step.with == "mean") return MeanOfNumbers(PresentNumbers(column, rows));
  return UserErrorAt("unknown_value", fmt::format("impute with '{}'", step.with), step.place,
                     SuggestionHint(step.with, {"median", "mean", "zero"}));
}

Result<std::vector<std::string>> FrequentCategories(const PrepareStep& step, const Column& column, std::span<const size_t> rows) {
  std::unordered_map<std::string_view, int64_t> counts;
  for (const size_t row : rows) {
    const std::string_view text = TextInput(column, row);
    if (text != kMissingText) ++counts[text];
  }
  std::vector<std::string> categories;
  for (const auto& [text, count] : counts) {
    if (count >= step.other_below) categories.emplace_back(text);
  }
  if (categories.size() > kCategoriesMax) {
    return UserErrorAt(
        "too_many_categories",
        fmt::format("'{}' has {} categories, at most {} are encoded", column.name, categories.size(), kCategoriesMax), step.place,
        "raise other_below, so that rare categories become one");
  }
  std::sort(categories.begin(), categories.end());
  return categories;
}

int64_t CodeOf(const PreparedInput& input, std::string_view text) {
  if (text == kMissingText) return kMissingCode;
  const auto at = std::lower_bound(input.categories.begin(), input.categories.end(), text);
  if (at == input.categories.end() || *at != text) return kOtherCode;
  return kFirstCategoryCode + (at - input.categories.begin());
}

std::string_view EncodingName(PreparedInput::Encoding encoding) {
  switch (encoding) {
    case PreparedInput::Encoding::kNumber:
      return "number";
    case PreparedInput::Encoding::kOneHot:
      return "one_hot";
    case PreparedInput::Encoding::kOrdinal:
      return "ordinal";
  }
  return "";
}

/// What the algorithm sees of a number.
double Prepare(const PreparedInput& input, double value) {
  const double filled = std::isnan(value) && input.fill ? *input.fill : value;
  return input.standardized ? (filled - input.center) / input.scale : filled;
}

/// Mean and standard deviation (of the population) of what is there after filling. A column that never changes is only centered.
void FitScale(PreparedInput& input, const Column& column, std::span<const size_t> rows) {
  std::vector<double> numbers;
  numbers.reserve(rows.size());
  for (const size_t row : rows) {
    const double value = Prepare(input, NumericInput(column, row));
    if (std::isfinite(value)) numbers.push_back(value);
  }
  input.center = MeanOfNumbers(numbers);
  double squares = 0;
  for (const double number : numbers) squares += (number - input.center) * (number - input.center);
  const double deviation = numbers.empty() ? 0 : std::sqrt(squares / static_cast<double>(numbers.size()));
  input.scale = deviation > 0 && std::isfinite(deviation) ? deviation : 1;
  input.standardized = true;
}

Error PreparedTwice(const PrepareStep& step, const Field& input) {
  return UserErrorAt("prepared_twice", fmt::format("two steps under 'prepare' name '{}'", input.name), step.place,
                     "name a column in one step only, and in one standardize step besides; 'numeric' and 'text' mean the columns "
                     "that no step before has named");
}

/// Numbers are standardized after they are filled, wherever the step stands.
Status FitStandardization(const ModelAsset& model, const std::vector<Field>& inputs, const Columns& rows,
                          std::span<const size_t> training_rows, std::vector<PreparedInput>& prepared) {
  std::set<size_t> taken;
  for (const PrepareStep& step : model.prepare) {
    if (step.kind != "standardize") continue;
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<size_t> chosen, InputsOfStep(step, inputs, taken));
    for (const size_t index : chosen) {
      TIDEMILL_RETURN_IF_ERROR(CheckSuits(step, inputs[index]));
      if (!taken.insert(index).second) return PreparedTwice(step, inputs[index]);
      FitScale(prepared[index], *rows.Find(inputs[index].name), training_rows);
    }
  }
  return Ok();
}

Error UnencodedTextError(const ModelAsset& model, const Field& input) {
  return UserErrorAt(
      "text_not_encoded",
      fmt::format("input '{}' of model '{}' is text, and no step under 'prepare' encodes it", input.name, model.name),
      model.place, fmt::format("add for instance  - one_hot: {{columns: [{}], other_below: 50}}", input.name));
}

}  // namespace

double NumericInput(const Column& column, size_t row) {
  if (column.IsNull(row)) return std::numeric_limits<double>::quiet_NaN();
  switch (column.type) {
    case Type::kDouble:
      return column.doubles[row];
    case Type::kTimestamp:
      return static_cast<double>(column.ints[row]) / 1e6;
    default:
      return static_cast<double>(column.ints[row]);
  }
}

std::string_view TextInput(const Column& column, size_t row) { return column.IsNull(row) ? kMissingText : column.Text(row); }

Result<Preparation> Preparation::Fit(const ModelAsset& model, const std::vector<Field>& inputs, const Columns& rows,
                                     std::span<const size_t> training_rows) {
  Preparation preparation;
  for (const Field& input : inputs) {
    if (rows.Find(input.name) == nullptr) return InternalError(fmt::format("the training rows lack input '{}'", input.name));
    preparation.inputs_.push_back({.name = input.name, .encoding = {}, .fill = {}, .categories = {}});
  }
  std::set<size_t> taken;
  for (const PrepareStep& step : model.prepare) {
    if (step.kind == "standardize") continue;
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<size_t> chosen, InputsOfStep(step, inputs, taken));
    for (const size_t index : chosen) {
      TIDEMILL_RETURN_IF_ERROR(CheckSuits(step, inputs[index]));
      if (!taken.insert(index).second) return PreparedTwice(step, inputs[index]);
      PreparedInput& prepared = preparation.inputs_[index];
      const Column& column = *rows.Find(prepared.name);
      if (step.kind == "impute") {
        TIDEMILL_ASSIGN_OR_RETURN(prepared.fill, FillValue(step, column, training_rows));
        continue;
      }
      TIDEMILL_ASSIGN_OR_RETURN(prepared.categories, FrequentCategories(step, column, training_rows));
      prepared.encoding = step.kind == "one_hot" ? PreparedInput::Encoding::kOneHot : PreparedInput::Encoding::kOrdinal;
      if (step.kind == "one_hot") prepared.width = prepared.categories.size() + kFirstCategoryCode;
    }
  }
  TIDEMILL_RETURN_IF_ERROR(FitStandardization(model, inputs, rows, training_rows, preparation.inputs_));
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (IsTextField(inputs[i]) && !taken.contains(i)) return UnencodedTextError(model, inputs[i]);
  }
  for (const bool numbers : {true, false}) {
    for (PreparedInput& input : preparation.inputs_) {
      if ((input.encoding == PreparedInput::Encoding::kNumber) != numbers) continue;
      input.first_column = preparation.width_;
      preparation.width_ += input.width;
    }
  }
  return preparation;
}

std::vector<double> Preparation::Matrix(const Columns& rows, std::span<const size_t> row_indexes) const {
  std::vector<double> matrix(row_indexes.size() * width_, 0.0);
  for (const PreparedInput& input : inputs_) {
    const Column& column = *rows.Find(input.name);
    double* cell = matrix.data() + input.first_column;
    for (const size_t row : row_indexes) {
      switch (input.encoding) {
        case PreparedInput::Encoding::kNumber:
          *cell = Prepare(input, NumericInput(column, row));
          break;
        case PreparedInput::Encoding::kOneHot:
          cell[CodeOf(input, TextInput(column, row))] = 1.0;
          break;
        case PreparedInput::Encoding::kOrdinal:
          *cell = static_cast<double>(CodeOf(input, TextInput(column, row)));
          break;
      }
      cell += width_;
    }
  }
  return matrix;
}

std::vector<size_t> Preparation::InputOfColumn() const {
  std::vector<size_t> owners(width_);
  for (size_t i = 0; i < inputs_.size(); ++i) {
    std::fill_n(owners.begin() + static_cast<std::ptrdiff_t>(inputs_[i].first_column), inputs_[i].width, i);
  }
  return owners;
}

std::vector<std::string> Preparation::ColumnNames() const {
  std::vector<std::string> names(width_);
  for (const PreparedInput& input : inputs_) {
    names[input.first_column] = input.name;
    if (input.encoding != PreparedInput::Encoding::kOneHot) continue;
    names[input.first_column + kMissingCode] = input.name + " missing";
    names[input.first_column + kOtherCode] = input.name + " other";
    for (size_t i = 0; i < input.categories.size(); ++i)
      names[input.first_column + kFirstCategoryCode + i] = input.name + "=" + input.categories[i];
  }
  return names;
}

Json Preparation::ToJson() const {
  Json list = Json::array();
  for (const PreparedInput& input : inputs_) {
    Json item;
    item["input"] = input.name;
    item["as"] = EncodingName(input.encoding);
    if (input.fill) item["fill"] = *input.fill;
    if (input.standardized) item["center"] = input.center;
    if (input.standardized) item["scale"] = input.scale;
    if (input.encoding != PreparedInput::Encoding::kNumber) item["categories"] = input.categories;
    list.push_back(std::move(item));
  }
  return list;
}

}  // namespace tidemill
