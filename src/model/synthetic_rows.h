#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/columns.h"
#include "model/trainer.h"
#include "project/project.h"

/// Deterministic data for the tests of this folder.
namespace tidemill::synthetic {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  /// 0 <= x < 1.
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  uint64_t Below(uint64_t bound) { return Next() % bound; }

 private:
  uint64_t Next() {  // splitmix64
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

constexpr int64_t kHour = 3600 * kMicrosPerSecond;

/// Inputs of every type, with nulls, a constant column, a column without values, and texts with rare ones; then `extra_numbers`
/// more numbers.
std::vector<Field> Inputs(int extra_numbers = 0);
/// Rows an hour apart from 2020-01-01 on: at, label, label_known_at (two hours later), and the inputs.
Columns Rows(size_t count, uint64_t seed, int extra_numbers = 0);
/// A model over them: train 60 %, validate 20 %, test 20 % of `count` hours.
ModelAsset Model(size_t count);
SplitTimes Split(const ModelAsset& model, size_t count);

}  // namespace tidemill::synthetic
