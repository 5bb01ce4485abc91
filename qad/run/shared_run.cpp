#include "qad/run/shared_run.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "autograd/base/atomic_file.h"
#include "autograd/base/cpu_count.h"
#include "autograd/base/error.h"
#include "autograd/base/host_name.h"
#include "autograd/base/log.h"
#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "autograd/base/version.h"
#include "autograd/kernels/table.h"
#include "autograd/ranks/communicator.h"
#include "data/files/hash.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

// Hash of small products as this machine's kernels round them: libraries choose other ones, and so other orders of
// sums, on other CPUs.
std::string probe_of_this_cpu() {
  constexpr std::int64_t kRows = 48, kInner = 320, kCols = 112;
  std::vector<float> a(kRows * kInner), b(kCols * kInner), c(kRows * kCols);
  std::uint32_t state = 1;
  const auto next = [&] {
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(state >> 8) / static_cast<float>(1 << 24) - 0.5f;
  };
  std::ranges::generate(a, next);
  std::ranges::generate(b, next);
  const KernelTable& table = kernel_table(Device::cpu);
  table.gemm(kernels::Transpose::no, kernels::Transpose::yes, kRows, kCols, kInner, a.data(), kInner, b.data(), kInner,
             false, c.data(), kCols);
  Hasher128 hasher;
  hasher.add(std::span<const float>(c));
  const double squares = table.sum_of_squares(std::ssize(a), a.data());
  hasher.add(std::span(&squares, 1));
  return fmt::format("{} {}", kernel_description(), hex(hasher.hash()));
}

std::string short_form(const std::string& value) {
  constexpr std::size_t kMost = 120;
  return value.size() <= kMost ? value : "hash " + hex(hash128(value));
}

std::string cores_of_this_process() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) return "";
  return {reinterpret_cast<const char*>(&mask), sizeof mask};
}

}  // namespace

void check_same(const SharedFacts& facts) {
  if (ranks().is_alone()) return;
  const std::vector<std::string> hosts = all_gather(host_name(), "names of hosts");
  for (const auto& [name, value] : facts) {
    const std::vector<std::string> all = all_gather(value, name);
    const auto other = std::ranges::find_if(all, [&](const std::string& one) { return one != all.front(); });
    if (other == all.end()) continue;
    const auto rank = static_cast<std::size_t>(other - all.begin());
    throw Error({.who = fmt::format("rank {} on {}", rank, hosts[rank]),
                 .expected = fmt::format("the {} of rank 0 on {}: {}", name, hosts.front(), short_form(all.front())),
                 .got = short_form(*other),
                 .hint = name == "CPU" ? "set QAD_SIMD and ONEDNN_MAX_CPU_ISA so that all use the same kernels"
                                       : "all ranks must do the same run"},
                ExitCode::usage);
  }
}

void check_one_run(const Recipe& recipe, const fs::path& folder) {
  const auto count = static_cast<std::int64_t>(ranks().size());
  if (count == 1) return;
  check_same({{"version", std::string(kVersion)},
              {"working folder", fs::current_path().string()},
              {"run's folder", fs::absolute(folder).lexically_normal().string()},
              {"recipe", recipe_text(recipe)},
              {"CPU", probe_of_this_cpu()}});
  if (recipe.row().searches || recipe.stream)
    throw Error({.who = recipe.stream ? "stream: true" : fmt::format("kind: {}", enum_name(recipe.kind)),
                 .expected = "one rank",
                 .got = fmt::format("{}", count),
                 .hint = recipe.stream ? "" : "search alone, then train with what was found on many"},
                ExitCode::usage);
  const std::int64_t shards = recipe.train.shards;
  if (recipe.row().steps == Steps::none || recipe.train.steps == 0 || shards >= count) return;
  if (shards == 1)
    throw Error({.who = "train.shards",
                 .expected = fmt::format("a power of two from {} up, so that {} ranks can share a step", count, count),
                 .got = "1",
                 .hint = "it is part of the result: set train.shards, and any number of ranks gives the same bits"},
                ExitCode::usage);
  log_warning("train.shards is {}: rank{} {} idle{} in steps", shards, count - shards == 1 ? "" : "s",
              count - shards == 1 ? fmt::format("{}", count - 1) : fmt::format("{} to {}", shards, count - 1),
              count - shards == 1 ? "s" : "");
}

