#include "qad/recipe/search_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "qad/calib/algorithms.h"
#include "qad/recipe/nearest_name.h"
#include "qad/search/search_space.h"

namespace qad {
namespace {

const YamlPosition& place_of(const YamlNode& tree, const std::string& key) {
  for (std::string path = key; !path.empty();) {
    if (const YamlNode* node = tree.find_path(path); node != nullptr) return node->at;
    const std::size_t end = path.find_last_of(".[");
    path = end == std::string::npos ? "" : path.substr(0, end);
  }
  return tree.at;
}

void check_candidate(const SearchCandidate& one, const std::string& key, CalibrationKind common,
                     const std::function<void(const std::string&, std::string, std::string, std::string)>& report) {
  std::vector<std::string_view> known = {"none"};
  for (const BlockFormat& format : block_formats()) known.push_back(format.name);
  bool all_known = true;
  for (const auto& [operand, name] : {std::pair{"weights", &one.weights}, {"inputs", &one.inputs}}) {
    if (std::ranges::find(known, *name) != known.end()) continue;
    report(fmt::format("{}.{}", key, operand), "", fmt::format("unknown number format \"{}\"", *name),
           name_hint(*name, known));
    all_known = false;
  }
  if (!all_known) return;
  if (one.weights == "none") {
    if (one.inputs != "none") report(key + ".inputs", "weights in a format beside it", one.inputs, "");
    if (one.algorithm) report(key + ".algorithm", "weights beside it, whose scales it finds", "none", "");
    return;
  }
  const CalibrationAlgorithm& algorithm = calibration_algorithm(one.algorithm.value_or(common));
  const std::string name(enum_name(algorithm.kind));
  if (one.algorithm && algorithm.serves != nullptr && !algorithm.serves(block_format(one.weights)))
    report(key + ".algorithm", "weights in a format that it serves", one.weights, "or algorithm: max");
  if (algorithm.moves_weights)
    report(one.algorithm ? key + ".algorithm" : "calibrate.algorithm",
           "one that leaves weights as they are for kind: autoquantize", name,
           "all candidates are formats of the same weights; use it on what the search has found");
}

}  // namespace

void check_search(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems) {
  const auto report = [&](const std::string& key, std::string expected, std::string got, std::string hint) {
    problems.add(place_of(tree, key), key, std::move(expected), std::move(got), std::move(hint));
  };
  if (!recipe.row().searches) {
    if (recipe.search) report("search", "no such section", "one", "kind: autoquantize has it");
    return;
  }
  if (!recipe.search)
    return report("search", "a section search", "none", "kind: autoquantize needs search: {effective_bits: 5.4}");
  if (recipe.search->candidates.empty())
    report("search.candidates", "at least one candidate", "none", "such as {weights: nvfp4, inputs: nvfp4}");
  for (std::size_t i = 0; i < recipe.search->candidates.size(); ++i)
    check_candidate(recipe.search->candidates[i], fmt::format("search.candidates[{}]", i), recipe.calibrate.algorithm,
                    report);
}

void check_search_fit(const Recipe& recipe, std::span<const LinearShape> layers, const YamlNode& tree,
                      YamlProblems& problems, const std::function<void(const QuantizeConfig&)>& check_quantize) {
  const SearchConfig& search = *recipe.search;
  const SearchSpace space = search_space(layers, recipe.quantize, search);
  if (space.groups.empty()) {
    problems.add(place_of(tree, "quantize.rules"), "quantize.rules", "layers that no rule matches, to be searched",
                 "none", "rules: [] leaves all to the search");
    return;
  }
  const auto check_budget = [&](const std::string& key, double budget) {
    const std::int64_t least = space.least_bits();
    if (space.budget(budget) >= least) return;
    const double rounded = std::ceil(space.effective_bits(least) * 1e4) / 1e4;
    problems.add(place_of(tree, key), key, fmt::format("at least {:.4f}, the smallest formats of all layers", rounded),
                 fmt::format("{}", budget), "every scale counts");
  };
  check_budget("search.effective_bits", search.effective_bits);
  for (std::size_t i = 0; i < search.curve.size(); ++i)
    check_budget(fmt::format("search.curve[{}]", i), search.curve[i]);
  std::vector<std::size_t> mixed;
  for (std::size_t i = 0; i < space.groups.size(); ++i) mixed.push_back(i % space.groups[i].options.size());
  check_quantize(with_choice(recipe.quantize, search, space, mixed));
}

}  // namespace qad
