#include "worker/worker_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

#include "base/json.h"
#include "base/utf8.h"
#include "worker/arrow_stream.h"

namespace tidemill {
namespace {

constexpr size_t kPrintedShownMax = 1000;

/// Starts processes in a thread of its own: they die with the thread that started them, and callers' threads come and go.
class Starter {
 public:
  explicit Starter(WorkerOptions options) : options_(std::move(options)), thread_([this] { Loop(); }) {}
  Starter(const Starter&) = delete;
  Starter& operator=(const Starter&) = delete;
  ~Starter() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  Result<std::unique_ptr<WorkerProcess>> Start() {
    Request request([this] { return WorkerProcess::Start(options_); });
    auto started = request.get_future();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      requests_.push_back(std::move(request));
    }
    changed_.notify_all();
    return started.get();
  }

 private:
  using Request = std::packaged_task<Result<std::unique_ptr<WorkerProcess>>()>;

  void Loop() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return ended_ || !requests_.empty(); });
      if (requests_.empty()) return;
      Request request = std::move(requests_.front());
      requests_.pop_front();
      lock.unlock();
      request();
      lock.lock();
    }
  }

  const WorkerOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request> requests_;  // one of each caller at most
  bool ended_ = false;
  std::thread thread_;
};

/// One call to one process.
class CallRun {
 public:
  CallRun(WorkerProcess& process, const PythonCall& call, const WorkerOptions& options)
      : process_(process), call_(call), options_(options) {}

  Status Run(const TakeRows& take) {
    process_.Allow(options_.time_limit);
    Status status = SendCall();
    if (!status.ok() && status.error().code != "python_closed") return Complete(std::move(status).error());
    if (!status.ok()) {
      // It gave up before it had heard all; what it said is still there to be read.
      const auto said = process_.Receive();
      return Complete(said.ok() && said->kind == 'F' ? ErrorOf(said->payload) : said.ok() ? status.error() : said.error());
    }
    status = ReadResult(take);
    return status.ok() ? status : Complete(std::move(status).error());
  }

  /// The process has told all and waits for the next call.
  bool at_end() const { return at_end_; }

 private:
  Status SendCall() {
    Json message = {{"root", options_.folder.string()}, {"file", call_.file}, {"function", call_.function}};
    message["sources"] = call_.sources;
    message["arguments"] = Json::array();
    for (const PythonArgument& argument : call_.arguments) message["arguments"].push_back(argument.name);
    message["columns"] = Json::array();
    for (const Field& field : call_.columns) message["columns"].push_back(Json::array({field.name, TypeName(field.type)}));
    TIDEMILL_RETURN_IF_ERROR(process_.Send('C', message.dump(-1, ' ', false, Json::error_handler_t::replace)));
    for (const PythonArgument& argument : call_.arguments) {
      TIDEMILL_ASSIGN_OR_RETURN(const auto writer, ArrowWriter::Make(argument.fields, [this](std::string_view bytes) {
                                  return bytes.empty() ? Ok() : process_.Send('D', bytes);
                                }));
      TIDEMILL_RETURN_IF_ERROR(argument.rows([&](const Columns& batch) { return writer->Write(batch); }));
      TIDEMILL_RETURN_IF_ERROR(writer->Finish());
      TIDEMILL_RETURN_IF_ERROR(process_.Send('E', ""));
    }
    return Ok();
  }

  /// The bytes of the result, frame by frame.
  Result<size_t> ReadBytes(uint8_t* bytes, size_t size) {
    while (rest_.empty() && !at_end_) {
      TIDEMILL_ASSIGN_OR_RETURN(frame_, process_.Receive());
      at_end_ = frame_.kind == 'E' || frame_.kind == 'F';
      if (frame_.kind == 'F') return ErrorOf(frame_.payload);
      if (frame_.kind == 'D') rest_ = frame_.payload;
    }
    const size_t count = std::min(size, rest_.size());
    std::memcpy(bytes, rest_.data(), count);
    rest_.remove_prefix(count);
    return count;
  }

