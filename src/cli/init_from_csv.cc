#include "cli/init_from_csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <utility>

#include "base/text_distance.h"
#include "ingest/infer.h"

namespace tidemill {
namespace {

constexpr int64_t kOneHotValuesMax = 30;
constexpr int64_t kRowsMin = 50;
constexpr int64_t kInferredRecordsMax = 200'000;
constexpr double kIdentifyingShare = 0.95;
/// Rows without a time get one in these years before the day of `init`. Long, so that the split still holds much later.
constexpr int64_t kMadeUpDays = 3650;
constexpr std::string_view kMadeUpTime = "predicted_at";

/// A column of the CSV and what it is good for.
struct CsvColumn {
  ContractColumn contract;
  std::string name;      ///< in SQL and in the model
  int64_t values = 0;    ///< different ones, null not counted
  std::string left_out;  ///< why it is no input; "" : it is one
};

struct CsvTable {
  std::vector<CsvColumn> columns;
  int64_t rows = 0;
  std::vector<std::string> null_texts;
  std::string delimiter = ",";
  std::string relation;  ///< SQL that reads it, all texts
};

/// The two values of what is predicted.
struct Target {
  std::string label;     ///< expression that is true or false
  std::string positive;  ///< the value that it is true for
};

struct TimeColumn {
  std::string name;       ///< "" : there is none
  std::string condition;  ///< SQL that leaves rows without a time out; "" : all have one
  bool with_hours = false;
  Timestamp first, last;
};

bool IsNameStart(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

/// "Customer ID" -> "customer_id"; what is a name already stays as it is.
std::string MakeName(std::string_view header) {
  std::string name;
  for (const char c : header) {
    const bool part = std::isalnum(static_cast<unsigned char>(c)) != 0 && static_cast<unsigned char>(c) < 0x80;
    if (part || c == '_') {
      name += c;
    } else if (!name.empty() && name.back() != '_') {
      name += '_';
    }
  }
  while (!name.empty() && name.back() == '_') name.pop_back();
  if (name != header) std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (name.empty() || !IsNameStart(name[0])) name = "column_" + name;
  return name.substr(0, 50);
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string YamlText(const std::string& text) {
  static constexpr std::array<std::string_view, 6> kWords = {"true", "false", "null", "yes", "no", "nan"};
  const bool plain = !text.empty() && IsNameStart(text[0]) && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (std::isalnum(c) != 0 && c < 0x80) || c == '_';
  });
  if (plain && std::find(kWords.begin(), kWords.end(), Lower(text)) == kWords.end()) return text;
  return Json(text).dump();
}

std::string Join(const std::vector<std::string>& texts, std::string_view separator) {
  return fmt::format("{}", fmt::join(texts, separator));
}

/// A column of the source, as SQL names it.
std::string SourceColumn(const CsvColumn& column) {
  return column.contract.name == column.name ? column.name : QuoteIdentifier(column.contract.name);
}

Result<Columns> QueryOne(Session& session, const std::string& sql) {
  TIDEMILL_ASSIGN_OR_RETURN(Columns rows, session.Query(sql));
  if (rows.columns.empty() || rows.rows() == 0) return InternalError("no rows came from: " + sql);
  return rows;
}

Result<std::set<std::string>> ReservedWords(Session& session) {
  TIDEMILL_ASSIGN_OR_RETURN(const Columns words,
                            session.Query("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"));
  std::set<std::string> reserved;
  for (size_t row = 0; row < words.rows(); ++row) reserved.emplace(words.columns[0].Text(row));
  return reserved;
}

/// Gives every column a name of its own that SQL takes without quotes.
Status NameColumns(Session& session, CsvTable* table) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::set<std::string> reserved, ReservedWords(session));
  std::set<std::string> taken = {std::string(kMadeUpTime)};
  for (CsvColumn& column : table->columns) {
    const std::string name = MakeName(column.contract.name);
    std::string candidate = reserved.contains(Lower(name)) ? name + "_" : name;
    for (int number = 2; !taken.insert(Lower(candidate)).second; ++number) candidate = fmt::format("{}_{}", name, number);
    column.name = candidate;
  }
  return Ok();
}

