#include "autograd/ranks/communicator.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace qad {
namespace {

class Alone final : public Communicator {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 1; }
  std::unique_ptr<Exchange> begin(std::vector<OutMessage> /*out*/, std::vector<InMessage> /*in*/,
                                  const std::string& /*what*/) override {
    struct Nothing final : Exchange {
      void wait() override {}
    };
    return std::make_unique<Nothing>();
  }
  void meet() override {}
};

std::unique_ptr<Communicator> job = std::make_unique<Alone>();
Alone alone;
bool is_working_alone = false;

}  // namespace

Communicator& ranks() { return is_working_alone ? static_cast<Communicator&>(alone) : *job; }

void detail::use_communicator(std::unique_ptr<Communicator> communicator) { job = std::move(communicator); }
bool detail::work_alone(bool working_alone) { return std::exchange(is_working_alone, working_alone); }

std::vector<std::string> all_gather(std::string_view mine, const std::string& what) {
  Communicator& all = ranks();
  if (all.is_alone()) return {std::string(mine)};
  const auto size = static_cast<std::size_t>(all.size());
  std::vector<std::string> texts(size);
  std::vector<std::uint64_t> sizes(size);
  const std::uint64_t own = mine.size();
  std::vector<OutMessage> out;
  std::vector<InMessage> in;
  for (int other = 0; other < all.size(); ++other) {
    if (other == all.rank()) continue;
    out.push_back({other, &own, sizeof own});
    in.push_back({other, &sizes[static_cast<std::size_t>(other)], sizeof own});
  }
  all.exchange(std::move(out), std::move(in), what);
  out.clear();
  in.clear();
  for (int other = 0; other < all.size(); ++other) {
    std::string& text = texts[static_cast<std::size_t>(other)];
    if (other == all.rank()) {
      text = mine;
      continue;
    }
    text.resize(sizes[static_cast<std::size_t>(other)]);
    if (own > 0) out.push_back({other, mine.data(), mine.size()});
    if (!text.empty()) in.push_back({other, text.data(), text.size()});
  }
  all.exchange(std::move(out), std::move(in), what);
  return texts;
}

std::vector<double> gather_numbers(std::span<const double> mine, const std::string& what) {
  std::vector<double> all;
  for (const std::string& one : all_gather({reinterpret_cast<const char*>(mine.data()), mine.size_bytes()}, what)) {
    const std::size_t before = all.size();
    all.resize(before + one.size() / sizeof(double));
    if (!one.empty()) std::memcpy(all.data() + before, one.data(), one.size());
  }
  return all;
}

std::string from_first(std::string_view its, const std::string& what) {
  return all_gather(ranks().is_first() ? its : std::string_view(), what).front();
}

void sum_over_ranks(std::span<std::int64_t> values, const std::string& what) {
  if (ranks().is_alone()) return;
  const std::string_view mine(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  const std::vector<std::string> all = all_gather(mine, what);
  std::ranges::fill(values, 0);
  std::vector<std::int64_t> theirs(values.size());
  for (const std::string& one : all) {
    std::memcpy(theirs.data(), one.data(), values.size_bytes());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += theirs[i];
  }
}

bool any_rank(bool mine, const std::string& what) {
  std::int64_t count = mine ? 1 : 0;
  sum_over_ranks(std::span(&count, 1), what);
  return count > 0;
}

Share share_of(std::int64_t count, int rank, int size) { return {count * rank / size, count * (rank + 1) / size}; }

}  // namespace qad
