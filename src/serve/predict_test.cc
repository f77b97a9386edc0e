#include <set>

#include <gtest/gtest.h>

#include "serve/live_model.h"
#include "serve/serve_doubles.h"
#include "serve/spine_rows.h"

namespace tidemill {
namespace {

Timestamp Time(std::string_view text) { return ParseTimestamp(text).value(); }

class PredictOnlineTest : public testing::Test {
 protected:
  void SetUp() override {
    database_ = Database::Open({}).value();
    session_ = database_->Connect().value();
    ASSERT_TRUE(session_
                    ->Execute("CREATE TABLE planned AS SELECT * FROM (VALUES "
                              "(1, 'AA', 500.5, TIMESTAMP '2013-05-01 09:00:00', 1, TIMESTAMP '2013-04-01'),"
                              "(2, NULL, 'nan'::DOUBLE, TIMESTAMP '2013-05-01 11:00:00', 2, TIMESTAMP '2013-04-01'),"
                              "(3, 'late', 1.0, TIMESTAMP '2013-05-01 09:00:00', 3, TIMESTAMP '2013-05-02'),"
                              "(4, 'old', 1.0, TIMESTAMP '2013-04-01 09:00:00', 4, TIMESTAMP '2013-04-01'),"
                              "(5, 'twice, first', 1.0, TIMESTAMP '2013-05-01 08:00:00', 5, TIMESTAMP '2013-04-01'),"
                              "(5, 'twice, last', 2.0, TIMESTAMP '2013-05-01 09:30:00', 6, TIMESTAMP '2013-04-01')"
                              ") t(id, carrier, distance, predict_at, _seq, _known_at)")
                    .ok());
    ASSERT_TRUE(Materialize().ok());
  }

  Status Materialize() { return MaterializeSpine(store_, model_->plan, *session_, "planned", now_ - kSpineLookback, now_); }

  Result<std::vector<Prediction>> Predict(const char* requests, std::optional<Timestamp> at = {}) {
    return PredictOnline(*model_, store_, Json::parse(requests), at, now_);
  }

