// Takes entries out of the executable, into files that must not exist yet.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "../error.h"
#include "../os.h"
#include "../printable.h"
#include "../sha256.h"
#include "verbs.h"

namespace ingot::verbs {

struct CloseFile {
    void operator()(FILE * file) const { std::fclose(file); }
};

// The writer only makes relative names without ".."; a manifest that was made elsewhere is
// held to the same.
static void check_name(const std::string & name) {
    const bool bad = name.empty() || name[0] == '/' || name.find("..") != std::string::npos ||
                     name.find('\\') != std::string::npos || name.find('\0') != std::string::npos;
    if (bad) throw Failure(EXIT_INTEGRITY, "the manifest names an entry that would leave the folder: " + name);
}

// Copies the weights piece by piece, each compared with its leaf of the hash tree.
static bool copy_weights(const Bundle & bundle, const Entry & entry, FILE * out) {
    const Entry * leaves_entry = bundle.manifest.named(entry.leaves);
    const auto leaves = leaves_entry ? bundle.read(*leaves_entry) : std::vector<uint8_t>{};
    std::vector<uint8_t> piece(entry.chunk);
    for (uint64_t at = 0, i = 0; at < entry.size; at += entry.chunk, ++i) {
        const size_t size = (size_t) std::min(entry.chunk, entry.size - at);
        uint8_t digest[32];
        bundle.file.read(entry.offset + at, piece.data(), size);
        sha256_raw(piece.data(), size, digest);
        if (leaves.size() < 32 * (i + 1) || std::memcmp(digest, leaves.data() + 32 * i, 32) != 0) {
            throw Failure(EXIT_INTEGRITY, entry.name + " in this executable is damaged", "download the executable again");
        }
        if (std::fwrite(piece.data(), 1, size, out) != size) return false;
    }
    return true;
}

static bool copy_small(const Bundle & bundle, const Entry & entry, FILE * out) {
    const auto bytes = bundle.read(entry);
    return std::fwrite(bytes.data(), 1, bytes.size(), out) == bytes.size();
}

static void write_entry(const Bundle & bundle, const Entry & entry, const std::string & path) {
    std::unique_ptr<FILE, CloseFile> out(os::create_new(path));
    bool good = false;
    errno = 0;
    try {
        good = entry.chunk > 0 ? copy_weights(bundle, entry, out.get()) : copy_small(bundle, entry, out.get());
    } catch (...) {
        std::remove(path.c_str());
        throw;
    }
    int reason = good ? 0 : errno;
    if (std::fclose(out.release()) != 0 && good) good = false, reason = errno;
    if (!good) {
        std::remove(path.c_str());
        throw Failure(EXIT_INPUT, "cannot write " + path + (reason ? std::string(": ") + std::strerror(reason) : ""),
                      "make room on the disk, or write elsewhere with -o");
    }
}

// Folders between `folder` and the file `path` in it, as far as they are empty.
static void remove_empty_folders(const std::string & path, const std::string & folder) {
    std::error_code error;
    for (auto parent = std::filesystem::path(path).parent_path(); parent.string().size() > folder.size(); parent = parent.parent_path()) {
        if (!std::filesystem::is_empty(parent, error) || error) return;
        std::filesystem::remove(parent, error);
    }
}

// All of them or, when one cannot be written, none.
static void write_all(const Bundle & bundle, const std::vector<const Entry *> & entries, const std::string & folder) {
    std::vector<std::string> paths, written;
    try {
        for (const Entry * entry : entries) {
            check_name(entry->name);
            const std::string path = folder + "/" + entry->name;
            paths.push_back(path);
            os::make_directories(path.substr(0, path.rfind('/')));
            write_entry(bundle, *entry, path);
            written.push_back(path);
        }
    } catch (...) {
        for (const std::string & path : written) std::remove(path.c_str());
        for (const std::string & path : paths) remove_empty_folders(path, folder);
        throw;
    }
    for (const std::string & path : written) std::printf("%s\n", printable(path).c_str());
}

int extract(const Bundle * bundle, Args user) {
    if (!bundle) throw Failure(EXIT_INPUT, "this is a bare runtime: there is nothing to extract");
    const Args folders = take_values(user, {"-o", "--output"});
    const std::string folder = folders.empty() ? "." : folders.back();
    if (folder.empty()) throw Failure(EXIT_USAGE, "-o needs a folder");
    for (const auto & name : user) {
        if (!name.empty() && name[0] == '-') throw Failure(EXIT_USAGE, "extract has no option " + name, "it takes -o FOLDER and names");
    }

    std::vector<const Entry *> wanted;
    for (const auto & name : user) {
        const Entry * entry = bundle->manifest.named(name);
        if (!entry) throw Failure(EXIT_INPUT, "there is no entry " + name, "info lists them; unzip -l works too");
        wanted.push_back(entry);
    }
    if (user.empty()) {
        for (const auto & entry : bundle->manifest.entries) wanted.push_back(&entry);
    }
    write_all(*bundle, wanted, folder);
    return EXIT_DONE;
}

}  // namespace ingot::verbs
