#include "qad/run/streamed_student.h"

#include <algorithm>
#include <future>
#include <set>

#include "autograd/base/error.h"
#include "autograd/base/free_memory.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "autograd/core/storage.h"
#include "data/files/mapped_file.h"
#include "qad/calib/algorithms.h"
#include "qad/calib/calibrate.h"
#include "qad/calib/unseen_experts.h"
#include "qad/layouts/export_marker.h"
#include "qad/quant/bf16_rounding.h"
#include "qad/report/progress.h"
#include "qad/run/streamed_calibration.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMostCached = std::size_t{128} << 20;
// The program itself, its lists, and what waits to be written.
constexpr std::uint64_t kBesides = std::uint64_t{192} << 20;

fs::path checked_folder(const Recipe& recipe) {
  const fs::path folder = start_folder(recipe);
  check_export(folder);
  return folder;
}

// As make_student has them.
WeightType type_of(const Recipe& recipe) {
  const bool of_teacher = recipe.student.model == "teacher" && recipe.teacher->weights == TeacherWeights::bf16;
  return of_teacher ? WeightType::bf16 : WeightType::file;
}

bool is_of_inputs(const Quantizer& one) { return dynamic_cast<const ActivationQuantizer*>(&one) != nullptr; }

}  // namespace

StreamedStudent::StreamedStudent(const Recipe& recipe)
    : recipe_(recipe), source_(checked_folder(recipe), type_of(recipe)) {
  quantizers_ = attach_quantizers(model(), recipe.quantize, recipe.calibrate.algorithm);
  set_input_precision(model(), recipe.train.forward);
  parts_ = export_parts_of(model(), quantizers_);
  frame_ = export_frame_of(model().config(), quantizers_, source_.folder());
  bare_ = frame_;
  bare_.passengers.clear();
}

ExportModel StreamedStudent::frame_for(const Exporter& layout) const {
  ExportModel frame = frame_;
  if (!layout.holds_tokenizer) return frame;
  for (const fs::path& folder : {source_.folder(), base_folder(recipe_)})
    if (frame.tokenizer == nullptr && has_tokenizer(folder)) frame.tokenizer = load_tokenizer(folder);
  if (frame.tokenizer == nullptr) frame.tokenizer = find_tokenizer(recipe_.data, base_folder(recipe_));
  return frame;
}

NamedTensor StreamedStudent::dense(std::size_t i) {
  Parameter& parameter = *parts_.dense[i];
  source_.load(parameter, StreamedModel::As::loaded);
  NamedTensor tensor{parameter.name, parameter.value().clone(), parameter.role};
  source_.unload(parameter);
  return tensor;
}

std::vector<KeyValueScale> StreamedStudent::cache_scales() const {
  std::vector<KeyValueScale> scales;
  for (const CacheQuantizers* cache : parts_.caches) scales.push_back(export_scales_of(*cache));
  return scales;
}

std::vector<Parameter*> StreamedStudent::parameters_of(const ExportPiece& piece) const {
  std::vector<Parameter*> all;
  for (const std::size_t i : piece.layers) all.push_back(parts_.layers[i].member->weight.get());
  for (const std::size_t i : piece.dense) all.push_back(parts_.dense[i].get());
  return all;
}

std::uint64_t StreamedStudent::stored_bytes(const ExportPiece& piece) const {
  std::uint64_t bytes = 0;
  for (const Parameter* one : parameters_of(piece)) bytes += source_.stored_bytes(*one);
  return bytes;
}

ExportModel StreamedStudent::part(const ExportPiece& piece, Weights weights) const {
  if (weights == Weights::fresh) {
    std::set<const Quantizer*> wanted;
    for (const std::size_t i : piece.layers) wanted.insert(parts_.layers[i].quantizers->weights.get());
    QuantizerSet fresh = quantizers_.only([&](const Quantizer& one) { return wanted.contains(&one); });
    fresh.end_observing(TensorScaleSource::calibration);
    find_scales(fresh, {}, recipe_.calibrate);
  }
  ExportModel part = bare_;
  for (const std::size_t i : piece.layers) part.linears.push_back(export_linear_of(parts_.layers[i]));
  for (const std::size_t i : piece.dense) {
    const Parameter& parameter = *parts_.dense[i];
    part.dense.push_back({parameter.name, parameter.value(), parameter.role});
  }
  for (const std::size_t i : piece.caches) part.key_value_scales.push_back(export_scales_of(*parts_.caches[i]));
  for (const std::size_t i : piece.passengers) part.passengers.push_back(frame_.passengers[i]);
  return part;
}