  const Timestamp now_ = Time("2013-05-01T10:00:00Z");
  std::unique_ptr<Database> database_;
  std::unique_ptr<Session> session_;
  MemoryStore store_;
  std::shared_ptr<LiveModel> model_ = SimpleModel(3);
};

TEST_F(PredictOnlineTest, WholeRequest) {
  const auto predictions = Predict(R"([{"carrier": "UA", "distance": 250}])");
  ASSERT_TRUE(predictions.ok()) << predictions.error().Format();
  ASSERT_EQ(predictions->size(), 1u);
  const Prediction& prediction = predictions->front();
  EXPECT_DOUBLE_EQ(prediction.score, 0.25);
  EXPECT_EQ(prediction.version, 3);
  EXPECT_EQ(prediction.at, now_);
  EXPECT_EQ(prediction.id.rfind("late-o", 0), 0u);
  EXPECT_EQ(prediction.features.columns[0].At(0), Value(std::string("UA")));
}

TEST_F(PredictOnlineTest, CompletesFromTheSpinesRow) {
  const auto predictions = Predict(R"([{"id": 1}, {"id": 2}, {"id": 5}, {"id": 1, "distance": 7}])");
  ASSERT_TRUE(predictions.ok()) << predictions.error().Format();
  EXPECT_DOUBLE_EQ((*predictions)[0].score, 0.5005);
  EXPECT_EQ((*predictions)[0].at, Time("2013-05-01T09:00:00Z"));  // the row's own time
  EXPECT_EQ((*predictions)[0].request, Json::parse(R"({"id": 1, "carrier": "AA", "distance": 500.5})"));
  EXPECT_TRUE(std::isnan((*predictions)[1].score));  // a NaN stays one on its way through the store
  EXPECT_TRUE((*predictions)[1].features.columns[0].IsNull(0));
  EXPECT_EQ((*predictions)[1].at, now_);  // its own time has not come
  EXPECT_EQ((*predictions)[2].features.columns[0].At(0), Value(std::string("twice, last")));
  EXPECT_DOUBLE_EQ((*predictions)[3].score, 0.007);  // what the request says goes first
}

TEST_F(PredictOnlineTest, TimesAskedFor) {
  const auto predictions =
      Predict(R"([{"id": 1, "at": "2013-05-01T08:00:00Z"}, {"id": 1}, {"id": 1, "predict_at": "2013-05-01 07:00:00"}])",
              Time("2013-05-01T06:00:00Z"));
  ASSERT_TRUE(predictions.ok()) << predictions.error().Format();
  EXPECT_EQ((*predictions)[0].at, Time("2013-05-01T08:00:00Z"));
  EXPECT_EQ((*predictions)[1].at, Time("2013-05-01T06:00:00Z"));
  EXPECT_EQ((*predictions)[2].at, Time("2013-05-01T07:00:00Z"));
}

TEST_F(PredictOnlineTest, ThePredictionTimeMayBeAnInput) {
  model_->plan.request_fields.push_back({"predict_at", Type::kTimestamp});
  ASSERT_TRUE(Materialize().ok());
  const auto predictions = Predict(R"([{"id": 1}, {"carrier": null, "distance": 1}])");
  ASSERT_TRUE(predictions.ok()) << predictions.error().Format();
  EXPECT_EQ((*predictions)[0].request["predict_at"], "2013-05-01T09:00:00Z");
  EXPECT_EQ((*predictions)[1].request["predict_at"], "2013-05-01T10:00:00Z");
}

TEST_F(PredictOnlineTest, TellsWhatIsWrong) {
  struct Case {
    const char* requests;
    const char* code;
    const char* message;
    const char* hint;
  };
  const Case cases[] = {
      {R"({"id": 1})", "bad_request", "expected a list of instances, came {\"id\":1}", ""},
      {"[5]", "bad_request", "expected an object of fields, came 5", "for instance {\"id\":\"...\"}"},
      {R"([{"carier": "AA", "distance": 1}])", "unknown_field", "unknown field 'carier'", "did you mean 'carrier'?"},
      {R"([{"carrier": "AA"}])", "missing_field", "the request lacks distance", "bring id of a row of 'planned'"},
      {R"([{}])", "missing_field", "the request lacks carrier, distance", ""},
      {R"([{"carrier": "AA", "distance": "far"}])", "bad_value", "field 'distance': expected a number, came \"far\"", ""},
      {R"([{"carrier": 5, "distance": 1}])", "bad_value", "field 'carrier': expected a text, came 5", ""},
      {R"([{"carrier": ["AA"], "distance": 1}])", "bad_value", "field 'carrier': expected a text, came [\"AA\"]", ""},
      {R"([{"id": 77}])", "row_missing", "there is no row of 'planned' with id 77 in the online store", "7d"},
      {R"([{"id": 3}])", "row_missing", "id 3", ""},  // not known yet
      {R"([{"id": 4}])", "row_missing", "id 4", ""},  // too old
      {R"([{"id": "1"}])", "bad_value", "field 'id': expected an integer, came \"1\"", ""},
      {R"([{"id": 1, "at": "soon"}])", "bad_value", "field 'at': expected a time", ""},
      {R"([{"id": 1, "at": "2013-05-01T11:00:00Z"}])", "future_time", "lies after the project clock", ""},
      {R"([{"id": 1}, {"id": 77}])", "row_missing", "instance 1: there is no row", ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.requests);
    const auto predictions = Predict(c.requests);
    ASSERT_FALSE(predictions.ok());
    EXPECT_EQ(predictions.error().code, c.code);
    EXPECT_NE(predictions.error().message.find(c.message), std::string::npos) << predictions.error().message;
    EXPECT_NE(predictions.error().hint.find(c.hint), std::string::npos) << predictions.error().hint;
  }
  EXPECT_TRUE(Predict("[]").ok());
}

TEST_F(PredictOnlineTest, MaterializingAgainForgetsWhatHasLeftTheWindow) {
  const size_t size = store_.size();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Materialize().ok());
  EXPECT_LE(store_.size(), 2 * size);
  ASSERT_TRUE(session_->Execute("DELETE FROM planned WHERE id = 1").ok());
  ASSERT_TRUE(Materialize().ok());
  EXPECT_FALSE(Predict(R"([{"id": 1}])").ok());
  EXPECT_TRUE(Predict(R"([{"id": 5}])").ok());
}

TEST_F(PredictOnlineTest, KeysOfSeveralTypesDoNotCollide) {
  ASSERT_TRUE(session_
                  ->Execute("CREATE TABLE pairs AS SELECT a, b, a || b AS carrier, 1.0::DOUBLE AS distance, "
                            "TIMESTAMP '2013-05-01' AS predict_at, "
                            "row_number() OVER () AS _seq, TIMESTAMP '2013-04-01' AS _known_at "
                            "FROM (VALUES (1, '12'), (11, '2')) t(a, b)")
                  .ok());
  model_->plan.spine_key = {"a", "b"};
  ASSERT_TRUE(MaterializeSpine(store_, model_->plan, *session_, "pairs", now_ - kSpineLookback, now_).ok());
  const auto predictions = Predict(R"([{"a": 1, "b": "12"}, {"b": "2", "a": 11}])");
  ASSERT_TRUE(predictions.ok()) << predictions.error().Format();
  EXPECT_EQ((*predictions)[0].at, Time("2013-05-01"));
  EXPECT_FALSE(Predict(R"([{"a": 1, "b": "2"}])").ok());
}

TEST(PredictionIds, NeverComeAgain) {
  std::set<std::string> seen;
  PredictionIds first;
  PredictionIds second;
  for (int i = 0; i < 2000; ++i) seen.insert(first.Next("m"));
  EXPECT_EQ(seen.size(), 2000u);
  EXPECT_EQ(first.Next("m").size(), std::string("m-o").size() + 16);
}

}  // namespace
}  // namespace tidemill
