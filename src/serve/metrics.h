#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace tidemill {

/// Counts for GET /metrics, in Prometheus' text format. Histograms, so that servers can be added up.
/// Thread-safe.
class Metrics {
 public:
  void CountRequest(const std::string& route, int status, double seconds);
  void CountPredictions(const std::string& model, int64_t version, int64_t count);
  std::string Text() const;

 private:
  /// Upper bounds in seconds, from 50 microseconds on.
  static constexpr std::array<double, 14> kBounds = {50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3,
                                                     10e-3, 20e-3,  50e-3,  0.1,    0.5,  1,    10};
  struct Histogram {
    std::array<int64_t, kBounds.size() + 1> counts{};
    double sum = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> requests_;
  std::map<std::string, Histogram> seconds_;
  std::map<std::pair<std::string, int64_t>, int64_t> predictions_;
};

}  // namespace tidemill
