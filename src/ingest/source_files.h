#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "ingest/ingest.h"

namespace tidemill {

/// A content that the lake holds, as `tidemill.files` tells it.
struct StoredFile {
  std::string path;
  std::string sha256;
  int64_t first_seq = 0;
  int64_t records = 0;
  std::string definition;  ///< under which it was ingested
};

/// The state of a source in full; SourceStatus is what others see of it.
struct SourceInspection {
  SourceStatus status;
  std::vector<StoredFile> stored;    ///< live contents, oldest first
  std::vector<StoredFile> replaced;  ///< of them: the file of that path holds something else now
  std::string definition;            ///< digest of what decides how files are read
  bool redefined = false;            ///< the stored rows were read under another definition
};

Result<SourceInspection> InspectInFull(const Project& project, const SourceAsset& source, Lake& lake);

/// The files that the source's globs match, sorted, each once. Code "file_missing" with close names.
Result<std::vector<std::string>> FindSourceFiles(const Project& project, const SourceAsset& source);

/// Whether `text` matches `pattern`, where * stands for any characters but '/', and ? for one.
bool MatchesGlob(std::string_view text, std::string_view pattern);

}  // namespace tidemill
