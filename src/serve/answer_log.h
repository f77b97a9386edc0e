#pragma once

#include <vector>

#include "feature/online/answer_sampler.h"
#include "lake/lake.h"

namespace tidemill {

/// Appends sampled answers to `lake.tidemill.answers` (view_name, program, entity, asked_at, known_until, seq_until, follows,
/// features, held), in one commit: entity and features are JSON lists in the order of the program; known_until, seq_until and
/// follows tell what the view's states held; of a derived view they are the least, and `held` has those of each view that it
/// uses. Makes the table when missing.
Status StoreAnswers(Lake& lake, const std::vector<SampledAnswer>& answers);

/// Which logged answers stay.
struct AnswersKept {
  Timestamp since;   ///< those asked for earlier times go, of all views
  int64_t rows = 0;  ///< of one view that many stay, those that were logged last
};
/// Takes away the logged answers that are older, or of `view` too many; returns how many went. Nothing is written when none has
/// to go.
Result<int64_t> TrimAnswers(Lake& lake, const std::string& view, const AnswersKept& kept);

}  // namespace tidemill
