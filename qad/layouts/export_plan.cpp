#include "qad/layouts/export_plan.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <set>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/core/dry_run.h"
#include "data/files/safetensors_writer.h"
#include "qad/layouts/check_exportable.h"
#include "qad/layouts/gguf.h"

namespace qad {
namespace {

// Pieces of less are put together with their neighbours.
constexpr std::uint64_t kSmallPiece = std::uint64_t{16} << 20;  // values

// Which values share a piece.
class Unions {
 public:
  explicit Unions(std::size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), std::size_t{0}); }
  std::size_t root(std::size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(std::size_t a, std::size_t b) {
    const std::size_t first = root(a), second = root(b);
    parent_[std::max(first, second)] = std::min(first, second);
  }

 private:
  std::vector<std::size_t> parent_;
};

// By parameter, the block that it is in.
std::map<const Parameter*, int> blocks_of(const LanguageModel& model) {
  struct Collector final : ModuleVisitor {
    void parameter(const ParameterPointer& parameter) override { found[parameter.get()] = block; }
    std::map<const Parameter*, int> found;
    int block = 0;
  } collector;
  for (const Block& block : model.blocks()) {
    block.visit(collector);
    ++collector.block;
  }
  return std::move(collector.found);
}

// What has no values left: Tensors of a dry run must not outlive it.
ExportModel without_values(ExportModel model) {
  for (NamedTensor& tensor : model.dense) tensor.value = {};
  for (ExportLinear& linear : model.linears)
    if (linear.weight) linear.weight->codes = linear.weight->scales = {};
  return model;
}

class Planner {
 public:
  Planner(const Exporter& exporter, LanguageModel& student, const QuantizerSet& quantizers, const ExportModel& frame)
      : exporter_(exporter), parts_(export_parts_of(student, quantizers)), blocks_(blocks_of(student)), frame_(frame) {
    bare_ = frame;
    bare_.passengers.clear();
    if (!exporter_.holds_passengers) frame_.passengers.clear();
  }

  ExportPlan plan() {
    const DryRun dry;
    ExportModel outline = frame_;
    for (const auto& layer : parts_.layers) outline.linears.push_back(outline_linear_of(layer));
    for (const ParameterPointer& one : parts_.dense) outline.dense.push_back(outline_of(*one));
    for (const CacheQuantizers* cache : parts_.caches) outline.key_value_scales.push_back(outline_scales_of(*cache));
    check_names(outline);
    ExportPlan plan;
    const ExportFiles files = exporter_.pack(outline);
    const auto add = [&](const std::string& name, const std::string& dtype, const Tensor& data) {
      plan.described.tensors.push_back({name, dtype, {}});
      plan.places[name] = {0, 0, dtype, data.shape(), data.dtype()};
      order_[name] = order_.size();
    };
    for (const FileTensor& tensor : files.tensors) add(tensor.name, tensor.dtype, tensor.data);
    for (const Passenger& one : frame_.passengers) add(one.name, one.dtype, one.data);
    plan.described.metadata = files.metadata;
    plan.outline = without_values(std::move(outline));
    make_units();
    plan.pieces = pieces(plan);
    return plan;
  }

  [[nodiscard]] const ExportParts& parts() const { return parts_; }

 private:
  static NamedTensor outline_of(const Parameter& parameter) {
    return {parameter.name, Tensor(parameter.shape()), parameter.role};
  }

