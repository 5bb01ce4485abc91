// The recipe's `data` section: which text, cut how, in which order.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "autograd/base/fields.h"
#include "data/tasks/problems.h"
#include "data/tasks/synthetic.h"

namespace qad {

enum class Packing { documents, concatenate };
inline constexpr auto enum_names(Packing) {
  return std::to_array<EnumName<Packing>>({{Packing::documents, "documents"}, {Packing::concatenate, "concatenate"}});
}

enum class DataOrder { shuffled, sequential };
inline constexpr auto enum_names(DataOrder) {
  return std::to_array<EnumName<DataOrder>>({{DataOrder::shuffled, "shuffled"}, {DataOrder::sequential, "sequential"}});
}

/// Which tokens of a conversation are labels.
enum class LossOn { all, assistant };
inline constexpr auto enum_names(LossOn) {
  return std::to_array<EnumName<LossOn>>({{LossOn::all, "all"}, {LossOn::assistant, "assistant"}});
}

/// Text that the teacher writes itself; made once and kept in the run's folder.
struct TeacherTextConfig {
  std::optional<std::vector<std::string>> prompts{};
  std::optional<ProblemsConfig> problems{};
  bool right_only = false;
  bool mask_prompts = false;
  std::int64_t documents = 1024;
  std::int64_t max_tokens = 256;
  double temperature = 1.0;
  std::int64_t seed = 1;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(
        Field{
            "prompts",
            "text files with one prompt a line, or .jsonl with messages, which the tokenizer's chat template lays out; "
            "without them every document begins at the start token"}
            .path(),
        prompts);
    visit(Field{"problems", "the questions of these problems are the prompts"}, problems);
    visit(Field{"right_only", "problems: keep what ends in the right answer"}, right_only);
    visit(Field{"mask_prompts", "prompts get no labels, as with prompt_field; distillation counts them all the same"},
          mask_prompts);
    visit(Field{"documents", "how many documents to write"}.at_least(1), documents);
    visit(Field{"max_tokens", "longest document, prompt included"}.at_least(2), max_tokens);
    visit(Field{"temperature", "of the sampling; 0 is greedy"}.at_least(0), temperature);
    visit(Field{"seed", "of the sampling"}.at_least(0), seed);
  }
};

/// Tokens without any sense, each id of the vocabulary as likely as the others.
struct RandomTokensConfig {
  std::int64_t documents = 10'000;
  std::int64_t length = 128;
  std::int64_t seed = 1;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"documents", "how many documents"}.at_least(1), documents);
    visit(Field{"length", "tokens of each"}.at_least(2), length);
    visit(Field{"seed", "of all that is drawn"}.at_least(0), seed);
  }
};

/// How texts are written and what of them is learned: said in `data` once for all its sources, or in a source for
/// itself.
struct TextFormat {
  std::optional<std::string> separator{};
  std::optional<bool> trim{};
  std::optional<bool> drop_last_document{};
  std::optional<std::string> field{};
  std::optional<std::string> prompt_field{};
  std::optional<std::string> prompt_separator{};
  std::optional<LossOn> loss_on{};
  std::optional<std::string> chat_template{};
  std::optional<std::string> template_date{};
  std::optional<bool> bos{};
  std::optional<bool> eos{};

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"separator", "text: stands between documents; empty: a file is one document"}, separator);
    visit(Field{"trim", "text: with a separator, take white space off both ends of a document"}, trim);
    visit(Field{"drop_last_document", "text: leave out a last document that no separator ends"}, drop_last_document);
    visit(Field{"field", "jsonl: the key of the text, where records have it"}, field);
    visit(Field{"prompt_field", "jsonl: the key of a prompt that goes before the text and gets no labels"},
          prompt_field);
    visit(Field{"prompt_separator", "jsonl: stands between the text of prompt_field and the text"}, prompt_separator);
    visit(Field{"loss_on",
                "jsonl with messages, or prompt and completion: which tokens are labels, all or the assistant's (the "
                "completion's); distillation counts every position"},
          loss_on);
    visit(Field{"chat_template",
                "jsonl with messages: folder or file of the template that lays them out (default: the tokenizer's)"}
              .path(),
          chat_template);
    visit(Field{"template_date", "jsonl with messages: the day that strftime_now tells, so that a run repeats"},
          template_date);
    visit(Field{"bos", "begin every document with the start token (default: as the tokenizer does)"}, bos);
    visit(Field{"eos", "end every document with the end token (default: as the tokenizer does)"}, eos);
  }
};

