// Text that this file writes itself, so that a first teacher needs no download: short stories whose people and things
// recur, counted and moved objects, dialogues, sums written out, sorting, recall, dates, tiny programs with their
// output. Half of it must be exact over a distance and half of it has the entropy of prose, so rounding a model that
// learned it to four bits costs something.
//
// ASCII only; 60 to 250 bytes a document; meant for a byte tokenizer. A document is a pure function of (mix, seed,
// index) on every platform: disjoint ranges of indices are disjoint texts to train on and to hold out.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "autograd/base/fields.h"

namespace qad {

enum class SyntheticMix { all, stories, tasks };
inline constexpr auto enum_names(SyntheticMix) {
  return std::to_array<EnumName<SyntheticMix>>(
      {{SyntheticMix::all, "all"}, {SyntheticMix::stories, "stories"}, {SyntheticMix::tasks, "tasks"}});
}

struct SyntheticConfig {
  std::int64_t documents = 10'000;
  std::int64_t first = 0;
  std::int64_t seed = 1;
  SyntheticMix mix = SyntheticMix::all;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"documents", "how many documents"}.at_least(1), documents);
    visit(Field{"first", "index of the first one; ranges that do not overlap are different texts"}.at_least(0), first);
    visit(Field{"seed", "of all that is drawn"}.at_least(0), seed);
    visit(Field{"mix", "stories, tasks with one right answer, or both"}, mix);
  }
};

/// 60 to 250 bytes of ASCII without a newline at the end.
[[nodiscard]] std::string synthetic_document(SyntheticMix mix, std::uint64_t seed, std::int64_t index);

/// Documents `first` … `first + documents - 1`.
[[nodiscard]] std::vector<std::string> synthetic_documents(const SyntheticConfig& config);

}  // namespace qad
