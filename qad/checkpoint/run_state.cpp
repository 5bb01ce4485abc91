#include "qad/checkpoint/run_state.h"

#include <optional>
#include <set>
#include <type_traits>
#include <variant>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"

namespace qad {
namespace {

constexpr const char* kModel = "model/";
constexpr const char* kQuantizer = "quantizer/";
constexpr const char* kFirstMoment = "adamw/first/";
constexpr const char* kSecondMoment = "adamw/second/";
constexpr const char* kAverage = "average/";
constexpr const char* kUpdates = "adamw.updates";
constexpr const char* kScale = "scale/";
constexpr const char* kHint = "is it a checkpoint of another model?";

// A state's fields in a checkpoint: numbers, texts that say anything, and the fields of its parts as part.field.
struct FieldWriter {
  CheckpointContent& content;
  std::string prefix{};

  template <class T>
  void operator()(const char* name, const T& value) const {
    const std::string key = prefix + name;
    if constexpr (std::is_floating_point_v<T>) content.numbers[key] = value;
    else if constexpr (std::is_integral_v<T>) content.numbers[key] = static_cast<std::int64_t>(value);
    else visit_fields(value, FieldWriter{content, key + "."});
  }
  void operator()(const char* name, const std::string& text) const {
    if (!text.empty()) content.texts[prefix + name] = text;
  }
  template <class T>
  void operator()(const char* name, const std::optional<T>& part) const {
    if (part) (*this)(name, *part);
  }
};

CheckpointContent::Number number_of(const CheckpointContent& content, const std::string& name,
                                    const std::string& file) {
  const auto found = content.numbers.find(name);
  if (found == content.numbers.end())
    throw Error({.who = file, .expected = "the number " + name, .got = "none", .hint = "is it another program's?"});
  return found->second;
}

struct FieldReader {
  const CheckpointContent& content;
  const std::string& file;
  std::string prefix{};

  template <class T>
  void operator()(const char* name, T& value) const {
    const std::string key = prefix + name;
    if constexpr (std::is_arithmetic_v<T>) {
      using Stored = std::conditional_t<std::is_floating_point_v<T>, double, std::int64_t>;
      if (!may_lack(key)) value = static_cast<T>(std::get<Stored>(number_of(content, key, file)));
    } else {
      visit_fields(value, FieldReader{content, file, key + "."});
    }
  }
  void operator()(const char* name, std::string& text) const {
    if (const auto found = content.texts.find(prefix + name); found != content.texts.end()) text = found->second;
  }
  template <class T>
  void operator()(const char* name, std::optional<T>& part) const {
    const std::string fields = prefix + name + ".";
    const auto first = content.numbers.lower_bound(fields);
    if (first != content.numbers.end() && first->first.starts_with(fields)) (*this)(name, part.emplace());
  }

