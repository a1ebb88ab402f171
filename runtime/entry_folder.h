// Files that a cache keeps, each one whole or not there: contents, a text about them, and a
// record at the end. One file and not two, so that there is no pair to tear. Little endian:
//
//   offset from the end of the file   bytes
//   -120                              32     sha256 of the contents
//    -88                              32     key
//    -56                               8     size of the contents in bytes
//    -48                               4     size of the text in bytes, at most 65,536
//    -44                               4     format version, 1
//    -40                              32     sha256 of the text and the 80 bytes above
//     -8                               8     "INGOTMOD"
//
// The file is contents + text + 120 bytes long, no more and no less, and at most 1 GiB. The
// record is at the end so that other tools still see an ELF file. Rejected: a signature. The
// key to make it would lie where whoever may write the file could read it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "private_folder.h"

namespace ingot {

struct EntryRecord {
    std::string key;     // 64 lowercase hexadecimal characters
    uint64_t    size;    // of the contents, bytes
    std::string sha256;  // of the contents
    std::string about;   // as given to write()
};

class EntryFolder {
  public:
    EntryFolder(os::PrivateFolder folder, std::string suffix) : folder_(std::move(folder)), suffix_(std::move(suffix)) {}

    // The contents, sealed and then hashed.
    std::optional<os::SealedFile> read(const std::string & key, os::Refusal & refusal) const;
    // Its record; the contents are not hashed.
    std::optional<EntryRecord> record(const std::string & key, os::Refusal & refusal) const;
    // Puts an entry in place, or leaves everything as it was.
    bool write(const std::string & key, const os::SealedFile & contents, const std::string & about,
               std::string & why) const;
    void remove(const std::string & key) const { folder_.remove(key + suffix_); }
    bool has(const std::string & key) const { return folder_.has(key + suffix_); }
    // Keys of all entries, good or bad, sorted.
    std::vector<std::string> keys() const;

    const os::PrivateFolder & folder() const { return folder_; }

  private:
    std::optional<EntryRecord> record_of(const os::PrivateFile & file, const std::string & key,
                                         os::Refusal & refusal) const;
    std::string path_of(const std::string & key) const { return folder_.path() + "/" + key + suffix_; }

    os::PrivateFolder folder_;
    std::string       suffix_;
};

bool is_key(const std::string & text);

}  // namespace ingot
