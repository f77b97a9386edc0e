#include <algorithm>

#include "base/hash.h"
#include "feature/program/functions.h"
#include "feature/program/unicode_case.h"
#include "feature/program/utf8_text.h"

namespace tidemill::functions {
namespace {

/// Characters [begin, end), counted from 0, of a text of `length` characters.
std::string_view Slice(std::string_view text, int64_t begin, int64_t end, int64_t length) {
  begin = std::clamp<int64_t>(begin, 0, length);
  end = std::clamp<int64_t>(end, begin, length);
  const size_t first = CharacterOffset(text, begin);
  return text.substr(first, CharacterOffset(text.substr(first), end - begin));
}

Datum Lower(const Datum& a, TextPool& texts) {
  std::string& text = texts.Add();
  AppendLowerCase(a.text, text);
  return Datum::Text(text);
}
Datum Upper(const Datum& a, TextPool& texts) {
  std::string& text = texts.Add();
  AppendUpperCase(a.text, text);
  return Datum::Text(text);
}

/// Bytes of the Unicode space (category Zs) at `at`, or 0.
size_t SpaceAt(std::string_view text, size_t at) {
  static constexpr std::string_view kSpaces[] = {" ",      "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002",
                                                 "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008",
                                                 "\u2009", "\u200a", "\u202f", "\u205f", "\u3000"};
  for (const std::string_view space : kSpaces) {
    if (text.substr(at, space.size()) == space) return space.size();
  }
  return 0;
}
std::string_view TrimStart(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = SpaceAt(text, 0);
    if (bytes == 0) break;
    text.remove_prefix(bytes);
  }
  return text;
}
std::string_view TrimEnd(std::string_view text) {
  while (!text.empty()) {
    size_t last = text.size() - 1;
    while (last > 0 && ContinuesCharacter(text[last])) --last;
    if (SpaceAt(text, last) == 0) break;
    text = text.substr(0, last);
  }
  return text;
}
Datum Trim(const Datum& a) { return Datum::Text(TrimEnd(TrimStart(a.text))); }
Datum TrimLeft(const Datum& a) { return Datum::Text(TrimStart(a.text)); }
Datum TrimRight(const Datum& a) { return Datum::Text(TrimEnd(a.text)); }

Datum Length(const Datum& a) { return Datum::Integer(CountCharacters(a.text)); }

/// Positions count from 1; negative ones from the end; a negative length takes characters before the position.
Datum Substring(const Datum& a, const Datum& position, const Datum& count) {
  constexpr int64_t kLimit = int64_t{1} << 40;
  const int64_t length = CountCharacters(a.text);
  const int64_t offset = std::clamp(position.integer, -kLimit, kLimit);
  const int64_t characters = std::clamp(count.integer, -kLimit, kLimit);
  const int64_t begin = offset < 0 ? offset + length : offset - 1;
  const int64_t end = begin + characters;
  return Datum::Text(Slice(a.text, std::min(begin, end), std::max(begin, end), length));
}
Datum SubstringToEnd(const Datum& a, const Datum& position) { return Substring(a, position, Datum::Integer(int64_t{1} << 40)); }

Datum Left(const Datum& a, const Datum& count) {
  const int64_t length = CountCharacters(a.text);
  return Datum::Text(Slice(a.text, 0, count.integer < 0 ? length + std::max(count.integer, -length) : count.integer, length));
}
Datum Right(const Datum& a, const Datum& count) {
  const int64_t length = CountCharacters(a.text);
  return Datum::Text(Slice(
      a.text, count.integer < 0 ? std::min(length, -std::max(count.integer, -length)) : length - std::min(count.integer, length),
      length, length));
}

Datum Join(const Datum& a, const Datum& b, TextPool& texts) {
  std::string& text = texts.Add();
  text.assign(a.text).append(b.text);
  return Datum::Text(text);
}

Datum Contains(const Datum& a, const Datum& b) { return Datum::Bool(a.text.find(b.text) != std::string_view::npos); }
Datum StartsWith(const Datum& a, const Datum& b) { return Datum::Bool(a.text.starts_with(b.text)); }
Datum EndsWith(const Datum& a, const Datum& b) { return Datum::Bool(a.text.ends_with(b.text)); }
Datum Position(const Datum& a, const Datum& b) {
  const size_t at = a.text.find(b.text);
  return Datum::Integer(at == std::string_view::npos ? 0 : CountCharacters(a.text.substr(0, at)) + 1);
}

Datum Replace(const Datum& a, const Datum& from, const Datum& to, TextPool& texts) {
  if (from.text.empty()) return a;
  std::string& text = texts.Add();
  size_t at = 0;
  for (size_t hit = a.text.find(from.text); hit != std::string_view::npos; hit = a.text.find(from.text, at)) {
    text.append(a.text, at, hit - at).append(to.text);
    at = hit + from.text.size();
  }
  text.append(a.text, at);
  return Datum::Text(text);
}

/// From one character to another, both included; negative positions count from the end.
Datum TextSlice(const Datum& a, const Datum& first, const Datum& last) {
  const int64_t size = CountCharacters(a.text);
  const auto position = [size](int64_t at) { return at < 0 ? at + size + 1 : at; };
  const int64_t begin = std::max<int64_t>(position(first.integer), 1);
  const int64_t end = std::min(position(last.integer), size);
  if (begin > end) return Datum::Text({});
  const std::string_view rest = a.text.substr(CharacterOffset(a.text, begin - 1));
  return Datum::Text(rest.substr(0, CharacterOffset(rest, end - begin + 1)));
}

// ---- texts of their own making; a result that would be longer than this is not computed

constexpr int64_t kTextMax = int64_t{1} << 24;

Datum Reverse(const Datum& a, TextPool& texts) {
  std::string& text = texts.Add();
  text.resize(a.text.size());
  size_t end = text.size();
  for (size_t at = 0; at < a.text.size();) {
    const std::string_view character = CharacterAt(a.text, at);
    at += character.size();
    end -= character.size();
    std::copy(character.begin(), character.end(), text.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return Datum::Text(text);
}

Datum Repeat(const Datum& a, const Datum& count, TextPool& texts) {
  int64_t bytes = 0;
  if (count.integer <= 0) return Datum::Text({});
  if (__builtin_mul_overflow(static_cast<int64_t>(a.text.size()), count.integer, &bytes) || bytes > kTextMax) return Datum::Failed();
  std::string& text = texts.Add();
  text.reserve(static_cast<size_t>(bytes));
  for (int64_t i = 0; i < count.integer && bytes > 0; ++i) text.append(a.text);
  return Datum::Text(text);
}

/// Cuts to `count` characters, or fills up to them with the characters of `filling`, again and again.
template <bool kLeft>
Datum Pad(const Datum& a, const Datum& count, const Datum& filling, TextPool& texts) {
  if (count.integer > kTextMax) return Datum::Failed();
  const int64_t wanted = std::max<int64_t>(count.integer, 0);
  const int64_t length = CountCharacters(a.text);
  if (wanted <= length) return Datum::Text(a.text.substr(0, CharacterOffset(a.text, wanted)));
  if (filling.text.empty()) return Datum::Failed();
  std::string& text = texts.Add();
  if (!kLeft) text.assign(a.text);
  size_t at = 0;
  for (int64_t missing = wanted - length; missing > 0; --missing) {
    const std::string_view character = CharacterAt(filling.text, at);
    text.append(character);
    at = at + character.size() == filling.text.size() ? 0 : at + character.size();
  }
  if (kLeft) text.append(a.text);
  return Datum::Text(text);
}

bool HasCharacter(std::string_view set, std::string_view character) {
  for (size_t at = 0; at < set.size(); at = NextCharacter(set, at)) {
    if (CharacterAt(set, at) == character) return true;
  }
  return false;
}
std::string_view TrimStartOf(std::string_view text, std::string_view set) {
  while (!text.empty() && HasCharacter(set, CharacterAt(text, 0))) text.remove_prefix(NextCharacter(text, 0));
  return text;
}
std::string_view TrimEndOf(std::string_view text, std::string_view set) {
  while (!text.empty()) {
    size_t last = text.size() - 1;
    while (last > 0 && ContinuesCharacter(text[last])) --last;
    if (!HasCharacter(set, text.substr(last))) break;
    text = text.substr(0, last);
  }
  return text;
}
Datum TrimOf(const Datum& a, const Datum& set) { return Datum::Text(TrimEndOf(TrimStartOf(a.text, set.text), set.text)); }
Datum TrimLeftOf(const Datum& a, const Datum& set) { return Datum::Text(TrimStartOf(a.text, set.text)); }
Datum TrimRightOf(const Datum& a, const Datum& set) { return Datum::Text(TrimEndOf(a.text, set.text)); }

uint32_t CodePoint(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  uint32_t code = character.size() == 1 ? first : first & (0xFFU >> (character.size() + 1));
  for (size_t i = 1; i < character.size(); ++i) code = code << 6U | (static_cast<unsigned char>(character[i]) & 0x3FU);
  return code;
}
Datum Ascii(const Datum& a) { return Datum::Integer(a.text.empty() ? 0 : int64_t{CodePoint(CharacterAt(a.text, 0))}); }
Datum Unicode(const Datum& a) { return Datum::Integer(a.text.empty() ? -1 : int64_t{CodePoint(CharacterAt(a.text, 0))}); }
Datum Character(const Datum& a, TextPool& texts) {
  const auto code = static_cast<uint64_t>(a.integer);
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return Datum::Failed();
  std::string& text = texts.Add();
  const auto part = [&](uint64_t bits) { text += static_cast<char>(bits); };
  if (code < 0x80) {
    part(code);
  } else if (code < 0x800) {
    part(0xC0 | code >> 6), part(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    part(0xE0 | code >> 12), part(0x80 | (code >> 6 & 0x3F)), part(0x80 | (code & 0x3F));
  } else {
    part(0xF0 | code >> 18), part(0x80 | (code >> 12 & 0x3F)), part(0x80 | (code >> 6 & 0x3F)), part(0x80 | (code & 0x3F));
  }
  return Datum::Text(text);
}
Datum Bytes(const Datum& a) { return Datum::Integer(static_cast<int64_t>(a.text.size())); }

/// Each character of `from` becomes the one at its place in `to`, or goes when there is none; of equal ones in `from` the first counts.
Datum Translate(const Datum& a, const Datum& from, const Datum& to, TextPool& texts) {
  std::string& text = texts.Add();
  for (size_t at = 0; at < a.text.size(); at = NextCharacter(a.text, at)) {
    const std::string_view character = CharacterAt(a.text, at);
    size_t f = 0;
    size_t t = 0;
    while (f < from.text.size() && CharacterAt(from.text, f) != character) {
      f = NextCharacter(from.text, f);
      if (t < to.text.size()) t = NextCharacter(to.text, t);
    }
    if (f >= from.text.size()) {
      text.append(character);
    } else if (t < to.text.size()) {
      text.append(CharacterAt(to.text, t));
    }
  }
  return Datum::Text(text);
}

/// The parts of a text between separators; without a separator its characters. Calls take(part).
template <class Take>
void ForEachPart(std::string_view text, std::string_view separator, Take take) {
  size_t at = 0;
  if (separator.empty()) {
    for (; at < text.size(); at = NextCharacter(text, at)) take(CharacterAt(text, at));
    if (text.empty()) take(text);
    return;
  }
  for (size_t hit = text.find(separator); hit != std::string_view::npos; hit = text.find(separator, at)) {
    take(text.substr(at, hit - at));
    at = hit + separator.size();
  }
  take(text.substr(at));
}
Datum Split(const Datum& a, const Datum& separator, TextPool& texts) {
  ListBuilder list(Type::kText);
  ForEachPart(a.text, separator.text, [&](std::string_view part) { list.AppendText(part); });
  std::string& bytes = texts.Add();
  list.Finish(bytes);
  return Datum::Text(bytes);
}
/// Parts count from 1, from the end when negative; "" where there is none.
Datum SplitPart(const Datum& a, const Datum& separator, const Datum& position) {
  int64_t count = 0;
  ForEachPart(a.text, separator.text, [&](std::string_view) { ++count; });
  const int64_t wanted = position.integer < 0 ? position.integer + count + 1 : position.integer;
  int64_t number = 0;
  std::string_view result;
  ForEachPart(a.text, separator.text, [&](std::string_view part) {
    if (++number == wanted) result = part;
  });
  return Datum::Text(result);
}

/// The same bytes for a value on every machine; text and numbers never meet, as their lengths and types differ.
Datum Bucket(uint64_t hash, const Datum& buckets) {
  if (buckets.integer <= 0) return Datum::Failed();
  return Datum::Integer(static_cast<int64_t>(hash % static_cast<uint64_t>(buckets.integer)));
}
Datum BucketOfText(const Datum& a, const Datum& buckets) { return Bucket(Hash64(a.text), buckets); }
Datum BucketOfInteger(const Datum& a, const Datum& buckets) {
  return Bucket(Hash64({reinterpret_cast<const char*>(&a.integer), sizeof(a.integer)}), buckets);
}

/// `%` is any text, `_` one character. Linear in practice: only the last `%` is ever tried again.
bool MatchesLike(std::string_view text, std::string_view pattern) {
  size_t t = 0;
  size_t p = 0;
  size_t star = std::string_view::npos;
  size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '%') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == '_') {
      t = NextCharacter(text, t);
      ++p;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++t;
      ++p;
    } else if (star != std::string_view::npos) {
      resume = NextCharacter(text, resume);
      t = resume;
      p = star + 1;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '%') ++p;
  return p == pattern.size();
}
Datum Like(const Datum& a, const Datum& pattern) { return Datum::Bool(MatchesLike(a.text, pattern.text)); }
Datum LikeAnyCase(const Datum& a, const Datum& pattern, TextPool& texts) {
  return Datum::Bool(MatchesLike(Lower(a, texts).text, Lower(pattern, texts).text));
}

}  // namespace

const std::vector<ScalarFunction>& Text() {
  constexpr Type kT = Type::kText;
  constexpr Type kI = Type::kInt64;
  constexpr Type kB = Type::kBool;
  static const std::vector<ScalarFunction> kFunctions = {
      {"lower", {kT}, kT, Strict1<Lower>},
      {"upper", {kT}, kT, Strict1<Upper>},
      {"trim", {kT}, kT, Strict1<Trim>},
      {"ltrim", {kT}, kT, Strict1<TrimLeft>},
      {"rtrim", {kT}, kT, Strict1<TrimRight>},
      {"length", {kT}, kI, Strict1<Length>},
      {"list_slice", {kT, kI, kI}, kT, Strict3<TextSlice>},
      {"substr", {kT, kI}, kT, Strict2<SubstringToEnd>},
      {"substr", {kT, kI, kI}, kT, Strict3<Substring>},
      {"left", {kT, kI}, kT, Strict2<Left>},
      {"right", {kT, kI}, kT, Strict2<Right>},
      {"||", {kT, kT}, kT, Strict2<Join>},
      {"contains", {kT, kT}, kB, Strict2<Contains>},
      {"starts_with", {kT, kT}, kB, Strict2<StartsWith>},
      {"ends_with", {kT, kT}, kB, Strict2<EndsWith>},
      {"strpos", {kT, kT}, kI, Strict2<Position>},
      {"replace", {kT, kT, kT}, kT, Strict3<Replace>},
      {"trim", {kT, kT}, kT, Strict2<TrimOf>},
      {"ltrim", {kT, kT}, kT, Strict2<TrimLeftOf>},
      {"rtrim", {kT, kT}, kT, Strict2<TrimRightOf>},
      {"reverse", {kT}, kT, Strict1<Reverse>},
      {"repeat", {kT, kI}, kT, Strict2<Repeat>},
      {"lpad", {kT, kI, kT}, kT, Strict3<Pad<true>>},
      {"rpad", {kT, kI, kT}, kT, Strict3<Pad<false>>},
      {"ascii", {kT}, kI, Strict1<Ascii>},
      {"unicode", {kT}, kI, Strict1<Unicode>},
      {"chr", {kI}, kT, Strict1<Character>},
      {"strlen", {kT}, kI, Strict1<Bytes>},
      {"translate", {kT, kT, kT}, kT, Strict3<Translate>},
      {"split_part", {kT, kT, kI}, kT, Strict3<SplitPart>},
      {"string_split", {kT, kT}, Type::kTextList, Strict2<Split>},
      {"hash_bucket", {kT, kI}, kI, Strict2<BucketOfText>},
      {"hash_bucket", {kI, kI}, kI, Strict2<BucketOfInteger>},
      {"hash_bucket", {Type::kTimestamp, kI}, kI, Strict2<BucketOfInteger>},
      {"hash_bucket", {Type::kDate, kI}, kI, Strict2<BucketOfInteger>},
      {"like", {kT, kT}, kB, Strict2<Like>},
      {"ilike", {kT, kT}, kB, Strict2<LikeAnyCase>},
  };
  return kFunctions;
}

}  // namespace tidemill::functions
