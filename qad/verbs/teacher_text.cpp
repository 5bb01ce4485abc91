#include "qad/verbs/teacher_text.h"

#include <algorithm>
#include <span>

#include "autograd/core/error.h"
#include "autograd/core/interrupt.h"
#include "autograd/core/log.h"
#include "data/text_sources.h"
#include "data/token_file.h"
#include "models/decode/generate.h"

namespace qad::verbs {
namespace {

std::int32_t start_token(const LanguageModel& teacher, const Tokenizer* tokenizer) {
  if (teacher.config().bos_token_id >= 0) return static_cast<std::int32_t>(teacher.config().bos_token_id);
  if (tokenizer != nullptr && tokenizer->bos()) return *tokenizer->bos();
  throw Error({"teacher_text", "a start token in the teacher's config or tokenizer", "none", "give prompts instead"});
}

// What each document begins with: the prompts in turn, or the start token.
std::vector<std::vector<std::int32_t>> beginnings(const TeacherTextConfig& config, const LanguageModel& teacher,
                                                  const Tokenizer* tokenizer) {
  const auto count = static_cast<std::size_t>(config.documents);
  if (!config.prompts) return std::vector(count, std::vector{start_token(teacher, tokenizer)});
  if (tokenizer == nullptr) throw Error({"teacher_text.prompts", "a tokenizer", "none", "set data.tokenizer"});
  const std::vector<std::string> lines = read_lines(*config.prompts);
  if (lines.empty()) throw Error({*config.prompts, "at least one prompt", "none", "one a line"});
  std::vector<std::vector<std::int32_t>> prompts;
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<std::int32_t> ids = tokenizer->encode(lines[i % lines.size()]);
    while (!ids.empty() && !tokenizer->suffix().empty() && ids.back() == tokenizer->suffix().back()) ids.pop_back();
    if (ids.empty()) ids = {start_token(teacher, tokenizer)};
    prompts.push_back(std::move(ids));
  }
  return prompts;
}

}  // namespace

Documents teacher_text(const TeacherTextConfig& config, LanguageModel& teacher, const Tokenizer* tokenizer,
                       const std::filesystem::path& file) {
  if (std::filesystem::exists(file)) return read_token_file(file);
  const auto prompts = beginnings(config, teacher, tokenizer);
  log_info("the teacher writes {} documents", prompts.size());
  const GenerateConfig generation{.max_tokens = config.max_tokens,
                                  .temperature = config.temperature,
                                  .seed = static_cast<std::uint64_t>(config.seed)};
  GenerateHooks hooks;
  hooks.stop = stop_requested;
  const auto texts = generate(teacher, prompts, generation, 0, hooks);
  if (stop_requested())
    throw Error({"teacher_text", "", "stopped by a signal before the text was whole", "qad resume begins it again"},
                ExitCode::interrupted);
  Documents documents;
  documents.source = file.string();
  for (const GeneratedSequence& text : texts) documents.add(text.ids, config.mask_prompts ? text.prompt_tokens : 0);
  write_token_file(documents, file);
  return documents;
}

}  // namespace qad::verbs
