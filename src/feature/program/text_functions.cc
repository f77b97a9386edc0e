#include <algorithm>

#include "feature/program/functions.h"
#include "feature/program/unicode_case.h"

namespace tidemill::functions {
namespace {

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

/// The byte after the character that begins at `at`.
size_t NextCharacter(std::string_view text, size_t at) {
  ++at;
  while (at < text.size() && Continues(text[at])) ++at;
  return at;
}

int64_t CountCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return !Continues(c); });
}

size_t CharacterOffset(std::string_view text, int64_t characters) {
  size_t at = 0;
  for (; characters > 0 && at < text.size(); --characters) at = NextCharacter(text, at);
  return at;
}

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
    while (last > 0 && Continues(text[last])) --last;
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
      {"like", {kT, kT}, kB, Strict2<Like>},
      {"ilike", {kT, kT}, kB, Strict2<LikeAnyCase>},
  };
  return kFunctions;
}

}  // namespace tidemill::functions
