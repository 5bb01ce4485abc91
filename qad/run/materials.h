// What the arms of a comparison share, loaded once from a recipe: teacher, tokenizer and text.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "data/text/loader.h"
#include "data/tokenizer/tokenizer.h"
#include "models/language_model.h"
#include "qad/checkpoint/run_inputs.h"
#include "qad/recipe/recipe.h"
#include "qad/run/run_folder.h"
#include "qad/train/problem_evaluator.h"

namespace qad {

struct Materials {
  std::filesystem::path model_folder;        ///< base_folder of the recipe
  std::unique_ptr<LanguageModel> teacher;    ///< null for stages that make one
  std::unique_ptr<LanguageModel> reference;  ///< of reinforcement learning: the model as it was
  std::unique_ptr<Tokenizer> tokenizer;      ///< null if nothing needs one
  std::unique_ptr<PackedSequences> train;    ///< null if nothing trains
  std::vector<TokenBatch> evaluation;
  std::vector<TokenBatch> calibration;
  std::vector<TokenBatch> search;                ///< what formats are scored on, where the kind searches
  RunInputs inputs;                              ///< models and text, for checkpoints
  std::vector<AnsweredProblem> teacher_answers;  ///< to evaluate.problems; a comparison fills them in
};

/// Loads what the recipe names; text that the teacher must write first is made, or taken from `folder` where an earlier
/// start of this run left it.
[[nodiscard]] Materials load_materials(const Recipe& recipe, const RunFolder& folder);

/// Of these, text to calibrate on alone, for who has no model in memory; nothing where the recipe needs none.
[[nodiscard]] Materials load_calibration_text(const Recipe& recipe);

/// What sources are read with.
struct TextReader {
  const Tokenizer* tokenizer = nullptr;  ///< null will do for token files
  std::int64_t vocabulary = 0;           ///< ids are below it
  std::filesystem::path model_folder;    ///< where a tokenizer was looked for, for messages
  TextFormat format;                     ///< what `data` says for all sources
  /// Text that the teacher writes, `use` naming it among others; empty where no source can ask for that.
  std::function<Documents(const TeacherTextConfig& config, const TextFormat& format, const std::string& use)> written;
};
/// Reads any source or mixture. `use` is its place in the recipe's data section, such as eval. Throws Error as
/// load_documents does, and where text meets no tokenizer.
[[nodiscard]] Documents read_source(const MixtureConfig& source, const std::string& use, const TextReader& reader);
/// The function `written` of a run: what the teacher writes is kept in its folder. All must outlive it.
[[nodiscard]] std::function<Documents(const TeacherTextConfig&, const TextFormat&, const std::string&)> teacher_writer(
    LanguageModel& teacher, const Tokenizer* tokenizer, const RunFolder& folder);

/// Whether reading the source, or any of the recipe, has the teacher write text into the run's folder first.
[[nodiscard]] bool lacks_teacher_text(const SourceConfig& source, const std::string& use, const RunFolder& folder);
[[nodiscard]] bool lacks_teacher_text(const Recipe& recipe, const RunFolder& folder);

/// The text that calibration sees: sequences drawn with calibrate.seed until there are calibrate.tokens, whatever the
/// size of the batches that they then come in (evaluate.batch_size).
[[nodiscard]] std::vector<TokenBatch> calibration_batches(const PackedSequences& sequences, const Recipe& recipe);
/// The same text as far as a search reads it: search.tokens, drawn with search.seed.
[[nodiscard]] std::vector<TokenBatch> search_batches(const PackedSequences& sequences, const Recipe& recipe);
/// The sizes of the batches of calibration alone.
[[nodiscard]] std::vector<std::int64_t> calibration_tokens(const PackedSequences& sequences, const Recipe& recipe);

/// Throws Error unless at least one token of the sequences is a label. `use` as in read_source; `why` says who needs
/// one, such as "kind: qat".
void require_labels(const PackedSequences& sequences, const std::string& use, std::string_view why);

/// Logs a warning where held-out figures can have no standard error, since all of the text is one document, and where
/// it is (in part) the text that is trained on (null: nothing trains).
void warn_of_held_out_text(const PackedSequences& held_out, const PackedSequences* training);

/// Logs a warning where sequences may be longer than the model's context: rotary positions go on beyond it, but the
/// model has never seen them.
void warn_beyond_context(std::int64_t sequence_length, const ModelConfig& model);

/// All sequences in order, `batch_size` at a time.
[[nodiscard]] std::vector<TokenBatch> all_batches(const PackedSequences& sequences, std::int64_t batch_size);

/// The tokenizer of a recipe's data: its own, or the one in the model's folder; null if that has none.
[[nodiscard]] std::unique_ptr<Tokenizer> find_tokenizer(const DataConfig& data, const std::filesystem::path& model);

}  // namespace qad
