// The processes that work on one run, each with a copy of the model, and how they speak: bytes from one to another, in
// order. Everything else is made of that. No sum of floats is ever left to a library: its order would be its own.
//
// Without MPI, or started alone, there is one rank, and all of this does nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qad {

struct OutMessage {
  int to;
  const void* data;
  std::size_t bytes;
};
struct InMessage {
  int from;
  void* data;
  std::size_t bytes;  ///< exactly as many as the other side sends
};

class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  [[nodiscard]] bool is_first() const { return rank() == 0; }  ///< the one that prints and writes
  [[nodiscard]] bool is_alone() const { return size() == 1; }

  /// Messages on their way; their memory must stay as it is until wait() has returned.
  class Exchange {
   public:
    virtual ~Exchange() = default;
    /// Until all are there. A rank that says nothing for too long ends the whole job (time_limit).
    virtual void wait() = 0;
  };
  /// Between two ranks messages meet in the order in which both sides name them. `what` is what they wait for, in
  /// words. All ranks begin their exchanges in the same order; several may be on their way.
  [[nodiscard]] virtual std::unique_ptr<Exchange> begin(std::vector<OutMessage> out, std::vector<InMessage> in,
                                                        const std::string& what) = 0;
  void exchange(std::vector<OutMessage> out, std::vector<InMessage> in, const std::string& what) {
    begin(std::move(out), std::move(in), what)->wait();
  }

  /// Until all are here, however long the first one works alone meanwhile (exports).
  virtual void meet() = 0;

  /// What this rank is doing, such as "step 12", for messages.
  std::string place = "the start";

  [[nodiscard]] std::int64_t bytes_sent() const { return bytes_sent_; }
  [[nodiscard]] double seconds_waited() const { return seconds_waited_; }

 protected:
  std::int64_t bytes_sent_ = 0;
  double seconds_waited_ = 0;
};

/// Those of this process's job.
[[nodiscard]] Communicator& ranks();

// Each of these is called by all ranks together; `what` as above.

/// Every rank's bytes, by rank.
[[nodiscard]] std::vector<std::string> all_gather(std::string_view mine, const std::string& what);
/// The numbers of all ranks, one after the other.
[[nodiscard]] std::vector<double> gather_numbers(std::span<const double> mine, const std::string& what);
/// What the first rank has.
[[nodiscard]] std::string from_first(std::string_view its, const std::string& what);
/// values[i] becomes its sum over the ranks.
void sum_over_ranks(std::span<std::int64_t> values, const std::string& what);
[[nodiscard]] bool any_rank(bool mine, const std::string& what);

/// Contiguous shares of `count` things, in order: rank r has [begin, end). They depend on nothing else.
struct Share {
  std::int64_t begin, end;
  [[nodiscard]] std::int64_t size() const { return end - begin; }
};
[[nodiscard]] Share share_of(std::int64_t count, int rank, int size);

namespace detail {
void use_communicator(std::unique_ptr<Communicator> communicator);
/// Whether ranks() is this rank alone for the time being; returns what it was before.
bool work_alone(bool alone);
}  // namespace detail

}  // namespace qad
