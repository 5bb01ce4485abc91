#include "qad/verbs/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "models/families/hf_config.h"
#include "qad/checkpoint/seal.h"
#include "qad/inspect/inspect_files.h"
#include "qad/inspect/inspect_json.h"
#include "qad/inspect/run_files.h"
#include "qad/quant/policy.h"
#include "qad/recipe/catalogue.h"
#include "qad/report/comparison_table.h"
#include "qad/report/facts.h"
#include "qad/report/format.h"
#include "qad/report/json_text.h"
#include "qad/report/summary.h"
#include "qad/run/run_folder.h"

namespace qad::verbs {
namespace fs = std::filesystem;
namespace {

std::vector<Fact> recipe_facts(const Recipe& recipe) {
  std::vector<Fact> facts = {{"kind", std::string(enum_name(recipe.kind))}};
  if (recipe.teacher) facts.push_back({"teacher", recipe.teacher->model});
  if (recipe.merge)
    for (const MergedModelConfig& one : recipe.merge->models)
      facts.push_back({"merged", fmt::format("{} with weight {}", one.model, format_significant(one.weight))});
  else if (recipe.row().start != Start::fresh) facts.push_back({"student", recipe.student.model});
  if (recipe.grpo)
    facts.push_back(
        {"training", fmt::format("{} steps of {} problems with {} answers each, peak rate {}", recipe.train.steps,
                                 recipe.grpo->prompts, recipe.grpo->group_size, format_significant(recipe.train.lr))});
  else if (recipe.row().steps != Steps::none)
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

// "scale round none, mse"; empty where a rule says nothing of its own.
std::string options_of(const QuantizeRule& rule) {
  std::vector<std::string> options;
  if (rule.tensor_scale && rule.tensor_scale->round)
    options.push_back(fmt::format("scale round {}", enum_name(*rule.tensor_scale->round)));
  if (rule.tensor_scale && rule.tensor_scale->from)
    options.push_back(fmt::format("scale from {}", enum_name(*rule.tensor_scale->from)));
  if (rule.ste) options.push_back(fmt::format("gradient {}", enum_name(*rule.ste)));
  if (rule.input_ste) options.push_back(fmt::format("gradient of inputs {}", enum_name(*rule.input_ste)));
  if (rule.algorithm) options.push_back(fmt::format("algorithm {}", enum_name(*rule.algorithm)));
  if (rule.scales) options.push_back(fmt::format("block scales {}", enum_name(*rule.scales)));
  return fmt::format("{}", fmt::join(options, ", "));
}

std::string gradient_of(const QuantizeConfig& quantize) {
  std::string text = fmt::format("straight through, {}", enum_name(quantize.ste));
  if (quantize.input_ste) text += fmt::format("; of inputs {}", enum_name(*quantize.input_ste));
  return text;
}

void print_quantization(const QuantizeConfig& quantize, std::ostream& print) {
  if (quantize.rules.empty()) return;
  const bool have_options =
      std::ranges::any_of(quantize.rules, [](const QuantizeRule& rule) { return !options_of(rule).empty(); });
  std::vector<Column> columns = {{"layers", Align::left}, {"weights", Align::left}, {"inputs", Align::left}};
  if (have_options) columns.push_back({"otherwise than the rest", Align::left});
  Table table(columns);
  for (const QuantizeRule& rule : quantize.rules) {
    std::vector<std::string> row = {rule.layers + place_text(rule), rule.weights, rule.inputs};
    if (have_options) row.push_back(options_of(rule));
    table.add_row(row);
  }
  print << "\nquantizers, the last rule that matches a layer decides\n" << table.text();
  print << text_of({{"unquantized", std::string(enum_name(quantize.unquantized))},
                    {"keys, values", quantize.kv_cache},
                    {"tensor scale", fmt::format("round {}, from {}", enum_name(quantize.tensor_scale.round),
                                                 enum_name(quantize.tensor_scale.from))},
                    {"groups", quantize.share_groups ? "share their scales" : "a scale each"},
                    {"gradient", gradient_of(quantize)}});
  if (quantize.scales) print << text_of({{"block scales of weights", std::string(enum_name(*quantize.scales))}});
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

void print_checkpoints(const FileStates& states, std::ostream& print) {
  if (states.files.empty()) return;
  Table table({{"checkpoint", Align::left}, {"bytes"}, {"state", Align::left}});
  for (const FileState& file : states.files) table.add_row({file.name, format_bytes(file.bytes), file.state});
  print << "\n" << table.text();
}

void print_exports(const FileStates& states, std::ostream& print) {
  for (const auto& [format, place, bytes, state] : states.files)
    print << "export " << format << ": " << place << ", "
          << (state == "whole"       ? format_bytes(bytes)
              : state == "not whole" ? "not whole, qad resume makes it again"
                                     : state)
          << "\n";
}

[[noreturn]] void throw_damage_of_run(const RunFolder& folder, const std::string& damage, bool of_checkpoint) {
  throw Error({.who = folder.path.string(),
               .got = damage,
               .hint = of_checkpoint ? "qad resume goes on from the newest whole one" : ""});
}

void inspect_run(const RunFolder& folder, std::ostream& print) {
  const Recipe recipe = read_recipe(folder);
  print << text_of(recipe_facts(recipe));
  FileStates exports;
  if (fs::exists(folder.summary())) {
    const RunSummary summary = read_summary(folder.summary());
    const std::vector<ArmSummary> rows = rows_of(summary);
    print << text_of({{"end", fmt::format("{} after {} steps, {} tokens, {}", summary.end, summary.steps,
                                          summary.tokens, format_duration(summary.seconds))},
                      {"peak memory", format_bytes(summary.peak_rss_bytes)},
                      {"machine", summary.machine}});
    print << "\n" << comparison_table(with_untrained_rows(rows)).text();
    for (const std::string& warning : warnings_of(rows)) print << warning << "\n";
    exports = export_states(folder, summary);
    print_exports(exports, print);
  } else {
    print << "not finished: qad resume " << folder.path.string() << " goes on\n";
  }
  const FileStates checkpoints = checkpoint_states(folder, recipe);
  print_checkpoints(checkpoints, print);
  if (!checkpoints.damage.empty()) throw_damage_of_run(folder, checkpoints.damage, true);
  if (!exports.damage.empty()) throw_damage_of_run(folder, exports.damage, false);
}

enum class FileKind { run, model, checkpoint, safetensors, gguf, recipe };

FileKind file_kind(const fs::path& path) {
  const std::string extension = path.extension().string();
  if (is_run_folder(path)) return FileKind::run;
  if (fs::is_directory(path)) return FileKind::model;
  if (extension == ".h5" || has_seal(path)) return FileKind::checkpoint;
  if (extension == ".safetensors") return FileKind::safetensors;
  if (extension == ".gguf") return FileKind::gguf;
  if (extension == ".yaml" || extension == ".yml") return FileKind::recipe;
  throw Error(
      {path.string(), "a .h5, .safetensors, .gguf or .yaml file, or a folder of a model or a run", "another file", ""},
      ExitCode::usage);
}

void inspect_as_text(FileKind kind, const fs::path& path, std::ostream& print) {
  switch (kind) {
    case FileKind::run: return inspect_run({path}, print);
    case FileKind::model: return inspect_model(path, print);
    case FileKind::checkpoint: return inspect_checkpoint(path, print);
    case FileKind::safetensors: return inspect_safetensors(path, print);
    case FileKind::gguf: return inspect_gguf(path, print);
    case FileKind::recipe: return inspect_recipe(path, print);
  }
}

nlohmann::ordered_json json_of(FileKind kind, const fs::path& path, std::string& damage) {
  switch (kind) {
    case FileKind::run: return run_json({path}, damage);
    case FileKind::model: return model_json(path, damage);
    case FileKind::checkpoint: return checkpoint_json(path);
    case FileKind::safetensors: return safetensors_json(path);
    case FileKind::gguf: return gguf_json(path);
    case FileKind::recipe: return recipe_json(path);
  }
  return {};
}

}  // namespace

ExitCode inspect(const InspectOptions& options, std::ostream& print) {
  fs::path path = options.file;
  if (!fs::exists(path))
    if (const auto recipe = find_in_catalogue(path.string())) path = *recipe;
  if (!fs::exists(path))
    throw Error({.who = path.string(),
                 .expected = "a file or folder",
                 .got = "nothing there",
                 .hint = path.has_parent_path() ? download_hint(path) : ""},
                ExitCode::usage);
  const FileKind kind = file_kind(path);
  if (!options.json) {
    inspect_as_text(kind, path, print);
    return ExitCode::done;
  }
  std::string damage;
  print << json_text(json_of(kind, path, damage));
  if (!damage.empty()) throw Error({.who = path.string(), .got = damage});
  return ExitCode::done;
}

}  // namespace qad::verbs
