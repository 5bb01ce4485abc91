#include "data/text/documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "data/files/hash.h"
#include "data/files/source_files.h"
#include "data/text/token_file.h"

namespace qad {
namespace {

constexpr std::int64_t kDocumentsTogether = 256;  // documents encoded between two looks at the number of tokens
constexpr std::int64_t kChunk = 16;               // documents that one thread takes at a time

struct Encoded {
  std::vector<std::int32_t> ids;
  std::int64_t prompt_tokens = 0;
  std::vector<std::uint8_t> labels{};  // [tokens], or empty: all but the prompt's
};

// What goes around each document.
struct Frame {
  std::vector<std::int32_t> prefix, suffix;
};

std::vector<std::int32_t> edge(std::optional<bool> wanted, std::optional<std::int32_t> token,
                               std::span<const std::int32_t> usual, const char* key, const std::string& source) {
  if (!wanted) return {usual.begin(), usual.end()};
  if (!*wanted) return {};
  if (!token)
    throw Error({.who = source,
                 .expected = fmt::format("a tokenizer that names its {} token", key),
                 .got = "one that does not",
                 .hint = fmt::format("leave {} out", key)});
  return {*token};
}

// How many tokens of `ids` the beginning of their text alone would give.
std::int64_t shared_tokens(std::string_view beginning, const std::vector<std::int32_t>& ids,
                           const Tokenizer& tokenizer) {
  const std::vector<std::int32_t> alone = tokenizer.encode(beginning, false);
  return std::mismatch(alone.begin(), alone.end(), ids.begin(), ids.end()).first - alone.begin();
}

// [tokens of prefix, ids and suffix]: 1 within the document's spans of labels.
std::vector<std::uint8_t> labels_of(const TextDocument& document, const std::vector<std::int32_t>& ids,
                                    const Tokenizer& tokenizer, const Frame& frame) {
  std::vector<std::uint8_t> labels(frame.prefix.size() + ids.size() + frame.suffix.size(), 0);
  const auto place = [&](std::size_t at) {
    const bool whole = at == document.text.size();
    return whole ? static_cast<std::int64_t>(ids.size())
                 : shared_tokens(std::string_view(document.text).substr(0, at), ids, tokenizer);
  };
  const auto text = labels.begin() + static_cast<std::ptrdiff_t>(frame.prefix.size());
  for (const TextSpan& span : *document.labels) {
    const std::int64_t begin = place(span.begin), end = place(span.end);
    if (begin < end) std::fill(text + begin, text + end, std::uint8_t{1});
  }
  return labels;
}

Encoded encode(const TextDocument& document, const Tokenizer& tokenizer, const Frame& frame) {
  Encoded out{frame.prefix};
  const std::vector<std::int32_t> ids = tokenizer.encode(document.prompt + document.text, false);
  out.ids.insert(out.ids.end(), ids.begin(), ids.end());
  out.ids.insert(out.ids.end(), frame.suffix.begin(), frame.suffix.end());
  if (!document.prompt.empty())
    out.prompt_tokens = static_cast<std::int64_t>(frame.prefix.size()) + shared_tokens(document.prompt, ids, tokenizer);
  if (document.labels) out.labels = labels_of(document, ids, tokenizer, frame);
  return out;
}

std::vector<Encoded> encode_block(std::span<const TextDocument> documents, const Tokenizer& tokenizer,
                                  const Frame& frame, const Frame& own_frame) {
  const auto count = static_cast<std::int64_t>(documents.size());
  std::vector<Encoded> encoded(documents.size());
  std::vector<std::exception_ptr> failures(documents.size());  // a parallel body must not throw
  parallel_for(count, kChunk, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      try {
        encoded[i] = encode(documents[i], tokenizer, documents[i].has_frame ? own_frame : frame);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  });
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
  return encoded;
}

std::vector<TextDocument> made_up(const SourceConfig& config) {
  std::vector<TextDocument> documents;
  if (config.problems) {
    for (ProblemText& problem : problem_texts(*config.problems))
      documents.push_back({std::move(problem.text), std::move(problem.prompt)});
    return documents;
  }
  for (std::string& text : synthetic_documents(*config.synthetic)) documents.push_back({std::move(text), ""});
  return documents;
}

Documents random_tokens(const RandomTokensConfig& config, std::int64_t vocabulary, const std::string& who) {
  Documents documents;
  documents.source = who;
  Random random(static_cast<std::uint64_t>(config.seed), stream_of("random tokens"));
  std::vector<std::int32_t> ids(static_cast<std::size_t>(config.length));
  for (std::int64_t i = 0; i < config.documents; ++i) {
    for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random.below(vocabulary));
    documents.add(ids);
  }
  return documents;
}

// At most `most_tokens`; no more files are read than they take.
Documents token_files(std::span<const std::string> names, std::int64_t most_tokens) {
  const std::vector<std::filesystem::path> files = expand_files(names, "a file of token ids");
  Documents documents = read_token_file(files.front(), most_tokens);
  documents.source = name_of_files(files);
  for (const std::filesystem::path& file : std::span(files).subspan(1)) {
    if (documents.is_beginning) break;
    documents.append(read_token_file(file, most_tokens - documents.tokens()));
  }
  return documents;
}

// How many documents of `count` a source leaves out. Those behind the beginning of a text are taken to be like it.
std::int64_t skipped(const SourceConfig& config, std::int64_t count, bool is_beginning) {
  const std::int64_t skip = std::min(config.skip_documents, count);
  return is_beginning && skip == count ? 0 : skip;
}

// What a tokenizer must read, and what messages call it.
std::vector<TextDocument> texts_of(const SourceConfig& config, const TextFormat& format, const Tokenizer& tokenizer,
                                   std::string& name, ReadLimit& limit) {
  if (!config.text && !config.jsonl) return made_up(config);
  const auto files = expand_files(config.text ? *config.text : *config.jsonl, config.text ? "a text" : "JSON lines");
  name = name_of_files(files);
  return config.text ? read_text(files, format, limit) : read_jsonl(files, format, tokenizer.folder(), limit);
}

Documents load(const SourceConfig& config, const Tokenizer* tokenizer, std::int64_t vocabulary, const std::string& who,
               const TextFormat& shared) {
  const int sources = kinds_given(config);
  if (sources != 1 || config.teacher_text)
    throw Error({.who = who,
                 .expected = fmt::format("one of {} and mixture", kSourceKinds),
                 .got = sources == 0 ? "none" : "several"},
                ExitCode::usage);
  if (config.token_file || config.random_tokens) {
    const auto most_tokens = static_cast<std::int64_t>(config.beginning_bytes / sizeof(std::int64_t));
    Documents documents = config.token_file ? token_files(*config.token_file, most_tokens)
                                            : random_tokens(*config.random_tokens, vocabulary, who);
    documents.restrict_to(skipped(config, documents.count(), documents.is_beginning), config.tokens);
    return documents;
  }
  if (config.format.loss_on == LossOn::assistant && !config.jsonl)
    throw Error(
        {.who = who, .expected = "jsonl with messages, as loss_on: assistant needs them", .got = "another source"},
        ExitCode::usage);
  QAD_ASSERT(tokenizer != nullptr);
  const TextFormat format = filled_in(filled_in(config.format, shared), default_text_format());
  std::string name = who;
  ReadLimit limit{config.beginning_bytes};
  const std::vector<TextDocument> texts = texts_of(config, format, *tokenizer, name, limit);
  const auto skip = static_cast<std::size_t>(skipped(config, std::ssize(texts), limit.was_cut));
  Documents documents =
      tokenize(std::span(texts).subspan(skip), *tokenizer, format.bos, format.eos, config.tokens, name);
  documents.restrict_to(0, config.tokens);
  documents.is_beginning = limit.was_cut;
  return documents;
}

}  // namespace

