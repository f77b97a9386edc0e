#include "base/error_json.h"

namespace tidemill {

Json ErrorToJson(const Error& error) {
  Json json = {{"code", error.code}, {"message", error.message}};
  if (!error.hint.empty()) json["hint"] = error.hint;
  if (error.place) {
    json["file"] = error.place->file;
    if (error.place->line > 0) json["line"] = error.place->line;
    if (error.place->column > 0) json["column"] = error.place->column;
  }
  for (const Error& other : error.others) json["others"].push_back(ErrorToJson(other));
  return json;
}

}  // namespace tidemill
