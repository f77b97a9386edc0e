#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "sql/database.h"

/// What the parts of this folder share about DuckDB's parse trees (json_serialize_sql).
namespace tidemill {

/// The trees of the statements in a text. Errors have offsets (see Session).
Result<Json> ParseStatements(Session& session, std::string_view sql);

/// The `node` of the only statement in a text of ours.
Result<Json> ParseNode(Session& session, std::string_view sql);

/// The text of one `node`.
Result<std::string> RenderNode(Session& session, const Json& node);

/// A member that is a text; "" when there is none.
std::string_view TreeText(const Json& tree, const char* member);
bool IsClass(const Json& tree, std::string_view name);
bool IsType(const Json& tree, std::string_view name);

/// The offset in bytes where something in a tree was written: its own, else the first below it.
std::optional<size_t> TreeOffset(const Json& tree);

/// A user's error that points at a part of a tree.
Error TreeError(std::string code, std::string message, const Json& tree, std::string hint);

std::string LowerCase(std::string_view text);

/// Names of common table expressions that can be seen, innermost last; names compare without case.
class CteScopes {
 public:
  struct Cte {
    std::string name;
    bool carries = false;  ///< has `_seq` and `_known_at` (RewriteForLake only)
  };
  void Push(std::string_view name, bool carries) { ctes_.push_back({LowerCase(name), carries}); }
  size_t Mark() const { return ctes_.size(); }
  void PopTo(size_t mark) { ctes_.resize(mark); }
  /// The one that a table reference means, or nullptr: then it means a table.
  const Cte* Find(const Json& base_table) const;

 private:
  std::vector<Cte> ctes_;
};

/// Whether a function of that name (as DuckDB's parser writes it) aggregates, random() and the like differ at each call,
/// a table function only computes (range, unnest) instead of reading something.
bool IsAggregateFunction(std::string_view name);
bool IsVolatileFunction(std::string_view name);
bool IsComputingTableFunction(std::string_view name);

}  // namespace tidemill
