#include "qad/verbs/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <utility>

#include "autograd/base/parallel.h"
#include "autograd/kernels/table.h"
#include "qad/plan/plan_json.h"
#include "qad/plan/plan_run.h"
#include "qad/report/facts.h"
#include "qad/report/format.h"
#include "qad/report/json_text.h"
#include "qad/report/machine.h"
#include "qad/report/quantizer_text.h"
#include "qad/report/table.h"
#include "qad/verbs/show.h"

namespace qad::verbs {
namespace {

void print_parameters(const PlanSubject& subject, std::ostream& print) {
  const std::int64_t all = parameter_count(*subject.student);
  Table table({{"parameters", Align::left}, {"count"}, {"share"}});
  for (const auto& [part, count] : parameters_by_part(subject))
    table.add_row({part, std::to_string(count), format_percent(static_cast<double>(count) / static_cast<double>(all))});
  table.add_row({subject.student->config().tie_word_embeddings ? "all (the head is the embedding)" : "all",
                 std::to_string(all), ""});
  print << table.text();
  if (subject.quantizers.empty()) return;
  print << "\n" << text_of(quantizer_table(subject.quantizers));
  print << text_of({{"all parameters", format_significant(bits_per_weight(*subject.student, subject.quantizers)) +
                                           " bits each, as exported"}});
}

std::vector<Fact> text_facts(const PlanSubject& subject) {
  const PlannedText& text = subject.text;
  const TrainConfig& train = subject.recipe.train;
  std::vector<Fact> facts;
  if (subject.answers_problems()) {
    const GrpoConfig& grpo = *subject.recipe.grpo;
    facts.push_back(
        {"training", fmt::format("{} steps of {} prompts with {} answers each, at most {:.0f} tokens a step",
                                 train.steps, grpo.prompts, grpo.group_size, tokens_per_step(subject))});
  } else if (text.train_sequences > 0) {
    facts.push_back({"training text", fmt::format("{}{} documents, {} tokens in {} sequences",
                                                  text.is_beginning ? "at least "
                                                  : text.estimated  ? "at most "
                                                                    : "",
                                                  text.train_documents, text.train_tokens, text.train_sequences)});
  }
  if (subject.trains() && !subject.answers_problems()) {
    const double tokens = tokens_per_step(subject), steps = static_cast<double>(train.steps);
    facts.push_back(
        {"training",
         fmt::format("{} steps of {} sequences, {:.0f} tokens on average: {} tokens, {:.2f} epochs", train.steps,
                     train.batch_size, tokens, format_count(steps * tokens),
                     steps * static_cast<double>(train.batch_size) / static_cast<double>(text.train_sequences))});
  }
  facts.push_back({"held-out text", fmt::format("{} documents, {} tokens", text.eval_documents, text.eval_tokens)});
  if (const PlanSubject::Search& search = subject.search; search.groups > 0)
    facts.push_back(
        {"search", fmt::format("{} groups of layers, {} scores on {} tokens, {} further budgets; what "
                               "stands above is all of it in the first candidate",
                               search.groups, search.scores, subject.recipe.search->tokens, search.budgets)});
  return facts;
}

std::vector<Fact> file_facts(const PlannedFiles& files) {
  std::vector<Fact> facts = {
      {"checkpoints", fmt::format("{} of {} each, and the best one of {}", files.checkpoints,
                                  format_bytes(files.checkpoint_bytes), format_bytes(files.best_bytes))}};
  if (files.moments_bytes > 0)
    facts.push_back({"AdamW's moments", format_bytes(files.moments_bytes) + " on the disk while it trains"});
  for (const auto& [format, bytes] : files.exports) facts.push_back({"export " + format, format_bytes(bytes)});
  return facts;
}

Table memory_table(const MemoryPlan& memory) {
  Table table({{"memory", Align::left}, {"bytes"}, {"share"}});
  const auto add = [&](const char* what, std::int64_t bytes) {
    if (bytes != 0)
      table.add_row({what, format_bytes(bytes),
                     format_percent(static_cast<double>(bytes) / static_cast<double>(memory.total()))});
  };
  add("teacher's weights", memory.teacher);
  add("reference's weights", memory.reference);
  add("student's weights, FP32", memory.student);
  add("gradients", memory.gradients);
  add("AdamW's moments", memory.moments);
  add("quantized weights", memory.weight_codes);
  add("activations kept for backward", memory.activations);
  add("logits of a chunk", memory.logits);
  add("working memory", memory.working);
  add("more for the exports", memory.exports);
  add("program, text, kernels' buffers", memory.process);
  table.add_row({"peak", format_bytes(memory.total()), ""});
  return table;
}

Table time_table(const TimePlan& time) {
  Table table({{"a step", Align::left}, {"ms"}, {"share"}, {"GFLOP"}, {"GFLOP/s"}});
  const auto add = [&](const char* what, const Cost& cost) {
    if (cost.seconds == 0) return;
    table.add_row({what, format_significant(1e3 * cost.seconds), format_percent(cost.seconds / time.step().seconds),
                   cost.operations > 0 ? format_significant(cost.operations / 1e9) : "",
                   cost.operations > 0 ? format_significant(cost.operations / cost.seconds / 1e9, 3) : ""});
  };
  add("answers, at their full length", time.answers);
  add("teacher's layers", time.teacher_layers);
  add("reference's layers", time.reference_layers);
  add("student's layers, forward and backward", time.student_layers);
  add("heads and loss", time.head);
  add("optimizer", time.optimizer);
  add("all", time.step());
  return table;
}

// Text on a plan that can't be carried out here; empty if it can.
std::string memory_warning(std::int64_t peak) {
  const std::int64_t machine = this_machine().memory_bytes;
  if (peak <= machine) return "";
  return fmt::format(
      "the peak of {} is more than this machine's {}: a smaller train.micro_batch_size or evaluate.batch_size, a "
      "shorter "
      "data.sequence_length, train.activation_checkpointing: block or train.adamw.moments: bf16 take less\n",
      format_bytes(peak), format_bytes(machine));
}

// One run, in full.
void print_run(const RunPlan& plan, std::ostream& print) {
  const auto& [subject, time, memory, seconds, ranks] = plan;
  print_parameters(subject, print);
  print << "\n" << text_of(text_facts(subject)) << text_of(file_facts(planned_files(subject)));
  print << "\n" << memory_table(memory).text() << memory_warning(memory.total()) << "\n";
  if (ranks > 1)
    print << text_of({{"ranks", fmt::format("{}; the memory is that of the first, times are those of one rank", ranks)},
                      {"a rank sends", format_bytes(plan.bytes_sent_per_step()) + " a step"}})
          << "\n";
  if (subject.trains()) {
    print << time_table(time).text();
    print << fmt::format("attention's own products, in the layers: {} GFLOP\n",
                         format_significant(time.attention_operations / 1e9));
  }
  if (subject.search.groups > 0) print << text_of({{"search", format_duration(time.search_seconds)}});
  print << text_of({{"evaluation", format_duration(time.evaluation_seconds)},
                    {"the whole run", format_duration(seconds)},
                    {"machine", text_of(this_machine())},
                    {"kernels", fmt::format("{}, {} threads", kernel_description(), threads())}});
}

// A comparison: each arm in a row, each of its learning rates run.
void print_arms(const std::vector<ArmPlan>& arms, const PlanSubject& first, std::ostream& print) {
  Table table({{"arm", Align::left}, {"runs"}, {"steps"}, {"tokens"}, {"ms a step"}, {"peak memory"}, {"time"}});
  double seconds = 0;
  std::int64_t peak = 0;
  for (const ArmPlan& arm : arms) {
    table.add_row({arm.name, std::to_string(arm.runs), std::to_string(arm.steps), format_count(arm.tokens),
                   arm.steps > 0 ? format_significant(1e3 * arm.seconds_per_step) : "", format_bytes(arm.peak_bytes),
                   format_duration(arm.seconds)});
    seconds += arm.seconds;
    peak = std::max(peak, arm.peak_bytes);
  }
  print_parameters(first, print);
  print << "\n" << table.text();
  print << text_of(
      {{"peak memory", format_bytes(peak)}, {"time", format_duration(seconds)}, {"machine", text_of(this_machine())}});
  print << memory_warning(peak);
}

void plan_comparison(const Recipe& recipe, bool json, std::ostream& print) {
  const PlannedText text = plan_text(recipe);
  std::vector<ArmPlan> plans;
  std::optional<PlanSubject> first;
  for (const Arm& arm : expand_arms(recipe)) {
    RunPlan one = plan_run(plan_subject(arm.candidates.front().front().recipe, text));
    plans.push_back(arm_plan(arm, one));
    if (!first) first = std::move(one.subject);
  }
  if (json) print << json_text(json_of(plans, *first));
  else print_arms(plans, *first, print);
}

void plan_one(const Recipe& recipe, std::int64_t ranks, bool json, std::ostream& print) {
  const RunPlan plan = plan_run(plan_subject(recipe, plan_text(recipe)), ranks);
  if (json) print << json_text(json_of(plan));
  else print_run(plan, print);
}

void plan_streamed(const Recipe& recipe, bool json, std::ostream& print) {
  const std::vector<StreamedSizes> all = streamed_sizes(recipe);
  if (json) {
    print << json_text(json_of(all));
    return;
  }
  Table table({{"export", Align::left}, {"of weights"}, {"in its files"}, {"parts"}, {"memory at most"}});
  for (const StreamedSizes& one : all)
    table.add_row({one.format, format_bytes(one.source_bytes), format_bytes(one.export_bytes),
                   std::to_string(one.parts), format_bytes(one.memory_bytes)});
  print << table.text();
}

}  // namespace

ExitCode plan(const PlanOptions& options, std::ostream& print) {
  const Recipe recipe = load_recipe_to_run(options.recipe, options.overrides);
  set_threads(static_cast<int>(recipe.threads));
  if (options.ranks < 1 || (options.ranks > 1 && recipe.row().is_comparison))
    throw Error({.who = "--ranks",
                 .expected = options.ranks < 1 ? "at least 1" : "a recipe of one run",
                 .got = options.ranks < 1 ? std::to_string(options.ranks) : "a comparison"},
                ExitCode::usage);
  if (options.ranks > 1 && recipe.train.shards < options.ranks && recipe.row().steps != Steps::none)
    throw Error({.who = "train.shards",
                 .expected = fmt::format("at least the {} ranks", options.ranks),
                 .got = std::to_string(recipe.train.shards),
                 .hint = "more ranks than shards idle"},
                ExitCode::usage);
  if (recipe.stream) plan_streamed(recipe, options.json, print);
  else if (recipe.row().is_comparison) plan_comparison(recipe, options.json, print);
  else plan_one(recipe, options.ranks, options.json, print);
  return ExitCode::done;
}

}  // namespace qad::verbs
