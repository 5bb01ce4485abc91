// How tokens become text again.
#include <charconv>
#include <optional>
#include <unordered_map>

#include "data/files/utf8.h"
#include "data/tokenizer/tokenizer_stages.h"

namespace qad {
namespace {

std::string join(const std::vector<std::string>& tokens, std::string_view between = "") {
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) text += between;
    text += tokens[i];
  }
  return text;
}

// The bytes that a token's characters stand for; the token itself when a character stands for none.
std::string bytes_of_characters(const std::string& token) {
  static const auto kBytes = [] {
    std::unordered_map<std::string, char> bytes;
    for (int byte = 0; byte < 256; ++byte)
      bytes.emplace(byte_character(static_cast<unsigned char>(byte)), static_cast<char>(byte));
    return bytes;
  }();
  std::string bytes;
  for (std::size_t at = 0; at < token.size();) {
    const std::size_t length = utf8_length(token[at]);
    const auto found = kBytes.find(token.substr(at, length));
    if (found == kBytes.end()) return token;
    bytes += found->second;
    at += length;
  }
  return bytes;
}

// The byte of a token like <0x0A>.
std::optional<char> byte_of_token(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  unsigned value = 0;
  const char* end = token.data() + 5;
  const auto parsed = std::from_chars(token.data() + 3, end, value, 16);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return static_cast<char>(static_cast<unsigned char>(value));
}

}  // namespace

DecoderStep byte_level_decoder() {
  return [](std::vector<std::string>& tokens, const TextLimit&) {
    std::string bytes;
    for (const std::string& token : tokens) bytes += bytes_of_characters(token);
    tokens = {replace_invalid_utf8(std::move(bytes))};
  };
}

DecoderStep byte_fallback_decoder() {
  return [](std::vector<std::string>& tokens, const TextLimit&) {
    std::vector<std::string> out;
    std::string bytes;
    // A run of bytes that is no text as a whole gives one U+FFFD for each byte.
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (find_invalid_utf8(bytes) == std::string::npos) out.push_back(bytes);
      else out.insert(out.end(), bytes.size(), "\xef\xbf\xbd");
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const auto byte = byte_of_token(token)) {
        bytes += *byte;
      } else {
        flush();
        out.push_back(std::move(token));
      }
    }
    flush();
    tokens = std::move(out);
  };
}

DecoderStep fuse_decoder() {
  return [](std::vector<std::string>& tokens, const TextLimit&) { tokens = {join(tokens)}; };
}

DecoderStep replace_decoder(Pattern pattern, std::string replacement) {
  return [pattern = std::move(pattern), replacement = std::move(replacement)](std::vector<std::string>& tokens,
                                                                              const TextLimit& limit) {
    std::size_t bytes = 0;
    for (std::string& token : tokens) {
      replace_all(token, pattern, replacement, limit);
      limit.check(bytes += token.size());
    }
  };
}

DecoderStep strip_decoder(std::string character, int start, int stop) {
  return [character = std::move(character), start, stop](std::vector<std::string>& tokens, const TextLimit&) {
    if (character.empty()) return;
    for (std::string& token : tokens) {
      for (int i = 0; i < start && token.starts_with(character); ++i) token.erase(0, character.size());
      for (int i = 0; i < stop && token.ends_with(character); ++i) token.resize(token.size() - character.size());
    }
  };
}

DecoderStep metaspace_decoder(std::string mark, PrependScheme prepend) {
  return [mark = std::move(mark), prepend](std::vector<std::string>& tokens, const TextLimit& limit) {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      replace_all(tokens[i], mark, i == 0 && prepend != PrependScheme::never ? "" : " ", limit);
  };
}

DecoderStep join_with_spaces_decoder() {
  return [](std::vector<std::string>& tokens, const TextLimit&) { tokens = {join(tokens, " ")}; };
}

}  // namespace qad
