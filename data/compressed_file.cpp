#include "data/compressed_file.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <memory>
#include <new>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"
#include "data/free_memory.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kDamaged = "was it copied whole?";

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

/// A frame, or one of the frames that readers skip, which may stand before it.
bool is_zstd(std::string_view bytes) {
  using namespace std::string_view_literals;
  const bool is_skipped = bytes.size() >= 4 && (bytes[0] & 0xf0) == 0x50 && bytes.substr(1, 3) == "\x2a\x4d\x18"sv;
  return bytes.starts_with("\x28\xb5\x2f\xfd") || is_skipped;
}

[[noreturn]] void fail(const std::string& who, std::string_view kind, std::string_view reason) {
  throw Error({who, fmt::format("whole {} data", kind), std::string(reason), std::string(kDamaged)});
}

/// What comes out of a decompressor, up to a limit.
class Output {
 public:
  Output(const std::string& who, std::size_t most_bytes) : who_(who), most_(most_bytes) {}

  std::array<char, 1 << 16> buffer;
  void take(std::size_t count) {
    if (count > most_ - text_.size())
      throw Error({who_, fmt::format("at most {} MiB of text, half of the memory that is free", most_ >> 20), "more",
                   "is it what it should be?"});
    text_.append(buffer.data(), count);
  }
  [[nodiscard]] std::string text() && { return std::move(text_); }

 private:
  const std::string& who_;
  std::size_t most_;
  std::string text_;
};

/// One member after the other, as `cat a.gz b.gz` makes them; zeros may follow the last, as on tapes.
std::string gunzip(std::string_view bytes, const std::string& who, std::size_t most_bytes) {
  z_stream stream{};
  constexpr int kGzipOnly = 16 + MAX_WBITS;
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> end(&stream, &inflateEnd);
  Output output(who, most_bytes);
  for (;;) {
    const std::size_t given = std::min<std::size_t>(bytes.size(), std::numeric_limits<uInt>::max());
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(given);
    stream.next_out = reinterpret_cast<Bytef*>(output.buffer.data());
    stream.avail_out = static_cast<uInt>(output.buffer.size());
    const int result = inflate(&stream, Z_NO_FLUSH);
    const std::size_t count = output.buffer.size() - stream.avail_out;
    output.take(count);
    bytes.remove_prefix(given - stream.avail_in);
    if (result == Z_STREAM_END) {
      bytes.remove_prefix(std::min(bytes.find_first_not_of('\0'), bytes.size()));
      if (bytes.empty()) return std::move(output).text();
      if (!is_gzip(bytes)) fail(who, "gzip", "other bytes after its end");
      inflateReset(&stream);
      continue;
    }
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_OK && result != Z_BUF_ERROR) fail(who, "gzip", stream.msg != nullptr ? stream.msg : "damaged data");
    if (given == 0 && count == 0) fail(who, "gzip", "an end in its middle");
  }
}

/// One frame after the other.
std::string unzstd(std::string_view bytes, const std::string& who, std::size_t most_bytes) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  if (context == nullptr) throw std::bad_alloc();
  // Windows of `zstd --long`, as far as the text itself may be that long.
  constexpr int kLongestWindow = 31;
  int window = kLongestWindow;
  while (window > 27 && (std::size_t{1} << (window - 1)) >= most_bytes) --window;
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, window);
  Output output(who, most_bytes);
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  for (std::size_t more = 0;;) {
    ZSTD_outBuffer out{output.buffer.data(), output.buffer.size(), 0};
    const bool had_all = in.pos == in.size;
    if (had_all && more == 0) return std::move(output).text();
    more = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(more) != 0) fail(who, "Zstandard", ZSTD_getErrorName(more));
    output.take(out.pos);
    if (had_all && more != 0 && out.pos == 0) fail(who, "Zstandard", "an end in its middle");
  }
}

}  // namespace

std::string decompress(std::string bytes, const std::string& who, std::size_t most_bytes) {
  if (!is_gzip(bytes) && !is_zstd(bytes)) return bytes;
  std::string text = is_gzip(bytes) ? gunzip(bytes, who, most_bytes) : unzstd(bytes, who, most_bytes);
  if (is_gzip(text) || is_zstd(text)) throw Error({who, "a text that is compressed once", "one compressed twice", ""});
  return text;
}

std::string read_perhaps_compressed(const fs::path& file, std::string_view what) {
  return decompress(read_file_or_pipe(file, what, kAnySize), file.string(), free_memory() / 2);
}

std::string beginning_of(const fs::path& file, std::size_t bytes) {
  std::error_code error;
  if (!fs::is_regular_file(file, error) || fs::file_size(file, error) <= bytes || error) return "";
  std::string text(bytes, '\0');
  std::ifstream in(file, std::ios::binary);
  if (!in.read(text.data(), static_cast<std::streamsize>(bytes)) || is_gzip(text) || is_zstd(text)) return "";
  return text;
}

fs::path without_compression_ending(const fs::path& file) {
  const std::string ending = file.extension().string();
  return ending == ".gz" || ending == ".zst" ? fs::path(file).replace_extension() : file;
}

}  // namespace qad
