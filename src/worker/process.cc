#include "worker/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

#include "base/json.h"

namespace tidemill::embedded {
std::string_view runner_py();
}  // namespace tidemill::embedded

namespace tidemill {
namespace {

constexpr size_t kPrintedBytesMax = 4096;
constexpr size_t kFrameBytesMax = 1 << 20;
constexpr int kChannelInChild = 3;
constexpr int kScriptInChild = 4;
constexpr int kFirstFreeInChild = 5;
constexpr Duration kStartLimit{120 * kMicrosPerSecond};

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  int get() const { return number_; }
  int Release() { return std::exchange(number_, -1); }
  void Reset(int number) {
    if (number_ >= 0) close(number_);
    number_ = number;
  }

 private:
  int number_;
};

Error NoProcess(std::string_view what) {
  return Unavailable("python_start", fmt::format("can't start a Python process: {}: {}", what, std::strerror(errno)),
                     "close other programs, or raise the machine's limits on processes and open files");
}

/// The runner as a file without a name.
Status MakeScript(Descriptor* script) {
  script->Reset(memfd_create("tidemill-worker", MFD_CLOEXEC));
  if (script->get() < 0) return NoProcess("memfd_create");
  const std::string_view text = embedded::runner_py();
  if (write(script->get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return NoProcess("write");
  return Ok();
}

std::vector<std::string> Environment() {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (!text.starts_with("PYTHONHASHSEED=") && !text.starts_with("ARROW_DEFAULT_MEMORY_POOL=")) variables.emplace_back(text);
  }
  variables.emplace_back("PYTHONHASHSEED=0");  // the order of sets is the same each time
  // Other allocators reserve address space by the gigabyte, which the limit would count.
  variables.emplace_back("ARROW_DEFAULT_MEMORY_POOL=system");
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// All that the child needs, made before the fork: after it only calls are allowed that take no locks.
struct ChildPlan {
  std::vector<std::string> arguments, variables;
  std::vector<char*> argv, envp;
  std::string folder;
  rlimit memory{};
  int channel = -1, script = -1, printed = -1, nothing = -1, failure = -1;
  pid_t parent = 0;
};

/// Runs in the child and never returns; the error number goes back through the pipe `failure`, which closes when the start
/// worked.
[[noreturn]] void BecomePython(const ChildPlan& plan) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plan.parent) _exit(127);  // the parent died before
  const rlimit no_core{0, 0};
  // Descriptors are moved out of the way first, so that none is overwritten.
  const int channel = fcntl(plan.channel, F_DUPFD_CLOEXEC, 64), script = fcntl(plan.script, F_DUPFD_CLOEXEC, 64);
  const int printed = fcntl(plan.printed, F_DUPFD_CLOEXEC, 64), failure = fcntl(plan.failure, F_DUPFD_CLOEXEC, 64);
  const bool ready = chdir(plan.folder.c_str()) == 0 && setrlimit(RLIMIT_AS, &plan.memory) == 0 &&
                     setrlimit(RLIMIT_CORE, &no_core) == 0 && channel >= 0 && script >= 0 && printed >= 0 && failure >= 0 &&
                     dup2(plan.nothing, 0) == 0 && dup2(printed, 1) == 1 && dup2(printed, 2) == 2 &&
                     dup2(channel, kChannelInChild) == kChannelInChild && dup2(script, kScriptInChild) == kScriptInChild &&
                     close_range(kFirstFreeInChild, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
  if (ready) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    signal(SIGPIPE, SIG_DFL);
    execve(plan.argv[0], plan.argv.data(), plan.envp.data());
  }
  const int problem = errno;
  [[maybe_unused]] const ssize_t told = write(failure, &problem, sizeof(problem));
  _exit(127);
}

std::string HowItEnded(int status, int64_t memory_limit_mb) {
  if (WIFEXITED(status)) return fmt::format("it ended with exit code {}", WEXITSTATUS(status));
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (signal == SIGSEGV) return "it crashed (segmentation fault)";
  if (signal == SIGKILL) return "it was killed (signal 9), by somebody or by the system for want of memory";
  if (signal == SIGABRT) return fmt::format("it aborted (signal 6), perhaps at its memory limit of {} MB", memory_limit_mb);
  return fmt::format("it ended by signal {}", signal);
}

}  // namespace

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::Start(const WorkerOptions& options) {
  std::unique_ptr<WorkerProcess> process(new WorkerProcess());
  TIDEMILL_RETURN_IF_ERROR(process->Launch(options));
  process->Allow(kStartLimit);
  TIDEMILL_ASSIGN_OR_RETURN(const WorkerFrame frame, process->Receive());
  if (frame.kind == 'R') return process;
  const Json failure = Json::parse(frame.payload, nullptr, false);
  if (frame.kind != 'F' || !failure.is_object()) return InternalError("a Python process began with an unknown message");
  return UserError(failure.value("code", "python_error"), failure.value("message", ""), failure.value("hint", ""));
}

