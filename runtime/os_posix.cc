#include "os.h"

#include "error.h"

#include "sealed_file.h"

#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ingot::os {

File::File(const std::string & path) : path_(path) {
    fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd_ < 0 || fstat(fd_, &st) != 0 || S_ISDIR(st.st_mode)) {
        const std::string why = fd_ >= 0 && S_ISDIR(st.st_mode) ? "it is a folder" : std::strerror(errno);
        if (fd_ >= 0) close(fd_);
        throw Failure(EXIT_INPUT, "cannot open " + path + ": " + why, "check the path");
    }
    size_ = (uint64_t) st.st_size;
}

File::~File() {
    if (fd_ >= 0) close(fd_);
}

File::File(File && other) noexcept { *this = std::move(other); }

File & File::operator=(File && other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(size_, other.size_);
    std::swap(path_, other.path_);
    return *this;
}

void File::read(uint64_t offset, void * to, size_t size) const {
    auto * at = static_cast<char *>(to);
    while (size > 0) {
        const ssize_t n = pread(fd_, at, size, (off_t) offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            throw Failure(EXIT_INTEGRITY, path_ + " ends or fails at byte " + std::to_string(offset) +
                                              (n < 0 ? std::string(": ") + std::strerror(errno) : ""));
        }
        at += n;
        offset += (uint64_t) n;
        size -= (size_t) n;
    }
}

FILE * File::stream(uint64_t offset) const {
    // Reopened through /proc where possible, for a file position of its own.
    int fd = open(("/proc/self/fd/" + std::to_string(fd_)).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fd = fcntl(fd_, F_DUPFD_CLOEXEC, 0);
    FILE * stream = fd < 0 ? nullptr : fdopen(fd, "rb");
    if (!stream || fseeko(stream, (off_t) offset, SEEK_SET) != 0) {
        throw Failure(EXIT_INPUT, "cannot reopen " + path_ + ": " + std::strerror(errno));
    }
    return stream;
}

std::vector<std::string> own_paths(const char * argv0) {
    // /proc/self/exe first: it names the running inode even after a rename. The other two
    // serve a chroot without /proc and a start through ld.so or an emulator.
    std::vector<std::string> paths{"/proc/self/exe"};
    if (const auto * execfn = reinterpret_cast<const char *>(getauxval(AT_EXECFN))) paths.emplace_back(execfn);
    if (argv0 && *argv0) paths.emplace_back(argv0);
    return paths;
}

// Not 0: code that merely exits early must not count as a passed test.
static constexpr int SURVIVED = 87;

Trial::Trial(const std::function<bool()> & test, int seconds) : seconds_(seconds) {
    child_ = fork();
    if (child_ < 0) failed_to_start_ = std::string("cannot start a test process: ") + std::strerror(errno);
    if (child_ != 0) return;

    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int sig : {SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGABRT, SIGALRM}) signal(sig, SIG_DFL);
    setenv("GGML_NO_BACKTRACE", "1", 1);
    // What it prints is lost: writing to a descriptor opened for reading fails.
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
    sigset_t alarm_only;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &alarm_only, nullptr);
    alarm((unsigned) seconds);
    bool passed = false;
    try {
        passed = test();
    } catch (...) {
        // not passed
    }
    _exit(passed ? SURVIVED : 1);
}

Trial::~Trial() {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

bool Trial::passed(std::string & why) {
    if (child_ < 0) {
        why = failed_to_start_;
        return false;
    }
    int status = 0;
    while (waitpid(child_, &status, 0) < 0) {
        if (errno == EINTR) continue;
        why = std::string("lost the test process: ") + std::strerror(errno);
        return false;
    }
    child_ = -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == SURVIVED) return true;
    if (WIFSIGNALED(status)) {
        const int sig = WTERMSIG(status);
        why = sig == SIGALRM ? "it did not end in " + std::to_string(seconds_) + " s"
                             : std::string("it crashed (") + strsignal(sig) + ")";
    } else {
        why = "it computed wrong results";
    }
    return false;
}

// Reads until the other end is closed; false when `seconds` have passed.
static bool read_until(int fd, int seconds, std::string & text) {
    char buffer[4096];
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (std::chrono::steady_clock::now() < end) {
        pollfd event{fd, POLLIN, 0};
        if (poll(&event, 1, 100) <= 0) continue;
        const ssize_t count = read(fd, buffer, sizeof buffer);
        if (count == 0) return true;
        if (count > 0) text.append(buffer, (size_t) count);
        else if (errno != EINTR) return false;
    }
    return false;
}

std::optional<std::string> answer_of(const std::function<std::string()> & question, int seconds, std::string & why) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        why = std::string("no pipe: ") + std::strerror(errno);
        return std::nullopt;
    }
    const Descriptor from(ends[0]);
    Descriptor to(ends[1]);
    Trial trial([&] {
        const std::string text = question();
        return write_all(to.get(), text.data(), text.size());
    }, seconds);
    to = Descriptor();
    std::string text;
    if (!read_until(from.get(), seconds + 1, text)) {
        why = "it did not end in " + std::to_string(seconds) + " s";
        return std::nullopt;
    }
    if (!trial.passed(why)) return std::nullopt;
    return text;
}

