#include "data/tasks/synthetic.h"

#include "data/tasks/synthetic_writer.h"

namespace qad {
namespace {

constexpr std::size_t kShortest = 60, kLongest = 250;
constexpr std::uint64_t kNumbersADocument = 1 << 16;  // far more than any document draws

}  // namespace

std::string synthetic_document(SyntheticMix mix, std::uint64_t seed, std::int64_t index) {
  synthetic::Writer writer(
      Random(seed, stream_of("synthetic document"), static_cast<std::uint64_t>(index) * kNumbersADocument));
  const bool is_story = mix == SyntheticMix::stories || (mix == SyntheticMix::all && writer.chance(0.55));
  for (;;) {  // about nine of ten fit at once
    const std::string text = is_story ? synthetic::story(writer) : synthetic::task(writer);
    if (text.size() >= kShortest && text.size() <= kLongest) return text;
  }
}

std::vector<std::string> synthetic_documents(const SyntheticConfig& config) {
  std::vector<std::string> documents;
  documents.reserve(static_cast<std::size_t>(config.documents));
  for (std::int64_t i = 0; i < config.documents; ++i)
    documents.push_back(synthetic_document(config.mix, static_cast<std::uint64_t>(config.seed), config.first + i));
  return documents;
}

}  // namespace qad
