#include "qad/recipe/kinds.h"

#include "autograd/base/error.h"

namespace qad {
namespace {

// clang-format off
//                         start           steps           judge           teacher quantizes reads_text last   comparison
constexpr std::array<KindRow, 10> kKinds = {{
    {RecipeKind::pretrain, Start::fresh,   Steps::text,    Judge::next_token, false, false,  true,      false, false},
    {RecipeKind::sft,      Start::given,   Steps::text,    Judge::next_token, false, false,  true,      false, false},
    {RecipeKind::grpo,     Start::given,   Steps::answers, Judge::next_token, false, false,  false,     true,  false},
    {RecipeKind::merge,    Start::merged,  Steps::none,    Judge::next_token, false, false,  false,     false, false},
    {RecipeKind::prune,    Start::teacher, Steps::text,    Judge::teacher,    true,  false,  true,      false, false},
    {RecipeKind::ptq,      Start::teacher, Steps::none,    Judge::teacher,    true,  true,   false,     false, false},
    {RecipeKind::qat,      Start::teacher, Steps::text,    Judge::next_token, true,  true,   true,      false, false},
    {RecipeKind::qad,      Start::teacher, Steps::text,    Judge::teacher,    true,  true,   true,      false, false},
    {RecipeKind::autoquantize,
                           Start::teacher, Steps::none,    Judge::teacher,    true,  true,   false,     false, false, true},
    {RecipeKind::compare,  Start::teacher, Steps::text,    Judge::teacher,    true,  true,   true,      false, true},
}};
// clang-format on

}  // namespace

const KindRow& about(RecipeKind kind) {
  const KindRow& row = kKinds[static_cast<std::size_t>(kind)];
  QAD_ASSERT(row.kind == kind);
  return row;
}

std::vector<std::string_view> kind_names() {
  std::vector<std::string_view> names;
  for (const auto& kind : enum_names(RecipeKind())) names.push_back(kind.name);
  return names;
}

}  // namespace qad
