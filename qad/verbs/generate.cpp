#include "qad/verbs/generate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <ostream>
#include <vector>

#include "autograd/base/log.h"
#include "data/text/chat_template.h"
#include "data/text/data_config.h"
#include "models/decode/decoding_layout.h"
#include "models/decode/generate.h"
#include "models/families/generation_config.h"
#include "qad/run/any_model.h"
#include "qad/run/materials.h"
#include "qad/run/named_model.h"
#include "qad/run/student.h"
#include "qad/train/head_effect.h"
#include "qad/verbs/prompt_text.h"
#include "qad/verbs/text_stream.h"

namespace qad::verbs {
namespace {

struct Writer {
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<Tokenizer> tokenizer;
  std::filesystem::path settings;  // the folder whose generation settings count
};

Writer of_run(const GenerateOptions& options) {
  const RunFolder folder = open_run_folder(options.target);
  const Recipe recipe = read_recipe(folder);
  const bool teacher_writes = options.speaker == Speaker::teacher;
  if (teacher_writes && !recipe.teacher)
    throw Error({.who = options.target.string(),
                 .expected = "a run with a teacher",
                 .got = "one without",
                 .hint = "leave out --speaker teacher"},
                ExitCode::usage);
  if (!teacher_writes && recipe.row().is_comparison)
    throw Error({.who = options.target.string(),
                 .expected = "the folder of one run",
                 .got = "a comparison",
                 .hint = "name one of its arms/ folders"},
                ExitCode::usage);
  Writer writer;
  std::unique_ptr<LanguageModel> teacher;
  if (recipe.teacher) teacher = load_teacher(*recipe.teacher);
  writer.tokenizer = find_tokenizer(recipe.data, base_folder(recipe));
  writer.settings = teacher_writes ? base_folder(recipe) : start_folder(recipe);
  if (teacher_writes) {
    writer.model = std::move(teacher);
    return writer;
  }
  SavedStudent saved = load_student(folder, recipe, teacher.get(), options.checkpoint);
  writer.model = std::move(saved.student.model);
  return writer;
}

Writer load_writer(const GenerateOptions& options) {
  Writer writer = is_run_folder(options.target)
                      ? of_run(options)
                      : Writer{load_any_model(options.target), find_tokenizer({}, options.target), options.target};
  if (writer.tokenizer == nullptr)
    throw Error({.who = options.target.string(),
                 .expected = "a tokenizer",
                 .got = "none",
                 .hint = "put its files beside the model's"});
  check_vocabulary(*writer.tokenizer, writer.model->config().vocab_size, options.target.string());
  return writer;
}

// A question as the model's chat template lays it out, up to where the answer begins.
std::vector<std::int32_t> question(const std::string& prompt, const Tokenizer& tokenizer) {
  if (!has_chat_template(tokenizer.folder()))
    throw Error({.who = "--chat",
                 .expected = "a chat template beside the model's tokenizer",
                 .got = "none",
                 .hint = "leave out --chat"},
                ExitCode::usage);
  using Json = nlohmann::ordered_json;
  const Json message = {{"role", "user"}, {"content", prompt}};
  const ChatTemplate chat = load_chat_template(tokenizer.folder(), *default_text_format().template_date);
  std::vector<std::int32_t> ids =
      tokenizer.encode(chat.lay_out({{"messages", Json::array({message})}}, true).text, false);
  if (ids.empty())
    throw Error({.who = "--chat",
                 .expected = "a chat template whose text has tokens",
                 .got = "one without",
                 .hint = "leave out --chat"});
  return ids;
}

// What to continue: the prompt, or at least a start token.
std::vector<std::int32_t> beginning(const std::string& prompt, const Writer& writer) {
  std::vector<std::int32_t> ids = prompt_ids(*writer.tokenizer, prompt);
  if (!ids.empty()) return ids;
  if (const std::int64_t bos = writer.model->config().bos_token_id; bos >= 0) return {static_cast<std::int32_t>(bos)};
  if (const auto bos = writer.tokenizer->bos()) return {*bos};
  throw Error({.who = "--prompt",
               .expected = "some text",
               .got = "none",
               .hint = "this model has no start token to begin with"},
              ExitCode::usage);
}

TokenBatch one_segment(const std::vector<std::int32_t>& ids) {
  TokenBatch batch;
  batch.ids = ids;
  batch.positions.resize(ids.size());
  std::iota(batch.positions.begin(), batch.positions.end(), 0);
  batch.labels.assign(ids.size(), kNoLabel);
  batch.valid.assign(ids.size(), 1);
  batch.segments = {{0, static_cast<std::int32_t>(ids.size())}};
  batch.document = {0};
  return batch;
}

// What the command line says goes over what the model's folder says.
GenerateConfig config_of(const GenerateOptions& options, const std::filesystem::path& folder) {
  const GenerationSettings settings = folder.empty() ? GenerationSettings() : read_generation_settings(folder);
  if (!settings.ignored.empty())
    log_warning("{}: transformers would heed {}, which qad generate does not", folder.string(),
                fmt::join(settings.ignored, ", "));
  GenerateConfig config;
  config.temperature = options.temperature.value_or(settings.samples ? settings.temperature : 0.0);
  config.top_k = options.top_k.value_or(settings.samples ? settings.top_k : 0);
  config.top_p = options.top_p.value_or(settings.samples ? settings.top_p : 1.0);
  config.seed = static_cast<std::uint64_t>(options.seed);
  if (settings.samples && config.temperature > 0)
    log_info("samples as {} asks: temperature {}, top-k {}, top-p {}", folder.string(), config.temperature,
             config.top_k, config.top_p);
  return config;
}

}  // namespace

ExitCode generate(const GenerateOptions& given, std::ostream& print) {
  GenerateOptions options = given;
  options.target = model_folder(given.target);
  if (const double top_p = options.top_p.value_or(1.0); top_p <= 0 || top_p > 1)
    throw Error({.who = "--top-p", .expected = "a number above 0, at most 1", .got = fmt::format("{}", top_p)},
                ExitCode::usage);
  const std::string text_before = prompt_text(options);
  const Writer writer = load_writer(options);
  const std::vector<std::int32_t> prompt =
      options.chat ? question(text_before, *writer.tokenizer) : beginning(text_before, writer);
  const auto begun = static_cast<std::int64_t>(prompt.size());
  const std::int64_t context = writer.model->config().max_position_embeddings;
  if (begun >= context)
    throw Error({.who = "--prompt",
                 .expected = "fewer tokens than the model's context of " + std::to_string(context),
                 .got = std::to_string(begun),
                 .hint = "shorten it"},
                ExitCode::usage);

  GenerateConfig config = config_of(options, writer.settings);
  config.max_tokens = begun + options.max_tokens;

  TextStream text(*writer.tokenizer, print);
  if (!options.chat) text.add(prompt);
  GenerateHooks hooks;
  hooks.token_done = [&](std::int32_t id) { text.add({id}); };
  std::vector<std::int32_t> written;
  {
    const DecodeHead head(*writer.model, options.decode.head);
    lay_out_for_decoding(*writer.model);
    written = std::move(qad::generate(*writer.model, {prompt}, config, 0, hooks).front().ids);
  }
  text.finish();
  print << "\n";
  if (const auto head = options.decode.head)
    log_info("{}", text_of(head_effect(*writer.model, *head, {one_segment(written)}), *head));
  return ExitCode::done;
}

}  // namespace qad::verbs
