#pragma once

#include <vector>

#include "feature/online/answer_sampler.h"
#include "lake/lake.h"

namespace tidemill {

/// Appends sampled answers to `lake.tidemill.answers` (view_name, program, entity, asked_at, known_until, seq_until, follows, features; entity and features as
/// JSON lists in the order of the program), in one commit. Makes the table when missing.
Status StoreAnswers(Lake& lake, const std::vector<SampledAnswer>& answers);

}  // namespace tidemill
