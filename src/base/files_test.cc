#include "base/files.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tidemill {
namespace {

namespace fs = std::filesystem;

fs::path Parent() {
  static const TemporaryFolder* const folder =
      new TemporaryFolder(std::move(TemporaryFolder::Make(fs::temp_directory_path(), "files_test")).value());
  return folder->path();
}

TEST(TemporaryFolder, GoesAwayWithAllThatIsInIt) {
  fs::path path;
  {
    auto folder = TemporaryFolder::Make(Parent(), "a");
    ASSERT_TRUE(folder.ok());
    path = folder->path();
    ASSERT_TRUE(WriteFileAtomic(path / "file", "bytes").ok());
    TemporaryFolder moved = std::move(folder).value();
    TemporaryFolder::RemoveAbandoned(Parent());
    EXPECT_TRUE(fs::exists(path / "file"));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(TemporaryFolder, OfAKilledProcessIsRemovedByTheNextOne) {
  const fs::path parent = Parent() / "killed";
  const pid_t child = fork();
  if (child == 0) {
    const auto folder = TemporaryFolder::Make(parent, "b");
    _exit(folder.ok() && WriteFileAtomic(folder->path() / "file", "bytes").ok() ? 0 : 1);  // nothing is cleaned up
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_FALSE(fs::is_empty(parent));
  TemporaryFolder::RemoveAbandoned(parent);
  EXPECT_TRUE(fs::is_empty(parent));
  TemporaryFolder::RemoveAbandoned(parent / "which is not there");
}

TEST(FileLock, IsHeldByOne) {
  const fs::path path = Parent() / "lock";
  {
    const auto lock = FileLock::Acquire(path, 0);
    ASSERT_TRUE(lock.ok());
    const auto second = FileLock::Acquire(path, 5);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, "locked");
  }
  EXPECT_TRUE(FileLock::Acquire(path, 0).ok());
  EXPECT_EQ(FileLock::AcquireFolder(Parent() / "nothing").error().code, "file_missing");
}

}  // namespace
}  // namespace tidemill
