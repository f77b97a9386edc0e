#include <algorithm>
#include <array>
#include <vector>

#include "feature/program/functions.h"

/// Functions of lists, one implementation for all types of elements.
namespace tidemill::functions {
namespace lists {
namespace {

/// A list argument read element by element.
struct ListArgument {
  ListView view;
  Type element = Type::kInt64;

  size_t size() const { return view.size(); }
  Datum At(size_t at) const { return ElementDatum(view, at, element); }
  bool Equal(size_t at, const Datum& value) const { return !view.IsNull(at) && CompareDatums(At(at), value, element) == 0; }
  bool Has(const Datum& value) const {
    for (size_t i = 0; i < size(); ++i) {
      if (Equal(i, value)) return true;
    }
    return false;
  }
};

ListArgument Open(const Datum& datum, Type type) { return {ListView(datum.text, ElementType(type)), ElementType(type)}; }

Datum Packed(ListBuilder& list, Evaluation& evaluation) {
  std::string& bytes = evaluation.texts.Add();
  list.Finish(bytes);
  return Datum::Text(bytes);
}

/// For `Datum F(const ListArgument&)`, or with the evaluation last: a null list gives null.
template <auto F>
Datum OfList(const Node& node, Evaluation& evaluation) {
  const Datum value = Evaluate(node.arguments[0], evaluation);
  if (value.null) return value;
  const ListArgument list = Open(value, node.arguments[0].type);
  if constexpr (requires { F(list, evaluation); }) {
    return Counted(F(list, evaluation), evaluation);
  } else {
    return Counted(F(list), evaluation);
  }
}
/// The same with a second argument, null like the list.
template <auto F>
Datum OfListAnd(const Node& node, Evaluation& evaluation) {
  const Datum value = Evaluate(node.arguments[0], evaluation);
  if (value.null) return value;
  const Datum other = Evaluate(node.arguments[1], evaluation);
  if (other.null) return other;
  const ListArgument list = Open(value, node.arguments[0].type);
  if constexpr (requires { F(list, other, evaluation); }) {
    return F(list, other, evaluation);
  } else {
    return F(list, other);
  }
}
template <auto F>
Datum OfTwoLists(const Node& node, Evaluation& evaluation) {
  const Datum a = Evaluate(node.arguments[0], evaluation);
  if (a.null) return a;
  const Datum b = Evaluate(node.arguments[1], evaluation);
  if (b.null) return b;
  return F(Open(a, node.arguments[0].type), Open(b, node.arguments[1].type));
}

Datum Length(const ListArgument& list) { return Datum::Integer(static_cast<int64_t>(list.size())); }

/// Positions count from 1, from the end when negative.
Datum Element(const ListArgument& list, const Datum& position) {
  const auto size = static_cast<int64_t>(list.size());
  const int64_t at = position.integer < 0 ? position.integer + size : position.integer - 1;
  return at < 0 || at >= size || position.integer == 0 ? Datum::Null() : list.At(static_cast<size_t>(at));
}
Datum First(const ListArgument& list) { return list.size() == 0 ? Datum::Null() : list.At(0); }
Datum Last(const ListArgument& list) { return list.size() == 0 ? Datum::Null() : list.At(list.size() - 1); }
Datum AnyValue(const ListArgument& list) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (!list.view.IsNull(i)) return list.At(i);
  }
  return Datum::Null();
}
Datum Count(const ListArgument& list) {
  int64_t count = 0;
  for (size_t i = 0; i < list.size(); ++i) count += list.view.IsNull(i) ? 0 : 1;
  return Datum::Integer(count);
}

Datum Contains(const ListArgument& list, const Datum& value) { return Datum::Bool(list.Has(value)); }
/// A null is found too.
Datum Position(const Node& node, Evaluation& evaluation) {
  const Datum datum = Evaluate(node.arguments[0], evaluation);
  if (datum.null) return datum;
  const ListArgument list = Open(datum, node.arguments[0].type);
  const Datum value = Evaluate(node.arguments[1], evaluation);
  for (size_t i = 0; i < list.size(); ++i) {
    if (value.null ? list.view.IsNull(i) : list.Equal(i, value)) return Datum::Integer(static_cast<int64_t>(i) + 1);
  }
  return Datum::Null();
}
/// Nulls in the second list don't count.
Datum HasAny(const ListArgument& list, const ListArgument& wanted) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted.view.IsNull(i) && list.Has(wanted.At(i))) return Datum::Bool(true);
  }
  return Datum::Bool(false);
}
Datum HasAll(const ListArgument& list, const ListArgument& wanted) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted.view.IsNull(i) && !list.Has(wanted.At(i))) return Datum::Bool(false);
  }
  return Datum::Bool(true);
}

