#include "models/families/linear_shapes.h"

#include <functional>
#include <map>

#include "models/families/registry.h"

namespace qad {
namespace {

// Of a block: its linear layers, and all kinds of them.
struct Collector final : ModuleVisitor {
  void kind(ModuleKind kind) override { kinds.push_back(kind); }
  void group(LinearGroup& group) override {
    for (const Linear& member : group.members) {
      const Shape shape = shape_of(*member.weight);
      shapes.push_back({member.name, group.name, shape.rows(), shape.cols(), member.token_share, false, kinds.back()});
    }
  }

  std::function<Shape(const Parameter&)> shape_of;
  std::vector<ModuleKind> kinds{};
  std::vector<LinearShape> shapes{};
};

// `shape_of` gives a weight's shape.
std::vector<LinearShape> shapes_of(LanguageModel& model, const std::function<Shape(const Parameter&)>& shape_of) {
  std::vector<Collector> parts(model.blocks().size() + 1);
  for (Collector& part : parts) part.shape_of = shape_of;
  for (std::size_t i = 0; i < model.blocks().size(); ++i) model.blocks()[i].visit(parts[i]);
  parts.back().kind(ModuleKind::head);
  parts.back().group(model.head());
  parts.back().shapes.front().tied = model.config().tie_word_embeddings;
  std::vector<LinearShape> shapes;
  for (std::size_t i = 0; i < parts.size(); ++i)
    for (LinearShape& shape : parts[i].shapes) {
      if (i + 1 < parts.size()) shape.next = parts[i + 1].kinds;
      shapes.push_back(std::move(shape));
    }
  return shapes;
}

}  // namespace

std::vector<LinearShape> linear_shapes(LanguageModel& model) {
  return shapes_of(model, [](const Parameter& weight) { return weight.value().shape(); });
}

std::vector<LinearShape> linear_shapes(const ModelConfig& config) {
  config.check("the model's sizes");  // before work grows with them
  std::map<std::string, Shape> shapes;
  const auto model = make_model(config, [&](const ParameterSpec& spec) {
    shapes[spec.name] = spec.shape;
    return make_parameter(spec.name, Tensor(Shape{1}), false);  // nobody looks at its values
  });
  return shapes_of(*model, [&](const Parameter& weight) { return shapes.at(weight.name); });
}

}  // namespace qad
