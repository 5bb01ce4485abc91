// Pages of mapped files: let go, and asked for before they are needed. What is a mapped file's is noted here, so that
// who has a tensor need not know where its bytes are.
#pragma once

#include <cstddef>
#include <span>

namespace qad {

/// Of a file, from mmap to munmap.
void note_mapping(std::span<const std::byte> mapping);
void drop_mapping(std::span<const std::byte> mapping);

/// Lets go of the memory behind whole pages of a mapped file; they come from the file again if they are read again.
/// Does nothing to bytes that no note_mapping told of.
void forget_pages(std::span<const std::byte> bytes);

/// Has the system keep memory of the process's own, which nothing was written to yet, in large pages where it can: for
/// what is read whole, again and again.
void prefer_large_pages(std::span<const std::byte> bytes);

/// Has the system begin to read these bytes of a mapped file into memory.
void ask_for_pages(std::span<const std::byte> bytes);
/// Reads them, so that a bad sector, or a file that was cut off meanwhile, is a false and not a SIGBUS.
[[nodiscard]] bool read_pages(std::span<const std::byte> bytes);

}  // namespace qad
