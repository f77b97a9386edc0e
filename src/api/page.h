#pragma once

#include <string>

#include "base/json.h"

namespace tidemill {

/// Puts `data` into the page of web/report: one HTML text that loads nothing. What comes from data can't end the script
/// element that it lies in, whatever it holds; bytes that are not UTF-8 become replacement characters.
std::string RenderPage(const Json& data);

}  // namespace tidemill
