// What the synthetic texts are made with (data/tasks/synthetic.h): word lists and a source of choices. Internal to
// data.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/base/random.h"

namespace qad::synthetic {

enum class Words {
  girls,
  boys,
  animals,
  jobs,
  adjectives,
  colours,
  things,   ///< that one can hold, count and hide; the plural takes an s
  foods,    ///< the same
  places,   ///< with their preposition: "in the garden"
  spots,    ///< where a thing can be put: "under the bed"
  actions,  ///< past tense: "danced"
  adverbs,
  feelings,
  times,  ///< "One morning"
  weather,
  sounds,
  exclamations,
  topics,
  count_
};
[[nodiscard]] std::span<const std::string> words(Words list);

class Writer {
 public:
  explicit Writer(Random random) : random_(random) {}

  /// In [low, high].
  [[nodiscard]] std::int64_t number(std::int64_t low, std::int64_t high) { return low + random_.below(high - low + 1); }
  [[nodiscard]] bool chance(double probability) { return random_.uniform() < probability; }

  /// Every element alike.
  template <class T>
  [[nodiscard]] const T& any(std::span<const T> choices) {
    return choices[static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(choices.size())))];
  }
  [[nodiscard]] std::string_view any(std::initializer_list<std::string_view> choices) {
    return any(std::span<const std::string_view>(choices.begin(), choices.size()));
  }
  /// Early words of a list are more frequent, as words are: the density falls as 1/sqrt(rank).
  [[nodiscard]] const std::string& word(Words list) {
    const auto choices = words(list);
    const double u = random_.uniform();
    return choices[static_cast<std::size_t>(u * u * static_cast<double>(choices.size()))];
  }
  /// `count` different ones.
  [[nodiscard]] std::vector<std::string> different(Words list, std::int64_t count);

 private:
  Random random_;
};

/// "an old key", "a key".
[[nodiscard]] std::string with_article(std::string_view words);
/// "1 key", "3 keys".
[[nodiscard]] std::string counted(std::int64_t count, std::string_view singular);

[[nodiscard]] std::string story(Writer& writer);  ///< prose: synthetic_stories.cpp
[[nodiscard]] std::string task(Writer& writer);   ///< with one right answer: synthetic_tasks.cpp

}  // namespace qad::synthetic