  // The least that can be packed: layers of one scale, a dense tensor, the scales of a cache, a passenger.
  void make_units() {
    std::map<std::string, std::size_t> groups;
    for (std::size_t i = 0; i < parts_.layers.size(); ++i) {
      const ExportParts::Layer& layer = parts_.layers[i];
      if (layer.quantizers == nullptr || layer.quantizers->weights == nullptr) continue;
      const auto [place, is_new] = groups.try_emplace(outline_linear_of(layer).group, units_.size());
      if (is_new) units_.emplace_back();
      ExportPiece& unit = units_[place->second];
      unit.layers.push_back(i);
      add_values(*layer.member->weight, unit);
    }
    for (std::size_t i = 0; i < parts_.dense.size(); ++i) {
      units_.push_back({.dense = {i}});
      add_values(*parts_.dense[i], units_.back());
    }
    for (std::size_t i = 0; i < parts_.caches.size(); ++i) units_.push_back({.caches = {i}});
    for (std::size_t i = 0; i < frame_.passengers.size(); ++i)
      units_.push_back({.passengers = {i}, .values = frame_.passengers[i].data.bytes() / 2});
    units_.push_back({});  // what follows from the config alone
    std::set<std::string> of_all;
    for (const std::string& name : tensors_of(units_.back())) of_all.insert(name);
    for (ExportPiece& unit : units_)
      for (std::string& name : tensors_of(unit))
        if (&unit == &units_.back() || !of_all.contains(name)) unit.tensors.push_back(std::move(name));
  }

  void add_values(const Parameter& parameter, ExportPiece& unit) const {
    unit.values += static_cast<std::uint64_t>(parameter.shape().size());
    const auto found = blocks_.find(&parameter);
    unit.block = found != blocks_.end() ? found->second : -1;
  }

  [[nodiscard]] std::vector<std::string> tensors_of(const ExportPiece& unit) const {
    ExportModel part = bare_;
    for (const std::size_t i : unit.layers) part.linears.push_back(outline_linear_of(parts_.layers[i]));
    for (const std::size_t i : unit.dense) part.dense.push_back(outline_of(*parts_.dense[i]));
    for (const std::size_t i : unit.caches) part.key_value_scales.push_back(outline_scales_of(*parts_.caches[i]));
    ExportFiles files;
    exporter_.pack_tensors(part, files);
    std::vector<std::string> names;
    for (const FileTensor& tensor : files.tensors) names.push_back(tensor.name);
    for (const std::size_t i : unit.passengers) names.push_back(frame_.passengers[i].name);
    return names;
  }

  // Units that make the same tensor are one; then neighbours in the files are, as long as they are small.
  [[nodiscard]] std::vector<ExportPiece> pieces(const ExportPlan& plan) {
    Unions unions(units_.size());
    std::map<std::string, std::size_t> makers;
    for (std::size_t i = 0; i < units_.size(); ++i)
      for (const std::string& name : units_[i].tensors) unions.join(makers.try_emplace(name, i).first->second, i);
    QAD_ASSERT(makers.size() == plan.places.size());
    std::map<std::size_t, ExportPiece> by_first;  // by the place of their first tensor
    std::map<std::size_t, std::size_t> places;    // of roots
    for (std::size_t i = 0; i < units_.size(); ++i) {
      if (units_[i].tensors.empty()) continue;
      std::size_t first = SIZE_MAX;
      for (const std::string& name : units_[i].tensors) first = std::min(first, order_.at(name));
      const auto [place, is_new] = places.try_emplace(unions.root(i), first);
      place->second = std::min(place->second, first);
    }
    for (std::size_t i = 0; i < units_.size(); ++i)
      if (!units_[i].tensors.empty()) append(by_first[places.at(unions.root(i))], std::move(units_[i]));
    std::vector<ExportPiece> result;
    for (auto& [place, piece] : by_first) {
      const bool joins =
          !result.empty() && result.back().block == piece.block && result.back().values + piece.values <= kSmallPiece;
      if (joins) append(result.back(), std::move(piece));
      else result.push_back(std::move(piece));
    }
    return result;
  }

  static void append(ExportPiece& to, ExportPiece&& from) {
    const auto move_all = [](auto& target, auto& source) {
      target.insert(target.end(), std::make_move_iterator(source.begin()), std::make_move_iterator(source.end()));
    };
    if (to.tensors.empty()) to.block = from.block;
    move_all(to.layers, from.layers), move_all(to.dense, from.dense), move_all(to.caches, from.caches);
    move_all(to.passengers, from.passengers);
    for (std::string& name : from.tensors)
      if (std::ranges::find(to.tensors, name) == to.tensors.end()) to.tensors.push_back(std::move(name));
    to.values += from.values;
  }