  Status ReadResult(const TakeRows& take) {
    TIDEMILL_ASSIGN_OR_RETURN(const auto reader, ArrowReader::Open(call_.columns, [this](uint8_t* bytes, size_t size) {
                                return ReadBytes(bytes, size);
                              }));
    while (true) {
      TIDEMILL_ASSIGN_OR_RETURN(const Columns batch, reader->Next());
      if (batch.rows() == 0) break;
      TIDEMILL_RETURN_IF_ERROR(take(batch));
    }
    // The stream's own end comes before that of the call, and an exception may come between.
    uint8_t nothing = 0;
    while (!at_end_) {
      TIDEMILL_ASSIGN_OR_RETURN([[maybe_unused]] const size_t ignored, ReadBytes(&nothing, 1));
    }
    return Ok();
  }

  static Error ErrorOf(const std::string& payload) {
    const Json failure = Json::parse(payload, nullptr, false);
    if (!failure.is_object()) return InternalError("a Python process told a failure that can't be read");
    const auto text = [&](const char* key) {
      return failure.contains(key) && failure[key].is_string() ? failure[key].get<std::string>() : "";
    };
    const auto number = [&](const char* key) {
      return failure.contains(key) && failure[key].is_number() ? failure[key].get<int>() : 0;
    };
    Error error = UserError(text("code"), text("message"), text("hint"));
    if (failure.contains("file"))
      error.place = Place{text("file"), number("line"), number("column"), number("length"), text("excerpt")};
    return error;
  }

  /// With the file where there is no better place, and with what the code printed.
  Error Complete(Error error) {
    const std::string printed = LastLines(EscapeControls(process_.TakePrinted()), kPrintedShownMax);
    if (!error.code.starts_with("python_")) return error;
    if (!error.place) error.place = Place{call_.file, 0, 0, 1, ""};
    if (printed.empty()) return error;
    error.hint += fmt::format("{}it printed:\n{}", error.hint.empty() ? "" : "\n", printed);
    return error;
  }

  /// Terminals obey control characters; lines and tabs are harmless.
  static std::string EscapeControls(const std::string& text) {
    std::string escaped;
    for (const char c : EscapeInvalidUtf8(text)) {
      if (c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 0x20) escaped += c;
    }
    return escaped;
  }

  WorkerProcess& process_;
  const PythonCall& call_;
  const WorkerOptions& options_;
  WorkerFrame frame_;
  std::string_view rest_;
  bool at_end_ = false;
};

class Pool : public WorkerPool {
 public:
  explicit Pool(WorkerOptions options) : options_(std::move(options)), starter_(options_) {}

  Status Call(const PythonCall& call, const TakeRows& take) override {
    TIDEMILL_ASSIGN_OR_RETURN(std::unique_ptr<WorkerProcess> process, Acquire());
    (void)process->TakePrinted();
    CallRun run(*process, call, options_);
    const Status status = run.Run(take);
    // After anything but a whole answer nobody knows what the process will say next.
    Release(run.at_end() && CanGoOn(status) ? std::move(process) : nullptr);
    return status;
  }

  int64_t started() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return started_;
  }

 private:
  static bool CanGoOn(const Status& status) { return status.ok() || status.error().code != "python_memory"; }

  Result<std::unique_ptr<WorkerProcess>> Acquire() {
    std::unique_lock<std::mutex> lock(mutex_);
    freed_.wait(lock, [this] { return busy_ < options_.processes_max; });
    ++busy_;
    while (!idle_.empty()) {
      std::unique_ptr<WorkerProcess> process = std::move(idle_.back());
      idle_.pop_back();
      if (process->IsIdle()) return process;
    }
    ++started_;
    lock.unlock();
    auto process = starter_.Start();
    if (!process.ok()) Release(nullptr);
    return process;
  }

  void Release(std::unique_ptr<WorkerProcess> process) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      --busy_;
      if (process != nullptr) idle_.push_back(std::move(process));
    }
    freed_.notify_one();
  }

  const WorkerOptions options_;
  Starter starter_;
  mutable std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<std::unique_ptr<WorkerProcess>> idle_;
  int busy_ = 0;
  int64_t started_ = 0;
};

}  // namespace

std::unique_ptr<WorkerPool> WorkerPool::Make(WorkerOptions options) { return std::make_unique<Pool>(std::move(options)); }

}  // namespace tidemill
