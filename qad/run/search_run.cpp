#include "qad/run/search_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "qad/calib/calibrate.h"
#include "qad/checkpoint/checkpoint.h"
#include "qad/checkpoint/checkpoint_folder.h"
#include "qad/report/progress.h"
#include "qad/run/student.h"
#include "qad/search/knapsack.h"
#include "qad/search/score_groups.h"
#include "qad/train/evaluator.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kBetweenScoreSaves{30};

std::string score_name(std::size_t candidate, const SearchGroup& group) {
  return fmt::format("score/{}/{}", candidate, group.name);
}
std::string kl_name(double budget) { return fmt::format("kl/{}", budget); }
std::string error_name(double budget) { return fmt::format("kl_stderr/{}", budget); }
constexpr const char* kPlain = "plain";  // KL with nothing quantized

bool quantizes(const SearchConfig& search, std::size_t candidate) {
  return candidate != kDense &&
         (search.candidates[candidate].weights != "none" || search.candidates[candidate].inputs != "none");
}

bool offers(const SearchGroup& group, std::size_t candidate) {
  return std::ranges::find(group.options, candidate, &SearchOption::candidate) != group.options.end();
}

// The measured numbers by name, and their file.
class Measured {
 public:
  Measured(fs::path file, RunInputs inputs) : file_(std::move(file)), inputs_(std::move(inputs)) {
    if (!fs::exists(file_)) return;
    try {
      const CheckpointContent content = load_checkpoint(file_);
      check_inputs(inputs_, content, file_.string());
      for (const auto& [name, value] : content.numbers) values_[name] = std::get<double>(value);
    } catch (const Error& error) {
      log_warning("the search begins again: {}", error.what());
    }
  }

  [[nodiscard]] bool has(const std::string& name) const { return values_.contains(name); }
  [[nodiscard]] double at(const std::string& name) const { return values_.at(name); }
  [[nodiscard]] std::size_t count() const { return values_.size(); }
  void add(const std::string& name, double value) {
    values_[name] = value;
    if (Clock::now() - saved_ >= kBetweenScoreSaves) save();
  }
  void save() {
    CheckpointContent content;
    for (const auto& [name, value] : values_) content.numbers[name] = value;
    add_inputs(inputs_, content);
    save_checkpoint(file_, content);
    saved_ = Clock::now();
  }

 private:
  fs::path file_;
  RunInputs inputs_;
  std::map<std::string, double> values_;
  Clock::time_point saved_ = Clock::now();
};

std::vector<KnapsackGroup> scored(const SearchConfig& search, const SearchSpace& space, const Measured& measured) {
  std::vector<KnapsackGroup> groups;
  for (const SearchGroup& group : space.groups) {
    KnapsackGroup& options = groups.emplace_back();
    for (const SearchOption& option : group.options)
      options.push_back(
          {option.bits, quantizes(search, option.candidate) ? measured.at(score_name(option.candidate, group)) : 0});
  }
  return groups;
}

std::vector<std::size_t> best_choice(const SearchSpace& space, const std::vector<KnapsackGroup>& groups,
                                     double effective_bits) {
  const auto choice = solve_knapsack(groups, space.budget(effective_bits) - space.kept_bits);
  if (!choice)
    throw Error({.who = "search",
                 .expected = fmt::format("a budget of at least {:.5f} effective bits",
                                         space.effective_bits(space.least_bits())),
                 .got = fmt::format("{}", effective_bits)},
                ExitCode::usage);
  return *choice;
}

// A model whose groups can be switched between all candidates, their quantizers calibrated each with all groups in that
// candidate; kept layers and keys and values are as the teacher has them.
class Switchable {
 public:
  Switchable(const Recipe& recipe, const SearchSpace& space, const Materials& materials)
      : space_(space), slots_(recipe.search->candidates.size()) {
    Recipe plain = recipe;
    plain.quantize.rules.clear();
    plain.quantize.kv_cache = "none";
    model_ = make_student(plain, materials.teacher.get(), nullptr).model;
    freeze(*model_);
    plain_ = slots_of(*model_);
    for (std::size_t k = 0; k < slots_.size(); ++k) {
      if (!quantizes(*recipe.search, k)) continue;
      for (LinearGroup* group : model_->linear_groups()) group->input_slot = nullptr;
      quantizers_.push_back(attach_quantizers(
          *model_, with_choice(plain.quantize, *recipe.search, space, all_in(space, k)), recipe.calibrate.algorithm));
      calibrate(*model_, quantizers_.back(), materials.calibration, {}, recipe.calibrate);
      slots_[k] = slots_of(*model_);
    }
    for (std::size_t i = 0; i < space.groups.size(); ++i) put(i, kDense);
  }

