#include "autograd/ranks/mpi_communicator.h"

#ifdef QAD_WITH_MPI

#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <set>
#include <thread>

#include "autograd/base/clock.h"
#include "autograd/base/host_name.h"
#include "autograd/base/interrupt.h"

namespace qad {
namespace {

constexpr std::size_t kLargestMessage = std::size_t{1} << 30;  // MPI counts in int
constexpr int kToldTag = 1;                                    // of a message that this rank has said why the job ends
constexpr double kToTheEnd = 5;                                // seconds that others get after a failure of one
constexpr std::chrono::microseconds kBetweenMoves{200};        // of messages that travel while the rank computes

// How long a rank waits for another, in seconds.
double time_limit() {
  const char* const text = std::getenv("QAD_RANK_TIMEOUT");
  const double seconds = text == nullptr ? 0 : std::atof(text);
  return seconds > 0 ? seconds : 600;
}

// Awake for a moment, then less and less: ranks may share cores, also with their own threads that compute.
class Pause {
 public:
  void operator()() {
    if (++rounds_ < 200) ::sched_yield();
    else std::this_thread::sleep_for(std::chrono::microseconds(std::min(50 * (1 + (rounds_ - 200) / 20), 1000)));
  }

 private:
  int rounds_ = 0;
};

bool is_done(MPI_Request& request, std::mutex& mpi) {
  const std::scoped_lock lock(mpi);
  int done = 0;
  MPI_Test(&request, &done, MPI_STATUS_IGNORE);
  return done != 0;
}

}  // namespace

class MpiCommunicator::Messages final : public Communicator::Exchange {
 public:
  Messages(MpiCommunicator& all, const std::vector<OutMessage>& out, const std::vector<InMessage>& in, std::string what)
      : all_(all), what_(std::move(what)) {
    const std::scoped_lock lock(all_.mpi_);
    for (const InMessage& message : in)
      each_piece(message.bytes, [&](std::size_t begin, int bytes) {
        requests_.emplace_back();
        from_.push_back(message.from);
        MPI_Irecv(static_cast<char*>(message.data) + begin, bytes, MPI_BYTE, message.from, 0, MPI_COMM_WORLD,
                  &requests_.back());
      });
    for (const OutMessage& message : out) {
      all_.bytes_sent_ += static_cast<std::int64_t>(message.bytes);
      each_piece(message.bytes, [&](std::size_t begin, int bytes) {
        requests_.emplace_back();
        from_.push_back(message.to);
        MPI_Isend(static_cast<const char*>(message.data) + begin, bytes, MPI_BYTE, message.to, 0, MPI_COMM_WORLD,
                  &requests_.back());
      });
    }
    if (move()) return;
    all_.on_the_way_.insert(this);
    all_.some_are_on_the_way_.notify_one();
  }
  ~Messages() override {
    const std::scoped_lock lock(all_.mpi_);
    all_.on_the_way_.erase(this);
  }

  /// Whether all are there. The caller holds the lock.
  bool move() {
    if (!is_done_) {
      int done = 0;
      MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE);
      is_done_ = done != 0;
    }
    return is_done_;
  }

  void wait() override {
    const double began = steady_seconds(), limit = time_limit();
    bool told_of_signal = false;
    for (Pause pause; !are_done(); pause()) {
      const double waited = steady_seconds() - began;
      if (waited > limit + 0.5 * all_.rank_)  // the lowest speaks, and ends the others
        all_.abort(ExitCode::failed,
                   fmt::format("heard nothing from {} for {:.0f} s ({}); the job ends, and `qad resume` "
                               "goes on from the last checkpoint",
                               silent_ranks(), limit, what_));
      if (waited > 0.5 && !told_of_signal && signal_came() && all_.is_first()) {
        told_of_signal = true;
        if (all_.has_been_told()) continue;
        all_.say_(fmt::format("rank {} on {}, at {}: a signal asks to stop while {} is awaited ({})", all_.rank_,
                              host_name(), all_.place, silent_ranks(), what_));
      }
    }
    all_.seconds_waited_ += steady_seconds() - began;
  }

 private:
  template <class Visit>
  static void each_piece(std::size_t bytes, Visit visit) {
    for (std::size_t begin = 0; begin < bytes; begin += kLargestMessage)
      visit(begin, static_cast<int>(std::min(kLargestMessage, bytes - begin)));
  }

  bool are_done() {
    const std::scoped_lock lock(all_.mpi_);
    return move();
  }

  std::string silent_ranks() {
    const std::scoped_lock lock(all_.mpi_);
    std::set<int> pending;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      int done = 0;
      MPI_Test(&requests_[i], &done, MPI_STATUS_IGNORE);
      if (done == 0) pending.insert(from_[i]);
    }
    return fmt::format("rank{} {}", pending.size() == 1 ? "" : "s", fmt::join(pending, ", "));
  }

  MpiCommunicator& all_;
  std::string what_;
  std::vector<MPI_Request> requests_;
  std::vector<int> from_;  // the other side of each
  bool is_done_ = false;
};

