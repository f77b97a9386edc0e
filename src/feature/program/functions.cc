#include "feature/program/functions.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text_distance.h"

namespace tidemill {
namespace {

constexpr std::array<std::string_view, 8> kComparisons = {"=", "<>", "<", "<=", ">", ">=", "is_distinct", "is_not_distinct"};

std::weak_ordering CompareArguments(const Node& node, const Datum& a, const Datum& b) {
  return CompareDatums(a, b, node.arguments[0].type);
}

template <class Accept>
Datum Compare(const Node& node, Evaluation& evaluation, Accept accept) {
  const Datum a = Evaluate(node.arguments[0], evaluation);
  if (a.null) return a;
  const Datum b = Evaluate(node.arguments[1], evaluation);
  if (b.null) return b;
  return Datum::Bool(accept(CompareArguments(node, a, b)));
}
Datum Equal(const Node& node, Evaluation& e) {
  return Compare(node, e, [](auto order) { return order == 0; });
}
Datum NotEqual(const Node& node, Evaluation& e) {
  return Compare(node, e, [](auto order) { return order != 0; });
}
Datum Less(const Node& node, Evaluation& e) {
  return Compare(node, e, [](auto order) { return order < 0; });
}
Datum LessOrEqual(const Node& node, Evaluation& e) {
  return Compare(node, e, [](auto order) { return order <= 0; });
}
Datum Greater(const Node& node, Evaluation& e) {
  return Compare(node, e, [](auto order) { return order > 0; });
}
Datum GreaterOrEqual(const Node& node, Evaluation& e) {
  return Compare(node, e, [](auto order) { return order >= 0; });
}
Datum IsNotDistinct(const Node& node, Evaluation& evaluation) {
  const Datum a = Evaluate(node.arguments[0], evaluation);
  const Datum b = Evaluate(node.arguments[1], evaluation);
  if (a.null || b.null) return Datum::Bool(a.null && b.null);
  return Datum::Bool(CompareArguments(node, a, b) == 0);
}
Datum IsDistinct(const Node& node, Evaluation& evaluation) { return Datum::Bool(IsNotDistinct(node, evaluation).integer == 0); }

EvaluateFunction ComparisonFunction(std::string_view name) {
  constexpr std::array<EvaluateFunction, 8> kFunctions = {Equal,   NotEqual,       Less,       LessOrEqual,
                                                          Greater, GreaterOrEqual, IsDistinct, IsNotDistinct};
  const auto at = std::find(kComparisons.begin(), kComparisons.end(), name);
  return at == kComparisons.end() ? nullptr : kFunctions[static_cast<size_t>(at - kComparisons.begin())];
}

/// `and` with decisive == 0, `or` with decisive == 1: a decisive argument decides, else a null one does.
template <int64_t kDecisive>
Datum Connective(const Node& node, Evaluation& evaluation) {
  bool any_null = false;
  for (const Node& argument : node.arguments) {
    const Datum value = Evaluate(argument, evaluation);
    if (!value.null && value.integer == kDecisive) return value;
    any_null = any_null || value.null;
  }
  return any_null ? Datum::Null() : Datum::Integer(1 - kDecisive);
}

Datum Coalesce(const Node& node, Evaluation& evaluation) {
  for (const Node& argument : node.arguments) {
    const Datum value = Evaluate(argument, evaluation);
    if (!value.null) return value;
  }
  return Datum::Null();
}

/// Nulls are skipped; the first of equal values is taken.
template <bool kGreatest>
Datum Extreme(const Node& node, Evaluation& evaluation) {
  Datum best;
  for (const Node& argument : node.arguments) {
    const Datum value = Evaluate(argument, evaluation);
    if (value.null) continue;
    if (best.null || (kGreatest ? CompareArguments(node, value, best) > 0 : CompareArguments(node, value, best) < 0))
      best = value;
  }
  return best;
}

Datum In(const Node& node, Evaluation& evaluation) {
  const Datum value = Evaluate(node.arguments[0], evaluation);
  if (value.null) return value;
  bool any_null = false;
  for (size_t i = 1; i < node.arguments.size(); ++i) {
    const Datum candidate = Evaluate(node.arguments[i], evaluation);
    if (!candidate.null && CompareArguments(node, value, candidate) == 0) return Datum::Bool(true);
    any_null = any_null || candidate.null;
  }
  return any_null ? Datum::Null() : Datum::Bool(false);
}

Datum IsNull(const Node& node, Evaluation& evaluation) { return Datum::Bool(Evaluate(node.arguments[0], evaluation).null); }
Datum IsNotNull(const Node& node, Evaluation& evaluation) { return Datum::Bool(!Evaluate(node.arguments[0], evaluation).null); }

/// What could not be computed is null without being counted.
Datum Try(const Node& node, Evaluation& evaluation) {
  const uint64_t failures = evaluation.failures;
  const Datum value = Evaluate(node.arguments[0], evaluation);
  evaluation.failures = failures;
  return value;
}
Datum Failed(const Node& node, Evaluation& evaluation) {
  const uint64_t failures = evaluation.failures;
  Evaluate(node.arguments[0], evaluation);
  return Datum::Bool(std::exchange(evaluation.failures, failures) != failures);
}

Datum Concatenate(const Node& node, Evaluation& evaluation) {
  std::string& text = evaluation.texts.Add();
  for (const Node& argument : node.arguments) {
    const Datum value = Evaluate(argument, evaluation);
    if (!value.null) text.append(value.text);
  }
  return Datum::Text(text);
}

/// The first argument stands between the others that are not null.
Datum ConcatenateWith(const Node& node, Evaluation& evaluation) {
  const Datum separator = Evaluate(node.arguments[0], evaluation);
  if (separator.null) return separator;
  std::string& text = evaluation.texts.Add();
  bool first = true;
  for (size_t i = 1; i < node.arguments.size(); ++i) {
    const Datum value = Evaluate(node.arguments[i], evaluation);
    if (value.null) continue;
    if (!first) text.append(separator.text);
    text.append(value.text);
    first = false;
  }
  return Datum::Text(text);
}

Datum MakeListOf(const Node& node, Evaluation& evaluation) {
  const Type element = ElementType(node.type);
  ListBuilder list(element);
  for (const Node& argument : node.arguments) AppendElement(Evaluate(argument, evaluation), element, list);
  std::string& bytes = evaluation.texts.Add();
  list.Finish(bytes);
  return Datum::Text(bytes);
}

struct Variadic {
  std::string_view name;
  size_t arguments_min;
  size_t arguments_max;
  std::optional<Type> parameter;  ///< nullopt: any, all the same
  std::optional<Type> result;     ///< nullopt: that of the arguments
  EvaluateFunction evaluate;
  bool gives_list = false;  ///< of the arguments' type
};
constexpr size_t kAny = 10'000;

const std::vector<Variadic>& VariadicFunctions() {
  static const std::vector<Variadic> kFunctions = {{"and", 1, kAny, Type::kBool, Type::kBool, Connective<0>},
                                                   {"or", 1, kAny, Type::kBool, Type::kBool, Connective<1>},
                                                   {"coalesce", 1, kAny, {}, {}, Coalesce},
                                                   {"least", 1, kAny, {}, {}, Extreme<false>},
                                                   {"greatest", 1, kAny, {}, {}, Extreme<true>},
                                                   {"in", 2, kAny, {}, Type::kBool, In},
                                                   {"is_null", 1, 1, {}, Type::kBool, IsNull},
                                                   {"is_not_null", 1, 1, {}, Type::kBool, IsNotNull},
                                                   {"try", 1, 1, {}, {}, Try},
                                                   {"failed", 1, 1, {}, Type::kBool, Failed},
                                                   {"concat", 1, kAny, Type::kText, Type::kText, Concatenate},
                                                   {"concat_ws", 2, kAny, Type::kText, Type::kText, ConcatenateWith},
                                                   {"list_value", 1, kAny, {}, {}, MakeListOf, true}};
  return kFunctions;
}

std::string TypeList(std::span<const Type> types) {
  std::string text;
  for (const Type type : types) text += (text.empty() ? "" : ", ") + std::string(TypeName(type));
  return "(" + text + ")";
}

bool AllEqual(std::span<const Type> types) {
  return std::adjacent_find(types.begin(), types.end(), std::not_equal_to<>()) == types.end();
}

}  // namespace

const std::vector<ScalarFunction>& ScalarFunctions() {
  static const std::vector<ScalarFunction> kFunctions = [] {
    std::vector<ScalarFunction> all;
    for (const auto* part : {&functions::Numeric(), &functions::Text(), &functions::Time(), &functions::Calendar(), &functions::TimeParsing(),
                             &functions::Similarity(), &functions::Patterns(), &functions::Lists(),
                             &functions::JsonTexts(), &functions::Decimals()})
      all.insert(all.end(), part->begin(), part->end());
    return all;
  }();
  return kFunctions;
}

bool CanCast(Type from, Type to) { return functions::Cast(from, to) != nullptr; }

std::vector<std::string> FunctionNames() {
  std::vector<std::string> names;
  for (const ScalarFunction& function : ScalarFunctions()) {
    if (names.empty() || names.back() != function.name) names.emplace_back(function.name);
  }
  names.insert(names.end(), kComparisons.begin(), kComparisons.end());
  for (const Variadic& variadic : VariadicFunctions()) names.emplace_back(variadic.name);
  names.emplace_back("cast");
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Result<ScalarFunction> ResolveFunction(std::string_view function, std::span<const Type> arguments, Type result) {
  const std::vector<Type> types(arguments.begin(), arguments.end());
  if (function == "cast" && types.size() == 1 && CanCast(types[0], result)) {
    return ScalarFunction{"cast", types, result, functions::Cast(types[0], result)};
  }
  if (EvaluateFunction compare = ComparisonFunction(function); compare != nullptr && types.size() == 2 && AllEqual(types)) {
    return ScalarFunction{function, types, Type::kBool, compare};
  }
  for (const Variadic& variadic : VariadicFunctions()) {
    if (variadic.name != function || types.size() < variadic.arguments_min || types.size() > variadic.arguments_max) continue;
    if (variadic.gives_list && (IsList(types[0]) || types[0] == Type::kDecimal)) continue;
    if (AllEqual(types) && types[0] == variadic.parameter.value_or(types[0])) {
      if (variadic.gives_list) return ScalarFunction{variadic.name, types, ListType(types[0]), variadic.evaluate};
      return ScalarFunction{variadic.name, types, variadic.result.value_or(types[0]), variadic.evaluate};
    }
  }
  for (const ScalarFunction& candidate : ScalarFunctions()) {
    if (candidate.name == function && candidate.parameters == types) return candidate;
  }
  const std::vector<std::string> names = FunctionNames();
  if (std::find(names.begin(), names.end(), function) == names.end()) {
    return UserError("unknown_function", "the kernel has no function '" + std::string(function) + "'",
                     SuggestionHint(function, names));
  }
  return UserError("argument_types", "'" + std::string(function) + "' does not take " + TypeList(arguments));
}

}  // namespace tidemill
