#include <csignal>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/commands.h"

int main(int argc, char** argv) {
  tidemill::KeepFreedMemory();
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is told by write(), not by death
  std::signal(SIGXFSZ, SIG_IGN);  // and so is a limit on the size of files
  tidemill::Console console = tidemill::SystemConsole();
  const tidemill::SystemClock clock;
  return tidemill::RunCommandLine({argv + 1, argv + argc}, console, clock);
}
