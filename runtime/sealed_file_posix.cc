#include "sealed_file.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include "sha256.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace ingot::os {

static constexpr size_t COPY_BYTES = 1 << 20;

static std::string failed(const char * what) { return std::string(what) + ": " + std::strerror(errno); }

Descriptor::~Descriptor() {
    if (fd_ >= 0) close(fd_);
}

bool write_all(int fd, const void * data, uint64_t size) {
    const auto * at = static_cast<const char *>(data);
    while (size > 0) {
        const ssize_t n = write(fd, at, size < COPY_BYTES ? (size_t) size : COPY_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        at += n;
        size -= (uint64_t) n;
    }
    return true;
}

static int anonymous_file() {
    int fd = (int) syscall(SYS_memfd_create, "ingot-module", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) {  // a kernel before 6.3 does not know MFD_EXEC
        fd = (int) syscall(SYS_memfd_create, "ingot-module", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }
    return fd;
}

bool SealedFile::fill(int from, uint64_t size, std::string & why) {
    std::vector<char> buffer(COPY_BYTES);
    while (size_ < size) {
        const uint64_t rest = size - size_;
        const ssize_t  n = pread(from, buffer.data(), rest < COPY_BYTES ? (size_t) rest : COPY_BYTES, (off_t) size_);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            why = n < 0 ? failed("it cannot be read") : "it became shorter while it was read";
            return false;
        }
        if (!write_all(file_.get(), buffer.data(), (uint64_t) n)) {
            why = failed("cannot fill memory file");
            return false;
        }
        size_ += (uint64_t) n;
    }
    return true;
}

bool SealedFile::seal(std::string & why) {
    if (fcntl(file_.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
        why = failed("cannot seal memory file");
        return false;
    }
    if (size_ == 0) return true;
    // Private, because kernels before 6.7 refuse shared mappings of a write-sealed file.
    void * mapped = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file_.get(), 0);
    if (mapped == MAP_FAILED) {
        why = failed("cannot map memory file");
        return false;
    }
    data_ = static_cast<const uint8_t *>(mapped);
    return true;
}

std::optional<SealedFile> SealedFile::empty(std::string & why) {
    SealedFile sealed;
    sealed.file_ = Descriptor(anonymous_file());
    if (sealed.file_) return sealed;
    why = failed("no anonymous memory file");
    return std::nullopt;
}

std::optional<SealedFile> SealedFile::copy(int fd, uint64_t size, std::string & why) {
    auto sealed = empty(why);
    if (!sealed || !sealed->fill(fd, size, why) || !sealed->seal(why)) return std::nullopt;
    return sealed;
}

std::optional<SealedFile> SealedFile::of(const std::vector<uint8_t> & bytes, std::string & why) {
    auto sealed = empty(why);
    if (!sealed) return std::nullopt;
    if (!write_all(sealed->file_.get(), bytes.data(), bytes.size())) {
        why = failed("cannot fill memory file");
        return std::nullopt;
    }
    sealed->size_ = bytes.size();
    if (!sealed->seal(why)) return std::nullopt;
    return sealed;
}

bool SealedFile::loads(std::string & why) {
    // dlopen wants a path, and the only one that memory has is under /proc.
    if (access("/proc/self/fd", X_OK) == 0) return empty(why).has_value();
    why = "/proc is not mounted";
    return false;
}

void * SealedFile::load(const char * symbol, std::string & why) const {
    void * library = dlopen(path().c_str(), RTLD_NOW | RTLD_LOCAL);
    void * found   = library ? dlsym(library, symbol) : nullptr;
    if (!found) {
        const char * reason = dlerror();
        why = reason ? reason : "it cannot be loaded";
    }
    return found;
}

std::optional<SealedFile> SealedFile::copy(const std::string & path, std::string & why) {
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat st;
    if (!file || fstat(file.get(), &st) != 0) {
        why = failed(("cannot open " + path).c_str());
        return std::nullopt;
    }
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
        why = path + " is not a regular file of this user";
        return std::nullopt;
    }
    return copy(file.get(), (uint64_t) st.st_size, why);
}

SealedFile::~SealedFile() {
    if (data_) munmap(const_cast<uint8_t *>(data_), size_);
}

SealedFile & SealedFile::operator=(SealedFile && other) noexcept {
    std::swap(file_, other.file_);
    std::swap(size_, other.size_);
    std::swap(data_, other.data_);
    return *this;
}

std::string SealedFile::sha256() const { return sha256_hex(data_, size_); }

bool SealedFile::write_to(const std::string & path, std::string & why) const {
    const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (file && write_all(file.get(), data_, size_)) return true;
    why = failed(("cannot write " + path).c_str());
    if (file) unlink(path.c_str());
    return false;
}

}  // namespace ingot::os
