#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace tidemill {

/// How text on a terminal may look. Everything plain where colours are off.
enum class Style { kPlain, kBold, kDim, kGood, kBad, kCaution };

/// Where bytes go. Code "output_closed" when the reader has gone away, which is no failure of ours.
using Sink = std::function<Status(std::string_view bytes)>;

/// What is known of the streams when a command starts.
struct ConsoleOptions {
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool colours = false;     ///< for streams that are terminals
  int width_columns = 100;  ///< of the terminal on stderr
};

/// The two streams of a command: data on stdout, messages and progress on stderr. Data is buffered up to 64
/// KiB. Not thread-safe.
class Console {
 public:
  Console(Sink out, Sink err, ConsoleOptions options);

  /// Data. An error ("output_closed" included) means: stop producing.
  Status Write(std::string_view data);
  /// One JSON document and a newline, as data.
  Status WriteJson(const Json& json);
  /// Hands buffered data on.
  Status Flush();

  /// A message on stderr, as it is. Never fails: there is nowhere left to tell.
  void Tell(std::string_view message);

  /// Marks text for stdout or stderr, where that stream shows colours.
  std::string OutStyle(Style style, std::string_view text) const;
  std::string ErrStyle(Style style, std::string_view text) const;
  const ConsoleOptions& options() const { return options_; }

 private:
  Sink out_;
  Sink err_;
  ConsoleOptions options_;
  std::string buffer_;
};

/// The console of this process. Honours NO_COLOR and TERM=dumb.
Console SystemConsole();

}  // namespace tidemill
