#include "data/json_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"

namespace qad {
namespace {

constexpr int kMaxDepth = 64;

// LINE:COLUMN, or the column alone.
std::string position(std::string_view text, std::size_t byte, bool is_line) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t last_newline = before.rfind('\n');
  const std::size_t column = last_newline == std::string_view::npos ? before.size() : before.size() - last_newline - 1;
  return (is_line ? "" : std::to_string(line) + ":") + std::to_string(std::max<std::size_t>(column, 1));
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
  using nlohmann::json;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto watch = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > kMaxDepth) throw Error({who, "JSON nested at most 64 deep", "more", ""});
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
      throw Error({who, "every key once", "'" + value.get<std::string>() + "' twice in one object", ""});
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), watch);
  } catch (const json::parse_error& error) {
    throw Error({who + ":" + position(text, error.byte, is_line), "JSON", json_reason(error), ""});
  } catch (const json::exception& error) {  // a number that no type holds
    throw Error({who, "JSON", json_reason(error), ""});
  }
}

nlohmann::json read_json_file(const std::filesystem::path& file, std::string_view what) {
  return parse_json(read_file(file, what), file.string());
}

}  // namespace qad