Status WorkerProcess::Launch(const WorkerOptions& options) {
  memory_limit_mb_ = options.memory_limit_mb;
  std::array<int, 2> sockets{}, printed{}, failure{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) return NoProcess("socketpair");
  Descriptor ours(sockets[0]), theirs(sockets[1]);
  if (pipe2(printed.data(), O_CLOEXEC) != 0) return NoProcess("pipe");
  Descriptor printed_read(printed[0]), printed_write(printed[1]);
  if (pipe2(failure.data(), O_CLOEXEC) != 0) return NoProcess("pipe");
  Descriptor failure_read(failure[0]), failure_write(failure[1]), script, nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
  TIDEMILL_RETURN_IF_ERROR(MakeScript(&script));

  ChildPlan plan;
  plan.arguments = {options.interpreter, "-B", fmt::format("/proc/self/fd/{}", kScriptInChild)};
  plan.variables = Environment();
  plan.argv = Pointers(&plan.arguments);
  plan.envp = Pointers(&plan.variables);
  plan.folder = options.folder.string();
  plan.memory.rlim_cur = plan.memory.rlim_max = static_cast<rlim_t>(options.memory_limit_mb) << 20;
  plan.channel = theirs.get();
  plan.script = script.get();
  plan.printed = printed_write.get();
  plan.nothing = nothing.get();
  plan.failure = failure_write.get();
  plan.parent = getpid();

  const pid_t child = fork();
  if (child < 0) return NoProcess("fork");
  if (child == 0) BecomePython(plan);
  pid_ = child;
  setpgid(child, child);
  channel_ = ours.Release();
  printed_pipe_ = printed_read.Release();
  fcntl(channel_, F_SETFL, O_NONBLOCK);
  fcntl(printed_pipe_, F_SETFL, O_NONBLOCK);
  failure_write.Reset(-1);
  int problem = 0;
  if (read(failure_read.get(), &problem, sizeof(problem)) != sizeof(problem)) return Ok();
  Kill();
  return UserError("python_missing", fmt::format("can't run the Python '{}': {}", options.interpreter, std::strerror(problem)),
                   "name the interpreter or its virtual environment with 'python' in tidemill.yaml");
}

WorkerProcess::~WorkerProcess() {
  Kill();
  if (channel_ >= 0) close(channel_);
  if (printed_pipe_ >= 0) close(printed_pipe_);
}