std::span<const std::int32_t> Documents::operator[](std::int64_t document) const {
  const auto i = static_cast<std::size_t>(document);
  return std::span(ids).subspan(static_cast<std::size_t>(offsets.at(i)),
                                static_cast<std::size_t>(offsets.at(i + 1) - offsets[i]));
}

void Documents::add(std::span<const std::int32_t> document, std::int64_t prompt_tokens) {
  QAD_ASSERT(prompt_tokens <= static_cast<std::int64_t>(document.size()));
  if (prompt_tokens > 0) {
    mask.resize(ids.size(), 1);
    mask.resize(ids.size() + static_cast<std::size_t>(prompt_tokens), 0);
  }
  ids.insert(ids.end(), document.begin(), document.end());
  if (!mask.empty()) mask.resize(ids.size(), 1);
  offsets.push_back(tokens());
}

void Documents::add(std::span<const std::int32_t> document, std::span<const std::uint8_t> labels) {
  QAD_ASSERT(labels.size() == document.size());
  mask.resize(ids.size(), 1);
  mask.insert(mask.end(), labels.begin(), labels.end());
  ids.insert(ids.end(), document.begin(), document.end());
  offsets.push_back(tokens());
}

void Documents::append(const Documents& other) {
  if (!mask.empty() || !other.mask.empty()) {
    mask.resize(ids.size(), 1);
    mask.insert(mask.end(), other.mask.begin(), other.mask.end());
    mask.resize(ids.size() + other.ids.size(), 1);
  }
  is_beginning = is_beginning || other.is_beginning;
  const std::int64_t before = tokens();
  ids.insert(ids.end(), other.ids.begin(), other.ids.end());
  for (std::size_t i = 1; i < other.offsets.size(); ++i) offsets.push_back(before + other.offsets[i]);
}