  [[nodiscard]] LanguageModel& model() { return *model_; }
  void put(std::size_t group, std::size_t candidate) {
    const bool is_plain = candidate == kDense || slots_[candidate].empty();
    put_slots(*model_, is_plain ? plain_ : slots_[candidate], space_.groups[group].inputs);
  }

 private:
  const SearchSpace& space_;
  std::unique_ptr<LanguageModel> model_;
  std::vector<QuantizerSet> quantizers_;
  std::vector<SlotsByGroup> slots_;  // by candidate; empty: nothing is quantized
  SlotsByGroup plain_;
};

class Search {
 public:
  Search(const Recipe& recipe, const Materials& materials, const RunFolder& folder)
      : recipe_(recipe),
        search_(*recipe.search),
        materials_(materials),
        space_(search_space(linear_shapes(student_config(recipe)), recipe.quantize, search_)),
        measured_(folder.search(), materials.inputs) {}

  // Measures what is not measured yet, and saves it. Returns the best choice.
  std::vector<std::size_t> measure() {
    if (measured_.count() > 0) log_info("the search goes on after {} figures", measured_.count());
    try {
      score();
      measure_curve();
      measured_.save();
      return best(search_.effective_bits);
    } catch (const Stopped&) {
      measured_.save();
      log_info("stopped in its search; {} figures are saved", measured_.count());
      throw;
    }
  }

  [[nodiscard]] QuantizeConfig config_of(const std::vector<std::size_t>& choice) const {
    return with_choice(recipe_.quantize, search_, space_, choice);
  }
  [[nodiscard]] double bits_of(const std::vector<std::size_t>& choice) const {
    return space_.effective_bits(space_.bits_of(choice));
  }

 private:
  [[nodiscard]] std::vector<std::size_t> best(double effective_bits) const {
    return best_choice(space_, scored(search_, space_, measured_), effective_bits);
  }

  // Both are made when the first figure asks for them.
  Switchable& model() {
    if (!model_) model_.emplace(recipe_, space_, materials_);
    return *model_;
  }
  double kl() {
    if (!kl_) kl_.emplace(*materials_.teacher, materials_.search);
    return (*kl_)(model().model());
  }
  void score() {
    std::int64_t passes = 0;
    for (const SearchGroup& group : space_.groups)
      for (const SearchOption& option : group.options)
        if (quantizes(search_, option.candidate) && !measured_.has(score_name(option.candidate, group))) ++passes;
    if (passes == 0) return;
    log_info("search: {} groups, {} scores on {} tokens", space_.groups.size(), passes, tokens());
    CountProgress progress(stderr_terminal(), "autoquantize", "scores", passes);
    if (search_.score == SearchScore::gradient) return estimate(progress);
    if (!measured_.has(kPlain)) measured_.add(kPlain, kl());
    const double plain = measured_.at(kPlain);
    std::int64_t done = 0;
    for (std::size_t i = 0; i < space_.groups.size(); ++i)
      for (const SearchOption& option : space_.groups[i].options) {
        const std::string name = score_name(option.candidate, space_.groups[i]);
        if (!quantizes(search_, option.candidate) || measured_.has(name)) continue;
        model().put(i, option.candidate);
        measured_.add(name, kl() - plain);
        model().put(i, kDense);
        ++done;
        progress.update(done, done * tokens());
      }
  }

  // A candidate is estimated whole or not at all.
  void estimate(CountProgress& progress) {
    std::int64_t done = 0;
    for (std::size_t k = 0; k < search_.candidates.size(); ++k) {
      std::vector<std::size_t> places;
      std::vector<const SearchGroup*> groups;
      for (std::size_t i = 0; i < space_.groups.size(); ++i) {
        const SearchGroup& group = space_.groups[i];
        if (!offers(group, k) || !quantizes(search_, k) || measured_.has(score_name(k, group))) continue;
        places.push_back(i);
        groups.push_back(&group);
      }
      if (groups.empty()) continue;
      const std::vector<double> scores = gradient_scores(
          model().model(), materials_.search, groups,
          [&](std::size_t i, bool on) { model().put(places[i], on ? k : kDense); }, [](std::int64_t) {});
      for (std::size_t i = 0; i < groups.size(); ++i) measured_.add(score_name(k, *groups[i]), scores[i]);
      done += std::ssize(groups);
      progress.update(done, done * tokens());
    }
  }

