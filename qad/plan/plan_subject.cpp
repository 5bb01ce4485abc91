#include "qad/plan/plan_subject.h"

#include <algorithm>
#include <cmath>

#include "autograd/base/error.h"
#include "data/files/safetensors.h"
#include "data/text/documents.h"
#include "data/text/loader.h"
#include "models/families/hf_config.h"
#include "models/families/registry.h"
#include "models/import/unread_values.h"
#include "qad/inspect/tensor_table.h"
#include "qad/recipe/model_files.h"
#include "qad/run/materials.h"
#include "qad/run/one_vocabulary.h"
#include "qad/run/stage_of_run.h"
#include "qad/search/search_space.h"
#include "qad/train/problem_prompts.h"

namespace qad {
namespace {

constexpr std::int64_t kForwards = 2000;           // enough to meet every size of batch
constexpr std::int64_t kPlannedPrompts = 1024;     // of the first steps: their lengths are looked at
constexpr std::int64_t kPlannedAnswers = 1 << 14;  // of a step
constexpr std::int64_t kPlannedGroup = 256;        // to a prompt
constexpr std::int64_t kSampledTokens = 1 << 12;   // of a batch that is larger, a plan times so much

std::int64_t documents_within(std::int64_t documents, std::int64_t length) {
  return std::min(documents, std::max<std::int64_t>(1, kPlannedTokens / length));
}

// What the teacher will write, at its longest.
Documents unwritten(const TeacherTextConfig& config) {
  Documents documents;
  documents.source = "teacher_text";
  const std::vector<std::int32_t> document(static_cast<std::size_t>(std::min(config.max_tokens, kPlannedTokens)), 0);
  for (std::int64_t i = 0; i < documents_within(config.documents, config.max_tokens); ++i) documents.add(document);
  return documents;
}

// Its first kPlannedTokens, however long it is.
void shorten(SourceConfig& source) {
  constexpr std::uint64_t kBytes = 8;  // of a token, at the most on average
  source.beginning_bytes = kBytes * kPlannedTokens;
  source.tokens = source.tokens > 0 ? std::min(source.tokens, kPlannedTokens) : kPlannedTokens;
  constexpr std::int64_t kLeast = 16;  // tokens of a story or a problem
  if (source.random_tokens) {
    RandomTokensConfig& random = *source.random_tokens;
    random.length = std::min(random.length, kPlannedTokens);
    random.documents = documents_within(random.documents, random.length);
  }
  if (source.synthetic) source.synthetic->documents = documents_within(source.synthetic->documents, kLeast);
  if (source.problems) source.problems->documents = documents_within(source.problems->documents, kLeast);
}

// The first sequences of a batch, as far as a plan times them.
TokenBatch sample_of(const PackedSequences& sequences, std::int64_t count) {
  std::int64_t wanted = 1;
  while (wanted < std::min(count, sequences.count()) && sequences.tokens(0, wanted) < kSampledTokens) ++wanted;
  return sequences.batch(0, wanted);
}

// Of a weight as memory holds what a model's folder stores; all of them are taken to be like the first.
std::int64_t stored_value_bytes(const std::filesystem::path& folder) {
  constexpr std::int64_t kMost = 4;  // FP64 is read as FP32, and checkpoints hold that
  if (is_run_folder(folder)) return kMost;
  const SafetensorsFolder files(folder);
  for (const SafetensorsFile& file : files.files())
    for (const SafetensorsInfo& tensor : file.tensors())
      if (const TensorLine line = tensor_line(tensor); line.elements > 0)
        return std::min(kMost, line.bytes / line.elements);
  return kMost;
}

// The forwards of the first steps.
void plan_steps(const Recipe& recipe, const PackedSequences& train, PlannedText& text) {
  const std::int64_t batch_size = recipe.train.batch_size;
  const std::int64_t of_shard = batch_size / recipe.train.shards;
  const std::int64_t micro = recipe.train.micro_batch_size > 0 ? recipe.train.micro_batch_size : of_shard;
  text.sample = sample_of(train, std::min(micro, batch_size));
  Loader loader(train, recipe.data.order, static_cast<std::uint64_t>(recipe.seed));
  constexpr std::int64_t kSequences = 1 << 22;  // as many are looked at in a moment
  for (std::int64_t step = 0, looked_at = 0; step < recipe.train.steps; ++step)
    for (std::int64_t done = 0; done < batch_size; done += std::min(micro, of_shard - done % of_shard)) {
      const std::int64_t count = std::min(micro, of_shard - done % of_shard);
      text.micro_batches.push_back(loader.next_tokens(count));
      looked_at += std::min(count, 2 * train.in_epoch());
      if (std::ssize(text.micro_batches) >= kForwards || looked_at >= kSequences) return;
    }
}

// The answers of the first steps, as a step packs them, if each of them is as long as it may be: none goes beyond the
// model's `context`. Of a step with more than a plan looks at, the first, which the others are taken to be like.
void plan_answers(const Recipe& recipe, const Tokenizer& tokenizer, std::int64_t context, PlannedText& text) {
  const GrpoConfig& grpo = *recipe.grpo;
  const ProblemPrompts prompts(grpo, tokenizer);
  const std::int64_t batch =
      recipe.train.micro_batch_size > 0 ? recipe.train.micro_batch_size : recipe.train.batch_size;
  const std::int64_t steps = std::min(recipe.train.steps, std::max<std::int64_t>(1, kPlannedPrompts / grpo.prompts));
  const std::int64_t most_tokens = std::min(context, recipe.data.sequence_length + grpo.max_new_tokens);
  const std::int64_t group =
      std::min({grpo.group_size, kPlannedGroup, std::max<std::int64_t>(2, kPlannedTokens / most_tokens)});
  const std::int64_t most_prompts = std::min(grpo.prompts, kPlannedAnswers / group);
  double all_sequences = 0, all_tokens = 0;
  for (std::int64_t step = 0; step < steps; ++step) {
    Documents answers;
    answers.source = "answers";
    std::int64_t longest = recipe.data.sequence_length, drawn = 0;
    for (; drawn < most_prompts && answers.tokens() < kPlannedTokens; ++drawn) {
      const std::vector<std::int32_t> prompt = prompts.prompt(step * grpo.prompts + drawn);
      text.prompts.push_back(std::ssize(prompt));
      const std::int64_t length =
          std::max(std::ssize(prompt), std::min(context, std::ssize(prompt) + grpo.max_new_tokens));
      longest = std::max(longest, length);
      for (std::int64_t answer = 0; answer < group; ++answer)
        answers.add(std::vector<std::int32_t>(static_cast<std::size_t>(length), 0), std::ssize(prompt));
    }
    const double times = static_cast<double>(grpo.prompts) / static_cast<double>(drawn) *
                         (static_cast<double>(grpo.group_size) / static_cast<double>(group));
    all_tokens += times * static_cast<double>(answers.tokens());
    const PackedSequences sequences(std::move(answers), Packing::documents, longest);
    all_sequences += times * static_cast<double>(sequences.count());
    const double in_step = times * static_cast<double>(sequences.count());
    for (std::int64_t begin = 0; begin < sequences.count(); begin += batch)
      text.micro_batches.push_back(sequences.tokens(begin, std::min(begin + batch, sequences.count())));
    if (batch > sequences.count())  // all that were drawn are part of a batch
      text.micro_batches.back() = static_cast<std::int64_t>(std::min(in_step, static_cast<double>(batch)) /
                                                            static_cast<double>(sequences.count()) *
                                                            static_cast<double>(text.micro_batches.back()));
    if (step == 0) text.sample = sample_of(sequences, batch);
  }
  text.answered_steps = steps;
  text.train_documents = steps * grpo.prompts * grpo.group_size;
  text.train_tokens = std::llround(all_tokens);
  text.train_sequences = std::llround(all_sequences);
}

// Everything in the first candidate: what the search will find nobody knows yet.
void plan_search(PlanSubject& subject) {
  const SearchConfig& search = *subject.recipe.search;
  const SearchSpace space = search_space(linear_shapes(subject.student->config()), subject.recipe.quantize, search);
  const auto quantizes = [](const SearchCandidate& one) { return one.weights != "none"; };
  for (const SearchGroup& group : space.groups)
    subject.search.scores += std::ranges::count_if(group.options, [&](const SearchOption& option) {
      return option.candidate != kDense && quantizes(search.candidates[option.candidate]);
    });
  subject.search.groups = std::ssize(space.groups);
  subject.search.candidates = std::ranges::count_if(search.candidates, quantizes);
  subject.search.budgets = std::ssize(search.curve);
  subject.recipe.quantize = with_choice(subject.recipe.quantize, search, space, all_in(space, 0));
}

}  // namespace

bool PlanSubject::learns_from_teacher() const {
  return recipe.row().judge == Judge::teacher && recipe.row().steps == Steps::text &&
         recipe.loss.kind != LossKind::cross_entropy;
}

std::unique_ptr<LanguageModel> shapes_of(const ModelConfig& config) {
  return make_model(
      config, [](const ParameterSpec& spec) { return make_parameter(spec.name, unread_values(spec.shape), true); });
}

PlannedText plan_text(const Recipe& recipe) {
  const std::filesystem::path model = base_folder(recipe);
  const std::int64_t vocabulary = base_config(recipe).vocab_size;
  const std::unique_ptr<Tokenizer> tokenizer = find_tokenizer(recipe.data, model);
  check_one_vocabulary(models_of(recipe), tokenizer.get(), vocabulary);
  PlannedText text;
  const auto written = [&](const TeacherTextConfig& config, const TextFormat&, const std::string&) {
    text.estimated = true;
    return unwritten(config);
  };
  const TextReader reader{tokenizer.get(), vocabulary, model, recipe.data.format, written};
  const auto pack = [&](MixtureConfig source, const std::string& use) {
    shorten(source);
    if (source.mixture)
      for (WeightedSourceConfig& part : *source.mixture) shorten(part);
    PackedSequences sequences(read_source(source, use, reader), recipe.data.packing, recipe.data.sequence_length);
    const Documents& read = sequences.documents();
    text.is_beginning = text.is_beginning || read.is_beginning || read.tokens() >= kPlannedTokens;
    return sequences;
  };

  const PackedSequences eval = pack(recipe.data.eval, "eval");
  text.eval_documents = eval.documents().count();
  text.eval_tokens = eval.tokens();
  for (std::int64_t begin = 0; begin < eval.count(); begin += recipe.evaluate.batch_size)
    text.evaluation_batches.push_back(
        eval.tokens(begin, begin + std::min(recipe.evaluate.batch_size, eval.count() - begin)));
  text.sample = sample_of(eval, recipe.evaluate.batch_size);
  const bool calibrates = calibrates_on_text(recipe);
  if (calibrates && recipe.calibrate.source)
    text.calibration_batches = calibration_tokens(pack(*recipe.calibrate.source, "calibrate"), recipe);
  if (recipe.row().steps == Steps::answers && recipe.train.steps > 0) {
    if (tokenizer == nullptr) throw needs_tokenizer(model);
    text.estimated = true;
    plan_answers(recipe, *tokenizer, base_config(recipe).max_position_embeddings, text);
  }
  if (!trains_on_text(recipe)) return text;

  const PackedSequences train = pack(recipe.data.train, "train");
  if (calibrates && !recipe.calibrate.source) text.calibration_batches = calibration_tokens(train, recipe);
  text.train_documents = train.documents().count();
  text.train_sequences = train.in_epoch();
  text.train_tokens = train.tokens();
  if (recipe.train.steps > 0) plan_steps(recipe, train, text);
  return text;
}

PlanSubject plan_subject(const Recipe& recipe, const PlannedText& text) {
  PlanSubject subject{recipe, {}, 0, 0, shapes_of(student_config(recipe)), {}, text};
  const ModelConfig& config = subject.student->config();
  warn_beyond_context(recipe.data.sequence_length, config);
  if (recipe.teacher) {
    const TeacherConfig& teacher = *recipe.teacher;
    subject.teacher = base_config(recipe);
    subject.teacher_value_bytes = teacher.weights == TeacherWeights::bf16 ? 2 : stored_value_bytes(teacher.model);
  }
  // The models of a merge come one after the other: sums in double and the first one stay beside the result.
  if (recipe.row().start == Start::merged) subject.start_value_bytes = 12;
  if (recipe.student.model != "teacher") subject.start_value_bytes = stored_value_bytes(recipe.student.model);
  if (recipe.row().searches) plan_search(subject);
  subject.quantizers = attach_quantizers(*subject.student, subject.recipe.quantize, recipe.calibrate.algorithm);
  return subject;
}

}  // namespace qad
