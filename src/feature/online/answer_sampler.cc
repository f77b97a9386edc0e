#include "feature/online/answer_sampler.h"

#include <utility>

namespace tidemill {

AnswerSampler::AnswerSampler(Options options, SettledUntil settled_until)
    : options_(options), settled_until_(std::move(settled_until)) {}

std::optional<bool> AnswerSampler::Wants(const std::string& view, Timestamp at) const {
  if (waiting_.load(std::memory_order_relaxed) >= options_.waiting_max) return std::nullopt;
  const std::optional<Timestamp> settled = settled_until_(view);
  if (settled && at > *settled) return std::nullopt;
  return settled.has_value();
}

void AnswerSampler::Keep(SampledAnswer answer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (static_cast<int64_t>(answers_.size()) >= options_.waiting_max) return;
  answers_.push_back(std::move(answer));
  waiting_ = static_cast<int64_t>(answers_.size());
}

std::vector<SampledAnswer> AnswerSampler::Take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  waiting_ = 0;
  return std::exchange(answers_, {});
}

}  // namespace tidemill
