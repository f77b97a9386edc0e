#include <csignal>

#include "base/clock.h"
#include "cli/commands.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is told by write(), not by death
  tidemill::Console console = tidemill::SystemConsole();
  const tidemill::SystemClock clock;
  return tidemill::RunCommandLine({argv + 1, argv + argc}, console, clock);
}