Datum SumOfIntegers(const ListArgument& list) {
  __int128 sum = 0;
  bool any = false;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list.view.IsNull(i)) continue;
    sum += list.view.Int(i);
    any = true;
  }
  if (!any) return Datum::Null();
  return sum == static_cast<int64_t>(sum) ? Datum::Integer(static_cast<int64_t>(sum)) : Datum::Failed();
}
/// From the first element to the last, rounded at each.
Datum SumOfNumbers(const ListArgument& list) {
  double sum = 0;
  bool any = false;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list.view.IsNull(i)) continue;
    sum += list.view.Number(i);
    any = true;
  }
  return any ? Datum::Number(sum) : Datum::Null();
}
Datum MeanOfIntegers(const ListArgument& list) {
  __int128 sum = 0;
  for (size_t i = 0; i < list.size(); ++i) sum += list.view.IsNull(i) ? 0 : list.view.Int(i);
  const int64_t count = Count(list).integer;
  return count == 0 ? Datum::Null() : Datum::Number(static_cast<double>(sum) / static_cast<double>(count));
}
Datum MeanOfNumbers(const ListArgument& list) {
  const Datum sum = SumOfNumbers(list);
  return sum.null ? sum : Datum::Number(sum.number / static_cast<double>(Count(list).integer));
}
template <bool kGreatest>
Datum Extreme(const ListArgument& list) {
  Datum best;
  for (size_t i = 0; i < list.size(); ++i) {
    const Datum value = list.At(i);
    if (value.null) continue;
    if (best.null || (kGreatest ? CompareDatums(value, best, list.element) > 0 : CompareDatums(value, best, list.element) < 0))
      best = value;
  }
  return best;
}

std::vector<size_t> Order(const ListArgument& list) {
  std::vector<size_t> order(list.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  return order;
}
Datum Gathered(const ListArgument& list, const std::vector<size_t>& order, Evaluation& evaluation) {
  ListBuilder result(list.element);
  for (const size_t at : order) result.AppendFrom(list.view, at);
  return Packed(result, evaluation);
}
/// Nulls are last in both directions; equal elements keep their order.
template <bool kDescending>
Datum Sorted(const ListArgument& list, Evaluation& evaluation) {
  std::vector<size_t> order = Order(list);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (list.view.IsNull(a) || list.view.IsNull(b)) return !list.view.IsNull(a);
    const auto compared = CompareDatums(list.At(a), list.At(b), list.element);
    return kDescending ? compared > 0 : compared < 0;
  });
  return Gathered(list, order, evaluation);
}
Datum Reversed(const ListArgument& list, Evaluation& evaluation) {
  std::vector<size_t> order = Order(list);
  std::reverse(order.begin(), order.end());
  return Gathered(list, order, evaluation);
}
/// Positions of the first of equal elements, without nulls.
std::vector<size_t> DistinctPositions(const ListArgument& list) {
  std::vector<size_t> order = Order(list);
  std::erase_if(order, [&](size_t at) { return list.view.IsNull(at); });
  const auto compare = [&](size_t a, size_t b) { return CompareDatums(list.At(a), list.At(b), list.element); };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return compare(a, b) < 0; });
  order.erase(std::unique(order.begin(), order.end(), [&](size_t a, size_t b) { return compare(a, b) == 0; }), order.end());
  std::sort(order.begin(), order.end());
  return order;
}
Datum Distinct(const ListArgument& list, Evaluation& evaluation) { return Gathered(list, DistinctPositions(list), evaluation); }
Datum CountDistinctElements(const ListArgument& list) { return Datum::Integer(static_cast<int64_t>(DistinctPositions(list).size())); }

void AppendAll(const Datum& datum, Type type, ListBuilder& result) {
  if (datum.null) return;
  const ListArgument list = Open(datum, type);
  for (size_t i = 0; i < list.size(); ++i) result.AppendFrom(list.view, i);
}
/// `||`: null when one of them is.
Datum Join(const Node& node, Evaluation& evaluation) {
  const Datum a = Evaluate(node.arguments[0], evaluation);
  if (a.null) return a;
  const Datum b = Evaluate(node.arguments[1], evaluation);
  if (b.null) return b;
  ListBuilder result(ElementType(node.type));
  AppendAll(a, node.type, result);
  AppendAll(b, node.type, result);
  return Packed(result, evaluation);
}
/// list_concat: a null list is an empty one.
Datum Concatenated(const Node& node, Evaluation& evaluation) {
  ListBuilder result(ElementType(node.type));
  for (const Node& argument : node.arguments) AppendAll(Evaluate(argument, evaluation), node.type, result);
  return Packed(result, evaluation);
}
Datum Appended(const Node& node, Evaluation& evaluation) {
  ListBuilder result(ElementType(node.type));
  AppendAll(Evaluate(node.arguments[0], evaluation), node.type, result);
  AppendElement(Evaluate(node.arguments[1], evaluation), ElementType(node.type), result);
  return Packed(result, evaluation);
}
Datum Prepended(const Node& node, Evaluation& evaluation) {
  ListBuilder result(ElementType(node.type));
  AppendElement(Evaluate(node.arguments[0], evaluation), ElementType(node.type), result);
  AppendAll(Evaluate(node.arguments[1], evaluation), node.type, result);
  return Packed(result, evaluation);
}

