#pragma once

#include <cstdint>
#include <string_view>

namespace tidemill {

/// What the metadata of an Arrow IPC message (a flatbuffer) says of it.
struct ArrowMessage {
  /// Whether each value is there whose type is told (the message's header, the fields' types). nanoarrow verifies everything else
  /// and takes this for granted.
  bool whole = true;
  int64_t body_bytes = 0;  ///< what follows the metadata
};

/// Reads any bytes: where they are no flatbuffer they count as whole, for nanoarrow to refuse.
ArrowMessage ReadArrowMessage(std::string_view metadata);

}  // namespace tidemill
