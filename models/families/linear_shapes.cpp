#include "models/families/linear_shapes.h"

#include <map>

#include "autograd/base/error.h"
#include "models/families/registry.h"

namespace qad {
namespace {

constexpr std::int64_t kMostLayers = 100'000;  // a config can say any number; no model has as many

// `shape_of` gives a weight's shape.
template <class ShapeOf>
std::vector<LinearShape> shapes_of(LanguageModel& model, ShapeOf&& shape_of) {
  std::vector<LinearShape> shapes;
  for (const LinearGroup* group : model.linear_groups())
    for (const Linear& member : group->members) {
      const Shape shape = shape_of(*member.weight);
      const bool tied = group == &model.head() && model.config().tie_word_embeddings;
      shapes.push_back({member.name, group->name, shape.rows(), shape.cols(), member.token_share, tied});
    }
  return shapes;
}

}  // namespace

std::vector<LinearShape> linear_shapes(LanguageModel& model) {
  return shapes_of(model, [](const Parameter& weight) { return weight.value().shape(); });
}

std::vector<LinearShape> linear_shapes(const ModelConfig& config) {
  if (config.num_hidden_layers > kMostLayers)
    throw Error({.who = "num_hidden_layers",
                 .expected = "at most " + std::to_string(kMostLayers),
                 .got = std::to_string(config.num_hidden_layers),
                 .hint = "is config.json damaged?"});
  std::map<std::string, Shape> shapes;
  const auto model = make_model(config, [&](const ParameterSpec& spec) {
    shapes[spec.name] = spec.shape;
    return make_parameter(spec.name, Tensor(Shape{1}), false);  // nobody looks at its values
  });
  return shapes_of(*model, [&](const Parameter& weight) { return shapes.at(weight.name); });
}

}  // namespace qad