 private:
  // Of a checkpoint of an older program, which did not know it.
  [[nodiscard]] bool may_lack(const std::string& key) const {
    const bool is_newer = key.starts_with("best.") || key.starts_with("before.") || key == "beyond_in_a_row";
    return is_newer && !content.numbers.contains(key);
  }
};

const Tensor& saved_tensor(const CheckpointContent& content, const std::string& name, const Shape& shape, DType type,
                           const std::string& file, const char* type_hint = kHint) {
  const auto found = content.tensors.find(name);
  if (found == content.tensors.end())
    throw Error({.who = file, .expected = "the tensor " + name, .got = "none", .hint = kHint});
  const Tensor& saved = found->second;
  if (saved.shape() != shape)
    throw Error(
        {.who = file + ": " + name, .expected = "shape " + shape.text(), .got = saved.shape().text(), .hint = kHint});
  if (saved.dtype() != type)
    throw Error({.who = file + ": " + name,
                 .expected = std::string(name_of(type)),
                 .got = std::string(name_of(saved.dtype())),
                 .hint = type_hint});
  return saved;
}

void restore_tensor(const CheckpointContent& content, const std::string& name, const Tensor& target,
                    const std::string& file) {
  target.copy_from(saved_tensor(content, name, target.shape(), target.dtype(), file));
}

// best.h5 has no optimizer, and one who exports the last checkpoint does not ask for its own: both may be there.
void check_no_surplus(const CheckpointContent& content, const RunParts& parts, const std::string& file) {
  std::set<std::string> known;
  const auto add = [&](const ParameterList& parameters, const char* values) {
    for (const ParameterPointer& parameter : parameters)
      for (const char* kind : {values, kFirstMoment, kSecondMoment, kAverage}) known.insert(kind + parameter->name);
  };
  add(parts.student.parameters(), kModel);
  add(parts.quantizers.parameters(), kQuantizer);
  for (const auto& [name, tensor] : content.tensors)
    if (!known.contains(name) && !name.starts_with(kScale) &&
        !(name.starts_with(kOscillation) && (parts.optimizer == nullptr || parts.sums.contains(name))))
      throw Error({.who = file, .expected = "no tensors but the model's", .got = name + " as well", .hint = kHint});
}

}  // namespace

CheckpointContent pack(const RunState& state, const RunParts& parts, const std::string& recipe) {
  CheckpointContent content;
  content.texts["recipe"] = recipe;
  content.texts["kernels"] = kernel_description();  // which bits these are (HACKING.md, numerics 8)
  visit_fields(state, FieldWriter{content});
  for (const auto& [name, value] : parts.quantizers.state()) content.numbers[kScale + name] = value;
  for (const auto& [name, tensor] : parts.quantizers.state_tensors()) content.tensors[kScale + name] = tensor;
  for (const ParameterPointer& parameter : parts.student.parameters())
    content.tensors[kModel + parameter->name] = parameter->value();
  for (const ParameterPointer& parameter : parts.quantizers.parameters())
    content.tensors[kQuantizer + parameter->name] = parameter->value();
  if (parts.optimizer != nullptr) {
    content.numbers[kUpdates] = parts.optimizer->updates();
    const std::vector<AdamW::State> states = parts.optimizer->whole_states();
    for (std::size_t i = 0; i < states.size(); ++i) {
      const std::string& name = parts.optimizer->parameters()[i]->name;
      content.tensors[kFirstMoment + name] = states[i].first;
      content.tensors[kSecondMoment + name] = states[i].second;
    }
  }
  content.tensors.insert(parts.sums.begin(), parts.sums.end());
  if (parts.average != nullptr)
    for (std::size_t i = 0; i < parts.average->averages().size(); ++i)
      content.tensors[kAverage + parts.average->parameters()[i]->name] = parts.average->averages()[i];
  return content;
}

RunState unpack(const CheckpointContent& content, const RunParts& parts, const std::string& file) {
  RunState state;
  visit_fields(state, FieldReader{content, file});
  const auto restore_values = [&](const ParameterList& parameters, const char* kind) {
    for (const ParameterPointer& parameter : parameters) {
      const std::string average = kAverage + parameter->name;
      const bool takes_average = parts.optimizer == nullptr && content.tensors.contains(average);
      restore_tensor(content, takes_average ? average : kind + parameter->name, parameter->value(), file);
      parameter->changed();
    }
  };
  restore_values(parts.student.parameters(), kModel);
  restore_values(parts.quantizers.parameters(), kQuantizer);
  check_no_surplus(content, parts, file);
  std::vector<QuantizerSet::NamedValue> scales;
  for (const auto& [name, value] : content.numbers)
    if (name.starts_with(kScale))
      scales.emplace_back(name.substr(std::string_view(kScale).size()), std::get<double>(value));
  QuantizerSet::NamedTensors block_scales;
  for (const auto& [name, tensor] : content.tensors)
    if (name.starts_with(kScale)) block_scales[name.substr(std::string_view(kScale).size())] = tensor;
  parts.quantizers.restore(scales, file, block_scales);
  if (parts.optimizer != nullptr) {
    parts.optimizer->set_updates(std::get<std::int64_t>(number_of(content, kUpdates, file)));
    for (std::size_t i = 0; i < parts.optimizer->parameters().size(); ++i) {
      const Parameter& parameter = *parts.optimizer->parameters()[i];
      const auto saved = [&](const char* moment) {
        return saved_tensor(content, moment + parameter.name, parameter.shape(), parts.optimizer->moments_type(), file,
                            "was train.adamw.moments another?");
      };
      parts.optimizer->set_state(i, {saved(kFirstMoment), saved(kSecondMoment)});
    }
  }
  for (const auto& [name, tensor] : parts.sums) restore_tensor(content, name, tensor, file);
  if (parts.average != nullptr)
    for (std::size_t i = 0; i < parts.average->averages().size(); ++i)
      restore_tensor(content, kAverage + parts.average->parameters()[i]->name, parts.average->averages()[i], file);
  return state;
}

}  // namespace qad
