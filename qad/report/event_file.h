// The bytes of a TensorBoard event file: framed records, each a protobuf message `Event`. Written from TensorFlow's
// published formats, record_writer.h (tensorflow/core/lib/io), event.proto and summary.proto:
//
//     record   length u64 | masked CRC-32C of these 8 bytes u32 | data | masked CRC-32C of the data u32, little-endian
//     mask     rotate right by 15 bits, add 0xa282ead8
//     Event    1 wall_time double, 2 step int64, 3 file_version string, 5 summary {1 value {1 tag, 2 simple_value
//     float}}
//
// When something is written, and what, is tensorboard_log.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qad {

struct Scalar {
  std::string tag;
  double value = 0.0;  ///< stored as a float
};

/// The record that such a file begins with. Times are seconds since 1970.
[[nodiscard]] std::string event_file_header(double wall_time);
[[nodiscard]] std::string scalars_record(double wall_time, std::int64_t step, const std::vector<Scalar>& scalars);

/// What of a file stays where it is cut before step `end`.
struct KeptEvents {
  std::size_t bytes = 0;        ///< 0 for a file that does not begin with event_file_header's record
  std::int64_t last_step = -1;  ///< of its last record
};
/// All before the first record that is cut off, damaged, or of step `end` or later.
[[nodiscard]] KeptEvents events_before(std::string_view contents, std::int64_t end);

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4).
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes);

}  // namespace qad
