// Bytes in anonymous memory that nobody can change any more, this process included. What is
// hashed, tested and loaded is one and the same, whatever happens to the file it came from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ingot::os {

// Owns an open file; closes it at the end.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor();
    Descriptor(Descriptor && other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor & operator=(Descriptor && other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

class SealedFile {
  public:
    // A copy of the first `size` bytes of an open file. The caller has checked what that is;
    // bytes that change meanwhile are seen by hashing the copy, not the file.
    static std::optional<SealedFile> copy(int fd, uint64_t size, std::string & why);
    // A copy of a file that the caller has just made in a private folder (a compiler's output).
    static std::optional<SealedFile> copy(const std::string & path, std::string & why);
    static std::optional<SealedFile> of(const std::vector<uint8_t> & bytes, std::string & why);
    // Whether this system can load libraries from memory; if not, `why` says what is missing.
    static bool loads(std::string & why);
    ~SealedFile();
    SealedFile(SealedFile && other) noexcept { *this = std::move(other); }
    SealedFile & operator=(SealedFile && other) noexcept;

    const uint8_t * data() const { return data_; }
    uint64_t        size() const { return size_; }
    std::string     sha256() const;
    // Loads it as a library: the address of `symbol`, or nullptr with the reason in `why`. No name is
    // looked up in any file system. The mapping stays until the process ends.
    void * load(const char * symbol, std::string & why) const;
    // Inherited by child processes that are forked, not by programs they start.
    int         fd() const { return file_.get(); }
    std::string path() const { return "/proc/self/fd/" + std::to_string(fd()); }
    // Writes a new file, for a linker, which wants names.
    bool write_to(const std::string & path, std::string & why) const;

  private:
    SealedFile() = default;
    static std::optional<SealedFile> empty(std::string & why);
    bool fill(int from, uint64_t size, std::string & why);
    bool seal(std::string & why);

    Descriptor      file_;
    uint64_t        size_ = 0;
    const uint8_t * data_ = nullptr;  // a read-only mapping of all of it
};

// Writes all of it; false with errno set.
bool write_all(int fd, const void * data, uint64_t size);

}  // namespace ingot::os
