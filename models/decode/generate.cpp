#include "models/decode/generate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/core/error.h"
#include "autograd/core/random.h"

namespace qad {
namespace {

// The id for a row of logits. All arithmetic in double, ids in a fixed order, so that a seed means the same text
// everywhere.
std::int32_t choose(std::span<const float> logits, const GenerateConfig& config, Random& random) {
  const auto greedy = static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
  if (config.temperature == 0.0) return greedy;
  std::vector<std::int32_t> candidates(logits.size());
  std::iota(candidates.begin(), candidates.end(), 0);
  const auto logit = [&](std::int32_t id) { return static_cast<double>(logits[static_cast<std::size_t>(id)]); };
  const bool truncated = config.top_k > 0 || config.top_p < 1.0;
  if (truncated)
    std::ranges::stable_sort(candidates, [&](std::int32_t a, std::int32_t b) { return logit(a) > logit(b); });
  if (config.top_k > 0 && config.top_k < static_cast<std::int64_t>(candidates.size()))
    candidates.resize(static_cast<std::size_t>(config.top_k));

  const auto weight = [&](std::int32_t id) { return std::exp((logit(id) - logit(greedy)) / config.temperature); };
  double total = 0;
  for (const std::int32_t id : candidates) total += weight(id);
  if (config.top_p < 1.0) {
    double kept = 0;
    std::size_t count = 0;
    while (count < candidates.size() && kept < config.top_p * total) kept += weight(candidates[count++]);
    candidates.resize(std::max<std::size_t>(count, 1));
    total = kept;
  }
  double left = random.uniform() * total;
  for (const std::int32_t id : candidates) {
    left -= weight(id);
    if (left < 0) return id;
  }
  return greedy;
}

struct Sequence {
  std::vector<std::int32_t> ids;
  std::int64_t cached = 0;  ///< tokens whose keys and values are in the cache
  std::int64_t first_row;   ///< where its cache rows begin
  Random random;
  bool done = false;
};

// The tokens of all unfinished sequences that the cache lacks, as one batch.
struct Turn {
  TokenBatch batch;
  std::vector<kernels::AttentionSegment> segments;
  std::vector<std::int64_t> rows;
  std::vector<std::size_t> sequences;    ///< one a segment
  std::vector<std::int64_t> last_token;  ///< of each segment
};

Turn next_turn(std::vector<Sequence>& sequences) {
  Turn turn;
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    Sequence& sequence = sequences[s];
    if (sequence.done) continue;
    const auto begin = static_cast<std::int64_t>(turn.batch.ids.size());
    const auto length = static_cast<std::int64_t>(sequence.ids.size());
    for (std::int64_t position = sequence.cached; position < length; ++position) {
      turn.batch.ids.push_back(sequence.ids[static_cast<std::size_t>(position)]);
      turn.batch.positions.push_back(static_cast<std::int32_t>(position));
      turn.rows.push_back(sequence.first_row + position);
    }
    const auto end = static_cast<std::int64_t>(turn.batch.ids.size());
    turn.segments.push_back({begin, end, sequence.first_row, sequence.first_row + length});
    turn.sequences.push_back(s);
    turn.last_token.push_back(end - 1);
    sequence.cached = length;
  }
  return turn;
}

Tensor rows_of(const Tensor& x, const std::vector<std::int64_t>& rows) {
  Tensor result({static_cast<std::int64_t>(rows.size()), x.cols()});
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::copy_n(x.data() + rows[i] * x.cols(), x.cols(), result.data() + static_cast<std::int64_t>(i) * x.cols());
  return result;
}

}  // namespace

std::vector<std::vector<std::int32_t>> generate(LanguageModel& model,
                                                const std::vector<std::vector<std::int32_t>>& prompts,
                                                const GenerateConfig& config, std::int64_t first_sequence,
                                                const std::function<void(std::int32_t)>& token_done) {
  const NoGradScope no_grad;
  const std::int64_t capacity = std::min(config.max_tokens, model.config().max_position_embeddings);
  std::vector<Sequence> sequences;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    QAD_ASSERT(!prompts[i].empty());
    const auto index = static_cast<std::int64_t>(i);
    const auto stream = stream_of("generate") + static_cast<std::uint64_t>(first_sequence + index);
    sequences.push_back({prompts[i], 0, index * capacity, Random(config.seed, stream), false});
    sequences.back().done = static_cast<std::int64_t>(prompts[i].size()) >= capacity;
  }
  KeyValueCache cache;
  for (const SelfAttention* layer : model.attention_layers()) {
    const std::int64_t width = layer->config.kv_heads * layer->config.head_dim;
    const Shape shape({static_cast<std::int64_t>(prompts.size()) * capacity, width});
    cache.layers.push_back({Tensor(shape), Tensor(shape), {}});
  }

  for (;;) {
    const Turn turn = next_turn(sequences);
    if (turn.sequences.empty()) break;
    for (LayerCache& layer : cache.layers) layer.rows = turn.rows;
    const auto segments = std::make_shared<std::vector<kernels::AttentionSegment>>(turn.segments);
    const Tensor hidden = model.hidden_states(turn.batch, segments, cache).value();
    const Tensor logits = logits_of(model, rows_of(hidden, turn.last_token));
    for (std::size_t i = 0; i < turn.sequences.size(); ++i) {
      Sequence& sequence = sequences[turn.sequences[i]];
      const auto vocabulary = static_cast<std::size_t>(logits.cols());
      const std::int32_t id = choose(logits.span().subspan(i * vocabulary, vocabulary), config, sequence.random);
      sequence.ids.push_back(id);
      if (turn.sequences[i] == 0 && token_done) token_done(id);
      const bool ended = config.stop_at_eos && std::ranges::count(model.config().eos_token_id, id) > 0;
      sequence.done = ended || static_cast<std::int64_t>(sequence.ids.size()) >= capacity;
    }
  }
  std::vector<std::vector<std::int32_t>> results;
  for (Sequence& sequence : sequences) results.push_back(std::move(sequence.ids));
  return results;
}

}  // namespace qad
