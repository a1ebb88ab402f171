#include "sha256.h"

#include <cstring>

extern "C" {
#include "hash/sha256/sha256.h"
}

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ingot {

static bool cpu_has_sha() {
#if defined(__x86_64__)
    static const bool has = [] {
        unsigned a, b, c, d;
        if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1)) return false;
        return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29));
    }();
    return has;
#else
    return false;
#endif
}

static void digest_with_extensions(const uint8_t * data, size_t size, uint8_t digest[32]) {
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const size_t whole = size / 64;
    sha256_ni_blocks(state, data, whole);

    uint8_t tail[128] = {0};
    const size_t rest = size - whole * 64;
    std::memcpy(tail, data + whole * 64, rest);
    tail[rest] = 0x80;
    const size_t tail_size = rest < 56 ? 64 : 128;
    const uint64_t bits = (uint64_t) size * 8;
    for (int i = 0; i < 8; ++i) tail[tail_size - 1 - i] = (uint8_t) (bits >> (8 * i));
    sha256_ni_blocks(state, tail, tail_size / 64);

    for (int i = 0; i < 8; ++i) {
        for (int j = 0; j < 4; ++j) digest[i * 4 + j] = (uint8_t) (state[i] >> (24 - 8 * j));
    }
}

void sha256_raw(const void * data, size_t size, uint8_t digest[32]) {
    const auto * bytes = static_cast<const uint8_t *>(data);
    if (cpu_has_sha()) {
        digest_with_extensions(bytes, size, digest);
    } else {
        sha256_hash(digest, bytes, size);
    }
}

std::string sha256_hex(const void * data, size_t size) {
    uint8_t digest[32];
    sha256_raw(data, size, digest);
    static const char * digits = "0123456789abcdef";
    std::string hex(64, '0');
    for (int i = 0; i < 32; ++i) {
        hex[2 * i]     = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    return hex;
}

}  // namespace ingot
