#include "data/files/compressed_file.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/free_memory.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kDamaged = "was it copied whole?";

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

// A frame, or one of the frames that readers skip, which may stand before it.
bool is_zstd(std::string_view bytes) {
  using namespace std::string_view_literals;
  const bool is_skipped = bytes.size() >= 4 && (bytes[0] & 0xf0) == 0x50 && bytes.substr(1, 3) == "\x2a\x4d\x18"sv;
  return bytes.starts_with("\x28\xb5\x2f\xfd") || is_skipped;
}

[[noreturn]] void fail(const std::string& who, std::string_view kind, std::string_view reason) {
  throw Error({.who = who,
               .expected = fmt::format("whole {} data", kind),
               .got = std::string(reason),
               .hint = std::string(kDamaged)});
}

// What comes out of a decompressor, up to a limit.
class Output {
 public:
  enum class Beyond { error, left_out };
  Output(const std::string& who, std::size_t most_bytes, Beyond beyond)
      : who_(who), most_(most_bytes), beyond_(beyond) {}

  std::array<char, 1 << 16> buffer;
  void take(std::size_t count) {
    const std::size_t room = most_ - text_.size();
    if (count > room && beyond_ == Beyond::error)
      throw Error({.who = who_,
                   .expected = fmt::format("at most {} MiB of text, half of the memory that is free", most_ >> 20),
                   .got = "more",
                   .hint = "is it what it should be?"});
    text_.append(buffer.data(), std::min(count, room));
    has_left_out_ = count > room;
  }
  [[nodiscard]] bool has_left_out() const { return has_left_out_; }
  [[nodiscard]] const std::string& who() const { return who_; }
  [[nodiscard]] std::string& text() { return text_; }

 private:
  const std::string& who_;
  std::size_t most_;
  Beyond beyond_;
  std::string text_;
  bool has_left_out_ = false;
};

// Compressed bytes, all of a file or the first ones.
struct Input {
  std::string_view bytes;
  bool is_whole;
};

// One member after the other, as `cat a.gz b.gz` makes them; zeros may follow the last, as on tapes.
void gunzip(Input in, Output& output) {
  z_stream stream{};
  constexpr int kGzipOnly = 16 + MAX_WBITS;
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> end(&stream, &inflateEnd);
  while (!output.has_left_out()) {
    const std::size_t given = std::min<std::size_t>(in.bytes.size(), std::numeric_limits<uInt>::max());
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.bytes.data()));
    stream.avail_in = static_cast<uInt>(given);
    stream.next_out = reinterpret_cast<Bytef*>(output.buffer.data());
    stream.avail_out = static_cast<uInt>(output.buffer.size());
    const int result = inflate(&stream, Z_NO_FLUSH);
    const std::size_t count = output.buffer.size() - stream.avail_out;
    output.take(count);
    in.bytes.remove_prefix(given - stream.avail_in);
    if (result == Z_STREAM_END) {
      in.bytes.remove_prefix(std::min(in.bytes.find_first_not_of('\0'), in.bytes.size()));
      if (in.bytes.empty()) return;
      if (!is_gzip(in.bytes) && (in.is_whole || in.bytes.size() > 1))
        fail(output.who(), "gzip", "other bytes after its end");
      inflateReset(&stream);
      continue;
    }
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_OK && result != Z_BUF_ERROR)
      fail(output.who(), "gzip", stream.msg != nullptr ? stream.msg : "damaged data");
    if (given == 0 && count == 0) {
      if (in.is_whole) fail(output.who(), "gzip", "an end in its middle");
      return;
    }
  }
}

// One frame after the other. `most_window` bytes: windows of `zstd --long` are no longer than the text may be.
void unzstd(Input in, Output& output, std::size_t most_window) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  if (context == nullptr) throw std::bad_alloc();
  constexpr int kLongestWindow = 31;
  int window = kLongestWindow;
  while (window > 27 && (std::size_t{1} << (window - 1)) >= most_window) --window;
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, window);
  ZSTD_inBuffer bytes{in.bytes.data(), in.bytes.size(), 0};
  for (std::size_t more = 0; !output.has_left_out();) {
    ZSTD_outBuffer out{output.buffer.data(), output.buffer.size(), 0};
    const bool had_all = bytes.pos == bytes.size;
    if (had_all && more == 0) return;
    more = ZSTD_decompressStream(context.get(), &out, &bytes);
    if (ZSTD_isError(more) != 0) fail(output.who(), "Zstandard", ZSTD_getErrorName(more));
    output.take(out.pos);
    if (had_all && more != 0 && out.pos == 0) {
      if (in.is_whole) fail(output.who(), "Zstandard", "an end in its middle");
      return;
    }
  }
}

bool is_compressed(std::string_view bytes) { return is_gzip(bytes) || is_zstd(bytes); }

void decompress(Input in, Output& output, std::size_t most_window) {
  if (is_gzip(in.bytes)) gunzip(in, output);
  else unzstd(in, output, most_window);
  if (is_compressed(output.text()))
    throw Error({.who = output.who(), .expected = "a text that is compressed once", .got = "one compressed twice"});
}

}  // namespace

std::string decompress(std::string bytes, const std::string& who, std::size_t most_bytes) {
  if (!is_compressed(bytes)) return bytes;
  Output output(who, most_bytes, Output::Beyond::error);
  decompress({bytes, true}, output, most_bytes);
  return std::move(output.text());
}

std::string read_perhaps_compressed(const fs::path& file, std::string_view what) {
  return decompress(read_file_or_pipe(file, what, kAnySize), file.string(), free_memory() / 2);
}

std::string beginning_of(const fs::path& file, std::size_t bytes) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return "";
  std::string begun(std::min<std::uintmax_t>(bytes, fs::file_size(file, error)), '\0');
  std::ifstream in(file, std::ios::binary);
  if (error || !in.read(begun.data(), static_cast<std::streamsize>(begun.size()))) return "";
  const bool is_whole = in.peek() == std::ifstream::traits_type::eof();
  if (!is_compressed(begun)) return is_whole ? "" : begun;
  const std::string who = file.string();
  Output output(who, bytes, Output::Beyond::left_out);
  decompress({begun, is_whole}, output, free_memory() / 2);
  return is_whole && !output.has_left_out() ? "" : std::move(output.text());
}

fs::path without_compression_ending(const fs::path& file) {
  const std::string ending = file.extension().string();
  return ending == ".gz" || ending == ".zst" ? fs::path(file).replace_extension() : file;
}

}  // namespace qad
