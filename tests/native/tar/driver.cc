// The tar reader as a program of its own: driver ARCHIVE FOLDER. The exit code is the failure's.
#include "tar.h"

#include <cstdio>
#include <fstream>
#include <iterator>

#include "error.h"

int main(int, char ** argv) {
    std::ifstream stream(argv[1], std::ios::binary);
    // Of exactly the file's size, so that a read beyond it is seen by the sanitizer.
    const std::vector<uint8_t> archive{std::istreambuf_iterator<char>(stream), {}};
    try {
        for (const auto & file : ingot::read_tar(archive.data(), archive.size())) std::printf("%zu %s\n", file.size, file.name.c_str());
        ingot::unpack_tar(archive, argv[2]);
    } catch (const ingot::Failure & failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return failure.code;
    }
    return 0;
}
