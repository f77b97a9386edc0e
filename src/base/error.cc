#include "base/error.h"

#include <algorithm>

namespace tidemill {
namespace {

void AppendPlace(const Place& place, std::string* out) {
  if (place.file.empty()) return;  // an offset into a text that nobody has located yet
  *out += " --> " + place.file;
  if (place.line > 0) *out += ":" + std::to_string(place.line);
  if (place.line > 0 && place.column > 0) *out += ":" + std::to_string(place.column);
  *out += "\n";
  if (place.excerpt.empty()) return;
  const std::string number = std::to_string(place.line);
  *out += number + " | " + place.excerpt + "\n";
  if (place.column <= 0) return;
  *out += std::string(number.size(), ' ') + " | ";
  for (int i = 0; i + 1 < place.column && i < static_cast<int>(place.excerpt.size()); ++i) {
    *out += place.excerpt[i] == '\t' ? '\t' : ' ';
  }
  *out += std::string(std::max(1, place.length), '^') + "\n";
}

}  // namespace

std::string Error::Format() const {
  std::string out = (kind == ErrorKind::kInternal ? "internal error: " : "error: ") + message + "\n";
  if (place) AppendPlace(*place, &out);
  if (!hint.empty()) out += "hint: " + hint + "\n";
  if (kind == ErrorKind::kInternal) out += "hint: this is a defect of Tidemill; please report it with the command you ran\n";
  for (const Error& other : others) out += other.Format();
  return out;
}

Error Error::WithContext(std::string_view context) const {
  Error error = *this;
  error.message = std::string(context) + ": " + message;
  return error;
}

Error UserError(std::string code, std::string message, std::string hint) {
  return {std::move(code), std::move(message), std::nullopt, std::move(hint), ErrorKind::kUser, {}};
}

Error UserErrorAt(std::string code, std::string message, Place place, std::string hint) {
  return {std::move(code), std::move(message), std::move(place), std::move(hint), ErrorKind::kUser, {}};
}

Error Unavailable(std::string code, std::string message, std::string hint) {
  return {std::move(code), std::move(message), std::nullopt, std::move(hint), ErrorKind::kUnavailable, {}};
}

Error InternalError(std::string message) {
  return {"internal", std::move(message), std::nullopt, "", ErrorKind::kInternal, {}};
}

}  // namespace tidemill
