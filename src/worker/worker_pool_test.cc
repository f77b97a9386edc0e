#include "worker/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/files.h"

namespace tidemill {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<Field> kNumbers = {{"n", Type::kInt64}};

/// A pool in an empty folder, with the Python of the tests (which finds pyarrow by PYTHONPATH).
class WorkerPoolTest : public ::testing::Test {
 protected:
  static WorkerOptions Options() {
    WorkerOptions options;
    const char* python = std::getenv("TIDEMILL_TEST_PYTHON");
    options.interpreter = python != nullptr ? python : "/usr/bin/python3";
    options.folder = Folder();
    return options;
  }

  static std::filesystem::path Folder() {
    static const TemporaryFolder* const folder =
        new TemporaryFolder(std::move(TemporaryFolder::Make(std::filesystem::temp_directory_path(), "worker_test")).value());
    return folder->path();
  }

  static PythonCall CallOf(const std::string& source, const std::vector<Field>& columns = kNumbers) {
    PythonCall call;
    call.file = "tables/made.py";
    call.sources["tables/made.py"] = source;
    call.function = "table";
    call.columns = columns;
    return call;
  }

  static PythonArgument Numbers(int64_t count) {
    return {"numbers", kNumbers, [count](const TakeRows& take) -> Status {
              for (int64_t at = 0; at < count;) {
                Columns batch;
                batch.columns.emplace_back("n", Type::kInt64);
                for (const int64_t end = std::min(count, at + 2048); at < end; ++at) batch.columns[0].AppendInt(at);
                TIDEMILL_RETURN_IF_ERROR(take(batch));
              }
              return Ok();
            }};
  }

  /// The rows of a call, or its error.
  static Result<Columns> Rows(WorkerPool& pool, const PythonCall& call) {
    Columns rows;
    for (const Field& field : call.columns) rows.columns.emplace_back(field.name, field.type);
    TIDEMILL_RETURN_IF_ERROR(pool.Call(call, [&](const Columns& batch) -> Status {
      for (size_t i = 0; i < batch.columns.size(); ++i) {
        for (size_t row = 0; row < batch.rows(); ++row) {
          TIDEMILL_RETURN_IF_ERROR(rows.columns[i].Append(batch.columns[i].At(row)));
        }
      }
      return Ok();
    }));
    return rows;
  }

  static Error ErrorOf(WorkerPool& pool, const std::string& source, const std::vector<Field>& columns = kNumbers) {
    const auto rows = Rows(pool, CallOf(source, columns));
    return rows.ok() ? UserError("no_error", "it worked") : rows.error();
  }

  static Place PlaceOf(const Error& error) { return error.place.value_or(Place()); }

