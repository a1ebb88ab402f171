// GPU modules that were compiled on this machine, kept between starts.
//
//   DIR/modules/KEY.so     a module with its record (entry_folder.h)
//   DIR/modules/KEY.log    why it could not be made, and the compiler's words
//   DIR/modules/KEY.lock   flocked by whoever makes it; stays, empty
//   DIR/objects/KEY.o      parts of modules, in the same format; marks of passed tests
//   DIR/scratch/           where compilers work
//
// Rules
//  1. What is loaded is a sealed copy in memory that was hashed after it was sealed. No path
//     is ever given to the loader, and what happens to a file after lookup() changes nothing.
//  2. A folder or file counts only if it is no link, belongs to this user, and nobody else
//     may write to it. Anything else is told in one line, never used, and made anew.
//  3. A file is made under another name, flushed, and renamed. Killed at any moment, a
//     process leaves the old entry, the new one or none, and the next one removes its rest.
//  4. One process compiles a key while the others wait for its lock; a lock dies with its
//     holder. The order is lookup, lock, lookup again, compile, test, store.
//  5. A module that works is only replaced on demand (--force), and then by one rename when its
//     successor is on the disk: otherwise store() keeps an entry that passes its checks,
//     and remember_failure() touches no module.
//  6. Where nothing can be kept (read-only, full, no home) everything still answers: lookup()
//     finds nothing, scratch() looks elsewhere, and the module just compiled is loaded from
//     memory.
//
// Threats: other users of the machine, processes killed half-way, full or failing disks, files
// of an older version or another key, files exchanged between check and use. No threat:
// whoever acts as this very user, or root; they can already replace the program itself.
//
// Nothing here prints. A `why` is one line for the user, and empty when there is none to say.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "entry_folder.h"

namespace ingot {

struct PastFailure {
    std::string reason;
    std::string log_path;
};

// One key, for doctor. The contents of the module were not hashed.
struct CachedModule {
    std::string                key;
    std::optional<EntryRecord> record;   // the module, if there is a sound record
    std::string                problem;  // what is wrong with it otherwise
    std::optional<PastFailure> failure;
};

class ModuleCache {
  public:
    // Where it would be, and nothing done yet: `option` (--cache-dir), else INGOT_CACHE, else
    // XDG_CACHE_HOME/ingot, else ~/.cache/ingot. Empty with the reason in `why`.
    static std::string place(const std::optional<std::string> & option, std::string & why);

    enum class Access { read, write };
    // Never fails: where the folder can't be used, the cache keeps nothing and `why` says so.
    // With Access::read nothing is created or removed, and a missing folder is an empty cache.
    static ModuleCache open(const std::optional<std::string> & option, Access access, std::string & why);

    bool                keeps() const { return modules_.has_value(); }
    const std::string & folder() const { return path_; }  // empty if it has none

    // The module, to be loaded from this very object. A bad entry is removed, so that it is
    // made anew.
    std::optional<os::SealedFile> lookup(const std::string & key, std::string & why) const;
    // To be held while a module is made. Empty when `waiting` gave up, or when nothing can be
    // locked or kept: then it may be compiled all the same, at worst twice.
    std::optional<os::FileLock> lock(const std::string & key, const os::Waiting & waiting, std::string & why) const;
    // Keeps a module that was tested: the same sealed bytes. Forgets a failure. True also when
    // a sound module was there already, which then stays. What open() has told already, that
    // there is no cache, is not told again.
    enum class Sound { keep, replace };  // what is done with a sound one that is there
    bool store(const std::string & key, const os::SealedFile & module, const std::string & about, std::string & why,
               Sound sound = Sound::keep) const;
    // The text stored with a module.
    std::optional<std::string> about(const std::string & key, std::string & why) const;

    // `reason`: one line. Of a log over 1 MiB the end is kept.
    bool remember_failure(const std::string & key, const std::string & reason, const std::string & log,
                          std::string & why) const;
    // Why it should not be tried again. Nothing when there is a module by now.
    std::optional<PastFailure> failure(const std::string & key) const;
    void forget_failure(const std::string & key) const;

    std::optional<os::SealedFile> object(const std::string & key, std::string & why) const;
    bool store_object(const std::string & key, const os::SealedFile & object, std::string & why) const;

    // A private folder to compile in with at least `bytes` free: in the cache, else in TMPDIR,
    // /tmp or /dev/shm. Empty when there is none; `why` says what stood against the first.
    std::optional<os::TemporaryFolder> scratch(uint64_t bytes, std::string & why) const;

    std::vector<CachedModule> list() const;

  private:
    bool writes() const { return read_only_.empty() && modules_; }

    std::string                      path_;
    std::string                      read_only_;  // why nothing is written, if so
    std::optional<EntryFolder>       modules_;
    std::optional<EntryFolder>       objects_;
    std::optional<os::PrivateFolder> scratch_;
};

}  // namespace ingot
