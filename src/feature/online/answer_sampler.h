#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/columns.h"

namespace tidemill {

/// The rows of the lake that the states of a view held when an answer was given.
struct HeldRows {
  int64_t known_until = 0;  ///< those known by then, in microseconds,
  int64_t seq_until = 0;    ///< with numbers up to this one
  bool follows = false;     ///< the view follows pushes: all that was known at the time asked
};

/// An answer as it was given, with what is needed to compute it again from the lake.
struct SampledAnswer {
  std::string view;
  std::string program;     ///< fingerprint of what computed it
  std::vector<Value> key;  ///< of a derived view all fields that it asks for
  Timestamp at;
  std::map<std::string, HeldRows> held;  ///< by the view whose states were read: a derived view has several
  std::vector<Value> values;
};

/// Keeps a bounded sample of online answers until they are stored. Thread-safe; not sampling costs a few nanoseconds.
class AnswerSampler {
 public:
  struct Options {
    int64_t waiting_max = 500;  ///< answers kept until Take()
  };
  /// The time up to which answers of a view that follows pushes can't change any more; nullopt for other views.
  using SettledUntil = std::function<std::optional<Timestamp>(const std::string& view)>;
  AnswerSampler(Options options, SettledUntil settled_until);

  /// Whether an answer for this time may be kept; nullopt: no. Ask before looking it up: the value tells whether the view follows pushes.
  std::optional<bool> Wants(const std::string& view, Timestamp at) const;
  void Keep(SampledAnswer answer);
  std::vector<SampledAnswer> Take();

 private:
  const Options options_;
  const SettledUntil settled_until_;
  std::atomic<int64_t> waiting_{0};
  std::mutex mutex_;
  std::vector<SampledAnswer> answers_;
};

}  // namespace tidemill
