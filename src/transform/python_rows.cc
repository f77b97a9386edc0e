#include "transform/python_rows.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <utility>

#include "transform/transform.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBatch = "python batch";

/// Made rows come after those of VALUES in SQL, which count up from here.
constexpr std::string_view kMadeSeqBelow = "-1000000000000000";

std::string TimeLiteral(Timestamp time) { return fmt::format("TIMESTAMP '{}'", FormatSqlTimestamp(time)); }
std::string InLake(const std::string& name) { return "lake.main." + QuoteIdentifier(name); }

std::string NameList(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + QuoteIdentifier(name);
  return list;
}

std::string NameList(const std::vector<Field>& fields) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  return NameList(names);
}

std::string InPath(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const fs::path file = fs::path(folder) / program;
    std::error_code code;
    if (file.is_absolute() && fs::is_regular_file(file, code) && access(file.c_str(), X_OK) == 0) return file.string();
  }
  return program;
}

/// What `python` in tidemill.yaml names, else .venv, else python3. Links are kept: by them a Python knows its environment.
std::string FindInterpreter(const PythonSettings& settings) {
  std::error_code code;
  if (settings.interpreter.empty()) {
    const fs::path own = settings.folder / ".venv" / "bin" / "python";
    return fs::exists(own, code) ? own.string() : InPath("python3");
  }
  const fs::path named = settings.folder / settings.interpreter;
  if (fs::is_directory(named, code)) return (named / "bin" / "python").string();
  const bool is_name = settings.interpreter.find('/') == std::string::npos;
  return is_name && !fs::exists(named, code) ? InPath(settings.interpreter) : named.string();
}

}  // namespace

std::vector<Field> ReturnedColumns(const PythonTable& python) {
  std::vector<Field> columns = python.columns;
  if (python.keeps_rows) columns.insert(columns.end(), {{"_seq", Type::kInt64}, {"_known_at", Type::kTimestamp}});
  return columns;
}

std::unique_ptr<WorkerPool> MakePythonWorkers(const Project& project) {
  const bool wanted = std::any_of(project.tables.begin(), project.tables.end(),
                                  [](const auto& named) { return named.second.python.has_value(); });
  if (!wanted) return nullptr;
  WorkerOptions options;
  options.interpreter = FindInterpreter(project.python);
  options.folder = project.root;
  options.processes_max = project.threads;
  options.memory_limit_mb = project.python.memory_limit_mb;
  options.time_limit = project.python.time_limit;
  return WorkerPool::Make(std::move(options));
}

PythonRows::PythonRows(const Project& project, const TableAsset& table, std::unique_ptr<Session> session)
    : project_(&project),
      table_(&table),
      session_(std::move(session)),
      stored_("memory.main." + QuoteIdentifier(fmt::format("python {} rows", table.name))) {}

PythonRows::~PythonRows() {
  if (session_ != nullptr) (void)session_->Execute("DROP TABLE IF EXISTS " + stored_);
}

Result<PythonRows> PythonRows::Compute(const Project& project, const TableAsset& table, Lake& lake, Timestamp now,
                                       WorkerPool& workers) {
  TIDEMILL_ASSIGN_OR_RETURN(auto session, lake.Connect());
  PythonRows rows(project, table, std::move(session));
  Status run = rows.Run(now, workers);
  if (run.ok()) return rows;
  Error error = std::move(run).error();
  if (error.kind == ErrorKind::kUser && (!error.place || error.place->file.empty())) error.place = table.place;
  return error;
}

Status PythonRows::Run(Timestamp now, WorkerPool& workers) {
  PythonCall call;
  call.file = table_->file;
  call.sources = table_->python->sources;
  call.function = kPythonFunction;
  call.columns = ReturnedColumns(*table_->python);
  for (size_t i = 0; i < table_->inputs.size(); ++i) {
    TIDEMILL_ASSIGN_OR_RETURN(PythonArgument argument, Argument(table_->python->parameters.at(i), table_->inputs[i], now));
    call.arguments.push_back(std::move(argument));
  }
  std::string columns;
  for (const Field& field : call.columns) {
    columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ", QuoteIdentifier(field.name), SqlTypeName(field.type));
  }
  TIDEMILL_RETURN_IF_ERROR(session_->Execute(fmt::format("CREATE OR REPLACE TABLE {} ({})", stored_, columns)));
  TIDEMILL_RETURN_IF_ERROR(workers.Call(call, [this](const Columns& batch) { return Store(batch); }));
  return table_->python->keeps_rows ? CheckKeptRows() : FindLatestKnown(now);
}

