#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "data/files/json_file.h"
#include "data/jinja/failure.h"
#include "data/jinja/json.h"
#include "data/jinja/numbers.h"

namespace qad::jinja {
namespace {

using Json = nlohmann::json;

// Builds values as the parser goes; objects and lists that are open wait on a stack.
class Builder : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return add(None()); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(std::int64_t value) override { return add(value); }
  bool number_unsigned(std::uint64_t value) override { return add(integer_from_digits(std::to_string(value))); }
  // The text says whether it was a float, or an integer beyond 64 bits.
  bool number_float(double value, const std::string& text) override {
    if (text.find_first_of(".eE") != std::string::npos) return add(value);
    const bool negative = text.starts_with('-');
    return add(integer_from_digits(std::string_view(text).substr(negative ? 1 : 0), 10, negative));
  }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(/*is_object=*/true); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(/*is_object=*/false); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    open_.back().key = std::move(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
    throw Failure{"JSON", json_reason(error)};
  }

  [[nodiscard]] Value take() { return std::move(whole_); }

 private:
  struct Open {
    bool is_object;
    std::string key{};
    Dict dict{};
    List list{};
  };

  bool open(bool is_object) {
    open_.push_back({is_object});
    return true;
  }

  bool close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    return done.is_object ? add(std::move(done.dict)) : add(std::move(done.list));
  }

  bool add(Value value) {
    if (open_.empty()) whole_ = std::move(value);
    else if (open_.back().is_object) open_.back().dict.set(open_.back().key, std::move(value));
    else open_.back().list.add(std::move(value));
    return true;
  }

  std::vector<Open> open_;
  Value whole_;
};

}  // namespace

Value read_json(std::string_view text, const std::string& who) {
  Builder builder;
  try {
    static_cast<void>(Json::sax_parse(text.begin(), text.end(), &builder));
  } catch (const Failure& failure) {
    throw Error({.who = who, .expected = failure.expected, .got = failure.got, .hint = failure.hint});
  }
  return builder.take();
}

Value value_of(const nlohmann::ordered_json& json) {
  using Type = nlohmann::ordered_json::value_t;
  switch (json.type()) {
    case Type::boolean: return json.get<bool>();
    case Type::number_integer: return json.get<std::int64_t>();
    case Type::number_unsigned: return integer_from_digits(std::to_string(json.get<std::uint64_t>()));
    case Type::number_float: return json.get<double>();
    case Type::string: return json.get<std::string>();
    case Type::array: {
      List list;
      for (const auto& item : json) list.add(value_of(item));
      return list;
    }
    case Type::object: {
      Dict dict;
      for (const auto& [key, value] : json.items()) dict.set(key, value_of(value));
      return dict;
    }
    default: return None();
  }
}

}  // namespace qad::jinja
