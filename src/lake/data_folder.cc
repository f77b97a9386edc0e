#include "lake/data_folder.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <future>

#include "base/sha256.h"

namespace tidemill {
namespace fs = std::filesystem;
namespace {

Error FolderError(const fs::path& path, int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return Unavailable(full ? "disk_full" : "io_error", "'" + path.string() + "': " + std::strerror(code),
                     full ? "free some space and run the same command again: nothing committed is damaged" : "");
}

Status SyncPath(const fs::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return FolderError(path, errno);
  const int code = fsync(descriptor) == 0 ? 0 : errno;
  close(descriptor);
  return code == 0 ? Ok() : Status(FolderError(path, code));
}

/// Files of a folder, and the folders that they lie in.
Status SyncFiles(const fs::path& folder, const std::set<std::string>& paths) {
  std::set<fs::path> folders;
  for (const std::string& path : paths) {
    TIDEMILL_RETURN_IF_ERROR(SyncPath(folder / path));
    folders.insert((folder / path).parent_path());
  }
  for (const fs::path& one : folders) TIDEMILL_RETURN_IF_ERROR(SyncPath(one));
  return Ok();
}

/// Only async-signal-safe calls: it runs between fork and _exit in a process that had threads. Returns an
/// errno.
int CopyBytes(const char* from, const char* to, char* buffer, size_t size) {
  const int in = open(from, O_RDONLY);
  if (in < 0) return errno;
  const int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (out < 0) return errno;
  while (true) {
    const ssize_t count = read(in, buffer, size);
    if (count == 0) return fsync(out) == 0 ? 0 : errno;
    if (count < 0) return errno;
    for (ssize_t done = 0; done < count;) {
      const ssize_t written = write(out, buffer + done, static_cast<size_t>(count - done));
      if (written < 0) return errno;
      done += written;
    }
  }
}

int CopyInChild(const fs::path& from, const fs::path& to) {
  std::string buffer(1 << 16, '\0');
  const pid_t child = fork();
  if (child < 0) return errno;
  if (child == 0) _exit(CopyBytes(from.c_str(), to.c_str(), buffer.data(), buffer.size()));
  int ended = 0;
  while (waitpid(child, &ended, 0) < 0) {
    if (errno != EINTR) return errno;
  }
  return WIFEXITED(ended) ? WEXITSTATUS(ended) : EIO;
}

}  // namespace

Result<std::set<std::string>> ListFiles(const fs::path& folder) {
  std::set<std::string> paths;
  std::error_code code;
  if (!fs::exists(folder, code)) return paths;
  for (fs::recursive_directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    if (it->is_regular_file()) paths.insert(it->path().lexically_relative(folder).generic_string());
  }
  if (code) return FolderError(folder, code.value());
  return paths;
}

Result<std::map<std::string, std::string>> SettleFiles(const fs::path& folder, const std::set<std::string>& paths) {
  // Waiting for the disk and reading what is in memory anyway: side by side.
  auto synced = std::async(std::launch::async, SyncFiles, folder, paths);
  std::map<std::string, std::string> digests;
  for (const std::string& path : paths) {
    TIDEMILL_ASSIGN_OR_RETURN(digests[path], Sha256File(folder / path));
  }
  TIDEMILL_RETURN_IF_ERROR(synced.get());
  return digests;
}

Status CopyLiveCatalog(const fs::path& from, const fs::path& to) {
  // The log first: pages that a reader's checkpoint moves into the main file meanwhile are then in both.
  const int log = CopyInChild(from.string() + "-wal", to.string() + "-wal");
  if (log != 0 && log != ENOENT) return FolderError(to, log);
  const int code = CopyInChild(from, to);
  return code == 0 ? Ok() : Status(FolderError(to, code));
}

}  // namespace tidemill