/// Elements from one position to another, both included.
Datum Slice(const Node& node, Evaluation& evaluation) {
  std::array<Datum, 3> arguments;
  for (size_t i = 0; i < arguments.size(); ++i) {
    arguments[i] = Evaluate(node.arguments[i], evaluation);
    if (arguments[i].null) return arguments[i];
  }
  const ListArgument list = Open(arguments[0], node.type);
  const auto size = static_cast<int64_t>(list.size());
  const auto position = [size](int64_t at) { return at < 0 ? at + size + 1 : at; };
  const int64_t first = std::max<int64_t>(position(arguments[1].integer), 1);
  const int64_t last = std::min(position(arguments[2].integer), size);
  ListBuilder result(list.element);
  for (int64_t at = first; at <= last; ++at) result.AppendFrom(list.view, static_cast<size_t>(at - 1));
  return Packed(result, evaluation);
}

Datum JoinedText(const ListArgument& list, const Datum& separator, Evaluation& evaluation) {
  std::string& text = evaluation.texts.Add();
  bool first = true;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list.view.IsNull(i)) continue;
    if (!first) text.append(separator.text);
    text.append(list.view.Text(i));
    first = false;
  }
  return first && list.size() > 0 ? Datum::Null() : Datum::Text(text);
}

}  // namespace

const std::vector<ScalarFunction>& All() {
  static const std::vector<ScalarFunction> kFunctions = [] {
    constexpr Type kI = Type::kInt64;
    constexpr Type kD = Type::kDouble;
    constexpr Type kB = Type::kBool;
    constexpr Type kT = Type::kText;
    std::vector<ScalarFunction> all;
    for (const Type e : {kI, kD, kT, kB, Type::kTimestamp, Type::kDate}) {
      const Type l = ListType(e);
      const std::vector<ScalarFunction> functions = {
          {"length", {l}, kI, OfList<Length>},
          {"list_extract", {l, kI}, e, OfListAnd<Element>},
          {"list_slice", {l, kI, kI}, l, Slice},
          {"list_first", {l}, e, OfList<First>},
          {"list_last", {l}, e, OfList<Last>},
          {"list_any_value", {l}, e, OfList<AnyValue>},
          {"list_count", {l}, kI, OfList<Count>},
          {"list_contains", {l, e}, kB, OfListAnd<Contains>},
          {"list_position", {l, e}, kI, Position},
          {"list_has_any", {l, l}, kB, OfTwoLists<HasAny>},
          {"list_has_all", {l, l}, kB, OfTwoLists<HasAll>},
          {"list_min", {l}, e, OfList<Extreme<false>>},
          {"list_max", {l}, e, OfList<Extreme<true>>},
          {"list_sort", {l}, l, OfList<Sorted<false>>},
          {"list_reverse_sort", {l}, l, OfList<Sorted<true>>},
          {"list_reverse", {l}, l, OfList<Reversed>},
          {"list_distinct", {l}, l, OfList<Distinct>},
          {"list_unique", {l}, kI, OfList<CountDistinctElements>},
          {"||", {l, l}, l, Join},
          {"list_concat", {l, l}, l, Concatenated},
          {"list_append", {l, e}, l, Appended},
          {"list_prepend", {e, l}, l, Prepended},
      };
      all.insert(all.end(), functions.begin(), functions.end());
    }
    all.push_back({"list_sum", {ListType(kI)}, kI, OfList<SumOfIntegers>});
    all.push_back({"list_sum", {ListType(kD)}, kD, OfList<SumOfNumbers>});
    all.push_back({"list_avg", {ListType(kI)}, kD, OfList<MeanOfIntegers>});
    all.push_back({"list_avg", {ListType(kD)}, kD, OfList<MeanOfNumbers>});
    all.push_back({"array_to_string", {ListType(kT), kT}, kT, OfListAnd<JoinedText>});
    return all;
  }();
  return kFunctions;
}

}  // namespace lists

const std::vector<ScalarFunction>& Lists() { return lists::All(); }

}  // namespace tidemill::functions
