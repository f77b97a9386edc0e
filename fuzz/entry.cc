#include "fuzz/targets.h"

/// What libFuzzer calls. TIDEMILL_FUZZ_TARGET is set by the build.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return tidemill::fuzz::TIDEMILL_FUZZ_TARGET(data, size);
}
