// A tiny teacher, its quantized student and ragged text, trained as qad/verbs does it: every call of run() has fresh
// objects, as a new process would, and goes on from the newest checkpoint.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "autograd/base/interrupt.h"
#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "models/import/model_folder.h"
#include "qad/calib/calibrate.h"
#include "qad/report/metrics_log.h"
#include "qad/train/text_stage.h"
#include "qad/train/trainer.h"
#include "tests/support/paths.h"
#include "tests/support/same_run.h"
#include "tests/support/small_model.h"

namespace qad::testing {

inline ModelConfig tiny_model_config() {
  ModelConfig config = small_config();
  config.vocab_size = 48;
  return config;
}

/// Documents of 3 to 40 tokens with ids below `vocabulary`; the first third of every other one is a prompt.
inline Documents ragged_documents(std::int64_t count, std::uint64_t seed, std::int64_t vocabulary = 48) {
  Random random(seed, stream_of("documents"));
  Documents documents;
  documents.source = "ragged documents";
  for (std::int64_t i = 0; i < count; ++i) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(3 + random.below(38)));
    for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random.below(vocabulary));
    documents.add(ids, i % 2 == 0 ? 0 : static_cast<std::int64_t>(ids.size()) / 3);
  }
  return documents;
}

/// Document i is token i, 32 times.
inline Documents one_token_documents(std::int64_t count) {
  Documents documents;
  documents.source = "one token a document";
  for (std::int64_t i = 0; i < count; ++i) documents.add(std::vector<std::int32_t>(32, static_cast<std::int32_t>(i)));
  return documents;
}

/// Six steps of four sequences, two at a time; evaluations and checkpoints at steps of their own.
inline TrainerConfig tiny_trainer_config() {
  TrainerConfig config;
  config.train.steps = 6;
  config.train.batch_size = 4;
  config.train.micro_batch_size = 2;
  config.train.lr = 3e-3;
  config.train.warmup_steps = 2;
  config.evaluate.every = 2;
  config.checkpoint.every = 3;
  return config;
}

class TinyTraining {
 public:
  explicit TinyTraining(TrainerConfig trainer = tiny_trainer_config(),
                        QuantizeConfig quantize_config = quantize_blocks("nvfp4", "nvfp4"))
      : config(std::move(trainer)), quantize(std::move(quantize_config)), teacher(make_teacher(tiny_model_config())) {}

  /// With larger weights than fresh ones, so that it has opinions.
  static std::unique_ptr<LanguageModel> make_teacher(const ModelConfig& model) {
    const auto fresh = initialize_model(model, 5);
    for (const ParameterPointer& parameter : fresh->parameters())
      if (parameter->value().shape().rank() > 1)
        for (float& value : parameter->value().span()) value *= 8.0f;
    const TemporaryFolder made;
    save_model(made.path(), *fresh, DType::bf16);
    return load_model(made.path(), WeightType::bf16);
  }

  /// `stop` is asked at every poll: yes is a signal.
  RunFinished run(const std::function<bool()>& stop = {}) {
    set_threads(threads);
    steps.clear();
    evaluations.clear();
    student = trainable_copy(*teacher);
    if (perturb_student) perturb_student(*student);
    quantizers = attach_quantizers(*student, quantize);
    if (change_quantizers) change_quantizers(*student, quantizers);
    CheckpointFolder checkpoints(folder / "checkpoints", config.checkpoint.keep);
    Loader loader(train, order, 7);
    MetricsLog metrics(folder / "metrics.jsonl");
    Recorder recorder(*this);
    RunListeners listeners;
    listeners.add(metrics);
    listeners.add(recorder);
    TextStage stage(config.train, config.loss, *student, teacher.get(), loader);
    Trainer trainer(config,
                    {*student, teacher.get(), quantizers, &stage, evaluation, checkpoints, listeners, "recipe"});
    if (const auto found = checkpoints.newest_whole()) trainer.restore(found->content, found->file.string());
    else if (!quantizers.empty()) calibrate(*student, quantizers, evaluation, {quantize.tensor_scale.from});
    RunStarted started;
    started.first_step = trainer.state().step;
    started.evaluation_pending = trainer.state().evaluation_pending;
    listeners.run_started(started);
    const StopQuestion question(stop);
    return trainer.run();
  }

  [[nodiscard]] CheckpointContent newest() const {
    return CheckpointFolder(folder / "checkpoints", 1).newest_whole()->content;
  }
  void expect_same(const TinyTraining& other) const {
    expect_same_checkpoints(folder / "checkpoints", other.folder / "checkpoints");
    EXPECT_EQ(metrics_but_timings(folder / "metrics.jsonl"), metrics_but_timings(other.folder / "metrics.jsonl"));
  }

  TrainerConfig config;
  QuantizeConfig quantize;
  DataOrder order = DataOrder::shuffled;
  int threads = 1;  ///< more are slower on loops as small as these
  std::unique_ptr<LanguageModel> teacher;
  std::function<void(LanguageModel&)> perturb_student;
  std::function<void(LanguageModel&, QuantizerSet&)> change_quantizers;
  PackedSequences train{ragged_documents(60, 1), Packing::documents, 32};
  std::vector<TokenBatch> evaluation = batches(PackedSequences(ragged_documents(12, 2), Packing::documents, 32), 3);
  TemporaryFolder folder;
  // Of the last call of run():
  std::unique_ptr<LanguageModel> student;
  QuantizerSet quantizers;
  std::vector<StepDone> steps;
  std::vector<EvalDone> evaluations;

 private:
  class Recorder final : public RunListener {
   public:
    explicit Recorder(TinyTraining& into) : into_(into) {}
    void step_done(const StepDone& event) override { into_.steps.push_back(event); }
    void eval_done(const EvalDone& event) override { into_.evaluations.push_back(event); }

   private:
    TinyTraining& into_;
  };

  static std::vector<TokenBatch> batches(const PackedSequences& sequences, std::int64_t size) {
    std::vector<TokenBatch> result;
    for (std::int64_t begin = 0; begin < sequences.count(); begin += size)
      result.push_back(sequences.batch(begin, begin + size));
    return result;
  }
};

/// A training that is killed, a third and three quarters of the way, and goes on from its checkpoint on other threads
/// is the one that never was. `make` gives a TinyTraining, anew each time.
template <class Make>
void expect_killing_changes_nothing(Make&& make) {
  struct Killed {};
  const auto undisturbed = make();
  int polls = 0;
  undisturbed->run([&] { return ++polls, false; });
  for (const int moment : {polls / 3, 3 * polls / 4}) {
    SCOPED_TRACE(moment);
    const auto killed = make();
    killed->threads = 3;
    int poll = 0;
    EXPECT_THROW(killed->run([&] { return ++poll == moment ? throw Killed() : false; }), Killed);
    EXPECT_EQ(killed->run().end, RunEnd::planned_steps);
    killed->expect_same(*undisturbed);
  }
}

/// Blocks that are computed again in backward give the same checkpoint.
template <class Training>
void expect_recomputing_changes_nothing() {
  Training plain, recomputed;
  recomputed.config.train.activation_checkpointing = ActivationCheckpointing::block;
  plain.run();
  recomputed.run();
  expect_same_checkpoint(plain.newest(), recomputed.newest());
}

}  // namespace qad::testing
