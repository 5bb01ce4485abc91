#include "data/jinja/objects.h"

#include "data/jinja/failure.h"

namespace qad::jinja {

void check_attribute(const Value& name) {
  if (const std::string* text = name.bytes(); text != nullptr && text->starts_with('_'))
    throw Failure{"attributes of a namespace that don't begin with _", '\'' + *text + '\''};
}

Value Namespace::attribute(std::string_view name) const {
  const Value* found = attributes.find(name);
  return found != nullptr ? *found : Object::attribute(name);
}

Loop::Loop(Items list, int depth, const Statement* calls_itself, ScopePointer around)
    : Object(one_deeper(list.depth())),
      items(std::move(list)),
      depth0(depth),
      recursive(calls_itself),
      scope(std::move(around)) {}

Value Loop::attribute(std::string_view name) const {
  const auto at = static_cast<std::int64_t>(index0), size = static_cast<std::int64_t>(items.all.size());
  if (name == "index") return at + 1;
  if (name == "index0") return at;
  if (name == "revindex") return size - at;
  if (name == "revindex0") return size - at - 1;
  if (name == "first") return at == 0;
  if (name == "last") return at + 1 == size;
  if (name == "length") return size;
  if (name == "depth") return std::int64_t{depth0} + 1;
  if (name == "depth0") return std::int64_t{depth0};
  if (name == "previtem") return at > 0 ? items.all[index0 - 1] : Value(Undefined("there is no previous item"));
  if (name == "nextitem") return at + 1 < size ? items.all[index0 + 1] : Value(Undefined("there is no next item"));
  return Object::attribute(name);
}

Value Cycler::attribute(std::string_view name) const {
  return name == "current" ? items.items[at] : Object::attribute(name);
}

Value Macro::attribute(std::string_view name) const {
  return name == "name" ? Value(definition_.text) : Object::attribute(name);
}

}  // namespace qad::jinja