/// Counts rows and the different values of each column, and sees in the whole file whether any is missing.
Status CountValues(Session& session, CsvTable* table) {
  std::vector<std::string> counts = {"count(*)"};
  for (const CsvColumn& column : table->columns) {
    const std::string quoted = QuoteIdentifier(column.contract.name);
    counts.push_back("count(DISTINCT " + quoted + ")");
    counts.push_back("count(" + quoted + ")");
  }
  TIDEMILL_ASSIGN_OR_RETURN(const Columns counted,
                            QueryOne(session, "SELECT " + Join(counts, ", ") + " FROM " + table->relation));
  table->rows = counted.columns[0].ints[0];
  for (size_t i = 0; i < table->columns.size(); ++i) {
    CsvColumn& column = table->columns[i];
    column.values = counted.columns[2 * i + 1].ints[0];
    column.contract.required = counted.columns[2 * i + 2].ints[0] == table->rows;
  }
  return Ok();
}

Result<CsvTable> ReadCsv(const std::filesystem::path& csv, Session& session) {
  CsvTable table;
  const std::string file = QuoteText(csv.string());
  const auto sniffed = session.Query("SELECT Delimiter FROM sniff_csv(" + file + ")");
  if (sniffed.ok() && sniffed->rows() == 1 && sniffed->columns[0].Text(0).size() == 1)
    table.delimiter = sniffed->columns[0].Text(0);
  table.null_texts = {""};
  TIDEMILL_ASSIGN_OR_RETURN(
      Contract contract, InferCsvContract(csv, csv.string(), table.delimiter[0], &table.null_texts, true, kInferredRecordsMax));
  for (ContractColumn& column : contract.columns) table.columns.push_back({std::move(column), "", 0, ""});
  std::vector<std::string> nulls;
  for (const std::string& text : table.null_texts) nulls.push_back(QuoteText(text));
  table.relation =
      fmt::format("read_csv({}, header = true, all_varchar = true, delim = {}, nullstr = [{}], ignore_errors = true)", file,
                  QuoteText(table.delimiter), nulls.empty() ? "''" : Join(nulls, ", "));
  TIDEMILL_RETURN_IF_ERROR(NameColumns(session, &table));
  TIDEMILL_RETURN_IF_ERROR(CountValues(session, &table));
  return table;
}

Result<CsvColumn*> FindTarget(const std::string& predict, CsvTable* table) {
  std::vector<std::string> names;
  for (CsvColumn& column : table->columns) {
    if (column.contract.name == predict) return &column;
    names.push_back(column.contract.name);
  }
  for (CsvColumn& column : table->columns) {
    if (Lower(column.contract.name) == Lower(predict)) return &column;
  }
  return UserError("unknown_column", "the file has no column '" + predict + "'", SuggestionHint(predict, names));
}

/// Whether a value sounds like the one that is meant by a yes.
bool SoundsPositive(const std::string& value) {
  static const std::set<std::string> kWords = {"1",       "true",  "t",   "yes",     "y",     "positive", "pos",
                                               "churned", "churn", "bad", "default", "fraud", "won",      "success"};
  return kWords.contains(Lower(value));
}

Result<Target> ReadTarget(const CsvColumn& column, const CsvTable& table, Session& session) {
  const std::string quoted = QuoteIdentifier(column.contract.name);
  TIDEMILL_ASSIGN_OR_RETURN(
      const Columns values,
      session.Query(fmt::format("SELECT {0}, count(*) FROM {1} WHERE {0} IS NOT NULL GROUP BY 1 ORDER BY 2, 1 LIMIT 3", quoted,
                                table.relation)));
  if (values.rows() != 2) {
    const std::string found = values.rows() > 2    ? fmt::format("{} different values", column.values)
                              : values.rows() == 1 ? "one value only"
                                                   : "no values";
    return UserError(
        "not_binary", fmt::format("'{}' has {}; a model here predicts which of two it will be", column.contract.name, found),
        "choose a column with two values; or make a project by hand, whose label is a condition, such as amount > 100");
  }
  // The rarer value comes first: it is the one worth predicting, unless a word says otherwise.
  std::string rare(values.columns[0].Text(0));
  std::string common(values.columns[0].Text(1));
  if (SoundsPositive(common) && !SoundsPositive(rare)) std::swap(rare, common);
  Target target;
  target.positive = rare;
  switch (column.contract.type) {
    case Type::kBool:
      target.label = column.name;
      target.positive = "true";
      break;
    case Type::kInt64:
    case Type::kDouble: target.label = column.name + " = " + rare; break;
    default: target.label = column.name + " = " + QuoteText(rare); break;
  }
  return target;
}

