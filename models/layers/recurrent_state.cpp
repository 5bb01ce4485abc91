#include "models/layers/recurrent_state.h"

#include "autograd/base/error.h"

namespace qad {
namespace {

Tensor of_slots(std::int64_t slots, const Shape& shape) {
  std::vector<std::int64_t> extents = {slots};
  extents.insert(extents.end(), shape.extents().begin(), shape.extents().end());
  return Tensor(Shape(extents));
}

}  // namespace

RecurrentState::RecurrentState(std::int64_t slots, const std::vector<Shape>& of_convolutions, const Shape& state)
    : states(of_slots(slots, state)) {
  for (const Shape& shape : of_convolutions) histories.push_back(of_slots(slots, shape));
}

std::vector<Tensor> RecurrentState::all() const {
  std::vector<Tensor> tensors = histories;
  tensors.push_back(states);
  return tensors;
}

void RecurrentState::copy(std::int64_t from, std::int64_t to, std::int64_t /*tokens*/) {
  for (const Tensor& tensor : all()) tensor.slice(to, to + 1).copy_from(tensor.slice(from, from + 1));
}

void RecurrentState::cut(std::int64_t /*slot*/, std::int64_t tokens) {
  if (tokens == 0) return;  // a sequence that begins reads nothing of what is here
  throw Error({.who = "a recurrent layer",
               .expected = "a sequence that goes on, or begins anew",
               .got = "one cut to " + std::to_string(tokens) + " tokens"});
}

std::size_t RecurrentState::bytes() const {
  std::size_t bytes = 0;
  for (const Tensor& tensor : all()) bytes += tensor.bytes();
  return bytes;
}

}  // namespace qad
