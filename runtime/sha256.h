// SHA-256 (FIPS 180-4). The engine's vendored C code does the work; where the CPU has the
// SHA extensions, sha256_ni.cc does it about six times faster, which is what makes hashing
// a module at every start and verifying gigabytes of weights affordable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace ingot {

// Digest of `size` bytes as 64 lowercase hexadecimal characters.
std::string sha256_hex(const void * data, size_t size);
// Digest as 32 raw bytes.
void sha256_raw(const void * data, size_t size, uint8_t digest[32]);

// Compresses `blocks` 64-byte blocks into `state` with the SHA extensions (x86-64).
void sha256_ni_blocks(uint32_t state[8], const uint8_t * data, size_t blocks);

}  // namespace ingot
