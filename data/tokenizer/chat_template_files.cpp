#include "data/tokenizer/chat_template_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/json_file.h"
#include "data/tokenizer/tokenizer_files.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::json;

std::vector<NamedTemplate> templates_of_config(const std::string& config, const std::string& file) {
  const Json whole = parse_python_json(config, file);
  const Json value = whole.is_object() ? whole.value("chat_template", Json()) : Json();
  const std::string who = file + " chat_template";
  if (value.is_null()) return {};
  if (value.is_string()) return {{"default", who, value.get<std::string>()}};
  std::vector<NamedTemplate> templates;
  if (value.is_array())
    for (const Json& entry : value)
      if (entry.is_object() && entry.value("name", Json()).is_string() && entry.value("template", Json()).is_string())
        templates.push_back({entry.at("name").get<std::string>(), who, entry.at("template").get<std::string>()});
  if (templates.empty())
    throw Error(
        {.who = who, .expected = "a template, or a list of them with one named default", .got = value.type_name()});
  return templates;
}

}  // namespace

std::vector<std::string> chat_template_files(const fs::path& folder) {
  std::vector<std::string> names;
  if (fs::is_regular_file(folder / kChatTemplate)) names.emplace_back(kChatTemplate);
  if (fs::is_directory(folder / kChatTemplateFolder))
    for (const auto& entry : fs::directory_iterator(folder / kChatTemplateFolder))
      if (entry.is_regular_file() && entry.path().extension() == ".jinja")
        names.push_back(std::string(kChatTemplateFolder) + "/" + entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<NamedTemplate> chat_templates_of(std::span<const std::pair<std::string, std::string>> files,
                                             const fs::path& folder) {
  std::vector<NamedTemplate> templates;
  for (const auto& [name, contents] : files)
    if (const fs::path file = name; file.extension() == ".jinja")
      templates.push_back(
          {name == kChatTemplate ? "default" : file.stem().string(), (folder / file).string(), contents});
  for (const auto& [name, contents] : files)
    if (templates.empty() && name == kTokenizerConfig)
      templates = templates_of_config(contents, (folder / name).string());
  return templates;
}

bool has_chat_template(const fs::path& folder) {
  if (folder.empty()) return false;
  if (!chat_template_files(folder).empty()) return true;
  if (!fs::exists(folder / kTokenizerConfig)) return false;
  const Json config = read_json_file(folder / kTokenizerConfig, "a tokenizer_config.json");
  return config.is_object() && !config.value("chat_template", Json()).is_null();
}

std::vector<NamedTemplate> read_chat_templates(const fs::path& place) {
  const bool is_config = !fs::is_directory(place);
  const fs::path folder = is_config ? place.parent_path() : place;
  std::vector<std::pair<std::string, std::string>> files;
  if (!is_config)
    for (const std::string& name : chat_template_files(folder))
      files.emplace_back(name, read_file(folder / name, "a chat template"));
  const fs::path config = is_config ? place : place / kTokenizerConfig;
  if (files.empty() && !place.empty() && fs::exists(config))
    files.emplace_back(kTokenizerConfig, read_file(config, "a tokenizer_config.json"));
  std::vector<NamedTemplate> templates = chat_templates_of(files, folder);
  if (templates.empty())
    throw Error({.who = place.empty() ? "a conversation" : place.string(),
                 .expected = "a chat_template.jinja, or chat_template in tokenizer_config.json, to lay messages out",
                 .got = "neither",
                 .hint = "name one with chat_template, or write the conversations out as text"});
  return templates;
}

}  // namespace qad
