#include "models/decode/generate_over_ranks.h"

#include <cstring>
#include <string>

#include "autograd/base/error.h"
#include "autograd/ranks/communicator.h"

namespace qad {
namespace {

// Of each sequence: tokens, tokens of its prompt, whether it ended; then the tokens. Ranks of a job are of one kind.
std::string packed(const std::vector<GeneratedSequence>& sequences) {
  std::string bytes;
  const auto add = [&](const void* data, std::size_t size) { bytes.append(static_cast<const char*>(data), size); };
  for (const GeneratedSequence& sequence : sequences) {
    const std::int64_t head[] = {std::ssize(sequence.ids), sequence.prompt_tokens, sequence.ended ? 1 : 0};
    add(head, sizeof head);
    add(sequence.ids.data(), sequence.ids.size() * sizeof(std::int32_t));
  }
  return bytes;
}

void unpack(const std::string& bytes, std::vector<GeneratedSequence>& sequences) {
  for (std::size_t at = 0; at < bytes.size();) {
    std::int64_t head[3];
    std::memcpy(head, bytes.data() + at, sizeof head);
    at += sizeof head;
    GeneratedSequence& sequence = sequences.emplace_back();
    sequence.ids.resize(static_cast<std::size_t>(head[0]));
    sequence.prompt_tokens = head[1];
    sequence.ended = head[2] != 0;
    std::memcpy(sequence.ids.data(), bytes.data() + at, sequence.ids.size() * sizeof(std::int32_t));
    at += sequence.ids.size() * sizeof(std::int32_t);
  }
}

}  // namespace

std::vector<GeneratedSequence> generate_over_ranks(LanguageModel& model,
                                                   const std::vector<std::vector<std::int32_t>>& prompts,
                                                   const GenerateConfig& config, std::int64_t first_sequence,
                                                   const GenerateHooks& hooks) {
  Communicator& all = ranks();
  if (all.is_alone()) return generate(model, prompts, config, first_sequence, hooks);
  const Share own = share_of(std::ssize(prompts), all.rank(), all.size());
  std::vector<GeneratedSequence> mine;
  if (own.size() > 0)
    mine = generate(model, {prompts.begin() + own.begin, prompts.begin() + own.end}, config,
                    first_sequence + own.begin * config.samples, hooks);
  std::vector<GeneratedSequence> result;
  for (const std::string& bytes : all_gather(packed(mine), "generated text")) unpack(bytes, result);
  QAD_ASSERT(result.size() == prompts.size() * static_cast<std::size_t>(config.samples));
  return result;
}

}  // namespace qad
