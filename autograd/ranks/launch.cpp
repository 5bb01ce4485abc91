#include "autograd/ranks/launch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "autograd/base/host_name.h"
#include "autograd/base/interrupt.h"
#include "autograd/ranks/mpi_communicator.h"

namespace qad {
namespace {

std::optional<int> number_of(const char* variable) {
  const char* const text = std::getenv(variable);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::atoi(text);
}

// How many processes a launcher says that it has started; 1 without one.
int started_by_launcher() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"})
    if (const auto size = number_of(variable)) return *size;
  // A batch script itself runs in a step of one task, whatever the job asked for.
  if (number_of("SLURM_PROCID") && number_of("SLURM_STEP_NUM_TASKS")) return *number_of("SLURM_STEP_NUM_TASKS");
  return 1;
}

int terminal_of_messages = STDERR_FILENO;

void fall_silent() {
  terminal_of_messages = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0) return;
  ::dup2(nowhere, STDOUT_FILENO);
  ::dup2(nowhere, STDERR_FILENO);
  ::close(nowhere);
}

void say(const std::string& message) {
  const std::string line = fmt::format("qad: {}\n", message);
  static_cast<void>(!::write(terminal_of_messages, line.data(), line.size()));
}

MpiCommunicator* joined = nullptr;

}  // namespace

void start_ranks() {
  const int started = started_by_launcher();
  if (started <= 1) return;
  auto communicator = MpiCommunicator::join([](const std::string& message) { say(message); });
  if (communicator == nullptr || communicator->size() == 1) {
    if (number_of("OMPI_COMM_WORLD_RANK").value_or(0) + number_of("PMI_RANK").value_or(0) +
            number_of("SLURM_PROCID").value_or(0) >
        0)
      fall_silent();  // one of the copies says it
    throw Error({.who = "qad",
                 .expected = fmt::format("{} ranks, as the launcher's environment says", started),
                 .got = communicator == nullptr ? fmt::format("a program without MPI ({})", MpiCommunicator::library())
                                                : "copies that don't know of each other",
                 .hint = communicator == nullptr
                             ? "install Open MPI or MPICH, build again, or start qad without the launcher"
                             : "the launcher is another MPI's than qad was built with; with srun try --mpi=pmix"},
                ExitCode::usage);
  }
  if (!communicator->is_first()) fall_silent();
  defer_stops();
  joined = communicator.get();
  detail::use_communicator(std::move(communicator));
}

void agree_on_stop() {
  if (joined != nullptr && any_rank(signal_came(), "whether to stop")) request_stop();
}

ExitCode end_ranks(ExitCode code, const std::string& message) {
  if (joined == nullptr) {
    if (!message.empty()) say(message);
    return code;
  }
  const std::string told =
      message.empty() || joined->is_first()
          ? message
          : fmt::format("rank {} on {}, at {}: {}", joined->rank(), host_name(), joined->place, message);
  return joined->end(code, told);
}

}  // namespace qad
