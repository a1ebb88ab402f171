// Takes entries out of the executable, into files that must not exist yet.
#include <cstdio>
#include <memory>

#include "../error.h"
#include "../os.h"
#include "verbs.h"

namespace ingot::verbs {

static constexpr size_t PIECE = 4u << 20;  // bytes per read, so that weights need no memory

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

static void write_entry(const Bundle & bundle, const Entry & entry, const std::string & folder) {
    check_name(entry.name);
    const std::string path = folder + "/" + entry.name;
    os::make_directories(path.substr(0, path.rfind('/')));
    std::unique_ptr<FILE, CloseFile> out(os::create_new(path));
    bool good = true;
    if (entry.method == 8 || entry.chunk == 0) {
        const auto bytes = bundle.read(entry);
        good = std::fwrite(bytes.data(), 1, bytes.size(), out.get()) == bytes.size();
    } else {
        std::vector<uint8_t> piece(PIECE);
        for (uint64_t at = 0; at < entry.size && good; at += PIECE) {
            const size_t size = (size_t) std::min<uint64_t>(PIECE, entry.size - at);
            bundle.file.read(entry.offset + at, piece.data(), size);
            good = std::fwrite(piece.data(), 1, size, out.get()) == size;
        }
    }
    good = good && std::fflush(out.get()) == 0;
    if (!good) {
        std::remove(path.c_str());
        throw Failure(EXIT_INPUT, "cannot write " + path, "is the disk full?");
    }
    std::printf("%s\n", path.c_str());
}

int extract(const Bundle * bundle, Args user) {
    if (!bundle) throw Failure(EXIT_INPUT, "this is a bare runtime: there is nothing to extract");
    const Args folders = take_values(user, {"-o", "--output"});
    const std::string folder = folders.empty() ? "." : folders.back();

    std::vector<const Entry *> wanted;
    for (const auto & name : user) {
        const Entry * entry = bundle->manifest.named(name);
        if (!entry) throw Failure(EXIT_INPUT, "there is no entry " + name, "info lists them; unzip -l works too");
        wanted.push_back(entry);
    }
    if (user.empty()) {
        for (const auto & entry : bundle->manifest.entries) wanted.push_back(&entry);
    }
    for (const Entry * entry : wanted) write_entry(*bundle, *entry, folder);
    return EXIT_DONE;
}

}  // namespace ingot::verbs