  static int64_t Sum(const Columns& rows) {
    int64_t sum = 0;
    for (const int64_t value : rows.columns[0].ints) sum += value;
    return sum;
  }
};

constexpr const char* kGood = "import pyarrow as pa\n\ndef table():\n    return pa.table({'n': [1, 2, None]})\n";

TEST_F(WorkerPoolTest, GivesRowsInAndOut) {
  const auto pool = WorkerPool::Make(Options());
  PythonCall call =
      CallOf("import pyarrow.compute as pc\n\ndef table(numbers):\n    return numbers.filter(pc.greater(numbers['n'], 9))\n");
  call.arguments.push_back(Numbers(100'000));
  const auto rows = Rows(*pool, call);
  ASSERT_TRUE(rows.ok()) << rows.error().Format();
  EXPECT_EQ(rows->rows(), 99'990U);
  EXPECT_EQ(Sum(*rows), 100'000LL * 99'999 / 2 - 45);
  call.arguments = {Numbers(0)};
  const auto empty = Rows(*pool, call);
  ASSERT_TRUE(empty.ok()) << empty.error().Format();
  EXPECT_EQ(empty->rows(), 0U);
}

TEST_F(WorkerPoolTest, KeepsAProcessWarmAndTablesApart) {
  const auto pool = WorkerPool::Make(Options());
  PythonCall call = CallOf(
      "import pyarrow as pa\nimport counter\n\ndef table():\n    counter.calls += 1\n    return pa.table({'n': [counter.calls]})\n");
  call.sources["counter.py"] = "calls = 0\n";
  for (int i = 0; i < 3; ++i) {
    const auto rows = Rows(*pool, call);
    ASSERT_TRUE(rows.ok()) << rows.error().Format();
    EXPECT_EQ(Sum(*rows), 1);
  }
  EXPECT_EQ(pool->started(), 1);
}

TEST_F(WorkerPoolTest, ImportsModulesAndPackagesOfTheProjectOnly) {
  const auto pool = WorkerPool::Make(Options());
  PythonCall call = CallOf(
      "from lib.deep import one\nimport flat\nimport pyarrow as pa\n\ndef table():\n    return pa.table({'n': [one() + flat.two]})\n");
  call.sources["lib/deep.py"] = "from . import base\n\ndef one():\n    return base.ONE\n";
  call.sources["lib/base.py"] = "ONE = 1\n";
  call.sources["flat.py"] = "two = 2\n";
  const auto rows = Rows(*pool, call);
  ASSERT_TRUE(rows.ok()) << rows.error().Format();
  EXPECT_EQ(Sum(*rows), 3);
  // A file that lies there but did not come with the call is not found.
  ASSERT_TRUE(WriteFileAtomic(Folder() / "hidden.py", "x = 1\n").ok());
  const Error error = ErrorOf(*pool, "import hidden\n\ndef table():\n    pass\n");
  EXPECT_EQ(error.code, "python_error");
  EXPECT_EQ(error.message, "ModuleNotFoundError: No module named 'hidden'");
}

TEST_F(WorkerPoolTest, PlacesExceptionsInTheInnermostLineOfTheProject) {
  const auto pool = WorkerPool::Make(Options());
  PythonCall call = CallOf("import maths\n\ndef table():\n    print('before', 1)\n    return maths.divide(1, 0)\n");
  call.sources["maths.py"] = "# divides\ndef divide(a, b):\n    return a / b\n";
  const auto rows = Rows(*pool, call);
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.error().Format(),
            "error: ZeroDivisionError: division by zero\n --> maths.py:3:12\n3 |     return a / b\n  |            ^^^^^\n"
            "hint: it printed:\nbefore 1\n");
  EXPECT_TRUE(Rows(*pool, CallOf(kGood)).ok());
  EXPECT_EQ(pool->started(), 1);
}

/// polars itself is not needed: what counts is the stream that its DataFrames give.
TEST_F(WorkerPoolTest, TakesDataFramesLikeThoseOfPolars) {
  const auto pool = WorkerPool::Make(Options());
  PythonCall call = CallOf("import polars as pl\n\ndef table():\n    return pl.DataFrame({'n': [1, 2, None]})\n");
  call.sources["polars.py"] = R"py(
import pyarrow as pa

class DataFrame:
    def __init__(self, columns):
        self.columns = columns

    def __arrow_c_stream__(self, requested_schema=None):
        return pa.table(self.columns).__arrow_c_stream__(requested_schema)
)py";
  const auto rows = Rows(*pool, call);
  ASSERT_TRUE(rows.ok()) << rows.error().Format();
  EXPECT_EQ(rows->rows(), 3U);
  EXPECT_EQ(Sum(*rows), 3);
  EXPECT_TRUE(rows->columns[0].IsNull(2));
}

TEST_F(WorkerPoolTest, TakesDataFramesOfPandas) {
  const auto pool = WorkerPool::Make(Options());
  const std::string source =
      "import pandas as pd\n\ndef table():\n    rows = pd.DataFrame({'n': [1, 2, 3], 's': ['a', None, 'c']}, index=[7, 8, 9])\n"
      "    return rows[rows['n'] != 2]\n";
  const std::vector<Field> fields = {{"n", Type::kInt64}, {"s", Type::kText}};
  const auto rows = Rows(*pool, CallOf(source, fields));
  if (!rows.ok() && rows.error().message.find("No module named 'pandas'") != std::string::npos)
    GTEST_SKIP() << "pandas is not installed for the tests' Python";
  ASSERT_TRUE(rows.ok()) << rows.error().Format();
  EXPECT_EQ(rows->columns[0].ints, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(rows->columns[1].Text(1), "c");
  const auto with_null =
      Rows(*pool, CallOf("import pandas as pd\n\ndef table():\n    return pd.DataFrame({'n': [1, None, 3]})\n"));
  ASSERT_TRUE(with_null.ok()) << with_null.error().Format();  // pandas makes floats of them
  EXPECT_EQ(Sum(*with_null), 4);
  EXPECT_TRUE(with_null->columns[0].IsNull(1));
}

TEST_F(WorkerPoolTest, TellsErrorsOfSyntax) {
  const auto pool = WorkerPool::Make(Options());
  const Error error = ErrorOf(*pool, "def table():\n    return (1\n");
  EXPECT_EQ(error.code, "python_syntax");
  EXPECT_EQ(PlaceOf(error).line, 2);
  EXPECT_EQ(PlaceOf(error).excerpt, "    return (1");
}

TEST_F(WorkerPoolTest, RefusesWhatIsNoTableOfTheDeclaredColumns) {
  const auto pool = WorkerPool::Make(Options());
  const auto refusal = [&](const std::string& result, const std::vector<Field>& columns = kNumbers) {
    const Error error = ErrorOf(
        *pool, "import datetime\nimport decimal\nimport pyarrow as pa\n\ndef table():\n    return " + result + "\n", columns);
    EXPECT_FALSE(error.hint.empty()) << result;
    EXPECT_EQ(PlaceOf(error).file, "tables/made.py") << result;
    return error.code + ": " + error.message;
  };
  EXPECT_EQ(refusal("None"), "python_result: 'table' returned nothing (None), not a table");
  EXPECT_EQ(refusal("{'n': [1]}"), "python_result: 'table' returned a builtins.dict, not a table");
  EXPECT_EQ(refusal("pa.table({'m': [1]})"), "python_result: the result has no column 'n'");
  EXPECT_EQ(refusal("pa.table({'n': [1], 'm': [1]})"), "python_result: the result has a column 'm' that is not declared");
  EXPECT_EQ(refusal("pa.table([[1], [2]], names=['n', 'n'])"), "python_result: the result has two columns 'n'");
  EXPECT_EQ(refusal("pa.table({'n': ['a']})"), "python_type: column 'n' is declared as integer, but the result holds string");
  EXPECT_EQ(refusal("pa.table({'n': [[1]]})"),
            "python_type: column 'n' is declared as integer, but the result holds list<item: int64>");
  EXPECT_THAT(refusal("pa.table({'n': [1.5]})"),
              HasSubstr("column 'n' can't be stored as integer: Float value 1.500000 was truncated"));
  EXPECT_THAT(refusal("pa.table({'n': pa.array([2**63], pa.uint64())})"), HasSubstr("can't be stored as integer"));
  EXPECT_THAT(refusal("pa.table({'n': [b'\\xff']})", {{"n", Type::kText}}), HasSubstr("the result holds binary"));
}

TEST_F(WorkerPoolTest, ConvertsWhatMeansTheSame) {
  const auto pool = WorkerPool::Make(Options());
  PythonCall call = CallOf(R"py(import datetime
import decimal
import pyarrow as pa

class Other:  # like the data frames of other libraries
    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, schema=None):
        return self.table.__arrow_c_stream__(schema)

def table():
    zone = pa.timestamp("ns", tz="Europe/Berlin")
    return Other(pa.table({
        "day": pa.array([datetime.date(1969, 12, 31), None], pa.date64()),
        "at": pa.array([1_500_000_000_123_456_789, -1], zone),
        "text": pa.array(["ä", None]).dictionary_encode(),
        "long": pa.array(["b", ""], pa.large_string()),
        "number": pa.array([decimal.Decimal("1.25"), None]),
        "nan": [float("nan"), 0.1],
        "large": [2**60 + 1, 0],
        "flag": [True, None],
        "nothing": pa.nulls(2),
        "whole": pa.array([3.0, None]),
        "small": pa.array([1, 255], pa.uint8()),
    }))
)py",
                           {{"flag", Type::kBool},
                            {"whole", Type::kInt64},
                            {"small", Type::kInt64},
                            {"number", Type::kDouble},
                            {"nan", Type::kDouble},
                            {"large", Type::kDouble},
                            {"text", Type::kText},
                            {"long", Type::kText},
                            {"nothing", Type::kText},
                            {"at", Type::kTimestamp},
                            {"day", Type::kDate}});
  const auto rows = Rows(*pool, call);
  ASSERT_TRUE(rows.ok()) << rows.error().Format();
  std::string text;
  for (size_t row = 0; row < 2; ++row) {
    for (const Column& column : rows->columns) text += FormatValue(column.At(row)) + "|";
    text += "\n";
  }
  EXPECT_EQ(text,
            "true|3|1|1.25|nan|1152921504606846976|ä|b||2017-07-14T02:40:00.123456Z|1969-12-31|\n"
            "||255||0.1|0||||1969-12-31T23:59:59.999999Z||\n");
}

TEST_F(WorkerPoolTest, StreamsBatchesAndPassesALateExceptionOn) {
  const auto pool = WorkerPool::Make(Options());
  const std::string source = R"py(import pyarrow as pa

def batches():
    for i in range(5):
        yield pa.record_batch({"n": [i] * 1000})
    if FAIL:
        raise ValueError("in the middle")

def table():
    return pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), batches())
)py";
  const auto rows = Rows(*pool, CallOf("FAIL = False\n" + source));
  ASSERT_TRUE(rows.ok()) << rows.error().Format();
  EXPECT_EQ(Sum(*rows), 10'000);
  const Error error = ErrorOf(*pool, "FAIL = True\n" + source);
  EXPECT_EQ(error.message, "ValueError: in the middle");
  EXPECT_EQ(PlaceOf(error).line, 8);
  EXPECT_TRUE(Rows(*pool, CallOf(kGood)).ok());
  EXPECT_EQ(pool->started(), 1);
}