/// What holds where nobody says anything.
[[nodiscard]] TextFormat default_text_format();
/// `format`, and from `base` what it does not say.
[[nodiscard]] TextFormat filled_in(TextFormat format, const TextFormat& base);

/// Text of one kind: exactly one of text, jsonl, token_file, teacher_text, synthetic, problems and random_tokens is
/// given.
struct SourceConfig {
  std::optional<std::vector<std::string>> text{};
  std::optional<std::vector<std::string>> jsonl{};
  std::optional<std::vector<std::string>> token_file{};
  std::optional<TeacherTextConfig> teacher_text{};
  std::optional<SyntheticConfig> synthetic{};
  std::optional<ProblemsConfig> problems{};
  std::optional<RandomTokensConfig> random_tokens{};
  TextFormat format{};
  std::int64_t skip_documents = 0;
  std::int64_t tokens = 0;                     ///< at most; 0: all
  std::uint64_t beginning_bytes = UINT64_MAX;  ///< no key: as much is read, by those who plan (ReadLimit)

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"text",
                "plain text, UTF-8: a file, a pattern such as stories/*.txt, or a list of these; perhaps .gz "
                "or .zst"}
              .path(),
          text);
    visit(
        Field{"jsonl",
              "the same with one JSON object a line: a text, the messages of a conversation, or prompt and completion"}
            .path(),
        jsonl);
    visit(Field{"token_file",
                "HDF5 with 1-D datasets: ids, offsets if it has documents, mask if not every token is a label"}
              .path(),
          token_file);
    visit(Field{"teacher_text", "documents that the teacher writes"}, teacher_text);
    visit(Field{"synthetic", "documents that qad makes up itself: stories and tasks"}, synthetic);
    visit(Field{"problems", "questions with worked answers that qad makes up itself"}, problems);
    visit(Field{"random_tokens", "ids drawn at random: how far distillation gets without any text"}, random_tokens);
    format.visit_fields(visit);
    visit(Field{"skip_documents", "leave out this many documents at the start"}.at_least(0), skip_documents);
    visit(Field{"tokens", "use this many tokens at most; 0 is all"}.at_least(0), tokens);
  }
};

/// How many of the kinds of text a source gives, and their names for messages.
[[nodiscard]] int kinds_given(const SourceConfig& source);
inline constexpr const char* kSourceKinds = "text, jsonl, token_file, teacher_text, synthetic, problems, random_tokens";

/// One part of a mixture.
struct WeightedSourceConfig : SourceConfig {
  double weight = 1.0;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"weight", "its share of the tokens, beside the others' weights; a small source comes again"}.above(0),
          weight);
    SourceConfig::visit_fields(visit);
  }
};

/// One source, or several with weights. What the mixture says of how texts are written, its parts need not say.
struct MixtureConfig : SourceConfig {
  std::optional<std::vector<WeightedSourceConfig>> mixture{};

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    SourceConfig::visit_fields(visit);
    visit(Field{"mixture", "several sources instead of one, each with a weight and keys as above"}.repeating_keys(),
          mixture);
  }
};

struct DataConfig {
  TextFormat format = default_text_format();
  MixtureConfig train;
  MixtureConfig eval;
  std::int64_t sequence_length = 256;
  Packing packing = Packing::documents;
  DataOrder order = DataOrder::shuffled;
  std::optional<std::string> tokenizer{};

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    format.visit_fields(visit);
    visit(Field{"train", "text to train on; of separator to eos, a source says what is otherwise for it alone"}, train);
    visit(Field{"eval", "held-out text"}, eval);
    visit(Field{"sequence_length", "most tokens in a sequence"}.at_least(2), sequence_length);
    visit(Field{"packing", "documents: attention stays within each; concatenate: windows over one stream"}, packing);
    visit(Field{"order", "of the training sequences"}, order);
    visit(Field{"tokenizer", "folder or file of a tokenizer, or bytes (default: the teacher's)"}.path("bytes"),
          tokenizer);
  }
};

}  // namespace qad
