#include "tar.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "error.h"

namespace ingot {

namespace fs = std::filesystem;

static constexpr size_t BLOCK = 512, FILES_MAX = 4096;
static constexpr size_t NAME = 0, NAME_BYTES = 100, SIZE = 124, SIZE_BYTES = 12, SUM = 148, SUM_BYTES = 8, TYPE = 156,
                        MAGIC = 257, PREFIX = 345, PREFIX_BYTES = 155;

[[noreturn]] static void refuse(const std::string & what) {
    throw Failure(EXIT_INTEGRITY, "the archive of sources " + what, "download the executable again");
}

static std::string text(const uint8_t * field, size_t bytes) {
    const auto * from = reinterpret_cast<const char *>(field);
    return {from, std::find(from, from + bytes, '\0')};
}

// Octal digits up to a space or a zero byte, or to the field's end.
static uint64_t number(const uint8_t * field, size_t bytes) {
    uint64_t value = 0;
    size_t   at = 0;
    for (; at < bytes && field[at] >= '0' && field[at] <= '7'; ++at) value = value * 8 + (field[at] - '0');  // at most 36 bits
    if (at == 0 || (at < bytes && field[at] != ' ' && field[at] != '\0')) refuse("has a number that is none");
    return value;
}

static bool all_zero(const uint8_t * from, const uint8_t * to) {
    return std::all_of(from, to, [](uint8_t byte) { return byte == 0; });
}

static bool safe(const std::string & name) {
    for (size_t at = 0; at <= name.size();) {
        const size_t end = std::min(name.find('/', at), name.size());
        const std::string part = name.substr(at, end - at);
        if (part.empty() || part == "." || part == "..") return false;
        at = end + 1;
    }
    return std::none_of(name.begin(), name.end(), [](char c) { return (unsigned char) c < 32 || c == 127 || c == '\\'; });
}

static void check_header(const uint8_t * header) {
    uint64_t sum = 0;
    for (size_t i = 0; i < BLOCK; ++i) sum += i >= SUM && i < SUM + SUM_BYTES ? ' ' : header[i];
    if (number(header + SUM, SUM_BYTES) != sum) refuse("has a damaged header");
    if (std::memcmp(header + MAGIC, "ustar", 6) != 0) refuse("is not of the kind ustar");
    if (header[TYPE] != '0') refuse("has something that is no regular file");
}

static std::string name_of(const uint8_t * header) {
    const std::string prefix = text(header + PREFIX, PREFIX_BYTES), name = text(header + NAME, NAME_BYTES);
    const std::string whole = prefix.empty() ? name : prefix + "/" + name;
    if (!safe(whole)) refuse("has a file whose name is not allowed");
    return whole;
}

std::vector<TarFile> read_tar(const uint8_t * archive, size_t size) {
    std::vector<TarFile>  files;
    std::set<std::string> names;
    size_t at = 0;
    while (true) {
        if (size - at < 2 * BLOCK) refuse("is truncated");
        const uint8_t * header = archive + at;
        if (all_zero(header, header + BLOCK)) break;
        check_header(header);
        TarFile file{name_of(header), header + BLOCK, 0};
        const uint64_t bytes = number(header + SIZE, SIZE_BYTES);
        at += BLOCK;
        if (bytes > size - at) refuse("is truncated");
        file.size = (size_t) bytes;
        const size_t padded = (file.size + BLOCK - 1) / BLOCK * BLOCK;
        if (padded > size - at) refuse("is truncated");
        at += padded;
        if (!names.insert(file.name).second) refuse("has " + file.name + " twice");
        files.push_back(std::move(file));
        if (files.size() > FILES_MAX) refuse("has too many files");
    }
    if (!all_zero(archive + at, archive + size)) refuse("goes on after its end");
    return files;
}

void unpack_tar(const std::vector<uint8_t> & archive, const std::string & folder) {
    for (const auto & file : read_tar(archive.data(), archive.size())) {
        const fs::path to = fs::path(folder) / file.name;
        std::error_code ignored;  // what could not be made is told when the file cannot be opened
        fs::create_directories(to.parent_path(), ignored);
        std::ofstream stream(to, std::ios::binary);
        stream.write(reinterpret_cast<const char *>(file.data), (std::streamsize) file.size);
        stream.close();
        if (!stream) throw Failure(EXIT_TOOLCHAIN, to.string() + ": cannot be written: is the disk full?", "choose another place with --cache-dir");
    }
}

}  // namespace ingot
