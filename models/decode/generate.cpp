#include "models/decode/generate.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "autograd/ops/rows.h"
#include "autograd/tape/batch_invariant.h"
#include "models/decode/choose_token.h"

namespace qad {
namespace {

// Prompts enter so many tokens at a time: enough to keep the matrix products busy, few enough for the caches.
constexpr std::int64_t kPromptTokensTogether = 8192;

// One that is decoded now.
struct Sequence {
  std::size_t result;  // its place in the results
  std::int64_t slot;   // its part of the state
  std::int64_t limit;  // longest it may become
  Random random;
  std::int64_t cached = 0;     // tokens that the state has of it
  std::int64_t like = -1;      // slot of the sequence whose prompt it has, until the state has that
  std::size_t logits_row = 0;  // of this turn
};

// The tokens that the model has not seen, of all sequences, as one batch.
struct Turn {
  TokenBatch batch;
  std::vector<SequencePart> parts;
  std::vector<std::int64_t> last_token;  // of each part
};

class Decoder {
 public:
  Decoder(LanguageModel& model, const std::vector<std::vector<std::int32_t>>& prompts, const GenerateConfig& config,
          std::int64_t first_sequence, const GenerateHooks& hooks);
  std::vector<GeneratedSequence> run();

 private:
  [[nodiscard]] std::int64_t limit_of(std::size_t prompt_tokens) const;
  [[nodiscard]] std::size_t samples() const { return static_cast<std::size_t>(config_.samples); }
  [[nodiscard]] std::vector<std::int32_t>& ids(const Sequence& sequence) { return results_[sequence.result].ids; }
  void admit();
  [[nodiscard]] Turn next_turn();
  void share_prompts();
  void choose_tokens(const Tensor& logits);
  void retire();

  LanguageModel& model_;
  const std::vector<std::vector<std::int32_t>>& prompts_;
  const GenerateConfig& config_;
  const GenerateHooks& hooks_;
  std::int64_t first_sequence_;
  std::int64_t capacity_ = 0;  // tokens of a slot
  std::vector<GeneratedSequence> results_;
  std::size_t next_prompt_ = 0;
  std::vector<std::int64_t> free_slots_;
  std::vector<Sequence> active_;
  std::optional<DecodingState> state_;
  GenerateProgress progress_;
};

Decoder::Decoder(LanguageModel& model, const std::vector<std::vector<std::int32_t>>& prompts,
                 const GenerateConfig& config, std::int64_t first_sequence, const GenerateHooks& hooks)
    : model_(model), prompts_(prompts), config_(config), hooks_(hooks), first_sequence_(first_sequence) {
  QAD_ASSERT(config.samples > 0 && config.batch > 0);
  for (const std::vector<std::int32_t>& prompt : prompts) {
    QAD_ASSERT(!prompt.empty());
    capacity_ = std::max(capacity_, limit_of(prompt.size()));
    const GeneratedSequence begun{prompt, static_cast<std::int64_t>(prompt.size()), false};
    results_.insert(results_.end(), samples(), begun);
  }
  const std::int64_t together = std::max(config.samples, config.batch);
  free_slots_.resize(std::min(results_.size(), static_cast<std::size_t>(together)));
  std::iota(free_slots_.rbegin(), free_slots_.rend(), 0);
  state_ = model.make_state(static_cast<std::int64_t>(free_slots_.size()), capacity_);
}

std::int64_t Decoder::limit_of(std::size_t prompt_tokens) const {
  std::int64_t limit = model_.config().max_position_embeddings;
  if (config_.max_tokens > 0) limit = std::min(limit, config_.max_tokens);
  if (config_.max_new_tokens > 0)
    limit = std::min(limit, static_cast<std::int64_t>(prompt_tokens) + config_.max_new_tokens);
  return limit;
}

// Prompts in their order, all samples of one together: the first of them reads the prompt, the others copy its part of
// the state.
void Decoder::admit() {
  std::int64_t prompt_tokens = 0;
  for (; next_prompt_ < prompts_.size(); ++next_prompt_) {
    const auto length = static_cast<std::int64_t>(prompts_[next_prompt_].size());
    const std::int64_t limit = limit_of(prompts_[next_prompt_].size());
    if (length >= limit) {
      progress_.sequences += config_.samples;
      continue;
    }
    const bool is_full = prompt_tokens > 0 && prompt_tokens + length > kPromptTokensTogether;
    if (is_full || free_slots_.size() < samples()) return;
    prompt_tokens += length;
    const std::int64_t first_slot = free_slots_.back();
    for (std::size_t sample = 0; sample < samples(); ++sample) {
      const std::size_t result = next_prompt_ * samples() + sample;
      const auto stream =
          stream_of("generate") + static_cast<std::uint64_t>(first_sequence_ + static_cast<std::int64_t>(result));
      active_.push_back({result, free_slots_.back(), limit, Random(config_.seed, stream)});
      if (sample > 0) active_.back().like = first_slot;
      free_slots_.pop_back();
    }
  }
}

Turn Decoder::next_turn() {
  Turn turn;
  for (Sequence& sequence : active_) {
    const auto length = static_cast<std::int64_t>(ids(sequence).size());
    if (sequence.like < 0) {
      const auto begin = static_cast<std::int64_t>(turn.batch.ids.size());
      for (std::int64_t position = sequence.cached; position < length; ++position) {
        turn.batch.ids.push_back(ids(sequence)[static_cast<std::size_t>(position)]);
        turn.batch.positions.push_back(static_cast<std::int32_t>(position));
      }
      const auto end = static_cast<std::int64_t>(turn.batch.ids.size());
      turn.parts.push_back({begin, end, sequence.slot, sequence.cached});
      turn.last_token.push_back(end - 1);
    }
    sequence.logits_row = turn.parts.size() - 1;  // of a sequence like the one before: that one's
    sequence.cached = length;
  }
  return turn;
}

void Decoder::share_prompts() {
  for (Sequence& sequence : active_) {
    if (sequence.like < 0) continue;
    state_->copy(sequence.like, sequence.slot, sequence.cached);
    sequence.like = -1;
  }
}

// Each sequence has its own random numbers, so that they may choose at the same time.
void Decoder::choose_tokens(const Tensor& logits) {
  const auto vocabulary = static_cast<std::size_t>(logits.cols());
  const auto chunk = std::max<std::int64_t>(1, (1 << 13) / logits.cols());
  parallel_for(static_cast<std::int64_t>(active_.size()), chunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      Sequence& sequence = active_[static_cast<std::size_t>(i)];
      const auto row = logits.span().subspan(sequence.logits_row * vocabulary, vocabulary);
      ids(sequence).push_back(choose_token(row, config_, sequence.random));
    }
  });
  if (loops_are_dry()) {
    // Nothing was computed to choose from: answers go on to their limit, which no end token cuts.
    const std::vector<std::int64_t>& ends = model_.config().eos_token_id;
    std::int32_t token = 0;
    while (std::ranges::count(ends, token) > 0) ++token;
    for (const Sequence& sequence : active_) ids(sequence).push_back(token);
  }
  progress_.tokens += static_cast<std::int64_t>(active_.size());
}