void StreamedStudent::write_piece(StreamedExport& out, std::size_t index, ForwardCheck* check) {
  const ExportPiece& piece = out.plan().pieces[index];
  for (Parameter* one : parameters_of(piece)) source_.load(*one, StreamedModel::As::loaded);
  out.write(index, part(piece, Weights::fresh));
  for (const std::size_t i : piece.layers) parts_.layers[i].quantizers->weights->forget();
  for (Parameter* one : parameters_of(piece)) {
    if (check != nullptr) check->lend(*one), source_.let_go(*one);
    else source_.unload(*one);
  }
  for (const std::size_t i : piece.passengers)
    forget_pages({frame_.passengers[i].data.raw(), frame_.passengers[i].data.bytes()});
  if (storage_statistics().cached_bytes > kMostCached) release_cached_storage();
}

void StreamedStudent::write_pieces(StreamedExport& out) {
  const std::vector<ExportPiece>& pieces = out.plan().pieces;
  std::vector<std::size_t> left;
  std::uint64_t bytes_left = 0, done = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i)
    if (!out.is_done(i)) left.push_back(i), bytes_left += stored_bytes(pieces[i]);
  // Calibration would have run the model. Where there is none it runs now, each part when its pages have just been
  // read, hence pieces in the order of parts.
  std::optional<ForwardCheck> check;
  if (!calibrates_on_text(recipe_)) {
    check.emplace(source_.folder(), type_of(recipe_));
    std::ranges::stable_sort(left, {}, [&](std::size_t i) { return part_of(pieces[i]); });
  }
  std::vector<const Parameter*> lent;
  const auto run_through = [&](std::size_t part) {
    check->run_through(part);
    for (const Parameter* one : lent) source_.forget(*one);
    lent.clear();
  };
  CountProgress progress(stderr_terminal(), std::string(out.layout()), "MiB",
                         static_cast<std::int64_t>(bytes_left >> 20), {}, "bytes");
  for (std::size_t i = 0; i < left.size(); ++i) {
    throw_if_stopped();
    std::future<void> reads_ahead;  // where the disk is busy, asking waits for it
    if (i + 1 < left.size())
      reads_ahead = std::async(std::launch::async, [this, next = parameters_of(pieces[left[i + 1]])] {
        for (const Parameter* one : next) source_.ask_for(*one);
      });
    const std::size_t part = part_of(pieces[left[i]]);
    if (check && i > 0 && part_of(pieces[left[i - 1]]) < part) run_through(part - 1);
    write_piece(out, left[i], check ? &*check : nullptr);
    if (check) std::ranges::copy(parameters_of(pieces[left[i]]), std::back_inserter(lent));
    done += stored_bytes(pieces[left[i]]);
    progress.update(static_cast<std::int64_t>(done >> 20), static_cast<std::int64_t>(done));
  }
  if (check) run_through(parts() - 1);
}

// The final norm or the head, which smoothing may move.
bool StreamedStudent::is_behind(const ExportPiece& piece) {
  const Parameter* const head = model().head().members.front().weight.get();
  return piece.block < 0 && std::ranges::any_of(parameters_of(piece), [&](const Parameter* one) {
           return one == &model().final_norm() || (one == head && one->role != Role::embedding);
         });
}

// As PartsInTurn has them; what no part computes with comes first.
std::size_t StreamedStudent::part_of(const ExportPiece& piece) {
  return is_behind(piece) ? parts() - 1 : static_cast<std::size_t>(piece.block + 1);
}

// All that is found for a part, while its masters are there.
void StreamedStudent::write_found(StreamedExport& out, std::size_t part_number) {
  const bool behind = part_number == parts() - 1;
  const std::vector<ExportPiece>& pieces = out.plan().pieces;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (part_number == 0 || part_of(pieces[i]) != part_number || out.is_done(i)) continue;
    for (Parameter* one : parameters_of(pieces[i]))
      if (!source_.is_loaded(*one)) source_.load(*one, StreamedModel::As::loaded);
    out.write(i, part(pieces[i], Weights::found));
    for (const std::size_t layer : pieces[i].layers) parts_.layers[layer].quantizers->weights->forget();
    if (!behind) continue;
    for (Parameter* one : parameters_of(pieces[i])) source_.unload(*one);
  }
}

bool StreamedStudent::keeps_in_files(const std::vector<TokenBatch>& batches) {
  return state_bytes(model().config(), batches) > free_memory() / 4;
}

