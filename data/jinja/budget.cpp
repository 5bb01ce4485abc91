#include "data/jinja/budget.h"

#include <fmt/format.h>

#include "autograd/base/interrupt.h"
#include "data/jinja/failure.h"

namespace qad::jinja {
namespace {

constexpr std::int64_t kBetweenPolls = 10'000;  // about a millisecond

}  // namespace

Limits Limits::for_conversation(std::size_t size) {
  const auto bytes = static_cast<std::int64_t>(std::min(size, std::size_t{1} << 40));
  Limits limits;
  limits.steps += 100 * bytes;
  limits.bytes += 40 * bytes;
  limits.text += 20 * bytes;
  return limits;
}

void Budget::poll() {
  if (steps_left_ < 0)
    throw Failure{"a template that comes to an end", fmt::format("more than {} steps of it", limits_.steps), "",
                  /*is_end=*/true};
  throw_if_stopped();
  poll_at_ = std::max<std::int64_t>(steps_left_ - kBetweenPolls, 0);
}

void Budget::refuse_bytes() const {
  throw Failure{fmt::format("a template that makes at most {} bytes of texts and lists", limits_.bytes), "more", "",
                /*is_end=*/true};
}

}  // namespace qad::jinja
