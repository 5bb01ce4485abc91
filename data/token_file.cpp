#include "data/token_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "autograd/core/error.h"
#include "data/hdf5_file.h"

namespace qad {
namespace {

constexpr std::int64_t kBlock = std::int64_t{1} << 20;  ///< ids read at a time

/// An id that 32 bits can't hold becomes the largest or smallest that they can: both are beyond any vocabulary.
std::int32_t narrow(std::int64_t id) {
  using Limits = std::numeric_limits<std::int32_t>;
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(id, Limits::min(), Limits::max()));
}

std::vector<std::int32_t> read_ids(const Hdf5Reader& file) {
  const std::int64_t count = file.integer_count("ids");
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  std::vector<std::int64_t> block;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    block.resize(static_cast<std::size_t>(std::min(kBlock, count - begin)));
    file.read_integers("ids", begin, block);
    std::transform(block.begin(), block.end(), ids.begin() + begin, narrow);
  }
  return ids;
}

}  // namespace

Documents read_token_file(const std::filesystem::path& path) {
  const Hdf5Reader file(path, "a file of token ids");
  Documents documents;
  documents.source = path.string();
  documents.ids = read_ids(file);
  std::vector<std::int64_t>& offsets = documents.offsets;
  if (file.has("offsets")) {
    offsets.resize(static_cast<std::size_t>(file.integer_count("offsets")));
    file.read_integers("offsets", 0, offsets);
  }
  if (offsets.empty() || offsets.back() != documents.tokens()) offsets.push_back(documents.tokens());
  if (offsets.front() != 0 || !std::is_sorted(offsets.begin(), offsets.end()))
    throw Error({path.string() + ": offsets", fmt::format("rising numbers from 0 to {}", documents.tokens()),
                 fmt::format("others, up to {}", *std::max_element(offsets.begin(), offsets.end())), ""});
  return documents;
}

}  // namespace qad
