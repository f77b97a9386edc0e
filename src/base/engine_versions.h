#pragma once

#include <string_view>

namespace tidemill {

/// Versions ("1.5.5") of the engines whose results are stored, as scripts/dependencies.lock pins them: cmake/EngineVersions.cmake
/// reads them there.
extern const std::string_view kDuckDbVersion;
extern const std::string_view kLightgbmVersion;
extern const std::string_view kOnnxRuntimeVersion;

}  // namespace tidemill
