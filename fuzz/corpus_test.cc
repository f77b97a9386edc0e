#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/files.h"
#include "fuzz/targets.h"

namespace tidemill::fuzz {
namespace {

/// Runs what fuzzing found and what it began with; a broken promise ends the program.
void Replay(const char* name, int (*target)(const uint8_t* data, size_t size)) {
  size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator(std::filesystem::path(TIDEMILL_FUZZ_CORPUS) / name)) {
    SCOPED_TRACE(file.path());
    const auto bytes = ReadFile(file.path());
    ASSERT_TRUE(bytes.ok());
    EXPECT_EQ(target(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size()), 0);
    ++files;
  }
  EXPECT_GT(files, 0U);
}

TEST(FuzzCorpus, Programs) { Replay("program", FuzzProgram); }
TEST(FuzzCorpus, States) { Replay("state", FuzzState); }
TEST(FuzzCorpus, RecordsOfStates) { Replay("records", FuzzRecords); }
TEST(FuzzCorpus, RecordsOfPushes) { Replay("push", FuzzPush); }
TEST(FuzzCorpus, BodiesOfPushes) { Replay("body", FuzzBody); }

}  // namespace
}  // namespace tidemill::fuzz
