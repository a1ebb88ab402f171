// Finds the bundle in the program's own file and checks it. The format is described in
// builder/ingot/bundle/format.py and docs/reference/format.md; in short, the file ends with
// an end-of-central-directory record whose 107-byte comment, the tail, says where the
// manifest is and how it hashes. A truncated file has no tail, and that is how it is seen.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "manifest.h"
#include "os.h"

namespace ingot {

struct Bundle {
    os::File file;
    Manifest manifest;

    // Uncompressed bytes of an entry, checked against its hash. Throws Failure.
    std::vector<uint8_t> read(const Entry & entry) const;
    // Bytes as they are in the file.
    std::vector<uint8_t> read_stored(const Entry & entry) const;
};

// Opens the running program's bundle; nothing when the program carries none (a bare
// runtime). Throws Failure(EXIT_INTEGRITY) when it is truncated or altered.
std::optional<Bundle> open_own_bundle(const char * argv0);

// The bundle of this process, or nullptr. Set once by main().
const Bundle * own_bundle();
void set_own_bundle(const Bundle * bundle);

// Inflates a raw DEFLATE stream into exactly `size` bytes. Throws Failure.
std::vector<uint8_t> inflate(const std::vector<uint8_t> & stored, size_t size, const std::string & name);

}  // namespace ingot