/// The first column of times, else of dates, that has more than one value.
Result<TimeColumn> FindTime(const CsvTable& table, const CsvColumn& target, Session& session) {
  for (const Type type : {Type::kTimestamp, Type::kDate}) {
    for (const CsvColumn& column : table.columns) {
      if (column.contract.type != type || &column == &target || column.values < 2) continue;
      const std::string time = fmt::format("TRY_CAST({} AS TIMESTAMP)", QuoteIdentifier(column.contract.name));
      TIDEMILL_ASSIGN_OR_RETURN(
          const Columns range,
          QueryOne(session,
                   fmt::format("SELECT epoch_us(min({0})), epoch_us(max({0})), bool_or({0} <> date_trunc('day', {0})) FROM {1}",
                               time, table.relation)));
      if (range.columns[0].IsNull(0) || range.columns[0].ints[0] == range.columns[1].ints[0]) continue;
      const bool with_hours = type == Type::kTimestamp && !range.columns[2].IsNull(0) && range.columns[2].ints[0] != 0;
      const std::string condition = column.contract.required ? "" : "WHERE " + SourceColumn(column) + " IS NOT NULL\n";
      return TimeColumn{column.name, condition, with_hours, {range.columns[0].ints[0]}, {range.columns[1].ints[0]}};
    }
  }
  return TimeColumn{};
}

/// Says of each column why it would teach a model nothing that holds for new rows.
void LeaveOut(const CsvColumn& target, const TimeColumn& time, CsvTable* table) {
  for (CsvColumn& column : table->columns) {
    const Type type = column.contract.type;
    const bool nearly_unique = static_cast<double>(column.values) > kIdentifyingShare * static_cast<double>(table->rows);
    const std::string lower = Lower(column.name);
    const bool named_id =
        lower == "id" || lower == "key" || lower.ends_with("id") || lower.ends_with("number") || lower.ends_with("no");
    if (&column == &target) {
      column.left_out = "it is what is predicted";
    } else if (column.name == time.name) {
      column.left_out = "the time of the prediction";
    } else if (type == Type::kTimestamp || type == Type::kDate) {
      column.left_out = "a time; use an expression of it, such as hour(" + column.name + ")";
    } else if (column.values < 2) {
      column.left_out = "it has one value only";
    } else if (nearly_unique && (type == Type::kText || (type == Type::kInt64 && named_id))) {
      column.left_out = "it has another value in nearly every row";
    }
  }
}

std::string SourceYaml(const CsvTable& table, const std::string& file) {
  std::vector<std::string> nulls;
  for (const std::string& text : table.null_texts) nulls.push_back(YamlText(text));
  std::string from = "files: " + YamlText(file);
  if (!nulls.empty()) from += ", null: [" + Join(nulls, ", ") + "]";
  if (table.delimiter != ",") from += ", delimiter: " + Json(table.delimiter).dump();
  std::string yaml =
      "# Where rows come from, and what they must look like. Rows that don't are put aside with the reason.\n"
      "from: {" +
      from +
      "}\n"
      "# What is predicted stands beside what it is predicted from, so the file holds more than was known at any one time.\n"
      "history: true\ncontract:\n  columns:\n";
  for (const CsvColumn& column : table.columns) {
    yaml += fmt::format("    {}: {{type: {}{}}}\n", YamlText(column.contract.name), TypeName(column.contract.type),
                        column.contract.required ? ", required: true" : "");
  }
  return yaml;
}

std::string SelectItem(const CsvColumn& column) {
  const std::string source = SourceColumn(column);
  if (column.contract.type == Type::kDate) return fmt::format("CAST({} AS TIMESTAMP) AS {}", source, column.name);
  return source == column.name ? source : source + " AS " + column.name;
}

