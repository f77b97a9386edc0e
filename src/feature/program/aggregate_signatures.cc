#include <fmt/format.h>

#include <algorithm>

#include "base/text_distance.h"
#include "feature/program/aggregates.h"
#include "feature/program/decimals.h"

namespace tidemill {
namespace {

enum class Shape { kNone, kAny, kPlain, kNumber, kNumberOrInteger, kUnits, kBool };

struct Kind {
  std::string_view name;
  std::vector<Shape> arguments;
  const AggregateParameter* parameter;  ///< nullptr: none
  bool skips_nulls;
  std::optional<Type> result;  ///< nullopt: that of the first argument; kList: a list of it
  static constexpr Type kList = Type::kBoolList;
};

constexpr AggregateParameter kRowsBack = {Type::kInt64, 0, 1e6, "a number of rows, from 0 to 1000000", 1};
constexpr AggregateParameter kFraction = {Type::kDouble, 0, 1, "a fraction from 0 to 1", {}};
constexpr AggregateParameter kHowMany = {Type::kInt64, 1, 1000, "how many, from 1 to 1000", {}};
constexpr AggregateParameter kDigits = {Type::kInt64, 0, kDecimalDigitsMax, "a number of digits, from 0 to 38", {}};
constexpr AggregateParameter kHalfLife = {
    Type::kInt64, 1,   36'500.0 * static_cast<double>(kMicrosPerDay), "a length of time above 0, for instance INTERVAL 7 DAYS",
    {},           true};

const std::vector<Kind>& Kinds() {
  static const std::vector<Kind> kKinds = {
      {"count_rows", {}, nullptr, false, Type::kInt64},
      {"count", {Shape::kAny}, nullptr, true, Type::kInt64},
      {"count_distinct", {Shape::kPlain}, nullptr, true, Type::kInt64},
      {"sum", {Shape::kNumberOrInteger}, nullptr, true, std::nullopt},
      {"avg", {Shape::kNumberOrInteger}, nullptr, true, Type::kDouble},
      {"min", {Shape::kAny}, nullptr, true, std::nullopt},
      {"max", {Shape::kAny}, nullptr, true, std::nullopt},
      {"first", {Shape::kAny}, nullptr, false, std::nullopt},
      {"last", {Shape::kAny}, nullptr, false, std::nullopt},
      {"lag", {Shape::kAny}, &kRowsBack, false, std::nullopt},
      {"arg_min", {Shape::kAny, Shape::kAny}, nullptr, true, std::nullopt},
      {"arg_max", {Shape::kAny, Shape::kAny}, nullptr, true, std::nullopt},
      {"var_samp", {Shape::kNumber}, nullptr, true, Type::kDouble},
      {"var_pop", {Shape::kNumber}, nullptr, true, Type::kDouble},
      {"stddev_samp", {Shape::kNumber}, nullptr, true, Type::kDouble},
      {"stddev_pop", {Shape::kNumber}, nullptr, true, Type::kDouble},
      {"bool_and", {Shape::kBool}, nullptr, true, Type::kBool},
      {"bool_or", {Shape::kBool}, nullptr, true, Type::kBool},
      {"median", {Shape::kNumber}, nullptr, true, Type::kDouble},
      {"quantile_cont", {Shape::kNumber}, &kFraction, true, Type::kDouble},
      {"skewness", {Shape::kNumber}, nullptr, true, Type::kDouble},
      {"corr", {Shape::kNumber, Shape::kNumber}, nullptr, true, Type::kDouble},
      {"covar_samp", {Shape::kNumber, Shape::kNumber}, nullptr, true, Type::kDouble},
      {"covar_pop", {Shape::kNumber, Shape::kNumber}, nullptr, true, Type::kDouble},
      {"regr_slope", {Shape::kNumber, Shape::kNumber}, nullptr, true, Type::kDouble},
      {"slope", {Shape::kNumber}, nullptr, true, Type::kDouble},
      {"sum_distinct", {Shape::kNumberOrInteger}, nullptr, true, std::nullopt},
      {"avg_distinct", {Shape::kNumberOrInteger}, nullptr, true, Type::kDouble},
      {"var_samp_distinct", {Shape::kNumber}, nullptr, true, Type::kDouble},
      {"var_pop_distinct", {Shape::kNumber}, nullptr, true, Type::kDouble},
      {"stddev_samp_distinct", {Shape::kNumber}, nullptr, true, Type::kDouble},
      {"stddev_pop_distinct", {Shape::kNumber}, nullptr, true, Type::kDouble},
      {"skewness_distinct", {Shape::kNumber}, nullptr, true, Type::kDouble},
      {"approx_count_distinct", {Shape::kPlain}, nullptr, true, Type::kInt64},
      {"mode", {Shape::kPlain}, nullptr, true, std::nullopt},
      {"top_k", {Shape::kPlain}, &kHowMany, true, Kind::kList},
      {"list", {Shape::kPlain}, &kHowMany, false, Kind::kList},
      {"ewm_mean", {Shape::kNumber}, &kHalfLife, true, Type::kDouble},
      // Of decimals, which are counted in units of their last digit: integers, or the keys of those that 64 bits don't hold.
      {"decimal_sum", {Shape::kUnits}, &kDigits, true, Type::kText},
      {"decimal_avg", {Shape::kUnits}, &kDigits, true, Type::kDouble},
      {"decimal_sum_distinct", {Shape::kUnits}, &kDigits, true, Type::kText},
      {"decimal_avg_distinct", {Shape::kUnits}, &kDigits, true, Type::kDouble},
      {"decimal_quantile", {Shape::kUnits}, &kFraction, true, std::nullopt},
  };
  return kKinds;
}

const Kind* Find(std::string_view function) {
  const auto kind = std::find_if(Kinds().begin(), Kinds().end(), [&](const Kind& k) { return k.name == function; });
  return kind == Kinds().end() ? nullptr : &*kind;
}

bool Fits(Shape shape, Type type) {
  if (type == Type::kDecimal) return false;  // the compiler gives aggregates whole numbers
  switch (shape) {
    case Shape::kNone:
      return false;
    case Shape::kAny:
      return true;
    case Shape::kPlain:
      return !IsList(type);
    case Shape::kNumber:
      return type == Type::kDouble;
    case Shape::kNumberOrInteger:
      return type == Type::kDouble || type == Type::kInt64;
    case Shape::kUnits:
      return type == Type::kInt64 || type == Type::kText;
    case Shape::kBool:
      return type == Type::kBool;
  }
  return false;
}

}  // namespace

Result<double> AggregateParameter::Check(const Value& value, Type value_type) const {
  const Datum datum = value_type == type ? ToDatum(value, type) : Datum::Null();
  const double number = datum.null ? least - 1 : type == Type::kDouble ? datum.number : static_cast<double>(datum.integer);
  if (!(number >= least && number <= most)) return UserError("argument_types", "it has to be " + std::string(what));
  return number;
}

const AggregateParameter* ParameterOf(std::string_view function) {
  const Kind* kind = Find(function);
  return kind == nullptr ? nullptr : kind->parameter;
}

size_t RowArgumentsOf(std::string_view function) {
  const Kind* kind = Find(function);
  return kind == nullptr ? 0 : kind->arguments.size();
}

bool HasSketch(std::string_view function) {
  return (function.ends_with("_distinct") && function != "approx_count_distinct") || function == "median" || function == "quantile_cont" ||
         function == "decimal_quantile" || function == "mode" ||
         function == "top_k";
}

std::vector<std::string> AggregateNames() {
  std::vector<std::string> names;
  for (const Kind& kind : Kinds()) names.emplace_back(kind.name);
  return names;
}

Result<AggregateSignature> ResolveAggregate(std::string_view function, std::span<const Type> arguments) {
  const Kind* kind = Find(function);
  if (kind == nullptr) {
    return UserError("unknown_aggregate", "the kernel has no aggregate '" + std::string(function) + "'",
                     SuggestionHint(function, AggregateNames()));
  }
  const bool fits = std::equal(kind->arguments.begin(), kind->arguments.end(), arguments.begin(), arguments.end(), Fits);
  if (!fits) {
    std::string types;
    for (const Type type : arguments) types += (types.empty() ? "" : ", ") + std::string(TypeName(type));
    return UserError("argument_types", fmt::format("'{}' does not take ({})", function, types));
  }
  AggregateSignature signature;
  signature.function = kind->name;
  signature.arguments.assign(arguments.begin(), arguments.end());
  signature.skips_nulls = kind->skips_nulls;
  signature.result = kind->result == Kind::kList ? ListType(arguments[0])
                                                 : kind->result.value_or(kind->arguments.empty() ? Type::kInt64 : arguments[0]);
  return signature;
}

}  // namespace tidemill
