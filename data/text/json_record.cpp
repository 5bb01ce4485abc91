#include "data/text/json_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "autograd/base/error.h"
#include "data/files/json_file.h"

namespace qad {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr int kMaxDepth = 64;
constexpr std::size_t kEscape = 6;  // length of \ud800
// In messages, the keys of what is said and by whom.
constexpr auto kWords = std::to_array<std::string_view>({"role", "content", "from", "value", "text"});

bool is_token(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '-' || c == '.';
}

bool has_comma_behind(std::string_view line) {
  const std::size_t last = line.find_last_not_of(" \t\r");
  return last != std::string_view::npos && line[last] == ',';
}

// Whether a number in JSON's form is one that no type of 64 bits holds.
bool is_beyond_64_bits(std::string_view number) {
  const char *begin = number.data(), *end = begin + number.size();
  if (number.find_first_of(".eE") != std::string_view::npos) {
    double value = 0;
    return std::from_chars(begin, end, value).ec == std::errc::result_out_of_range &&
           std::isinf(std::strtod(std::string(number).c_str(), nullptr));  // and not next to nothing
  }
  std::int64_t whole = 0;
  std::uint64_t natural = 0;
  return std::from_chars(begin, end, whole).ec == std::errc::result_out_of_range &&
         std::from_chars(begin, end, natural).ec != std::errc();
}

// The code unit of an escape \uXXXX at `at`; -1 for other text.
int escaped_unit(std::string_view text, std::size_t at) {
  if (at + kEscape > text.size() || text[at] != '\\' || text[at + 1] != 'u') return -1;
  int unit = 0;
  const char* const end = text.data() + at + kEscape;
  return std::from_chars(text.data() + at + 2, end, unit, 16).ptr == end ? unit : -1;
}

// Where a value stands in the list or object around it.
struct Place {
  bool is_list = false;
  std::size_t index = 0;  // in a list
  std::string key = {};   // in an object, with its escapes
};

// Escapes in keys are rare enough to be looked at only where a key matters.
std::string without_escapes(const std::string& key) {
  if (key.find('\\') == std::string::npos) return key;
  const OrderedJson text = OrderedJson::parse('"' + key + '"', nullptr, /*allow_exceptions=*/false);
  return text.is_string() ? text.get<std::string>() : "";  // nobody asks for a broken key
}

// Python's number in the place of the 0 that the library was given.
void plant(OrderedJson& json, const std::vector<Place>& path, double number) {
  OrderedJson* at = &json;
  for (const Place& place : path) {
    if (place.is_list ? !at->is_array() || place.index >= at->size() : !at->is_object()) return;
    const std::string key = without_escapes(place.key);
    if (!place.is_list && !at->contains(key)) return;
    at = place.is_list ? &at->at(place.index) : &at->at(key);
  }
  if (at->is_number()) *at = number;
}

}  // namespace

struct JsonRecord::Trouble {
  std::string key;  // of the record, that the value in trouble stands under
  Problem problem;
};

// First a look at the tokens, which makes JSON of the same length out of what is none; then the library reads it.
struct JsonRecord::Parser {
  std::string_view line;
  const std::string& who;
  std::vector<Trouble>& troubles;
  std::string patched = {};  // empty: the line needs no patch
  std::vector<Place> path = {};
  std::vector<std::pair<std::vector<Place>, double>> to_plant = {};

  void patch(std::size_t at, std::size_t length, std::string_view with) {
    if (patched.empty()) patched = line;
    patched.replace(at, length, std::string(with) + std::string(length - with.size(), ' '));
  }
  void report(std::string key, std::string expected, std::string got) {
    troubles.push_back({std::move(key), {who, std::move(expected), std::move(got), ""}});
  }
  [[nodiscard]] std::string top_key() const { return path.empty() ? "" : without_escapes(path.front().key); }
  // Whether the value here is what a record holds itself, or words of a conversation.
  [[nodiscard]] bool is_read_as_text() const {
    const auto object = std::find_if(path.rbegin(), path.rend(), [](const Place& place) { return !place.is_list; });
    if (object == path.rend() || object + 1 == path.rend()) return true;
    return std::ranges::find(kWords, object->key) != kWords.end();
  }

  // From an opening quote to behind the closing one.
  std::size_t string(std::size_t begin) {
    const std::size_t troubles_before = troubles.size();
    std::size_t at = begin + 1;
    for (std::size_t length = 0; at < line.size() && line[at] != '"'; at += length) {
      length = line[at] == '\\' ? 2 : 1;
      const int unit = escaped_unit(line, at);
      if (unit < 0xd800 || unit > 0xdfff) continue;
      const int next = escaped_unit(line, at + kEscape);
      const bool is_pair = unit < 0xdc00 && next >= 0xdc00 && next <= 0xdfff;
      length = is_pair ? 2 * kEscape : kEscape;
      if (is_pair) continue;
      report(top_key(), "characters", fmt::format("half of one, the lone surrogate {}", line.substr(at, kEscape)));
      patch(at, kEscape, "\\ufffd");
    }
    at = std::min(at + 1, line.size());
    const std::size_t next = line.find_first_not_of(" \t\r", at);
    if (!path.empty() && !path.back().is_list && next != std::string_view::npos && line[next] == ':') {
      path.back().key = line.substr(begin + 1, at - begin - 2);
      if (path.size() == 1)  // nobody asks for a broken key
        troubles.erase(troubles.begin() + static_cast<std::ptrdiff_t>(troubles_before), troubles.end());
    }
    return at;
  }

