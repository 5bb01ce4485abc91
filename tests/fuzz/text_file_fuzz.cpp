// libFuzzer: any bytes as a file of JSON lines, compressed or not, become documents or are refused by an Error.
#include <cstdint>
#include <filesystem>
#include <string>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/compressed_file.h"
#include "data/files/file_kinds.h"
#include "data/files/utf8.h"
#include "data/text/record_reader.h"

namespace {

constexpr std::size_t kMostBytes = 1 << 20;

qad::TextFormat format() {
  const std::filesystem::path file = std::filesystem::temp_directory_path() / "qad_text_file_fuzz.jinja";
  qad::write_file_atomically(file, "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}");
  qad::TextFormat format = qad::default_text_format();
  format.chat_template = file.string();
  format.loss_on = qad::LossOn::assistant;
  return format;
}

void read_lines(const std::string& text) {
  static const qad::TextFormat kFormat = format();
  qad::RecordReader reader(kFormat, "");
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const qad::JsonRecord record(std::string_view(text).substr(at, end - at), "fuzz:1");
    static_cast<void>(record.keys());
    static_cast<void>(reader.read(record));
    at = end + 1;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string text =
        qad::decompress(std::string(reinterpret_cast<const char*>(data), size), "fuzz", kMostBytes);
    qad::refuse_what_is_no_text(text, "fuzz");
    qad::check_utf8(text, "fuzz");
    qad::refuse_what_is_no_json_lines(text, "fuzz");
    read_lines(text);
  } catch (const qad::Error&) {
  }
  return 0;
}
