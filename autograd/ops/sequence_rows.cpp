#include "autograd/ops/sequence_rows.h"

#include "autograd/base/error.h"

namespace qad {

std::vector<kernels::SequenceRows> sequence_rows(const std::vector<SequencePart>& parts, std::int64_t rows,
                                                 const Tensor* states) {
  std::vector<kernels::SequenceRows> sequences;
  sequences.reserve(parts.size());
  std::int64_t covered = 0;
  for (const SequencePart& part : parts) {
    QAD_ASSERT(0 <= part.begin && part.begin <= part.end && part.end <= rows);
    QAD_ASSERT(part.cached == 0 || states != nullptr);
    covered += part.end - part.begin;
    float* state = states != nullptr ? states->slice(part.slot, part.slot + 1).data() : nullptr;
    sequences.push_back({part.begin, part.end, part.cached, state});
  }
  QAD_ASSERT(covered == rows);
  return sequences;
}

}  // namespace qad
