#include <charconv>

#include <fmt/format.h>

#include "model/trainer.h"

namespace tidemill {
namespace {

constexpr std::string_view kPackageHeading = "tidemill model 1\n";

Error DamagedPackage(std::string_view why) {
  return UserError("bad_model", fmt::format("this is not a model package: {}", why), "train the model again");
}

/// Takes "NAME SIZE\n" from the front of `bytes`.
Result<size_t> TakeSize(std::string_view& bytes, std::string_view name) {
  const size_t end = bytes.find('\n');
  if (end == std::string_view::npos || end <= name.size() || bytes.substr(0, name.size()) != name || bytes[name.size()] != ' ') {
    return DamagedPackage(fmt::format("no size of the {}", name));
  }
  const std::string_view digits = bytes.substr(name.size() + 1, end - name.size() - 1);
  size_t size = 0;
  const auto [rest, code] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
  if (code != std::errc() || rest != digits.data() + digits.size()) return DamagedPackage(fmt::format("no size of the {}", name));
  bytes.remove_prefix(end + 1);
  return size;
}

}  // namespace

std::string ModelPackage::Serialize() const {
  // Categories are bytes of the user's data, not always UTF-8; the graph holds them as they are, the description is for people.
  const std::string text = description.dump(1, ' ', false, Json::error_handler_t::replace);
  return fmt::format("{}description {}\nonnx {}\n{}{}", kPackageHeading, text.size(), onnx.size(), text, onnx);
}

Result<ModelPackage> ModelPackage::Parse(std::string_view bytes) {
  if (bytes.substr(0, kPackageHeading.size()) != kPackageHeading) return DamagedPackage("it begins differently");
  bytes.remove_prefix(kPackageHeading.size());
  TIDEMILL_ASSIGN_OR_RETURN(const size_t description_size, TakeSize(bytes, "description"));
  TIDEMILL_ASSIGN_OR_RETURN(const size_t onnx_size, TakeSize(bytes, "onnx"));
  if (description_size > bytes.size() || bytes.size() - description_size != onnx_size)
    return DamagedPackage("it is cut short or too long");
  ModelPackage package;
  package.description = Json::parse(bytes.substr(0, description_size), nullptr, /*allow_exceptions=*/false);
  if (!package.description.is_object()) return DamagedPackage("its description is not JSON");
  package.onnx = bytes.substr(description_size);
  return package;
}

}  // namespace tidemill
