#include "project/python_source.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/files.h"
#include "base/text_distance.h"
#include "base/utf8.h"
#include "project/asset_reader.h"
#include "project/yaml_document.h"

namespace tidemill {
namespace fs = std::filesystem;
namespace {

constexpr size_t kImportedFilesMax = 1000;

struct PythonToken {
  size_t begin = 0, end = 0;
};

/// A line as Python sees it: brackets and backslashes join lines of the file, comments and blank lines are left out.
struct LogicalLine {
  size_t indent = 0;
  std::vector<PythonToken> tokens;
};

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

class PythonLexer {
 public:
  explicit PythonLexer(std::string_view text) : text_(text) {}

  std::vector<LogicalLine> Lines() {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = line_begin_ = 3;
    while (at_ < text_.size()) Step();
    EndLine();
    return std::move(lines_);
  }

 private:
  void Step() {
    const char c = text_[at_];
    if (c == '\n' || c == '\r') {
      ++at_;
      if (depth_ == 0) EndLine();
      line_begin_ = at_;
    } else if (c == ' ' || c == '\t' || c == '\f') {
      ++at_;
    } else if (c == '#') {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (c == '\\') {
      SkipContinuation();
    } else {
      Token();
    }
  }

  void SkipContinuation() {
    ++at_;
    if (at_ < text_.size() && text_[at_] == '\r') ++at_;
    if (at_ < text_.size() && text_[at_] == '\n') ++at_;
  }

  void Token() {
    if (line_.tokens.empty()) line_.indent = at_ - line_begin_;
    const size_t begin = at_;
    while (at_ < text_.size() && IsNameByte(text_[at_])) ++at_;
    const bool prefix = at_ - begin <= 2;  // r"...", b'...', rb"...", also none
    if (prefix && at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'')) {
      SkipString();
    } else if (at_ == begin) {
      const char c = text_[at_++];
      if (c == '(' || c == '[' || c == '{') ++depth_;
      if ((c == ')' || c == ']' || c == '}') && depth_ > 0) --depth_;
    }
    line_.tokens.push_back({begin, at_});
  }

  void SkipString() {
    const char quote = text_[at_];
    const std::string triple(3, quote);
    const bool is_long = text_.substr(at_, 3) == triple;
    at_ += is_long ? 3 : 1;
    while (at_ < text_.size()) {
      if (text_[at_] == '\\') {
        at_ = std::min(at_ + 2, text_.size());
      } else if (is_long ? text_.substr(at_, 3) == triple : text_[at_] == quote) {
        at_ += is_long ? 3 : 1;
        return;
      } else if (!is_long && text_[at_] == '\n') {
        return;  // not closed: Python will say so
      } else {
        ++at_;
      }
    }
  }

  void EndLine() {
    if (!line_.tokens.empty()) lines_.push_back(std::move(line_));
    line_ = {};
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t line_begin_ = 0;
  int depth_ = 0;
  LogicalLine line_;
  std::vector<LogicalLine> lines_;
};

/// Collects the module names of import statements, wherever they stand.
class ImportReader {
 public:
  ImportReader(std::string_view text, const std::string& file, std::vector<std::string>* imports)
      : text_(text), package_(fs::path(file).parent_path().generic_string()), imports_(*imports) {
    std::replace(package_.begin(), package_.end(), '/', '.');
  }

  void Read(const LogicalLine& line) {
    bool begins = true;
    for (size_t i = 0; i < line.tokens.size(); ++i) {
      const std::string_view token = Text(line, i);
      if (begins && token == "import") ReadImport(line, i + 1);
      if (begins && token == "from") ReadFrom(line, i + 1);
      begins = token == ";" || token == ":";
    }
  }

 private:
  std::string_view Text(const LogicalLine& line, size_t i) const {
    if (i >= line.tokens.size()) return "";
    return text_.substr(line.tokens[i].begin, line.tokens[i].end - line.tokens[i].begin);
  }

  static bool IsName(std::string_view token) { return !token.empty() && IsNameByte(token[0]); }

