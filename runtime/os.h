// The operating system, as little of it as the runtime needs. One file per system
// implements it (os_posix.cc); nothing else contains system calls or #ifdefs.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace ingot::os {

// A read-only file, kept open for the life of the process, so that what was checked is
// what is read even when the path is replaced meanwhile.
class File {
  public:
    File() = default;
    explicit File(const std::string & path);  // throws Failure
    ~File();
    File(File && other) noexcept;
    File & operator=(File && other) noexcept;

    uint64_t size() const { return size_; }
    const std::string & path() const { return path_; }
    // Reads exactly `size` bytes at `offset`, or throws Failure(EXIT_INTEGRITY).
    void read(uint64_t offset, void * to, size_t size) const;
    // A stream of its own over the same file, positioned at `offset`.
    FILE * stream(uint64_t offset) const;

  private:
    int         fd_ = -1;
    uint64_t    size_ = 0;
    std::string path_;
};

// Paths under which the running program may be opened, best first.
std::vector<std::string> own_paths(const char * argv0);

// A test in a child process that can't hurt this one: a crash, an abort or a hang counts as
// failure. It runs beside this process until the verdict is asked for.
class Trial {
  public:
    // Starts `test` in a child that is ended after `seconds`. To be called while this process
    // has one thread.
    Trial(const std::function<bool()> & test, int seconds);
    ~Trial();
    // Waits. True when `test` returned true; otherwise `why` says how it ended.
    bool passed(std::string & why);

  private:
    int child_ = -1;  // process id
    int seconds_;
    std::string failed_to_start_;
};

// What `question` returns in a child process. Nothing, with the reason in `why`, when it crashed,
// threw or took longer than `seconds`. What it prints is lost.
std::optional<std::string> answer_of(const std::function<std::string()> & question, int seconds, std::string & why);

// Runs `work` in a child process beside this one, which does not wait for it.
void in_background(const std::function<void()> & work);

bool is_terminal(FILE * stream);
bool is_pipe_or_file(FILE * stream);
// Why `path` cannot be opened for reading, an errno, or 0. It is not opened: it may be a pipe.
int error_of_reading(const std::string & path);
// Bytes of the machine's memory.
uint64_t memory_size();
// Empty when host:port can be listened on, else what stands against it ("is in use", ...). `host` is an
// address or a name.
std::string why_not_listen(const std::string & host, int port);
// Makes descriptors 0 to 2 exist and SIGCHLD behave, whatever the parent process left.
void normalise_process();
int process_id();
// From now on this process gets at most `bytes` more of memory; without /proc it is not limited.
void limit_memory(uint64_t bytes);
// From now on a fatal signal (a wild pointer, an illegal instruction, a mapped file that was cut short) prints one
// error line before it ends this process, with that signal as before.
void tell_of_crashes();
// Calls `leave` with the exit code when anything ends this process by exit(), after what it registered itself.
void at_exit(void (*leave)(int code));
// Creates a file that must not exist yet; throws Failure.
FILE * create_new(const std::string & path);
void make_directories(const std::string & path);

}  // namespace ingot::os
