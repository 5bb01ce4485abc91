#include "qad/verbs/materials.h"

#include <algorithm>

#include "autograd/core/error.h"
#include "autograd/core/log.h"
#include "data/documents.h"
#include "models/model_folder.h"
#include "qad/verbs/teacher_text.h"

namespace qad::verbs {
namespace fs = std::filesystem;
namespace {

class Sources {
 public:
  Sources(const Recipe& recipe, const RunFolder& folder, const Materials& materials)
      : recipe_(recipe), folder_(folder), materials_(materials) {}

  [[nodiscard]] Documents read(const SourceConfig& source, const std::string& use) const {
    const std::string who = "data." + use;
    const std::int64_t vocabulary =
        materials_.teacher ? materials_.teacher->config().vocab_size : recipe_.model->vocab_size;
    if (source.teacher_text) {
      Documents documents = teacher_text(*source.teacher_text, *materials_.teacher, materials_.tokenizer.get(),
                                         folder_.teacher_text(use));
      documents.restrict_to(source.skip_documents, source.tokens);
      check_documents(documents, vocabulary);
      return documents;
    }
    if (!source.token_file) need_tokenizer(who);
    return load_documents(source, materials_.tokenizer.get(), vocabulary, who);
  }

  [[nodiscard]] PackedSequences pack(Documents documents) const {
    return {std::move(documents), recipe_.data.packing, recipe_.data.sequence_length};
  }

 private:
  void need_tokenizer(const std::string& who) const {
    if (materials_.tokenizer == nullptr)
      throw Error({who, "a tokenizer", "none in " + materials_.model_folder.string(), "set data.tokenizer"});
  }

  const Recipe& recipe_;
  const RunFolder& folder_;
  const Materials& materials_;
};

}  // namespace

std::unique_ptr<Tokenizer> find_tokenizer(const DataConfig& data, const fs::path& model) {
  if (data.tokenizer) return load_tokenizer(*data.tokenizer);
  for (const char* name : {"tokenizer.json", "tokenizer.bin", "vocab.json", "bytes.json"})
    if (!model.empty() && fs::is_regular_file(model / name)) return load_tokenizer(model);
  return nullptr;
}

std::vector<TokenBatch> all_batches(const PackedSequences& sequences, std::int64_t batch_size) {
  std::vector<TokenBatch> batches;
  for (std::int64_t begin = 0; begin < sequences.count(); begin += batch_size)
    batches.push_back(sequences.batch(begin, begin + batch_size));
  return batches;
}

Materials load_materials(const Recipe& recipe, const RunFolder& folder) {
  Materials materials;
  if (recipe.teacher) {
    materials.model_folder = recipe.teacher->model;
    const bool as_stored = recipe.teacher->weights == TeacherWeights::file;
    materials.teacher = load_model(materials.model_folder, as_stored ? WeightType::file : WeightType::bf16);
  }
  materials.tokenizer = find_tokenizer(recipe.data, materials.model_folder);
  if (materials.tokenizer != nullptr)
    check_vocabulary(*materials.tokenizer,
                     materials.teacher ? materials.teacher->config().vocab_size : recipe.model->vocab_size,
                     materials.teacher ? materials.model_folder.string() : "model.vocab_size");

  const Sources sources(recipe, folder, materials);
  materials.evaluation = all_batches(sources.pack(sources.read(recipe.data.eval, "eval")), recipe.evaluate.batch_size);
  if (recipe.kind != RecipeKind::ptq || !recipe.calibrate.source)
    materials.train = std::make_unique<PackedSequences>(sources.pack(sources.read(recipe.data.train, "train")));
  if (recipe.kind == RecipeKind::pretrain) return materials;

  // Calibration sees the training text (or its own), drawn with a seed of its own, until it has enough tokens.
  std::unique_ptr<PackedSequences> own;
  if (recipe.calibrate.source)
    own = std::make_unique<PackedSequences>(sources.pack(sources.read(*recipe.calibrate.source, "calibrate")));
  const PackedSequences& calibration = own ? *own : *materials.train;
  Loader loader(calibration, DataOrder::shuffled, static_cast<std::uint64_t>(recipe.calibrate.seed));
  std::int64_t tokens = 0;
  while (tokens < recipe.calibrate.tokens && loader.position() < calibration.count()) {
    materials.calibration.push_back(
        loader.next(std::min(recipe.evaluate.batch_size, calibration.count() - loader.position())));
    tokens += materials.calibration.back().size();
  }
  return materials;
}

}  // namespace qad::verbs
