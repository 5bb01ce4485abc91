#include "autograd/optim/slices.h"

#include <cstring>
#include <numeric>
#include <string>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/kernels/elementwise.h"
#include "autograd/kernels/table.h"

namespace qad {
namespace {

constexpr std::int64_t kChunk = kernels::kSumChunk;

std::int64_t chunks_of(std::int64_t size) { return (size + kChunk - 1) / kChunk; }

}  // namespace

Slice slice_of(std::int64_t values, std::size_t index, int rank, int size) {
  const std::int64_t chunks = chunks_of(values);
  if (chunks < size) {  // each to one rank, beginning with another for each parameter
    const std::int64_t turn = (rank + size - static_cast<int>(index % static_cast<std::size_t>(size))) % size;
    return turn < chunks ? Slice{turn * kChunk, std::min(values, (turn + 1) * kChunk)} : Slice{0, 0};
  }
  const Share own = share_of(chunks, rank, size);
  return {own.begin * kChunk, std::min(values, own.end * kChunk)};
}

std::vector<Slice> slices_of(const ParameterList& parameters, int rank, int size) {
  std::vector<Slice> slices;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    slices.push_back(slice_of(parameters[i]->value().size(), i, rank, size));
  return slices;
}

void gather_slices(const ParameterList& parameters, const std::vector<Tensor>& values, const std::string& what) {
  Communicator& all = ranks();
  if (all.is_alone()) return;
  const auto span_of = [&](std::size_t i, int rank) {
    const Slice slice = slice_of(values[i].size(), i, rank, all.size());
    return std::span(values[i].data() + slice.begin, static_cast<std::size_t>(slice.size()));
  };
  QAD_ASSERT(values.size() == parameters.size());
  std::vector<OutMessage> out;
  std::vector<InMessage> in;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!values[i].defined()) continue;
    for (int other = 0; other < all.size(); ++other) {
      if (other == all.rank()) continue;
      const std::span<float> own = span_of(i, all.rank()), theirs = span_of(i, other);
      if (!own.empty()) out.push_back({other, own.data(), own.size_bytes()});
      if (!theirs.empty()) in.push_back({other, theirs.data(), theirs.size_bytes()});
    }
  }
  all.exchange(std::move(out), std::move(in), what);
}

double squared_norm(const ParameterList& parameters, const std::vector<Tensor>& gradients) {
  Communicator& all = ranks();
  if (all.is_alone()) {
    double sum = 0;
    for (const Tensor& gradient : gradients)
      if (gradient.defined()) sum += kernel_table(gradient.device()).sum_of_squares(gradient.size(), gradient.data());
    return sum;
  }
  std::vector<double> own;
  for (const Tensor& gradient : gradients) {
    if (!gradient.defined()) continue;
    const std::size_t first = own.size();
    own.resize(first + static_cast<std::size_t>(chunks_of(gradient.size())));
    const auto sum_of_squares = kernel_table(gradient.device()).sum_of_squares;
    parallel_for(gradient.size(), kChunk, [&](std::int64_t begin, std::int64_t end) {
      own[first + static_cast<std::size_t>(begin / kChunk)] = sum_of_squares(end - begin, gradient.data() + begin);
    });
  }
  const auto texts =
      all_gather({reinterpret_cast<const char*>(own.data()), own.size() * sizeof(double)}, "the gradient's norm");
  std::vector<const char*> next;
  for (const std::string& text : texts) next.push_back(text.data());
  double sum = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const std::int64_t size = parameters[i]->value().size();
    std::vector<double> sums(static_cast<std::size_t>(chunks_of(size)));
    for (int rank = 0; rank < all.size(); ++rank) {
      const Slice slice = slice_of(size, i, rank, all.size());
      if (slice.size() == 0) continue;
      const auto bytes = static_cast<std::size_t>(chunks_of(slice.size())) * sizeof(double);
      std::memcpy(sums.data() + slice.begin / kChunk, next[static_cast<std::size_t>(rank)], bytes);
      next[static_cast<std::size_t>(rank)] += bytes;
    }
    sum += std::accumulate(sums.begin(), sums.end(), 0.0);
  }
  return sum;
}

}  // namespace qad
