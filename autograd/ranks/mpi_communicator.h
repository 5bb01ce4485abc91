// Ranks that speak by MPI: point to point, and one collective at the very end. The only door to MPI; without it there
// is nothing to join.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "autograd/base/error.h"
#include "autograd/ranks/communicator.h"

namespace qad {

class MpiCommunicator final : public Communicator {
 public:
  /// Joins the job that a launcher has started; null in a program without MPI. `say` writes a line where a user sees
  /// it, from any rank.
  [[nodiscard]] static std::unique_ptr<MpiCommunicator> join(std::function<void(const std::string&)> say);
  [[nodiscard]] static std::string library();

  /// `calls_by_threads`: MPI may be called by one thread after the other.
  MpiCommunicator(int rank, int size, bool calls_by_threads, std::function<void(const std::string&)> say);
  ~MpiCommunicator() override;
  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }
  [[nodiscard]] std::unique_ptr<Exchange> begin(std::vector<OutMessage> out, std::vector<InMessage> in,
                                                const std::string& what) override;
  void meet() override;

  /// launch.h, end_ranks.
  [[nodiscard]] ExitCode end(ExitCode code, const std::string& message);
  /// Ends the whole job at once, after a line that says who, where and why.
  [[noreturn]] void abort(ExitCode code, const std::string& message);

 private:
  [[nodiscard]] bool has_been_told();
  void move_messages(const std::stop_token& stop);
  void end_moving();

  class Messages;
  int rank_, size_;
  std::function<void(const std::string&)> say_;
  std::mutex mpi_;  // one thread at a time calls MPI
  std::set<Messages*> on_the_way_;
  std::condition_variable_any some_are_on_the_way_;
  std::jthread mover_;  // MPI moves messages only while it is called: this thread does, while the others compute
};

}  // namespace qad
