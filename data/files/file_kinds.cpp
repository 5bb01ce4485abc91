#include "data/files/file_kinds.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "autograd/base/error.h"
#include "data/files/compressed_file.h"
#include "data/files/utf8.h"

namespace qad {
namespace fs = std::filesystem;
using namespace std::string_view_literals;
namespace {

// A kind of file by its first bytes. In `command`, IN and OUT stand for the file and for what is made of it.
struct Kind {
  std::string_view name, magic, command, out_ending;
  std::size_t offset = 0;
};

// `pyarrow` is what pandas and datasets read and write these files with.
constexpr auto kKinds = std::to_array<Kind>({
    {"a Parquet file, which takes Apache Arrow to read", "PAR1"sv,
     "python3 -c \"import json, pyarrow.parquet as p; [print(json.dumps(r, ensure_ascii=False, default=str)) for r in "
     "p.read_table('IN').to_pylist()]\" > OUT",
     ".jsonl"},
    {"an Arrow file", "ARROW1"sv,
     "python3 -c \"import json, pyarrow as p; [print(json.dumps(r, ensure_ascii=False, default=str)) for r in "
     "p.ipc.open_file('IN').read_all().to_pylist()]\" > OUT",
     ".jsonl"},
    {"an Arrow stream", "\xff\xff\xff\xff"sv,
     "python3 -c \"import json, pyarrow as p; [print(json.dumps(r, ensure_ascii=False, default=str)) for r in "
     "p.ipc.open_stream('IN').read_all().to_pylist()]\" > OUT",
     ".jsonl"},
    {"an ORC file", "ORC"sv,
     "python3 -c \"import json, pyarrow.orc as p; [print(json.dumps(r, ensure_ascii=False, default=str)) for r in "
     "p.read_table('IN').to_pylist()]\" > OUT",
     ".jsonl"},
    {"a file compressed by bzip2", "BZh"sv, "bzip2 -dc IN | gzip > OUT", ".gz"},
    {"a file compressed by xz",
     "\xfd"
     "7zXZ\0"sv,
     "xz -dc IN | gzip > OUT", ".gz"},
    {"a file compressed by lz4", "\x04\x22\x4d\x18"sv, "lz4 -dc IN | gzip > OUT", ".gz"},
    {"a zip archive", "PK\x03\x04"sv, "unzip -p IN | gzip > OUT", ".gz"},
    {"a 7z archive", "7z\xbc\xaf\x27\x1c"sv, "7z e -so IN | gzip > OUT", ".gz"},
    {"a tar archive", "ustar"sv, "tar -xOf IN | gzip > OUT", ".gz", 257},
    {"an HDF5 file", "\x89HDF\r\n\x1a\n"sv, "token_file reads ids from HDF5", ""},
    {"a NumPy array", "\x93NUMPY"sv,
     "python3 -c \"import h5py, numpy; h5py.File('OUT', 'w')['ids'] = numpy.load('IN').ravel()\", and token_file reads "
     "it",
     ".h5"},
    {"a PDF", "%PDF-"sv, "pdftotext IN OUT", ".txt"},
    {"UTF-16", "\xff\xfe"sv, "iconv -f UTF-16 -t UTF-8 IN > OUT", ".utf8"},
    {"UTF-16", "\xfe\xff"sv, "iconv -f UTF-16 -t UTF-8 IN > OUT", ".utf8"},
});

// A text may well begin with the letters ORC.
bool is_binary(std::string_view bytes) {
  return bytes.find('\0') != std::string_view::npos || find_invalid_utf8(bytes) != std::string_view::npos;
}

// The command with a file's name in it, as far as a shell and Python take the name as it is.
std::string filled_in(std::string_view command, const fs::path& file, std::string_view out_ending) {
  const bool is_easy = file.string().find_first_of("'\"\\$`\n") == std::string::npos;
  const std::string in = is_easy ? file.string() : "FILE";
  const bool needs_quotes = in.find_first_of(" \t&;|<>()*?[]#~!{}") != std::string::npos;
  const auto quoted = [&](const std::string& name) { return needs_quotes ? '\'' + name + '\'' : name; };
  std::string out = fs::path(in).replace_extension().string() + std::string(out_ending);
  if (out == in) out = fs::path(in).replace_extension().string() + ".new" + std::string(out_ending);
  std::string text;
  while (!command.empty()) {
    const bool is_in = command.starts_with("IN"), is_out = command.starts_with("OUT");
    const std::string& name = is_in ? in : out;
    const bool in_python = text.ends_with('\'');
    if (is_in || is_out) text += in_python ? name : quoted(name);
    else text += command.front();
    command.remove_prefix(is_in ? 2 : is_out ? 3 : 1);
  }
  return text;
}

// A command that reads its standard input, with the file as that.
std::string fed(const std::string& command, const fs::path& file) {
  const std::string ending = file.extension().string();
  const std::string unpack = ending == ".gz" ? "gzip -dc IN | " : ending == ".zst" ? "zstd -dc IN | " : "";
  std::string text = unpack + command + (unpack.empty() ? " < IN" : "") + " > OUT";
  return filled_in(text, file, unpack.empty() ? ".jsonl" : ".lines.jsonl");
}

std::string table_command(std::string_view delimiter) {
  return fmt::format(
      "python3 -c \"import csv, json, sys; [print(json.dumps(r, ensure_ascii=False)) for r in "
      "csv.DictReader(sys.stdin{})]\"",
      delimiter);
}

}  // namespace

void refuse_what_is_no_text(std::string_view bytes, const fs::path& file) {
  for (const Kind& kind : kKinds)
    if (bytes.size() >= kind.offset && bytes.substr(kind.offset).starts_with(kind.magic) && is_binary(bytes))
      throw Error({.who = file.string(),
                   .expected = "a text, perhaps compressed by gzip or zstd",
                   .got = std::string(kind.name),
                   .hint = filled_in(kind.command, file, kind.out_ending)});
}

void refuse_what_is_no_json_lines(std::string_view text, const fs::path& file) {
  const std::string ending = without_compression_ending(file).extension().string();
  const auto refuse = [&](std::string_view got, const std::string& command) {
    throw Error({.who = file.string(),
                 .expected = "JSON lines, one object a line",
                 .got = std::string(got),
                 .hint = fed(command, file)});
  };
  if (ending == ".csv") refuse("a table of comma-separated values", table_command(""));
  if (ending == ".tsv") refuse("a table of tab-separated values", table_command(", delimiter='\\t'"));
  text.remove_prefix(leading_white_space(text));
  const std::string_view line = text.substr(0, text.find('\n'));
  if (line.starts_with('['))
    refuse("a JSON array",
           "python3 -c \"import json, sys; [print(json.dumps(r, ensure_ascii=False)) for r in json.load(sys.stdin)]\"");
  if (line.substr(0, line.size() - trailing_white_space(line)) == "{" && line.size() < text.size())
    refuse("an object over several lines", "jq -c .");
}

bool is_named_json_lines(const fs::path& file) {
  const std::string ending = without_compression_ending(file).extension().string();
  return ending == ".jsonl" || ending == ".ndjson" || ending == ".json";
}

bool is_named_table(const fs::path& file) {
  const std::string ending = without_compression_ending(file).extension().string();
  return ending == ".csv" || ending == ".tsv";
}

}  // namespace qad
