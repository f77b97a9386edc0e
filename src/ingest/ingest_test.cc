#include "ingest/ingest.h"

#include <gtest/gtest.h>
#include <zip.h>
#include <zlib.h>

#include <chrono>
#include <fstream>

#include "base/files.h"
#include "ingest/source_files.h"

namespace tidemill {
namespace {
namespace fs = std::filesystem;

constexpr Timestamp kNow{1'380'000'000'000'000};  // 2013-09-24

ContractColumn Named(std::string name, Type type) {
  ContractColumn column;
  column.name = std::move(name);
  column.type = type;
  return column;
}

class IngestTest : public ::testing::Test {
 protected:
  void SetUp() override {
    project.root = folder.path() / "project";
    source.name = "flights";
    source.files = {"data/*.csv"};
    source.null_texts = {"", "NA"};
    source.place.file = "sources/flights.yaml";
    ContractColumn origin = Named("origin", Type::kText);
    origin.required = true;
    origin.allowed = {"EWR", "JFK"};
    source.contract.columns = {origin, Named("delay", Type::kInt64), Named("day", Type::kDate)};
    database = std::move(Database::Open({})).value();
    lake = std::move(Lake::Open(*database, {.folder = folder.path() / "lake"})).value();
    session = std::move(lake->Connect()).value();
  }

  void TearDown() override {
    session.reset();
    lake.reset();
  }

  void Write(const std::string& path, const std::string& text) {
    fs::create_directories((project.root / path).parent_path());
    std::ofstream(project.root / path, std::ios::binary) << text;
  }

  IngestReport Ingest() {
    const auto report = IngestSource(project, source, *lake, kNow, 7, nullptr);
    EXPECT_TRUE(report.ok()) << report.error().Format();
    return report.ok() ? report.value() : IngestReport();
  }

  Error Refused() {
    const auto report = IngestSource(project, source, *lake, kNow, 7, nullptr);
    EXPECT_FALSE(report.ok());
    return report.ok() ? Error() : report.error();
  }

  /// All rows of a query, cells by '|', rows by a line's end.
  std::string Rows(const std::string& sql) {
    const auto result = session->Query(sql);
    EXPECT_TRUE(result.ok()) << result.error().Format();
    std::string text;
    for (size_t row = 0; result.ok() && row < result.value().rows(); ++row) {
      for (const Column& column : result.value().columns)
        text += (&column == &result.value().columns[0] ? "" : "|") + FormatValue(column.At(row));
      text += "\n";
    }
    return text;
  }

  std::string Version() { return InspectSource(project, source, *lake).value().content_version; }

  TemporaryFolder folder = TemporaryFolder::Make("/tmp", "tidemill-ingest-").value();
  Project project;
  SourceAsset source;
  std::unique_ptr<Database> database;
  std::unique_ptr<Lake> lake;
  std::unique_ptr<Session> session;
};

TEST_F(IngestTest, StoresRowsWithTheirNumbersAndTimes) {
  Write("data/a.csv", "day,origin,delay\n2013-01-01,EWR,5\n2013-01-02,JFK,NA\n");
  const IngestReport report = Ingest();
  EXPECT_EQ(report.files, 1);
  EXPECT_EQ(report.rows, 2);
  EXPECT_EQ(report.quarantined, 0);
  EXPECT_EQ(report.snapshot, lake->CurrentSnapshot().value());
  EXPECT_TRUE(report.warnings.empty());
  EXPECT_EQ(Rows("SELECT * FROM flights ORDER BY _seq"),
            "EWR|5|2013-01-01|1|2013-09-24T05:20:00Z\nJFK||2013-01-02|2|2013-09-24T05:20:00Z\n");
  EXPECT_EQ(Rows("SELECT source, file, first_seq, records, ingested_at, run_id FROM lake.tidemill.files"),
            "flights|data/a.csv|1|2|2013-09-24T05:20:00Z|7\n");
  EXPECT_EQ(lake->Snapshots().value().back().extra["files"][0]["path"], "data/a.csv");
  const RowOrigin origin = FindOrigin(*session, 2).value();
  EXPECT_EQ(origin.source, "flights");
  EXPECT_EQ(origin.file, "data/a.csv");
  EXPECT_EQ(origin.record, 2);
  EXPECT_EQ(FindOrigin(*session, 3).error().code, "unknown_row");
}

TEST_F(IngestTest, BadRowsGoToQuarantineWithReasonPlaceAndRawText) {
  Write("data/a.csv",
        "origin,delay,day\n"
        "EWR,1,2013-01-01\n"
        "XXX,x12,2013-02-30\n"
        "EWR,2\n"
        "\"JFK\",\"3\n\",2013-01-01\n"
        "EWR,4,\"2013-01-01\n"
        "JF\xE9,5,2013-01-01\n"
        ",6,2013-01-01\r\n"
        "JFK,7,2013-01-07\n");
  const IngestReport report = Ingest();
  EXPECT_EQ(report.rows, 2);
  EXPECT_EQ(report.quarantined, 6);
  EXPECT_EQ(Rows("SELECT origin, delay, _seq FROM flights ORDER BY _seq"), "EWR|1|1\nJFK|7|8\n");
  EXPECT_EQ(Rows("SELECT record, line, reason, raw FROM lake.tidemill.quarantine ORDER BY record"),
            "2|3|origin: 'XXX' is not one of EWR, JFK; delay: 'x12' is not an integer; day: '2013-02-30' is "
            "not a date: there is "
            "no such "
            "day|XXX,x12,2013-02-30\n"
            "3|4|2 columns, expected 3|EWR,2\n"
            "4|5|delay: '3\n' is not an integer|\"JFK\",\"3\n\",2013-01-01\n"
            "5|7|the quote opened in column 3 is never closed|EWR,4,\"2013-01-01\n"
            "6|8|origin: 'JF\\xE9' is not UTF-8 text: byte 0xE9|JF\\xE9,5,2013-01-01\n"
            "7|9|origin: missing, but required|,6,2013-01-01\n");
  EXPECT_EQ(Rows("SELECT DISTINCT source, file, run_id, quarantined_at FROM lake.tidemill.quarantine"),
            "flights|data/a.csv|7|2013-09-24T05:20:00Z\n");
  ASSERT_FALSE(report.warnings.empty());
  EXPECT_EQ(FindOrigin(*session, 8).value().record, 8);
}

TEST_F(IngestTest, FailStopsAtTheFirstViolationAndStoresNothing) {
  source.contract.on_violation = OnViolation::kFail;
  Write("data/a.csv", "origin,delay,day\nEWR,1,2013-01-01\n");
  Write("data/b.csv", "origin,delay,day\nEWR,1,2013-01-01\n\"JFK\",x12,2013-01-01\n");
  const Error error = Refused();
  EXPECT_EQ(error.code, "contract_violation");
  EXPECT_EQ(error.Format(),
            "error: delay: 'x12' is not an integer\n --> data/b.csv:3:7\n3 | \"JFK\",x12,2013-01-01\n  |     "
            "  ^^^\n"
            "hint: mend the row, change the contract in sources/flights.yaml, or set 'on_violation: "
            "quarantine' there\n");
  EXPECT_FALSE(lake->HasTable("flights").value());
  Write("data/b.csv", "origin,delay,day\nEWR,1\n");
  EXPECT_EQ(Refused().message, "2 columns, expected 3");
}

TEST_F(IngestTest, WarnKeepsTheRowWithoutTheValue) {
  source.contract.on_violation = OnViolation::kWarn;
  Write("data/a.csv", "origin,delay,day\nEWR,1,2013-01-01\nXXX,x1,2013-01-01\nJFK,x2,2013-01-01\nEWR\n");
  const IngestReport report = Ingest();
  EXPECT_EQ(report.rows, 3);
  EXPECT_EQ(report.quarantined, 1);  // no row can be made of it
  EXPECT_EQ(Rows("SELECT origin, delay, _seq FROM flights ORDER BY _seq"), "EWR|1|1\n||2\nJFK||3\n");
  ASSERT_EQ(report.warnings.size(), 3u);
  EXPECT_EQ(report.warnings[0], "delay: 'x1' is not an integer (2 rows, first at data/a.csv:3)");
}

TEST_F(IngestTest, TheSameContentIsStoredOnce) {
  Write("data/a.csv", "origin,delay,day\nEWR,1,2013-01-01\n");
  Write("data/copy.csv", "origin,delay,day\nEWR,1,2013-01-01\n");
  EXPECT_EQ(Ingest().files, 1);
  const int64_t snapshot = lake->CurrentSnapshot().value();
  const std::string version = Version();
  EXPECT_EQ(Ingest().files, 0);
  EXPECT_EQ(lake->CurrentSnapshot().value(), snapshot);
  Write("data/again.csv", "origin,delay,day\nEWR,1,2013-01-01\n");
  EXPECT_EQ(Ingest().files, 0);
  EXPECT_EQ(Version(), version);
  Write("data/b.csv", "origin,delay,day\nJFK,2,2013-01-01\n");
  const SourceStatus status = InspectSource(project, source, *lake).value();
  EXPECT_NE(status.content_version, version);
  ASSERT_EQ(status.fresh.size(), 1u);
  EXPECT_EQ(status.fresh[0].path, "data/b.csv");
  EXPECT_EQ(Ingest().rows, 1);
  EXPECT_EQ(Version(), status.content_version);
  EXPECT_EQ(Rows("SELECT origin, _seq FROM flights ORDER BY _seq"), "EWR|1\nJFK|2\n");
}

TEST_F(IngestTest, AFileThatIsGoneKeepsItsRows) {
  Write("data/a.csv", "origin,delay,day\nEWR,1,2013-01-01\n");
  Write("data/b.csv", "origin,delay,day\nJFK,1,2013-01-01\n");
  Ingest();
  const std::string version = Version();
  fs::remove(project.root / "data/b.csv");
  EXPECT_EQ(Version(), version);
  EXPECT_EQ(Ingest().files, 0);
  EXPECT_EQ(Rows("SELECT count(*) FROM flights"), "2\n");
}

TEST_F(IngestTest, AFileThatChangedReplacesItsRows) {
  Write("data/a.csv", "origin,delay,day\nEWR,1,2013-01-01\nEWR,bad,2013-01-01\n");
  Write("data/b.csv", "origin,delay,day\nJFK,1,2013-01-01\n");
  Ingest();
  Write("data/a.csv", "origin,delay,day\nEWR,2,2013-01-02\nEWR,3,2013-01-02\n");
  const std::string version = Version();
  EXPECT_EQ(Ingest().rows, 2);
  EXPECT_EQ(Version(), version);
  EXPECT_EQ(Rows("SELECT origin, delay, _seq FROM flights ORDER BY _seq"), "JFK|1|3\nEWR|2|4\nEWR|3|5\n");
  EXPECT_EQ(Rows("SELECT count(*) FROM lake.tidemill.quarantine"), "0\n");
  EXPECT_EQ(FindOrigin(*session, 1).value().record, 1);  // older versions of the table still lead back
  Write("data/a.csv", "origin,delay,day\nEWR,1,2013-01-01\nEWR,bad,2013-01-01\n");
  EXPECT_EQ(Ingest().rows, 1);
  EXPECT_EQ(Rows("SELECT delay, _seq FROM flights ORDER BY _seq"), "1|3\n1|6\n");
}

TEST_F(IngestTest, RowsThatAChangedFileStillHoldsKeepNumberAndTime) {
  const auto ingest_at = [this](int64_t day) {
    const auto report = IngestSource(project, source, *lake, {day * kMicrosPerDay}, 7, nullptr);
    EXPECT_TRUE(report.ok()) << report.error().Format();
    return report.ok() ? report.value().rows : -1;
  };
  const std::string sql = "SELECT origin, delay, _seq, epoch_us(_known_at) // 86400000000 FROM flights ORDER BY _seq";
  Write("data/a.csv", "origin,delay,day\nEWR,1,NA\nEWR,1,NA\nJFK,2,NA\n");
  EXPECT_EQ(ingest_at(1), 3);
  // One of the two equal rows gone, the order turned, one row appended.
  Write("data/a.csv", "origin,delay,day\nJFK,2,NA\nEWR,1,NA\nJFK,3,NA\n");
  EXPECT_EQ(ingest_at(2), 1);
  EXPECT_EQ(Rows(sql), "EWR|1|1|1\nJFK|2|3|1\nJFK|3|6|2\n");
  Write("data/a.csv", "origin,delay,day\nEWR,1,NA\nJFK,3,NA\nEWR,1,NA\n");
  EXPECT_EQ(ingest_at(3), 1);
  EXPECT_EQ(Rows(sql), "EWR|1|1|1\nJFK|3|6|2\nEWR|1|9|3\n");
  EXPECT_EQ(FindOrigin(*session, 6).value().record, 3);
}

TEST_F(IngestTest, AnotherContractReadsEverythingAgainWithTheSameNumbers) {
  Write("data/a.csv", "origin,delay,day\nEWR,1,2013-01-01\nLGA,2,2013-01-01\n");
  EXPECT_EQ(Ingest().quarantined, 1);
  const std::string version = Version();
  source.contract.columns[0].allowed.push_back("LGA");
  source.contract.columns[1].type = Type::kDouble;
  EXPECT_NE(Version(), version);
  EXPECT_EQ(Ingest().rows, 2);
  EXPECT_EQ(Rows("SELECT origin, delay, _seq FROM flights ORDER BY _seq"), "EWR|1|1\nLGA|2|2\n");
  EXPECT_EQ(lake->Schema("flights").value()[1].type, Type::kDouble);
  EXPECT_EQ(Rows("SELECT count(*) FROM lake.tidemill.quarantine"), "0\n");
  EXPECT_EQ(Rows("SELECT count(*) FROM lake.tidemill.files"), "1\n");
  fs::rename(project.root / "data/a.csv", project.root / "data/b.csv");
  source.contract.columns[1].type = Type::kInt64;
  EXPECT_EQ(Ingest().rows, 2);
  Write("data/b.csv", "origin,delay,day\nEWR,1,2013-01-01\n");
  fs::rename(project.root / "data/b.csv", project.root / "data/c.csv");
  source.contract.columns[1].type = Type::kDouble;
  EXPECT_EQ(Refused().code, "source_redefined");
}

TEST_F(IngestTest, KnownAtComesFromItsColumn) {
  source.known_at = "day";
  Write("data/a.csv", "origin,delay,day\nEWR,1,2013-01-01\nJFK,1,NA\n");
  Ingest();
  EXPECT_EQ(Rows("SELECT _known_at FROM flights ORDER BY _seq"), "2013-01-01T00:00:00Z\n2013-09-24T05:20:00Z\n");
  source.known_at = "dya";
  EXPECT_EQ(Refused().hint.substr(0, 18), "did you mean 'day'");
  source.known_at = "delay";
  EXPECT_EQ(Refused().code, "bad_known_at");
}

TEST_F(IngestTest, AHeaderThatDiffersIsExplained) {
  Write("data/a.csv", "origin,dellay,extra\nEWR,1,2\n");
  const Error error = Refused();
  EXPECT_EQ(error.Format(),
            "error: the columns differ from the contract: missing delay, day; unexpected dellay, extra\n --> "
            "data/a.csv:1\n"
            "1 | origin,dellay,extra\n"
            "hint: 'dellay' may be the new name of 'delay'; mend the file, or change the contract in "
            "sources/flights.yaml\n");
  EXPECT_FALSE(lake->HasTable("flights").value());
  Write("data/a.csv", "origin,delay,day,extra\nEWR,1,2013-01-01,x\n");
  EXPECT_EQ(Refused().message, "the columns differ from the contract: unexpected extra");
  source.contract.extra_columns = ExtraColumns::kIgnore;
  EXPECT_EQ(Ingest().rows, 1);
  Write("data/b.csv", "origin,delay,day,Delay\nEWR,1,2013-01-01,x\n");
  EXPECT_EQ(Refused().message, "the columns 'delay' and 'Delay' have the same name");
  Write("data/b.csv", "origin,delay,day,_seq\nEWR,1,2013-01-01,x\n");
  EXPECT_EQ(Refused().message, "the column name '_seq' is reserved");
}

TEST_F(IngestTest, EmptyFilesAndHeadersAlone) {
  Write("data/a.csv", "");
  EXPECT_EQ(Refused().code, "file_empty");
  Write("data/a.csv", "origin,delay,day\n");
  const IngestReport report = Ingest();
  EXPECT_EQ(report.files, 1);
  EXPECT_EQ(report.rows, 0);
  EXPECT_EQ(Rows("SELECT count(*) FROM flights"), "0\n");
  EXPECT_EQ(Ingest().files, 0);
}

TEST_F(IngestTest, MissingFilesAreNamedWithWhatIsThere) {
  EXPECT_EQ(Refused().hint, "there is no folder 'data'");
  Write("data/flights.csv.zip", "x");
  source.files = {"data/flihgts.csv.zip"};
  const Error error = Refused();
  EXPECT_EQ(error.code, "file_missing");
  EXPECT_EQ(error.message, "source 'flights': no file matches 'data/flihgts.csv.zip'");
  EXPECT_EQ(error.hint, "did you mean 'data/flights.csv.zip'?");
  source.files = {"data/*.parquet"};
  EXPECT_EQ(Refused().hint, "there are: data/flights.csv.zip");
}

TEST_F(IngestTest, ReadsPackedFiles) {
  const std::string text = "origin,delay,day\nEWR,1,2013-01-01\nJFK,2,2013-01-01\n";
  fs::create_directories(project.root / "data");
  gzFile packed = gzopen((project.root / "data/a.csv.gz").c_str(), "wb");
  gzwrite(packed, text.data(), static_cast<unsigned>(text.size()));
  gzclose(packed);
  int code = 0;
  zip_t* archive = zip_open((project.root / "data/b.csv.zip").c_str(), ZIP_CREATE, &code);
  zip_file_add(archive, "inner.csv", zip_source_buffer(archive, text.data(), text.size(), 0), 0);
  zip_file_add(archive, "__MACOSX/inner.csv", zip_source_buffer(archive, "x", 1, 0), 0);
  zip_close(archive);
  source.files = {"data/*.gz", "data/*.zip"};
  EXPECT_EQ(Ingest().rows, 4);

  archive = zip_open((project.root / "data/b.csv.zip").c_str(), 0, &code);
  zip_file_add(archive, "second.csv", zip_source_buffer(archive, text.data(), text.size(), 0), 0);
  zip_close(archive);
  EXPECT_EQ(Refused().message, "'data/b.csv.zip' holds 2 files, expected one");
  Write("data/b.csv.zip", "not a zip");
  EXPECT_EQ(Refused().code, "file_damaged");
  fs::remove(project.root / "data/b.csv.zip");
  source.files = {"data/*.gz"};
  const std::string bytes = ReadFile(project.root / "data/a.csv.gz").value();
  Write("data/a.csv.gz", bytes.substr(0, bytes.size() - 12));
  EXPECT_EQ(Refused().code, "file_damaged");
}

TEST_F(IngestTest, ReadsParquet) {
  fs::create_directories(project.root / "data");
  source.files = {"data/*.parquet"};
  const std::string to = "' (FORMAT parquet)";
  ASSERT_TRUE(session
                  ->Execute("COPY (SELECT DATE '2013-01-01' AS day, 'EWR' AS origin, 5::SMALLINT AS delay "
                            "UNION ALL SELECT NULL, "
                            "'XXX', 6) TO '" +
                            (project.root / "data/a.parquet").string() + to)
                  .ok());
  const IngestReport report = Ingest();
  EXPECT_EQ(report.rows, 1);
  EXPECT_EQ(Rows("SELECT origin, delay, day FROM flights"), "EWR|5|2013-01-01\n");
  EXPECT_EQ(Rows("SELECT record, line, reason, raw FROM lake.tidemill.quarantine"),
            "2|0|origin: 'XXX' is not one of EWR, JFK|,XXX,6\n");
  Write("data/b.parquet", "not parquet");
  const Error error = Refused();
  EXPECT_EQ(error.place->file, "data/b.parquet");
}

TEST_F(IngestTest, WithoutAContractTheFirstFileDecides) {
  source.contract.columns.clear();
  Write("data/a.csv", "i,d,t,s,b\n1,1.5,2013-01-01T10:00:00Z,x,true\nNA,2,2013-01-01 11:00,,false\n");
  const std::vector<Field> expected{
      {"i", Type::kInt64}, {"d", Type::kDouble}, {"t", Type::kTimestamp}, {"s", Type::kText}, {"b", Type::kBool}};
  EXPECT_EQ(SourceFields(project, source, nullptr).value(), expected);
  EXPECT_EQ(SourceFields(project, source, lake.get()).value(), expected);
  EXPECT_EQ(Ingest().rows, 2);
  Write("data/b.csv", "i,d,t,s,b\nx,1.5,2013-01-01T10:00:00Z,x,true\n");
  EXPECT_EQ(Ingest().quarantined, 1);
  EXPECT_EQ(SourceFields(project, source, lake.get()).value(), expected);
  Write("data/c.csv", "i,d,t,s\n1,1.5,2013-01-01T10:00:00Z,x\n");
  EXPECT_EQ(Refused().code, "columns_changed");
}

TEST_F(IngestTest, OtherDelimiters) {
  source.delimiter = ";";
  Write("data/a.csv", "origin;delay;day\nEWR;1;2013-01-01\n");
  EXPECT_EQ(Ingest().rows, 1);
  source.delimiter = ";;";
  EXPECT_EQ(Refused().code, "bad_delimiter");
}

TEST_F(IngestTest, RowsThatShareAKeyAreCounted) {
  source.key = {"origin", "day"};
  Write("data/a.csv", "origin,delay,day\nEWR,1,2013-01-01\nEWR,2,2013-01-01\nEWR,2,2013-01-02\n");
  EXPECT_EQ(Ingest().warnings, (std::vector<std::string>{"2 rows share their key with another row"}));
}

TEST_F(IngestTest, ManyRowsOfManyFilesKeepTheirOrder) {
  source.contract.columns = {Named("n", Type::kInt64)};
  std::string first = "n\n", second = "n\n";
  for (int i = 1; i <= 70'000; ++i) (i <= 50'000 ? first : second) += (i % 1000 == 0 ? "bad" : std::to_string(i)) + "\n";
  Write("data/a.csv", first);
  Write("data/b.csv", second);
  int64_t told = 0;
  const auto report = IngestSource(project, source, *lake, kNow, 7, [&](int64_t rows) { told = rows; });
  ASSERT_TRUE(report.ok()) << report.error().Format();
  EXPECT_EQ(report.value().rows, 69'930);
  EXPECT_EQ(report.value().quarantined, 70);
  EXPECT_EQ(told, 69'930);
  EXPECT_EQ(Rows("SELECT count(*) FROM flights WHERE n = _seq"), "69930\n");
  EXPECT_EQ(Rows("SELECT file, count(*), min(line), max(record) FROM lake.tidemill.quarantine GROUP BY file "
                 "ORDER BY file"),
            "data/a.csv|50|1001|50000\ndata/b.csv|20|1001|20000\n");
  EXPECT_EQ(FindOrigin(*session, 50'001).value().file, "data/b.csv");
  EXPECT_EQ(Rows("SELECT count(*) FROM duckdb_tables() WHERE database_name = 'memory'"), "0\n");
  EXPECT_EQ(lake->Files("flights", report.value().snapshot).value().size(), 1u);
}

TEST_F(IngestTest, InfersAContract) {
  std::string text = "carrier,delay,share,day,tail\n";
  for (int i = 0; i < 100; ++i) {
    text += std::string(i % 2 == 0 ? "AA" : "UA") + "," + (i == 7 ? "NA" : std::to_string(i)) + ",0.5,2013-01-01,N" +
            std::to_string(i) + "\n";
  }
  Write("data/a.csv", text);
  std::vector<std::string> null_texts;
  const auto contract = InferContract(project.root / "data/a.csv", &null_texts);
  ASSERT_TRUE(contract.ok()) << contract.error().Format();
  EXPECT_EQ(null_texts, (std::vector<std::string>{"", "NA"}));
  const auto& columns = contract.value().columns;
  EXPECT_EQ(columns[0].allowed, (std::vector<std::string>{"AA", "UA"}));
  EXPECT_TRUE(columns[0].required);
  EXPECT_EQ(columns[1].type, Type::kInt64);
  EXPECT_FALSE(columns[1].required);
  EXPECT_EQ(columns[1].min, 0);
  EXPECT_EQ(columns[1].max, 99);
  EXPECT_EQ(columns[2].type, Type::kDouble);
  EXPECT_EQ(columns[3].type, Type::kDate);
  EXPECT_TRUE(columns[4].allowed.empty());
}

TEST_F(IngestTest, AnInterruptedIngestionLeavesNothing) {
  Write("data/a.csv", "origin,delay,day\nEWR,1,2013-01-01\n");
  Write("data/b.csv", "origin,delay\nEWR,1\n");
  EXPECT_EQ(Refused().code, "columns_changed");
  EXPECT_FALSE(lake->HasTable("flights").value());
  EXPECT_FALSE(lake->HasTable("tidemill.files").value());
  Write("data/b.csv", "origin,delay,day\nJFK,1,2013-01-01\n");
  EXPECT_EQ(Ingest().rows, 2);
}

TEST_F(IngestTest, AnIngestionStoppedBeforeItsCommitGetsItsNumbersAgain) {
  Write("data/a.csv", "origin,delay,day\nEWR,1,2013-01-01\nEWR,2,2013-01-01\n");
  auto other_database = std::move(Database::Open({})).value();
  auto other = std::move(Lake::Open(*other_database, {.folder = folder.path() / "lake", .lock_timeout_ms = 1})).value();
  const auto held = lake->Commit("hold the lock", Json::object(), [&](Session&) -> Status {
    const auto report = IngestSource(project, source, *other, kNow, 7, nullptr);
    EXPECT_EQ(report.ok() ? "" : report.error().code, "locked");
    return Ok();
  });
  ASSERT_TRUE(held.ok()) << held.error().Format();
  EXPECT_EQ(lake->ReserveSequence(10).value(), 3) << "numbers that others got meanwhile";
  Ingest();
  EXPECT_EQ(Rows("SELECT delay, _seq FROM flights ORDER BY _seq"), "1|1\n2|2\n");

  // Once they are in the lake they belong to those rows: what comes back later is new.
  Write("data/a.csv", "origin,delay,day\nJFK,3,2013-01-01\nJFK,4,2013-01-01\n");
  Ingest();
  Write("data/a.csv", "origin,delay,day\nEWR,1,2013-01-01\nEWR,2,2013-01-01\n");
  Ingest();
  EXPECT_EQ(Rows("SELECT delay, _seq FROM flights ORDER BY _seq"), "1|15\n2|16\n");
}

TEST(GlobTest, MatchesStarsAndQuestionMarks) {
  EXPECT_TRUE(MatchesGlob("flights.csv", "*.csv"));
  EXPECT_TRUE(MatchesGlob("a-2013.csv", "a-????.csv"));
  EXPECT_TRUE(MatchesGlob("abcabc", "*abc"));
  EXPECT_FALSE(MatchesGlob("flights.csv.zip", "*.csv"));
  EXPECT_FALSE(MatchesGlob("a/b.csv", "*.csv"));
}

}  // namespace
}  // namespace tidemill
