#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"

namespace tidemill {

/// The bytes of a file from its beginning, unpacked where its name says so (.gz, .zip). Memory is bounded,
/// whatever the size.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// At most `size` bytes; 0 only at the end. Code "file_damaged" when packed data is cut off or broken.
  virtual Result<size_t> Read(char* bytes, size_t size) = 0;
};

/// `shown` names the file in errors. A .zip must hold exactly one file.
Result<std::unique_ptr<ByteStream>> OpenByteStream(const std::filesystem::path& path, const std::string& shown);

}  // namespace tidemill
