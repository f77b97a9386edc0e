#include "orchestrate/verify.h"

#include <fmt/format.h>

#include <bit>
#include <chrono>

#include "model/predictor.h"
#include "orchestrate/asset_names.h"
#include "orchestrate/model_steps.h"

namespace tidemill {
namespace {

constexpr size_t kDifferencesMax = 100;

/// Equal to the bit; nulls equal each other.
bool SameBits(const Value& a, const Value& b) {
  if (const auto* x = std::get_if<double>(&a)) {
    const auto* y = std::get_if<double>(&b);
    return y != nullptr && std::bit_cast<uint64_t>(*x) == std::bit_cast<uint64_t>(*y);
  }
  return a == b;
}

/// Batch's rows of the last day, with every column of the spine that a request brings.
Result<Columns> ReadSample(Session& session, const FeaturePlan& plan, int64_t version, int64_t sample, Timestamp now) {
  std::string fields;
  for (const Field& field : plan.request_fields) fields += fmt::format(", p.{} AS {}", QuoteIdentifier(field.name), QuoteIdentifier("request " + field.name));
  // A sample that is the same each time: rows in the order of a hash.
  const std::string limit = sample > 0 ? fmt::format(" ORDER BY hash(s._seq), s._seq LIMIT {}", sample) : " ORDER BY s._seq";
  return session.Query(fmt::format("SELECT s.*{} FROM {} s JOIN {} p USING (_seq) WHERE s.model_version = {} AND s.predicted_at > {}{}", fields,
                                   ScoresTable(plan.model), MainTable(plan.spine), version,
                                   SqlLiteral(now - Duration{kMicrosPerDay}), limit));
}

Columns RequestsOf(const FeaturePlan& plan, const Columns& rows) {
  Columns requests;
  for (const Field& field : plan.request_fields) {
    Column column = *rows.Find("request " + field.name);
    column.name = field.name;
    requests.columns.push_back(std::move(column));
  }
  return requests;
}

class Comparison {
 public:
  Comparison(const FeaturePlan& plan, const Columns& batch, VerifyReport* report) : plan_(plan), batch_(batch), report_(*report) {}

  void Run(const Columns& online, const std::vector<double>& scores) {
    for (size_t row = 0; row < batch_.rows(); ++row) {
      const size_t before = found_;
      for (const Field& input : plan_.inputs) Compare(row, input.name, batch_.Find(input.name)->At(row), online.Find(input.name)->At(row));
      Compare(row, "score", batch_.Find("score")->At(row), Value(scores[row]));
      if (found_ > before) ++report_.rows_different;
    }
    report_.rows = static_cast<int64_t>(batch_.rows());
  }

 private:
  void Compare(size_t row, const std::string& input, const Value& batch, const Value& online) {
    if (SameBits(batch, online)) return;
    ++found_;
    if (report_.differences.size() >= kDifferencesMax) return;
    report_.differences.push_back({RowName(row), input, FormatValue(batch), FormatValue(online)});
  }

  std::string RowName(size_t row) const {
    std::string name;
    for (const std::string& key : plan_.spine_key) name += FormatValue(batch_.Find(key)->At(row)) + " ";
    return name + "at " + FormatValue(batch_.Find("predicted_at")->At(row));
  }

  const FeaturePlan& plan_;
  const Columns& batch_;
  VerifyReport& report_;
  size_t found_ = 0;
};

}  // namespace

Json VerifyReport::ToJson() const {
  Json list = Json::array();
  for (const OnlineDifference& difference : differences) {
    list.push_back({{"row", difference.row}, {"input", difference.input}, {"batch", difference.batch}, {"online", difference.online}});
  }
  return {{"model", model},     {"version", version},           {"rows", rows}, {"rows_different", rows_different},
          {"seconds", seconds}, {"differences", std::move(list)}};
}

Result<VerifyReport> VerifyOnline(Workspace& workspace, const std::string& model, int64_t sample, Timestamp now) {
  const auto started = std::chrono::steady_clock::now();
  TIDEMILL_ASSIGN_OR_RETURN(const auto champion, workspace.catalog->Alias(model, kChampionAlias));
  if (!champion) return UserError("no_champion", "model '" + model + "' has no live version yet", "'tidemill run' trains one");
  TIDEMILL_ASSIGN_OR_RETURN(const ModelVersion record, workspace.catalog->GetModelVersion(model, *champion));
  TIDEMILL_ASSIGN_OR_RETURN(const ModelPackage package, LoadPackage(workspace, record));
  TIDEMILL_ASSIGN_OR_RETURN(const FeaturePlan plan, FeaturePlan::FromJson(record.detail.value("plan", Json())));
  TIDEMILL_ASSIGN_OR_RETURN(const auto predictor, Predictor::Load(package, 1));
  TIDEMILL_ASSIGN_OR_RETURN(const OwnedStore owned, OpenOwnedStore(SiteOf(workspace), *workspace.lake));
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, workspace.lake->Connect());

  VerifyReport report;
  report.model = model;
  report.version = *champion;
  TIDEMILL_ASSIGN_OR_RETURN(const Columns batch, ReadSample(*session, plan, *champion, sample, now));
  if (batch.rows() > 0) {
    std::vector<Timestamp> times;
    for (const int64_t micros : batch.Find("predicted_at")->ints) times.push_back({micros});
    TIDEMILL_ASSIGN_OR_RETURN(const Columns online, BuildOnlineRows(plan, *owned.store, RequestsOf(plan, batch), times));
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<double> scores, predictor->Predict(online));
    Comparison(plan, batch, &report).Run(online, scores);
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return report;
}

}  // namespace tidemill
