#include "base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

namespace tidemill {
namespace fs = std::filesystem;
namespace {

Error IoError(std::string_view doing, const fs::path& path, int code) {
  std::string hint;
  if (code == ENOSPC || code == EDQUOT || code == EFBIG) hint = "free some space and run the same command again: nothing committed is damaged";
  if (code == EACCES || code == EPERM) hint = "check the permissions of the file and its folder";
  const bool missing = code == ENOENT;
  return {missing ? "file_missing" : code == ENOSPC || code == EFBIG || code == EDQUOT ? "disk_full" : "io_error",
          std::string(doing) + " '" + path.string() + "': " + std::strerror(code), std::nullopt, hint,
          missing ? ErrorKind::kUser : ErrorKind::kUnavailable, {}};
}

/// A descriptor that is closed when it goes away.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  int number() const { return number_; }

 private:
  int number_;
};

Status WriteAll(int descriptor, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return IoError("can't write", path, errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return Ok();
}

}  // namespace

Result<std::string> ReadFile(const fs::path& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number() < 0) return IoError("can't read", path, errno);
  std::string bytes;
  std::string buffer(1 << 16, '\0');
  while (true) {
    const ssize_t count = read(file.number(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return IoError("can't read", path, errno);
    if (count == 0) return bytes;
    bytes.append(buffer, 0, static_cast<size_t>(count));
  }
}

Status WriteFileAtomic(const fs::path& path, std::string_view bytes) {
  const fs::path temporary = path.string() + ".tmp" + std::to_string(getpid());
  {
    const Descriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.number() < 0) return IoError("can't write", temporary, errno);
    Status written = WriteAll(file.number(), bytes, path);
    if (written.ok() && fsync(file.number()) != 0) written = IoError("can't write", path, errno);
    if (!written.ok()) {
      unlink(temporary.c_str());
      return written;
    }
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) return IoError("can't replace", path, errno);
  const Descriptor folder(open(path.has_parent_path() ? path.parent_path().c_str() : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.number() >= 0) fsync(folder.number());
  return Ok();
}

Status MakeFolders(const fs::path& path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code) return IoError("can't make folder", path, code.value());
  return Ok();
}

Status CopyFolder(const fs::path& from, const fs::path& to, bool link) {
  TIDEMILL_RETURN_IF_ERROR(MakeFolders(to));
  std::error_code code;
  for (fs::recursive_directory_iterator it(from, code), end; !code && it != end; it.increment(code)) {
    const fs::path target = to / it->path().lexically_relative(from);
    if (it->is_directory()) {
      TIDEMILL_RETURN_IF_ERROR(MakeFolders(target));
      continue;
    }
    std::error_code linked = std::make_error_code(std::errc::not_supported);
    if (link) fs::create_hard_link(it->path(), target, linked);
    if (linked) fs::copy_file(it->path(), target, fs::copy_options::overwrite_existing, code);
    if (code) return IoError("can't copy", it->path(), code.value());
  }
  if (code) return IoError("can't read folder", from, code.value());
  return Ok();
}

fs::path ProgramFolder() {
  std::error_code code;
  const fs::path program = fs::read_symlink("/proc/self/exe", code);
  return code ? fs::current_path() : program.parent_path();
}

Result<FileLock> FileLock::Acquire(const fs::path& path, int timeout_ms) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return IoError("can't open the lock", path, errno);
  FileLock lock(descriptor);
  TIDEMILL_RETURN_IF_ERROR(lock.Lock(path, timeout_ms));
  return lock;
}

Result<FileLock> FileLock::AcquireFolder(const fs::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return IoError("can't open the folder", path, errno);
  FileLock lock(descriptor);
  TIDEMILL_RETURN_IF_ERROR(lock.Lock(path, 0));
  return lock;
}

Status FileLock::Lock(const fs::path& path, int timeout_ms) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return IoError("can't lock", path, errno);
    if (std::chrono::steady_clock::now() >= deadline) {
      return Unavailable("locked", "another process holds '" + path.string() + "'");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return Ok();
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

Result<TemporaryFolder> TemporaryFolder::Make(const fs::path& parent, std::string_view prefix) {
  TIDEMILL_RETURN_IF_ERROR(MakeFolders(parent));
  // Whoever removes abandoned folders may take a new one for such before it is locked: then there is another one.
  constexpr int kTriesMax = 100;
  for (int tries = 1;; ++tries) {
    std::string pattern = (parent / (std::string(prefix) + "XXXXXX")).string();
    if (mkdtemp(pattern.data()) == nullptr) return IoError("can't make folder", pattern, errno);
    auto lock = FileLock::AcquireFolder(pattern);
    std::error_code ignored;
    if (lock.ok() && fs::exists(pattern, ignored)) return TemporaryFolder(pattern, std::move(lock).value());
    if (!lock.ok() && tries == kTriesMax) return std::move(lock).error();
  }
}

void TemporaryFolder::RemoveAbandoned(const fs::path& parent) {
  std::error_code code;
  std::vector<fs::path> folders;
  for (fs::directory_iterator it(parent, code), end; !code && it != end; it.increment(code)) {
    std::error_code ignored;
    if (it->is_directory(ignored) && !it->is_symlink(ignored)) folders.push_back(it->path());
  }
  for (const fs::path& folder : folders) {
    const auto lock = FileLock::AcquireFolder(folder);
    if (lock.ok()) fs::remove_all(folder, code);
  }
}

TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}

TemporaryFolder& TemporaryFolder::operator=(TemporaryFolder&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(lock_, other.lock_);
  return *this;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

}  // namespace tidemill
