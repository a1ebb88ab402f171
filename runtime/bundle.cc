#include "bundle.h"

#include <cstring>

#include "error.h"
#include "sha256.h"

namespace ingot {

static constexpr size_t   EOCD_SIZE     = 22;   // bytes, without the comment
static constexpr size_t   TAIL_SIZE     = 107;  // "ingot-1 OFFSET SIZE SHA256\n"
static constexpr uint64_t MAX_MANIFEST  = 16u << 20;
static constexpr uint64_t MAX_PROGRAM   = 256u << 20;
static constexpr uint64_t PROGRAM_ALIGN = 4096;

static const Bundle * own = nullptr;
const Bundle * own_bundle() { return own; }
void set_own_bundle(const Bundle * bundle) { own = bundle; }

struct Tail {
    uint64_t    offset = 0, size = 0;
    std::string sha256;
};

static std::optional<Tail> read_tail(const os::File & file) {
    if (file.size() < EOCD_SIZE + TAIL_SIZE) return std::nullopt;
    char raw[EOCD_SIZE + TAIL_SIZE + 1] = {0};
    file.read(file.size() - EOCD_SIZE - TAIL_SIZE, raw, EOCD_SIZE + TAIL_SIZE);
    const char * tail = raw + EOCD_SIZE;
    if (std::memcmp(raw, "PK\5\6", 4) != 0 || std::memcmp(tail, "ingot-", 6) != 0) return std::nullopt;
    if (std::memcmp(tail, "ingot-1 ", 8) != 0) {
        throw Failure(EXIT_INTEGRITY, file.path() + " was written in a newer format than this runtime reads");
    }
    Tail found;
    found.offset = std::strtoull(std::string(tail + 8, 16).c_str(), nullptr, 16);
    found.size   = std::strtoull(std::string(tail + 25, 16).c_str(), nullptr, 16);
    found.sha256 = std::string(tail + 42, 64);
    return found;
}

// True when a manifest's local file header stands where a bundle would begin: then the
// file was an executable once, and lost its end. Only asked when there is no tail.
static bool lost_its_end(const os::File & file) {
    static const char name[] = "manifest.json";
    char header[30 + sizeof name - 1];
    for (uint64_t at = PROGRAM_ALIGN; at < MAX_PROGRAM && at + sizeof header <= file.size(); at += PROGRAM_ALIGN) {
        file.read(at, header, sizeof header);
        if (std::memcmp(header, "PK\3\4", 4) == 0 && std::memcmp(header + 30, name, sizeof name - 1) == 0) return true;
    }
    return false;
}

static Manifest read_manifest(const os::File & file, const Tail & tail) {
    const bool inside = tail.offset <= file.size() && tail.size <= file.size() - tail.offset;
    if (!inside || tail.size > MAX_MANIFEST) {
        throw Failure(EXIT_INTEGRITY, file.path() + " is damaged: its tail points outside the file",
                      "download it again");
    }
    std::string text(tail.size, '\0');
    file.read(tail.offset, text.data(), text.size());
    if (sha256_hex(text.data(), text.size()) != tail.sha256) {
        throw Failure(EXIT_INTEGRITY, file.path() + " was altered: its manifest does not have the hash recorded",
                      "download it again from where you trust it");
    }
    Manifest manifest = parse_manifest(text, file.size());
    if (manifest.file_size != file.size()) {
        throw Failure(EXIT_INTEGRITY,
                      file.path() + " has " + std::to_string(file.size()) + " bytes and should have " +
                          std::to_string(manifest.file_size),
                      "it was truncated or something was appended: download it again");
    }
    return manifest;
}

std::optional<Bundle> open_own_bundle(const char * argv0) {
    for (const auto & path : os::own_paths(argv0)) {
        os::File file;
        try {
            file = os::File(path);
        } catch (const Failure &) {
            continue;
        }
        if (const auto tail = read_tail(file)) {
            Manifest manifest = read_manifest(file, *tail);
            return Bundle{std::move(file), std::move(manifest)};
        }
        if (lost_its_end(file)) {
            throw Failure(EXIT_INTEGRITY,
                          "this executable is truncated: only " + std::to_string(file.size()) + " bytes are here",
                          "the download was probably cut short: download it again");
        }
    }
    return std::nullopt;
}

std::vector<uint8_t> Bundle::read_stored(const Entry & entry) const {
    std::vector<uint8_t> bytes(entry.stored);
    file.read(entry.offset, bytes.data(), bytes.size());
    return bytes;
}

std::vector<uint8_t> Bundle::read(const Entry & entry) const {
    auto bytes = read_stored(entry);
    if (entry.method == 8) bytes = inflate(bytes, entry.size, entry.name);
    if (!entry.sha256.empty() && sha256_hex(bytes.data(), bytes.size()) != entry.sha256) {
        throw Failure(EXIT_INTEGRITY, entry.name + " in this executable was altered",
                      "download the executable again from where you trust it");
    }
    return bytes;
}

}  // namespace ingot
