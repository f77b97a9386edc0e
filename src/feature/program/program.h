#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/json.h"
#include "base/result.h"

/// The feature kernel's language: programs that are plain data. The kernel executes them and knows no parser, no engine
/// and no files. Semantics: docs/features.md. The kernel may include base only.
namespace tidemill {

/// A scalar expression over the columns of a row (or the results of aggregates), typed when compiled.
/// DuckDB's semantics: three-valued logic, casts, null propagation.
struct Expression {
  enum class Kind { kColumn, kConstant, kCall, kCase };
  Kind kind = Kind::kConstant;
  Type type = Type::kDouble;          ///< of the result
  int column = -1;                    ///< kColumn: index into Program::columns, or of the inputs given
  Value constant;                     ///< kConstant
  std::string function;               ///< kCall: canonical name: "+", "and", "coalesce", "hour", "cast" ...
  std::vector<Expression> arguments;  ///< kCall; kCase: when, then, when, then, ..., else
};

/// One aggregate over the rows of an entity inside a window (t - delay - window, t - delay].
///
/// With a hop the window's start is moved down to a multiple of the hop since 1970: it is up to one hop longer. With a session
/// the window is cut to the rows before t - delay without a gap longer than the session's between them, or after the last of
/// them.
struct Aggregate {
  std::string function;               ///< count, count_rows, sum, avg, min, max, first, last, var_samp, ...
  std::vector<Expression> arguments;  ///< over the row
  std::optional<Expression> filter;   ///< over the row
  std::optional<Duration> window;     ///< nullopt: whole history
  Duration delay{0};
  std::optional<Duration> hop;        ///< needs a window
  std::optional<Duration> session;    ///< the longest gap; not together with a hop
  std::optional<int64_t> max_events;  ///< up to how many it is exact (aggregates that have a sketch); nullopt: the default
  Type type = Type::kDouble;          ///< of the result
};

/// A feature: an expression over the aggregates of the program (kColumn indexes Program::aggregates).
struct Output {
  std::string name;  ///< "dep_delay_mean_2h"
  Expression expression;
  Value default_value;  ///< in place of null (of a view: also of NaN)
};

/// A compiled feature view. Equal programs give equal bits everywhere (docs/adr/0004-exact-sums.md).
struct Program {
  std::string view;
  std::vector<Field> keys;     ///< entity columns
  std::vector<Field> columns;  ///< columns of a row that the expressions read
  std::vector<Aggregate> aggregates;
  std::vector<Output> outputs;
  std::optional<Duration> ttl;
  Duration lookback{0};
  /// A row that became known later than this after its event time is not seen by anything; nullopt: all are.
  std::optional<Duration> lateness;
  /// Whoever brings rows or answers in bulk is to stop where a value can't be computed, which is null otherwise.
  bool fails_on_error = false;

  /// How far before the time asked a row's event time can matter: the longest window, delay and hop, or the ttl; nullopt: for
  /// ever.
  std::optional<Duration> Reach() const;
  std::vector<Field> OutputFields() const;
  Json ToJson() const;
  static Result<Program> FromJson(const Json& json);
};

/// Equal expressions and aggregates have equal JSON.
Json ExpressionToJson(const Expression& expression);
Json AggregateToJson(const Aggregate& aggregate);

/// The version of the kernel's semantics: part of every fingerprint.
std::string_view KernelVersion();

/// Executes expressions over a batch of columns (on-demand features, labels). Columns are looked up by name.
struct RowProgram {
  std::vector<Field> columns;
  std::vector<Output> outputs;  ///< expressions over `columns`

  /// One output column each, same number of rows. Values that cannot be computed are null; `failures`, if given, is how many.
  Result<Columns> Evaluate(const Columns& rows, uint64_t* failures = nullptr) const {
    return Evaluate(rows, 0, rows.rows(), failures);
  }
  /// The same for rows [begin, end).
  Result<Columns> Evaluate(const Columns& rows, size_t begin, size_t end, uint64_t* failures = nullptr) const;
  Json ToJson() const;
  static Result<RowProgram> FromJson(const Json& json);
};

}  // namespace tidemill