  const Exporter& exporter_;
  ExportParts parts_;
  std::map<const Parameter*, int> blocks_;
  ExportModel frame_, bare_;
  std::map<std::string, std::size_t> order_;
  std::vector<ExportPiece> units_;
};

// What packing adds to the metadata for the values of dense tensors.
void find_originals(ExportPlan& plan, const Exporter& exporter, const ExportModel& frame, const ExportParts& parts,
                    const std::function<NamedTensor(std::size_t)>& dense_of) {
  if (plan.described.metadata.empty()) return;
  plan.described.metadata.clear();
  ExportModel part = frame;
  part.passengers.clear();
  for (std::size_t i = 0; i < parts.dense.size(); ++i) {
    const Role role = parts.dense[i]->role;
    if (role == Role::weight || role == Role::embedding || role == Role::head || role == Role::router) continue;
    part.dense = {dense_of(i)};
    ExportFiles files;
    exporter.pack_tensors(part, files);
    std::ranges::move(files.metadata, std::back_inserter(plan.described.metadata));
  }
}

void plan_files(ExportPlan& plan, const ExportFiles& files, std::uint64_t shard_bytes) {
  if (!files.metadata.empty()) {
    std::vector<GgufSpec> specs;
    for (const FileTensor& tensor : files.tensors) {
      const PlannedPlace& place = plan.places.at(tensor.name);
      const GgufType& type = gguf_type(tensor.dtype);
      const auto extents = place.shape.extents();
      GgufSpec spec{tensor.name, &type, {extents.begin(), extents.end()}};
      if (type.values > 1) spec.shape.back() = spec.shape.back() / type.bytes * type.values;
      specs.push_back(std::move(spec));
    }
    plan.files = {plan_gguf(kGgufFile, files.metadata, specs)};
  } else {
    std::vector<SafetensorsSpec> specs;
    for (const FileTensor& tensor : files.tensors) {
      const auto extents = plan.places.at(tensor.name).shape.extents();
      specs.push_back({tensor.name, tensor.dtype, {extents.begin(), extents.end()}});
    }
    SafetensorsFolderPlan folder = plan_safetensors_folder(specs, shard_bytes, "the export");
    plan.files = std::move(folder.files);
    plan.index = std::move(folder.index);
  }
  for (std::size_t file = 0; file < plan.files.size(); ++file)
    for (std::size_t i = 0; i < plan.files[file].tensors.size(); ++i) {
      PlannedPlace& place = plan.places.at(plan.files[file].tensors[i].name);
      place.file = file;
      place.index = i;
    }
}

}  // namespace

void set_cache_scales(ExportPlan& plan, const Exporter& exporter, const std::vector<KeyValueScale>& scales,
                      std::uint64_t shard_bytes) {
  plan.outline.key_value_scales = scales;
  ExportFiles files = plan.described;
  exporter.pack_texts(plan.outline, files);
  plan.texts = files.texts;
  plan.metadata = files.metadata;
  plan_files(plan, files, shard_bytes);
}

ExportPlan plan_export(const Exporter& exporter, LanguageModel& student, const QuantizerSet& quantizers,
                       const ExportModel& frame, std::uint64_t shard_bytes,
                       const std::function<NamedTensor(std::size_t)>& dense_of) {
  QAD_ASSERT(exporter.streams);
  Planner planner(exporter, student, quantizers, frame);
  ExportPlan plan = planner.plan();
  find_originals(plan, exporter, frame, planner.parts(), dense_of);
  set_cache_scales(plan, exporter, plan.outline.key_value_scales, shard_bytes);
  for (ExportPiece& piece : plan.pieces)
    for (const std::string& name : piece.tensors) {
      const PlannedPlace& place = plan.places.at(name);
      piece.bytes += plan.files[place.file].tensors[place.index].bytes;
    }
  return plan;
}

}  // namespace qad