void in_background(const std::function<void()> & work) {
    std::fflush(nullptr);
    // Twice, so that the grandchild is nobody's to wait for.
    const pid_t child = fork();
    if (child == 0) {
        if (fork() == 0) {
            work();
            std::fflush(nullptr);
        }
        _exit(0);
    }
    if (child > 0) while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {}
}

bool is_terminal(FILE * stream) { return isatty(fileno(stream)) == 1; }

bool is_pipe_or_file(FILE * stream) {
    struct stat st;
    return fstat(fileno(stream), &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode));
}

int error_of_reading(const std::string & path) {
    struct stat st;
    if (access(path.c_str(), R_OK) != 0 || stat(path.c_str(), &st) != 0) return errno;
    return S_ISDIR(st.st_mode) ? EISDIR : 0;
}

uint64_t memory_size() {
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t) pages * (uint64_t) size : 0;
}

// 0 when a socket can be bound to the address, else errno.
static int try_bind(const addrinfo & address) {
    const Descriptor fd(socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd.get() < 0) return errno;
    const int yes = 1, no = 0;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (address.ai_family == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    return bind(fd.get(), address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
}

std::string why_not_listen(const std::string & host, int port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags    = AI_PASSIVE;
    addrinfo * found  = nullptr;
    if (const int unknown = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found)) {
        return std::string("cannot be used: ") + gai_strerror(unknown);
    }
    int error = 0;
    for (const addrinfo * address = found; address; address = address->ai_next) {
        if ((error = try_bind(*address)) == 0) break;  // one is enough for the engine
    }
    freeaddrinfo(found);
    if (error == 0) return "";
    return error == EADDRINUSE ? "is in use" : std::string("cannot be used: ") + std::strerror(error);
}

void normalise_process() {
    // A closed standard descriptor would be given to the next file opened, and printed into.
    int fd;
    do {
        fd = open("/dev/null", O_RDONLY);
    } while (fd >= 0 && fd <= 2);
    if (fd > 2) close(fd);
    // Ignored by some supervisors, and inherited: children could then not be waited for.
    signal(SIGCHLD, SIG_DFL);
}

static void write_text(const char * text) {
    if (write(STDERR_FILENO, text, std::strlen(text)) < 0) {
        // nobody to tell
    }
}

// In a signal handler: no memory is allocated, no stream is used.
static void on_crash(int sig) {
    write_text(sig == SIGBUS ? "error: this program crashed: a file that it uses was cut short, or its disk failed"
               : sig == SIGILL ? "error: this program crashed: illegal instruction"
               : sig == SIGFPE ? "error: this program crashed: arithmetic error"
                               : "error: this program crashed: invalid memory access");
    write_text("\nhint: -v shows how far it came; verify checks this file\n");
    raise(sig);  // the default, since SA_RESETHAND: the exit status says which signal it was
}

void limit_memory(uint64_t bytes) {
    // Beside what it has by now, of which the copy of a server may have a lot (proc(5): pages of data are the sixth).
    std::ifstream statm("/proc/self/statm");
    uint64_t pages[6] = {0};
    for (uint64_t & count : pages) statm >> count;
    if (!statm) return;
    const rlim_t most = (rlim_t) (pages[5] * (uint64_t) sysconf(_SC_PAGESIZE) + bytes);
    const rlimit limit{most, most};
    setrlimit(RLIMIT_DATA, &limit);
}

int process_id() { return (int) getpid(); }

void tell_of_crashes() {
    // A stack of its own, for crashes by an exhausted one; that of other threads stays theirs.
    static char stack[16384];
    stack_t alternative{};
    alternative.ss_sp   = stack;
    alternative.ss_size = sizeof stack;
    sigaltstack(&alternative, nullptr);
    struct sigaction action {};
    action.sa_handler = on_crash;
    action.sa_flags   = (int) (SA_RESETHAND | SA_NODEFER | SA_ONSTACK);
    for (int sig : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigaction(sig, &action, nullptr);
}

void at_exit(void (*leave)(int code)) {
    on_exit([](int code, void * what) { reinterpret_cast<void (*)(int)>(what)(code); }, reinterpret_cast<void *>(leave));
}

FILE * create_new(const std::string & path) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    FILE * stream = fd < 0 ? nullptr : fdopen(fd, "wb");
    if (!stream) {
        throw Failure(EXIT_INPUT, "cannot create " + path + ": " + std::strerror(errno),
                      errno == EEXIST ? "move it away first, or choose another folder with -o" : "");
    }
    return stream;
}

void make_directories(const std::string & path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) throw Failure(EXIT_INPUT, "cannot create folder " + path + ": " + error.message());
}

}  // namespace ingot::os
