#include "models/import/merge.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "autograd/base/error.h"
#include "models/families/hf_config.h"
#include "models/families/registry.h"
#include "models/import/model_folder.h"

namespace qad {
namespace {

// A line of config.json without indentation and comma.
std::string trimmed(const std::string& line) {
  const std::size_t begin = line.find_first_not_of(' '), end = line.find_last_not_of(", ");
  return begin == std::string::npos ? "" : line.substr(begin, end + 1 - begin);
}

// Sizes that tensors show are told by the tensor; what they don't show (rotary base, windows, end tokens) by its line.
void check_same(LanguageModel& first, LanguageModel& other, const MergeConfig& config, std::size_t index) {
  const std::string& folder = config.models[index].model;
  const std::string hint = "models are merged that come from one model, as " + config.models.front().model + " does";
  const ParameterList expected = first.parameters(), got = other.parameters();
  for (std::size_t i = 0; i < std::max(expected.size(), got.size()); ++i) {
    if (i >= expected.size())
      throw Error({.who = folder, .expected = "no more tensors", .got = got[i]->name, .hint = hint});
    const std::string name = expected[i]->name;
    if (i >= got.size() || got[i]->name != name)
      throw Error({.who = folder,
                   .expected = "the tensor " + name,
                   .got = i < got.size() ? got[i]->name : "none",
                   .hint = hint});
    if (got[i]->value().shape() != expected[i]->value().shape())
      throw Error(
          {folder + ": " + name, "shape " + expected[i]->value().shape().text(), got[i]->value().shape().text(), hint});
  }
  const auto lines = [](LanguageModel& model) {
    ModelConfig sizes = model.config();
    sizes.initializer_range = ModelConfig().initializer_range;  // of fresh weights: no part of what a model computes
    return std::istringstream(to_hf_config(sizes, "bfloat16"));
  };
  std::istringstream expected_lines = lines(first), got_lines = lines(other);
  for (std::string a, b; std::getline(expected_lines, a) && std::getline(got_lines, b);)
    if (a != b) throw Error({.who = folder + "/config.json", .expected = trimmed(a), .got = trimmed(b), .hint = hint});
}

}  // namespace

std::unique_ptr<LanguageModel> merge_models(const MergeConfig& config) {
  QAD_ASSERT(!config.models.empty());
  double total = 0;
  for (const MergedModelConfig& one : config.models) total += one.weight;
  std::unique_ptr<LanguageModel> first;
  std::map<std::string, std::vector<double>> sums;
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    std::unique_ptr<LanguageModel> model = load_model(config.models[i].model, WeightType::f32);
    if (first != nullptr) check_same(*first, *model, config, i);
    for (const ParameterPointer& parameter : model->parameters()) {
      const auto values = parameter->value().span();
      std::vector<double>& sum = sums[parameter->name];
      sum.resize(values.size());
      for (std::size_t j = 0; j < values.size(); ++j)
        sum[j] += config.models[i].weight / total * static_cast<double>(values[j]);
    }
    if (first == nullptr) first = std::move(model);
  }
  return make_model(first->config(), [&](const ParameterSpec& spec) {
    const Tensor value(spec.shape);
    std::ranges::transform(sums.at(spec.name), value.data(), [](double x) { return static_cast<float>(x); });
    return make_parameter(spec.name, value, true);
  });
}

}  // namespace qad
