#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>

#include "feature/program/exact_number.h"
#include "feature/program/exact_sum.h"

/// Sums of powers and of products of doubles, exact, and the statistics that are computed of them. Each formula is written out
/// in docs/features.md: its sums are exact and it is rounded where that says so, so a result depends on the set of rows alone.
/// All of them: Add, Subtract what was added, Add another one, in any order; Save appends a few bytes, from which AddSaved adds
/// the same again (false after damage). Infinities and NaN are counted; a set that holds
/// some has no variance, no correlation and no slope.
namespace tidemill {

/// Exact sums of x and x * x.
class ExactMoments {
 public:
  void Add(double value) { Change(value, false); }
  void Subtract(double value) { Change(value, true); }
  void Add(const ExactMoments& other);
  void Save(std::string& bytes) const;
  bool AddSaved(VarintReader& reader);
  void Clear();
  int64_t count() const { return count_; }
  bool finite() const { return sum_.finite(); }
  ExactNumber Sum() const { return ExactNumber(sum_.accumulator()); }
  ExactNumber Squares() const { return ExactNumber(squares_); }
  /// n * sum(x^2) - sum(x)^2, which is n^2 times the population variance. Needs finite().
  ExactNumber CentralSquares() const;
  /// CentralSquares(), rounded, / (n * (n - ddof)). Needs n > ddof and finite().
  double Variance(int ddof) const;

 private:
  void Change(double value, bool subtract);

  ExactSum sum_;
  Superaccumulator<2150, 140> squares_;
  int64_t count_ = 0;
};

/// Exact sums of x, x^2 and x^3.
class ExactThirdMoments {
 public:
  void Add(double value) { Change(value, false); }
  void Subtract(double value) { Change(value, true); }
  void Add(const ExactThirdMoments& other);
  void Save(std::string& bytes) const;
  bool AddSaved(VarintReader& reader);
  void Clear();
  /// sqrt(n (n - 1)) / (n - 2) * M3 / (M2 sqrt(M2)), with M2 = n sum(x^2) - sum(x)^2 and
  /// M3 = n^2 sum(x^3) - 3 n sum(x) sum(x^2) + 2 sum(x)^3 exact and rounded once. NaN where there is none: n < 3, all
  /// values equal, infinities.
  double Skewness() const;

 private:
  void Change(double value, bool subtract);

  ExactMoments moments_;
  Superaccumulator<3225, 212> cubes_;
};

/// Exact sums of x, y, their squares and their product.
class ExactPairs {
 public:
  void Add(double x, double y) { Change(x, y, false); }
  void Subtract(double x, double y) { Change(x, y, true); }
  void Add(const ExactPairs& other);
  void Save(std::string& bytes) const;
  bool AddSaved(VarintReader& reader);
  void Clear();
  int64_t count() const { return x_.count(); }
  /// (n sum(xy) - sum(x) sum(y)) / (n (n - ddof)). NaN where there is none.
  double Covariance(int ddof) const;
  /// C / sqrt(A B), with C = n sum(xy) - sum(x) sum(y), A = n sum(x^2) - sum(x)^2 and B = n sum(y^2) - sum(y)^2 exact and
  /// rounded once; within [-1, 1]. NaN where x or y does not vary.
  double Correlation() const;
  /// C / B: of the line x = a + b y. NaN where y does not vary.
  double SlopeOverY() const;

 private:
  void Change(double x, double y, bool subtract);
  ExactNumber CentralProducts() const;
  bool finite() const { return x_.finite() && y_.finite(); }

  ExactMoments x_;
  ExactMoments y_;
  Superaccumulator<2150, 140> products_;
};

/// Exact sums for the line through values over time, in microseconds.
class ExactTrend {
 public:
  void Add(int64_t micros, double value) { Change(micros, value, false); }
  void Subtract(int64_t micros, double value) { Change(micros, value, true); }
  void Add(const ExactTrend& other);
  void Save(std::string& bytes) const;
  bool AddSaved(VarintReader& reader);
  void Clear() { *this = {}; }
  /// The least squares slope in units of x a day: d (n sum(t x) - sum(t) sum(x)) / (n sum(t^2) - sum(t)^2), d microseconds a
  /// day; numerator and denominator exact and rounded once. NaN where there is none: all rows at one time, infinities.
  double SlopeADay() const;

 private:
  void Change(int64_t micros, double value, bool subtract);

  int64_t count_ = 0;
  __int128 times_ = 0;
  Superaccumulator<0, 8> squared_times_;
  ExactSum values_;
  Superaccumulator<1075, 76> products_;
};

/// 2^(fraction / 2^64), in [1, 2): one fixed computation in integers, rounded to 53 bits, wrong by less than one unit in the
/// last place.
double PowerOfTwo(uint64_t fraction);

/// The mean with weights that halve with each half-life of age: sum(w x) / sum(w). Weights are counted from 1970, 2^(t / h):
/// the ratio is the same from any origin. t / h is split into an integer and a fraction, of which PowerOfTwo is the weight
/// (a double f). Sums of f x and f are exact, kept by blocks of 64 half-lives; numerator and denominator are rounded once.
/// Only the block of the newest value and the one before count: values more than 64 to 128 half-lives older than the newest
/// weigh nothing, by definition.
class ExactDecayedMean {
 public:
  /// `half_life_us` > 0.
  explicit ExactDecayedMean(int64_t half_life_us) : half_life_us_(half_life_us) {}
  void Add(int64_t micros, double value) { Change(micros, value, 1); }
  void Subtract(int64_t micros, double value) { Change(micros, value, -1); }
  void Add(const ExactDecayedMean& other);
  void Save(std::string& bytes) const;
  bool AddSaved(VarintReader& reader);
  void Clear() { blocks_.clear(); }
  bool empty() const { return blocks_.empty(); }
  size_t heap_bytes() const { return blocks_.size() * (sizeof(Block) + 48); }
  /// NaN and infinities in the newest blocks as in a sum. Needs !empty().
  double Mean() const;

 private:
  struct Block {
    int64_t count = 0;
    int64_t positive_infinities = 0;
    int64_t negative_infinities = 0;
    int64_t nans = 0;
    Superaccumulator<1127, 76> weighted;
    Superaccumulator<52, 8> weights;

    void Add(const Block& other);
  };

  void Change(int64_t micros, double value, int64_t change);

  int64_t half_life_us_;
  std::map<int64_t, Block> blocks_;  ///< by half-lives since 1970 / 64
};

}  // namespace tidemill
