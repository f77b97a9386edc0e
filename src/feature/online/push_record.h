#pragma once

#include <string>
#include <string_view>

#include "lake/pushed_rows.h"

namespace tidemill {

/// A push as bytes of the log, versioned.
std::string EncodePush(const PushedBatch& batch);
/// Code "bad_push_record" for anything that EncodePush didn't write.
Result<PushedBatch> DecodePush(std::string_view bytes);

/// A digest of what a client sent: equal for the same rows, whenever they arrive.
std::string PushDigest(const PushedBatch& batch);

}  // namespace tidemill
