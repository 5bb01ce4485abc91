#include "qad/run/materials.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/base/place.h"
#include "data/text/documents.h"
#include "data/text/shared_documents.h"
#include "models/layers/rotary.h"
#include "qad/run/named_model.h"
#include "qad/run/one_vocabulary.h"
#include "qad/run/shared_run.h"
#include "qad/run/teacher_text.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

// Some kinds learn next tokens or are measured by them, also as an arm; distillation learns from every position.
std::string kind_that_needs_labels(const Recipe& recipe) {
  const auto needs = [](auto kind) { return about(kind).judge == Judge::next_token; };
  if (needs(recipe.kind)) return std::string(enum_name(recipe.kind));
  const auto arm = std::ranges::find_if(recipe.arms, needs, &ArmConfig::kind);
  return arm != recipe.arms.end() ? std::string(enum_name(arm->kind)) : "";
}

Documents read_one(const SourceConfig& source, const std::string& who, const std::string& use,
                   const TextReader& reader) {
  if (source.teacher_text) {
    QAD_ASSERT(reader.written);
    const TextFormat format = filled_in(filled_in(source.format, reader.format), default_text_format());
    Documents documents = reader.written(*source.teacher_text, format, use);
    documents.restrict_to(source.skip_documents, source.tokens);
    check_documents(documents, reader.vocabulary);
    return documents;
  }
  if (!source.token_file && !source.random_tokens && reader.tokenizer == nullptr)
    throw Error({.who = who,
                 .expected = "a tokenizer",
                 .got = reader.model_folder.empty() ? "none" : "none in " + reader.model_folder.string(),
                 .hint = "set data.tokenizer"});
  return load_documents(source, reader.tokenizer, reader.vocabulary, who, reader.format);
}

}  // namespace

std::function<Documents(const TeacherTextConfig&, const TextFormat&, const std::string&)> teacher_writer(
    LanguageModel& teacher, const Tokenizer* tokenizer, const RunFolder& folder) {
  return
      [&teacher, tokenizer, folder](const TeacherTextConfig& config, const TextFormat& format, const std::string& use) {
        return teacher_text(config, format, teacher, tokenizer, folder.teacher_text(use));
      };
}

std::unique_ptr<Tokenizer> find_tokenizer(const DataConfig& data, const fs::path& model) {
  if (data.tokenizer) return load_tokenizer(*data.tokenizer);
  return has_tokenizer(model) ? load_tokenizer(model) : nullptr;
}

Documents read_source(const MixtureConfig& source, const std::string& use, const TextReader& reader) {
  if (!source.mixture) return read_one(source, "data." + use, use, reader);
  Documents all;
  all.source = "data." + use;
  for (std::size_t i = 0; i < source.mixture->size(); ++i) {
    const WeightedSourceConfig& part = (*source.mixture)[i];
    SourceConfig config = part;
    config.format = filled_in(config.format, source.format);
    const std::string who = fmt::format("{}.mixture[{}]", all.source, i);
    const Documents documents = read_one(config, who, fmt::format("{}_{}", use, i), reader);
    all.append(documents);
    all.parts.push_back({all.count(), part.weight, who + ": " + documents.source});
  }
  return all;
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
  throw Error({.who = fmt::format("data.{}: {}", use, sequences.documents().source),
               .expected = fmt::format("a token to predict, as {} needs", why),
               .got = "none",
               .hint = "every token is masked, part of a prompt, or the first of its document"});
}

namespace {

// By its file, or its place in the recipe.
std::string held_out_name(const PackedSequences& held_out) {
  const std::string& source = held_out.documents().source;
  return source.starts_with("data.") ? source : "data.eval: " + source;
}

void warn_of_shared(const PackedSequences& held_out, const PackedSequences& other, const std::string& use) {
  const std::int64_t count = held_out.documents().count();
  const std::int64_t shared = count_shared(held_out.documents(), other.documents());
  if (shared > 0)
    log_warning("{}: {} of {} documents ({:.2g} %) are in {} too", held_out_name(held_out), shared, count,
                100.0 * static_cast<double>(shared) / static_cast<double>(count), use);
}

}  // namespace

void warn_of_held_out_text(const PackedSequences& held_out, const PackedSequences* training) {
  const std::string who = held_out_name(held_out);
  if (held_out.units() == 1)
    log_warning(
        "{} is one document, so held-out figures have no standard error: name what stands between its "
        "documents (separator), or give more of them",
        who);
  if (training == nullptr) return;
  const std::int64_t count = held_out.documents().count();
  const std::int64_t shared = count_shared(held_out.documents(), training->documents());
  if (shared == count)
    log_warning(
        "{} is the training text itself, all {} documents of it: none of these figures is a held-out one. "
        "Give another file, or let skip_documents begin one where tokens ends the other",
        who, count);
  else warn_of_shared(held_out, *training, "data.train");
}