void Decoder::retire() {
  std::erase_if(active_, [&](const Sequence& sequence) {
    GeneratedSequence& result = results_[sequence.result];
    if (sequence.result == 0 && hooks_.token_done) hooks_.token_done(result.ids.back());
    result.ended = config_.stop_at_eos && std::ranges::count(model_.config().eos_token_id, result.ids.back()) > 0;
    const bool done = result.ended || static_cast<std::int64_t>(result.ids.size()) >= sequence.limit;
    if (done) {
      free_slots_.push_back(sequence.slot);
      ++progress_.sequences;
    }
    return done;
  });
}

std::vector<GeneratedSequence> Decoder::run() {
  const NoGradScope no_grad;
  const BatchInvariantScope invariant;
  for (;;) {
    admit();
    if (active_.empty()) break;
    throw_if_stopped();
    const Turn turn = next_turn();
    const Tensor hidden = model_.hidden_states(turn.batch, turn.parts, *state_).value();
    share_prompts();
    choose_tokens(logits_of(model_, gather_rows(hidden, turn.last_token)));
    retire();
    if (hooks_.progress) hooks_.progress(progress_);
  }
  return std::move(results_);
}

}  // namespace

std::vector<GeneratedSequence> generate(LanguageModel& model, const std::vector<std::vector<std::int32_t>>& prompts,
                                        const GenerateConfig& config, std::int64_t first_sequence,
                                        const GenerateHooks& hooks) {
  const std::int64_t vocabulary = model.config().vocab_size;
  for (const std::vector<std::int32_t>& prompt : prompts)
    for (const std::int32_t id : prompt)
      if (id < 0 || id >= vocabulary)
        throw Error({.who = "a prompt",
                     .expected = "token ids below the model's vocabulary of " + std::to_string(vocabulary),
                     .got = std::to_string(id),
                     .hint = "does the tokenizer belong to the model?"});
  return Decoder(model, prompts, config, first_sequence, hooks).run();
}

}  // namespace qad
