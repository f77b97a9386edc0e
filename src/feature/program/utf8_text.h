#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

/// Characters (code points) of UTF-8 texts, for the functions that count them.
namespace tidemill {

inline bool ContinuesCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

/// The byte after the character that begins at `at`.
inline size_t NextCharacter(std::string_view text, size_t at) {
  ++at;
  while (at < text.size() && ContinuesCharacter(text[at])) ++at;
  return at;
}

inline std::string_view CharacterAt(std::string_view text, size_t at) { return text.substr(at, NextCharacter(text, at) - at); }

inline int64_t CountCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return !ContinuesCharacter(c); });
}

inline size_t CharacterOffset(std::string_view text, int64_t characters) {
  size_t at = 0;
  for (; characters > 0 && at < text.size(); --characters) at = NextCharacter(text, at);
  return at;
}

}  // namespace tidemill