void Documents::restrict_to(std::int64_t skip, std::int64_t token_limit) {
  skip = std::min(skip, count());
  const std::int64_t begin = offsets[static_cast<std::size_t>(skip)];
  const std::int64_t end = token_limit == 0 ? tokens() : std::min(tokens(), begin + token_limit);
  const auto cut = [&](auto& values) {
    if (values.empty()) return;
    values.resize(static_cast<std::size_t>(end));
    values.erase(values.begin(), values.begin() + begin);
  };
  cut(ids);
  cut(mask);
  std::vector<std::int64_t> kept{0};
  for (auto i = static_cast<std::size_t>(skip) + 1; i < offsets.size() && kept.back() < end - begin; ++i)
    kept.push_back(std::min(offsets[i], end) - begin);
  offsets = std::move(kept);
}

Documents tokenize(std::span<const TextDocument> documents, const Tokenizer& tokenizer, std::optional<bool> bos,
                   std::optional<bool> eos, std::int64_t enough_tokens, std::string source) {
  const Frame frame{edge(bos, tokenizer.bos(), tokenizer.prefix(), "bos", source),
                    edge(eos, tokenizer.eos(), tokenizer.suffix(), "eos", source)};
  const Frame own_frame{edge(bos, tokenizer.bos(), {}, "bos", source), edge(eos, tokenizer.eos(), {}, "eos", source)};
  Documents out;
  out.source = std::move(source);
  const auto count = static_cast<std::int64_t>(documents.size());
  for (std::int64_t begin = 0; begin < count && (enough_tokens == 0 || out.tokens() < enough_tokens);
       begin += kDocumentsTogether) {
    const auto block = documents.subspan(static_cast<std::size_t>(begin),
                                         static_cast<std::size_t>(std::min(kDocumentsTogether, count - begin)));
    for (const Encoded& document : encode_block(block, tokenizer, frame, own_frame)) {
      if (document.labels.empty()) out.add(document.ids, document.prompt_tokens);
      else out.add(document.ids, document.labels);
    }
  }
  return out;
}

std::string fingerprint(const Documents& documents) {
  const bool all_are_labels = std::ranges::find(documents.mask, std::uint8_t{0}) == documents.mask.end();
  Hasher128 hasher;
  hasher.add(std::span<const std::int64_t>(documents.offsets));
  hasher.add(std::span<const std::int32_t>(documents.ids));
  if (!all_are_labels) hasher.add(std::span<const std::uint8_t>(documents.mask));
  return hex(hasher.hash());
}

void check_documents(const Documents& documents, std::int64_t vocabulary) {
  if (documents.ids.empty())
    throw Error({.who = documents.source,
                 .expected = "at least one document with text",
                 .got = "none",
                 .hint = "is the separator, the field or skip_documents right?"});
  const auto bad = std::find_if(documents.ids.begin(), documents.ids.end(),
                                [&](std::int32_t id) { return id < 0 || id >= vocabulary; });
  if (bad == documents.ids.end()) return;
  const std::int64_t place = bad - documents.ids.begin();
  const auto document =
      std::upper_bound(documents.offsets.begin(), documents.offsets.end(), place) - documents.offsets.begin() - 1;
  throw Error({.who = documents.source,
               .expected = fmt::format("token ids from 0 to {}, the model's vocabulary", vocabulary - 1),
               .got = fmt::format("{} in document {}", *bad, document),
               .hint = "does the tokenizer belong to the model?"});
}

Documents load_documents(const SourceConfig& config, const Tokenizer* tokenizer, std::int64_t vocabulary,
                         const std::string& who, const TextFormat& shared) {
  Documents documents = load(config, tokenizer, vocabulary, who, shared);
  check_documents(documents, vocabulary);
  return documents;
}

}  // namespace qad