std::unique_ptr<MpiCommunicator> MpiCommunicator::join(std::function<void(const std::string&)> say) {
  int level = 0, rank = 0, size = 1;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return std::make_unique<MpiCommunicator>(rank, size, level >= MPI_THREAD_SERIALIZED, std::move(say));
}

std::string MpiCommunicator::library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  const std::string all(text.data(), static_cast<std::size_t>(length));
  return all.substr(0, all.find_first_of(",\n"));
}

MpiCommunicator::MpiCommunicator(int rank, int size, bool calls_by_threads, std::function<void(const std::string&)> say)
    : rank_(rank), size_(size), say_(std::move(say)) {
  if (calls_by_threads && size > 1) mover_ = std::jthread([this](const std::stop_token& stop) { move_messages(stop); });
}

void MpiCommunicator::move_messages(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mpi_);
      if (!some_are_on_the_way_.wait(lock, stop, [&] { return !on_the_way_.empty(); })) return;
      std::erase_if(on_the_way_, [](Messages* messages) { return messages->move(); });
    }
    std::this_thread::sleep_for(kBetweenMoves);
  }
}

void MpiCommunicator::end_moving() {
  if (!mover_.joinable()) return;
  mover_.request_stop();
  mover_.join();
}

MpiCommunicator::~MpiCommunicator() {
  end_moving();
  int ended = 0;
  MPI_Finalized(&ended);
  if (ended == 0) MPI_Finalize();
}

std::unique_ptr<Communicator::Exchange> MpiCommunicator::begin(std::vector<OutMessage> out, std::vector<InMessage> in,
                                                               const std::string& what) {
  return std::make_unique<Messages>(*this, out, in, what);
}

void MpiCommunicator::meet() {
  MPI_Request request{};
  {
    const std::scoped_lock lock(mpi_);
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
  }
  for (Pause pause; !is_done(request, mpi_);) pause();
}

ExitCode MpiCommunicator::end(ExitCode code, const std::string& message) {
  const bool failed = code != ExitCode::done && code != ExitCode::interrupted;
  const int mine = static_cast<int>(code);
  std::vector<int> codes(static_cast<std::size_t>(size_));
  end_moving();
  MPI_Request request{};
  MPI_Iallgather(&mine, 1, MPI_INT, codes.data(), 1, MPI_INT, MPI_COMM_WORLD, &request);
  const double began = steady_seconds();
  for (Pause pause; !is_done(request, mpi_); pause())
    if (failed && steady_seconds() - began > kToTheEnd + 0.5 * rank_) abort(code, message);
  const auto first = std::ranges::find_if(codes, [](int one) { return one != 0; });
  if (first != codes.end() && first - codes.begin() == rank_ && !message.empty()) say_(message);
  MPI_Finalize();
  return first == codes.end() ? ExitCode::done : static_cast<ExitCode>(*first);
}

bool MpiCommunicator::has_been_told() {
  const std::scoped_lock lock(mpi_);
  int told = 0;
  MPI_Iprobe(MPI_ANY_SOURCE, kToldTag, MPI_COMM_WORLD, &told, MPI_STATUS_IGNORE);
  return told != 0;
}

void MpiCommunicator::abort(ExitCode code, const std::string& message) {
  say_(message.starts_with("rank ") ? message
                                    : fmt::format("rank {} on {}, at {}: {}", rank_, host_name(), place, message));
  end_moving();
  if (rank_ != 0) {  // which would say what it waits for when it is ended
    MPI_Request request{};
    MPI_Isend(&rank_, 1, MPI_INT, 0, kToldTag, MPI_COMM_WORLD, &request);
    const double began = steady_seconds();
    for (Pause pause; !is_done(request, mpi_) && steady_seconds() - began < 0.2;) pause();
  }
  MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code));
  std::_Exit(static_cast<int>(code));
}

}  // namespace qad

#else  // nobody to join

namespace qad {

class MpiCommunicator::Messages {};
std::unique_ptr<MpiCommunicator> MpiCommunicator::join(std::function<void(const std::string&)>) { return nullptr; }
std::string MpiCommunicator::library() { return "none was found when it was built"; }
MpiCommunicator::~MpiCommunicator() = default;
std::unique_ptr<Communicator::Exchange> MpiCommunicator::begin(std::vector<OutMessage>, std::vector<InMessage>,
                                                               const std::string&) {
  return nullptr;
}
void MpiCommunicator::meet() {}
void MpiCommunicator::end_moving() {}
bool MpiCommunicator::has_been_told() { return false; }
ExitCode MpiCommunicator::end(ExitCode code, const std::string&) { return code; }
void MpiCommunicator::abort(ExitCode, const std::string&) { std::abort(); }

}  // namespace qad

#endif
