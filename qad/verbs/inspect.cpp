#include "qad/verbs/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "autograd/core/place.h"
#include "qad/exporters/export_marker.h"
#include "qad/exporters/read_export.h"
#include "qad/io/checkpoint_folder.h"
#include "qad/report/comparison_table.h"
#include "qad/report/format.h"
#include "qad/report/summary.h"
#include "qad/verbs/facts.h"
#include "qad/verbs/inspect_files.h"
#include "qad/verbs/run_folder.h"

namespace qad::verbs {
namespace fs = std::filesystem;
namespace {

std::vector<Fact> recipe_facts(const Recipe& recipe) {
  std::vector<Fact> facts = {{"kind", std::string(enum_name(recipe.kind))}};
  if (recipe.teacher) facts.push_back({"teacher", recipe.teacher->model});
  if (recipe.merge)
    for (const MergedModelConfig& one : recipe.merge->models)
      facts.push_back({"merged", fmt::format("{} with weight {}", one.model, format_significant(one.weight))});
  else if (recipe.kind != RecipeKind::pretrain) facts.push_back({"student", recipe.student.model});
  if (recipe.grpo)
    facts.push_back(
        {"training", fmt::format("{} steps of {} problems with {} answers each, peak rate {}", recipe.train.steps,
                                 recipe.grpo->prompts, recipe.grpo->group_size, format_significant(recipe.train.lr))});
  else if (recipe.kind != RecipeKind::ptq && recipe.kind != RecipeKind::merge)
    facts.push_back({"training", fmt::format("{} steps of {} sequences of {} tokens at most, peak rate {}",
                                             recipe.train.steps, recipe.train.batch_size, recipe.data.sequence_length,
                                             format_significant(recipe.train.lr))});
  for (const ArmConfig& arm : recipe.arms)
    facts.push_back(
        {"arm " + arm.name, fmt::format("{}, {} learning rate{}", enum_name(arm.kind),
                                        std::max<std::size_t>(1, arm.lr.size()), arm.lr.size() > 1 ? "s" : "")});
  for (const std::string& format : recipe.export_formats) facts.push_back({"export", format});
  return facts;
}

void print_quantization(const QuantizeConfig& quantize, std::ostream& print) {
  if (quantize.rules.empty()) return;
  Table table({{"layers", Align::left}, {"weights", Align::left}, {"inputs", Align::left}});
  for (const QuantizeRule& rule : quantize.rules) table.add_row({rule.layers, rule.weights, rule.inputs});
  print << "\nquantizers, the last rule that matches a layer decides\n" << table.text();
  print << text_of({{"unquantized", std::string(enum_name(quantize.unquantized))},
                    {"keys, values", std::string(enum_name(quantize.kv_cache))},
                    {"tensor scale", fmt::format("round {}, from {}", enum_name(quantize.tensor_scale.round),
                                                 enum_name(quantize.tensor_scale.from))},
                    {"groups", quantize.share_groups ? "share their scales" : "a scale each"},
                    {"gradient", fmt::format("straight through, {}", enum_name(quantize.ste))}});
}

void inspect_recipe(const fs::path& file, std::ostream& print) {
  if (!check_recipe_file(file)) {
    print << file.string() << ": a part for recipes to import, without a kind of its own\n";
    return;
  }
  const Recipe recipe = load_recipe(file);
  print << text_of(recipe_facts(recipe));
  print_quantization(recipe.quantize, print);
}

// Reads each checkpoint whole; what is wrong with the first damaged one is the answer.
std::string print_checkpoints(const RunFolder& folder, const Recipe& recipe, std::ostream& print) {
  std::vector<fs::path> files = CheckpointFolder(folder.checkpoints(), recipe.checkpoint.keep).files();
  if (const fs::path best = folder.checkpoints() / "best.h5"; fs::exists(best)) files.push_back(best);
  if (files.empty()) return "";
  std::string damage;
  Table table({{"checkpoint", Align::left}, {"bytes"}, {"state", Align::left}});
  for (const fs::path& file : files) {
    std::string state = "whole";
    try {
      static_cast<void>(load_checkpoint(file));
    } catch (const Error& error) {
      if (place_at(file) == Place::nothing) continue;  // the run goes on and has removed it
      state = "damaged";
      if (damage.empty()) damage = error.what();
    }
    std::error_code gone;
    const auto bytes = fs::file_size(file, gone);
    if (!gone)
      table.add_row(
          {file.lexically_relative(folder.path).string(), format_bytes(static_cast<std::int64_t>(bytes)), state});
  }
  print << "\n" << table.text();
  return damage;
}

// The same of its exports; what is wrong with the first that is not whole is the answer.
std::string print_exports(const RunFolder& folder, const RunSummary& summary, std::ostream& print) {
  std::string damage;
  for (const ExportSummary& exported : summary.exports) {
    const fs::path place = folder.path / exported.folder;
    std::string state = format_bytes(exported.bytes);
    try {
      if (state_of_export(place, exported.format) != ExportState::whole) state = "not whole, qad resume makes it again";
    } catch (const Error& error) {
      state = "damaged";
      if (damage.empty()) damage = error.what();
    }
    print << "export " << exported.format << ": " << place.string() << ", " << state << "\n";
  }
  return damage;
}

void inspect_run(const RunFolder& folder, std::ostream& print) {
  const Recipe recipe = read_recipe(folder);
  print << text_of(recipe_facts(recipe));
  std::string bad_export;
  if (fs::exists(folder.summary())) {
    const RunSummary summary = read_summary(folder.summary());
    const std::vector<ArmSummary> rows = rows_of(summary);
    print << text_of({{"end", fmt::format("{} after {} steps, {} tokens, {}", summary.end, summary.steps,
                                          summary.tokens, format_duration(summary.seconds))},
                      {"peak memory", format_bytes(summary.peak_rss_bytes)},
                      {"machine", summary.machine}});
    print << "\n" << comparison_table(with_untrained_rows(rows)).text();
    for (const std::string& warning : warnings_of(rows)) print << warning << "\n";
    bad_export = print_exports(folder, summary, print);
  } else {
    print << "not finished: qad resume " << folder.path.string() << " goes on\n";
  }
  const std::string damage = print_checkpoints(folder, recipe, print);
  if (!damage.empty()) throw Error({folder.path.string(), "", damage, "qad resume goes on from the newest whole one"});
  if (!bad_export.empty()) throw Error({folder.path.string(), "", bad_export, ""});
}

}  // namespace

ExitCode inspect(const InspectOptions& options, std::ostream& print) {
  const fs::path& path = options.file;
  const std::string extension = path.extension().string();
  if (!fs::exists(path)) throw Error({path.string(), "a file or folder", "nothing there", ""}, ExitCode::usage);
  if (is_run_folder(path)) inspect_run({path}, print);
  else if (fs::is_directory(path)) inspect_model(path, print);
  else if (extension == ".h5" || has_seal(path)) inspect_checkpoint(path, print);
  else if (extension == ".safetensors") inspect_safetensors(path, print);
  else if (extension == ".gguf") inspect_gguf(path, print);
  else if (extension == ".yaml" || extension == ".yml") inspect_recipe(path, print);
  else
    throw Error({path.string(), "a .h5, .safetensors, .gguf or .yaml file, or a folder of a model or a run",
                 "another file", ""},
                ExitCode::usage);
  return ExitCode::done;
}

}  // namespace qad::verbs
