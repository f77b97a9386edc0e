#pragma once

#include "orchestrate/workspace.h"

namespace tidemill {

/// A feature whose online answer is not what batch computes for the same entity and time.
struct AnswerDifference {
  std::string entity;  ///< "card = 7"; of a derived view all fields of the question
  Timestamp at;
  std::string feature;
  std::string online;
  std::string batch;
  std::vector<std::string> rows;  ///< behind batch's value, the latest first: "data/taps.csv, record 12"; at most 10. Of a
                                  ///< derived view those of each view that it uses: "spending: data/taps.csv, record 12"
};

struct ViewVerification {
  std::string view;
  int64_t answers = 0;  ///< compared
  int64_t answers_different = 0;
  std::vector<AnswerDifference> differences;  ///< at most 100
  double seconds = 0;
  Json ToJson() const;
};

/// Replays logged online answers of a view (`lake.tidemill.answers`), `sample` of the last seven days (0: all), against the
/// point-in-time join at the same times, and compares every feature bit for bit. Answers from before the states were last built
/// anew are left out: rows may have been corrected since. Of a view that follows pushes, batch sees what was known at the time;
/// of another one the rows that the online store had then. Of a derived view that holds for each view that it uses. Answers of an
/// earlier definition, and for times after `now`, are left out. The result becomes a measurement "skew" of the view in the
/// catalog, an alert when something differs. Code "unknown_view".
Result<ViewVerification> VerifyView(Workspace& workspace, const std::string& view, int64_t sample, Timestamp now);

}  // namespace tidemill
