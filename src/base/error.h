#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidemill {

/// Where in a user's file something is. Lines and columns count from 1; 0 means unknown.
struct Place {
  std::string file;      ///< as the user would type it: relative to the project folder where possible
  int line = 0;
  int column = 0;
  int length = 1;        ///< characters to underline
  std::string excerpt;   ///< the text of the line, when known
};

/// Who has to act on an error.
enum class ErrorKind {
  kUser,         ///< the input, project or command is wrong: the user can mend it
  kUnavailable,  ///< something outside is missing or busy now: trying again may help
  kInternal,     ///< a defect of Tidemill
};

/// An error that a person can act on: what is wrong, where, and what to do next.
///
/// `code` is stable and documented (for instance "unknown_key"); `message` is one sentence without a
/// final full stop. Value type; thread-compatible.
struct Error {
  std::string code;
  std::string message;
  std::optional<Place> place;
  std::string hint;
  ErrorKind kind = ErrorKind::kUser;
  std::vector<Error> others;  ///< further errors found in the same pass

  /// The form for people, several lines, no colour:
  /// `error: ...`, ` --> file:line:column`, the excerpt with carets, `hint: ...`. Ends with a newline.
  std::string Format() const;
  /// The same with what was being done put before the message ("loading features/a.yaml: ...").
  Error WithContext(std::string_view context) const;
};

Error UserError(std::string code, std::string message, std::string hint = "");
Error UserErrorAt(std::string code, std::string message, Place place, std::string hint = "");
Error Unavailable(std::string code, std::string message, std::string hint = "");
Error InternalError(std::string message);

}  // namespace tidemill
