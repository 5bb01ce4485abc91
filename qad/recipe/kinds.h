// The kinds of recipes, a row each: all that the program asks of a kind stands here, and nothing else depends on which
// one it is.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "autograd/base/fields.h"

namespace qad {

enum class RecipeKind : std::uint8_t { pretrain, sft, grpo, merge, prune, ptq, qat, qad, autoquantize, compare };
inline constexpr auto enum_names(RecipeKind) {
  return std::to_array<EnumName<RecipeKind>>({{RecipeKind::pretrain, "pretrain"},
                                              {RecipeKind::sft, "sft"},
                                              {RecipeKind::grpo, "grpo"},
                                              {RecipeKind::merge, "merge"},
                                              {RecipeKind::prune, "prune"},
                                              {RecipeKind::ptq, "ptq"},
                                              {RecipeKind::qat, "qat"},
                                              {RecipeKind::qad, "qad"},
                                              {RecipeKind::autoquantize, "autoquantize"},
                                              {RecipeKind::compare, "compare"}});
}

/// Where the student's first values come from.
enum class Start : std::uint8_t {
  fresh,    ///< random numbers, sizes from `model`
  given,    ///< student.model
  merged,   ///< the average of merge.models
  teacher,  ///< the teacher, or student.model where that is said
};

/// What a step of training does.
enum class Steps : std::uint8_t {
  none,    ///< nothing is trained
  text,    ///< learns from text
  answers  ///< answers problems and learns from its answers (GRPO)
};

/// What the student is judged by: what training makes small, and which step is its best.
enum class Judge : std::uint8_t { teacher, next_token };

struct KindRow {
  RecipeKind kind;
  Start start;
  Steps steps;
  Judge judge;
  bool has_teacher;       ///< one that is frozen; without, the kind makes a BF16 model for later teachers
  bool quantizes;         ///< and calibrates; without, exports are dense
  bool reads_train_text;  ///< in its steps
  bool best_is_last;      ///< held-out text doesn't tell which step is best
  bool is_comparison;     ///< of arms, each a run of another kind
  bool searches = false;  ///< for number formats first (qad/search); the rest is as its result says
};
[[nodiscard]] const KindRow& about(RecipeKind kind);
[[nodiscard]] std::vector<std::string_view> kind_names();

}  // namespace qad
