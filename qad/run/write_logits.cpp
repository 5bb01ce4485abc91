#include "qad/run/write_logits.h"

#include <algorithm>

#include "autograd/base/error.h"
#include "autograd/base/place.h"
#include "data/files/safetensors.h"
#include "data/files/safetensors_writer.h"

namespace qad {

void write_logits(LanguageModel& model, std::span<const TokenBatch> batches, const std::filesystem::path& file) {
  const NoGradScope no_grad;
  std::int64_t tokens = 0, documents = 0;
  for (const TokenBatch& batch : batches) {
    tokens += batch.size();
    documents += std::ssize(batch.segments);
  }
  const Tensor ids({tokens}, DType::i32), begins({documents + 1}, DType::i64);
  const Tensor logits({tokens, model.config().vocab_size});
  std::int64_t token = 0, document = 0;
  for (const TokenBatch& batch : batches) {
    std::ranges::copy(batch.ids, ids.data<std::int32_t>() + token);
    for (const Segment& segment : batch.segments) begins.data<std::int64_t>()[document++] = token + segment.begin;
    const Tensor part = logits_of(model, model.hidden_states(batch).value());
    std::ranges::copy(part.span(), logits.data() + token * logits.cols());
    token += batch.size();
  }
  begins.data<std::int64_t>()[documents] = tokens;
  write_safetensors(
      file, {safetensors_entry("ids", ids), safetensors_entry("begins", begins), safetensors_entry("logits", logits)},
      {});
}

void check_logits_place(const std::filesystem::path& file) {
  check_file_place(file);
  std::error_code error;
  if (const auto bytes = std::filesystem::file_size(file, error); error || bytes == 0) return;
  try {
    const SafetensorsFile earlier(file);
    if (earlier.tensors().size() == 3 && earlier.has("ids") && earlier.has("begins") && earlier.has("logits")) return;
  } catch (const Error&) {  // some other file
  }
  throw Error({.who = file.string(),
               .expected = "a new file, or logits of an earlier eval",
               .got = "a file with something else",
               .hint = "name another"},
              ExitCode::usage);
}

}  // namespace qad
