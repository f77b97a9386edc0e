#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tidemill {

Result<std::string> ReadFile(const std::filesystem::path& path);
/// Writes to a temporary file beside it, syncs, and renames: readers see the old or the new whole, also after a power loss.
Status WriteFileAtomic(const std::filesystem::path& path, std::string_view bytes);
Status MakeFolders(const std::filesystem::path& path);
/// Copies a folder tree; with `link` files are hard-linked where the file system allows (for files that never change).
Status CopyFolder(const std::filesystem::path& from, const std::filesystem::path& to, bool link);
/// The folder of the running program, with symbolic links resolved.
std::filesystem::path ProgramFolder();

/// An exclusive advisory lock (flock) on a file, held until destroyed or until the process ends, however it ends.
class FileLock {
 public:
  /// Waits up to `timeout_ms` for it; code "locked" when another process (or another FileLock here) keeps it.
  static Result<FileLock> Acquire(const std::filesystem::path& path, int timeout_ms);
  /// The same for a folder that is there, without waiting.
  static Result<FileLock> AcquireFolder(const std::filesystem::path& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  Status Lock(const std::filesystem::path& path, int timeout_ms) const;
  int descriptor_ = -1;
};

/// A folder that is removed with all its content when this goes away. Movable.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> Make(const std::filesystem::path& parent, std::string_view prefix);
  /// Removes those in `parent` whose process was killed before it could. Everything in `parent` has to be such a folder.
  static void RemoveAbandoned(const std::filesystem::path& parent);
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&& other) noexcept;
  ~TemporaryFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  TemporaryFolder(std::filesystem::path path, FileLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::filesystem::path path_;
  FileLock lock_;  ///< tells others that it is in use
};

}  // namespace tidemill