  std::size_t token(std::size_t begin) {
    std::size_t end = begin;
    while (end < line.size() && is_token(line[end])) ++end;
    const std::string_view text = line.substr(begin, end - begin);
    const bool is_no_json = text == "NaN" || text == "Infinity" || text == "-Infinity";
    const bool is_number = (text[0] >= '0' && text[0] <= '9') || text[0] == '-';
    if (!is_no_json && !(is_number && is_beyond_64_bits(text))) return end;
    const double number = std::strtod(std::string(text).c_str(), nullptr);
    if (text.find_first_of("NIeE") != std::string_view::npos && !is_read_as_text()) {
      to_plant.emplace_back(path, number);
    } else {
      report(top_key(), is_no_json ? "text, or a number that is finite" : "numbers of at most 64 bits",
             text.size() <= 40 ? std::string(text) : std::string(text.substr(0, 40)) + "…");
    }
    patch(begin, text.size(), "0");
    return end;
  }

  void scan() {
    for (std::size_t at = 0; at < line.size();) {
      const char c = line[at];
      if (c == '"') {
        at = string(at);
      } else if (is_token(c)) {
        at = token(at);
      } else {
        if (c == '{' || c == '[') path.push_back({c == '['});
        if ((c == '}' || c == ']') && !path.empty()) path.pop_back();
        if (c == ',' && !path.empty()) ++path.back().index;
        ++at;
      }
    }
  }

  OrderedJson parse() {
    scan();
    std::vector<std::set<std::string>> seen;  // keys of the objects that are open
    std::string key;                          // of the record
    const auto watch = [&](int level, OrderedJson::parse_event_t event, OrderedJson& value) {
      using Event = OrderedJson::parse_event_t;
      if (level > kMaxDepth) {
        if (troubles.empty() || troubles.back().key != key) report(key, "JSON nested at most 64 deep", "more");
        return false;
      }
      if (event == Event::object_start) seen.emplace_back();
      if (event == Event::object_end) seen.pop_back();
      if (event != Event::key) return true;
      const auto& name = value.get_ref<const std::string&>();
      if (level == 1) key = name;
      if (!seen.back().insert(name).second)
        report(key, "every key once", fmt::format("'{}' twice in one object", name));
      return true;
    };
    const std::string_view text = patched.empty() ? line : patched;
    try {
      OrderedJson json = OrderedJson::parse(text.begin(), text.end(), watch);
      for (const auto& [place, number] : to_plant) plant(json, place, number);
      return json;
    } catch (const OrderedJson::parse_error& error) {
      const std::size_t column = std::max<std::size_t>(std::min(error.byte, line.size()), 1);
      throw Error(
          {.who = fmt::format("{}:{}", who, column),
           .expected = "JSON",
           .got = json_reason(error),
           .hint = has_comma_behind(line) ? "records stand alone on their lines, without commas between them" : ""});
    } catch (const OrderedJson::exception& error) {
      throw Error({.who = who, .expected = "JSON", .got = json_reason(error)});
    }
  }
};

JsonRecord::JsonRecord(std::string_view line, std::string who) : who_(std::move(who)) {
  OrderedJson object = Parser{line, who_, troubles_}.parse();
  if (!object.is_object()) throw Error({.who = who_, .expected = "a JSON object", .got = object.type_name()});
  object_ = std::make_unique<const OrderedJson>(std::move(object));
}

JsonRecord::~JsonRecord() = default;
JsonRecord::JsonRecord(JsonRecord&&) noexcept = default;

const OrderedJson* JsonRecord::find(std::string_view key) const {
  for (const Trouble& trouble : troubles_)
    if (trouble.key == key) {
      Problem problem = trouble.problem;
      problem.who += fmt::format(": {}", key);
      throw Error(problem);
    }
  const auto found = object_->find(std::string(key));
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

bool JsonRecord::has(std::string_view key) const {
  const auto found = object_->find(std::string(key));
  return found != object_->end() && !found->is_null();
}

bool JsonRecord::is_null(std::string_view key) const {
  const auto found = object_->find(std::string(key));
  return found != object_->end() && found->is_null();
}

std::string JsonRecord::keys() const {
  std::string text;
  for (const auto& entry : object_->items()) text += (text.empty() ? "" : ", ") + entry.key();
  return text.empty() ? "no keys" : text;
}

}  // namespace qad
