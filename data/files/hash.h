// XXH3 fingerprints: they find accidents (a flipped bit, a cut-off file), not forgeries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace qad {

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};

/// XXH3-128, seed 0, of bytes that come piece by piece.
class Hasher128 {
 public:
  Hasher128();
  ~Hasher128();
  Hasher128(const Hasher128&) = delete;
  Hasher128& operator=(const Hasher128&) = delete;

  void add(std::span<const std::byte> bytes);
  /// The numbers as they lie in memory.
  template <class Number>
  void add(std::span<const Number> numbers) {
    add(std::as_bytes(numbers));
  }
  [[nodiscard]] Hash128 hash() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// XXH3-64, seed 0.
[[nodiscard]] std::uint64_t hash64(std::span<const std::byte> bytes);
[[nodiscard]] std::uint64_t hash64(std::string_view text);
/// XXH3-128, seed 0.
[[nodiscard]] Hash128 hash128(std::string_view text);
/// XXH3-128, seed 0, of a file's bytes from `begin` to its end. Reads with read(2), so that a disk error is an Error
/// and not a SIGBUS.
[[nodiscard]] Hash128 hash_file(const std::filesystem::path& file, std::uint64_t begin = 0);
/// 16 hexadecimal digits, as `xxhsum -H3` prints them.
[[nodiscard]] std::string hex(std::uint64_t hash);
/// 32 hexadecimal digits, the high half first, as `xxhsum -H2` prints them.
[[nodiscard]] std::string hex(const Hash128& hash);

}  // namespace qad
