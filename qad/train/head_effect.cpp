#include "qad/train/head_effect.h"

#include <fmt/format.h>

#include <cmath>

#include "autograd/base/interrupt.h"
#include "autograd/ops/fused_linear_loss.h"
#include "qad/loss/loss.h"
#include "qad/train/document_statistics.h"

namespace qad {

HeadEffect head_effect(LanguageModel& model, HeadFormat format, const std::vector<TokenBatch>& batches) {
  constexpr std::size_t kHeadBytes = std::size_t{32} << 20;
  const NoGradScope no_grad;
  DocumentMean kl, agreement;
  HeadEffect effect;
  for (const TokenBatch& batch : batches) {
    throw_if_stopped();
    const TeacherHead as_it_is = frozen_head(model, batch);
    const DecodeHead in_format(model, format);
    const TokenFigures figures = fused_linear_figures(frozen_head(model, batch), as_it_is, batch.labels, kHeadBytes);
    for (std::size_t s = 0; s < batch.segments.size(); ++s)
      for (std::int32_t t = batch.segments[s].begin; t < batch.segments[s].end; ++t) {
        const auto token = static_cast<std::size_t>(t);
        if (batch.valid[token] == 0) continue;
        ++effect.tokens;
        kl.add(batch.document[s], figures.kl[token]);
        agreement.add(batch.document[s], figures.same_top1[token]);
      }
  }
  effect.kl = kl.mean();
  effect.kl_stderr = kl.standard_error();
  effect.same_top1 = agreement.mean();
  return effect;
}

std::string text_of(const HeadEffect& effect, HeadFormat format) {
  const std::string error = std::isnan(effect.kl_stderr) ? "" : fmt::format(" ± {:.2g}", effect.kl_stderr);
  return fmt::format("head in {}: KL {:.3g}{} from the head as it is, the same top-1 for {:.2f} % of {} tokens",
                     enum_name(format), effect.kl, error, 100 * effect.same_top1, effect.tokens);
}

}  // namespace qad
