#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sql/statement.h"

namespace tidemill {

/// What a Python file tells without being run: found in its tokens alone, so that nothing of the user's is executed and no Python
/// is needed to load a project.
struct PythonSource {
  std::vector<TableReference> parameters;  ///< of the function, in order: the tables that it reads
  Place function;                          ///< its name in the file
  std::vector<std::string> imports;        ///< absolute module names; for `from a import b` both a and a.b
  std::string canonical;                   ///< the text without comments, blank lines and layout inside of lines
};

/// Reads a file with a table's function: `def FUNCTION(a, b): ...` at the top level, whose parameters are names without defaults.
/// Code "python_function" when there is no such; `file` is relative to the project.
Result<PythonSource> ReadPythonTable(std::string_view text, const std::string& file, std::string_view function);

/// The same for a file that is only imported.
PythonSource ReadPythonModule(std::string_view text, const std::string& file);

/// The files of the project that `imports` reach, over further imports too: relative path -> text. Modules that don't lie in the
/// project's folder are not its business. Errors: a file that can't be read or isn't UTF-8.
Result<std::map<std::string, std::string>> ImportedFiles(const std::filesystem::path& root,
                                                         const std::vector<std::string>& imports);

}  // namespace tidemill
