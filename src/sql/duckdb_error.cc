#include "sql/duckdb_error.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/text_distance.h"

namespace tidemill {
namespace {

constexpr size_t kHintedCandidatesMax = 12;

std::string TextAt(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// The first line, without the full stop or exclamation mark at its end.
std::string FirstSentence(std::string_view message) {
  message = message.substr(0, message.find('\n'));
  while (!message.empty() && (message.back() == '!' || message.back() == '.' || message.back() == ' ')) message.remove_suffix(1);
  return std::string(message);
}

/// What stopped a commit stands in the lines below the first: "Failed to flush changes into DuckLake: disk full".
std::string CommitSentence(std::string_view message) {
  const size_t last = message.find_last_of('\n');
  const std::string first = FirstSentence(message);
  return last == std::string_view::npos ? first : first + ": " + FirstSentence(message.substr(last + 1));
}

/// Candidates as DuckDB lists them: separated by commas that are not inside parentheses.
std::vector<std::string> Candidates(const Json& json) {
  std::vector<std::string> names;
  std::string name;
  int depth = 0;
  for (const char c : TextAt(json, "candidates")) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == ',' && depth == 0) {
      names.push_back(std::move(name));
      name.clear();
    } else {
      name += c;
    }
  }
  if (!name.empty()) names.push_back(std::move(name));
  return names;
}

std::string Hint(const Json& json, const std::string& subtype) {
  std::vector<std::string> names = Candidates(json);
  if (names.empty()) return "";
  const std::string closest = ClosestName(TextAt(json, "name"), names);
  if (subtype == "MISSING_ENTRY") return closest.empty() ? "" : "did you mean '" + closest + "'?";
  std::string hint = closest.empty() || subtype == "NO_MATCHING_FUNCTION" ? "" : "did you mean '" + closest + "'? ";
  hint += "candidates: ";
  for (size_t i = 0; i < std::min(names.size(), kHintedCandidatesMax); ++i) hint += (i > 0 ? ", " : "") + names[i];
  return hint;
}

std::string Code(const std::string& type, const std::string& subtype, const Json& json, std::string_view message) {
  if (type == "Parser") return "sql_syntax";
  if (subtype == "COLUMN_NOT_FOUND") return "unknown_column";
  if (subtype == "NO_MATCHING_FUNCTION") return "sql_type";
  if (subtype == "MISSING_ENTRY") {
    const std::string kind = TextAt(json, "type");
    return Contains(kind, "Function") ? "unknown_function" : kind == "Table" ? "unknown_table" : "sql";
  }
  if (type == "Conversion" || type == "Out of Range" || type == "Invalid Input") return "sql_value";
  if (type == "Mismatch Type" || type == "Invalid type") return "sql_type";
  if (type == "TransactionContext" || Contains(message, "onflict")) return "sql_conflict";
  return "sql";
}

std::optional<Place> PlaceOf(const Json& json) {
  const std::string position = TextAt(json, "position");
  int offset = 0;
  const auto parsed = std::from_chars(position.data(), position.data() + position.size(), offset);
  if (position.empty() || parsed.ec != std::errc()) return std::nullopt;
  Place place;
  place.column = offset + 1;
  const std::string name = TextAt(json, "name");
  place.length = name.empty() ? 1 : static_cast<int>(name.size());
  return place;
}

/// Ways in which the system and SQLite say that nothing more can be written, and what they mean.
constexpr std::pair<std::string_view, std::string_view> kDiskFull[] = {
    {"No space left", "no space is left on the disk"},   {"disk is full", "no space is left on the disk"},
    {"File too large", "a limit on file sizes is reached"}, {"Disk quota", "the disk quota is used up"},
    {"disk I/O error", "the disk is full, or it fails"}};

/// The first absolute path that a message quotes; "" without one.
std::string_view QuotedPath(std::string_view message) {
  for (size_t at = 0; at + 1 < message.size(); ++at) {
    const char quote = message[at];
    if ((quote != '"' && quote != '\'') || message[at + 1] != '/') continue;
    const size_t end = message.find(quote, at + 1);
    return end == std::string_view::npos ? "" : message.substr(at + 1, end - at - 1);
  }
  return "";
}

/// DuckDB reports the query that failed and its own layers; what a user needs is the file and the reason.
Error DiskFullError(std::string_view message, std::string_view reason) {
  const std::string path(QuotedPath(message));
  return Unavailable("disk_full", (path.empty() ? "can't finish writing: " : "can't write '" + path + "': ") + std::string(reason),
                     "free some disk space and run again: nothing that was committed is damaged");
}

Error ResourceError(const std::string& type, std::string_view message) {
  if (type == "Out of Memory") {
    return Unavailable("out_of_memory", FirstSentence(message),
                       "raise 'memory_limit' in tidemill.yaml, or read fewer rows at a time");
  }
  for (const auto& [said, reason] : kDiskFull) {
    if (Contains(message, said)) return DiskFullError(message, reason);
  }
  if (type == "INTERRUPT" || type == "Interrupt") return Unavailable("interrupted", "the statement was interrupted");
  if (type == "IO") return Unavailable("io", FirstSentence(message));
  if (type == "INTERNAL" || type == "FATAL") return InternalError(FirstSentence(message));
  return {};
}

}  // namespace

Error ErrorFromDuckDb(std::string_view report) {
  const size_t brace = report.find('{');
  const Json json = brace == std::string_view::npos ? Json() : Json::parse(report.substr(brace), nullptr, false);
  if (!json.is_object()) {
    const size_t prefix = report.find(" Error: ");
    const bool prefixed = prefix != std::string_view::npos && prefix < 40;
    const std::string type(prefixed ? report.substr(0, prefix) : "");
    const std::string_view message = prefixed ? report.substr(prefix + 8) : report;
    Error resource = ResourceError(type, message);
    return resource.code.empty() ? UserError("sql", FirstSentence(message)) : resource;
  }
  const std::string type = TextAt(json, "exception_type");
  const std::string subtype = TextAt(json, "error_subtype");
  const std::string message = TextAt(json, "exception_message");
  Error error = ResourceError(type, message);
  if (!error.code.empty()) return error;
  const bool commit = type == "TransactionContext";
  error = UserError(Code(type, subtype, json, message), commit ? CommitSentence(message) : FirstSentence(message), Hint(json, subtype));
  error.place = PlaceOf(json);
  return error;
}

}  // namespace tidemill
