#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/files.h"
#include "feature/program/entity_state.h"
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

/// Rows of `steps` steps, most of them folded.
std::unique_ptr<EntityState> FoldedState(int64_t steps) {
  auto state = EntityState::Make(ProgramOfFolds());
  for (int64_t row = 0; row < steps * 150; ++row) {
    const int64_t at = row * (1'000'000 / 150);
    const FeatureEvent event{{at}, {at + row % 3 * 100'000}, row, {0.25 * static_cast<double>(row % 5), std::string(static_cast<size_t>(row % 3), 'b')}};
    EXPECT_TRUE(state->Update(event).ok());
  }
  state->Fold({steps * 1'000'000});
  return state;
}

/// The seed for a state in records, whose numbers are their places.
std::string RecordsOf(EntityState& state) {
  std::map<uint64_t, std::string> records;
  for (StateRecord& record : state.TakeChanges().written) records[record.id] = std::move(record.bytes);
  std::string seed("\3");
  for (uint64_t id = 0; id <= records.rbegin()->first; ++id) {
    const std::string& bytes = records[id];
    seed += static_cast<char>(bytes.size());
    seed += static_cast<char>(bytes.size() >> 8U);
    seed += bytes;
  }
  return seed;
}

/// Fuzzing begins with what is stored today: TIDEMILL_WRITE_SEEDS=1 writes these files anew when a format has changed.
TEST(FuzzCorpus, HoldsFoldedStatesInTodaysFormat) {
  const std::filesystem::path corpus(TIDEMILL_FUZZ_CORPUS);
  const std::map<std::filesystem::path, std::string> seeds = {{corpus / "state" / "p3_folded", "\3" + FoldedState(12)->Save()},
                                                              {corpus / "records" / "p3_folded", RecordsOf(*FoldedState(12))},
                                                              {corpus / "records" / "p3_parted", RecordsOf(*FoldedState(280))}};
  for (const auto& [path, seed] : seeds) {
    if (std::getenv("TIDEMILL_WRITE_SEEDS") != nullptr) {
      ASSERT_TRUE(WriteFileAtomic(path, seed).ok());
    }
    const auto stored = ReadFile(path);
    ASSERT_TRUE(stored.ok()) << path;
    EXPECT_TRUE(*stored == seed) << path << " is of an earlier format: run this test once with TIDEMILL_WRITE_SEEDS=1";
  }
  EXPECT_EQ(seeds.at(corpus / "state" / "p3_folded").substr(1, 4), "TMS3");
  EXPECT_EQ(seeds.at(corpus / "records" / "p3_folded").substr(3, 4), "TMS3");
  EXPECT_EQ(seeds.at(corpus / "records" / "p3_parted").substr(3, 4), "TMS4");
}

TEST(FuzzCorpus, Programs) { Replay("program", FuzzProgram); }
TEST(FuzzCorpus, States) { Replay("state", FuzzState); }
TEST(FuzzCorpus, RecordsOfStates) { Replay("records", FuzzRecords); }
TEST(FuzzCorpus, RecordsOfPushes) { Replay("push", FuzzPush); }
TEST(FuzzCorpus, BodiesOfPushes) { Replay("body", FuzzBody); }

}  // namespace
}  // namespace tidemill::fuzz