  std::string ReadDotted(const LogicalLine& line, size_t* i) const {
    std::string name;
    while (IsName(Text(line, *i)) && Text(line, *i) != "import") {
      name += Text(line, (*i)++);
      if (Text(line, *i) != ".") break;
      name += Text(line, (*i)++);
    }
    return name;
  }

  /// import a.b as c, d
  void ReadImport(const LogicalLine& line, size_t i) {
    while (IsName(Text(line, i))) {
      imports_.push_back(ReadDotted(line, &i));
      if (Text(line, i) == "as") i += 2;
      if (Text(line, i) != ",") return;
      ++i;
    }
  }

  /// from ..a import (b as c, d)
  void ReadFrom(const LogicalLine& line, size_t i) {
    size_t level = 0;
    for (; Text(line, i) == "."; ++i) ++level;
    const std::string module = Absolute(level, ReadDotted(line, &i));
    if (Text(line, i) != "import") return;
    imports_.push_back(module);
    for (++i; i < line.tokens.size() && Text(line, i) != ";"; ++i) {
      if (Text(line, i) == "as") {
        ++i;
      } else if (IsName(Text(line, i))) {
        imports_.push_back(module.empty() ? std::string(Text(line, i)) : module + "." + std::string(Text(line, i)));
      }
    }
  }

  std::string Absolute(size_t level, const std::string& name) const {
    if (level == 0) return name;
    std::string base = package_;
    for (size_t up = 1; up < level; ++up) base = base.find('.') == std::string::npos ? "" : base.substr(0, base.rfind('.'));
    if (base.empty() || name.empty()) return base + name;
    return base + "." + name;
  }

  std::string_view text_;
  std::string package_;
  std::vector<std::string>& imports_;
};

class PythonReader {
 public:
  PythonReader(std::string_view text, const std::string& file) : text_(text), file_(file), lines_(PythonLexer(text).Lines()) {}

  PythonSource Module() const {
    PythonSource source;
    ImportReader imports(text_, file_, &source.imports);
    for (const LogicalLine& line : lines_) {
      imports.Read(line);
      source.canonical.append(line.indent, ' ');
      for (const PythonToken& token : line.tokens) source.canonical += std::string(Text(token)) + " ";
      source.canonical.back() = '\n';
    }
    return source;
  }

  Result<PythonSource> Table(std::string_view function) const {
    std::vector<std::string> others;
    const LogicalLine* found = nullptr;
    for (const LogicalLine& line : lines_) {
      if (line.tokens.size() < 2 || line.indent > 0) continue;
      const bool is_async = Text(line.tokens[0]) == "async" && Text(line.tokens[1]) == "def";
      if (!is_async && Text(line.tokens[0]) != "def") continue;
      const PythonToken& name = line.tokens[is_async ? std::min<size_t>(2, line.tokens.size() - 1) : 1];
      if (Text(name) != function) {
        others.emplace_back(Text(name));
      } else if (is_async) {
        return Wrong("'" + std::string(function) + "' must not be async", name,
                     "leave 'async' out: a table is computed in one go");
      } else {
        found = &line;
      }
    }
    if (found == nullptr) return NoFunction(function, others);
    PythonSource source = Module();
    source.function = PlaceOf(found->tokens[1]);
    TIDEMILL_RETURN_IF_ERROR(ReadParameters(*found, &source));
    return source;
  }

 private:
  std::string_view Text(const PythonToken& token) const { return text_.substr(token.begin, token.end - token.begin); }
  Place PlaceOf(const PythonToken& token) const { return PlaceAt(text_, file_, token.begin, token.end - token.begin); }

  Error Wrong(std::string message, const PythonToken& token, std::string hint) const {
    return UserErrorAt("python_function", std::move(message), PlaceOf(token), std::move(hint));
  }

  Error NoFunction(std::string_view function, const std::vector<std::string>& others) const {
    const std::string meant = ClosestName(function, others);
    return UserErrorAt(
        "python_function", "the file defines no function '" + std::string(function) + "' at its top level", FilePlace(file_),
        meant.empty() ? "write 'def " + std::string(function) +
                            "(orders):' with the names of the sources and tables that it reads, and return a pyarrow.Table"
                      : "rename '" + meant + "' to '" + std::string(function) + "'");
  }

