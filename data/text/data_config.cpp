#include "data/text/data_config.h"

#include <utility>

namespace qad {
namespace {

// The fields of a struct whose fields are all optional, in their order.
struct Places {
  std::vector<void*> places;
  template <class T>
  void operator()(const Field&, std::optional<T>& value) {
    places.push_back(&value);
  }
};

// Fills each field that says nothing from the same field of another struct.
struct Filler {
  const std::vector<void*>& from;
  std::size_t next = 0;
  template <class T>
  void operator()(const Field&, std::optional<T>& value) {
    const auto& base = *static_cast<const std::optional<T>*>(from[next++]);
    if (!value) value = base;
  }
};

}  // namespace

TextFormat default_text_format() {
  TextFormat format;
  format.separator = "";
  format.trim = true;
  format.drop_last_document = false;
  format.field = "text";
  format.prompt_separator = "\n";
  format.loss_on = LossOn::all;
  format.template_date = "2024-07-26";
  return format;
}

TextFormat filled_in(TextFormat format, const TextFormat& base) {
  TextFormat from = base;
  Places places;
  from.visit_fields(places);
  format.visit_fields(Filler{places.places});
  return format;
}

int kinds_given(const SourceConfig& source) {
  return source.text.has_value() + source.jsonl.has_value() + source.token_file.has_value() +
         source.teacher_text.has_value() + source.synthetic.has_value() + source.problems.has_value() +
         source.random_tokens.has_value();
}

}  // namespace qad
