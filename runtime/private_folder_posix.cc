#include "private_folder.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <random>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <thread>
#include <unistd.h>

namespace ingot::os {

using Create = PrivateFolder::Create;

// O_NONBLOCK: opening a FIFO that was put in place of a file must not wait for a writer.
static constexpr int READ = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
static constexpr int FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
static constexpr int ATTEMPTS = 100;

static std::string cannot(const char * verb, const std::string & path) {
    return std::string("cannot ") + verb + " " + path + ": " + std::strerror(errno);
}

// What stands against trusting it; empty if nothing does.
static std::string objection(const struct stat & st, mode_t kind) {
    char text[80] = "";
    if (S_ISLNK(st.st_mode)) return "is a symbolic link";
    if ((st.st_mode & S_IFMT) != kind) return kind == S_IFDIR ? "is not a folder" : "is not a regular file";
    if (st.st_uid != geteuid()) {
        std::snprintf(text, sizeof text, "belongs to another user (uid %u)", (unsigned) st.st_uid);
    } else if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        std::snprintf(text, sizeof text, "may be written to by others (mode %04o)", (unsigned) st.st_mode & 07777);
    } else if (kind == S_IFREG && st.st_nlink != 1) {
        std::snprintf(text, sizeof text, "has %lu names (hard links)", (unsigned long) st.st_nlink);
    }
    return text;
}

// Why opening `name` failed, in terms of what is there rather than of the system call.
static std::string why_not_opened(int parent, const std::string & name, const std::string & path, mode_t kind) {
    const int error = errno;
    struct stat st;
    std::string why = fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 ? objection(st, kind) : "";
    errno = error;
    return why.empty() ? cannot("open", path) : path + " " + why;
}

bool PrivateFile::read(uint64_t offset, void * to, size_t count) const {
    auto * at = static_cast<char *>(to);
    while (count > 0) {
        const ssize_t n = pread(fd.get(), at, count, (off_t) offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        offset += (uint64_t) n;
        count -= (size_t) n;
    }
    return true;
}

// --- folders ---

static void make_parents(const std::string & path) {
    // Whatever fails here is told by the attempt to make the last component.
    for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
        mkdir(path.substr(0, at).c_str(), 0700);
    }
}

std::optional<PrivateFolder> PrivateFolder::open_at(int parent, const std::string & name, const std::string & path,
                                                    Create create, std::string & why) {
    Descriptor fd(openat(parent, name.c_str(), FOLDER));
    if (!fd && errno == ENOENT) {
        if (create == Create::no) return std::nullopt;
        if (mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST) {
            why = cannot("create", path);
            return std::nullopt;
        }
        fd = Descriptor(openat(parent, name.c_str(), FOLDER));
    }
    struct stat st;
    if (!fd || fstat(fd.get(), &st) != 0) {
        why = why_not_opened(parent, name, path, S_IFDIR);
        return std::nullopt;
    }
    why = objection(st, S_IFDIR);
    if (!why.empty()) {
        why = path + " " + why;
        return std::nullopt;
    }
    return PrivateFolder(std::move(fd), path);
}

std::optional<PrivateFolder> PrivateFolder::open(const std::string & path, Create create, std::string & why) {
    // A slash at the end would have a link followed, in spite of O_NOFOLLOW.
    std::string plain = path;
    while (plain.size() > 1 && plain.back() == '/') plain.pop_back();
    if (create == Create::yes) make_parents(plain);
    return open_at(AT_FDCWD, plain, plain, create, why);
}

std::optional<PrivateFolder> PrivateFolder::folder(const std::string & name, Create create, std::string & why) const {
    return open_at(fd_.get(), name, path_ + "/" + name, create, why);
}

static std::vector<std::string> names_in(int folder) {
    std::vector<std::string> names;
    const int again = openat(folder, ".", FOLDER);  // of its own: a position shared is a position lost
    DIR * listing = again < 0 ? nullptr : fdopendir(again);
    if (!listing) {
        if (again >= 0) close(again);
        return names;
    }
    while (const dirent * entry = readdir(listing)) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
    }
    closedir(listing);
    return names;
}

