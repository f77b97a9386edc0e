#include <cmath>
#include <limits>

#include "feature/program/functions.h"

namespace tidemill::functions {
namespace {

Datum AddIntegers(const Datum& a, const Datum& b) {
  int64_t result = 0;
  return __builtin_add_overflow(a.integer, b.integer, &result) ? Datum::Null() : Datum::Integer(result);
}
Datum SubtractIntegers(const Datum& a, const Datum& b) {
  int64_t result = 0;
  return __builtin_sub_overflow(a.integer, b.integer, &result) ? Datum::Null() : Datum::Integer(result);
}
Datum MultiplyIntegers(const Datum& a, const Datum& b) {
  int64_t result = 0;
  return __builtin_mul_overflow(a.integer, b.integer, &result) ? Datum::Null() : Datum::Integer(result);
}
bool CannotDivide(const Datum& a, const Datum& b) {
  return b.integer == 0 || (b.integer == -1 && a.integer == std::numeric_limits<int64_t>::min());
}
Datum DivideIntegers(const Datum& a, const Datum& b) {
  return CannotDivide(a, b) ? Datum::Null() : Datum::Integer(a.integer / b.integer);
}
Datum RemainderIntegers(const Datum& a, const Datum& b) {
  return CannotDivide(a, b) ? Datum::Null() : Datum::Integer(a.integer % b.integer);
}
Datum NegateInteger(const Datum& a) { return SubtractIntegers(Datum::Integer(0), a); }
Datum AbsoluteInteger(const Datum& a) { return a.integer < 0 ? NegateInteger(a) : a; }
Datum SignInteger(const Datum& a) { return Datum::Integer((a.integer > 0) - (a.integer < 0)); }
Datum SameInteger(const Datum& a) { return a; }

/// A whole number within [low, high], else null: how casts to narrower integer types are compiled.
Datum Within(const Datum& a, const Datum& low, const Datum& high) {
  return a.integer < low.integer || a.integer > high.integer ? Datum::Null() : a;
}

Datum RoundIntegerTo(const Datum& a, const Datum& digits) {
  if (digits.integer >= 0) return a;
  if (digits.integer < -18) return Datum::Integer(0);
  int64_t unit = 1;
  for (int64_t i = digits.integer; i < 0; ++i) unit *= 10;
  const int64_t rest = a.integer % unit;
  int64_t result = a.integer - rest;
  if (rest >= unit - unit / 2 && __builtin_add_overflow(result, unit, &result)) return Datum::Null();
  if (-rest >= unit - unit / 2 && __builtin_sub_overflow(result, unit, &result)) return Datum::Null();
  return Datum::Integer(result);
}

Datum AddNumbers(const Datum& a, const Datum& b) { return Datum::Number(a.number + b.number); }
Datum SubtractNumbers(const Datum& a, const Datum& b) { return Datum::Number(a.number - b.number); }
Datum MultiplyNumbers(const Datum& a, const Datum& b) { return Datum::Number(a.number * b.number); }
Datum DivideNumbers(const Datum& a, const Datum& b) { return Datum::Number(a.number / b.number); }
/// `//` of numbers divides without cutting, as DuckDB's does; by zero it is null.
Datum DivideNumbersOrNull(const Datum& a, const Datum& b) {
  return b.number == 0 ? Datum::Null() : Datum::Number(a.number / b.number);
}
Datum RemainderNumbers(const Datum& a, const Datum& b) { return Datum::Number(std::fmod(a.number, b.number)); }
Datum NegateNumber(const Datum& a) { return Datum::Number(-a.number); }
Datum AbsoluteNumber(const Datum& a) { return Datum::Number(std::fabs(a.number)); }
Datum SignNumber(const Datum& a) { return Datum::Integer((a.number > 0) - (a.number < 0)); }
Datum FloorNumber(const Datum& a) { return Datum::Number(std::floor(a.number)); }
Datum CeilNumber(const Datum& a) { return Datum::Number(std::ceil(a.number)); }
Datum TruncateNumber(const Datum& a) { return Datum::Number(std::trunc(a.number)); }
Datum RoundNumber(const Datum& a) { return Datum::Number(std::round(a.number)); }
Datum RoundNumberTo(const Datum& a, const Datum& digits) {
  const double unit = std::pow(10.0, static_cast<double>(digits.integer < 0 ? -digits.integer : digits.integer));
  const double result = digits.integer < 0 ? std::round(a.number / unit) * unit : std::round(a.number * unit) / unit;
  if (digits.integer < 0 && !std::isfinite(result)) return Datum::Number(0);
  return std::isfinite(result) ? Datum::Number(result) : a;
}
Datum Logarithm(const Datum& a) { return a.number <= 0 ? Datum::Null() : Datum::Number(std::log(a.number)); }
Datum Logarithm10(const Datum& a) { return a.number <= 0 ? Datum::Null() : Datum::Number(std::log10(a.number)); }
Datum Logarithm2(const Datum& a) { return a.number <= 0 ? Datum::Null() : Datum::Number(std::log2(a.number)); }
Datum Exponential(const Datum& a) { return Datum::Number(std::exp(a.number)); }
Datum SquareRoot(const Datum& a) { return a.number < 0 ? Datum::Null() : Datum::Number(std::sqrt(a.number)); }
Datum Power(const Datum& a, const Datum& b) { return Datum::Number(std::pow(a.number, b.number)); }
Datum Sine(const Datum& a) { return std::isinf(a.number) ? Datum::Null() : Datum::Number(std::sin(a.number)); }
Datum Cosine(const Datum& a) { return std::isinf(a.number) ? Datum::Null() : Datum::Number(std::cos(a.number)); }
Datum IsNan(const Datum& a) { return Datum::Bool(std::isnan(a.number)); }
Datum IsInfinite(const Datum& a) { return Datum::Bool(std::isinf(a.number)); }
Datum IsFinite(const Datum& a) { return Datum::Bool(std::isfinite(a.number)); }
Datum ToSinglePrecision(const Datum& a) {
  const auto single = static_cast<float>(a.number);
  return std::isinf(single) && std::isfinite(a.number) ? Datum::Null() : Datum::Number(single);
}
Datum Not(const Datum& a) { return Datum::Bool(a.integer == 0); }

}  // namespace

const std::vector<ScalarFunction>& Numeric() {
  constexpr Type kI = Type::kInt64;
  constexpr Type kD = Type::kDouble;
  constexpr Type kB = Type::kBool;
  static const std::vector<ScalarFunction> kFunctions = {
      {"+", {kI, kI}, kI, Strict2<AddIntegers>},
      {"+", {kD, kD}, kD, Strict2<AddNumbers>},
      {"-", {kI, kI}, kI, Strict2<SubtractIntegers>},
      {"-", {kD, kD}, kD, Strict2<SubtractNumbers>},
      {"*", {kI, kI}, kI, Strict2<MultiplyIntegers>},
      {"*", {kD, kD}, kD, Strict2<MultiplyNumbers>},
      {"/", {kD, kD}, kD, Strict2<DivideNumbers>},
      {"//", {kI, kI}, kI, Strict2<DivideIntegers>},
      {"//", {kD, kD}, kD, Strict2<DivideNumbersOrNull>},
      {"%", {kI, kI}, kI, Strict2<RemainderIntegers>},
      {"%", {kD, kD}, kD, Strict2<RemainderNumbers>},
      {"-", {kI}, kI, Strict1<NegateInteger>},
      {"-", {kD}, kD, Strict1<NegateNumber>},
      {"abs", {kI}, kI, Strict1<AbsoluteInteger>},
      {"abs", {kD}, kD, Strict1<AbsoluteNumber>},
      {"sign", {kI}, kI, Strict1<SignInteger>},
      {"sign", {kD}, kI, Strict1<SignNumber>},
      {"within", {kI, kI, kI}, kI, Strict3<Within>},
      {"round", {kI}, kI, Strict1<SameInteger>},
      {"round", {kD}, kD, Strict1<RoundNumber>},
      {"round", {kI, kI}, kI, Strict2<RoundIntegerTo>},
      {"round", {kD, kI}, kD, Strict2<RoundNumberTo>},
      {"floor", {kD}, kD, Strict1<FloorNumber>},
      {"ceil", {kD}, kD, Strict1<CeilNumber>},
      {"trunc", {kI}, kI, Strict1<SameInteger>},
      {"trunc", {kD}, kD, Strict1<TruncateNumber>},
      {"ln", {kD}, kD, Strict1<Logarithm>},
      {"log10", {kD}, kD, Strict1<Logarithm10>},
      {"log2", {kD}, kD, Strict1<Logarithm2>},
      {"exp", {kD}, kD, Strict1<Exponential>},
      {"sqrt", {kD}, kD, Strict1<SquareRoot>},
      {"pow", {kD, kD}, kD, Strict2<Power>},
      {"sin", {kD}, kD, Strict1<Sine>},
      {"cos", {kD}, kD, Strict1<Cosine>},
      {"isnan", {kD}, kB, Strict1<IsNan>},
      {"isinf", {kD}, kB, Strict1<IsInfinite>},
      {"isfinite", {kD}, kB, Strict1<IsFinite>},
      {"single_precision", {kD}, kD, Strict1<ToSinglePrecision>},
      {"not", {kB}, kB, Strict1<Not>},
  };
  return kFunctions;
}

}  // namespace tidemill::functions