  // The other budgets; the run itself measures its own.
  void measure_curve() {
    for (const double budget : search_.curve) {
      if (budget == search_.effective_bits || measured_.has(kl_name(budget))) continue;
      Recipe recipe = recipe_;
      recipe.quantize = config_of(best(budget));
      Student student = make_student(recipe, materials_.teacher.get(), nullptr);
      if (!student.quantizers.empty())
        calibrate(*student.model, student.quantizers, materials_.calibration, {}, recipe_.calibrate);
      const EvalFigures figures = evaluate(*student.model, materials_.teacher.get(), materials_.evaluation);
      log_info("search: at {} effective bits held-out KL {:.6f}", budget, figures.kl_mean);
      measured_.add(error_name(budget), figures.kl_mean_stderr);
      measured_.add(kl_name(budget), figures.kl_mean);
    }
  }

  [[nodiscard]] std::int64_t tokens() const {
    std::int64_t tokens = 0;
    for (const TokenBatch& batch : materials_.search) tokens += batch.size();
    return tokens;
  }

  const Recipe& recipe_;
  const SearchConfig& search_;
  const Materials& materials_;
  SearchSpace space_;
  Measured measured_;
  std::optional<Switchable> model_;
  std::optional<KlToTeacher> kl_;
};

void write_found(const RunFolder& folder, const SearchConfig& search, const QuantizeConfig& found) {
  write_file_atomically(
      folder.quantize(),
      fmt::format("# Chosen by kind: autoquantize for {} effective bits. A recipe of kind ptq, qat or "
                  "qad that imports this file quantizes so.\n{}",
                  search.effective_bits, quantize_text(found)));
}

}  // namespace

Recipe search_formats(const Recipe& recipe, const Materials& materials, const RunFolder& folder) {
  Recipe found = recipe;
  if (fs::exists(folder.quantize())) {
    found.quantize = read_recipe(folder).quantize;
    return found;
  }
  Search search(recipe, materials, folder);
  const std::vector<std::size_t> choice = search.measure();
  found.quantize = search.config_of(choice);
  log_info("search: {:.5f} effective bits of {}; {} says in which formats", search.bits_of(choice),
           recipe.search->effective_bits, folder.quantize().string());
  write_found(folder, *recipe.search, found.quantize);
  return found;
}

void bring_back_found(const RunFolder& folder) {
  if (fs::exists(folder.quantize())) return;
  const Recipe given = read_given_recipe(folder);
  if (!given.row().searches) return;
  const CheckpointFolder checkpoints(folder.checkpoints(), given.checkpoint.keep);
  auto found = checkpoints.newest_whole();
  if (!found) found = checkpoints.best();
  if (!found || !found->content.texts.contains("recipe")) return;
  const Recipe recipe = parse_recipe(found->content.texts.at("recipe"), found->file.string() + ": recipe");
  log_info("{} is missing and made again from {}", folder.quantize().string(), found->file.string());
  write_found(folder, *given.search, recipe.quantize);
}

void add_search(const RunFolder& folder, RunSummary& summary) {
  const Recipe recipe = read_given_recipe(folder);
  const SearchConfig& search = *recipe.search;
  const SearchSpace space = search_space(linear_shapes(student_config(recipe)), recipe.quantize, search);
  const Measured measured(folder.search(), {});
  std::vector<KnapsackGroup> groups;
  try {
    groups = scored(search, space, measured);
  } catch (const std::out_of_range&) {
    log_warning("{} is damaged or gone: the summary is without what the search measured", folder.search().string());
    return;
  }
  std::vector<double> budgets = {search.effective_bits};
  for (const double budget : search.curve)
    if (std::ranges::find(budgets, budget) == budgets.end()) budgets.push_back(budget);
  for (const double budget : budgets) {
    const std::vector<std::size_t> choice = best_choice(space, groups, budget);
    SearchPointSummary& point = summary.search_curve.emplace_back();
    point.budget = budget;
    point.bits = space.effective_bits(space.bits_of(choice));
    for (std::size_t i = groups.size(); i-- > 0;) point.score = groups[i][choice[i]].score + point.score;
    if (budget != search.effective_bits) {
      if (measured.has(kl_name(budget))) point.kl = measured.at(kl_name(budget));
      if (measured.has(error_name(budget))) point.kl_stderr = measured.at(error_name(budget));
      continue;
    }
    point.kl = summary.eval.kl_mean;
    point.kl_stderr = summary.eval.kl_mean_stderr;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const SearchGroup& group = space.groups[i];
      SearchGroupSummary& told = summary.searched.emplace_back();
      told.group = group.name;
      told.weights = group.weights;
      told.chosen = candidate_name(search, group.options[choice[i]].candidate);
      for (std::size_t option = 0; option < groups[i].size(); ++option)
        told.options.push_back({candidate_name(search, group.options[option].candidate),
                                static_cast<double>(groups[i][option].cost) / static_cast<double>(group.weights),
                                groups[i][option].score});
    }
  }
}

}  // namespace qad
