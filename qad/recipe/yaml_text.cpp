#include "qad/recipe/yaml_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace qad {
namespace {

// Letters first, then letters, digits and what paths and layer names are made of: safe in block and flow style alike.
bool is_plain_word(const std::string& text) {
  // What YAML 1.1 readers take for a truth value or null is quoted as well, for their sake.
  for (const std::string_view taken : {"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
    if (std::equal(text.begin(), text.end(), taken.begin(), taken.end(),
                   [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; }))
      return false;
  const auto is_letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  const auto is_safe = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '/' || c == '.' || c == '-';
  };
  const bool starts_well =
      is_letter(text[0]) || (text[0] == '/' && text.size() > 1) || text.starts_with("../") || text.starts_with("./");
  return starts_well && std::all_of(text.begin(), text.end(), is_safe);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
          out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        else out += c;
    }
  }
  return out + '"';
}

std::string scalar_text(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::null) return "null";
  return node.quoted && !is_plain_word(node.scalar) ? quoted(node.scalar) : node.scalar;
}

bool is_inline(const YamlNode& node) {
  const auto is_leaf = [](const YamlNode& n) {
    return n.kind == YamlNode::Kind::null || n.kind == YamlNode::Kind::scalar;
  };
  if (node.kind == YamlNode::Kind::map) return node.entries.empty();
  return is_leaf(node) || std::all_of(node.items.begin(), node.items.end(), is_leaf);
}

std::string inline_text(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::map) return "{}";
  if (node.kind != YamlNode::Kind::sequence) return scalar_text(node);
  std::string out = "[";
  for (const YamlNode& item : node.items) out += (out.size() > 1 ? ", " : "") + scalar_text(item);
  return out + "]";
}

void write_block(const YamlNode& node, const std::string& indent, std::string& out) {
  if (node.kind == YamlNode::Kind::map) {
    for (const YamlNode::Entry& entry : node.entries) {
      out += indent + (is_plain_word(entry.key) ? entry.key : quoted(entry.key)) + ":";
      if (is_inline(entry.value)) out += " " + inline_text(entry.value) + "\n";
      else out += "\n", write_block(entry.value, indent + "  ", out);
    }
    return;
  }
  for (const YamlNode& item : node.items) {
    if (is_inline(item)) {
      out += indent + "- " + inline_text(item) + "\n";
      continue;
    }
    const std::size_t begin = out.size();
    write_block(item, indent + "  ", out);
    out.replace(begin + indent.size(), 1, "-");  // the dash stands in the first line's own indentation
  }
}

}  // namespace

std::string yaml_text(const YamlNode& node) {
  if (is_inline(node)) return inline_text(node) + "\n";
  std::string out;
  write_block(node, "", out);
  return out;
}

}  // namespace qad
