// A folder that belongs to this user alone, held open: everything in it is reached from its
// descriptor, so renaming or replacing it, or any folder above it, changes nothing.
//
// Names in it are single components. What is being made there has a name that begins with
// TEMPORARY and is flocked by its maker; without that lock its maker is dead and anybody who
// opens the folder may remove it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sealed_file.h"

namespace ingot::os {

inline constexpr const char * TEMPORARY = ".ingot-tmp-";

// Why a file is not handed out.
struct Refusal {
    std::string why;          // one line; empty when the file is merely missing
    bool        bad = false;  // what is there will never do; otherwise another try may succeed
};

// An existing file that passed the checks of PrivateFolder::file.
struct PrivateFile {
    Descriptor fd;
    uint64_t   size = 0;
    // Reads exactly `size` bytes at `offset`; false when there are fewer or it fails.
    bool read(uint64_t offset, void * to, size_t size) const;
};

// An exclusive lock between processes, given up when it is destroyed or its holder dies. A
// forked child shares it; programs started by exec do not.
class FileLock {
  public:
    explicit FileLock(Descriptor file) : file_(std::move(file)) {}

  private:
    Descriptor file_;
};

// Asked before each pause of about 50 ms while somebody else holds a lock; false gives up.
using Waiting = std::function<bool(double waited_seconds)>;

struct Part {
    const void * data;
    uint64_t     size;
};

// A private folder (0700) of this process's own, removed with all it holds.
class TemporaryFolder {
  public:
    TemporaryFolder(Descriptor parent, Descriptor self, std::string name, std::string path)
        : parent_(std::move(parent)), self_(std::move(self)), name_(std::move(name)), path_(std::move(path)) {}
    TemporaryFolder(TemporaryFolder &&) = default;
    ~TemporaryFolder();
    const std::string & path() const { return path_; }

  private:
    Descriptor  parent_, self_;  // self_ holds the flock
    std::string name_, path_;
};

class PrivateFolder {
  public:
    enum class Create { no, yes };

    // Opens `path`, whose last component must be a folder, no link, of this user and writable
    // by nobody else; with Create::yes it and its parents are made (0700). The parents may be
    // anything. On failure `why` says what stands against it; it stays empty when the folder
    // is merely missing.
    static std::optional<PrivateFolder> open(const std::string & path, Create create, std::string & why);
    // The same for a folder in this one.
    std::optional<PrivateFolder> folder(const std::string & name, Create create, std::string & why) const;
    // Opens a file to read: regular, no link, one name only, of this user, writable by nobody
    // else, at most `limit` bytes. Never waits for a FIFO.
    std::optional<PrivateFile> file(const std::string & name, uint64_t limit, Refusal & refusal) const;
    // Replaces `name` by a file of these parts: all of it on the disk, or nothing.
    bool publish(const std::string & name, const std::vector<Part> & parts, std::string & why) const;
    // Removes a file or a folder with all it holds; links are not followed.
    void remove(const std::string & name) const;
    bool has(const std::string & name) const;
    // Whether files can be made in it; otherwise `why` says what stands against that.
    bool writable(std::string & why) const;
    std::vector<std::string> names() const;
    // Takes the lock file `name`. Without `waiting` it is tried once. `why` is empty when
    // somebody else holds it.
    std::optional<FileLock> lock(const std::string & name, const Waiting & waiting, std::string & why) const;
    // Removes what dead processes left half-made.
    void sweep() const;

    const std::string & path() const { return path_; }

  private:
    PrivateFolder(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
    static std::optional<PrivateFolder> open_at(int parent, const std::string & name, const std::string & path,
                                                Create create, std::string & why);
    Descriptor  fd_;
    std::string path_;
};

// A new temporary folder in `parent`, which may be shared (/tmp), but not so that others could
// exchange it. What dead processes of this user left there is removed first.
std::optional<TemporaryFolder> make_temporary_folder(const std::string & parent, std::string & why);

// Bytes that this user may still write below `path`; 0 when unknown.
uint64_t available_bytes(const std::string & path);

// This user's home folder: HOME, else the user database; empty with the reason in `why`.
std::string home_folder(std::string & why);

}  // namespace ingot::os
