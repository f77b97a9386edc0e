// docs/contracts.md shows a source, its files and what comes of them. Here all of that is run.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/files.h"
#include "ingest/ingest.h"

namespace tidemill {
namespace {
namespace fs = std::filesystem;

/// The fenced blocks of a document by what stands behind the fence: "csv data/orders.csv" -> text.
std::map<std::string, std::string> ReadBlocks(const fs::path& file) {
  std::ifstream in(file);
  std::map<std::string, std::string> blocks;
  std::string line, name;
  bool inside = false;
  while (std::getline(in, line)) {
    if (!line.starts_with("```")) {
      if (inside) blocks[name] += line + "\n";
      continue;
    }
    inside = !inside;
    if (inside) name = line.substr(3);
  }
  return blocks;
}

class ContractsDocumentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("TIDEMILL_SOURCE");
    if (root == nullptr) GTEST_SKIP() << "run by ctest";
    blocks = ReadBlocks(fs::path(root) / "docs" / "contracts.md");
    Write("tidemill.yaml", "project: shop\n");
    Write("sources/orders.yaml", Block("yaml sources/orders.yaml"));
    Write("data/orders-1.csv", Block("csv data/orders-1.csv"));
    database = std::move(Database::Open({})).value();
    lake = std::move(Lake::Open(*database, {.folder = folder.path() / "lake"})).value();
  }

  void TearDown() override { lake.reset(); }

  std::string Block(const std::string& name) {
    EXPECT_TRUE(blocks.contains(name)) << "docs/contracts.md has no block '" << name << "'";
    return blocks[name];
  }

  void Write(const std::string& path, const std::string& text) {
    fs::create_directories((folder.path() / path).parent_path());
    std::ofstream(folder.path() / path, std::ios::binary) << text;
  }

  Result<IngestReport> Ingest() {
    TIDEMILL_ASSIGN_OR_RETURN(const Project project, LoadProject(folder.path()));
    return IngestSource(project, project.sources.at("orders"), *lake, ParseTimestamp("2024-03-05T12:00:00Z").value(), 1, nullptr);
  }

  std::string Refused() {
    const auto report = Ingest();
    EXPECT_FALSE(report.ok());
    return report.ok() ? "" : report.error().Format();
  }

  void ReplaceInSource(const std::string& from, const std::string& to) {
    std::string text = Block("yaml sources/orders.yaml");
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos);
    Write("sources/orders.yaml", text.replace(at, from.size(), to));
  }

  TemporaryFolder folder = TemporaryFolder::Make("/tmp", "tidemill-document-").value();
  std::map<std::string, std::string> blocks;
  std::unique_ptr<Database> database;
  std::unique_ptr<Lake> lake;
};

TEST_F(ContractsDocumentTest, QuarantineShowsWhatTheDocumentShows) {
  const auto report = Ingest();
  ASSERT_TRUE(report.ok()) << report.error().Format();
  std::ostringstream shown;
  shown << report.value().rows << " rows stored, " << report.value().quarantined << " quarantined\n";
  const auto session = std::move(lake->Connect()).value();
  const auto rows = session->Query("SELECT line, reason, raw FROM tidemill.quarantine ORDER BY record").value();
  for (size_t row = 0; row < rows.rows(); ++row) {
    shown << "line " << rows.columns[0].ints[row] << ": " << rows.columns[1].Text(row) << "\n    " << rows.columns[2].Text(row)
          << "\n";
  }
  EXPECT_EQ(shown.str(), Block("text quarantine"));
  const auto stored = session->Query("SELECT order_id, _seq FROM orders ORDER BY _seq").value();
  EXPECT_EQ(stored.rows(), 2u);
}

TEST_F(ContractsDocumentTest, FailShowsWhatTheDocumentShows) {
  ReplaceInSource("on_violation: quarantine", "on_violation: fail");
  EXPECT_EQ(Refused(), Block("text fail"));
}

TEST_F(ContractsDocumentTest, AChangedHeaderShowsWhatTheDocumentShows) {
  Write("data/orders-2.csv", Block("csv data/orders-2.csv"));
  EXPECT_EQ(Refused(), Block("text header"));
}

TEST_F(ContractsDocumentTest, AMissingFileShowsWhatTheDocumentShows) {
  ReplaceInSource("data/orders-*.csv", "data/order-1.csv");
  EXPECT_EQ(Refused(), Block("text missing"));
}

}  // namespace
}  // namespace tidemill
