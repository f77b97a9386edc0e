#include "cli/console.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <sys/ioctl.h>
#include <unistd.h>

namespace tidemill {
namespace {

constexpr size_t kBufferBytes = 64 * 1024;

Status WriteAll(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EPIPE) return Unavailable("output_closed", "whoever read the output has gone away");
    return Unavailable("output_failed", std::string("cannot write the output: ") + std::strerror(errno),
                       errno == ENOSPC ? "free some space where the output goes" : "");
  }
  return Ok();
}

std::string_view Code(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "\x1b[1m";
    case Style::kDim:
      return "\x1b[2m";
    case Style::kGood:
      return "\x1b[32m";
    case Style::kBad:
      return "\x1b[31m";
    case Style::kCaution:
      return "\x1b[33m";
  }
  return "";
}

std::string Styled(bool colours, Style style, std::string_view text) {
  if (!colours || style == Style::kPlain) return std::string(text);
  return std::string(Code(style)) + std::string(text) + "\x1b[0m";
}

bool ColoursWanted() {
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  const char* terminal = std::getenv("TERM");
  return terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
}

int TerminalWidth() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) return size.ws_col;
  return 100;
}

}  // namespace

Console::Console(Sink out, Sink err, ConsoleOptions options) : out_(std::move(out)), err_(std::move(err)), options_(options) {}

Status Console::Write(std::string_view data) {
  buffer_ += data;
  return buffer_.size() < kBufferBytes ? Ok() : Flush();
}

Status Console::WriteJson(const Json& json) { return Write(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"); }

Status Console::Flush() {
  if (buffer_.empty()) return Ok();
  const std::string bytes = std::move(buffer_);
  buffer_.clear();
  return out_(bytes);
}

void Console::Tell(std::string_view message) { (void)err_(message).ok(); }

std::string Console::OutStyle(Style style, std::string_view text) const {
  return Styled(options_.colours && options_.out_is_terminal, style, text);
}

std::string Console::ErrStyle(Style style, std::string_view text) const {
  return Styled(options_.colours && options_.err_is_terminal, style, text);
}

Console SystemConsole() {
  ConsoleOptions options;
  options.out_is_terminal = ::isatty(STDOUT_FILENO) == 1;
  options.err_is_terminal = ::isatty(STDERR_FILENO) == 1;
  options.colours = ColoursWanted();
  options.width_columns = TerminalWidth();
  return Console([](std::string_view bytes) { return WriteAll(STDOUT_FILENO, bytes); },
                 [](std::string_view bytes) { return WriteAll(STDERR_FILENO, bytes); }, options);
}

}  // namespace tidemill
