// One line of a JSON lines file. What nobody reads may be what JSON doesn't know and other programs write all the same:
// NaN, Infinity, a lone surrogate, a number beyond 64 bits, a key twice. Where such a thing is read, it is an error;
// but NaN and Infinity deep in a value are numbers, as they are to Python, unless they stand for words (content, role,
// …).
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace qad {

class JsonRecord {
 public:
  /// `who` is file and line. Throws Error naming also the column for what is no JSON, and for what is no object.
  JsonRecord(std::string_view line, std::string who);
  ~JsonRecord();
  JsonRecord(JsonRecord&&) noexcept;
  JsonRecord& operator=(JsonRecord&&) = delete;

  [[nodiscard]] const std::string& who() const { return who_; }
  /// The value of a key; null where it is absent, or null. Throws Error for one that can't be taken at its word.
  [[nodiscard]] const nlohmann::ordered_json* find(std::string_view key) const;
  /// Whether find() would give something.
  [[nodiscard]] bool has(std::string_view key) const;
  /// Whether the key is there, with null as its value.
  [[nodiscard]] bool is_null(std::string_view key) const;
  /// The keys in their order, for messages: `text, id and score`.
  [[nodiscard]] std::string keys() const;

 private:
  struct Trouble;
  struct Parser;
  std::string who_;
  std::unique_ptr<const nlohmann::ordered_json> object_;
  std::vector<Trouble> troubles_;
};

}  // namespace qad
