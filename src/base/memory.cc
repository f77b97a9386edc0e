#include "base/memory.h"

#include <malloc.h>

namespace tidemill {

void KeepFreedMemory() {
  constexpr int kKeptBytes = 256 << 20;
  mallopt(M_MMAP_THRESHOLD, kKeptBytes);
  mallopt(M_TRIM_THRESHOLD, kKeptBytes);
}

}  // namespace tidemill
