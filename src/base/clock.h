#pragma once

#include "base/time.h"

namespace tidemill {

/// The operations clock: leases, timeouts, durations on screen. Never part of a result.
/// Injected so that tests decide the time. Implementations are thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp Now() const = 0;
};

/// The wall clock, in UTC.
class SystemClock : public Clock {
 public:
  Timestamp Now() const override;
};

}  // namespace tidemill