std::string CleanTableSql(const CsvTable& table, const CsvColumn& target, const TimeColumn& time, const std::string& source,
                     Timestamp today) {
  std::vector<std::string> items;
  std::vector<std::string> hashed;
  for (const CsvColumn& column : table.columns) {
    items.push_back(SelectItem(column));
    if (&column != &target) hashed.push_back(SourceColumn(column));
  }
  if (!time.name.empty()) {
    return "-- One row for each prediction.\nSELECT\n  " + Join(items, ",\n  ") + "\nFROM " + source + "\n" + time.condition;
  }
  const Timestamp first = today - Duration{kMadeUpDays * kMicrosPerDay};
  items.push_back(fmt::format("{} + to_seconds(CAST(hash({}) % {} AS BIGINT)) AS {}", SqlLiteral(first),
                              Join(hashed, ", "), kMadeUpDays * 86'400, kMadeUpTime));
  return "-- One row for each prediction. The file tells no time, and a model is trained on the past and tested on what came "
         "later: each row gets a time\n"
         "-- by a hash of its values, which makes a random split that stays the same. If rows have a time, put it in place of " +
         std::string(kMadeUpTime) +
         ".\n"
         "SELECT\n  " +
         Join(items, ",\n  ") + "\nFROM " + source + "\n";
}

/// 68, 15 and 15 % of the time that the rows span: a little less than all of it, so that no window has to shrink.
std::string SplitYaml(Timestamp first, Timestamp last) {
  const int64_t span = (last - first).micros;
  struct Unit {
    int64_t micros;
    std::string_view name;
  };
  constexpr std::array<Unit, 4> kUnits = {
      {{kMicrosPerDay, "d"}, {kMicrosPerDay / 24, "h"}, {60 * kMicrosPerSecond, "m"}, {kMicrosPerSecond, "s"}}};
  const auto unit = std::find_if(kUnits.begin(), kUnits.end() - 1, [&](const Unit& u) { return span >= 20 * u.micros; });
  const int64_t units = std::min<int64_t>(36'500, span / unit->micros + 1);
  const auto share = [&](int64_t percent) { return std::max<int64_t>(1, units * percent / 100); };
  return fmt::format("split: {{train: {0}{2}, validate: {1}{2}, test: {1}{2}, refit: all}}\n", share(68), share(15), unit->name);
}

struct Inputs {
  std::vector<std::string> lines;
  std::vector<std::string> one_hot, ordinal, left_out;
};

Inputs ChooseInputs(const CsvTable& table, const TimeColumn& time) {
  Inputs inputs;
  for (const CsvColumn& column : table.columns) {
    if (!column.left_out.empty()) {
      inputs.left_out.push_back("#   " + column.name + ": " + column.left_out);
      continue;
    }
    inputs.lines.push_back("  - " + column.name);
    if (column.contract.type != Type::kText) continue;
    (column.values <= kOneHotValuesMax ? inputs.one_hot : inputs.ordinal).push_back(column.name);
  }
  std::set<std::string> taken;
  for (const CsvColumn& column : table.columns) taken.insert(Lower(column.name));
  const auto add = [&](std::string name, std::string_view function) {
    while (taken.contains(name)) name += "_";
    inputs.lines.push_back(fmt::format("  - {{{}: {}({})}}", name, function, time.name));
  };
  if (time.with_hours) add("hour_of_day", "hour");
  if (!time.name.empty()) add("day_of_week", "isodow");
  return inputs;
}

std::string ModelYaml(const Inputs& inputs, const Target& target, const std::string& spine, const TimeColumn& time,
                      const std::string& split) {
  const std::string at = time.name.empty() ? std::string(kMadeUpTime) : time.name;
  std::string yaml =
      "# The file doesn't tell when the truth came out: it counts as known at the time of the row. If a column tells it, name it "
      "under label_known_at.\n";
  yaml += fmt::format("training_set: {{spine: {}, label: {}, timestamp: {}, label_known_at: {}}}\n", spine,
                      YamlText(target.label), at, at);
  yaml += "# Take out what is only known after the outcome, or the model will look better than it is.\n";
  if (!inputs.left_out.empty()) yaml += "# Left out:\n" + Join(inputs.left_out, "\n") + "\n";
  yaml += "features:\n" + Join(inputs.lines, "\n") + "\n" + split;
  if (!inputs.one_hot.empty() || !inputs.ordinal.empty()) yaml += "prepare:\n";
  if (!inputs.one_hot.empty()) yaml += "  - one_hot: {columns: [" + Join(inputs.one_hot, ", ") + "], other_below: 10}\n";
  if (!inputs.ordinal.empty()) yaml += "  - ordinal: {columns: [" + Join(inputs.ordinal, ", ") + "], other_below: 10}\n";
  yaml +=
      "algorithm: {lightgbm: {objective: binary, learning_rate: 0.05, num_leaves: 15, rounds: 300, early_stopping: 20}}\n"
      "# 0.5 is guessing: raise it to what you need.\ngates:\n  - auc: {min: 0.5}\n";
  return yaml;
}

std::string UnusedName(std::string name, const std::set<std::string>& taken, std::string_view suffix) {
  if (taken.contains(Lower(name))) name += suffix;
  return name;
}

}  // namespace

Result<NewProject> MakeProjectFromCsv(const std::filesystem::path& csv, const std::string& file_in_project,
                                      const std::string& predict, Timestamp now, Session& session) {
  TIDEMILL_ASSIGN_OR_RETURN(CsvTable table, ReadCsv(csv, session));
  TIDEMILL_ASSIGN_OR_RETURN(const CsvColumn* target_column, FindTarget(predict, &table));
  if (table.rows < kRowsMin) {
    return UserError("too_few_rows",
                     fmt::format("'{}' has {} rows; a model needs at least {}", csv.filename().string(), table.rows, kRowsMin),
                     "bring more rows");
  }
  TIDEMILL_ASSIGN_OR_RETURN(const Target target, ReadTarget(*target_column, table, session));
  TIDEMILL_ASSIGN_OR_RETURN(const TimeColumn time, FindTime(table, *target_column, session));
  LeaveOut(*target_column, time, &table);
  const Inputs inputs = ChooseInputs(table, time);
  if (inputs.lines.empty())
    return UserError("no_inputs", "no column is left to predict '" + predict + "' from", "bring a file with more columns");

  const std::string source = MakeName(std::filesystem::path(file_in_project).stem().stem().string());
  const std::string spine = source + "_rows";
  const std::string model = UnusedName(target_column->name, {Lower(source), Lower(spine)}, "_model");
  const Timestamp today{now.micros / kMicrosPerDay * kMicrosPerDay};
  const Timestamp first = time.name.empty() ? today - Duration{kMadeUpDays * kMicrosPerDay} : time.first;
  const Timestamp last = time.name.empty() ? today : time.last;
  const std::string at = time.name.empty() ? std::string(kMadeUpTime) : time.name;

  NewProject project;
  project.model = model;
  project.files["tidemill.yaml"] = "project: " + source + "\n";
  project.files[".gitignore"] = ".tidemill/\n";
  project.files["sources/" + source + ".yaml"] = SourceYaml(table, file_in_project);
  project.files["tables/" + spine + ".sql"] = CleanTableSql(table, *target_column, time, source, today);
  project.files["tables/" + spine + ".yaml"] = "timestamp: " + at + "\nknown_at: " + at + "\n";
  project.files["models/" + model + ".yaml"] = ModelYaml(inputs, target, spine, time, SplitYaml(first, last));
  project.notes.push_back(fmt::format("predicts whether {} is {}, from {} inputs", target_column->contract.name, target.positive,
                                      inputs.lines.size()));
  for (const std::string& line : inputs.left_out) project.notes.push_back("left out " + line.substr(4));
  project.notes.push_back(time.name.empty() ? "the file tells no time: rows are split at random, by a hash of their values"
                                            : fmt::format("{} is the time of a row: {} to {}", time.name, FormatTimestamp(first),
                                                          FormatTimestamp(last)));
  // The test window ends at the project clock: for old data the clock is put back to its end.
  if (!time.name.empty() && last + Duration{(last - first).micros / 50} < now)
    project.now = Timestamp{(last.micros / kMicrosPerSecond + 1) * kMicrosPerSecond};
  return project;
}

}  // namespace tidemill
