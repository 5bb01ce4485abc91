// Documents as token ids, and how a source of the recipe becomes them. How they are cut into sequences is packing.h's
// part; what the teacher writes is added by qad/verbs, which also puts mixtures together.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/text/data_config.h"
#include "data/text/text_sources.h"
#include "data/tokenizer/tokenizer.h"

namespace qad {

/// Documents of a mixture that come from one of its sources.
struct DocumentsPart {
  std::int64_t end = 0;  ///< behind the last of them; the first stands behind the part before
  double weight = 1.0;   ///< its share of the tokens, beside the others'
  std::string source{};  ///< as in Documents
};

/// Token ids of documents, end to end.
struct Documents {
  std::string source;                    ///< where they come from, for messages
  std::vector<std::int32_t> ids;         ///< [tokens]
  std::vector<std::int64_t> offsets{0};  ///< [documents + 1]: document i is ids[offsets[i] … offsets[i + 1])
  std::vector<std::uint8_t> mask{};      ///< [tokens], 1 where a token is a label, 0 where not; empty: all are
  std::vector<DocumentsPart> parts{};    ///< of a mixture, end to end; empty: no mixture
  bool is_beginning = false;             ///< of a longer text (SourceConfig::beginning_bytes)

  [[nodiscard]] std::int64_t count() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
  [[nodiscard]] std::int64_t tokens() const { return static_cast<std::int64_t>(ids.size()); }
  [[nodiscard]] std::span<const std::int32_t> operator[](std::int64_t document) const;
  /// Appends a document; its first `prompt_tokens` tokens are no labels.
  void add(std::span<const std::int32_t> document, std::int64_t prompt_tokens = 0);
  /// Appends a document whose labels are where `labels` [tokens] is 1.
  void add(std::span<const std::int32_t> document, std::span<const std::uint8_t> labels);
  /// Appends all documents of another, whose parts are left aside.
  void append(const Documents& other);
  /// Keeps documents [skip, …) and of these the first `token_limit` tokens (0: all); the last document may be cut.
  void restrict_to(std::int64_t skip, std::int64_t token_limit);
};

/// Encodes text documents, at the same time on all threads, in order. `bos` and `eos` say whether each gets the start
/// and end token; without a word the tokenizer's own prefix and suffix go around it. A prompt is encoded together with
/// its text; the tokens that the prompt alone would begin with are its prompt tokens. A span of labels likewise begins
/// and ends where the tokens of the text before its ends do. A text that has its frame gets start and end tokens only
/// where `bos` and `eos` say so. Stops once `enough_tokens` are
/// there (0: never).
[[nodiscard]] Documents tokenize(std::span<const TextDocument> documents, const Tokenizer& tokenizer,
                                 std::optional<bool> bos, std::optional<bool> eos, std::int64_t enough_tokens,
                                 std::string source);

/// Reads a source other than teacher_text (a tokenizer may be null for token_file and random_tokens). `who` is its
/// place in the recipe, such as data.train; `shared` is what was said of its format for all sources. Throws Error for
/// anything wrong with a file, for an empty one, and for an id that is not below `vocabulary`.
[[nodiscard]] Documents load_documents(const SourceConfig& config, const Tokenizer* tokenizer, std::int64_t vocabulary,
                                       const std::string& who, const TextFormat& shared = {});

/// XXH3-128 of ids, offsets and mask in their order, 32 hexadecimal digits: equal for equal documents.
[[nodiscard]] std::string fingerprint(const Documents& documents);

/// Throws unless there is a token and all of them are ids below `vocabulary`.
void check_documents(const Documents& documents, std::int64_t vocabulary);

}  // namespace qad
