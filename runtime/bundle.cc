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
        throw Failure(EXIT_INTEGRITY, "this executable was written in a newer format than its runtime reads");
    }
    Tail found;
    found.offset = std::strtoull(std::string(tail + 8, 16).c_str(), nullptr, 16);
    found.size   = std::strtoull(std::string(tail + 25, 16).c_str(), nullptr, 16);
    found.sha256 = std::string(tail + 42, 64);
    return found;
}

// The size that the file should have by its manifest, looked for where a bundle begins; only
// asked when there is no tail, for a message. 0 when the manifest is cut short as well;
// nothing when there is no sign of a bundle.
static std::optional<uint64_t> size_it_should_have(const os::File & file) {
    static const char name[] = "manifest.json";
    static constexpr size_t FIXED = 30, NAME = sizeof name - 1;  // bytes of a local header
    uint8_t header[FIXED + NAME];
    for (uint64_t at = PROGRAM_ALIGN; at < MAX_PROGRAM && at + sizeof header <= file.size(); at += PROGRAM_ALIGN) {
        file.read(at, header, sizeof header);
        if (std::memcmp(header, "PK\3\4", 4) != 0 || std::memcmp(header + FIXED, name, NAME) != 0) continue;
        const uint64_t size = header[22] | header[23] << 8 | header[24] << 16 | (uint64_t) header[25] << 24;
        const uint64_t data = at + FIXED + NAME + (header[28] | header[29] << 8);
        if (size > MAX_MANIFEST || data + size > file.size()) return 0;
        std::string text(size, '\0');
        file.read(data, text.data(), text.size());
        const auto document = nlohmann::json::parse(text, nullptr, /*allow_exceptions*/ false);
        const bool known = document.is_object() && document.contains("file_size") && document["file_size"].is_number_unsigned();
        return known ? document["file_size"].get<uint64_t>() : 0;
    }
    return std::nullopt;
}

static std::string without_end(const os::File & file, uint64_t expected) {
    const std::string here = std::to_string(file.size());
    if (expected == 0) return "this executable is truncated: only " + here + " bytes are here";
    if (expected > file.size()) return "this executable is truncated: " + here + " of " + std::to_string(expected) + " bytes are here";
    if (expected < file.size()) {
        return "this executable was altered: it should have " + std::to_string(expected) + " bytes, and " + here + " are here";
    }
    return "this executable was altered: its end record is damaged";
}

static Manifest read_manifest(const os::File & file, const Tail & tail) {
    const bool inside = tail.offset <= file.size() && tail.size <= file.size() - tail.offset;
    if (!inside || tail.size > MAX_MANIFEST) {
        throw Failure(EXIT_INTEGRITY, "this executable is damaged: its tail points outside the file", "download it again");
    }
    std::string text(tail.size, '\0');
    file.read(tail.offset, text.data(), text.size());
    if (sha256_hex(text.data(), text.size()) != tail.sha256) {
        throw Failure(EXIT_INTEGRITY, "this executable was altered: its manifest does not have the hash recorded",
                      "download it again from where you trust it");
    }
    Manifest manifest = parse_manifest(text, file.size());
    if (manifest.file_size != file.size()) {
        throw Failure(EXIT_INTEGRITY, without_end(file, manifest.file_size), "download it again");
    }
    return manifest;
}

std::optional<Bundle> open_own_bundle(const char * argv0) {
    for (const auto & path : os::own_paths(argv0)) {
        if (const int error = os::error_of_reading(path)) {
            // Without /proc the other paths are tried; one that may be run and not read is this program.
            if (error != EACCES && error != EPERM) continue;
            throw Failure(EXIT_INPUT, std::string("this executable cannot read itself: ") + std::strerror(error),
                          "whoever runs it must be allowed to read it too: chmod a+rx FILE");
        }
        os::File file(path);
        if (const auto tail = read_tail(file)) {
            Manifest manifest = read_manifest(file, *tail);
            return Bundle{std::move(file), std::move(manifest)};
        }
        if (const auto expected = size_it_should_have(file)) {
            throw Failure(EXIT_INTEGRITY, without_end(file, *expected), "download it again");
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
