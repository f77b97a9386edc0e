#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace tidemill {

struct WorkerOptions {
  std::string interpreter;       ///< path of a Python
  std::filesystem::path folder;  ///< the project: where the process works, and what places of errors are relative to
  int processes_max = 1;         ///< of a pool
  int64_t memory_limit_mb = 2048;
  Duration time_limit{3600 * kMicrosPerSecond};  ///< of a call, by the monotonic clock
};

/// A message between Tidemill and a worker process: one byte of kind, the payload's length (32 bits, least byte first), the
/// payload.
///
/// | kind | from | payload |
/// |---|---|---|
/// | R | process | ready: JSON with the versions of Python and pyarrow; first of all |
/// | C | Tidemill | a call: JSON with root, file, sources, function, arguments, columns |
/// | D | both | bytes of an Arrow IPC stream, at most 1 MiB: of an argument, later of the result |
/// | E | both | the end of an argument or of the result |
/// | F | process | a failure instead of the rest: JSON with code, message, hint and perhaps file, line, column, length, excerpt |
///
/// After C the arguments follow in order, each as D... E; then the process answers with D... E or with F.
struct WorkerFrame {
  char kind = 0;
  std::string payload;
};

/// One Python process that runs worker/runner.py. It has its own process group, no other open files than its socket, a limit on
/// memory, and dies with the thread that started it. What it prints is collected, the last 4 KB are kept. Destroying it kills it
/// and waits, so nothing is left. Not thread-safe.
class WorkerProcess {
 public:
  /// Starts it and waits until it is ready. Codes: "python_missing" (no such program), "python_no_pyarrow", "python_timeout",
  /// "python_died".
  static Result<std::unique_ptr<WorkerProcess>> Start(const WorkerOptions& options);
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;
  ~WorkerProcess();

  /// From now on Send and Receive may take `limit` together; then the process is killed and they fail with "python_timeout".
  void Allow(Duration limit);

  /// Codes: "python_died" with how, "python_timeout". A failure that the process told instead of listening is "python_closed":
  /// Receive gives it.
  Status Send(char kind, std::string_view payload);
  Result<WorkerFrame> Receive();

  /// It waits for a call. False when it has died since the last one.
  bool IsIdle();
  /// Takes what was printed since the last time.
  std::string TakePrinted();
  pid_t pid() const { return pid_; }

 private:
  WorkerProcess() = default;
  Status Launch(const WorkerOptions& options);
  Status WaitFor(short events);
  Status ReadExactly(char* to, size_t size);
  void ReadPrinted();
  void Kill();
  Error Died();

  pid_t pid_ = -1;
  int channel_ = -1;
  int printed_pipe_ = -1;
  int64_t memory_limit_mb_ = 0;
  Duration limit_{0};
  std::chrono::steady_clock::time_point deadline_;
  std::string printed_;
};

/// What an error message shows of it: its last lines, at most `characters`.
std::string LastLines(const std::string& printed, size_t characters);

}  // namespace tidemill
