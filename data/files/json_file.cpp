#include "data/files/json_file.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>
#include <vector>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"

namespace qad {
namespace {

constexpr std::size_t kMaxDepth = 64;

// LINE:COLUMN, or the column alone.
std::string position(std::string_view text, std::size_t byte, bool is_line) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t last_newline = before.rfind('\n');
  const std::size_t column = last_newline == std::string_view::npos ? before.size() : before.size() - last_newline - 1;
  return (is_line ? "" : std::to_string(line) + ":") + std::to_string(std::max<std::size_t>(column, 1));
}

// What the library's parser calls for every value. Its own builder looks through all members of an object whenever one
// of them ends, which a header of 80,000 tensors takes minutes for.
template <class Json>
class Builder {
 public:
  explicit Builder(std::string who) : who_(std::move(who)) {}

  bool null() { return put(nullptr) != nullptr; }
  bool boolean(bool value) { return put(value) != nullptr; }
  bool number_integer(typename Json::number_integer_t value) { return put(value) != nullptr; }
  bool number_unsigned(typename Json::number_unsigned_t value) { return put(value) != nullptr; }
  bool number_float(typename Json::number_float_t value, const std::string& /*text*/) { return put(value) != nullptr; }
  bool string(std::string& value) { return put(std::move(value)) != nullptr; }
  bool binary(typename Json::binary_t& /*value*/) { return false; }  // no text has one
  bool start_object(std::size_t /*size*/) { return open(Json::object()); }
  bool start_array(std::size_t /*size*/) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    if (!open_.back().keys.insert(name).second)
      throw Error({.who = who_, .expected = "every key once", .got = "'" + name + "' twice in one object"});
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t /*byte*/, const std::string& /*token*/, const nlohmann::detail::exception& failure) {
    if (const auto* at = dynamic_cast<const nlohmann::detail::parse_error*>(&failure)) byte_ = at->byte;
    reason_ = json_reason(failure);
    return false;
  }

  [[nodiscard]] Json& root() { return root_; }
  [[nodiscard]] std::size_t byte() const { return byte_; }  // where it failed; 0 for a number that no type holds
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  struct Open {
    Json* value;
    std::unordered_set<std::string> keys;
  };

  // The value in its place. An object appends: key() has looked whether the name is taken.
  template <class Value>
  Json* put(Value&& value) {
    if (open_.empty()) return &(root_ = std::forward<Value>(value));
    Json& parent = *open_.back().value;
    if (parent.is_array())
      return &parent.template get_ref<typename Json::array_t&>().emplace_back(std::forward<Value>(value));
    auto& members = parent.template get_ref<typename Json::object_t&>();
    if constexpr (std::is_same_v<Json, nlohmann::ordered_json>)
      return &members.emplace_back(std::move(key_), std::forward<Value>(value)).second;
    else return &(members[std::move(key_)] = std::forward<Value>(value));
  }
  bool open(Json container) {
    if (open_.size() == kMaxDepth) throw Error({.who = who_, .expected = "JSON nested at most 64 deep", .got = "more"});
    Json* const place = put(std::move(container));
    open_.push_back({place, {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::string who_, key_, reason_;
  Json root_;
  std::vector<Open> open_;  // a parent gets no member while a child is open, so its pointer stays good
  std::size_t byte_ = 0;
};

// Text with tags in place of the numbers that only Python knows, and how much longer that made it up to where.
struct TaggedText {
  std::string text;
  std::vector<std::pair<std::size_t, std::size_t>> grown;  // (end of a tag, its bytes more than the word's)

  [[nodiscard]] std::size_t original(std::size_t byte) const {
    std::size_t more = 0;
    for (const auto& [end, bytes] : grown)
      if (end <= byte) more += bytes;
    return byte - std::min(byte, more);
  }
};

// The bytes of a number at the start of the text that is too large for a double; 0 where there is none.
std::size_t too_large(std::string_view text) {
  const std::size_t digits = text.starts_with('-') ? 1 : 0;
  if (digits >= text.size() || text[digits] < '0' || text[digits] > '9') return 0;
  const std::size_t size = std::min(text.find_first_not_of("0123456789+-.eE"), text.size());
  return std::isinf(std::strtod(std::string(text.substr(0, size)).c_str(), nullptr)) ? size : 0;
}

TaggedText tag_numbers(std::string_view text) {
  TaggedText result;
  const auto tag = [&](std::string_view name, std::size_t bytes) {
    const std::string value = std::string("{\"") + kFloatTag + "\":\"" + std::string(name) + "\"}";
    result.text += value;
    result.grown.emplace_back(result.text.size(), value.size() - std::min(bytes, value.size()));
    text.remove_prefix(bytes);
  };
  const auto copy = [&](std::size_t bytes) {
    result.text += text.substr(0, bytes);
    text.remove_prefix(bytes);
  };
  while (!text.empty()) {
    if (text.front() == '"') {
      std::size_t end = 1;
      while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
      copy(std::min(end + 1, text.size()));
      continue;
    }
    bool tagged = false;
    for (const std::string_view name : {"NaN", "Infinity", "-Infinity"})
      if (!tagged && text.starts_with(name)) tag(name, name.size()), tagged = true;
    if (tagged) continue;
    if (const std::size_t bytes = too_large(text); bytes > 0)
      tag(text.front() == '-' ? "-Infinity" : "Infinity", bytes);
    else copy(std::max<std::size_t>(std::min(text.find_first_not_of("0123456789+-.eE"), text.size()), 1));
  }
  return result;
}

template <class Json>
Json parse_python(std::string_view text, const std::string& who) {
  const TaggedText tagged = tag_numbers(text);
  Builder<Json> builder(who);
  if (Json::sax_parse(tagged.text, &builder)) return std::move(builder.root());
  const std::size_t byte = tagged.original(builder.byte());
  throw Error({.who = who + ":" + position(text, byte, false),
               .expected = "JSON",
               .got = builder.reason(),
               .hint = byte >= text.size() ? "is the file cut off?" : ""});
}

}  // namespace

// "[json.exception.parse_error.101] parse error at line 1, column 2: <the part that says it>"
// "[json.exception.out_of_range.403] <the part that says it>"
std::string json_reason(const std::exception& failure) {
  std::string_view what = failure.what();
  const std::string_view place = "parse error at";
  if (const std::size_t name = what.find("] "); name != std::string_view::npos) what.remove_prefix(name + 2);
  if (const std::size_t colon = what.find(": "); what.starts_with(place) && colon != std::string_view::npos)
    what.remove_prefix(colon + 2);
  return std::string(what);
}

nlohmann::json parse_json(std::string_view text, const std::string& who, bool is_line) {
  Builder<nlohmann::json> builder(who);
  if (nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return std::move(builder.root());
  const std::string at = builder.byte() > 0 ? ":" + position(text, builder.byte(), is_line) : "";
  throw Error({.who = who + at, .expected = "JSON", .got = builder.reason()});
}

nlohmann::ordered_json parse_python_json(std::string_view text, const std::string& who) {
  return parse_python<nlohmann::ordered_json>(text, who);
}

nlohmann::ordered_json parse_python_object(std::string_view text, const std::string& who) {
  nlohmann::ordered_json json = parse_python_json(text, who);
  if (!json.is_object())
    throw Error({.who = who, .expected = "a JSON object", .got = json.type_name(), .hint = "is the file damaged?"});
  return json;
}

nlohmann::json read_json_file(const std::filesystem::path& file, std::string_view what) {
  return parse_python<nlohmann::json>(read_file(file, what), file.string());
}

}  // namespace qad