void warn_beyond_context(std::int64_t sequence_length, const ModelConfig& model) {
  if (sequence_length > rotary_positions(model))
    throw Error({.who = "data.sequence_length",
                 .expected = fmt::format("at most max_position_embeddings, {}", model.max_position_embeddings),
                 .got = std::to_string(sequence_length),
                 .hint = "beyond it rope_scaling dynamic depends on what was read before"});
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

namespace {

// How many sequences calibration sees: as many as have the tokens, none twice.
std::int64_t calibration_sequences(Loader& loader, const PackedSequences& sequences, std::int64_t wanted) {
  for (std::int64_t tokens = 0; tokens < wanted && loader.position() < sequences.in_epoch();)
    tokens += loader.next_tokens(1);
  return loader.position();
}

// The batches of calibration, each as next(loader, its sequences) makes it.
template <class Next>
auto deal_calibration(const PackedSequences& sequences, const Recipe& recipe, std::int64_t seed, std::int64_t tokens,
                      Next next) {
  Loader loader(sequences, DataOrder::shuffled, static_cast<std::uint64_t>(seed));
  const std::int64_t count = calibration_sequences(loader, sequences, tokens);
  loader.seek(0);
  std::vector<decltype(next(loader, std::int64_t{1}))> batches;
  while (loader.position() < count)
    batches.push_back(next(loader, std::min(recipe.evaluate.batch_size, count - loader.position())));
  return batches;
}

}  // namespace

std::vector<TokenBatch> calibration_batches(const PackedSequences& sequences, const Recipe& recipe) {
  return deal_calibration(sequences, recipe, recipe.calibrate.seed, recipe.calibrate.tokens,
                          [](Loader& loader, std::int64_t count) { return loader.next(count); });
}

std::vector<TokenBatch> search_batches(const PackedSequences& sequences, const Recipe& recipe) {
  return deal_calibration(sequences, recipe, recipe.search->seed, recipe.search->tokens,
                          [](Loader& loader, std::int64_t count) { return loader.next(count); });
}

std::vector<std::int64_t> calibration_tokens(const PackedSequences& sequences, const Recipe& recipe) {
  return deal_calibration(sequences, recipe, recipe.calibrate.seed, recipe.calibrate.tokens,
                          [](Loader& loader, std::int64_t count) { return loader.next_tokens(count); });
}

Materials load_materials(const Recipe& recipe, const RunFolder& folder) {
  Materials materials;
  materials.model_folder = base_folder(recipe);
  if (recipe.teacher) {
    materials.teacher = load_teacher(*recipe.teacher);
    add_model("teacher", *materials.teacher, materials.inputs);
  }
  if (recipe.row().steps == Steps::answers) {
    materials.reference = load_start(recipe.student, WeightType::bf16);
    add_model("reference model", *materials.reference, materials.inputs);
  }
  const ModelConfig base = base_config(recipe);
  materials.tokenizer = find_tokenizer(recipe.data, materials.model_folder);
  if (materials.tokenizer != nullptr) {
    check_vocabulary(*materials.tokenizer, base.vocab_size,
                     materials.model_folder.empty() ? "model.vocab_size" : materials.model_folder.string());
    materials.inputs["tokenizer"] = fingerprint(*materials.tokenizer);
  }
  check_one_vocabulary(models_of(recipe), materials.tokenizer.get(), base.vocab_size);

  TextReader reader{materials.tokenizer.get(), base.vocab_size, materials.model_folder, recipe.data.format, {}};
  if (materials.teacher != nullptr)
    reader.written = teacher_writer(*materials.teacher, materials.tokenizer.get(), folder);
  const auto read = [&](const MixtureConfig& source, const std::string& use) {
    PackedSequences sequences(read_source(source, use, reader), recipe.data.packing, recipe.data.sequence_length);
    materials.inputs[use == "calibrate" ? "calibrate.source" : "data." + use] = fingerprint(sequences);
    return sequences;
  };
  const PackedSequences evaluation = read(recipe.data.eval, "eval");
  materials.evaluation = all_batches(evaluation, recipe.evaluate.batch_size);
  if (trains_on_text(recipe)) materials.train = std::make_unique<PackedSequences>(read(recipe.data.train, "train"));
  if (const std::string learner = kind_that_needs_labels(recipe); !learner.empty()) {
    const std::string why = "kind: " + learner;
    if (materials.train != nullptr) require_labels(*materials.train, "train", why);
    require_labels(evaluation, "eval", why);
  }
  warn_of_held_out_text(evaluation, materials.train.get());
  warn_beyond_context(recipe.data.sequence_length, base);
  const auto check_inputs_of_ranks = [&] {
    SharedFacts facts;
    for (const auto& [name, hash] : materials.inputs) facts.emplace_back(name, hash);
    check_same(facts);
  };
  if (!calibrates_on_text(recipe)) {
    check_inputs_of_ranks();
    return materials;
  }
  std::optional<PackedSequences> own;
  if (recipe.calibrate.source) own.emplace(read(*recipe.calibrate.source, "calibrate"));
  const PackedSequences& text = own ? *own : *materials.train;
  check_inputs_of_ranks();
  if (own) warn_of_shared(evaluation, *own, "calibrate.source");
  materials.calibration = calibration_batches(text, recipe);
  if (!recipe.row().searches) return materials;
  materials.search = search_batches(text, recipe);
  if (recipe.search->score == SearchScore::gradient)
    require_labels(text, own ? "calibrate" : "train", "search.score: gradient");
  return materials;
}

Materials load_calibration_text(const Recipe& recipe) {
  Materials materials;
  materials.model_folder = base_folder(recipe);
  if (!calibrates_on_text(recipe)) return materials;
  const ModelConfig base = base_config(recipe);
  materials.tokenizer = find_tokenizer(recipe.data, materials.model_folder);
  if (materials.tokenizer != nullptr)
    check_vocabulary(*materials.tokenizer, base.vocab_size, materials.model_folder.string());
  check_one_vocabulary(models_of(recipe), materials.tokenizer.get(), base.vocab_size);
  const TextReader reader{materials.tokenizer.get(), base.vocab_size, materials.model_folder, recipe.data.format, {}};
  const bool own = recipe.calibrate.source.has_value();
  const PackedSequences text(
      read_source(own ? *recipe.calibrate.source : recipe.data.train, own ? "calibrate" : "train", reader),
      recipe.data.packing, recipe.data.sequence_length);
  materials.inputs[own ? "calibrate.source" : "data.train"] = fingerprint(text);
  warn_beyond_context(recipe.data.sequence_length, base);
  materials.calibration = calibration_batches(text, recipe);
  return materials;
}

}  // namespace qad
