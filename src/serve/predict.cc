#include <algorithm>

#include <fmt/format.h>

#include "base/text_distance.h"
#include "base/value_json.h"
#include "serve/live_model.h"
#include "serve/spine_rows.h"

namespace tidemill {
namespace {

constexpr size_t kRequestsMax = 10'000;
/// How far a client's clock may run ahead of ours.
constexpr Duration kClockSkewMax{300 * kMicrosPerSecond};

/// One request, read and completed.
struct ReadRequest {
  Json fields;                ///< request fields and key, as they will be logged
  std::vector<Value> values;  ///< follow FeaturePlan::request_fields
  Timestamp at;
};

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Reads the requests of one call against a plan.
class RequestReader {
 public:
  RequestReader(const FeaturePlan& plan, const SpineRows& rows, std::optional<Timestamp> at, Timestamp now)
      : plan_(plan), rows_(rows), at_(at), now_(now) {
    for (const Field& field : plan_.request_fields) field_names_.push_back(field.name);
    allowed_ = field_names_;
    for (const std::string& name : plan_.spine_key) {
      if (!Contains(allowed_, name)) allowed_.push_back(name);
    }
    if (!Contains(allowed_, plan_.timestamp)) allowed_.push_back(plan_.timestamp);
    if (!Contains(allowed_, "at")) allowed_.push_back("at");
  }

  Result<ReadRequest> Read(const Json& request) const {
    if (!request.is_object()) {
      return UserError("bad_request", fmt::format("expected an object of fields, came {}", ShortJson(request)),
                       fmt::format("for instance {}", ExampleRequest()));
    }
    TIDEMILL_RETURN_IF_ERROR(CheckNames(request));
    ReadRequest read;
    read.fields = request;
    if (!Contains(field_names_, "at")) read.fields.erase("at");
    TIDEMILL_ASSIGN_OR_RETURN(const std::optional<SpineRow> row, Complete(&read.fields));
    TIDEMILL_ASSIGN_OR_RETURN(read.at, TimeOf(request, row));
    // The prediction time is a column of the spine like others, and here it is what was asked for.
    if (Contains(field_names_, plan_.timestamp)) read.fields[plan_.timestamp] = FormatTimestamp(read.at);
    TIDEMILL_RETURN_IF_ERROR(ReadValues(&read));
    return read;
  }

 private:
  Status CheckNames(const Json& request) const {
    for (const auto& [name, value] : request.items()) {
      if (!Contains(allowed_, name))
        return UserError("unknown_field", fmt::format("unknown field '{}'", name), SuggestionHint(name, allowed_));
    }
    return Ok();
  }

  std::vector<std::string> Missing(const Json& fields) const {
    std::vector<std::string> missing;
    for (const std::string& name : field_names_) {
      if (name != plan_.timestamp && !fields.contains(name)) missing.push_back(name);
    }
    return missing;
  }

  /// Adds what the spine's row in the store knows and the request does not say.
  Result<std::optional<SpineRow>> Complete(Json* fields) const {
    const std::vector<std::string> missing = Missing(*fields);
    const bool has_key = !plan_.spine_key.empty() && std::all_of(plan_.spine_key.begin(), plan_.spine_key.end(),
                                                                 [&](const std::string& name) { return fields->contains(name); });
    if (!has_key) {
      if (missing.empty()) return std::optional<SpineRow>();
      return UserError("missing_field", fmt::format("the request lacks {}", fmt::join(missing, ", ")), MissingHint());
    }
    TIDEMILL_ASSIGN_OR_RETURN(std::optional<SpineRow> row, rows_.Find(*fields));
    if (!row && !missing.empty()) {
      return UserError(
          "row_missing",
          fmt::format("there is no row of '{}' with {} in the online store, and the request lacks {}", plan_.spine,
                      KeyText(*fields), fmt::join(missing, ", ")),
          fmt::format("bring these fields; the store holds rows of the {} before the last run", FormatDuration(kSpineLookback)));
    }
    if (row) {
      for (const std::string& name : missing) {
        if (row->fields.contains(name)) (*fields)[name] = row->fields[name];
      }
    }
    return row;
  }

  Result<Timestamp> TimeOf(const Json& request, const std::optional<SpineRow>& row) const {
    for (const std::string& name : {std::string("at"), plan_.timestamp}) {
      const auto found = request.find(name);
      if (found == request.end() || found->is_null() || (name == "at" && Contains(field_names_, "at"))) continue;
      auto value = ValueFromJson(*found, Type::kTimestamp);
      if (!value.ok()) return std::move(value).error().WithContext(fmt::format("field '{}'", name));
      return CheckTime(std::get<Timestamp>(*value));
    }
    if (at_) return CheckTime(*at_);
    return row && row->at <= now_ ? row->at : now_;
  }

