#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "project/project.h"

/// What the programs of the bench share.
namespace tidemill {

/// A failure ends the program: it is a tool of the bench.
inline void Demand(const Status& status) {
  if (status.ok()) return;
  fmt::print(stderr, "{}\n", status.error().Format());
  std::exit(1);
}

template <typename T>
T Demand(Result<T> result) {
  if (!result.ok()) Demand(Status(result.error()));
  return std::move(result).value();
}

inline double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline Duration Days(int64_t days) { return Duration{days * kMicrosPerDay}; }

inline FeatureDefinition Feature(std::string name, std::string value, std::vector<Duration> windows) {
  FeatureDefinition feature;
  feature.name = std::move(name);
  feature.value = std::move(value);
  feature.windows = std::move(windows);
  return feature;
}

/// The same, windows in days.
inline FeatureDefinition FeatureOverDays(std::string name, std::string value, const std::vector<int64_t>& days) {
  std::vector<Duration> windows;
  for (const int64_t each : days) windows.push_back(Days(each));
  return Feature(std::move(name), std::move(value), std::move(windows));
}

}  // namespace tidemill
