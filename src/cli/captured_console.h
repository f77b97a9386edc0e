#pragma once

#include <string>

#include "cli/console.h"

namespace tidemill {

/// A console that keeps what is written: for tests.
struct CapturedConsole {
  std::string out;
  std::string err;
  Console console;

  explicit CapturedConsole(ConsoleOptions options = {})
      : console([this](std::string_view bytes) { return out += bytes, Ok(); },
                [this](std::string_view bytes) { return err += bytes, Ok(); }, options) {}
  CapturedConsole(const CapturedConsole&) = delete;
  CapturedConsole& operator=(const CapturedConsole&) = delete;
};

}  // namespace tidemill
