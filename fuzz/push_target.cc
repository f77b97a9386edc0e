#include <string_view>

#include "feature/online/push_record.h"
#include "fuzz/rows.h"
#include "fuzz/targets.h"

namespace tidemill::fuzz {

int FuzzPush(const uint8_t* data, size_t size) {
  const auto batch = DecodePush(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!batch.ok()) return 0;
  for (const Column& column : batch->rows.columns) {
    for (size_t row = 0; row < batch->known_at.size(); ++row) (void)column.At(row);
  }
  const auto again = DecodePush(EncodePush(*batch));
  Require(again.ok() && PushDigest(*again) == PushDigest(*batch));
  return 0;
}

}  // namespace tidemill::fuzz