  /// def table(a, b: pa.Table,):
  Status ReadParameters(const LogicalLine& line, PythonSource* source) const {
    constexpr const char* kHint =
        "its parameters are the names of the sources and tables that it reads, nothing else: def table(orders, customers):";
    std::set<std::string> names;
    int depth = 0;
    bool expected = true;  // a parameter may begin here
    for (size_t i = 2; i < line.tokens.size(); ++i) {
      const PythonToken& token = line.tokens[i];
      const std::string_view text = Text(token);
      if (text == "(" || text == "[" || text == "{") ++depth;
      if (text == ")" || text == "]" || text == "}") --depth;
      if (depth == 0) return Ok();
      if (depth > 1 || text == "(") continue;
      if (text == "*" || text == "/" || text == "=") {
        return Wrong(text == "=" ? "a parameter of a table's function can't have a default"
                                 : "a table's function can't have '" + std::string(text) + "' among its parameters",
                     token, kHint);
      }
      if (text == ",") {
        expected = true;
      } else if (expected) {
        expected = false;
        if (!names.insert(FoldCase(text)).second)
          return Wrong("two parameters stand for '" + std::string(text) + "'", token, kHint);
        source->parameters.push_back({std::string(text), PlaceOf(token)});
      }
    }
    return Wrong("the parameters of '" + std::string(Text(line.tokens[1])) + "' can't be read", line.tokens[1], kHint);
  }

  std::string_view text_;
  const std::string& file_;
  std::vector<LogicalLine> lines_;
};

/// Follows imports through the project's files.
class ImportFollower {
 public:
  explicit ImportFollower(const fs::path& root) : root_(root) {}

  Result<std::map<std::string, std::string>> Follow(const std::vector<std::string>& imports) {
    std::vector<std::string> left = imports;
    std::set<std::string> seen;
    while (!left.empty()) {
      const std::string module = std::move(left.back());
      left.pop_back();
      if (!seen.insert(module).second) continue;
      for (const std::string& path : Candidates(module)) TIDEMILL_RETURN_IF_ERROR(Take(path, &left));
    }
    return std::move(files_);
  }

 private:
  /// a.b: a/__init__.py, a.py, a/b/__init__.py, a/b.py
  static std::vector<std::string> Candidates(const std::string& module) {
    std::vector<std::string> paths;
    for (size_t dot = module.find('.');; dot = module.find('.', dot + 1)) {
      std::string base = module.substr(0, dot);
      std::replace(base.begin(), base.end(), '.', '/');
      if (!base.empty()) paths.insert(paths.end(), {base + "/__init__.py", base + ".py"});
      if (dot == std::string::npos) return paths;
    }
  }

  Status Take(const std::string& path, std::vector<std::string>* left) {
    std::error_code code;
    if (files_.contains(path) || !fs::is_regular_file(root_ / path, code)) return Ok();
    TIDEMILL_ASSIGN_OR_RETURN(std::string text, ReadFile(root_ / path));
    if (FindInvalidUtf8(text) != std::string::npos)
      return UserErrorAt("not_utf8", "the file is not UTF-8 text", FilePlace(path), "save it as UTF-8");
    if (files_.size() == kImportedFilesMax) {
      return UserErrorAt("python_imports", "more than 1000 files of the project are imported", FilePlace(path),
                         "install large packages in the Python environment instead");
    }
    const PythonSource source = ReadPythonModule(text, path);
    left->insert(left->end(), source.imports.begin(), source.imports.end());
    files_.emplace(path, std::move(text));
    return Ok();
  }

  const fs::path& root_;
  std::map<std::string, std::string> files_;
};

}  // namespace

Result<PythonSource> ReadPythonTable(std::string_view text, const std::string& file, std::string_view function) {
  return PythonReader(text, file).Table(function);
}

PythonSource ReadPythonModule(std::string_view text, const std::string& file) { return PythonReader(text, file).Module(); }

Result<std::map<std::string, std::string>> ImportedFiles(const fs::path& root, const std::vector<std::string>& imports) {
  return ImportFollower(root).Follow(imports);
}

}  // namespace tidemill
