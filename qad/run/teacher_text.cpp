#include "qad/run/teacher_text.h"

#include <algorithm>
#include <span>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/ranks/communicator.h"
#include "data/files/source_files.h"
#include "data/tasks/problems.h"
#include "data/text/text_sources.h"
#include "data/text/token_file.h"
#include "models/decode/generate_over_ranks.h"
#include "qad/report/progress.h"
#include "qad/run/shared_run.h"

namespace qad {
namespace {

std::int32_t start_token(const LanguageModel& teacher, const Tokenizer* tokenizer) {
  if (teacher.config().bos_token_id >= 0) return static_cast<std::int32_t>(teacher.config().bos_token_id);
  if (tokenizer != nullptr && tokenizer->bos()) return *tokenizer->bos();
  throw Error({.who = "teacher_text",
               .expected = "a start token in the teacher's config or tokenizer",
               .got = "none",
               .hint = "give prompts instead"});
}

// What documents begin with in turn; nothing: the start token alone.
std::vector<TextPrompt> prompts_of(const TeacherTextConfig& config, const TextFormat& format,
                                   const std::vector<WorkedProblem>& problems, const Tokenizer* tokenizer) {
  std::vector<TextPrompt> prompts;
  for (const WorkedProblem& problem : problems) prompts.push_back({problem.prompt});
  if (!config.prompts) return prompts;
  if (tokenizer == nullptr)
    throw Error(
        {.who = "teacher_text", .expected = "a tokenizer for prompts", .got = "none", .hint = "set data.tokenizer"});
  const auto files = expand_files(*config.prompts, "a text with prompts");
  prompts = read_prompts(files, format, tokenizer->folder());
  if (prompts.empty())
    throw Error({.who = name_of_files(files), .expected = "at least one prompt", .got = "none", .hint = "one a line"});
  return prompts;
}

std::vector<std::vector<std::int32_t>> beginnings(const TeacherTextConfig& config,
                                                  const std::vector<TextPrompt>& prompts, const LanguageModel& teacher,
                                                  const Tokenizer* tokenizer) {
  const auto count = static_cast<std::size_t>(config.documents);
  if (prompts.empty()) return std::vector(count, std::vector{start_token(teacher, tokenizer)});
  if (tokenizer == nullptr)
    throw Error(
        {.who = "teacher_text", .expected = "a tokenizer for prompts", .got = "none", .hint = "set data.tokenizer"});
  std::vector<std::vector<std::int32_t>> all;
  for (std::size_t i = 0; i < count; ++i) {
    const TextPrompt& prompt = prompts[i % prompts.size()];
    std::vector<std::int32_t> ids =
        prompt.has_frame ? tokenizer->encode(prompt.text, false) : prompt_ids(*tokenizer, prompt.text);
    if (ids.empty()) ids = {start_token(teacher, tokenizer)};
    all.push_back(std::move(ids));
  }
  return all;
}

}  // namespace

Documents teacher_text(const TeacherTextConfig& config, const TextFormat& format, LanguageModel& teacher,
                       const Tokenizer* tokenizer, const std::filesystem::path& file) {
  if (first_has(file)) return read_token_file(file);
  const std::vector<WorkedProblem> problems =
      config.problems ? problems_of(*config.problems) : std::vector<WorkedProblem>();
  const auto prompts = beginnings(config, prompts_of(config, format, problems, tokenizer), teacher, tokenizer);
  log_info("the teacher writes {} documents", prompts.size());
  const GenerateConfig generation{.max_tokens = config.max_tokens,
                                  .temperature = config.temperature,
                                  .seed = static_cast<std::uint64_t>(config.seed)};
  const auto texts = [&] {
    CountProgress progress(stderr_terminal(), "teacher text", "documents", static_cast<std::int64_t>(prompts.size()));
    GenerateHooks hooks;
    hooks.progress = [&](const GenerateProgress& now) { progress.update(now.sequences, now.tokens); };
    return generate_over_ranks(teacher, prompts, generation, 0, hooks);
  }();
  Documents documents;
  documents.source = file.string();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const GeneratedSequence& text = texts[i];
    if (config.right_only && !is_right(problems[i % problems.size()], tokenizer->decode(text.continuation()))) continue;
    documents.add(text.ids, config.mask_prompts ? text.prompt_tokens : 0);
  }
  log_info("{} of {} documents are kept", documents.count(), texts.size());
  if (ranks().is_first()) write_token_file(documents, file);
  return documents;
}

}  // namespace qad
