// Reads a tar archive (POSIX ustar) of regular files, as builder/ingot/engine/gpusources.py writes
// them, and treats it as hostile. Per file a header of 512 bytes, then its data, padded to 512:
//
//   offset  bytes
//        0    100  name
//      124     12  size in octal digits, ended by a space or a zero byte
//      148      8  checksum: the sum of the header's bytes, these eight counted as spaces
//      156      1  type: '0'
//      257      6  "ustar" and a zero byte
//      345    155  prefix; not empty: the name is prefix + "/" + name
//
// After the last file at least two blocks of zeros, and nothing but zeros.
//
// Refused: every other type (links, devices, folders, extensions), names that are absolute, have an
// empty, "." or ".." component, a backslash or a control character, or come twice; a number that is
// not octal; data beyond the end; more than 4,096 files. Owners, modes and times are not read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ingot {

struct TarFile {
    std::string     name;
    const uint8_t * data;  // in the archive
    size_t          size;  // bytes
};

// All files of the `size` bytes at `archive`, which must outlive them. Throws Failure(EXIT_INTEGRITY).
std::vector<TarFile> read_tar(const uint8_t * archive, size_t size);

// Writes them below `folder`, which must belong to this process alone. Throws Failure(EXIT_INTEGRITY),
// and Failure(EXIT_TOOLCHAIN) when a file cannot be written.
void unpack_tar(const std::vector<uint8_t> & archive, const std::string & folder);

}  // namespace ingot
