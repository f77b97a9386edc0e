#pragma once

#include <memory>
#include <utility>

#include "sql/database.h"

/// For *_test.cc only, which include GoogleTest before this.
namespace tidemill::testing {

/// A database in memory and a session of it.
class SessionTest : public ::testing::Test {
 protected:
  explicit SessionTest(DatabaseOptions options = {}) : options_(std::move(options)) {}

  void SetUp() override {
    auto database = Database::Open(options_);
    ASSERT_TRUE(database.ok()) << database.error().Format();
    database_ = std::move(database).value();
    auto session = database_->Connect();
    ASSERT_TRUE(session.ok()) << session.error().Format();
    session_ = std::move(session).value();
  }

  const DatabaseOptions options_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Session> session_;
};

}  // namespace tidemill::testing