void set_threads_of_rank(std::int64_t asked) {
  if (asked > 0 || ranks().is_alone()) return set_threads(static_cast<int>(asked));
  const std::string host = host_name();
  const auto hosts = all_gather(host, "names of hosts");
  const auto cores = all_gather(cores_of_this_process(), "cores of ranks");
  const std::string& own = cores[static_cast<std::size_t>(ranks().rank())];
  int here = 0, sharing = 0;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    if (hosts[i] != host) continue;
    ++here;
    sharing += cores[i] == own ? 1 : 0;
  }
  const int usable = usable_cpus();
  set_threads(std::max(1, usable / sharing));
  const auto machine = static_cast<int>(std::thread::hardware_concurrency());
  if (usable == 1 && machine >= 2 * here)
    log_warning(
        "each rank may use 1 of this machine's {} cores (mpirun binds ranks to a core each); for {} threads a rank "
        "give mpirun --bind-to none, or --map-by slot:PE={}",
        machine, machine / here, machine / here);
}

namespace {

// What went wrong on the first rank, on its way to the others.
void throw_what_first_threw(const std::optional<Error>& own) {
  std::string packed;
  if (own) packed = fmt::format("{}{}", static_cast<int>(own->code()), own->what());
  const std::string its = from_first(packed, "what the first rank does");
  if (own) throw *own;
  if (!its.empty()) throw Error(Problem{.got = its.substr(1)}, static_cast<ExitCode>(its.front() - '0'));
}

class AloneScope {
 public:
  AloneScope() : before_(detail::work_alone(true)) {}
  ~AloneScope() { static_cast<void>(detail::work_alone(before_)); }
  AloneScope(const AloneScope&) = delete;
  AloneScope& operator=(const AloneScope&) = delete;

 private:
  bool before_;
};

}  // namespace

void first_does(const std::function<void()>& work) {
  std::optional<Error> error;
  if (ranks().is_first()) try {
      work();
    } catch (const Error& thrown) {
      if (ranks().is_alone()) throw;
      error = thrown;
    }
  throw_what_first_threw(error);
}

void first_does_alone(const std::function<void()>& work) {
  std::optional<Error> error;
  if (ranks().is_first()) try {
      const AloneScope alone;
      work();
    } catch (const Error& thrown) {
      if (ranks().is_alone()) throw;
      error = thrown;
    }
  ranks().meet();
  throw_what_first_threw(error);
}

bool first_has(const fs::path& file) {
  const bool has = fs::exists(file);
  return ranks().is_alone() ? has : from_first(has ? "yes" : "", "which files there are") == "yes";
}

void check_shared_folder(const fs::path& file) {
  if (ranks().is_alone()) return;
  const std::string its =
      from_first(ranks().is_first() ? read_file(file, "a file of the run") : "", "the run's folder");
  std::string own;
  for (int attempt = 0; attempt < 50 && own != its; ++attempt) {  // a network's file system may need a moment
    if (attempt > 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    std::error_code ignored;
    if (fs::exists(file, ignored)) own = read_file(file, "a file of the run");
  }
  const auto hosts = all_gather(host_name(), "names of hosts");
  const auto seen = all_gather(own == its ? "yes" : "", "the run's folder");
  const auto blind = std::ranges::find(seen, "");
  if (blind == seen.end()) return;
  const auto rank = static_cast<std::size_t>(blind - seen.begin());
  throw Error({.who = fmt::format("rank {} on {}", rank, hosts[rank]),
               .expected = fmt::format("{} as rank 0 on {} has written it", file.string(), hosts.front()),
               .got = "another one, or none",
               .hint = "a run's folder must be on a file system that all ranks share"});
}

}  // namespace qad
