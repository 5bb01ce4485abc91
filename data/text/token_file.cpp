#include "data/text/token_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/hdf5_file.h"

namespace qad {
namespace {

constexpr std::int64_t kNumbersTogether = std::int64_t{1} << 20;  // numbers read at a time

// An id that 32 bits can't hold becomes the largest or smallest that they can: both are beyond any vocabulary.
std::int32_t narrow(std::int64_t id) {
  using Limits = std::numeric_limits<std::int32_t>;
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(id, Limits::min(), Limits::max()));
}

// Calls take(number, its place) for the first `count` numbers of a dataset, without ever holding them all as 64 bits.
template <class Take>
void for_each_number(const Hdf5Reader& file, const char* dataset, std::int64_t count, Take&& take) {
  std::vector<std::int64_t> block;
  for (std::int64_t begin = 0; begin < count; begin += kNumbersTogether) {
    block.resize(static_cast<std::size_t>(std::min(kNumbersTogether, count - begin)));
    file.read_integers(dataset, begin, block);
    for (std::size_t i = 0; i < block.size(); ++i) take(block[i], static_cast<std::size_t>(begin) + i);
  }
}

std::vector<std::int32_t> read_ids(const Hdf5Reader& file, std::int64_t count) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  for_each_number(file, "ids", count, [&](std::int64_t id, std::size_t at) { ids[at] = narrow(id); });
  return ids;
}

// As they are in the file, where `tokens` is the number of all its ids.
std::vector<std::int64_t> read_offsets(const Hdf5Reader& file, std::int64_t tokens, const std::string& who) {
  std::vector<std::int64_t> offsets{0};
  if (file.has("offsets")) {
    offsets.resize(static_cast<std::size_t>(file.integer_count("offsets")));
    file.read_integers("offsets", 0, offsets);
  }
  if (offsets.empty() || offsets.back() != tokens) offsets.push_back(tokens);
  if (offsets.front() != 0 || !std::is_sorted(offsets.begin(), offsets.end()))
    throw Error({.who = who + ": offsets",
                 .expected = fmt::format("rising numbers from 0 to {}", tokens),
                 .got = fmt::format("others, up to {}", *std::max_element(offsets.begin(), offsets.end()))});
  return offsets;
}

std::vector<std::uint8_t> read_mask(const Hdf5Reader& file, std::int64_t tokens, std::int64_t count,
                                    const std::string& who) {
  if (const std::int64_t stored = file.integer_count("mask"); stored != tokens)
    throw Error({.who = who,
                 .expected = fmt::format("{} numbers, one for each of ids", tokens),
                 .got = std::to_string(stored)});
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(count));
  for_each_number(file, "mask", count, [&](std::int64_t counts, std::size_t at) {
    if (counts != 0 && counts != 1)
      throw Error({.who = who,
                   .expected = "1 for each token that is a label and 0 for the others",
                   .got = fmt::format("{} for token {}", counts, at)});
    mask[at] = static_cast<std::uint8_t>(counts);
  });
  return mask;
}

}  // namespace

Documents read_token_file(const std::filesystem::path& path, std::int64_t most_tokens) {
  const Hdf5Reader file(path, "a file of token ids");
  const std::int64_t tokens = file.integer_count("ids"), count = std::min(tokens, most_tokens);
  Documents documents;
  documents.source = path.string();
  documents.ids = read_ids(file, count);
  documents.offsets = read_offsets(file, tokens, path.string());
  if (file.has("mask")) documents.mask = read_mask(file, tokens, count, path.string() + ": mask");
  documents.is_beginning = count < tokens;
  if (documents.is_beginning) {
    std::vector<std::int64_t>& offsets = documents.offsets;
    offsets.erase(std::ranges::lower_bound(offsets, count), offsets.end());
    offsets.push_back(count);
  }
  return documents;
}

void write_token_file(const Documents& documents, const std::filesystem::path& path) {
  write_atomically(path, [&](const std::filesystem::path& temporary) {
    const Tensor ids({documents.tokens()}, DType::i32);
    std::ranges::copy(documents.ids, ids.data<std::int32_t>());
    const Tensor offsets({documents.count() + 1}, DType::i64);
    std::ranges::copy(documents.offsets, offsets.data<std::int64_t>());
    Hdf5Writer writer(temporary);
    writer.write_tensor("ids", ids);
    writer.write_tensor("offsets", offsets);
    if (!documents.mask.empty()) {
      const Tensor mask({documents.tokens()}, DType::u8);
      std::ranges::copy(documents.mask, mask.data<std::uint8_t>());
      writer.write_tensor("mask", mask);
    }
    writer.close();
  });
}

}  // namespace qad
