#pragma once

namespace tidemill {

/// Lets the process keep up to a quarter of a gigabyte that it has freed, for what it needs next. Blocks of rows come and go; given
/// back to the system each time, their memory is cleared anew, a page at a time, which is a tenth of the time of a join. To be
/// called by main() before there are threads.
void KeepFreedMemory();

}  // namespace tidemill
