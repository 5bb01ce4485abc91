#include "autograd/base/profile.h"

#include <algorithm>

#include "autograd/base/error.h"

namespace qad {
namespace {

thread_local ProfileScope* innermost = nullptr;

}  // namespace

constinit thread_local Profiler* detail::profiler = nullptr;

Profiler::Profiler() {
  QAD_ASSERT(!profiling());
  detail::profiler = this;
}

Profiler::~Profiler() {
  QAD_ASSERT(innermost == nullptr);
  detail::profiler = nullptr;
}

double Profiler::seconds() const {
  double sum = 0;
  for (const ProfileRow& row : rows_) sum += row.seconds;
  return sum;
}

void Profiler::add(const ProfileRow& ended) {
  auto row = std::ranges::find_if(
      rows_, [&](const ProfileRow& r) { return r.phase == ended.phase && r.operation == ended.operation; });
  if (row == rows_.end()) row = rows_.insert(row, {ended.phase, ended.operation});
  row->calls += ended.calls;
  row->seconds += ended.seconds;
  row->flops += ended.flops;
  row->bytes += ended.bytes;
}

void ProfileScope::enter(std::string_view phase, std::string_view operation, double flops, double bytes) {
  if (phase.empty() && innermost == nullptr) return;
  recorded_ = true;
  outer_ = innermost;
  innermost = this;
  row_ = {phase.empty() ? outer_->row_.phase : phase, operation, 1, 0, flops, bytes};
  began_ = Clock::now();
}

void ProfileScope::leave() {
  const double elapsed = std::chrono::duration<double>(Clock::now() - began_).count();
  row_.seconds += elapsed;
  detail::profiler->add(row_);
  if (outer_ != nullptr) outer_->row_.seconds -= elapsed;
  else ++detail::profiler->rounds_;
  innermost = outer_;
}

}  // namespace qad