/// The whole group, so that what user code has started goes too.
void WorkerProcess::Kill() {
  if (pid_ < 0) return;
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

void WorkerProcess::Allow(Duration limit) {
  limit_ = limit;
  deadline_ = std::chrono::steady_clock::now() + std::chrono::microseconds(limit.micros);
}

Error WorkerProcess::Died() {
  if (pid_ < 0) return UserError("python_died", "the Python process is not running any more");
  int status = 0;
  // Its end of the socket is closed: it is dead, or about to be.
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  pid_t gone = 0;
  while ((gone = waitpid(pid_, &status, WNOHANG)) == 0 && std::chrono::steady_clock::now() < patience) {
    poll(nullptr, 0, 1);
  }
  ReadPrinted();
  if (gone != pid_) {
    Kill();
    return UserError("python_died", "the Python process closed its connection", "leave descriptor 3 alone: it is Tidemill's");
  }
  kill(-pid_, SIGKILL);  // what it has started
  pid_ = -1;
  return UserError(
      "python_died", fmt::format("the Python process died: {}", HowItEnded(status, memory_limit_mb_)),
      fmt::format("the next run starts a new one; memory is limited to {} MB by python.memory_limit in tidemill.yaml",
                  memory_limit_mb_));
}

/// Waits for the channel; what is printed meanwhile is taken, so that the process never waits for us to read it.
Status WorkerProcess::WaitFor(short events) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now()).count();
    if (left <= 0) {
      ReadPrinted();
      Kill();
      return UserError("python_timeout",
                       fmt::format("the Python code took longer than {} and was stopped", FormatDuration(limit_)),
                       "look for a loop that doesn't end, or raise python.time_limit in tidemill.yaml");
    }
    std::array<pollfd, 2> wanted = {pollfd{channel_, events, 0}, pollfd{printed_pipe_, POLLIN, 0}};
    const int ready = poll(wanted.data(), wanted.size(), static_cast<int>(std::min<int64_t>(left, 60'000)));
    if (ready < 0 && errno != EINTR) return InternalError(fmt::format("poll: {}", std::strerror(errno)));
    if (ready <= 0) continue;
    if (wanted[1].revents != 0) ReadPrinted();
    if (wanted[0].revents != 0) return Ok();
  }
}

void WorkerProcess::ReadPrinted() {
  std::array<char, 4096> buffer{};
  // Not more than this at once: the process may print for ever.
  for (int i = 0; i < 64 && printed_pipe_ >= 0; ++i) {
    const ssize_t count = read(printed_pipe_, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) {
      close(printed_pipe_);
      printed_pipe_ = -1;
    }
    if (count <= 0) return;
    printed_.append(buffer.data(), static_cast<size_t>(count));
    if (printed_.size() > kPrintedBytesMax) printed_.erase(0, printed_.size() - kPrintedBytesMax);
  }
}

Status WorkerProcess::Send(char kind, std::string_view payload) {
  if (pid_ < 0) return Died();
  do {
    const std::string_view part = payload.substr(0, kind == 'D' ? kFrameBytesMax : payload.size());
    const auto size = static_cast<uint32_t>(part.size());
    std::string bytes = {kind, static_cast<char>(size), static_cast<char>(size >> 8), static_cast<char>(size >> 16),
                         static_cast<char>(size >> 24)};
    bytes += part;
    for (size_t at = 0; at < bytes.size();) {
      TIDEMILL_RETURN_IF_ERROR(WaitFor(POLLOUT));
      const ssize_t sent = send(channel_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent >= 0) {
        at += static_cast<size_t>(sent);
      } else if (errno == EPIPE || errno == ECONNRESET) {
        return UserError("python_closed", "the Python process does not listen any more");
      } else if (errno != EAGAIN && errno != EINTR) {
        return InternalError(fmt::format("send: {}", std::strerror(errno)));
      }
    }
    payload.remove_prefix(part.size());
  } while (!payload.empty());
  return Ok();
}

Status WorkerProcess::ReadExactly(char* to, size_t size) {
  for (size_t at = 0; at < size;) {
    TIDEMILL_RETURN_IF_ERROR(WaitFor(POLLIN));
    const ssize_t count = recv(channel_, to + at, size - at, 0);
    if (count > 0) {
      at += static_cast<size_t>(count);
    } else if (count == 0 || errno == ECONNRESET) {
      return Died();
    } else if (errno != EAGAIN && errno != EINTR) {
      return InternalError(fmt::format("recv: {}", std::strerror(errno)));
    }
  }
  return Ok();
}

Result<WorkerFrame> WorkerProcess::Receive() {
  if (pid_ < 0) return Died();
  std::array<char, 5> head{};
  TIDEMILL_RETURN_IF_ERROR(ReadExactly(head.data(), head.size()));
  uint32_t size = 0;
  for (size_t i = 4; i >= 1; --i) size = (size << 8) | static_cast<uint8_t>(head[i]);
  if (size > kFrameBytesMax) {
    Kill();
    return UserError("python_died", "the Python process sent something that is not a message",
                     "leave descriptor 3 alone: it is Tidemill's");
  }
  WorkerFrame frame;
  frame.kind = head[0];
  frame.payload.resize(size);
  TIDEMILL_RETURN_IF_ERROR(ReadExactly(frame.payload.data(), size));
  ReadPrinted();
  return frame;
}

bool WorkerProcess::IsIdle() {
  if (pid_ < 0) return false;
  if (waitpid(pid_, nullptr, WNOHANG) != 0) {
    kill(-pid_, SIGKILL);  // what it has started
    pid_ = -1;
    return false;
  }
  pollfd channel{channel_, POLLIN, 0};
  return poll(&channel, 1, 0) == 0;
}

std::string WorkerProcess::TakePrinted() {
  ReadPrinted();
  return std::exchange(printed_, "");
}

std::string LastLines(const std::string& printed, size_t characters) {
  size_t end = printed.size();
  while (end > 0 && (printed[end - 1] == '\n' || printed[end - 1] == '\r')) --end;
  size_t begin = end > characters ? end - characters : 0;
  if (begin > 0) {
    const size_t line = printed.find('\n', begin);
    if (line < end) begin = line + 1;
  }
  return printed.substr(begin, end - begin);
}

}  // namespace tidemill
