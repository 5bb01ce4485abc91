#include "qad/report/event_file.h"

#include <array>
#include <bit>
#include <cstring>
#include <optional>

static_assert(std::endian::native == std::endian::little, "event files are little-endian");

namespace qad {
namespace {

constexpr std::size_t kHead = 12, kFrameBytes = 16;  // before a record's data, and around it
constexpr std::string_view kEventFormat = "brain.Event:2";

constexpr auto kCrcTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
    table[i] = crc;
  }
  return table;
}();

std::uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8u; }

template <class Number>
std::string raw(Number value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

template <class Number>
Number number_at(std::string_view bytes, std::size_t at) {
  Number value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string record(std::string_view data) {
  const std::string length = raw(std::uint64_t{data.size()});
  return length + raw(masked_crc(length)) + std::string(data) + raw(masked_crc(data));
}

// Protobuf: a field is its key (number and wire type) and a value.
enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };
enum EventField : std::uint8_t { kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5 };
enum SummaryField : std::uint8_t { kValue = 1 };
enum ValueField : std::uint8_t { kTag = 1, kSimpleValue = 2 };

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}

std::string key(std::uint8_t field, Wire wire) { return varint(field * 8u + static_cast<unsigned>(wire)); }

std::string bytes_field(std::uint8_t field, std::string_view bytes) {
  return key(field, Wire::bytes) + varint(bytes.size()) + std::string(bytes);
}

std::string wall_time_field(double wall_time) { return key(kWallTime, Wire::fixed64) + raw(wall_time); }

struct EventHead {
  std::int64_t step = 0;
  bool is_file_version = false;
};

// Reads a message field by field; nothing where it is none.
class FieldReader {
 public:
  explicit FieldReader(std::string_view message) : message_(message) {}

  std::optional<EventHead> head() {
    EventHead event;
    while (at_ < message_.size()) {
      const auto field = take_varint();
      if (!field) return std::nullopt;
      std::optional<std::uint64_t> value;
      switch (static_cast<Wire>(*field & 7)) {
        case Wire::varint: value = take_varint(); break;
        case Wire::fixed64: value = skip(8); break;
        case Wire::fixed32: value = skip(4); break;
        case Wire::bytes:
          if ((value = take_varint())) value = skip(*value);
          break;
      }
      if (!value) return std::nullopt;
      if (*field >> 3 == kStep) event.step = static_cast<std::int64_t>(*value);
      if (*field >> 3 == kFileVersion) event.is_file_version = true;
    }
    return event;
  }

 private:
  std::optional<std::uint64_t> take_varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at_ < message_.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(message_[at_++]);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }
  std::optional<std::uint64_t> skip(std::uint64_t count) {
    if (count > message_.size() - at_) return std::nullopt;
    at_ += count;
    return count;
  }

  std::string_view message_;
  std::size_t at_ = 0;
};

// The data of the record at `at`; nothing where there is no whole one.
std::optional<std::string_view> data_at(std::string_view contents, std::size_t at) {
  const std::string_view rest = contents.substr(at);
  if (rest.size() < kFrameBytes) return std::nullopt;
  const auto length = number_at<std::uint64_t>(rest, 0);
  if (number_at<std::uint32_t>(rest, 8) != masked_crc(rest.substr(0, 8))) return std::nullopt;
  if (length > rest.size() - kFrameBytes) return std::nullopt;
  const std::string_view data = rest.substr(kHead, length);
  if (number_at<std::uint32_t>(rest, kHead + length) != masked_crc(data)) return std::nullopt;
  return data;
}

}  // namespace

std::string event_file_header(double wall_time) {
  return record(wall_time_field(wall_time) + bytes_field(kFileVersion, kEventFormat));
}

std::string scalars_record(double wall_time, std::int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars)
    summary += bytes_field(kValue, bytes_field(kTag, scalar.tag) + key(kSimpleValue, Wire::fixed32) +
                                       raw(static_cast<float>(scalar.value)));
  return record(wall_time_field(wall_time) + key(kStep, Wire::varint) + varint(static_cast<std::uint64_t>(step)) +
                bytes_field(kSummary, summary));
}

KeptEvents events_before(std::string_view contents, std::int64_t end) {
  KeptEvents kept;
  while (const auto data = data_at(contents, kept.bytes)) {
    const auto event = FieldReader(*data).head();
    const bool is_first = kept.bytes == 0;
    if (!event || event->is_file_version != is_first || (!is_first && event->step >= end)) break;
    kept.bytes += kFrameBytes + data->size();
    if (!is_first) kept.last_step = event->step;
  }
  return kept;
}

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (const char c : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

}  // namespace qad