static void remove_tree(int parent, const std::string & name) {
    if (unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return;
    const Descriptor folder(openat(parent, name.c_str(), FOLDER));
    if (!folder) return;
    fchmod(folder.get(), 0700);
    for (const auto & inner : names_in(folder.get())) remove_tree(folder.get(), inner);
    unlinkat(parent, name.c_str(), AT_REMOVEDIR);
}

std::vector<std::string> PrivateFolder::names() const { return names_in(fd_.get()); }
void PrivateFolder::remove(const std::string & name) const { remove_tree(fd_.get(), name); }
bool PrivateFolder::has(const std::string & name) const {
    struct stat st;
    return fstatat(fd_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool PrivateFolder::writable(std::string & why) const {
    if (faccessat(fd_.get(), ".", W_OK | X_OK, AT_EACCESS) == 0) return true;
    why = cannot("write to", path_);
    return false;
}

// --- files ---

std::optional<PrivateFile> PrivateFolder::file(const std::string & name, uint64_t limit, Refusal & refusal) const {
    const std::string path = path_ + "/" + name;
    PrivateFile file{Descriptor(openat(fd_.get(), name.c_str(), READ)), 0};
    struct stat st;
    if (!file.fd && errno == ENOENT) return std::nullopt;
    const int error = errno;
    std::string why;
    if (file.fd ? fstat(file.fd.get(), &st) == 0 : fstatat(fd_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
        why = objection(st, S_IFREG);
        file.size = (uint64_t) st.st_size;
        if (why.empty() && file.size > limit) why = "is larger than " + std::to_string(limit) + " bytes";
    }
    if (why.empty() && file.fd) return file;
    errno = error;
    refusal.bad = !why.empty();
    refusal.why = why.empty() ? cannot("open", path) : path + " " + why;
    return std::nullopt;
}

static std::string random_name() {
    std::random_device random;
    char name[40];
    std::snprintf(name, sizeof name, "%s%08x%08x", TEMPORARY, (unsigned) random(), (unsigned) random());
    return name;
}

// Locks what this process has just made under `name`. False when somebody who swept the
// folder was quicker and took it for abandoned: then another name is to be tried.
static bool claimed(int parent, const std::string & name, const Descriptor & made) {
    struct stat mine, named;
    return flock(made.get(), LOCK_EX | LOCK_NB) == 0 && fstat(made.get(), &mine) == 0 &&
           fstatat(parent, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 && mine.st_ino == named.st_ino &&
           mine.st_dev == named.st_dev;
}

static Descriptor temporary_file(int folder, std::string & name) {
    for (int i = 0; i < ATTEMPTS; ++i) {
        name = random_name();
        Descriptor fd(openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (fd ? claimed(folder, name, fd) : errno != EEXIST) return fd;
    }
    return Descriptor();
}

bool PrivateFolder::publish(const std::string & name, const std::vector<Part> & parts, std::string & why) const {
    std::string temporary;
    const Descriptor fd = temporary_file(fd_.get(), temporary);
    bool good = (bool) fd;
    for (const auto & part : parts) good = good && write_all(fd.get(), part.data, part.size);
    // The contents must be on the disk before the name is: after a power cut a name without
    // contents would be found damaged and cost a compilation.
    good = good && fsync(fd.get()) == 0;
    const auto renamed = [&] { return renameat(fd_.get(), temporary.c_str(), fd_.get(), name.c_str()) == 0; };
    if (good && !renamed()) {
        good = errno == EISDIR;  // a folder of that name is nothing that we made
        if (good) remove_tree(fd_.get(), name);
        good = good && renamed();
    }
    if (good) {
        fsync(fd_.get());
        return true;
    }
    why = cannot("write", path_ + "/" + name);
    if (fd) unlinkat(fd_.get(), temporary.c_str(), 0);
    return false;
}

// --- locks ---

std::optional<FileLock> PrivateFolder::lock(const std::string & name, const Waiting & waiting, std::string & why) const {
    const std::string path = path_ + "/" + name;
    Descriptor fd(openat(fd_.get(), name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600));
    struct stat st;
    if (!fd || fstat(fd.get(), &st) != 0) {
        why = why_not_opened(fd_.get(), name, path, S_IFREG);
        return std::nullopt;
    }
    why = objection(st, S_IFREG);
    if (!why.empty()) {
        why = path + " " + why;
        return std::nullopt;
    }
    const auto start = std::chrono::steady_clock::now();
    while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR) continue;
        if (errno != EWOULDBLOCK) {
            why = cannot("lock", path);
            return std::nullopt;
        }
        const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
        if (!waiting || !waiting(waited.count())) return std::nullopt;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return FileLock(std::move(fd));
}

// --- temporaries ---

static void sweep_folder(int folder) {
    for (const auto & name : names_in(folder)) {
        if (name.compare(0, std::strlen(TEMPORARY), TEMPORARY) != 0) continue;
        const Descriptor fd(openat(folder, name.c_str(), READ));
        struct stat st;
        // A folder may be shared (/tmp): what is another user's, or no kind of ours, stays.
        if (!fd || fstat(fd.get(), &st) != 0 || st.st_uid != geteuid()) continue;
        if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) remove_tree(folder, name);
    }
}

void PrivateFolder::sweep() const { sweep_folder(fd_.get()); }

// Compilers go by path, so nobody may exchange a folder on the way: ancestors that everybody
// may write to must be sticky. Owners are not asked for: in a user namespace root is nobody.
static bool others_may_exchange(const std::string & path) {
    char * real = realpath(path.c_str(), nullptr);
    std::string at = real ? real : "";
    std::free(real);
    struct stat st;
    while (!at.empty()) {
        if (stat(at.c_str(), &st) == 0 && (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX)) return true;
        at.resize(at.rfind('/'));
    }
    return false;
}

std::optional<TemporaryFolder> make_temporary_folder(const std::string & parent, std::string & why) {
    Descriptor above(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!above) {
        why = cannot("open", parent);
        return std::nullopt;
    }
    if (others_may_exchange(parent)) {
        why = "others may exchange what is in " + parent;
        return std::nullopt;
    }
    sweep_folder(above.get());
    for (int i = 0; i < ATTEMPTS; ++i) {
        const std::string name = random_name();
        if (mkdirat(above.get(), name.c_str(), 0700) != 0) {
            if (errno == EEXIST) continue;
            break;
        }
        Descriptor made(openat(above.get(), name.c_str(), FOLDER));
        if (made && claimed(above.get(), name, made)) {
            return TemporaryFolder(std::move(above), std::move(made), name, parent + "/" + name);
        }
    }
    why = cannot("create a folder in", parent);
    return std::nullopt;
}

TemporaryFolder::~TemporaryFolder() {
    if (parent_) remove_tree(parent_.get(), name_);
}

// --- facts ---

uint64_t available_bytes(const std::string & path) {
    struct statvfs fs;
    return statvfs(path.c_str(), &fs) == 0 ? (uint64_t) fs.f_bavail * fs.f_frsize : 0;
}

std::string home_folder(std::string & why) {
    const char * home = std::getenv("HOME");
    std::string path = home ? home : "";
    if (path.empty()) {
        const passwd * user = getpwuid(geteuid());
        path = user && user->pw_dir ? user->pw_dir : "";
    }
    if (path.empty() || path[0] != '/') {
        why = "HOME is not set and this user has no home folder";
        return "";
    }
    // sudo may keep HOME: root would leave a folder there that its owner can never use.
    struct stat st;
    if (geteuid() == 0 && stat(path.c_str(), &st) == 0 && st.st_uid != 0) {
        why = path + " belongs to another user (uid " + std::to_string(st.st_uid) + ")";
        return "";
    }
    return path;
}

}  // namespace ingot::os