Result<PythonArgument> PythonRows::Argument(const std::string& parameter, const std::string& input, Timestamp now) {
  TIDEMILL_ASSIGN_OR_RETURN(std::vector<Field> fields, session_->Describe("SELECT * FROM " + InLake(input)));
  std::erase_if(fields, [](const Field& field) { return field.name == "_seq" || field.name == "_known_at"; });
  const std::string order = "_seq, " + NameList(fields);
  if (table_->python->keeps_rows) fields.insert(fields.end(), {{"_seq", Type::kInt64}, {"_known_at", Type::kTimestamp}});
  const std::string condition = IsHistory(*project_, input) ? "" : fmt::format(" WHERE _known_at <= {}", TimeLiteral(now));
  std::string sql = fmt::format("SELECT {} FROM {}{} ORDER BY {}", NameList(fields), InLake(input), condition, order);
  return PythonArgument{parameter, std::move(fields),
                        [this, sql = std::move(sql)](const TakeRows& take) { return session_->Stream(sql, take); }};
}

Status PythonRows::Store(const Columns& batch) {
  TIDEMILL_RETURN_IF_ERROR(session_->LoadTemporary(kBatch, batch));
  return session_->Execute(fmt::format("INSERT INTO {} SELECT * FROM temp.{}", stored_, QuoteIdentifier(kBatch)));
}

/// A row that is kept must be one that was read, and can't be known before it.
Status PythonRows::CheckKeptRows() {
  std::string read;
  for (const std::string& input : table_->inputs)
    read += fmt::format("{}SELECT _seq, _known_at FROM {}", read.empty() ? "" : " UNION ALL ", InLake(input));
  if (read.empty()) read = "SELECT 0 AS _seq, TIMESTAMP '1970-01-01' AS _known_at WHERE false";
  TIDEMILL_ASSIGN_OR_RETURN(
      const Columns wrong,
      session_->Query(fmt::format(
          "SELECT count(*), min(_seq), count(*) FILTER (WHERE _seq IS NULL OR _known_at IS NULL) FROM {} s WHERE NOT EXISTS "
          "(SELECT 1 FROM ({}) r WHERE r._seq = s._seq AND r._known_at <= s._known_at)",
          stored_, read)));
  if (wrong.columns[0].ints[0] == 0) return Ok();
  const std::string why =
      wrong.columns[2].ints[0] > 0
          ? fmt::format("{} rows without _seq or _known_at", wrong.columns[2].ints[0])
          : fmt::format("{} rows that are no rows of what it read, or known before them (the first has _seq {})",
                        wrong.columns[0].ints[0], wrong.columns[1].ints[0]);
  return UserError(
      "python_rows", fmt::format("the function of '{}' returned {}", table_->name, why),
      "give _seq and _known_at of each row on as they came; rows that are made anew need 'known_at' in place of 'keeps_rows'");
}

Status PythonRows::FindLatestKnown(Timestamp now) {
  std::string latest;
  for (const std::string& input : table_->inputs) {
    latest += fmt::format("{}SELECT max(_known_at) AS t FROM {} WHERE _known_at <= {}", latest.empty() ? "" : " UNION ALL ",
                          InLake(input), TimeLiteral(now));
  }
  latest_known_ = "TIMESTAMP '1970-01-01'";  // without any row: known always
  if (latest.empty()) return Ok();
  TIDEMILL_ASSIGN_OR_RETURN(const Columns found, session_->Query(fmt::format("SELECT max(t) FROM ({})", latest)));
  if (!found.columns[0].IsNull(0)) latest_known_ = TimeLiteral(Timestamp{found.columns[0].ints[0]});
  return Ok();
}

TableSelect PythonRows::Select() const {
  const PythonTable& python = *table_->python;
  TableSelect select;
  select.fields = python.columns;
  const std::string names = NameList(python.columns);
  select.known_at =
      table_->known_at.empty() ? "_known_at" : fmt::format("CAST({} AS TIMESTAMP)", QuoteIdentifier(table_->known_at));
  select.order = "_seq, " + names;
  select.columns = fmt::format("{}, _seq, {} AS _known_at", names, select.known_at);
  if (python.keeps_rows) {
    select.rows = fmt::format("(SELECT * FROM {})", stored_);
    return select;
  }
  const std::string identity = table_->key.empty() ? names : NameList(table_->key);
  select.rows = fmt::format(
      "(SELECT {0}, {1} - (hash({2}, row_number() OVER (PARTITION BY {2} ORDER BY {0})) >> 2)::BIGINT AS _seq, {3} AS _known_at FROM {4})",
      names, kMadeSeqBelow, identity, latest_known_, stored_);
  return select;
}

}  // namespace tidemill
