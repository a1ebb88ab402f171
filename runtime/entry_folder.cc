#include "entry_folder.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "sha256.h"

namespace ingot {

static constexpr uint64_t SIZE_LIMIT  = 1ull << 30;
static constexpr uint32_t ABOUT_LIMIT = 65536;
static constexpr uint32_t VERSION     = 1;
static constexpr size_t   RECORD      = 120;
static constexpr size_t   KEY_AT = 32, SIZE_AT = 64, ABOUT_AT = 72, VERSION_AT = 76, DIGEST_AT = 80, MAGIC_AT = 112;
static constexpr char     MAGIC[] = "INGOTMOD";

using Record = std::array<uint8_t, RECORD>;

bool is_key(const std::string & text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

static void put_number(uint8_t * to, uint64_t number, int bytes) {
    for (int i = 0; i < bytes; ++i) to[i] = (uint8_t) (number >> (8 * i));
}

static uint64_t number_at(const uint8_t * from, int bytes) {
    uint64_t number = 0;
    for (int i = 0; i < bytes; ++i) number |= (uint64_t) from[i] << (8 * i);
    return number;
}

static std::string hex(const uint8_t * bytes) {
    static const char * digits = "0123456789abcdef";
    std::string text;
    for (int i = 0; i < 32; ++i) {
        text += digits[bytes[i] >> 4];
        text += digits[bytes[i] & 15];
    }
    return text;
}

static void put_hex(uint8_t * to, const std::string & text) {
    const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    for (size_t i = 0; i < 32; ++i) to[i] = (uint8_t) (value(text[2 * i]) << 4 | value(text[2 * i + 1]));
}

static void record_digest(const std::string & about, const Record & record, uint8_t digest[32]) {
    const std::string covered = about + std::string(record.begin(), record.begin() + DIGEST_AT);
    sha256_raw(covered.data(), covered.size(), digest);
}

static Record make_record(const std::string & key, const os::SealedFile & contents, const std::string & about) {
    Record record{};
    sha256_raw(contents.data(), contents.size(), record.data());
    put_hex(&record[KEY_AT], key);
    put_number(&record[SIZE_AT], contents.size(), 8);
    put_number(&record[ABOUT_AT], about.size(), 4);
    put_number(&record[VERSION_AT], VERSION, 4);
    record_digest(about, record, &record[DIGEST_AT]);
    std::memcpy(&record[MAGIC_AT], MAGIC, 8);
    return record;
}

std::optional<EntryRecord> EntryFolder::record_of(const os::PrivateFile & file, const std::string & key,
                                                  os::Refusal & refusal) const {
    const auto refused = [&](const char * reason) {
        refusal = {path_of(key) + " " + reason, true};
        return std::nullopt;
    };
    Record     record;
    const bool long_enough = file.size >= RECORD;
    if (long_enough && !file.read(file.size - RECORD, record.data(), RECORD)) return refused("cannot be read");
    if (!long_enough || std::memcmp(&record[MAGIC_AT], MAGIC, 8) != 0 || number_at(&record[VERSION_AT], 4) != VERSION) {
        return refused("is damaged: it does not end with a record of this cache");
    }
    const uint64_t size       = number_at(&record[SIZE_AT], 8);
    const uint64_t about_size = number_at(&record[ABOUT_AT], 4);
    // In this order nothing can overflow.
    if (size > SIZE_LIMIT || about_size > ABOUT_LIMIT || size + about_size + RECORD != file.size) {
        return refused("is damaged: it does not have the size recorded");
    }
    std::string about(about_size, '\0');
    uint8_t     digest[32];
    if (!file.read(size, about.data(), about.size())) return refused("cannot be read");
    record_digest(about, record, digest);
    if (std::memcmp(digest, &record[DIGEST_AT], 32) != 0) return refused("is damaged: its record was altered");
    if (hex(&record[KEY_AT]) != key) return refused("was made for another key");
    return EntryRecord{key, size, hex(record.data()), about};
}

std::optional<EntryRecord> EntryFolder::record(const std::string & key, os::Refusal & refusal) const {
    const auto file = folder_.file(key + suffix_, SIZE_LIMIT, refusal);
    return file ? record_of(*file, key, refusal) : std::nullopt;
}

std::optional<os::SealedFile> EntryFolder::read(const std::string & key, os::Refusal & refusal) const {
    const auto file = folder_.file(key + suffix_, SIZE_LIMIT, refusal);
    if (!file) return std::nullopt;
    const auto record = record_of(*file, key, refusal);
    if (!record) return std::nullopt;
    std::string why;
    auto sealed = os::SealedFile::copy(file->fd.get(), record->size, why);
    if (!sealed) {  // for want of memory, say: no reason to throw the entry away
        refusal = {path_of(key) + ": " + why, false};
        return std::nullopt;
    }
    // Hashed after it was sealed: what is compared here is what will be loaded.
    if (sealed->sha256() == record->sha256) return sealed;
    refusal = {path_of(key) + " is damaged: its contents do not have the hash recorded", true};
    return std::nullopt;
}

bool EntryFolder::write(const std::string & key, const os::SealedFile & contents, const std::string & about,
                        std::string & why) const {
    if (about.size() > ABOUT_LIMIT || contents.size() > SIZE_LIMIT - ABOUT_LIMIT - RECORD) {
        why = path_of(key) + " would be larger than the cache allows";
        return false;
    }
    const Record record = make_record(key, contents, about);
    return folder_.publish(key + suffix_,
                           {{contents.data(), contents.size()}, {about.data(), about.size()}, {record.data(), RECORD}}, why);
}

std::vector<std::string> EntryFolder::keys() const {
    std::vector<std::string> keys;
    for (const auto & name : folder_.names()) {
        const std::string key = name.substr(0, 64);
        if (is_key(key) && name == key + suffix_) keys.push_back(key);
    }
    std::sort(keys.begin(), keys.end());
    return keys;
}

}  // namespace ingot
