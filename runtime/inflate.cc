// DEFLATE decoding, by the decoder inside stb_image, which the engine carries and which
// exposes it as a function of its own. What it reads here was named by a checked manifest
// and is hashed afterwards.
#include "bundle.h"
#include "error.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#pragma clang diagnostic ignored "-Wunused-function"
#include "stb/stb_image.h"

namespace ingot {

std::vector<uint8_t> inflate(const std::vector<uint8_t> & stored, size_t size, const std::string & name) {
    std::vector<uint8_t> bytes(size);
    const int done = stbi_zlib_decode_noheader_buffer(reinterpret_cast<char *>(bytes.data()), (int) size,
                                                      reinterpret_cast<const char *>(stored.data()), (int) stored.size());
    if (done < 0 || (size_t) done != size) {
        throw Failure(EXIT_INTEGRITY, name + " in this executable is damaged", "download the executable again");
    }
    return bytes;
}

}  // namespace ingot
