#include "project/schema_validator.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "project/project.h"

namespace tidemill {
namespace {

/// The errors of a document in one of the published formats, as users see them.
std::string Problems(std::string_view format, std::string_view text) {
  const auto document = ParseYaml(text, "a.yaml");
  if (!document.ok()) return document.error().Format();
  std::string all;
  for (const Error& error : SchemaValidator(Json::parse(FormatSchema(format))).Validate(*document)) all += error.Format();
  return all;
}

constexpr std::string_view kView = "entity: [id]\nfrom: orders\nfeatures:\n  total: {value: sum(amount), windows: [7d]}\n";
constexpr std::string_view kModel =
    "training_set: {spine: s, label: x > 1, timestamp: t, label_known_at: k}\nsplit: {train: 60d, validate: 7d, test: 7d}\n"
    "algorithm: {lightgbm: {objective: binary}}\n";

TEST(SchemaValidator, EverySchemaIsJsonThatItUnderstands) {
  for (const std::string_view format : {"tidemill", "source", "table", "feature_view", "derived_view", "model"}) {
    SCOPED_TRACE(format);
    const Json schema = Json::parse(FormatSchema(format));
    EXPECT_EQ(schema["additionalProperties"], false);
    EXPECT_TRUE(schema.contains("title") && schema.contains("description"));
  }
  EXPECT_EQ(FormatSchema("sauce"), "");
}

TEST(SchemaValidator, AcceptsWhatTheFormatsAllow) {
  EXPECT_EQ(Problems("tidemill", "project: flights\nmemory_limit: 512MB\nthreads: 4\n"), "");
  EXPECT_EQ(
      Problems("source",
               "from: {files: [a.csv, b.csv], null: [NA, '', 9999], delimiter: \"\\t\"}\nkey: [id]\nknown_at: at\nhistory: true\n"
               "contract:\n  columns: {a: {type: text, length: [2, 2], pattern: '[A-Z]+', one_of: [EWR, 1, true]}, b: {type: "
               "number, between: [-1.5, 2]}}\n"
               "  extra_columns: ignore\n  on_violation: warn\n"),
      "");
  EXPECT_EQ(Problems("source", "from: {files: a.csv, null: NA}\n"), "");
  EXPECT_EQ(Problems("table", "key: [id]\ntimestamp: t\nknown_at: t\nupdate: append\n"), "");
  EXPECT_EQ(Problems("feature_view", kView), "");
  EXPECT_EQ(Problems("feature_view", "on_error: null\n" + std::string(kView)), "");
  EXPECT_NE(Problems("feature_view", "on_error: stop\n" + std::string(kView)), "");
  EXPECT_EQ(
      Problems("feature_view",
               "entity: [id]\nfrom: orders\nttl: 7d\nlookback: 4w\ndelay: 2h\nhop: 1h\nlateness: 0s\nmax_events: 100\non_error: fail\nfeatures:\n"
               "  a: {value: last(x), default: none, delay: 0s}\n  b: {value: 1, default: 0.5, max_events: 10}\n"
               "  c: {value: count(*), session: 30m}\n  d: {value: count(*), windows: [7d], hop: 1d}\n"),
      "");
  EXPECT_EQ(
      Problems(
          "model",
          std::string(kModel) +
              "features: [v.*, v.f, {view: v, as: w, join: {dest: airport}, feature: f}, \"hour(t)\", carrier, {h: hour(t)}]\n"
              "prepare:\n  - impute: {columns: numeric, with: median}\n  - one_hot: {columns: [a, b], other_below: 50}\n  - "
              "ordinal: {columns: text}\n"
              "gates:\n  - auc: {min: 0.7, max_drop_from_champion: 0.01}\n  - latency_p99_ms: {max: 5}\n"
              "monitor:\n  interval: 1d\n  drift: {method: jensen_shannon, threshold: auto}\n"
              "  performance: {metric: auc, window: 28d, alert_below: 0.72, alert_drop: 0.03}\n"
              "retrain: {when: performance.alert or drift.share > 0.3, at_most_every: 7d}\n"),
      "");
  EXPECT_EQ(Problems("model", std::string(kModel) + "features: [a]\nmonitor: {drift: {threshold: 0.1}}\n"), "");
}

TEST(SchemaValidator, UnknownKeysComeWithASuggestion) {
  EXPECT_EQ(Problems("feature_view", "entity: [id]\nfrom: orders\nfeatures:\n  total: {value: sum(amount), windws: [7d]}\n"),
            "error: unknown key 'windws' in a feature\n --> a.yaml:4:31\n"
            "4 |   total: {value: sum(amount), windws: [7d]}\n  |                               ^^^^^^\n"
            "hint: did you mean 'windows'? allowed: value, windows, delay, hop, session, max_events, default\n");
  EXPECT_EQ(Problems("tidemill", "project: a\nprofiles: {}\n"),
            "error: unknown key 'profiles' in a project\n --> a.yaml:2:1\n2 | profiles: {}\n  | ^^^^^^^^\n"
            "hint: allowed: project, memory_limit, threads, now, online, python\n");
}

TEST(SchemaValidator, ListsAllErrorsInTheOrderOfTheFile) {
  const std::string problems = Problems("tidemill", "thread: a\nthreads: 0\nthreads: two\n");
  EXPECT_EQ(problems,
            "error: unknown key 'thread' in a project\n --> a.yaml:1:1\n1 | thread: a\n  | ^^^^^^\n"
            "hint: did you mean 'threads'? allowed: project, memory_limit, threads, now, online, python\n"
            "error: 'threads' must be at least 1, not 0\n --> a.yaml:2:10\n2 | threads: 0\n  |          ^\n"
            "error: key 'threads' is there twice in a project\n --> a.yaml:3:1\n3 | threads: two\n  | ^^^^^^^\n"
            "hint: it is there first on line 2; leave one of them out\n"
            "error: missing key 'project' in a project\n --> a.yaml:1:1\n1 | thread: a\n  | ^^^^^^\n"
            "hint: project: The project's name.\n");
}

TEST(SchemaValidator, WrongTypesSayWhatWasExpected) {
  struct Case {
    std::string_view format;
    std::string text;
    std::string_view error;
  };
  const Case kCases[] = {
      {"tidemill", "just text\n",
       "error: the file must be a project, not 'just text'\n --> a.yaml:1:1\n1 | just text\n  | ^^^^^^^^^\n"},
      {"tidemill", "- a\n", "error: the file must be a project, not a list\n --> a.yaml:1:1\n1 | - a\n  | ^\n"},
      {"tidemill", "project: 2013\n",
       "error: 'project' must be a name (a letter, then letters, digits or underscores), not '2013'\n --> a.yaml:1:10\n1 | "
       "project: 2013\n  |          ^^^^\n"
       "hint: for instance: flights\n"},
      {"tidemill", "project: a\nthreads: two\n",
       "error: 'threads' must be a whole number, not 'two'\n --> a.yaml:2:10\n2 | threads: two\n  |          ^^^\n"},
      {"tidemill", "project: a\nthreads: '2'\n",
       "error: 'threads' must be a whole number, not '2'\n --> a.yaml:2:10\n2 | threads: '2'\n  |          ^^^\nhint: leave out "
       "the quotes of numbers\n"},
      {"tidemill", "project: a\nthreads: 1.5\n",
       "error: 'threads' must be a whole number, not '1.5'\n --> a.yaml:2:10\n2 | threads: 1.5\n  |          ^^^\n"},
      {"tidemill", "project: a\nthreads: 99999999999999999999\n",
       "error: 'threads' must be a whole number, not '99999999999999999999'\n --> a.yaml:2:10\n2 | threads: "
       "99999999999999999999\n"
       "  |          ^^^^^^^^^^^^^^^^^^^^\n"},
      {"tidemill", "project:\n",
       "error: 'project' is empty; it must be a name (a letter, then letters, digits or underscores)\n --> a.yaml:1:1\n1 | "
       "project:\n  | ^^^^^^^\n"
       "hint: for instance: flights\n"},
      {"tidemill", "project: a\nmemory_limit: 1 gigabyte\n",
       "error: 'memory_limit' must be an amount of memory, not '1 gigabyte'\n --> a.yaml:2:15\n2 | memory_limit: 1 gigabyte\n  | "
       "              ^^^^^^^^^^\n"
       "hint: for instance: 512MB or 1GB\n"},
      {"source", "from: {files: a.csv}\nhistory: yes\n",
       "error: 'history' must be true or false, not 'yes'\n --> a.yaml:2:10\n2 | history: yes\n  |          ^^^\nhint: write "
       "true or false\n"},
      {"source", "from: {files: {a: b}}\n",
       "error: 'files' must be a path or a glob or a list of globs, not a mapping\n --> a.yaml:1:8\n1 | from: {files: {a: b}}\n  "
       "|        ^^^^^\n"
       "hint: for instance: data/orders/*.csv\n"},
      {"source", "from: {files: a.csv, delimiter: '||'}\n",
       "error: 'delimiter' must be one character, not '||'\n --> a.yaml:1:33\n1 | from: {files: a.csv, delimiter: '||'}\n  |     "
       "                            ^^^^\n"
       "hint: for instance: ; or \\t\n"},
      {"source", "from: {files: a.csv}\nkey: id\n",
       "error: 'key' must be a list of columns, not 'id'\n --> a.yaml:2:6\n2 | key: id\n  |      ^^\nhint: for instance: [id]\n"},
      {"source", "from: {files: a.csv}\nkey: [id, id]\n",
       "error: 'id' is there twice in 'key'\n --> a.yaml:2:11\n2 | key: [id, id]\n  |           ^^\nhint: leave one of them "
       "out\n"},
      {"source", "from: {files: []}\n",
       "error: 'files' is an empty list; it must be a list of globs\n --> a.yaml:1:8\n1 | from: {files: []}\n  |        ^^^^^\n"},
      {"source", "from: {files: a.csv}\ncontract: {columns: {a: {type: int}}}\n",
       "error: 'type' can't be 'int'\n --> a.yaml:2:32\n2 | contract: {columns: {a: {type: int}}}\n  |                           "
       "     ^^^\n"
       "hint: allowed: boolean, integer, number, text, timestamp, date\n"},
      {"source", "from: {files: a.csv}\ncontract: {columns: {a: {type: integr}}}\n",
       "error: 'type' can't be 'integr'\n --> a.yaml:2:32\n2 | contract: {columns: {a: {type: integr}}}\n  |                     "
       "           ^^^^^^\n"
       "hint: did you mean 'integer'? allowed: boolean, integer, number, text, timestamp, date\n"},
      {"source", "from: {files: a.csv}\ncontract: {columns: {a: integer}}\n",
       "error: 'a' must be a column of a contract, not 'integer'\n --> a.yaml:2:25\n2 | contract: {columns: {a: integer}}\n  |   "
       "                      ^^^^^^^\n"
       "hint: for instance: {type: integer, required: true}\n"},
      {"source", "from: {files: a.csv}\ncontract: {columns: {a: {type: number, between: [1]}}}\n",
       "error: 'between' must be a pair of numbers, not 1\n --> a.yaml:2:40\n2 | contract: {columns: {a: {type: number, between: "
       "[1]}}}\n"
       "  |                                        ^^^^^^^\nhint: for instance: [0, 100]\n"},
      {"feature_view", "entity: [id]\nfrom: orders\nfeatures: {a: {value: sum(x), windows: [7 days]}}\n",
       "error: an item of 'windows' must be a duration, not '7 days'\n --> a.yaml:3:41\n3 | features: {a: {value: sum(x), "
       "windows: [7 days]}}\n"
       "  |                                         ^^^^^^\nhint: for instance: 15m, 2h or 7d\n"},
      {"feature_view", "entity: [id]\nfrom: orders\nttl: 0d\nfeatures: {a: {value: sum(x)}}\n",
       "error: 'ttl' must be a duration, not '0d'\n --> a.yaml:3:6\n3 | ttl: 0d\n  |      ^^\nhint: for instance: 15m, 2h or "
       "7d\n"},
      {"feature_view", "entity: [id]\nfrom: orders\nfeatures: {a: sum(x)}\n",
       "error: 'a' must be a feature, not 'sum(x)'\n --> a.yaml:3:15\n3 | features: {a: sum(x)}\n  |               ^^^^^^\n"
       "hint: for instance: {value: avg(amount), windows: [7d]}\n"},
      {"feature_view", "entity: [id]\nfrom: orders\nfeatures: {2x: {value: sum(x)}}\n",
       "error: '2x' is not a name (a letter, then letters, digits or underscores)\n --> a.yaml:3:12\n3 | features: {2x: {value: "
       "sum(x)}}\n  |            ^^\n"
       "hint: choose another name\n"},
      {"feature_view", "entity: [id]\nfrom: orders\nfeatures:\n",
       "error: 'features' is empty; it must be the features of a view\n --> a.yaml:3:1\n3 | features:\n  | ^^^^^^^^\n"},
      {"feature_view", "entity: [id]\nfrom: orders\nfeatures: {a: {value: \"\"}}\n",
       "error: 'value' is empty; it must be an expression\n --> a.yaml:3:23\n3 | features: {a: {value: \"\"}}\n  |               "
       "        ^^\n"},
      {"feature_view", "entity: [id]\nfrom: orders\nfeatures: {a: {value: coalesce(sum(x), 0), windows: [1d]}}\n",
       "error: 'value' has a bracket that is never closed: 'coalesce(sum(x)'\n --> a.yaml:3:23\n"
       "3 | features: {a: {value: coalesce(sum(x), 0), windows: [1d]}}\n  |                       ^^^^^^^^^^^^^^^\n"
       "hint: inside {} and [] a comma ends the text: put it in quotes, \"coalesce(a, b)\"\n"
       "error: unknown key '0)' in a feature\n --> a.yaml:3:40\n3 | features: {a: {value: coalesce(sum(x), 0), windows: [1d]}}\n"
       "  |                                        ^^\nhint: inside {} and [] a comma ends the text: put it in quotes, "
       "\"coalesce(a, b)\"\n"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text);
    EXPECT_EQ(Problems(c.format, c.text), c.error);
  }
}

TEST(SchemaValidator, ChoosesTheBranchThatWasMeant) {
  struct Case {
    std::string_view text;
    std::string_view error;
  };
  constexpr Case kCases[] = {
      {"features: [{viwe: v, as: w}]\n",
       "error: unknown key 'viwe' in a feature of a view\n --> a.yaml:4:13\n4 | features: [{viwe: v, as: w}]\n  |             "
       "^^^^\n"
       "hint: did you mean 'view'? allowed: view, feature, as, join\n"},
      {"features: [{as: w, feature: f}]\n",
       "error: missing key 'view' in a feature of a view\n --> a.yaml:4:13\n4 | features: [{as: w, feature: f}]\n  |             "
       "^^\n"
       "hint: view: The feature view.\n"},
      {"features: [{a: x + 1, b: y}]\n",
       "error: a named expression has one key, not 2\n --> a.yaml:4:23\n4 | features: [{a: x + 1, b: y}]\n  |                    "
       "   ^\n"
       "hint: begin each with '- ' on a line of its own\n"},
      {"features: [[a]]\n",
       "error: an item of 'features' must be \"view.*\", \"view.feature\" or an expression over the spine's columns, a feature "
       "of a view or a named expression, not a list\n"
       " --> a.yaml:4:12\n4 | features: [[a]]\n  |            ^\n"},
      {"features: [a]\nmonitor: {drift: {threshold: aut}}\n",
       "error: 'threshold' can't be 'aut'\n --> a.yaml:5:30\n5 | monitor: {drift: {threshold: aut}}\n  |                         "
       "     ^^^\nhint: did you mean 'auto'? allowed: auto\n"},
      {"features: [a]\nmonitor: {drift: {threshold: 2}}\n",
       "error: 'threshold' must be at most 1, not 2\n --> a.yaml:5:30\n5 | monitor: {drift: {threshold: 2}}\n  |                 "
       "             ^\n"},
      {"features: [a]\nprepare: [{impute: {columns: numerc, with: median}}]\n",
       "error: 'columns' can't be 'numerc'\n --> a.yaml:5:30\n5 | prepare: [{impute: {columns: numerc, with: median}}]\n  |      "
       "                        ^^^^^^\n"
       "hint: did you mean 'numeric'? allowed: numeric, text\n"},
      {"features: [a]\ngates:\n  - auc: {min: 0.7}\n    brier: {max: 0.2}\n",
       "error: a gate has one key, not 2\n --> a.yaml:7:5\n7 |     brier: {max: 0.2}\n  |     ^^^^^\nhint: begin each with '- ' "
       "on a line of its own\n"},
      {"features: [a]\ngates: [{acu: {min: 0.7}}]\n",
       "error: unknown key 'acu' in a gate\n --> a.yaml:5:10\n5 | gates: [{acu: {min: 0.7}}]\n  |          ^^^\n"
       "hint: did you mean 'auc'? allowed: auc, average_precision, precision_at_k, log_loss, brier, latency_p99_ms\n"},
      {"features: [a]\ngates: [{auc: {}}]\n",
       "error: 'auc' is empty; it must be a limit\n --> a.yaml:5:10\n5 | gates: [{auc: {}}]\n  |          ^^^\nhint: allowed: "
       "min, max_drop_from_champion\n"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text);
    EXPECT_EQ(Problems("model", std::string(kModel) + std::string(c.text)), c.error);
  }
}

TEST(SchemaValidator, LongTextsAreCutInMessages) {
  const std::string problems = Problems("tidemill", "project: " + std::string(5000, 'x') + "\n");
  EXPECT_LT(problems.size(), 400U);
  EXPECT_NE(problems.find("xxx...'"), std::string::npos);
}

}  // namespace
}  // namespace tidemill
