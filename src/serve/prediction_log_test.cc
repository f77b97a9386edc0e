#include "serve/prediction_log.h"

#include <atomic>
#include <condition_variable>
#include <mutex>

#include <gtest/gtest.h>

namespace tidemill {
namespace {

LoggedPrediction Numbered(int64_t number) {
  LoggedPrediction logged;
  logged.prediction.version = number;
  return logged;
}

/// A place to store predictions that tests can hold shut or break.
class StoreDouble {
 public:
  PredictionLog::Store AsStore() {
    return [this](const std::vector<LoggedPrediction>& batch) -> Status {
      std::unique_lock<std::mutex> lock(mutex_);
      ++calls;
      entered_.notify_all();
      entered_.wait(lock, [this] { return open; });
      if (failures_left-- > 0) return Unavailable("locked", "the lake is busy");
      for (const LoggedPrediction& logged : batch) stored.push_back(logged.prediction.version);
      return Ok();
    };
  }
  void Open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    open = true;
    entered_.notify_all();
  }
  void WaitForCall() {
    std::unique_lock<std::mutex> lock(mutex_);
    entered_.wait(lock, [this] { return calls > 0; });
  }

  std::vector<int64_t> stored;
  int calls = 0;
  int failures_left = 0;
  bool open = true;

 private:
  std::mutex mutex_;
  std::condition_variable entered_;
};

TEST(PredictionLog, StoresAllInOrderAtTheEnd) {
  StoreDouble store;
  PredictionLog log(store.AsStore(), nullptr, {.queue_max = 1000, .batch_max = 10, .interval_ms = 60'000, .attempts_max = 1});
  for (int i = 0; i < 95; ++i) EXPECT_TRUE(log.Offer(Numbered(i)));
  log.Stop();
  ASSERT_EQ(store.stored.size(), 95u);
  for (int i = 0; i < 95; ++i) EXPECT_EQ(store.stored[static_cast<size_t>(i)], i);
  EXPECT_EQ(log.counts().stored, 95);
  EXPECT_FALSE(log.Offer(Numbered(1)));
}

TEST(PredictionLog, DropsAndCountsWhenFullWithoutWaiting) {
  StoreDouble store;
  store.open = false;
  PredictionLog log(store.AsStore(), nullptr, {.queue_max = 5, .batch_max = 5, .interval_ms = 60'000, .attempts_max = 1});
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(log.Offer(Numbered(i)));
  store.WaitForCall();  // the first five are being stored, and that hangs
  for (int i = 5; i < 10; ++i) EXPECT_TRUE(log.Offer(Numbered(i)));
  for (int i = 10; i < 17; ++i) EXPECT_FALSE(log.Offer(Numbered(i)));
  EXPECT_EQ(log.counts().dropped, 7);
  EXPECT_EQ(log.counts().waiting, 5);
  store.Open();
  log.Stop();
  EXPECT_EQ(store.stored.size(), 10u);
  EXPECT_EQ(log.counts().offered, 17);
}

TEST(PredictionLog, TriesAgainAndThenCountsWhatIsLost) {
  StoreDouble store;
  store.failures_left = 2;
  PredictionLog log(store.AsStore(), nullptr, {.queue_max = 5, .batch_max = 5, .interval_ms = 1, .attempts_max = 3});
  log.Offer(Numbered(1));
  log.Stop();
  EXPECT_EQ(store.stored, std::vector<int64_t>{1});
  EXPECT_EQ(log.counts().dropped, 0);

  StoreDouble broken;
  broken.failures_left = 1000;
  std::string told;
  PredictionLog losing(broken.AsStore(), [&told](const std::string& line) { told = line; },
                       {.queue_max = 5, .batch_max = 5, .interval_ms = 1, .attempts_max = 3});
  losing.Offer(Numbered(1));
  losing.Stop();
  EXPECT_EQ(broken.calls, 3);
  EXPECT_EQ(losing.counts().dropped, 1);
  EXPECT_EQ(told, "1 predictions were not logged: the lake is busy");
}

}  // namespace
}  // namespace tidemill