  Result<Timestamp> CheckTime(Timestamp at) const {
    if (at <= now_ + kClockSkewMax) return at;
    return UserError(
        "future_time",
        fmt::format("the time asked, {}, lies after the project clock, {}", FormatTimestamp(at), FormatTimestamp(now_)),
        "features are known up to the project clock; leave the time out for now");
  }

  Status ReadValues(ReadRequest* read) const {
    for (const Field& field : plan_.request_fields) {
      const auto found = read->fields.find(field.name);
      if (found == read->fields.end()) {
        return UserError("missing_field", fmt::format("the request lacks {}", field.name), MissingHint());
      }
      auto value = ValueFromJson(*found, field.type);
      if (!value.ok()) return std::move(value).error().WithContext(fmt::format("field '{}'", field.name));
      read->values.push_back(std::move(value).value());
    }
    return Ok();
  }

  std::string KeyText(const Json& fields) const {
    std::string text;
    for (const std::string& name : plan_.spine_key)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, ShortJson(fields.at(name)));
    return text;
  }

  std::string MissingHint() const {
    if (plan_.spine_key.empty()) return "write null for what is not known";
    return fmt::format("write null for what is not known, or bring {} of a row of '{}' alone", fmt::join(plan_.spine_key, ", "),
                       plan_.spine);
  }

  std::string ExampleRequest() const {
    Json example = Json::object();
    for (const std::string& name : plan_.spine_key.empty() ? field_names_ : plan_.spine_key) example[name] = "...";
    return example.dump();
  }

  const FeaturePlan& plan_;
  const SpineRows& rows_;
  std::optional<Timestamp> at_;
  Timestamp now_;
  std::vector<std::string> field_names_;
  std::vector<std::string> allowed_;
};

Columns RowOf(const Columns& rows, const std::vector<Field>& fields, size_t row) {
  Columns one;
  for (const Field& field : fields) {
    const Column* column = rows.Find(field.name);
    Column copy(field.name, column->type);
    // The value comes from a column of the same type.
    if (!copy.Append(column->At(row)).ok()) copy.AppendNull();
    one.columns.push_back(std::move(copy));
  }
  return one;
}

/// An error in one of several requests tells which.
Error InRequest(Error error, size_t index, size_t count) {
  return count == 1 ? std::move(error) : error.WithContext(fmt::format("instance {}", index));
}

}  // namespace

Result<std::vector<Prediction>> PredictOnline(LiveModel& model, OnlineStore& store, const Json& requests,
                                              std::optional<Timestamp> at, Timestamp now) {
  if (!requests.is_array())
    return UserError("bad_request", fmt::format("expected a list of instances, came {}", ShortJson(requests)));
  if (requests.empty()) return std::vector<Prediction>();
  if (requests.size() > kRequestsMax) {
    return UserError("too_many_instances",
                     fmt::format("{} instances came, at most {} are taken at once", requests.size(), kRequestsMax));
  }
  TIDEMILL_ASSIGN_OR_RETURN(const SpineRows spine_rows, SpineRows::Open(store, model.plan));
  const RequestReader reader(model.plan, spine_rows, at, now);
  Columns rows;
  for (const Field& field : model.plan.request_fields) rows.columns.emplace_back(field.name, field.type);
  std::vector<Timestamp> times;
  std::vector<Prediction> predictions;
  for (size_t i = 0; i < requests.size(); ++i) {
    auto read = reader.Read(requests[i]);
    if (!read.ok()) return InRequest(std::move(read).error(), i, requests.size());
    for (size_t c = 0; c < rows.columns.size(); ++c) TIDEMILL_RETURN_IF_ERROR(rows.columns[c].Append(read->values[c]));
    times.push_back(read->at);
    predictions.push_back({"", model.name, model.version, 0, read->at, std::move(read->fields), {}});
  }

  TIDEMILL_ASSIGN_OR_RETURN(const Columns features, BuildOnlineRows(model.plan, store, rows, times));
  for (const Field& field : model.plan.inputs) {
    if (features.Find(field.name) == nullptr) return InternalError(fmt::format("the feature row lacks '{}'", field.name));
  }
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<double> scores, model.predictor->Predict(features));
  for (size_t i = 0; i < predictions.size(); ++i) {
    predictions[i].id = model.ids.Next(model.name);
    predictions[i].score = scores[i];
    predictions[i].features = RowOf(features, model.plan.inputs, i);
  }
  return predictions;
}

}  // namespace tidemill
