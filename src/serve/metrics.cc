#include "serve/metrics.h"

#include <algorithm>

#include <fmt/format.h>

namespace tidemill {

void Metrics::CountRequest(const std::string& route, int status, double seconds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++requests_[{route, status}];
  Histogram& histogram = seconds_[route];
  ++histogram.counts[static_cast<size_t>(std::lower_bound(kBounds.begin(), kBounds.end(), seconds) - kBounds.begin())];
  histogram.sum += seconds;
}

void Metrics::CountPredictions(const std::string& model, int64_t version, int64_t count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  predictions_[{model, version}] += count;
}

std::string Metrics::Text() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string text = "# TYPE tidemill_requests_total counter\n";
  for (const auto& [key, count] : requests_) {
    text += fmt::format("tidemill_requests_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first, key.second, count);
  }
  text += "# TYPE tidemill_request_seconds histogram\n";
  for (const auto& [route, histogram] : seconds_) {
    int64_t below = 0;
    for (size_t i = 0; i < kBounds.size(); ++i) {
      below += histogram.counts[i];
      text += fmt::format("tidemill_request_seconds_bucket{{route=\"{}\",le=\"{}\"}} {}\n", route, kBounds[i], below);
    }
    below += histogram.counts.back();
    text += fmt::format("tidemill_request_seconds_bucket{{route=\"{}\",le=\"+Inf\"}} {}\n", route, below);
    text += fmt::format("tidemill_request_seconds_sum{{route=\"{}\"}} {}\n", route, histogram.sum);
    text += fmt::format("tidemill_request_seconds_count{{route=\"{}\"}} {}\n", route, below);
  }
  text += "# TYPE tidemill_predictions_total counter\n";
  for (const auto& [key, count] : predictions_) {
    text += fmt::format("tidemill_predictions_total{{model=\"{}\",version=\"{}\"}} {}\n", key.first, key.second, count);
  }
  return text;
}

}  // namespace tidemill
