#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/columns.h"
#include "base/result.h"
#include "worker/process.h"

namespace tidemill {

/// Takes the rows of an argument or of a result, batch by batch.
using TakeRows = std::function<Status(const Columns& batch)>;

/// An argument of a call: it arrives as a pyarrow.Table.
struct PythonArgument {
  std::string name;           ///< as the function names it
  std::vector<Field> fields;  ///< its columns
  std::function<Status(const TakeRows& take)> rows;
};

/// A function of a user's file, and what it is called with.
struct PythonCall {
  std::string file;                            ///< relative to the project's folder, one of `sources`
  std::map<std::string, std::string> sources;  ///< the file and those of the project that it imports: path -> text
  std::string function;
  std::vector<PythonArgument> arguments;
  std::vector<Field> columns;  ///< what it must return
};

/// Python processes for one run: started when needed, at most `processes_max` at once, kept for the next call. A process that
/// died is replaced at the next call. Nothing is left when the pool goes away. Thread-safe.
///
/// User code may come from anywhere, but it is the user's: limits keep it from taking the machine down, they are no fence against
/// malice.
class WorkerPool {
 public:
  /// Starts nothing yet.
  static std::unique_ptr<WorkerPool> Make(WorkerOptions options);
  virtual ~WorkerPool() = default;

  /// Calls the function and hands its rows on, with the declared columns in the declared types, as they come: `take` may have had
  /// some when the call fails in the end. Waits while all processes are busy. Errors in the user's code have their place, and as
  /// a hint what it printed. Codes: "python_error" (an exception), "python_syntax", "python_memory", "python_timeout",
  /// "python_died", "python_result" (not a table, other columns), "python_type", "python_function", those of Start(), of `rows`
  /// and of `take`.
  virtual Status Call(const PythonCall& call, const TakeRows& take) = 0;

  /// How many processes were started so far.
  virtual int64_t started() const = 0;
};

}  // namespace tidemill
