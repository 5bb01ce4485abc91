#include "qad/verbs/materials.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "autograd/core/error.h"
#include "autograd/core/log.h"
#include "autograd/core/place.h"
#include "data/documents.h"
#include "models/hf_config.h"
#include "models/model_folder.h"
#include "models/rotary.h"
#include "qad/exporters/export_marker.h"
#include "qad/verbs/teacher_text.h"

namespace qad::verbs {
namespace fs = std::filesystem;
namespace {

// Some kinds learn next tokens or are measured by them, also as an arm; distillation learns from every position.
std::optional<RecipeKind> kind_that_needs_labels(const Recipe& recipe) {
  if (has_cross_entropy(recipe.kind)) return recipe.kind;
  const auto is_qat = [](const ArmConfig& arm) { return arm.kind == RecipeKind::qat; };
  return std::ranges::any_of(recipe.arms, is_qat) ? std::optional(RecipeKind::qat) : std::nullopt;
}

}  // namespace

std::unique_ptr<Tokenizer> find_tokenizer(const DataConfig& data, const fs::path& model) {
  if (data.tokenizer) return load_tokenizer(*data.tokenizer);
  return has_tokenizer(model) ? load_tokenizer(model) : nullptr;
}

bool has_tokenizer(const fs::path& model) {
  if (model.empty()) return false;
  const auto names = {"tokenizer.json", "tokenizer.model", "tokenizer.bin", "vocab.json", "bytes.json"};
  return std::ranges::any_of(names, [&](const char* name) { return place_at(model / name) != Place::nothing; });
}

ModelConfig base_config(const Recipe& recipe) {
  return recipe.kind == RecipeKind::pretrain ? *recipe.model : read_hf_config(base_folder(recipe));
}

std::unique_ptr<LanguageModel> load_teacher(const TeacherConfig& teacher) {
  check_export(teacher.model);
  return load_model(teacher.model, teacher.weights == TeacherWeights::file ? WeightType::file : WeightType::bf16);
}

Documents read_source(const SourceConfig& source, const std::string& use, const TextReader& reader) {
  const std::string who = "data." + use;
  if (source.teacher_text) {
    QAD_ASSERT(reader.teacher != nullptr);
    Documents documents =
        teacher_text(*source.teacher_text, *reader.teacher, reader.tokenizer, reader.folder.teacher_text(use));
    documents.restrict_to(source.skip_documents, source.tokens);
    check_documents(documents, reader.vocabulary);
    return documents;
  }
  if (!source.token_file && !source.random_tokens && reader.tokenizer == nullptr)
    throw Error({who, "a tokenizer", "none in " + reader.model_folder.string(), "set data.tokenizer"});
  return load_documents(source, reader.tokenizer, reader.vocabulary, who);
}

bool lacks_teacher_text(const SourceConfig& source, const std::string& use, const RunFolder& folder) {
  return source.teacher_text && !fs::exists(folder.teacher_text(use));
}

bool lacks_teacher_text(const Recipe& recipe, const RunFolder& folder) {
  return lacks_teacher_text(recipe.data.eval, "eval", folder) ||
         (trains_on_text(recipe) && lacks_teacher_text(recipe.data.train, "train", folder)) ||
         (recipe.calibrate.source && lacks_teacher_text(*recipe.calibrate.source, "calibrate", folder));
}

void require_labels(const PackedSequences& sequences, const std::string& use, std::string_view why) {
  if (sequences.has_labels()) return;
  throw Error({fmt::format("data.{}: {}", use, sequences.documents().source),
               fmt::format("a token to predict, as {} needs", why), "none",
               "every token is masked, part of a prompt, or the first of its document"});
}

void warn_beyond_context(std::int64_t sequence_length, const ModelConfig& model) {
  if (sequence_length > rotary_positions(model))
    throw Error({"data.sequence_length",
                 fmt::format("at most max_position_embeddings, {}", model.max_position_embeddings),
                 std::to_string(sequence_length), "beyond it rope_scaling dynamic depends on what was read before"});
  if (sequence_length > model.max_position_embeddings)
    log_warning(
        "data.sequence_length {} is above the model's max_position_embeddings {}: longer documents reach "
        "positions that it has never seen",
        sequence_length, model.max_position_embeddings);
}

std::vector<TokenBatch> all_batches(const PackedSequences& sequences, std::int64_t batch_size) {
  std::vector<TokenBatch> batches;
  for (std::int64_t begin = 0; begin < sequences.count(); begin += batch_size)
    batches.push_back(sequences.batch(begin, begin + batch_size));
  return batches;
}

std::vector<TokenBatch> calibration_batches(const PackedSequences& sequences, const Recipe& recipe) {
  Loader loader(sequences, DataOrder::shuffled, static_cast<std::uint64_t>(recipe.calibrate.seed));
  for (std::int64_t tokens = 0; tokens < recipe.calibrate.tokens && loader.position() < sequences.count();)
    tokens += loader.next(1).size();
  const std::int64_t count = loader.position();
  loader.seek(0);
  std::vector<TokenBatch> batches;
  while (loader.position() < count)
    batches.push_back(loader.next(std::min(recipe.evaluate.batch_size, count - loader.position())));
  return batches;
}

Materials load_materials(const Recipe& recipe, const RunFolder& folder) {
  Materials materials;
  materials.model_folder = base_folder(recipe);
  if (recipe.teacher) materials.teacher = load_teacher(*recipe.teacher);
  const ModelConfig base = base_config(recipe);
  materials.tokenizer = find_tokenizer(recipe.data, materials.model_folder);
  if (materials.tokenizer != nullptr)
    check_vocabulary(*materials.tokenizer, base.vocab_size,
                     materials.model_folder.empty() ? "model.vocab_size" : materials.model_folder.string());

  const TextReader reader{materials.tokenizer.get(), materials.teacher.get(), base.vocab_size, materials.model_folder,
                          folder};
  const auto read = [&](const SourceConfig& source, const std::string& use) {
    return PackedSequences(read_source(source, use, reader), recipe.data.packing, recipe.data.sequence_length);
  };
  const PackedSequences evaluation = read(recipe.data.eval, "eval");
  materials.evaluation = all_batches(evaluation, recipe.evaluate.batch_size);
  if (trains_on_text(recipe)) materials.train = std::make_unique<PackedSequences>(read(recipe.data.train, "train"));
  if (const auto learner = kind_that_needs_labels(recipe)) {
    const std::string why = fmt::format("kind: {}", enum_name(*learner));
    if (materials.train != nullptr) require_labels(*materials.train, "train", why);
    require_labels(evaluation, "eval", why);
  }
  warn_beyond_context(recipe.data.sequence_length, base);
  if (makes_teacher(recipe.kind)) return materials;
  materials.calibration = recipe.calibrate.source
                              ? calibration_batches(read(*recipe.calibrate.source, "calibrate"), recipe)
                              : calibration_batches(*materials.train, recipe);
  return materials;
}

}  // namespace qad::verbs