void StreamedStudent::calibrate(const Materials& materials, StreamedExport& out) {
  if (!calibrates_on_text(recipe_)) {
    quantizers_.only(is_of_inputs).end_observing(TensorScaleSource::calibration);
    return;
  }
  const bool by_block = works_by_block(quantizers_);
  const auto head =
      std::ranges::find(parts_.layers, std::string("lm_head"), [](const auto& one) { return one.member->name; });
  const bool head_is_quantized =
      head != parts_.layers.end() && head->quantizers != nullptr && head->quantizers->weights;
  StreamedCalibration::Job job{.source = source_,
                               .quantizers = quantizers_,
                               .batches = materials.calibration,
                               .inputs = materials.inputs,
                               .part_found = {},
                               .needs_head = by_block && head_is_quantized,
                               .in_files = keeps_in_files(materials.calibration)};
  std::int64_t tokens = 0, done = 0;
  for (const TokenBatch& batch : materials.calibration) tokens += batch.size();
  std::optional<CountProgress> progress;
  std::optional<StreamedCalibration> calibration;
  ForwardCheck check(source_.folder(), type_of(recipe_));
  job.part_found = [&](std::size_t part) {
    if (by_block) check.run_through(part);  // of a block that is quantized at once, nothing else sees what it gave
    else if (part == parts() - 1) check.run_behind(calibration->state(0));
    if (by_block) write_found(out, part);
    ++done;
    progress->update(done, done * tokens);
  };
  // What was noted as found and is not in the files can't be made without all that came before.
  const auto is_missing = [&](std::size_t done_parts) {
    for (std::size_t i = 0; i < out.plan().pieces.size(); ++i) {
      const std::size_t its = part_of(out.plan().pieces[i]);
      if (its > 0 && its < done_parts && !out.is_done(i)) return true;
    }
    return false;
  };
  const CalibrationFolder folder{out.state_folder()};
  calibration.emplace(folder, job, false);
  if (by_block && is_missing(calibration->first())) calibration.emplace(folder, job, true);
  progress.emplace(stderr_terminal(), "calibration", "parts",
                   static_cast<std::int64_t>(parts() - calibration->first()));
  calibrate_in_parts(model(), quantizers_, materials.calibration, recipe_.calibrate, *calibration);
  warn_of_unseen_experts(model());
}

std::uint64_t StreamedStudent::memory(const ExportPlan& plan, const std::vector<TokenBatch>& batches) {
  // Pages of a piece and of the next, its codes as they are found, packed and read back; what a search of scales or a
  // gradient's mask has in FP32.
  const bool searches = std::ranges::any_of(quantizers_.linears(), [](const LinearQuantizers& linear) {
    return linear.weights != nullptr && linear.algorithm != CalibrationKind::max;
  });
  const std::uint64_t wide = searches || recipe_.quantize.ste != StraightThrough::identity ? 8 : 0;
  std::uint64_t most = 0;
  for (std::size_t i = 0; i < plan.pieces.size(); ++i) {
    const ExportPiece& piece = plan.pieces[i];
    std::uint64_t largest = 0, values = 0, plain = 0;
    for (const std::size_t layer : piece.layers)
      largest = std::max(largest, static_cast<std::uint64_t>(parts_.layers[layer].member->weight->shape().size()));
    for (const Parameter* one : parameters_of(piece)) values += static_cast<std::uint64_t>(one->shape().size());
    for (const std::size_t dense : piece.dense)
      plain += 2 * static_cast<std::uint64_t>(parts_.dense[dense]->shape().size());
    const std::uint64_t pages = stored_bytes(piece), copies = pages == 2 * values ? 0 : 2 * values;
    const std::uint64_t next = i + 1 < plan.pieces.size() ? stored_bytes(plan.pieces[i + 1]) : 0;
    const std::uint64_t codes = piece.bytes - std::min(piece.bytes, plain);
    most = std::max(most, pages + next + copies + piece.bytes + 3 * codes + wide * largest);
  }
  // Beside a piece that is written, or a block that is quantized, is the block that the check runs.
  const bool checks_blocks = batches.empty() || works_by_block(quantizers_);
  const std::uint64_t checked = checks_blocks ? ForwardCheck(source_.folder(), type_of(recipe_)).memory() : 0;
  if (batches.empty()) return most + checked + kBesides;
  // A block's masters and codes; what it gives, and the widest that a batch is inside of it.
  std::uint64_t block_values = 0, widest = 0;
  for (const Block& block : model().blocks()) {
    struct Sizes final : ModuleVisitor {
      void parameter(const ParameterPointer& one) override {
        values += static_cast<std::uint64_t>(one->shape().size());
        widest = std::max(widest, static_cast<std::uint64_t>(one->shape().rows()));
      }
      std::uint64_t values = 0, widest = 0;
    } sizes;
    block.visit(sizes);
    block_values = std::max(block_values, sizes.values);
    widest = std::max(widest, sizes.widest);
  }
  std::uint64_t longest = 0, most_of_batch = 0;
  for (const TokenBatch& batch : batches) {
    longest = std::max(longest, static_cast<std::uint64_t>(batch.size()));
    most_of_batch = std::max(most_of_batch, state_bytes(model().config(), {batch}));
  }
  const std::uint64_t states = keeps_in_files(batches) ? most_of_batch : state_bytes(model().config(), batches);
  return std::max(most, 6 * block_values + 24 * longest * widest) + checked + states + kBesides;
}

}  // namespace qad