TEST_F(WorkerPoolTest, StopsALoopThatDoesNotEnd) {
  WorkerOptions options = Options();
  options.time_limit = {kMicrosPerSecond};
  const auto pool = WorkerPool::Make(options);
  const Error error = ErrorOf(*pool, "def table():\n    print('turning')\n    while True:\n        pass\n");
  EXPECT_EQ(error.code, "python_timeout");
  EXPECT_THAT(error.message, HasSubstr("longer than 1s"));
  EXPECT_TRUE(Rows(*pool, CallOf(kGood)).ok());
  EXPECT_EQ(pool->started(), 2);
}

TEST_F(WorkerPoolTest, BoundsMemory) {
  WorkerOptions options = Options();
  options.memory_limit_mb = 1024;
  const auto pool = WorkerPool::Make(options);
  const Error error = ErrorOf(*pool, "def table():\n    return [bytes(1 << 28) for _ in range(100)]\n");
  EXPECT_EQ(error.code, "python_memory") << error.Format();
  EXPECT_THAT(error.hint, HasSubstr("python.memory_limit"));
  EXPECT_EQ(ErrorOf(*pool, "import pyarrow as pa\n\ndef table():\n    return pa.allocate_buffer(1 << 34)\n").code,
            "python_memory");
  EXPECT_TRUE(Rows(*pool, CallOf(kGood)).ok());
}

