#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <string>

#include "feature/program/fixed_math.h"
#include "feature/program/functions.h"

namespace tidemill::functions {
namespace {

Datum AddIntegers(const Datum& a, const Datum& b) {
  int64_t result = 0;
  return __builtin_add_overflow(a.integer, b.integer, &result) ? Datum::Failed() : Datum::Integer(result);
}
Datum SubtractIntegers(const Datum& a, const Datum& b) {
  int64_t result = 0;
  return __builtin_sub_overflow(a.integer, b.integer, &result) ? Datum::Failed() : Datum::Integer(result);
}
Datum MultiplyIntegers(const Datum& a, const Datum& b) {
  int64_t result = 0;
  return __builtin_mul_overflow(a.integer, b.integer, &result) ? Datum::Failed() : Datum::Integer(result);
}
bool QuotientOverflows(const Datum& a, const Datum& b) {
  return b.integer == -1 && a.integer == std::numeric_limits<int64_t>::min();
}
/// By zero it is null, which is no failure.
Datum DivideIntegers(const Datum& a, const Datum& b) {
  if (b.integer == 0) return Datum::Null();
  return QuotientOverflows(a, b) ? Datum::Failed() : Datum::Integer(a.integer / b.integer);
}
Datum RemainderIntegers(const Datum& a, const Datum& b) {
  if (b.integer == 0) return Datum::Null();
  return QuotientOverflows(a, b) ? Datum::Failed() : Datum::Integer(a.integer % b.integer);
}
Datum NegateInteger(const Datum& a) { return SubtractIntegers(Datum::Integer(0), a); }
Datum AbsoluteInteger(const Datum& a) { return a.integer < 0 ? NegateInteger(a) : a; }
Datum SignInteger(const Datum& a) { return Datum::Integer((a.integer > 0) - (a.integer < 0)); }
Datum SameInteger(const Datum& a) { return a; }

/// A whole number within [low, high], else null: how casts to narrower integer types are compiled.
Datum Within(const Datum& a, const Datum& low, const Datum& high) {
  return a.integer < low.integer || a.integer > high.integer ? Datum::Failed() : a;
}

Datum RoundIntegerTo(const Datum& a, const Datum& digits) {
  if (digits.integer >= 0) return a;
  if (digits.integer < -18) return Datum::Integer(0);
  int64_t unit = 1;
  for (int64_t i = digits.integer; i < 0; ++i) unit *= 10;
  const int64_t rest = a.integer % unit;
  int64_t result = a.integer - rest;
  if (rest >= unit - unit / 2 && __builtin_add_overflow(result, unit, &result)) return Datum::Failed();
  if (-rest >= unit - unit / 2 && __builtin_sub_overflow(result, unit, &result)) return Datum::Failed();
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

/// 10^exponent, rounded once; infinity beyond the range of doubles.
double PowerOfTen(int64_t exponent) {
  static const std::array<double, 309> kPowers = [] {
    std::array<double, 309> powers{};
    for (size_t i = 0; i < powers.size(); ++i) {
      const std::string text = "1e" + std::to_string(i);
      std::from_chars(text.data(), text.data() + text.size(), powers[i]);
    }
    return powers;
  }();
  return exponent < 309 ? kPowers[static_cast<size_t>(exponent)] : std::numeric_limits<double>::infinity();
}
Datum RoundNumberTo(const Datum& a, const Datum& digits) {
  const double unit = PowerOfTen(std::abs(std::clamp<int64_t>(digits.integer, -400, 400)));
  const double result = digits.integer < 0 ? std::round(a.number / unit) * unit : std::round(a.number * unit) / unit;
  if (digits.integer < 0 && !std::isfinite(result)) return Datum::Number(0);
  return std::isfinite(result) ? Datum::Number(result) : a;
}
/// Away from zero, to the next even whole number.
Datum EvenNumber(const Datum& a) {
  const double whole = a.number >= 0 ? std::ceil(a.number) : -std::ceil(-a.number);
  if (std::fmod(whole, 2) == 0) return Datum::Number(whole);
  return Datum::Number(a.number >= 0 ? whole + 1 : whole - 1);
}

// From here on the functions are those of fixed_math.h, whose bits depend on no machine.

Datum Logarithm(const Datum& a) { return a.number <= 0 ? Datum::Failed() : Datum::Number(fixed::Log(a.number)); }
Datum Logarithm10(const Datum& a) { return a.number <= 0 ? Datum::Failed() : Datum::Number(fixed::Log10(a.number)); }
Datum Logarithm2(const Datum& a) { return a.number <= 0 ? Datum::Failed() : Datum::Number(fixed::Log2(a.number)); }
Datum LogarithmTo(const Datum& base, const Datum& a) {
  if (a.number <= 0 || base.number <= 0) return Datum::Failed();
  const double scale = fixed::Log10(base.number);
  return scale == 0 ? Datum::Failed() : Datum::Number(fixed::Log10(a.number) / scale);
}
Datum Exponential(const Datum& a) { return Datum::Number(fixed::Exp(a.number)); }
Datum SquareRoot(const Datum& a) { return a.number < 0 ? Datum::Failed() : Datum::Number(std::sqrt(a.number)); }
Datum CubeRoot(const Datum& a) { return Datum::Number(fixed::Cbrt(a.number)); }
Datum Power(const Datum& a, const Datum& b) { return Datum::Number(fixed::Pow(a.number, b.number)); }

template <double (*F)(double)>
Datum OfNumber(const Datum& a) {
  return Datum::Number(F(a.number));
}
template <double (*F)(double)>
Datum OfFiniteNumber(const Datum& a) {
  return std::isinf(a.number) ? Datum::Failed() : Datum::Number(F(a.number));
}
template <double (*F)(double)>
Datum WithinOne(const Datum& a) {
  return a.number < -1 || a.number > 1 ? Datum::Failed() : Datum::Number(F(a.number));
}
Datum Cotangent(const Datum& a) {
  const double tangent = std::isinf(a.number) ? 0 : fixed::Tan(a.number);
  return tangent == 0 ? Datum::Failed() : Datum::Number(1.0 / tangent);
}
Datum HyperbolicArcTangent(const Datum& a) {
  if (a.number < -1 || a.number > 1) return Datum::Failed();
  // DuckDB gives infinity at both ends.
  return Datum::Number(std::fabs(a.number) == 1 ? std::numeric_limits<double>::infinity() : fixed::Atanh(a.number));
}
Datum ArcTangent2(const Datum& a, const Datum& b) { return Datum::Number(fixed::Atan2(a.number, b.number)); }
Datum Degrees(const Datum& a) { return Datum::Number(a.number * (180 / std::numbers::pi)); }
Datum Radians(const Datum& a) { return Datum::Number(a.number * (std::numbers::pi / 180)); }
Datum Pi(const Node&, Evaluation&) { return Datum::Number(std::numbers::pi); }

/// The distance over a sphere of the earth's mean radius (IUGG), in kilometres, of two places in degrees:
/// 2 r asin(sqrt(sin²(Δφ/2) + cos φ1 cos φ2 sin²(Δλ/2))).
Datum Haversine(const Node& node, Evaluation& evaluation) {
  constexpr double kEarthKilometres = 6371.0088;
  std::array<double, 4> degrees{};
  for (size_t i = 0; i < degrees.size(); ++i) {
    const Datum value = Evaluate(node.arguments[i], evaluation);
    if (value.null) return value;
    degrees[i] = value.number;
    if (!std::isfinite(value.number) || (i % 2 == 0 && std::fabs(value.number) > 90)) return Counted(Datum::Failed(), evaluation);
  }
  constexpr double kRadian = std::numbers::pi / 180;
  const double latitude = fixed::Sin((degrees[2] - degrees[0]) * kRadian / 2);
  const double longitude = fixed::Sin((degrees[3] - degrees[1]) * kRadian / 2);
  const double part = latitude * latitude + fixed::Cos(degrees[0] * kRadian) * fixed::Cos(degrees[2] * kRadian) * longitude * longitude;
  return Datum::Number(2 * kEarthKilometres * fixed::Asin(std::sqrt(std::min(part, 1.0))));
}

Datum GreatestCommonDivisor(const Datum& a, const Datum& b) {
  if (a.integer == std::numeric_limits<int64_t>::min() || b.integer == std::numeric_limits<int64_t>::min()) return Datum::Failed();
  return Datum::Integer(std::gcd(a.integer, b.integer));
}
Datum LeastCommonMultiple(const Datum& a, const Datum& b) {
  if (a.integer == 0 || b.integer == 0) return Datum::Integer(0);
  const Datum divisor = GreatestCommonDivisor(a, b);
  if (divisor.null) return divisor;
  const Datum product = MultiplyIntegers(Datum::Integer(a.integer / divisor.integer), b);
  return product.null ? product : Datum::Integer(std::abs(product.integer));
}
Datum BitsAnd(const Datum& a, const Datum& b) { return Datum::Integer(a.integer & b.integer); }
Datum BitsOr(const Datum& a, const Datum& b) { return Datum::Integer(a.integer | b.integer); }
Datum BitsXor(const Datum& a, const Datum& b) { return Datum::Integer(a.integer ^ b.integer); }

Datum IsNan(const Datum& a) { return Datum::Bool(std::isnan(a.number)); }
Datum IsInfinite(const Datum& a) { return Datum::Bool(std::isinf(a.number)); }
Datum IsFinite(const Datum& a) { return Datum::Bool(std::isfinite(a.number)); }
Datum ToSinglePrecision(const Datum& a) {
  const auto single = static_cast<float>(a.number);
  return std::isinf(single) && std::isfinite(a.number) ? Datum::Failed() : Datum::Number(single);
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
      {"log", {kD, kD}, kD, Strict2<LogarithmTo>},
      {"cbrt", {kD}, kD, Strict1<CubeRoot>},
      {"sin", {kD}, kD, Strict1<OfFiniteNumber<fixed::Sin>>},
      {"cos", {kD}, kD, Strict1<OfFiniteNumber<fixed::Cos>>},
      {"tan", {kD}, kD, Strict1<OfFiniteNumber<fixed::Tan>>},
      {"cot", {kD}, kD, Strict1<Cotangent>},
      {"asin", {kD}, kD, Strict1<WithinOne<fixed::Asin>>},
      {"acos", {kD}, kD, Strict1<WithinOne<fixed::Acos>>},
      {"atan", {kD}, kD, Strict1<OfNumber<fixed::Atan>>},
      {"atan2", {kD, kD}, kD, Strict2<ArcTangent2>},
      {"sinh", {kD}, kD, Strict1<OfNumber<fixed::Sinh>>},
      {"cosh", {kD}, kD, Strict1<OfNumber<fixed::Cosh>>},
      {"tanh", {kD}, kD, Strict1<OfNumber<fixed::Tanh>>},
      {"asinh", {kD}, kD, Strict1<OfNumber<fixed::Asinh>>},
      {"acosh", {kD}, kD, Strict1<OfNumber<fixed::Acosh>>},
      {"atanh", {kD}, kD, Strict1<HyperbolicArcTangent>},
      {"degrees", {kD}, kD, Strict1<Degrees>},
      {"radians", {kD}, kD, Strict1<Radians>},
      {"pi", {}, kD, Pi},
      {"haversine", {kD, kD, kD, kD}, kD, Haversine},
      {"even", {kD}, kD, Strict1<EvenNumber>},
      {"gcd", {kI, kI}, kI, Strict2<GreatestCommonDivisor>},
      {"lcm", {kI, kI}, kI, Strict2<LeastCommonMultiple>},
      {"&", {kI, kI}, kI, Strict2<BitsAnd>},
      {"|", {kI, kI}, kI, Strict2<BitsOr>},
      {"xor", {kI, kI}, kI, Strict2<BitsXor>},
      {"isnan", {kD}, kB, Strict1<IsNan>},
      {"isinf", {kD}, kB, Strict1<IsInfinite>},
      {"isfinite", {kD}, kB, Strict1<IsFinite>},
      {"single_precision", {kD}, kD, Strict1<ToSinglePrecision>},
      {"not", {kB}, kB, Strict1<Not>},
  };
  return kFunctions;
}

}  // namespace tidemill::functions