TEST_F(WorkerPoolTest, OutlivesProcessesThatDie) {
  const auto pool = WorkerPool::Make(Options());
  const auto death = [&](const std::string& how) {
    return ErrorOf(*pool, "import os, signal, ctypes\n\ndef table():\n    print('last words', flush=True)\n    " + how + "\n");
  };
  const Error killed = death("os.kill(os.getpid(), signal.SIGKILL)");
  EXPECT_EQ(killed.code, "python_died");
  EXPECT_THAT(killed.message, HasSubstr("killed (signal 9)"));
  EXPECT_THAT(killed.hint, HasSubstr("last words"));
  EXPECT_THAT(death("ctypes.string_at(0)").message, HasSubstr("segmentation fault"));
  EXPECT_THAT(death("os._exit(3)").message, HasSubstr("exit code 3"));
  EXPECT_THAT(death("os.close(3)").code, HasSubstr("python_died"));
  EXPECT_THAT(death("os.write(3, b'x' * 100)").code, HasSubstr("python_died"));
  EXPECT_EQ(death("raise SystemExit(2)").message, "SystemExit: 2");
  EXPECT_TRUE(Rows(*pool, CallOf(kGood)).ok());
}

TEST_F(WorkerPoolTest, ReplacesAProcessThatDiedBetweenCalls) {
  const auto pool = WorkerPool::Make(Options());
  const auto rows =
      Rows(*pool, CallOf("import os\nimport pyarrow as pa\n\ndef table():\n    return pa.table({'n': [os.getpid()]})\n"));
  ASSERT_TRUE(rows.ok()) << rows.error().Format();
  const auto pid = static_cast<pid_t>(Sum(*rows));
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);  // dead, but not yet taken
  EXPECT_TRUE(Rows(*pool, CallOf(kGood)).ok());
  EXPECT_EQ(pool->started(), 2);
  EXPECT_EQ(waitpid(pid, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(WorkerPoolTest, LeavesNoProcessBehind) {
  pid_t pid = 0;
  int child = -1;  // a descriptor, which tells when it has ended
  {
    const auto pool = WorkerPool::Make(Options());
    const auto rows = Rows(*pool, CallOf(R"py(import os, subprocess
import pyarrow as pa

def table():
    return pa.table({'n': [os.getpid(), subprocess.Popen(['sleep', '1000']).pid]})
)py"));
    ASSERT_TRUE(rows.ok()) << rows.error().Format();
    pid = static_cast<pid_t>(rows->columns[0].ints[0]);
    child = static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(rows->columns[0].ints[1]), 0));
    ASSERT_GE(child, 0);
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_EQ(kill(pid, 0), -1);
  pollfd ended{child, POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, 60'000), 1);
  close(child);
}

TEST_F(WorkerPoolTest, KeepsTheLastOfWhatIsPrinted) {
  const auto pool = WorkerPool::Make(Options());
  const Error error = ErrorOf(
      *pool, "def table():\n    for i in range(300_000):\n        print('line', i)\n    raise ValueError('x' * 100_000)\n");
  EXPECT_LT(error.message.size(), 2'100U);
  EXPECT_LT(error.hint.size(), 1'200U);
  EXPECT_THAT(error.hint, HasSubstr("line 299999"));
  EXPECT_THAT(error.hint, Not(HasSubstr("line 1000\n")));
}

TEST_F(WorkerPoolTest, ServesSeveralThreadsWithFewProcesses) {
  WorkerOptions options = Options();
  options.processes_max = 2;
  const auto pool = WorkerPool::Make(options);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 3; ++i) {
        if (t == 3 && i == 1) {
          good += ErrorOf(*pool, "import os\n\ndef table():\n    os._exit(1)\n").code == "python_died" ? 1 : 0;
          continue;
        }
        PythonCall call = CallOf("def table(numbers):\n    return numbers\n");
        call.arguments.push_back(Numbers(1000 * t + i));
        const auto rows = Rows(*pool, call);
        if (!rows.ok()) ADD_FAILURE() << rows.error().Format();
        good += rows.ok() && rows->rows() == static_cast<size_t>(1000 * t + i) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 12);
  EXPECT_LE(pool->started(), 3);
}

TEST_F(WorkerPoolTest, SaysWhatIsMissing) {
  WorkerOptions options = Options();
  options.interpreter = "/nowhere/python3";
  const Error error = ErrorOf(*WorkerPool::Make(options), kGood);
  EXPECT_EQ(error.code, "python_missing");
  EXPECT_THAT(error.message, HasSubstr("/nowhere/python3"));

  const std::string before = std::getenv("PYTHONPATH") != nullptr ? std::getenv("PYTHONPATH") : "";
  ASSERT_TRUE(MakeFolders(Folder() / "broken" / "pyarrow").ok());
  ASSERT_TRUE(WriteFileAtomic(Folder() / "broken" / "pyarrow" / "__init__.py", "raise ImportError('not here')\n").ok());
  setenv("PYTHONPATH", (Folder() / "broken").c_str(), 1);
  const Error without = ErrorOf(*WorkerPool::Make(Options()), kGood);
  setenv("PYTHONPATH", before.c_str(), 1);
  EXPECT_EQ(without.code, "python_no_pyarrow");
  EXPECT_THAT(without.hint, HasSubstr("-m pip install pyarrow"));
}

TEST_F(WorkerPoolTest, PassesErrorsOfBothEndsOn) {
  const auto pool = WorkerPool::Make(Options());
  PythonCall call = CallOf("def table(numbers):\n    return numbers\n");
  call.arguments.push_back({"numbers", kNumbers, [](const TakeRows&) -> Status { return UserError("no_rows", "can't read"); }});
  EXPECT_EQ(Rows(*pool, call).error().code, "no_rows");
  EXPECT_EQ(pool->Call(CallOf(kGood), [](const Columns&) -> Status { return UserError("full", "no room"); }).error().code,
            "full");
  EXPECT_TRUE(Rows(*pool, CallOf(kGood)).ok());
}

TEST(LastLines, KeepsWholeLines) {
  EXPECT_EQ(LastLines("", 10), "");
  EXPECT_EQ(LastLines("one\ntwo\n\n", 100), "one\ntwo");
  EXPECT_EQ(LastLines("first\nsecond\nthird\n", 9), "third");
  EXPECT_EQ(LastLines("abcdefghij", 4), "ghij");
}

}  // namespace
}  // namespace tidemill
